"""Paired differences of two variants on the same items: how large, how sure, and how sure that they are no larger than a margin.

The unit is the group, as in `interval.py`. Single right-or-wrong items have methods of their own, which hold in small samples.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtr, ndtri, stdtr

from freehold.evaluation.bounds import Floats, clopper_pearson_upper
from freehold.evaluation.interval import t_quantile, totals

_STEPS = 60
_NOTHING = 1e-12


class Difference(NamedTuple):
    """first - second on the items that both have a score of, in [-1, 1]."""

    mean: float
    low: float
    high: float
    p: float
    """How often chance alone would show as much, were there no difference; two-sided."""
    p_above: float
    """How often it would show as much, were the difference -margin: small where the first is no worse than that."""
    p_equivalent: float
    """How often it would look as equal, were the difference as large as the margin to either side (two one-sided tests)."""
    n: int
    """Items."""
    groups: int
    """Independent units among them."""
    method: str
    """`binary` or `groups`."""


def paired(
    first_N: Floats, second_N: Floats, group_N: NDArray[np.int64], is_binary: bool, confidence: float = 0.95, margin: float = 0.0
) -> Difference:
    """The difference of two variants' scores, each in [0, 1] and known.

    Single binary items: McNemar's exact test for `p`, Tango's score interval (Statistics in Medicine 17 (1998) 891) and its test at the
    margins. Else a t test over the totals of groups, whose `p` is never below what flipping the signs of the groups that differ can reach,
    2^(1-k): of five groups that differ nobody can tell. Where none differs, the interval is the exact bound on the share of groups that may.
    """
    difference_N = first_N - second_N
    sums = totals(difference_N, group_N)
    n, groups = len(difference_N), len(sums.sum_G)
    if n == 0:
        raise ValueError("there is no item that both have a score of")
    if is_binary and groups == n:
        return _binary(int((difference_N > 0).sum()), int((difference_N < 0).sum()), n, confidence, margin)
    mean = sums.mean
    if groups == 1:
        return Difference(mean, -1.0, 1.0, 1.0, 1.0, 1.0, n, groups, "groups")
    differ = int((np.abs(sums.sum_G) > _NOTHING).sum())
    error = float(np.sqrt(sums.variance))
    if error <= _NOTHING:
        reach = float(clopper_pearson_upper(0, groups, (1.0 - confidence) / 2))
        same = (1.0 - margin) ** groups  # that a share `margin` of groups which differ by 1 shows none
        p = 1.0 if abs(mean) <= _NOTHING else 2.0 ** (1 - groups)
        above = same if mean > -margin or abs(mean) <= _NOTHING else 1.0
        return Difference(
            mean, max(-1.0, mean - reach), min(1.0, mean + reach), p, above, same if abs(mean) < margin else 1.0, n, groups, "groups"
        )
    least = 2.0 ** (1 - differ)
    p = max(least, 2.0 * float(stdtr(groups - 1, -abs(mean) / error)))
    above, below = (float(stdtr(groups - 1, -(margin + sign * mean) / error)) for sign in (1, -1))
    reach = t_quantile(confidence, groups) * error
    low, high = max(-1.0, mean - reach), min(1.0, mean + reach)
    if least > 1.0 - confidence:
        low, high = min(low, 0.0), max(high, 0.0)
    return Difference(mean, low, high, min(1.0, p), above, max(above, below), n, groups, "groups")


def _binary(gains: int, losses: int, n: int, confidence: float, margin: float) -> Difference:
    """From how often the first alone was right, and how often the second alone was."""
    discordant = gains + losses
    p = min(1.0, 2.0 * float(bdtr(min(gains, losses), discordant, 0.5))) if discordant else 1.0
    z = float(ndtri((1.0 + confidence) / 2))
    mean = (gains - losses) / n
    low = _where(lambda at: _score(gains, losses, n, at) - z, -1.0, mean)
    high = _where(lambda at: _score(gains, losses, n, at) + z, mean, 1.0)
    above, below = float(ndtr(-_score(gains, losses, n, -margin))), float(ndtr(_score(gains, losses, n, margin)))
    return Difference(mean, low, high, p, above, max(above, below), n, n, "binary")


def _score(gains: int, losses: int, n: int, at: float) -> float:
    """Tango's statistic for a true difference of `at`; it falls as that grows."""
    b = (2 * n - gains + losses) * at - gains - losses
    likely = (np.sqrt(max(0.0, b * b + 8 * n * losses * at * (1 - at))) - b) / (4 * n)
    variance = n * (2 * likely + at * (1 - at))
    apart = gains - losses - n * at
    if variance <= _NOTHING:
        return 0.0 if abs(apart) <= 1e-9 else float(np.copysign(np.inf, apart))
    return float(apart / np.sqrt(variance))


def _where(falls: object, low: float, high: float) -> float:
    """Where a falling function is 0 between two places; the nearer end where it is not."""
    assert callable(falls)
    if falls(low) <= 0:
        return low
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if falls(middle) > 0:
            low = middle
        else:
            high = middle
    return high
