"""How far a run is, how fast it goes, what it costs and when it ends, from counts alone."""

from math import exp
from typing import NamedTuple

_MEMORY_S = 30.0
"""After so many seconds what was counts a third."""


class Estimate(NamedTuple):
    """A run at one moment."""

    done: int
    """Rows that have ended, failed ones included."""
    total: int | None
    """All rows; None where nobody knows."""
    failed: int
    """Those of `done` without an answer."""
    cost_usd: float | None
    """What they cost; None where that is unknown."""
    rate_per_s: float | None
    """Rows that end in a second; None before the first."""
    left_s: float | None
    """Seconds that are left at this rate; None where the rate or the total is unknown."""
    cost_in_all_usd: float | None
    """What all rows will cost at what each has cost so far; None where that is unknown."""


class Progress:
    """Turns counts into estimates, with a rate that forgets. Rows that were done before this run, at no time and no cost, are told at its start."""

    def __init__(self, now: float, total: int | None, done_before: int = 0) -> None:
        self._at, self._total, self._before, self._done = now, total, done_before, done_before
        self._weighted_rows = self._weighted_s = 0.0

    def at(self, now: float, done: int, failed: int, cost_usd: float | None) -> Estimate:
        """The estimate now. `done`: rows of all runs; `cost_usd`: of this run's."""
        passed_s = max(0.0, now - self._at)
        keep = exp(-passed_s / _MEMORY_S)
        self._weighted_rows = self._weighted_rows * keep + (done - self._done) * (_MEMORY_S / passed_s * (1 - keep) if passed_s else 1.0)
        self._weighted_s = self._weighted_s * keep + _MEMORY_S * (1 - keep)
        self._at, self._done = now, done
        rate = self._weighted_rows / self._weighted_s if self._weighted_rows > 0 and self._weighted_s > 0 else None
        left = None if self._total is None else max(0, self._total - done)
        left_s = 0.0 if left == 0 else None if left is None or rate is None else left / rate
        in_all = None
        if cost_usd is not None and left is not None and done > self._before:
            in_all = cost_usd * (1 + left / (done - self._before))
        return Estimate(done, self._total, failed, cost_usd, rate, left_s, in_all)
