"""A Python function with a decorator is a scorer."""

import inspect
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Final, Generic, Literal, NamedTuple, ParamSpec, TypeVar, overload

from freehold.catalog import Metric
from freehold.errors import CallerError, FreeholdError
from freehold.evaluation.plain import checked, lacks
from freehold.evaluation.scorer import Case, Score
from freehold.variants.functions import DEADLINE_S, called

P = ParamSpec("P")
R = TypeVar("R")
_TOLD: Final = ("output", "truth", "input", "sources", "item", "call", "case")


class FunctionScorer(Generic[P, R]):
    """A function of a case that gives a score: a number, true or false, a `Score`, or None where it has none. It may be called as it is."""

    def __init__(self, function: Callable[P, R], metric: Metric, deadline_s: float) -> None:
        self.metric = metric
        self._function = function
        self._deadline_s = deadline_s
        self._told, self.needs_truth = _parameters(function, metric.id)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._function(*args, **kwargs)

    async def score(self, case: Case) -> Score:
        """As of `Scorer`. The function runs in a thread of its own, within its deadline."""
        if (why := lacks(case, self.needs_truth)) is not None:
            return Score(None, why)
        told = {name: case if name == "case" else getattr(case, name) for name in self._told}
        try:
            given = await called(self._function, told, self._deadline_s)
        except FreeholdError as error:
            return Score(None, str(error)[:300])
        return checked(self.metric, _read(given))


class _Named(NamedTuple):
    """What the decorator is given."""

    name: str | None
    kind: Literal["binary", "bounded"]
    better: Literal["higher", "lower"]
    range: tuple[float, float]
    deadline_s: float

    def __call__(self, function: Callable[P, R]) -> FunctionScorer[P, R]:
        name = self.name if self.name is not None else str(getattr(function, "__name__", ""))
        return FunctionScorer(function, Metric(id=name, kind=self.kind, better=self.better, range=self.range), self.deadline_s)


@overload
def scorer(function: Callable[P, R], /) -> FunctionScorer[P, R]: ...
@overload
def scorer(
    *,
    name: str | None = None,
    kind: Literal["binary", "bounded"] = "bounded",
    better: Literal["higher", "lower"] = "higher",
    range: tuple[float, float] = (0.0, 1.0),
    deadline_s: float = DEADLINE_S,
) -> _Named: ...
def scorer(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    kind: Literal["binary", "bounded"] = "bounded",
    better: Literal["higher", "lower"] = "higher",
    range: tuple[float, float] = (0.0, 1.0),
    deadline_s: float = DEADLINE_S,
) -> Any:
    """Makes a function a scorer, found by its name. What it is told of a case are its parameters: any of output, truth, input, sources, item, call
    and case. One that takes `truth` without a default has no score where nobody knows the right answer.

    Raises CallerError for a parameter that it cannot be told.
    """
    named = _Named(name, kind, better, range, deadline_s)
    return named if function is None else named(function)


def _parameters(function: Callable[..., Any], name: str) -> tuple[tuple[str, ...], bool]:
    """What a function is to be told, and whether it needs the right answer. Raises CallerError."""
    wanted = inspect.signature(function).parameters.values()
    for one in wanted:
        if one.name not in _TOLD or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY):
            raise CallerError(f"scorer '{name}' takes '{one.name}'; it is told what its parameters say, any of {', '.join(_TOLD)}")
    return tuple(one.name for one in wanted), any(one.name == "truth" and one.default is one.empty for one in wanted)


def _read(given: object) -> Score:
    if isinstance(given, Score):
        return given
    if given is None:
        return Score(None, "it gave none")
    if isinstance(given, bool | int | float) and abs(given) < 1e300:
        return Score(float(given))
    return Score(None, f"it gave {given!r:.80}; expected a number, true or false, a Score, or None")
