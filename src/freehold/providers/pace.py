"""When the next request may start: as many as a provider takes, and few more, so that hardly one is refused.

Nothing is known of its limits at first. The window of requests under way doubles until something tells where the end is: headers that say
what is left, a refusal, or answers that take much longer. A refusal is the fault of the window where nothing was accepted with as many under
way, and else of the rate. Pure: whoever calls says what time it is, in seconds of one clock.
"""

from collections import deque
from math import inf, sqrt
from typing import Literal, NamedTuple, TypeAlias

from freehold.providers.rates import LearnedRate, ToldLimit
from freehold.providers.remaining import Remaining

Ending: TypeAlias = Literal["answered", "limited", "failed", "cancelled"]
"""How a request ended: with an answer (whatever it says), refused for a limit (429), with the provider's fault, or by us."""

MOST = 512
"""Requests under way at one time, at most."""
FIRST = 8
"""With how many it begins."""
_SLOW = 2.5
"""By which factor answers may take longer than with little under way before the window shrinks."""
_SLOWER = 1.6
"""By which factor they may before the window no longer doubles."""
_ROUND = 16
"""Answers of which a latency is taken, at least."""
_HELD = 400
"""Answers after which one more is tried than was refused."""
_RECENT = 256
_SOON = 20
"""A refusal after fewer accepted requests than these follows at once."""
_FEW = 8
"""Fewer requests than these show nothing."""
_OUTLIERS = 0.05
"""The share that may have been accepted with as many under way as were refused: what ends there is heard of here a little later."""
_BRIEFLY_S = 0.1
_MOST_PROBE_S = 1.0
MOST_PAUSE_S = 300.0
"""How long a provider is left alone that asks for that, at most: one that says hours is asked again, and what it says then is heard of."""
_FAULTS = 0.5
"""The share of faults from which the window shrinks."""


class Ticket(NamedTuple):
    """A request under way, to be handed back when it has ended."""

    at: float
    """When it started."""
    tokens: float
    """What it was thought to use, as it was counted."""
    number: int
    """The how manieth it is, from 1."""
    spent: float
    """The tokens spent by then, its own included."""
    under_way: int
    """How many were under way, itself included."""


class Pace:
    """The pace of one model's requests."""

    def __init__(self, most: int = MOST, first: int = FIRST) -> None:
        """`most`: requests under way at one time, at most; `first`: with how many it begins."""
        self.under_way = 0
        """How many requests have started and not ended."""
        self._most = most
        self._window = float(min(first, most))
        self._doubles = True
        self._is_full = False
        self._ceiling = inf
        """What the window stays below; infinite where no window was refused."""
        self._blamed_at = 0
        """How many were under way when the window was refused last."""
        self._held = 0
        self._step = 1
        self._count = 0
        self._pause_until = -inf
        self._requests, self._tokens, self._rate = ToldLimit(), ToldLimit(), LearnedRate()
        self._ratio = 1.0
        """Tokens that are used for each that was thought."""
        self._recent: deque[int] = deque(maxlen=_RECENT)
        """With how many under way the last requests started that were accepted since a refusal."""
        self._slowed_at = -inf
        self._marked_at, self._marked_count, self._marked_refused = 0.0, 0, 0
        self._open: dict[int, int] = {}
        """Those under way, by number, with how many were when they started."""
        self._blamed: Literal["", "window", "rate"] = ""
        """What the last refusal was put down to."""
        self._began_at = self._refusal_s = 0.0
        self._probes = False
        self._window_before = self._window
        self._round_s, self._round_count, self._round_size, self._usual_s = 0.0, 0, _ROUND, inf
        self._slow = (0.0, 0.0)
        """The window and the latency when answers began to take long."""
        self._faults = 0.0

    @property
    def window(self) -> int:
        """How many may be under way at one time."""
        return int(self._window)

    @property
    def per_s(self) -> float:
        """The requests a second that were learned to be taken; infinite where none were refused for that."""
        return self._rate.per_s

    def wait_s(self, now: float, tokens: float = 0.0) -> float:
        """In how many seconds a request of about so many tokens may start: 0 for now, infinite for when another has ended."""
        if self.under_way >= int(self._window):
            self._is_full = True
            return inf
        wait_s = max(self._pause_until - now, self._rate.wait_s(now))
        wait_s = max(wait_s, self._requests.wait_s(now, 1.0), self._tokens.wait_s(now, tokens * self._ratio))
        return wait_s if wait_s > 1e-9 else 0.0

    def pause_s(self, now: float) -> float:
        """How much longer nothing is sent, because the provider said so or refused something."""
        return max(0.0, self._pause_until - now)

    def started(self, now: float, tokens: float = 0.0) -> Ticket:
        """Counts a request that starts."""
        cost = tokens * self._ratio
        if not self._count:
            self._began_at = self._marked_at = now
        if self._probes:  # the first after a refusal; the others wait for as long as it takes to hear that it is refused
            self._probes = False
            self._pause_until = now + min(_MOST_PROBE_S, 2 * self._refusal_s)
        self._count += 1
        self.under_way += 1
        self._rate.started(now)
        self._requests.spend(1.0)
        self._tokens.spend(cost)
        self._open[self._count] = self.under_way
        return Ticket(now, cost, self._count, self._tokens.spent, self.under_way)

    def ended(
        self,
        now: float,
        ticket: Ticket,
        ending: Ending,
        tokens: float | None = None,
        retry_after_s: float | None = None,
        told: Remaining | None = None,
    ) -> None:
        """Learns from a request that has ended. `tokens`: what it used, where that is known; `told`: what its headers say."""
        self.under_way -= 1
        del self._open[ticket.number]
        if told is not None:
            if told.requests is not None:
                self._requests.told(told.requests, now, ticket.at, float(ticket.number))
            if told.tokens is not None:
                self._tokens.told(told.tokens, now, ticket.at, ticket.spent)
        if retry_after_s is not None and ending != "answered":
            self._pause_until = max(self._pause_until, now + min(retry_after_s, MOST_PAUSE_S))
        if ending == "answered":
            self._answered(now, ticket, tokens)
        elif ending == "limited":
            self._tokens.correct(-ticket.tokens)
            self._refused(now, ticket, retry_after_s, told)
        elif ending == "failed":
            self._faults += 0.05 * (1 - self._faults)
            if self._faults > _FAULTS and ticket.at > self._slowed_at:
                self._slowed_at = now
                self._shrink(0.7 * self._window)

    def _answered(self, now: float, ticket: Ticket, tokens: float | None) -> None:
        if tokens is not None and ticket.tokens:
            self._tokens.correct(tokens - ticket.tokens)
            self._ratio += 0.02 * (tokens / ticket.tokens - 1) * self._ratio
        self._faults *= 0.95
        self._rate.accepted()
        if ticket.at >= self._slowed_at:
            self._recent.append(ticket.under_way)
        self._round_s += now - ticket.at
        self._round_count += 1
        if self._is_full:
            self._grow()
        if self._round_count >= self._round_size:
            self._end_round()

    def _grow(self) -> None:
        if self._window + 1 < self._ceiling:
            if self._doubles:
                self._widen(1)
        else:
            self._held += 1
            if self._held >= (_HELD if self._step == 1 else 2 * self._window):
                self._ceiling += self._step
                self._widen(self._step)
                self._step, self._held = 2 * self._step, 0

    def _widen(self, by: float) -> None:
        self._window = min(self._window + by, self._most, max(self._ceiling - 1, 1))

    def _shrink(self, to: float) -> None:
        self._window, self._doubles = max(1.0, to), False

    def _end_round(self) -> None:
        """Compares how long answers take with how long they took."""
        mean_s = self._round_s / self._round_count
        self._usual_s = min(self._usual_s, mean_s)
        if self._is_full:
            self._doubles = self._doubles and mean_s < _SLOWER * self._usual_s
            if mean_s > _SLOW * self._usual_s:
                self._slow_down(mean_s)
            elif not self._doubles and mean_s < 0.8 * _SLOW * self._usual_s:
                self._widen(max(1.0, sqrt(self._window) / 2))
        self._round_s, self._round_count, self._round_size, self._is_full = 0.0, 0, max(_ROUND, self.window), False

    def _slow_down(self, mean_s: float) -> None:
        """Answers take long: fewer at one time, unless that has not helped, for then it is how long they take by now."""
        window, before_s = self._slow
        if not window or mean_s > before_s or mean_s < 0.8 * before_s:
            self._slow = (self._window, mean_s)
        elif self._window < 0.5 * window:
            self._slow, self._usual_s = (0.0, 0.0), mean_s
            return
        self._shrink(0.85 * self._window)

    def _refused(self, now: float, ticket: Ticket, retry_after_s: float | None, told: Remaining | None) -> None:
        if told is not None and _explains(told, ticket) and (self._requests.wait_s(now, 1.0) or self._tokens.wait_s(now, ticket.tokens)):
            return
        if ticket.number > self._marked_count:
            self._marked_refused += 1
        if ticket.at < self._slowed_at:  # it started before the last refusal had come in
            if ticket.under_way < self._ceiling < inf:
                self._blame_window(ticket.under_way)
            return
        # What started later may be refused as well, and has not come back yet.
        accepted, over_s = ticket.number - self._marked_count - self._marked_refused, ticket.at - self._marked_at
        cause = self._cause(ticket, accepted)
        self._slowed_at, self._marked_at = now, ticket.at
        self._marked_count, self._marked_refused = ticket.number, 0
        self._recent.clear()
        pause_s = min(_BRIEFLY_S, 1 / self._window)
        if cause == "window":
            if self._blamed == "window":
                self._rate.forget()
            else:
                self._window_before = self._window
            self._blame_window(ticket.under_way)
        elif self._blamed == "window":
            self._window, self._ceiling = max(self._window, self._window_before), inf
        if cause == "rate" or self._rate.per_s < inf:
            pause_s = self._rate.refused(accepted, over_s, self._count / max(now - self._began_at, 1.0))
            self._refusal_s, self._probes = now - ticket.at, True
        self._blamed = cause
        if retry_after_s is None:
            self._pause_until = max(self._pause_until, now + pause_s)

    def _cause(self, ticket: Ticket, accepted: int) -> Literal["window", "rate"]:
        """Why a request was refused, the first since `accepted` others.

        With fewer under way than were refused, nothing is refused for the window; and what was accepted with as many shows that it is not.
        """
        if self._blamed == "window" and (accepted < max(_SOON, self._window) or ticket.under_way < self._blamed_at):
            return "rate"
        seen = [*self._recent, *(n for number, n in self._open.items() if self._marked_count < number < ticket.number)]
        if len(seen) < _FEW and self._blamed == "rate":
            return "rate"
        above = sum(under_way >= ticket.under_way for under_way in seen)
        return "rate" if above > _OUTLIERS * len(seen) or ticket.under_way == 1 else "window"

    def _blame_window(self, under_way: int) -> None:
        self._ceiling, self._blamed_at, self._held, self._step = float(under_way), under_way, 0, 1
        self._shrink(min(self._window, under_way - 1))


def _explains(told: Remaining, ticket: Ticket) -> bool:
    """Whether what is told says that there was no room for this request, and when there will be."""
    costs = ((told.requests, 1.0), (told.tokens, max(ticket.tokens, 1.0)))
    return any(gauge is not None and gauge.full_in_s is not None and gauge.left < cost for gauge, cost in costs)
