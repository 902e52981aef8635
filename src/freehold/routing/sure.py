"""How sure a specialist may be that all it said is right: a probability of its own, set right on rows that it had not learnt from."""

import math
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


def log_odds(log_p: float) -> float:
    """Of the logarithm of a probability, within 30 of none."""
    rest = -math.expm1(log_p) if log_p < 0 else 0.0
    return max(-_MOST, min(_MOST, log_p - math.log(rest))) if rest > 0 else _MOST
