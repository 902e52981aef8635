"""How sure a specialist may be that all it said is right: a probability of its own, set right on rows that it had not learnt from."""

import math
from bisect import bisect_right
from typing import NamedTuple

_MOST = 30.0


class Sure(NamedTuple):
    """A line through log odds (Platt, 1999). Fitted by `training/confidence.py`."""

    slope: float = 1.0
    offset: float = 0.0

    def of(self, log_p: float) -> float:
        """In [0, 1], of the logarithm of its own probability."""
        odds = self.slope * log_odds(log_p) + self.offset
        return 1.0 / (1.0 + math.exp(-max(-_MOST, min(_MOST, odds))))


class Steps(NamedTuple):
    """A line of steps that never falls, from a probability to how often it is right (isotonic regression: Zadrozny and Elkan, KDD 2002)."""

    at: tuple[float, ...]
    """Probabilities, rising."""
    sure: tuple[float, ...]
    """How often each is right."""

    def of(self, p: float) -> float:
        """In [0, 1], between the steps as the line goes, beyond them as at the last."""
        n = bisect_right(self.at, p)
        if n in (0, len(self.at)):
            return self.sure[0 if n == 0 else -1]
        low, high = self.at[n - 1], self.at[n]
        return self.sure[n - 1] + (self.sure[n] - self.sure[n - 1]) * (p - low) / (high - low)


def log_odds(log_p: float) -> float:
    """Of the logarithm of a probability, within 30 of none."""
    rest = -math.expm1(log_p) if log_p < 0 else 0.0
    return max(-_MOST, min(_MOST, log_p - math.log(rest))) if rest > 0 else _MOST
