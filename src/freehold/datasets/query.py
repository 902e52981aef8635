"""The language of `--from`: which calls a data set is made of, as a frozen record that SQL and Python can both read.

    query   = clause { "and" clause }
    clause  = field op value { "|" value }
    op      = "=" | "!=" | ">=" | "<=" | ">" | "<"
    field   = a name of FIELDS, "tag." name, or "metric." name
    value   = a bare word, or anything in double quotes

Several values are alternatives. Times that are told as ago are made absolute when they are read, so that a query means the same ever after.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias, get_args

import msgspec

from freehold.chat import Outcome
from freehold.errors import CallerError, nearest
from freehold.store.times import time_of

Op: TypeAlias = Literal["=", "!=", ">=", "<=", ">", "<"]
Kind: TypeAlias = Literal["calls", "corrections", "preferences", "reviewed"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Shape: TypeAlias = Literal["word", "number", "time", "kind", "outcome"]

FIELDS: dict[str, Shape] = {
    "kind": "kind",
    "task": "word",
    "variant": "word",
    "outcome": "outcome",
    "since": "time",
    "until": "time",
    "customer": "word",
    "episode": "word",
    "group": "word",
    "item": "word",
    "policy": "word",
    "prompt": "word",
    "source": "word",
    "said_by": "word",
    "reward": "number",
    "cost_usd": "number",
    "latency_s": "number",
    "chars": "number",
}
"""What can be asked of a call, and what its values are. `source`: how the call came in. `said_by`: who said something about it, such as
`user`, `person` or `person:ann`. `chars`: characters of what was asked."""

_CLAUSE = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(>=|<=|!=|=|>|<)\s*")
_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s|"]+)')
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)
_BARE = re.compile(r"[^\s|\"\\]+")
_COMPARE: dict[Op, Callable[[float, float], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}


class Condition(msgspec.Struct, frozen=True):
    """One clause."""

    field: str
    """What is looked at: a name of FIELDS, `tag.NAME` or `metric.NAME`."""
    op: Op
    """How it is compared."""
    values: tuple[str, ...]
    """With what; alternatives. Times are ISO 8601 with a zone."""

    @property
    def number(self) -> float:
        """The one value, of a condition on a number."""
        return float(self.values[0])

    @property
    def at(self) -> datetime:
        """The one value, of a condition on a time."""
        return datetime.fromisoformat(self.values[0])

    def holds(self, found: str | None) -> bool:
        """Whether a word satisfies it. What is not known equals nothing."""
        return (found in self.values) == (self.op == "=")

    def holds_of(self, found: float | None) -> bool:
        """Whether a number satisfies it; one that is not known satisfies nothing."""
        return found is not None and _COMPARE[self.op](found, self.number)


class Query(msgspec.Struct, frozen=True):
    """Calls to take: all conditions have to hold."""

    conditions: tuple[Condition, ...]
    """In the order in which they were written."""

    @property
    def kind(self) -> Kind:
        """What is made of the calls; `calls` where nothing is said."""
        return next((k for c in self.conditions if c.field == "kind" for k in KINDS if k == c.values[0]), "calls")

    def on(self, field: str) -> tuple[Condition, ...]:
        """The conditions on a field."""
        return tuple(c for c in self.conditions if c.field == field)


class _Place(NamedTuple):
    """A place in a query, for messages."""

    text: str
    """The whole query."""
    at: int
    """Which character, from 0."""

    def error(self, message: str) -> CallerError:
        return CallerError(f"--from, column {self.at + 1} of '{self.text}': {message}")


def parse(text: str, now: datetime) -> Query:
    """The query of a text. Raises CallerError, with the column and the nearest name."""
    conditions: list[Condition] = []
    at = 0
    while True:
        found = _CLAUSE.match(text, at)
        if found is None:
            raise _Place(text, at).error("expected a field, an operator and a value, such as task=triage, reward>=0.9 or since=30d.")
        place = _Place(text, found.start(1))
        field, op = found[1], next(o for o in get_args(Op) if o == found[2])
        values, at = _values(text, found.end())
        conditions.append(_checked(Condition(field, op, values), place, now))
        if not text[at:].strip():
            break
        joined = _AND.match(text, at)
        if joined is None:
            raise _Place(text, at).error("expected 'and', or the end. For one or the other, say --from twice, or a value as a|b.")
        at = joined.end()
    for field in ("kind", "since", "until"):
        if sum(c.field == field for c in conditions) > 1:
            raise _Place(text, 0).error(f"'{field}' stands there twice; keep one of them.")
    return Query(tuple(conditions))


def show(query: Query) -> str:
    """The canonical text of a query: parsing it gives the same one."""
    return " and ".join(f"{c.field}{c.op}{'|'.join(map(_quoted, c.values))}" for c in query.conditions)


def shape_of(field: str) -> Shape | None:
    """What a field's values are; None for a field that there is not."""
    if field.startswith("tag.") and len(field) > 4:
        return "word"
    if field.startswith("metric.") and len(field) > 7:
        return "number"
    return FIELDS.get(field)


def _values(text: str, at: int) -> tuple[tuple[str, ...], int]:
    values: list[str] = []
    while True:
        found = _VALUE.match(text, at)
        if found is None:
            raise _Place(text, at).error('expected a value: a word, or anything in double quotes, such as "two words".')
        values.append(re.sub(r"\\(.)", r"\1", found[1]) if found[1] is not None else found[2])
        at = found.end()
        if text[at : at + 1] != "|":
            return tuple(values), at
        at += 1


def _checked(said: Condition, place: _Place, now: datetime) -> Condition:
    """The condition with its values as they are kept. Raises CallerError."""
    shape = shape_of(said.field)
    if shape is None:
        hint = nearest(said.field, {*FIELDS, "tag.NAME", "metric.NAME"})
        raise place.error(f"'{said.field}' is no field.{hint} A metric is asked for as metric.{said.field}, a tag as tag.{said.field}.")
    if shape != "number" and said.op not in ("=", "!="):
        raise place.error(f"'{said.field}' is no number and cannot be compared by '{said.op}'; expected = or !=.")
    if shape in ("number", "time", "kind") and len(said.values) > 1:
        raise place.error(f"'{said.field}' takes one value, and has {len(said.values)}.")
    if shape in ("time", "kind") and said.op != "=":
        raise place.error(f"'{said.field}' is said by =, not by '{said.op}'.")
    if shape == "number":
        try:
            is_finite = abs(float(said.values[0])) < float("inf")
        except ValueError:
            is_finite = False
        if not is_finite:
            raise place.error(f"'{said.field}' is compared with '{said.values[0]}'; expected a number.")
    choices: tuple[str, ...] = {"kind": KINDS, "outcome": get_args(Outcome)}.get(shape, ())
    for value in said.values:
        if choices and value not in choices:
            raise place.error(f"'{value}' is no {said.field}.{nearest(value, choices)}")
    if shape == "time":
        at = time_of(f"--from {said.field}", said.values[0], now).astimezone(UTC)
        return Condition(said.field, said.op, (at.isoformat(),))
    return said


def _quoted(value: str) -> str:
    return value if _BARE.fullmatch(value) else '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
