"""Limits: how many requests, tokens and at one time. What is beyond waits its turn, each caller's in turn with the others', or is refused.

Requests and tokens are buckets of a minute that fill evenly, kept as the time until which they are filled (the generic cell rate algorithm,
ITU-T I.371). What an answer used is known only afterwards: it enters as estimated, and leaves with the difference.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from freehold.errors import CallerError
from freehold.gateway.shared import REQUESTS, TOKENS, Shared
from freehold.tables import LimitsTable

_BUCKET_S = 60.0
_ROUNDING_S = 1e-6
_LOOK_S = 0.02
"""How often it is looked whether another worker's request has ended."""


class LimitReached(CallerError):
    """There is no room, and waiting for it would take too long."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Pass(msgspec.Struct, frozen=True, gc=False):
    """Leave to go on, to be given back."""

    name: str
    """What is limited."""
    limits: LimitsTable
    """How."""
    tokens: int
    """As it was estimated."""


class _Waiter(NamedTuple):
    wanted: Pass
    until: float
    go: Callable[[Pass], None]
    refuse: Callable[[LimitReached], None]


class Limits:
    """The limits of every model and key. Nothing here blocks: whoever has to wait is called back."""

    def __init__(self, shared: Shared, wait_s: float, most_waiting: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._shared = shared
        self._wait_s = wait_s
        self._most_waiting = most_waiting
        self._clock = clock
        self._lines: dict[str, dict[str, deque[_Waiter]]] = {}
        """By what is limited, the lines of those who wait, by caller; the caller whose turn is next comes first."""
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """When it is, for uvloop's handles forget it before they are run."""

    def enter(
        self,
        name: str,
        limits: LimitsTable,
        tokens: int,
        caller: str,
        go: Callable[[Pass], None],
        refuse: Callable[[LimitReached], None],
    ) -> Callable[[], None] | None:
        """Calls `go`, now or when it is this caller's turn, or `refuse`. Gives how to leave the line, where there is one."""
        wanted = Pass(name, limits, tokens)
        lines = self._lines.get(name)
        wait_s = self._admit(wanted) if lines is None else 0.0
        if wait_s is None:
            go(wanted)
            return None
        if wait_s > self._wait_s or self._waiting >= self._most_waiting:
            refuse(_reached(wanted, max(wait_s, 1.0)))
            return None
        waiter = _Waiter(wanted, self._clock() + self._wait_s, go, refuse)
        self._lines.setdefault(name, {}).setdefault(caller, deque()).append(waiter)
        self._waiting += 1
        self._look_later(wait_s)
        return lambda: self._leave_line(caller, waiter)

    def leave(self, given: Pass, tokens: int | None) -> None:
        """Gives a pass back. `tokens`: what was used; None where nobody knows, and then what was estimated counts."""
        shared, limits = self._shared, given.limits
        if limits.concurrent is None and limits.tokens_per_min is None:
            return
        with shared.locked:
            place = shared.place(given.name)
            if limits.concurrent is not None:
                shared.end(place)
            if limits.tokens_per_min is not None and tokens is not None and tokens != given.tokens:
                more_s = (tokens - given.tokens) * _BUCKET_S / limits.tokens_per_min
                shared.filled[place + TOKENS] = max(shared.filled[place + TOKENS], self._clock()) + more_s
        if self._lines and given.name in self._lines:
            self._look_later(0.0)

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._waiting

    def _admit(self, wanted: Pass) -> float | None:
        """Lets it in and gives None, or gives in how many seconds there may be room."""
        shared, limits, now = self._shared, wanted.limits, self._clock()
        requests, tokens, concurrent = limits.requests_per_min, limits.tokens_per_min, limits.concurrent
        filled, requests_until, tokens_until = shared.filled, now, now
        with shared.locked:
            place = shared.place(wanted.name)
            if concurrent is not None and shared.under_way(place) >= concurrent:
                return _LOOK_S
            if requests is not None:
                requests_until = max(filled[place + REQUESTS], now) + min(1, requests) * _BUCKET_S / requests
            if tokens is not None:
                tokens_until = max(filled[place + TOKENS], now) + min(wanted.tokens, tokens) * _BUCKET_S / tokens
            wait_s = max(requests_until, tokens_until) - now - _BUCKET_S
            if wait_s > _ROUNDING_S:
                return wait_s
            if requests is not None:
                filled[place + REQUESTS] = requests_until
            if tokens is not None:
                filled[place + TOKENS] = tokens_until
            if concurrent is not None:
                shared.begin(place)
        return None

    def _look_later(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + wait_s
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._timer, self._due = loop.call_at(due, self._look), due

    def _look(self) -> None:
        """Lets in whoever has room now, one caller after the other, and refuses who has waited too long."""
        self._timer = None
        soonest = None
        for name in list(self._lines):
            wait_s = self._serve_lines(self._lines[name])
            if wait_s is None:
                del self._lines[name]
            else:
                soonest = wait_s if soonest is None else min(soonest, wait_s)
        if soonest is not None:
            self._look_later(max(0.001, min(soonest, _BUCKET_S)))

    def _serve_lines(self, lines: dict[str, deque[_Waiter]]) -> float | None:
        """In how many seconds it is to be looked again; None where nobody waits any more."""
        now = self._clock()
        while lines:
            caller, line = next(iter(lines.items()))
            waiter = line[0]
            wait_s = self._admit(waiter.wanted)
            if wait_s is not None and now < waiter.until:
                return min(wait_s, min(each[0].until for each in lines.values()) - now)
            line.popleft()
            self._waiting -= 1
            del lines[caller]
            if line:
                lines[caller] = line  # its next request comes after everybody else's turn
            if wait_s is None:
                waiter.go(waiter.wanted)
            else:
                waiter.refuse(_reached(waiter.wanted, max(wait_s, 1.0)))
        return None

    def _leave_line(self, caller: str, waiter: _Waiter) -> None:
        lines = self._lines.get(waiter.wanted.name, {})
        line = lines.get(caller)
        if line is not None and waiter in line:
            line.remove(waiter)
            self._waiting -= 1
            if not line:
                del lines[caller]
            if not lines:
                del self._lines[waiter.wanted.name]


def _reached(wanted: Pass, wait_s: float) -> LimitReached:
    limits = wanted.limits
    said = ", ".join(f"{getattr(limits, name):g} {name}" for name in limits.__struct_fields__ if getattr(limits, name) is not None)
    return LimitReached(f"{wanted.name} has reached its limits ({said}), and there is no room soon; try again in {wait_s:.0f} s", wait_s)
