"""Intervals of means whose unit is the group: exact for single right-or-wrong items, by the effective number of items otherwise.

Items of one conversation or customer are no independent evidence: an interval over items would be too narrow by the square root of what
they repeat. Here the variance is that of group totals, and the interval is the binomial one at the number of independent items that have it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from freehold.evaluation.bounds import Floats, clopper_pearson_lower, clopper_pearson_upper

_NOTHING = 1e-12
"""Variances below this are rounding."""


class Interval(NamedTuple):
    """A mean and between what it lies."""

    mean: float
    low: float
    high: float
    n: int
    """Items."""
    groups: int
    """Independent units among them."""
    method: str
    """`exact`, or `effective` for the number of items that are as much evidence."""


class Totals(NamedTuple):
    """Values summed by group."""

    sum_G: Floats
    size_G: Floats

    @property
    def mean(self) -> float:
        """Of the items, whatever group they are in."""
        return float(self.sum_G.sum() / self.size_G.sum())

    @property
    def variance(self) -> float:
        """Of that mean, groups drawn independently: a ratio's, linearised (Cochran 1977, 6.4), with G/(G-1) for the mean that was fitted."""
        count = len(self.sum_G)
        rest_G = self.sum_G - self.mean * self.size_G
        return float(count / (count - 1) * (rest_G**2).sum() / self.size_G.sum() ** 2)


def totals(value_N: Floats, group_N: NDArray[np.int64]) -> Totals:
    """Values by group, in the order of the groups' numbers."""
    _, code = np.unique(group_N, return_inverse=True)
    return Totals(np.bincount(code, weights=value_N).astype(np.float64), np.bincount(code).astype(np.float64))


def t_quantile(confidence: float, groups: int) -> float:
    """What a mean of so many groups is off by in standard errors, two-sided."""
    return float(stdtrit(groups - 1, (1.0 + confidence) / 2))


def mean_interval(value_N: Floats, group_N: NDArray[np.int64], is_binary: bool, confidence: float = 0.95) -> Interval:
    """The interval of the mean of values in [0, 1].

    Single binary items: Clopper and Pearson's, exact. Else theirs at the effective number of items n* = m(1-m)/var(m), scaled by (z/t)² for a
    variance that was estimated from few groups, and never above n for binary values: Korn and Graubard, Survey Methodology 24 (1998) 193. We
    take it for bounded values too, where n* may well be above n; it keeps within [0, 1] and is wider to the side that has room. Where nothing
    varies there is no variance to go by, and n* is the number of groups.
    """
    sums = totals(value_N, group_N)
    n, groups = len(value_N), len(sums.sum_G)
    tail = (1.0 - confidence) / 2
    if n == 0:
        raise ValueError("a mean of no values has no interval")
    mean = min(1.0, max(0.0, sums.mean))
    if is_binary and groups == n:
        ones = round(float(value_N.sum()))
        return Interval(mean, float(clopper_pearson_lower(ones, n, tail)), float(clopper_pearson_upper(ones, n, tail)), n, groups, "exact")
    if groups == 1:
        return Interval(mean, 0.0, 1.0, n, groups, "effective")
    effective = float(groups)
    if sums.variance > _NOTHING and mean * (1 - mean) > _NOTHING:
        few = float(ndtri((1.0 + confidence) / 2)) / t_quantile(confidence, groups)
        effective = mean * (1 - mean) / sums.variance * few**2
        effective = min(effective, float(n)) if is_binary else effective
    low, high = (float(bound(effective * mean, effective, tail)) for bound in (clopper_pearson_lower, clopper_pearson_upper))
    return Interval(mean, min(low, mean), max(high, mean), n, groups, "effective")
