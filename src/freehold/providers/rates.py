"""What is known of a provider's limits over time: one that it tells with each answer, and one that is learned from what it refuses."""

from math import inf

from freehold.providers.remaining import Gauge

_RESERVE = 0.01
"""The share of a told limit that is not used, for what is counted late."""
_AGREES = 0.15
"""Within which share two sayings of a limit's period are the same."""
_STEADY = 6
"""How far the votes go on how a limit fills, so that they can turn."""

_BACK = 0.07
"""By which share a learned rate falls below what was measured; it rises above it by as much in as many requests again."""
_PLATEAU = 250
"""In how many requests it is back at what was measured."""
_BEYOND = 1.2
"""By which factor it rises from there on in as many."""
_FEW = 10
"""Fewer accepted requests than these measure a rate badly."""
_SLACK_S = 0.1
"""A request that starts late by so much is made up for."""
_MOST_BACKOFF_S = 60.0


class ToldLimit:
    """One limit that is told. It fills evenly, as OpenAI's and Anthropic's do, or all at once; which of the two, its own words show."""

    def __init__(self) -> None:
        self.spent = 0.0
        """All that was spent, as it is counted here."""
        self._limit = inf
        self._period_s = 60.0
        self._left = inf
        self._at = 0.0
        self._full_at = inf
        self._began = 0.0
        self._mark = -1.0
        self._votes = 1

    def wait_s(self, now: float, cost: float) -> float:
        """In how many seconds so much may be spent."""
        if self._limit == inf:
            return 0.0
        self._turn(now)
        fills = self._votes > 0
        level = min(self._limit, self._left + (now - self._at) * self._limit / self._period_s) if fills else self._left
        missing = min(cost, 0.9 * self._limit) + max(1.0, _RESERVE * self._limit) - level
        if missing <= 0 or (cost and self._limit < 2):
            return 0.0
        return missing * self._period_s / self._limit if fills else max(self._full_at - now, 0.01)

    def spend(self, cost: float) -> None:
        """Something starts that costs so much."""
        self.spent += cost
        self._left -= cost

    def correct(self, more: float) -> None:
        """Something that ended has cost so much more than was thought."""
        self.spent += more
        self._left -= more

    def told(self, gauge: Gauge, now: float, started_at: float, spent_before: float) -> None:
        """Takes what an answer says, of a request that started then, when so much had been spent, itself included."""
        limit = gauge.limit or (self._limit if self._limit < inf else None)
        if limit is None or spent_before <= self._mark or started_at < self._began:
            return
        self._mark = spent_before
        if gauge.period_s is not None and self._limit == inf:
            self._period_s = gauge.period_s
        if gauge.full_in_s is not None:
            self._learn_how_it_fills(gauge, limit, now)
        self._limit = limit
        self._left = gauge.left - (self.spent - spent_before)
        self._at = started_at

    def _learn_how_it_fills(self, gauge: Gauge, limit: float, now: float) -> None:
        """A bucket that fills evenly says a time that grows with what is missing; one that fills at once says a time that runs down."""
        full_in_s, gone = gauge.full_in_s or 0.0, limit - gauge.left
        if full_in_s > 1.0 and gone > 0.02 * limit:
            period_s = full_in_s * limit / gone
            agrees = abs(period_s - self._period_s) <= _AGREES * self._period_s
            self._votes = min(_STEADY, self._votes + 1) if agrees else max(-_STEADY, self._votes - 1)
            if self._votes >= 0 and not agrees:
                self._period_s = period_s
        full_at = now + full_in_s
        self._full_at = min(self._full_at, full_at) if now < self._full_at < full_at + 10 else full_at

    def _turn(self, now: float) -> None:
        """A limit that fills at once is full when its time has come."""
        if self._votes <= 0 and now >= self._full_at:
            self._left, self._at, self._began = self._limit, now, self._full_at
            self._full_at = inf if self._full_at == inf else self._full_at + 60.0


class LearnedRate:
    """Requests a second that a provider takes, learned from what it refuses: what it took between two refusals is what it takes.

    After a refusal the rate falls a little below that, comes back to it slowly, stays about there, and then rises faster and faster until
    the next refusal (first on the curve of CUBIC, RFC 9438, over requests in place of time; then exponentially).
    """

    def __init__(self) -> None:
        self.per_s = inf
        """The rate now; infinite while nothing was refused."""
        self._measured = inf
        self._since = 0
        self._next_at = 0.0
        self._is_binding = False
        self._backoff_s = 0.0

    def wait_s(self, now: float) -> float:
        """In how many seconds the next request may start."""
        if self.per_s == inf:
            return 0.0
        wait_s = self._next_at - now
        if wait_s > 0:
            self._is_binding = True
            return wait_s
        return 0.0

    def started(self, now: float) -> None:
        """A request starts."""
        if self.per_s < inf:
            self._next_at = max(self._next_at, now - _SLACK_S) + 1 / self.per_s

    def accepted(self) -> None:
        """A request was not refused."""
        if self._is_binding and self.per_s < inf:
            self._since += 1
            way = self._since / _PLATEAU - 1
            self.per_s = self._measured * (1 + _BACK * way**3 if way < 1 else (1 + _BACK) * _BEYOND ** (way - 1))

    def refused(self, accepted: int, over_s: float, mean_per_s: float) -> float:
        """Takes that a request was refused when so many had been accepted in so many seconds since the last that was.

        `mean_per_s`: of all that was sent so far, by which to begin where that is too few. Gives the seconds for which nothing should start,
        where the provider says none.
        """
        if accepted < _FEW or over_s <= 0:
            if self.per_s == inf:
                self.per_s = self._measured = mean_per_s / 2
            usual_s = min(1.0, 10 / self.per_s)
            self._backoff_s = min(_MOST_BACKOFF_S, max(2 * self._backoff_s, usual_s))
            return self._backoff_s
        rate = accepted / over_s
        self._measured = rate if self.per_s == inf else min(max(rate, 0.5 * self.per_s), 1.2 * self.per_s)
        self.per_s, self._since, self._is_binding = self._measured * (1 - _BACK), 0, False
        self._backoff_s = min(1.0, 10 / self.per_s)
        return self._backoff_s

    def forget(self) -> None:
        """It was no rate that was exceeded."""
        self.per_s = self._measured = inf
        self._next_at = 0.0
