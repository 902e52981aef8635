"""`code`: a program answers, which people can read and change, and which knows where it does not know.

Without a model: a decision list (`programs/induce.py`). With one, `--set model=NAME`: what it writes from the rows, mended by what it gets wrong
(`programs/written.py`), and taken only where it is right often enough on rows that it was not written from.
"""

import msgspec
import numpy as np

from freehold.chat import JSON, canonical_json
from freehold.errors import TrainingError
from freehold.training.continual.again import with_earlier
from freehold.training.lesson import Part
from freehold.training.method import Estimate, Job, Made
from freehold.training.programs.induce import MOST_ANSWERS, induced, kept, votes
from freehold.training.programs.written import Tried, Wanted, judged, least_rows, written, written_by
from freehold.training.run import Run
from freehold.variants.code import CARD, SOURCE
from freehold.variants.decisions import NO_VOTES
from freehold.variants.decisions import written as as_program


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of `code`."""

    precision: float = 0.98
    """How often what it answers has to be right."""
    most_rules: int = 50
    """Of a list."""
    model: str = ""
    """The model that writes the program; a list of rules is learnt without any where nothing is said."""
    rounds: int = 5
    """How often a model writes it, at most."""
    examples: int = 60
    """Rows that a model is shown at first."""
    cases: int = 20
    """Of what it gets wrong, as many are shown in each round."""

    replay: int | None = None
    """With --continue-from: earlier rows of each answer that are learnt again beside the new ones; all of them where nothing is said."""

    def __post_init__(self) -> None:
        if self.replay is not None and self.replay < 0:
            raise ValueError(f"replay is {self.replay}; it is a number of rows from 0 up")
        if not 0.5 <= self.precision < 1:
            raise ValueError(f"precision is {self.precision}; it is a share from 0.5 to below 1")
        for name, least, most in (("most_rules", 1, 2_000), ("rounds", 1, 50), ("examples", 1, 1_000), ("cases", 1, 200)):
            if not least <= (value := getattr(self, name)) <= most:
                raise ValueError(f"{name} is {value}; it is a number from {least} to {most}")


class _Code:
    name = "code"
    about = "A program that people can read and change: a decision list (Rivest, 1987), or what a model writes and mends by its counterexamples."
    options = Options

    def estimate(self, job: Job, options: Options) -> Estimate:
        """As of `Method`."""
        rows = len(job.lesson.train)
        if job.lesson.shape != "choice" and not options.model:
            raise TrainingError(
                f"A list of rules gives one of few answers, and those of '{job.task.id}' are {job.lesson.shape}. Have a model write the program: --set "
                "model=NAME."
            )
        if not options.model:
            return Estimate(2.0 + 2e-3 * rows, 200_000_000 + 20_000 * rows)
        if (rows_to_check := len(job.lesson.calibrate)) < (least := least_rows(options.precision)):
            raise TrainingError(
                f"A program is taken by what it does on the calibration part: at {options.precision:.1%} on at least {least} rows, and it has "
                f"{rows_to_check}. Build a data set with more (--calibrate), or be content with less (--set precision=0.9)."
            )
        letters = sum(map(len, job.lesson.train.texts)) / max(1, rows)
        asks = written_by(options.model, options.rounds, options.examples, options.cases, letters)
        return Estimate(options.rounds * (30.0 + 3e-4 * rows), 200_000_000, asks=asks)

    def train(self, job: Job, options: Options, run: Run) -> Made:
        """As of `Method`."""
        self.estimate(job, options)
        job = with_earlier(job, options.replay)
        return _by_a_model(job, options, run) if options.model else _as_rules(job, options, run)


METHOD = _Code()


def _as_rules(job: Job, options: Options, run: Run) -> Made:
    lesson = job.lesson
    tried = induced(lesson.train, options.precision, options.most_rules, job.plan.seed, lambda n: run.tell("rules", n, options.most_rules))
    rules = kept(tried, lesson.calibrate, options.precision)
    voting = NO_VOTES
    if len(lesson.choices) <= MOST_ANSWERS:
        rules = rules[: max(0, options.most_rules - len(lesson.choices))]
        voting = votes(lesson.train, lesson.calibrate, rules, options.precision)
    if not rules and not voting.many:
        borne_out = sum(one.is_borne_out for one in tried)
        raise TrainingError(
            f"No list of rules was found that is right {options.precision:.0%} of the time: of {len(tried)} that were tried, {borne_out} "
            "held on rows that they were not found on, and those together not often enough. Add rows, be content with less (--set precision=0.9), have a "
            "model write a program (--set model=NAME), or train a head, which weighs many words."
        )
    about = f"The rules of '{job.task.id}', found on {len(lesson.train)} answers; behind each, on how many others it was right."
    source = as_program(rules, about, voting)
    return _made(source, 0.0, {"by": "a decision list", "rules": len(rules), "tried": len(tried), "counts words": bool(voting.many)})


def _by_a_model(job: Job, options: Options, run: Run) -> Made:
    from scipy.stats import binomtest

    assert job.models is not None
    lesson = job.lesson
    wanted = Wanted(
        job.task.id, job.task.instruction or "", options.precision, options.rounds, options.examples, options.cases, job.plan.seed
    )
    order = [int(n) for n in np.random.default_rng(job.plan.seed).permutation(len(lesson.train))]
    tried = written(wanted, lesson.train, order, job.models, options.model, lambda n, loss: run.tell("writing", n, options.rounds, loss))
    best = max(tried, key=lambda one: (max(0.0, one.worth(options.precision)), one.right / max(1, one.answered)))
    checked = judged(best.source, lesson.calibrate, range(len(lesson.calibrate)), wanted)
    if not checked.right or checked.sure < options.precision:
        raise TrainingError(_refused(best, checked, lesson.calibrate, options, len(tried)))
    low = float(binomtest(checked.right, checked.answered).proportion_ci(0.9, "exact").low)  # one-sided, at 95 %
    about: dict[str, JSON] = {
        "by": options.model,
        "rounds": [{"answered": one.answered, "right": one.right, "failed": one.failed} for one in tried],
        "on calibration": {"rows": len(lesson.calibrate), "answered": checked.answered, "right": checked.right, "low": round(low, 4)},
    }
    return _made(best.source, checked.sure, about)


def _refused(best: Tried, checked: Tried, part: Part, options: Options, rounds: int) -> str:
    cases = "; ".join(checked.cases[:3])
    return (
        f"No program was taken: the best of {rounds} answered {checked.answered} of {len(part)} calibration rows, {checked.right} of them right, by which "
        f"{checked.sure:.2%} can be expected of it, and {options.precision:.0%} have to be ({best.right} of {best.answered} on the rows that it was mended "
        f"by). Such as {cases}. More calibration rows, more --set rounds=N, more examples, or another model may give a better one."
    )


def _made(source: str, confidence: float, about: dict[str, JSON]) -> Made:
    lines = source.count("\n")
    return Made("code", {SOURCE: source.encode(), CARD: canonical_json({"confidence": confidence})}, {**about, "lines": lines})
