"""A run of a program: its episode, whether somebody wants it to stop, and the steps it has come through before."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal, TypeAlias
from uuid import uuid4

import msgspec

from freehold.errors import CallerError
from freehold.journal.call import Call
from freehold.journal.read import Spent
from freehold.journal.rows import digest_of
from freehold.pipelines.failure import Cancelled
from freehold.providers.batches import BatchTicket

RunKind: TypeAlias = Literal["pipeline", "batch", "stream", "plan"]
MOST_DEEP = 64
"""How deep pipelines may call each other."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a run is."""

    done: int = 0
    """Calls of a pipeline, rows of a batch, goals of a plan that have ended well."""
    failed: int = 0
    """Those that failed."""
    total: int | None = None
    """How many there are; None where nobody knows."""
    cost_usd: float | None = 0.0
    """What it cost; None where that is unknown."""
    known_usd: float = 0.0
    """What it cost at least: that of the calls of which it is known. Of one that was broken off nobody knows it."""
    host: str = ""
    """The machine it runs on."""
    pid: int = 0
    """Its process there."""
    why: str = ""
    """What it ended with."""
    what: str = ""
    """What it wrote, as JSON, so that it is known again."""
    tickets: tuple[BatchTicket, ...] = ()
    """What was handed to providers as batches, and has not all come back."""
    pause_s: float = 0.0
    """How long a batch waits still because a provider asks to be left alone."""
    under_way: int = 0
    """Items of a stream that were read and are not finished."""
    waiting: int | None = None
    """About how many items of a stream are there to be read; None where nobody knows."""
    lag_s: float | None = None
    """How long ago the oldest item of a stream was read that is not finished; None where there is none."""
    with_people: int = 0
    """Rows of a batch that wait for a person."""


def spent_before(spent: Spent) -> Progress:
    """How far a run is at its beginning that goes on, of which earlier ones cost so much."""
    return Progress(cost_usd=spent.known_usd if spent.is_all else None, known_usd=spent.known_usd)


class CircularPipeline(CallerError):
    """A pipeline calls itself with what it was called with, or pipelines call each other without end."""


class Steps:
    """What the journal has of an episode that was broken off: steps that are not asked again."""

    def __init__(self, calls: Iterable[Call] = ()) -> None:
        """`calls`: the episode's, in the order in which they were made."""
        self._known: dict[tuple[str, str], deque[Call]] = {}
        for call in calls:
            is_whole = call.output is not None and digest_of(call.output) == call.output_digest  # and nothing of it was redacted
            if call.task is not None and call.outcome == "answered" and is_whole:
                self._known.setdefault((call.task, call.item), deque()).append(call)

    def take(self, task: str, item: str) -> Call | None:
        """The answer to a question of a task, each once, in their order; None where it has still to be asked."""
        known = self._known.get((task, item))
        return known.popleft() if known else None


class Run:
    """One run, for as long as it lasts."""

    def __init__(self, kind: RunKind, name: str, id: str | None = None, steps: Steps | None = None, part_of: "Run | None" = None) -> None:
        """`part_of`: the run whose part it is, such as the batch of a row; what is said to that one holds here as well. A part of the same id is
        a part of the same episode."""
        self.kind: RunKind = kind
        self.name = name
        self.id = id or uuid4().hex
        """Its episode, too."""
        inherited = part_of.steps if part_of is not None and part_of.id == self.id else Steps()
        self.steps: Steps = inherited if steps is None else steps
        self.part_of = part_of
        self.progress = Progress()
        """How far it is."""
        self.waits: Callable[[bool], None] | None = None if part_of is None else part_of.waits
        """Told when a step begins to wait for a person, and when that is over, where it is left waiting when the run is broken off; None where the
        question is withdrawn then."""
        self._is_cancelled = False
        self._stops: set[Callable[[], None]] = set()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody wants it to stop."""
        return self._is_cancelled or (self.part_of is not None and self.part_of.is_cancelled)

    def check(self) -> None:
        """Raises Cancelled where somebody wants it to stop."""
        if self.is_cancelled:
            raise Cancelled(self.why_cancelled, episode=self.id)

    @property
    def why_cancelled(self) -> str:
        """What a step says that was broken off with it."""
        return f"Run {self.id} of '{self.name}' was cancelled; what was done before is in the journal."

    def cancel(self) -> None:
        """Somebody wants it to stop: what is under way is broken off, and nothing more begins."""
        self._is_cancelled = True
        for stop in list(self._stops):
            stop()

    def under_way(self, stop: Callable[[], None]) -> None:
        """A step has begun that `stop` breaks off."""
        self._stops.add(stop)
        if self.part_of is not None:
            self.part_of.under_way(stop)

    @property
    def has_under_way(self) -> bool:
        """Whether any step has begun and not ended."""
        return bool(self._stops)

    def over(self, stop: Callable[[], None]) -> None:
        """That step has ended."""
        self._stops.discard(stop)
        if self.part_of is not None:
            self.part_of.over(stop)

    def count(self, call: Call) -> None:
        """A step has its answer, or has failed at a price."""
        self.note(done=1, cost_usd=call.cost_usd)

    def note(self, done: int = 0, failed: int = 0, cost_usd: float | None = 0.0) -> None:
        """Goes on counting. What it costs is what those cost of which it is a part."""
        now = self.progress
        cost = None if now.cost_usd is None or cost_usd is None else now.cost_usd + cost_usd
        self.progress = msgspec.structs.replace(
            now, done=now.done + done, failed=now.failed + failed, cost_usd=cost, known_usd=now.known_usd + (cost_usd or 0.0)
        )
        if self.part_of is not None and cost_usd != 0.0:
            self.part_of.note(cost_usd=cost_usd)
