"""`prompt`: a better instruction, and examples, for a model that somebody serves; found by reflecting on what it gets wrong.

Source: GEPA (Agrawal et al., 2025, arXiv 2507.19457), by its authors' package `gepa`. We hand in how a candidate is asked and scored, and how a new
one is proposed: an instruction by a model that reads what went wrong, examples by drawing rows that went wrong. The search sees the training part
alone. What it found is taken only where it does better than the task's own instruction on the calibration part, by an exact paired test.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from freehold.catalog import Sampling, Variant
from freehold.chat import CHARS_A_TOKEN, JSON, canonical_json
from freehold.context.prompt import USER
from freehold.errors import OperatorError, TrainingError
from freehold.training.asking import Asks, Heard, Models, Turns
from freehold.training.lesson import Part
from freehold.training.method import Estimate, Job, Made
from freehold.training.run import Run
from freehold.variants.specialist import Answered

_INSTRUCTION_TOKENS, _REFLECTED_TOKENS = 300, 400
"""About so many tokens an instruction has, and the words around what went wrong."""
_QUESTIONS_A_REWRITE = 8
"""Between two instructions lie so many questions, at least: a batch of four, before and after."""
_REFLECT = """I gave a model this instruction:
<instruction>
{instruction}
</instruction>

These are questions it was asked, what it answered, and what would have been right:
{cases}

Write a better instruction. Say what the task is, every rule that the cases show and that the model cannot know, and how the answer has to look.
Do not repeat the cases themselves. Answer with the instruction alone, between <instruction> and </instruction>."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of `prompt`."""

    model: str = ""
    """The model that is to answer; the task's reference where nothing is said."""
    reflects: str = ""
    """The model that reads what went wrong and writes instructions; the task's reference where nothing is said."""
    most_questions: int = 400
    """Questions that the search may ask."""
    examples: int = 4
    """Rows that may be shown before a question; 0 for none."""
    choose_by: int = 40
    """Rows of the training part that candidates are chosen by; reflection sees the others."""
    level: float = 0.05
    """How often a prompt that is no better would be taken for better."""

    def __post_init__(self) -> None:
        if not (0 <= self.examples <= 50 and 4 <= self.choose_by <= 1_000 and self.most_questions >= self.choose_by and 0 < self.level < 1):
            raise ValueError("examples is from 0 to 50, choose_by from 4 to 1,000 and at most most_questions, and level between 0 and 1")


class Row(NamedTuple):
    """One row as the search sees it."""

    text: str
    answer: JSON


Candidate = dict[str, str]
"""`instruction`, and `examples`: the numbers of training rows that are shown, as JSON."""


class _Prompt:
    name = "prompt"
    about = "An instruction and examples for a model, found by reflection on what it gets wrong (GEPA, Agrawal et al., 2025). Needs freehold[prompts]."
    options = Options

    def estimate(self, job: Job, options: Options) -> Estimate:
        """As of `Method`."""
        _gepa()
        if len(job.lesson.train) < options.choose_by + 4:
            raise TrainingError(
                f"A prompt is chosen by {options.choose_by} rows and reflects on at least 4 others, and the training part has {len(job.lesson.train)}. Add "
                "rows, or say --set choose_by=N."
            )
        model, reflects = _models(job, options)
        questions = options.most_questions + 2 * len(job.lesson.calibrate) + len(job.lesson.test)
        part = job.lesson.train
        asked, said = (sum(len(words(one)) for one in some) / len(part) / CHARS_A_TOKEN for some in (part.texts, part.answers))
        rewrites = options.most_questions // _QUESTIONS_A_REWRITE
        asks = (
            Asks(model, questions, _INSTRUCTION_TOKENS + asked + options.examples * (asked + said), said),
            Asks(reflects, rewrites, _REFLECTED_TOKENS + 4 * (asked + 2 * said), _INSTRUCTION_TOKENS),
        )
        return Estimate(seconds=questions / 4, bytes=200_000_000, asks=asks)

    def train(self, job: Job, options: Options, run: Run) -> Made:
        """As of `Method`."""
        assert job.models is not None
        model, reflects = _models(job, options)
        own = {"instruction": job.task.instruction or "Answer the question.", "examples": "[]"}
        search = _Search(job, options, model, reflects, job.models, run)
        best = search.best(own)
        gains = _paired(search, job.lesson.calibrate, own, best)
        if gains.p > options.level:
            raise TrainingError(
                f"No better prompt was found: on the {len(job.lesson.calibrate)} calibration rows the best one is right where the task's own is wrong "
                f"{gains.better} times, and wrong where it is right {gains.worse} times (p = {gains.p:.3f}, wanted {options.level:g}). Nothing is taken. "
                "More rows or more questions may find one."
            )
        about: dict[str, JSON] = {
            "instruction": best["instruction"],
            "examples": list(search.shown(best)),
            "accepted": f"better on {gains.better} and worse on {gains.worse} of {len(job.lesson.calibrate)} calibration rows, p = {gains.p:.4f}",
            "questions": search.asked,
        }
        return Made(
            "model",
            {},
            about,
            variant=Variant(id=model, model=model),
            prompt=_template(best["instruction"], search.rows_shown(best)),
            answerer=_Asked(search, best),
        )


METHOD = _Prompt()


def _models(job: Job, options: Options) -> tuple[str, str]:
    """Who answers, and who reflects."""
    model, reflects = options.model or job.task.reference or "", options.reflects or job.task.reference or ""
    if not model or not reflects:
        raise TrainingError(
            f"Which model is to answer '{job.task.id}'? Say --set model=NAME and --set reflects=NAME; the task has no reference."
        )
    return model, reflects


def _gepa() -> Any:
    try:
        import gepa
    except ImportError as error:
        raise OperatorError(
            "The method 'prompt' needs the package 'gepa', which is not installed: pip install 'freehold[prompts]'."
        ) from error
    return gepa


class _Search:
    """Asks candidates and proposes new ones: as of `gepa.core.adapter.GEPAAdapter`."""

    propose_new_texts = None

    def __init__(self, job: Job, options: Options, model: str, reflects: str, models: Models, run: Run) -> None:
        self._options = options
        self._model = model
        self._reflects = reflects
        self._models = models
        self._run = run
        self._rng = np.random.default_rng(job.plan.seed)
        self._seed = job.plan.seed
        self._train = job.lesson.train
        order = self._rng.permutation(len(self._train))
        self._choose = [int(n) for n in order[: options.choose_by]]
        self._learn = [int(n) for n in order[options.choose_by :]]
        self._row = {self._key(n): n for n in self._learn}
        self.asked = 0

    def _key(self, n: int) -> tuple[str, bytes]:
        return self._train.texts[n], canonical_json(self._train.answers[n])

    def best(self, own: Candidate) -> Candidate:
        """The candidate that does best on the rows it is chosen by."""
        rows = {
            name: [Row(self._train.texts[n], self._train.answers[n]) for n in which]
            for name, which in (("learn", self._learn), ("choose", self._choose))
        }
        found = _gepa().optimize(
            seed_candidate=own,
            trainset=rows["learn"],
            valset=rows["choose"],
            adapter=self,
            custom_candidate_proposer=self.proposed,
            max_metric_calls=self._options.most_questions,
            reflection_minibatch_size=min(4, len(rows["learn"])),
            module_selector="round_robin" if self._options.examples else "all",
            seed=self._seed,
            logger=_Quiet(),
            raise_on_exception=True,
        )
        best: Candidate = found.best_candidate
        return best

    def evaluate(self, batch: Sequence[Row], candidate: Candidate, capture_traces: bool = False) -> Any:
        """As of `GEPAAdapter`: each row's answer, 1 where it is right, and the case for whoever reflects."""
        from gepa.core.adapter import EvaluationBatch

        said = self.answers([row.text for row in batch], candidate)
        scores = [float(right(one, row.answer)) for one, row in zip(said, batch, strict=True)]
        self._run.tell(
            "searching", min(self.asked, self._options.most_questions), self._options.most_questions, 1.0 - float(np.mean(scores))
        )
        cases = (
            [{"row": row, "said": one, "score": score} for row, one, score in zip(batch, said, scores, strict=True)]
            if capture_traces
            else None
        )
        return EvaluationBatch(outputs=list(said), scores=scores, trajectories=cases)

    def make_reflective_dataset(
        self, candidate: Candidate, eval_batch: Any, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Any]]:
        """As of `GEPAAdapter`."""
        return dict.fromkeys(components_to_update, eval_batch.trajectories)

    def proposed(self, candidate: Candidate, cases: Mapping[str, Sequence[Any]], components: list[str]) -> Candidate:
        """As of `gepa.core.adapter.ProposalFn`: a new instruction by reflection, other examples by a draw."""
        found: Candidate = {}
        for name in components:
            seen = [_Case(**case) for case in cases[name]]
            if name == "examples":
                if self._options.examples:
                    found[name] = self._other_examples(seen)
            elif (instruction := self._reflected(candidate, seen)) is not None:
                found[name] = instruction
        return found or {name: candidate[name] for name in components}

    def _other_examples(self, cases: Sequence["_Case"]) -> str:
        """Rows that went wrong first, and others by chance."""
        wrong = [self._row[case.row.text, canonical_json(case.row.answer)] for case in cases if not case.score]
        others = [int(n) for n in self._rng.permutation(self._learn)]
        return msgspec.json.encode(list(dict.fromkeys((*wrong, *others)))[: self._options.examples]).decode()

    def _reflected(self, candidate: Candidate, cases: Sequence["_Case"]) -> str | None:
        shown = "\n\n".join(
            f"Question: {case.row.text[:2000]}\nAnswered: {'nothing' if case.said is None else case.said[:500]}\nRight: {words(case.row.answer)[:500]}"
            for case in cases
        )
        asked = _REFLECT.format(instruction=candidate["instruction"], cases=shown)
        (heard,) = self._models.ask(self._reflects, [[{"role": "user", "content": asked}]], Sampling(seed=self._seed))
        text = heard.text or ""
        _, _, rest = text.partition("<instruction>")
        instruction = (rest.partition("</instruction>")[0] if rest else text).strip()
        return instruction or None

    def answers(self, texts: Sequence[str], candidate: Candidate) -> list[str | None]:
        """What the model says with a candidate."""
        self.asked += len(texts)
        system = _system(candidate["instruction"], self.rows_shown(candidate))
        turns: list[Turns] = [[{"role": "system", "content": system}, {"role": "user", "content": text}] for text in texts]
        heard: list[Heard] = self._models.ask(self._model, turns, Sampling(temperature=0.0, seed=self._seed))
        return [None if one.text is None else one.text.strip() for one in heard]

    def shown(self, candidate: Candidate) -> tuple[str, ...]:
        """Ids of the rows that a candidate shows."""
        return tuple(self._train.ids[n] for n in msgspec.json.decode(candidate["examples"]))

    def rows_shown(self, candidate: Candidate) -> list[Row]:
        """Those rows."""
        return [Row(self._train.texts[n], self._train.answers[n]) for n in msgspec.json.decode(candidate["examples"])]


class _Case(NamedTuple):
    """A row, what was said to it, and 1 where that was right."""

    row: Row
    said: str | None
    score: float


class _Asked:
    """A prompt as an `Answerer`, for its test: each answer is asked for."""

    is_quick = False
    size_bytes = 0

    def __init__(self, search: _Search, candidate: Candidate) -> None:
        self._search = search
        self._candidate = candidate

    def answer(self, texts: Sequence[str]) -> list[Answered | None]:
        """As of `Answerer`."""
        return [None if said is None else Answered(value_of(said), 1.0) for said in self._search.answers(texts, self._candidate)]


class Gains(NamedTuple):
    """Where two prompts differ on the same rows."""

    better: int
    worse: int
    p: float
    """How often chance alone would show as many better ones among those that differ; one-sided (McNemar's exact test)."""


def _paired(search: _Search, part: Part, own: Candidate, best: Candidate) -> Gains:
    from scipy.stats import binomtest

    if not len(part):
        raise TrainingError(
            "A prompt is accepted by a paired test on the calibration part, and that has no rows. Build a data set with --calibrate above 0."
        )
    before, after = (
        [right(said, answer) for said, answer in zip(search.answers(part.texts, candidate), part.answers, strict=True)]
        for candidate in (own, best)
    )
    better = sum(b and not a for a, b in zip(before, after, strict=True))
    worse = sum(a and not b for a, b in zip(before, after, strict=True))
    p = float(binomtest(better, better + worse, alternative="greater").pvalue) if better + worse else 1.0
    return Gains(better, worse, p)


def right(said: str | None, answer: JSON) -> bool:
    """Whether words are the right answer: its words, or JSON that equals it."""
    return said is not None and canonical_json(value_of(said)) == canonical_json(answer)


def value_of(said: str) -> JSON:
    """Words as the answer they stand for: JSON where they are an object or a list, else themselves."""
    if said[:1] in ("{", "["):
        try:
            value: JSON = msgspec.json.decode(said)
        except msgspec.DecodeError:
            return said
        return value
    return said


def words(answer: JSON) -> str:
    """An answer as a model is to write it."""
    return answer if isinstance(answer, str) else canonical_json(answer).decode()


def _system(instruction: str, examples: Sequence[Row]) -> str:
    shown = "".join(f"\n\nQuestion: {row.text}\nAnswer: {words(row.answer)}" for row in examples)
    return f"{instruction}\n\nSome questions with their answers:{shown}" if examples else instruction


def _template(instruction: str, examples: Sequence[Row]) -> str:
    """The prompt as a task's template: what was found is text in it, and is never read as a template."""
    said = _system(instruction, examples).replace("{% endraw %}", "{% endraw %}{{ '{% endraw %}' }}{% raw %}")
    schema = "{% if schema %}\n\nAnswer with JSON alone, without a word before or after it, that fits this schema:\n{{ schema }}{% endif %}"
    return f"{{% block system %}}{{% raw %}}{said}{{% endraw %}}{schema}{{% endblock %}}\n{USER}"


class _Quiet:
    """As of `gepa.logging.logger.LoggerProtocol`: nothing is printed, for progress is told otherwise."""

    def log(self, message: str) -> None:
        """As of `LoggerProtocol`."""
