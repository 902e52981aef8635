"""A model writes a program, sees what it gets wrong, and writes it again, for as many rounds as it may; and what of all that is best.

What is written runs in Monty alone. Source of the loop: self-debugging (Chen et al., 2023, arXiv:2304.05128), by counterexamples as in inductive synthesis
(Solar-Lezama et al., 2006).
"""

import re
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple

from freehold.catalog import Sampling
from freehold.chat import CHARS_A_TOKEN, JSON, canonical_json
from freehold.errors import TrainingError
from freehold.training.asking import Asks, Models, Turns
from freehold.training.lesson import Part
from freehold.variants.code import MOST_BYTES, Program, Stopped, answerer_of
from freehold.variants.decisions import DecisionList

_ASK = """Write a Python program that answers questions of the task '{task}'{instruction}

It is one pure function, `def answer(text)`, which takes the question as a string and returns {answers}. It returns None wherever it is not sure: somebody
else is asked then, which costs little, while a wrong answer costs much. Of what it answers at least {share:.0%} have to be right, on questions that you
have not seen, so write rules that hold and not the questions themselves.

It runs in a small part of Python: functions, loops, comprehensions, strings, lists, dicts, sets, and the module re. It has no classes, files, network or
other modules, and {milliseconds:.0f} milliseconds for a question.

Questions with their right answers:
{examples}

Answer with the program alone, in one block between ```python and ```."""
_MEND = """On {rows} questions that program gave {answered} answers, of which {right} were right{failed}. Its counterexamples:
{cases}

Write it again, better: mend what is wrong, and return None where no rule is sure; where it returned None too often, add rules. Answer with the whole program
alone, in one block between ```python and ```."""
_BLOCK = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)
_SHOWN_CHARS = 600
_ASK_TOKENS, _CASE_TOKENS, _PROGRAM_TOKENS = 400, 20, 2_000
"""About so many tokens the question has without its examples, each case beside its text, and a program."""

Answering = DecisionList | Program
Tell = Callable[[int, float], None]


class Tried(NamedTuple):
    """A program on the rows that it is mended by."""

    source: str
    """The program."""
    answered: int
    """Rows it answered."""
    right: int
    """Of those right."""
    failed: int
    """Rows on which it failed or was stopped."""
    cases: tuple[str, ...]
    """What it got wrong, for whoever mends it."""

    def worth(self, precision: float) -> float:
        """One for each row it has right, less what each wrong one has to be made good by."""
        return self.right - precision / (1.0 - precision) * (self.answered - self.right)

    @property
    def sure(self) -> float:
        """How often it can be expected to be right, by the rule of succession (Laplace, 1814): a few right answers prove little."""
        return (self.right + 1) / (self.answered + 2)


class Wanted(NamedTuple):
    """What is to be written."""

    task: str
    instruction: str
    precision: float
    rounds: int
    examples: int
    """Rows that are shown at first."""
    cases: int
    """Counterexamples that are shown in a round."""
    seed: int
    time_s: float = 0.2


def least_rows(precision: float) -> int:
    """So many rows, all of them right, are enough to expect that share of a program: `Tried.sure`."""
    return next(n for n in count(1) if (n + 1) / (n + 2) >= precision)


def code_in(text: str) -> str:
    """The program in what a model said: its longest block, or all of it where it has none."""
    blocks: list[str] = _BLOCK.findall(text)
    source = max(blocks, key=len) if blocks else text
    return source.encode(errors="replace").decode().strip() + "\n"


def written(
    wanted: Wanted, part: Part, order: Sequence[int], models: Models, model: str, tell: Tell = lambda n, share: None
) -> list[Tried]:
    """All programs that were tried, in turn. `order`: the rows, in the order in which they are shown. Raises TrainingError."""
    choices = sorted({canonical_json(answer).decode() for answer in part.answers})
    answers = f"one of {', '.join(choices)}" if len(choices) <= 60 else "the answer, in the form of the examples"
    first = _ASK.format(
        task=wanted.task,
        instruction=f": {wanted.instruction}" if wanted.instruction else ".",
        answers=answers,
        share=wanted.precision,
        milliseconds=wanted.time_s * 1e3,
        examples="\n".join(_case(part.texts[n], part.answers[n]) for n in order[: wanted.examples]),
    )
    turns: list[dict[str, str]] = [{"role": "user", "content": first}]
    found: list[Tried] = []
    for n in range(wanted.rounds):
        (heard,) = models.ask(model, [_kept_short(turns)], Sampling(seed=wanted.seed))
        if heard.text is None:
            if found:
                break
            raise TrainingError(f"'{model}' wrote no program: {heard.why}")
        tried = judged(code_in(heard.text), part, order, wanted)
        found.append(tried)
        tell(n + 1, 1.0 - tried.right / len(part))
        if tried.answered == tried.right == len(part):
            break
        mend = _MEND.format(
            rows=len(part),
            answered=tried.answered,
            right=tried.right,
            failed=f", and failed on {tried.failed}" if tried.failed else "",
            cases="\n".join(tried.cases),
        )
        turns += [{"role": "assistant", "content": heard.text[:MOST_BYTES]}, {"role": "user", "content": mend}]
    return found


def written_by(model: str, rounds: int, examples: int, cases: int, letters: float) -> tuple[Asks, ...]:
    """What a model is asked at most for a program. `letters`: of a question, on average."""
    case = min(letters, _SHOWN_CHARS) / CHARS_A_TOKEN + _CASE_TOKENS
    first = Asks(model, 1, _ASK_TOKENS + examples * case, _PROGRAM_TOKENS)
    later = Asks(model, rounds - 1, first.input_tokens + _PROGRAM_TOKENS + cases * case, _PROGRAM_TOKENS)
    return (first, later) if rounds > 1 else (first,)


def judged(source: str, part: Part, order: Sequence[int], wanted: Wanted) -> Tried:
    """How a program does on the rows. One that cannot even begin answers nothing, and says why."""
    try:
        program = answerer_of(source)
    except Stopped as error:
        return Tried(source, 0, 0, len(part), (f"It could not be run at all: {error}",))
    wrong: list[str] = []
    stopped: list[str] = []
    unknown: list[str] = []
    answered = right = failed = 0
    for n, said in zip(order, _outputs(program, [part.texts[n] for n in order]), strict=True):
        text, answer = part.texts[n], part.answers[n]
        if isinstance(said, Stopped):
            failed += 1
            stopped.append(f"{_case(text, answer)}, but it failed: {said}")
        elif said is None:
            unknown.append(f"{_case(text, answer)}, but it returned None")
        else:
            answered += 1
            if canonical_json(said) == canonical_json(answer):
                right += 1
            else:
                wrong.append(f"{_case(text, answer)}, but it returned {canonical_json(said).decode()[:200]}")
    cases = [*stopped[:5], *wrong, *unknown][: wanted.cases]
    return Tried(source, answered, right, failed, tuple(cases))


_MOST_STOPPED = 5
"""A program that fails on so many rows one after the other is not asked the rest: one that loops would take hours."""


def _outputs(program: Answering, texts: Sequence[str]) -> list[JSON | Stopped]:
    if isinstance(program, DecisionList):
        return [None if said is None else said.output for said in program.answer(texts)]
    found: list[JSON | Stopped] = []
    try:
        for text in texts:
            found += program.outputs([text])
            if len(found) >= _MOST_STOPPED and all(isinstance(one, Stopped) for one in found[-_MOST_STOPPED:]):
                return found + [found[-1]] * (len(texts) - len(found))
    finally:
        program.close()
    return found


def _case(text: str, answer: JSON) -> str:
    return f"{canonical_json(text[:_SHOWN_CHARS]).decode()} -> {canonical_json(answer).decode()[:200]}"


def _kept_short(turns: Sequence[dict[str, str]]) -> Turns:
    """The first message, and the last program with what it got wrong: earlier ones are not worth their tokens."""
    return [turns[0], *turns[-2:]] if len(turns) > 3 else list(turns)
