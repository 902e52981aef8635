"""The nouns of a policy program: rules, actions, conditions and the facts they name. Equality is meaning: places do not count."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from freehold.routing.tokens import KEYWORDS, Place, is_word

ScoreField = Literal["predicted_loss", "predicted_cost", "predicted_latency_s"]
Comparator = Literal["==", "!=", "<", "<=", ">", ">="]
SCORE_FIELDS: tuple[ScoreField, ...] = get_args(ScoreField)
COMPARATORS: tuple[Comparator, ...] = get_args(Comparator)

Places = tuple[Place, ...]
"""Where the names and literals of a node stand, in the order of its fields; empty on a node that code has built."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A name that stands alone: `chars`, `region`, `task`; in `where` also the candidate's `predicted_loss`; in `accept`, `confidence`."""

    name: str

    def __post_init__(self) -> None:
        assert is_fact_name(self.name), self.name


@dataclass(frozen=True, slots=True)
class Tag:
    """`tag.<key>`: what the caller said about the call."""

    key: str


@dataclass(frozen=True, slots=True)
class Score:
    """`<variant>.predicted_loss` and its like: what a variant is expected to do on this call."""

    variant: str
    field: ScoreField


Operand = Fact | Tag | Score
Value = float | str | bool


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right`; the left side is always a name."""

    left: Operand
    op: Comparator
    right: Operand | Value
    places: Places = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        assert not isinstance(self.right, float | int) or math.isfinite(self.right), self.right


@dataclass(frozen=True, slots=True)
class In:
    """`left in (value, …)`: equal to one of them."""

    left: Operand
    values: tuple[float | str, ...]
    """All numbers or all texts."""
    places: Places = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        assert self.values
        assert all(isinstance(value, str) for value in self.values) or all(map(_is_finite, self.values)), self.values


@dataclass(frozen=True, slots=True)
class Contains:
    """`left contains "text"`: upper and lower case differ."""

    left: Operand
    text: str
    places: Places = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Constant:
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Not:
    part: "Condition"


@dataclass(frozen=True, slots=True)
class And:
    """Two parts or more. `a and (b and c)` is `a and b and c`: an `And` directly inside is taken apart."""

    parts: tuple["Condition", ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _flat(And, self.parts))


@dataclass(frozen=True, slots=True)
class Or:
    """Two parts or more, flat as in `And`."""

    parts: tuple["Condition", ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _flat(Or, self.parts))


Condition = Compare | In | Contains | Constant | Not | And | Or


@dataclass(frozen=True, slots=True)
class Use:
    """Ask this variant."""

    variant: str
    places: Places = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class UseCheapest:
    """Ask the candidate with the lowest predicted cost among those that satisfy `where`."""

    variants: tuple[str, ...]
    where: Condition | None = None
    places: Places = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        assert self.variants


@dataclass(frozen=True, slots=True)
class Try:
    """Ask `variant`; if its answer does not satisfy `accept`, go on with `then`."""

    variant: str
    accept: Condition
    then: "Action"
    places: Places = field(default=(), compare=False, repr=False)


Action = Use | UseCheapest | Try


@dataclass(frozen=True, slots=True)
class Rule:
    """`when condition action`, or `otherwise action` where the condition is None."""

    condition: Condition | None
    action: Action
    line: int = field(default=0, compare=False)
    """Where it begins in the source it was read from, 1-based; 0 on a rule that code has built."""


@dataclass(frozen=True, slots=True)
class Program:
    """A task's rules; the first that holds and yields a variant wins."""

    task: str
    rules: tuple[Rule, ...]
    places: Places = field(default=(), compare=False, repr=False)


def is_fact_name(name: str) -> bool:
    """`name` may stand alone in a condition: letters, digits and `_`, and no keyword but `task`."""
    return name.isascii() and name.isidentifier() and (name not in KEYWORDS or name == "task")


def score_of(word: str) -> Score | None:
    """`word` as a variant's score: whatever stands before the last dot is the variant, so `gpt-4.1.predicted_loss` needs no quotes."""
    variant, _, last = word.rpartition(".")
    for name in SCORE_FIELDS:
        if name == last and variant and is_word(variant):
            return Score(variant, name)
    return None


def walk(node: Condition | Action | None) -> Iterator[Condition | Action]:
    """`node` and everything inside it, outermost first, in the order it is written."""
    if node is None:
        return
    yield node
    match node:
        case Not(part):
            yield from walk(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from walk(part)
        case UseCheapest(where=where):
            yield from walk(where)
        case Try(accept=accept, then=then):
            yield from walk(accept)
            yield from walk(then)
        case _:
            pass


def operands(node: Condition | Action) -> tuple[Operand, ...]:
    """What a comparison compares that is no constant, in the order it is written; nothing for what is no comparison."""
    match node:
        case Compare(left, _, right):
            return (left, right) if isinstance(right, Operand) else (left,)
        case In(left, _) | Contains(left, _):
            return (left,)
        case _:
            return ()


def _is_finite(value: float | str) -> bool:
    return not isinstance(value, str) and math.isfinite(value)


def _flat(kind: type[And] | type[Or], parts: tuple[Condition, ...]) -> tuple[Condition, ...]:
    assert len(parts) >= 2
    # What lies inside was made flat when it was born, so one level is enough.
    return tuple(inner for part in parts for inner in (part.parts if isinstance(part, kind) else (part,)))
