"""Requests of a batch wait here for their turn, each model's in a line of its own, at the pace that its provider takes."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from freehold.providers.pace import Ending, Pace, Ticket
from freehold.providers.remaining import remaining_of
from freehold.providers.transport import Headers

LONG_PAUSE_S = 20.0
"""A pause of which people are told."""
_log = logging.getLogger("freehold.serve")


class Turn(NamedTuple):
    """Leave to ask a model, to be given back."""

    lines: "Pacing"
    """Where it is given back."""
    model: str
    """Whose line it is."""
    ticket: Ticket
    """What its pace counts by."""


class _Waiting(NamedTuple):
    tokens: float
    go: Callable[[Turn], None]


class _Line:
    """Who waits for one model."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.waiting: deque[_Waiting] = deque()
        self.timer: asyncio.TimerHandle | None = None


class Pacing:
    """The lines of all models; on one event loop."""

    def __init__(self, most: int | None = None) -> None:
        """`most`: requests under way at one time to one model, which then is a fixed number and not found out; None to find it out."""
        self._most = most
        self._lines: dict[str, _Line] = {}

    def window(self) -> int:
        """How many requests may be under way at one time, to all models together."""
        return sum(line.pace.window for line in self._lines.values())

    def pause_s(self) -> float:
        """How long the provider that is left alone longest is so still, of those for which anybody waits."""
        return max((line.pace.pause_s(self._now()) for line in self._lines.values() if line.waiting), default=0.0)

    def enter(self, model: str, tokens: float, go: Callable[[Turn], None]) -> Callable[[], None] | None:
        """Calls `go` when a request of about so many tokens may be sent: at once, and then gives None, or later. Gives how to leave the line."""
        line = self._lines.get(model)
        if line is None:
            line = self._lines[model] = _Line(Pace() if self._most is None else Pace(self._most, self._most))
        waiting = _Waiting(tokens, go)
        line.waiting.append(waiting)
        if len(line.waiting) == 1:
            self._go_on(model, line)
        if waiting not in line.waiting:
            return None

        def leave() -> None:
            if waiting in line.waiting:
                line.waiting.remove(waiting)

        return leave

    def over(
        self,
        turn: Turn,
        ending: Ending,
        tokens: float | None = None,
        retry_after_s: float | None = None,
        headers: Headers = (),
        at: float = 0.0,
    ) -> None:
        """A request has ended. `headers`: of its answer, come at `at`, in seconds since 1970."""
        line = self._lines[turn.model]
        told = remaining_of(headers, at) if headers else None
        before = line.pace.pause_s(self._now())
        line.pace.ended(self._now(), turn.ticket, ending, tokens, retry_after_s, told)
        if before < LONG_PAUSE_S <= (after := line.pace.pause_s(self._now())):
            _log.warning("pace.paused: '%s' is left alone for %.0f s, because its provider asks for that", turn.model, after)
        self._go_on(turn.model, line)

    def _go_on(self, model: str, line: _Line) -> None:
        """Lets those go who may, and comes again when the next one may."""
        while line.waiting:
            first = line.waiting[0]
            now = self._now()
            wait_s = line.pace.wait_s(now, first.tokens)
            if wait_s > 0:
                if wait_s < inf and (line.timer is None or line.timer.when() > now + wait_s or line.timer.when() <= now):
                    if line.timer is not None:
                        line.timer.cancel()
                    line.timer = asyncio.get_running_loop().call_later(wait_s, self._due, model, line)
                return
            line.waiting.popleft()
            first.go(Turn(self, model, line.pace.started(now, first.tokens)))

    def _due(self, model: str, line: _Line) -> None:
        line.timer = None
        self._go_on(model, line)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
