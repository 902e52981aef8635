"""What the built-in scorers share: a function of a case that opens nothing, and what there is to look at in a case."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.catalog import Metric
from freehold.chat import JSON, canonical_json
from freehold.errors import CallerError, nearest
from freehold.evaluation.asking import Ask
from freehold.evaluation.scorer import Case, Score
from freehold.tables import JudgeTable

MOST_CHARACTERS = 1_000_000
"""Of a longer answer there is no score: it would hold up everybody else's."""
_FENCED = re.compile(r"\s*```[\w+-]*[^\S\n]*\n(.*?)\n?[^\S\n]*```\s*", re.DOTALL)
_NO_ANSWER = "there is no answer, or its content is not kept"
_NO_TRUTH = "nobody said what the right answer is"


class Settings(NamedTuple):
    """What a scorer is made from: `KIND:OPTION`, and what `[scorers.NAME]` says beside."""

    name: str
    """What its metric is called."""
    option: str = ""
    """What stands behind the colon."""
    options: Mapping[str, JSON] = {}
    """The table's options."""
    folder: Path = Path()
    """Where relative paths begin."""
    ask: Ask | None = None
    """Asks a model; None where nobody may be asked."""
    judges: Mapping[str, JudgeTable] = {}
    """The project's judges, by name."""

    def asks(self) -> Ask:
        """Raises CallerError where nobody may be asked."""
        if self.ask is None:
            raise CallerError(
                f"scorer '{self.name}' asks a model, and nobody is asked here. Score with 'freehold judge run' or 'freehold evaluate'."
            )
        return self.ask

    def no_option(self) -> None:
        """Raises CallerError where something stands behind the colon."""
        if self.option:
            raise CallerError(f"scorer '{self.name}': '{self.option[:80]}' stands behind the colon, and this scorer takes nothing there")

    def taken(self, **usual: Any) -> Any:
        """The options by attribute, those that nobody says as `usual`. Raises CallerError for an unknown one, or one of another type."""
        for name, value in self.options.items():
            if name not in usual:
                raise CallerError(f"scorer '{self.name}' has no option '{name}'.{nearest(name, list(usual)) or ' It takes none.'}")
            wanted = type(usual[name])
            if not (isinstance(value, wanted) or (wanted is float and type(value) is int)) or isinstance(value, bool) != (wanted is bool):
                raise CallerError(f"scorer '{self.name}': option {name} is {value!r}; expected a value such as {usual[name]!r}")
        return _Taken({**usual, **self.options})

    def file(self, name: str) -> Path:
        """A file of the project. Raises CallerError where there is none."""
        path = self.folder / name
        if not path.is_file():
            raise CallerError(f"scorer '{self.name}': there is no file {path}. Paths begin in the project's folder.")
        return path

    def number(self, usual: float) -> float:
        """What stands behind the colon, as a number above 0. Raises CallerError."""
        try:
            value = float(self.option) if self.option else usual
        except ValueError:
            value = -1.0
        if not 0 < value < float("inf"):
            raise CallerError(
                f"scorer '{self.name}': '{self.option[:80]}' stands behind the colon; expected a number above 0, such as {usual:g}"
            )
        return value


class _Taken:
    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__.update(values)


@dataclass(frozen=True, slots=True)
class Plain:
    """A scorer that is one function of a case."""

    metric: Metric
    """As of `Scorer`."""
    of: Callable[[Case], Score]
    """Its score."""
    needs_truth: bool = False
    """As of `Scorer`."""
    needs_answer: bool = True
    """Whether a case without an answer has no score."""

    async def score(self, case: Case) -> Score:
        """As of `Scorer`."""
        if (why := lacks(case, self.needs_truth, self.needs_answer)) is not None:
            return Score(None, why)
        try:
            return checked(self.metric, self.of(case))
        except Exception as error:  # noqa: BLE001 an instrument that failed says nothing of the answer
            return Score(None, f"{self.metric.id} failed: {type(error).__name__}: {str(error)[:200]}")


def lacks(case: Case, needs_truth: bool, needs_answer: bool = True) -> str | None:
    """Why a case cannot be scored; None where it can."""
    if needs_answer and case.output is None:
        return _NO_ANSWER
    if isinstance(case.output, str) and len(case.output) > MOST_CHARACTERS:
        return f"the answer has {len(case.output):,} characters; up to {MOST_CHARACTERS:,} are looked at"
    return _NO_TRUTH if needs_truth and not case.has_truth else None


def checked(metric: Metric, score: Score) -> Score:
    """The score, or none where it is not one of its metric."""
    if score.value is None:
        return score
    try:
        metric.unit(score.value)
    except CallerError as error:
        return score._replace(value=None, why=str(error))
    return score


def in_field(made: Plain, field: str) -> Plain:
    """The same of one field of answer and right answer, such as `queue` or `address.city`."""

    def of(case: Case) -> Score:
        found, output = at(parsed(case.output), field)
        if not found:
            return Score(_worst(made.metric), f"the answer has no field '{field}'")
        if not case.has_truth:
            return made.of(msgspec.structs.replace(case, output=output))
        known, truth = at(parsed(case.truth), field)
        if not known and made.needs_truth:
            return Score(None, f"the right answer has no field '{field}'")
        return made.of(msgspec.structs.replace(case, output=output, has_truth=known, truth=truth))

    return replace(made, of=of)


def _worst(metric: Metric) -> float:
    return metric.range[0] if metric.better == "higher" else metric.range[1]


def words_of(value: JSON) -> str:
    """A value as text: one as it is, anything else as canonical JSON."""
    return value if isinstance(value, str) else canonical_json(value).decode()


def parsed(value: JSON) -> JSON:
    """The JSON that a text is, alone or in a fence; the text itself where it is none."""
    if not isinstance(value, str):
        return value
    fenced = _FENCED.fullmatch(value)
    try:
        return msgspec.json.decode(fenced[1] if fenced else value)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return value


def at(value: JSON, field: str) -> tuple[bool, JSON]:
    """Whether there is a field of that name, dotted for one within, and what it holds."""
    for name in field.split("."):
        if not isinstance(value, dict) or name not in value:
            return False, None
        value = value[name]
    return True, value


def code_of(text: str) -> str:
    """The code of an answer: what stands in its fences, or all of it."""
    blocks = re.findall(r"```[\w+-]*[^\S\n]*\n(.*?)```", text, re.DOTALL)
    return "\n".join(blocks) if blocks else text


def binary(name: str, better: Any = "higher", deterministic: bool = False) -> Metric:
    """A metric of 0 and 1."""
    return Metric(id=name, kind="binary", better=better, deterministic=deterministic)


def yes(is_so: bool, why: str = "", **parts: float) -> Score:
    """1 or 0."""
    return Score(float(is_so), why, parts)
