"""Prediction-powered estimates: what people would say on average, from their labels of some items and a judge's scores of all of them.

The judge's mean is corrected by how much it is off where people looked, so that a judge that is wrong costs width and never truth. Pure.

Sources: Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, Prediction-powered inference (Science 382, 2023); Angelopoulos, Duchi and Zrnic, PPI++
(arXiv 2311.01453, 2023), whose λ this takes; for labels drawn with unequal chances Zrnic and Candès, Active statistical inference (ICML 2024).
"""

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from freehold.errors import DataError

Floats: TypeAlias = NDArray[np.float64]

LEAST_LABELS = 10
"""With fewer there is no estimate: the interval rests on the labels' own spread."""


class Interval(msgspec.Struct, frozen=True):
    """An estimate and its interval."""

    value: float
    """The estimate."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end."""

    @property
    def width(self) -> float:
        """From end to end."""
        return self.high - self.low


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction-powered estimate, and the one by labels alone beside it. It steers and warns; it is no certificate."""

    powered: Interval
    """By labels and judge."""
    labels_only: Interval
    """By labels alone."""
    labels: int
    """How many items people labelled: what both rest on."""
    items: int
    """How many items there are, the labelled ones among them."""
    silent: int
    """On how many of them the judge gave no score: they are taken at the mean of those it gave, which is as good as any guess."""
    power: float
    """λ: how much the judge was listened to, from 0 for not at all to 1."""
    bias: Interval
    """How much higher the judge scores than people do, on average over the labelled items."""
    confidence: float = 0.95
    """Of the intervals. They hold for many labels: each is a sum that is nearly normal."""


def mean(
    human_N: Floats,
    judge_N: Floats,
    *,
    inclusion_N: Floats | None = None,
    group_N: NDArray[np.int64] | None = None,
    confidence: float = 0.95,
    power: float | None = None,
) -> Estimate:
    """The mean of what people would say of all items. NaN in `human_N`: nobody was asked; in `judge_N`: the judge
    gave no score.

    Without `inclusion_N` the labelled items are a simple random sample of all. With it they were drawn one by one with those probabilities, as
    active labelling does. `group_N`: items that depend on each other have one number. `power`: λ, where it is fixed beforehand; otherwise the one
    that makes the interval narrowest. Raises DataError for arrays that do not fit, a judge that gave no score at all, or too few labels.
    """
    human_N, judge_N = np.asarray(human_N, dtype=np.float64), np.asarray(judge_N, dtype=np.float64)
    is_said_N, is_silent_N = ~np.isnan(human_N), np.isnan(judge_N)
    judge_N = np.where(is_silent_N, judge_N[~is_silent_N].mean() if not is_silent_N.all() else np.nan, judge_N)
    group_N = np.arange(len(human_N)) if group_N is None else np.unique(group_N, return_inverse=True)[1]
    labels = _checked(human_N, judge_N, is_said_N, group_N, inclusion_N)
    t = float(stdtrit(labels - 1, (1.0 + confidence) / 2))
    if inclusion_N is None:
        powered, alone, used = _simple(human_N, judge_N, is_said_N, group_N, power)
    else:
        powered, alone, used = _weighted(human_N, judge_N, is_said_N, group_N, np.asarray(inclusion_N, dtype=np.float64), power)
    off_n, weight_n = (judge_N - human_N)[is_said_N], np.ones(is_said_N.sum()) if inclusion_N is None else 1.0 / inclusion_N[is_said_N]
    off = float(np.average(off_n, weights=weight_n))
    off_s = _spread(weight_n * (off_n - off) / weight_n.sum(), group_N[is_said_N])
    return Estimate(
        powered=_around(*powered, t),
        labels_only=_around(*alone, t),
        labels=int(is_said_N.sum()),
        items=len(human_N),
        silent=int(is_silent_N.sum()),
        power=used,
        bias=_around(off, off_s, t),
        confidence=confidence,
    )


def difference(
    human_N2: Floats,
    judge_N2: Floats,
    *,
    inclusion_N: Floats | None = None,
    group_N: NDArray[np.int64] | None = None,
    confidence: float = 0.95,
) -> Estimate:
    """The mean of the second column minus that of the first, item by item: two variants that answered the same. As `mean` otherwise.

    What the judge has against both alike cancels. An item counts as labelled where people scored both answers.
    """
    human_N2, judge_N2 = np.asarray(human_N2, dtype=np.float64), np.asarray(judge_N2, dtype=np.float64)
    human_N, judge_N = human_N2[:, 1] - human_N2[:, 0], judge_N2[:, 1] - judge_N2[:, 0]
    return mean(human_N, judge_N, inclusion_N=inclusion_N, group_N=group_N, confidence=confidence)


def _checked(human_N: Floats, judge_N: Floats, is_said_N: NDArray[np.bool_], group_N: NDArray[np.int64], inclusion_N: Floats | None) -> int:
    """How many independent units are labelled. Raises DataError."""
    if human_N.ndim != 1 or human_N.shape != judge_N.shape or group_N.shape != human_N.shape:
        raise DataError(f"labels {human_N.shape}, judge {judge_N.shape} and groups {group_N.shape} are not one each for every item")
    if not np.isfinite(judge_N).all() or np.isinf(human_N).any():
        raise DataError("the judge gave no score at all, or a score is infinite; people's labels alone say what there is to say")
    if inclusion_N is not None and not ((np.asarray(inclusion_N) > 0) & (np.asarray(inclusion_N) <= 1)).all():
        raise DataError("inclusion probabilities lie above 0 and at most at 1, of every item")
    labels = len(np.unique(group_N[is_said_N]))
    if labels < LEAST_LABELS:
        raise DataError(f"{labels} independent items have people's labels; an estimate takes at least {LEAST_LABELS}. Label more.")
    return labels


_Found: TypeAlias = tuple[tuple[float, float], tuple[float, float], float]
"""Estimate and standard error with the judge, and by labels alone; and λ."""


def _simple(human_N: Floats, judge_N: Floats, is_said_N: NDArray[np.bool_], group_N: NDArray[np.int64], power: float | None) -> _Found:
    said_n, by_judge_n, rest_M = human_N[is_said_N], judge_N[is_said_N], judge_N[~is_said_N]
    n, m = len(said_n), len(rest_M)
    alone = float(said_n.mean()), _spread((said_n - said_n.mean()) / n, group_N[is_said_N])
    if m == 0:
        return alone, alone, 0.0
    if power is None:
        variance = np.var(judge_N, ddof=1)
        covariance = np.cov(said_n, by_judge_n)[0, 1]
        power = 0.0 if variance <= 0 else float(np.clip(covariance / ((1.0 + n / m) * variance), 0.0, 1.0))
    off_n = said_n - power * by_judge_n
    value = float(off_n.mean() + power * rest_M.mean())
    shares_N = np.empty(len(human_N))
    shares_N[is_said_N] = (off_n - off_n.mean()) / n
    shares_N[~is_said_N] = power * (rest_M - rest_M.mean()) / m
    return (value, _spread(shares_N, group_N)), alone, power


def _weighted(
    human_N: Floats, judge_N: Floats, is_said_N: NDArray[np.bool_], group_N: NDArray[np.int64], inclusion_N: Floats, power: float | None
) -> _Found:
    count = len(human_N)
    weight_N = is_said_N / inclusion_N
    said_N = np.where(is_said_N, np.nan_to_num(human_N), 0.0) * weight_N
    judged_N = judge_N * (1.0 - weight_N)
    if power is None:
        one, other = _by_group(said_N, group_N), _by_group(judged_N, group_N)
        variance = np.var(other)
        power = 0.0 if variance <= 0 else float(np.clip(-np.cov(one, other, ddof=0)[0, 1] / variance, 0.0, 1.0))
    both_N = said_N + power * judged_N
    value = float(both_N.mean())
    # By labels alone the weights are divided by their sum, not by the number of items (Hájek): far narrower where means are far from 0.
    alone = float(said_N.sum() / weight_N.sum())
    alone_s = _spread(weight_N * (np.nan_to_num(human_N) - alone) / weight_N.sum(), group_N)
    return (value, _spread((both_N - value) / count, group_N)), (alone, alone_s), power


def _by_group(value_N: Floats, group_N: NDArray[np.int64]) -> Floats:
    return np.asarray(np.bincount(group_N, weights=value_N), dtype=np.float64)


def _spread(shares_N: Floats, group_N: NDArray[np.int64]) -> float:
    """The standard error of a sum whose units are groups, from each item's share in it."""
    sums = np.bincount(np.unique(group_N, return_inverse=True)[1], weights=shares_N)
    count = len(sums)
    return float(np.sqrt((sums**2).sum() * count / max(count - 1, 1)))


def _around(value: float, error: float, t: float) -> Interval:
    return Interval(value, value - t * error, value + t * error)
