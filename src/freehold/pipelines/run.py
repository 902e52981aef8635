"""A run of a program: its episode, whether somebody wants it to stop, and the steps it has come through before."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias
from uuid import uuid4

import msgspec

from freehold.errors import CallerError
from freehold.journal.call import Call
from freehold.pipelines.failure import Cancelled

RunKind: TypeAlias = Literal["pipeline", "batch", "stream", "plan"]
MOST_DEEP = 64
"""How deep pipelines may call each other."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a run is."""

    done: int = 0
    """Calls of a pipeline, rows of a batch, goals of a plan that have ended."""
    failed: int = 0
    """Those of them that failed."""
    total: int | None = None
    """How many there are; None where nobody knows."""
    cost_usd: float | None = 0.0
    """What it cost; None where that is unknown."""
    host: str = ""
    """The machine it runs on."""
    pid: int = 0
    """Its process there."""
    why: str = ""
    """What it ended with."""


class CircularPipeline(CallerError):
    """A pipeline calls itself with what it was called with, or pipelines call each other without end."""


class Steps:
    """What the journal has of an episode that was broken off: steps that are not asked again."""

    def __init__(self, calls: Iterable[Call] = ()) -> None:
        """`calls`: the episode's, in the order in which they were made."""
        self._known: dict[tuple[str, str], deque[Call]] = {}
        for call in calls:
            if call.task is not None and call.outcome == "answered" and call.output is not None:
                self._known.setdefault((call.task, call.item), deque()).append(call)

    def take(self, task: str, item: str) -> Call | None:
        """The answer to a question of a task, each once, in their order; None where it has still to be asked."""
        known = self._known.get((task, item))
        return known.popleft() if known else None


class Run:
    """One run, for as long as it lasts."""

    def __init__(self, kind: RunKind, name: str, id: str | None = None, steps: Steps | None = None) -> None:
        self.kind: RunKind = kind
        self.name = name
        self.id = id or uuid4().hex
        """Its episode, too."""
        self.steps = steps or Steps()
        self.calls = 0
        """Answers so far."""
        self.cost_usd: float | None = 0.0
        """What they cost; None once that of any is unknown."""
        self.is_cancelled = False
        self._stops: set[Callable[[], None]] = set()

    def check(self) -> None:
        """Raises Cancelled where somebody stopped it."""
        if self.is_cancelled:
            raise Cancelled(f"Run {self.id} of '{self.name}' was cancelled; what was done before is in the journal.", episode=self.id)

    def cancel(self) -> None:
        """Somebody wants it to stop: what is under way is broken off, and nothing more begins."""
        self.is_cancelled = True
        for stop in list(self._stops):
            stop()

    def under_way(self, stop: Callable[[], None]) -> None:
        """A step has begun that `stop` breaks off."""
        self._stops.add(stop)

    def over(self, stop: Callable[[], None]) -> None:
        """That step has ended."""
        self._stops.discard(stop)

    def count(self, call: Call) -> None:
        """A step has its answer."""
        self.calls += 1
        self.cost_usd = None if self.cost_usd is None or call.cost_usd is None else self.cost_usd + call.cost_usd

    def progress(self) -> Progress:
        """How far it is."""
        return Progress(done=self.calls, cost_usd=self.cost_usd)
