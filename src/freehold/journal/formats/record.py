"""What every import format gives: numbered lines, each a record or the reason why it is none."""

from datetime import datetime
from math import isfinite
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec

from freehold.chat import JSON, Outcome, Usage, is_messages
from freehold.errors import DataError
from freehold.journal.probable import MOST_ANSWERS

Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
"""A name that is stored in an index: never empty, and short enough for any database's."""
MAX_LEVELS = 200
TOO_DEEP = f"the record is nested too deeply to be kept; expected at most {MAX_LEVELS} levels of objects and lists"
Tag: TypeAlias = str | bool | int | float | None
"""A tag's value as it may come in; it is stored as text, and null is no tag."""


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One answer of one variant to one item: the native record, and what every other format is turned into."""

    item: Name
    """What was asked, by name: records with the same task and item are answers to the same question."""
    input: str | dict[str, Any] | list[Any]
    """What was asked: text, an object, or chat messages."""
    variant: Name
    """Who answered."""
    task: Name | None = None
    """The task it belongs to; null leaves it to be grouped by shape."""
    output: JSON = None
    """What was answered."""
    usage: Usage | None = None
    """Tokens used; null is unknown."""
    cost_usd: float | None = None
    """What it cost; null is unknown, and then computed from `usage` where the variant's price is known."""
    latency_ms: float | None = None
    """Milliseconds from request to last byte."""
    scores: dict[Name, float | None] | None = None
    """Metric to score, in the metric's own range."""
    reference_output: JSON = None
    """The answer as it should have been."""
    group: Name | None = None
    """Items that depend on each other share one."""
    tags: dict[Name, Tag] | None = None
    """Anything policies and slices may ask for."""
    propensity: float | None = None
    """The probability with which the variant was chosen, in (0, 1]."""
    policy: Name | None = None
    """What chose it."""
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When it was asked."""
    probabilities: dict[str, float] | None = None
    """How probable the variant held each answer, by the answer's words; of those it said."""

    def __post_init__(self) -> None:
        if "\0" in f"{self.item}{self.variant}{self.task}{self.group}{self.policy}":
            raise DataError("item, variant, task, group or policy holds a NUL character, which no database keeps; expected printable text")
        if self.cost_usd is not None and not 0 <= self.cost_usd < float("inf"):
            raise DataError(f"cost_usd is {self.cost_usd}; expected a number from 0 up, or null where it is not known")
        if self.latency_ms is not None and not 0 <= self.latency_ms < float("inf"):
            raise DataError(f"latency_ms is {self.latency_ms}; expected a number from 0 up, or null where it is not known")
        if self.propensity is not None and not 0 < self.propensity <= 1:
            raise DataError(f"propensity is {self.propensity}; expected a probability above 0 and at most 1, or null")
        if self.probabilities:
            _check_probabilities(self.probabilities)
        if self.scores:
            for metric, score in self.scores.items():
                if score is not None and not isfinite(score):
                    raise DataError(f"scores: '{metric}' is {score}; expected a finite number, or null where nobody scored it")
                if "\0" in metric:
                    raise DataError("scores: a metric's name holds a NUL character; expected printable text")
        if isinstance(self.input, list) and not is_messages(self.input):
            raise DataError("input is a list, but not of chat messages: each has to be an object with a text 'role'")
        for value in (self.input, self.output, self.reference_output):
            if isinstance(value, dict | list) and is_deeper(value, MAX_LEVELS):
                raise DataError(TOO_DEEP)


def _check_probabilities(said: dict[str, float]) -> None:
    if len(said) > MOST_ANSWERS:
        raise DataError(f"probabilities has {len(said):,} answers; expected at most {MOST_ANSWERS}, the most probable ones")
    for answer, probability in said.items():
        if not 0 <= probability <= 1:
            raise DataError(f"probabilities: '{answer[:40]}' is {probability}; expected a number from 0 to 1")
    if (total := sum(said.values())) > 1.001:
        raise DataError(f"probabilities come to {total:.4g} together; expected at most 1")


class Logged(Record, frozen=True, kw_only=True, gc=False):
    """A record from a log of requests and responses, which says more than the native columns hold."""

    outcome: Outcome = "answered"
    """How the call ended."""
    subject: Name | None = None
    """The person it is about."""
    key: str = ""
    """What tells this call from another of the same item and variant, such as the response's id: a log repeats questions."""
    price_tier: str = ""
    """What other than the list price it was billed under, such as `batch`: its cost is unknown then. Empty for the list price."""

    def __post_init__(self) -> None:
        Record.__post_init__(self)
        if "\0" in (self.subject or ""):
            raise DataError("the user's name holds a NUL character; expected printable text")


class Line(NamedTuple):
    """One line of a file: a record, or the reason why there is none."""

    number: int
    """Its place in the file, from 1: the line it starts on, or the row of a Parquet file."""
    record: Record | None
    """What it holds."""
    problem: str = ""
    """What is wrong, what was expected, what to do; empty when there is a record."""
    size: int = 0
    """About how many bytes the record took, so that a batch of them can be kept small."""


def is_deeper(value: JSON, levels: int) -> bool:
    """Whether objects and lists are nested more than so many levels. What decodes is nested less than Python's stack is deep, but whoever
    encodes it may stand deeper in the stack."""
    level = [value]
    for _ in range(levels):
        level = [
            inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer) if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


COLUMNS: tuple[str, ...] = Record.__struct_fields__
"""The native record's columns, in order of the class."""
