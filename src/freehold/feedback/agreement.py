"""How far raters agree: raw, Cohen, Fleiss, Krippendorff and Gwet, each with an interval from drawing the items anew.

Pure. Every coefficient compares how much ratings of one item differ with how much they would by chance; they part in what chance is.
A difference is 0 or 1 between names (nominal), the squared distance of places in the order (ordinal) or of values (interval). All of them
are sums over items, so that a thousand draws of items are a few products of matrices.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Literal, TypeAlias, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.errors import DataError

Floats: TypeAlias = NDArray[np.float64]
Level: TypeAlias = Literal["nominal", "ordinal", "interval"]

MOST_VALUES = 1_000
"""Ratings with more different values are measurements: they have an interval level and no categories."""
_MOST_CELLS = 4_000_000
"""Of the matrix of weights of items that is held at a time."""


class Estimate(msgspec.Struct, frozen=True, omit_defaults=True):
    """A coefficient and its interval."""

    value: float | None
    """1 is perfect, 0 what chance gives; None where it is not defined, as where only one value was ever said."""
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    """Upper end."""


class PairKappa(msgspec.Struct, frozen=True):
    """Cohen's kappa of two raters."""

    first: int
    """One's column."""
    second: int
    """The other's."""
    items: int
    """How many items both rated."""
    kappa: Estimate
    """Over those items."""


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How far raters agree."""

    level: Level
    """What the values are."""
    raters: int
    """How many said anything."""
    items: int
    """How many items have two ratings or more; others say nothing about agreement."""
    ratings: int
    """How many ratings those have."""
    confidence: float
    """Of the intervals: percentiles over drawing items (or groups of them) with replacement. Below some 20 items they are too narrow."""
    raw: Estimate
    """How often two ratings of one item are the same, averaged over items."""
    fleiss: Estimate
    """Chance: two ratings drawn from what all raters say together. Items with missing ratings count as of Gwet (2014)."""
    alpha: Estimate
    """Krippendorff's. Chance: two ratings drawn without replacement from all that can be paired."""
    gwet: Estimate
    """AC1, and AC2 with quadratic weights where values have an order. Chance: how often a rating is a guess, so that a rare value lowers
    nothing. None for measurements, which have no categories."""
    cohen: tuple[PairKappa, ...]
    """Of every pair of raters who share an item; with quadratic weights where values have an order (Cohen 1968)."""


def agreement(
    ratings_NR: Floats,
    level: Level,
    rng: np.random.Generator,
    draws: int = 1000,
    *,
    values: Sequence[float] | None = None,
    groups_N: NDArray[np.int64] | None = None,
    confidence: float = 0.95,
) -> Agreement:
    """How far the raters (columns) agree on the items (rows). NaN is a rating that is missing.

    `values`: what could be said, for Gwet's coefficient; what was said where it is left out. `groups_N`: items that depend on each other
    have one number, and are drawn together. Raises DataError for a level that is none, infinite or undeclared values, or no item with two
    ratings.

    Sources: Cohen (1960, 1968); Fleiss, Psych. Bull. 76 (1971) 378; Krippendorff, Content Analysis (2018) ch. 12, whose ordinal metric is
    the squared difference of mid-ranks; Gwet, Brit. J. Math. Stat. Psych. 61 (2008) 29, and Handbook of Inter-Rater Reliability (2014).
    """
    ratings_NR = np.asarray(ratings_NR, dtype=np.float64)
    x_V, code_NR = coded(ratings_NR, level, values)
    is_many = len(x_V) > MOST_VALUES
    if is_many and level != "interval":
        raise DataError(f"{len(x_V):,} different values are no {level} scale; expected at most {MOST_VALUES:,}. Say 'interval'.")
    m_N = (code_NR >= 0).sum(axis=1)
    paired = m_N >= 2
    if not paired.any():
        raise DataError(f"No item of {len(m_N):,} has two ratings, and one alone agrees with nothing. Have items rated twice.")
    table = _Table(level, x_V, code_NR)
    statistics: dict[str, Callable[[Floats], Floats]] = {"raw": table.raw, "fleiss": table.fleiss, "alpha": table.alpha}
    if not is_many:
        statistics["gwet"] = table.gwet
    pairs = [pair for pair in combinations(range(code_NR.shape[1]), 2) if (code_NR[:, pair] >= 0).all(axis=1).any()]
    found: list[list[Floats]] = [[] for _ in range(len(statistics) + len(pairs))]
    for weights_DN in _weights(len(m_N), draws, groups_N, rng):
        for n, statistic in enumerate(statistics.values()):
            found[n].append(statistic(weights_DN))
        for n, (first, second) in enumerate(pairs, len(statistics)):
            found[n].append(table.cohen(first, second, weights_DN))
    estimates = [_estimate(np.concatenate(each), confidence) for each in found]
    named = dict(zip(statistics, estimates, strict=False))
    cohen = tuple(
        PairKappa(first, second, int((code_NR[:, (first, second)] >= 0).all(axis=1).sum()), kappa)
        for (first, second), kappa in zip(pairs, estimates[len(statistics) :], strict=True)
    )
    return Agreement(
        level=level,
        raters=int((code_NR >= 0).any(axis=0).sum()),
        items=int(paired.sum()),
        ratings=int(m_N[paired].sum()),
        confidence=confidence,
        raw=named["raw"],
        fleiss=named["fleiss"],
        alpha=named["alpha"],
        gwet=named.get("gwet", Estimate(None)),
        cohen=cohen,
    )


class _Table:
    """The ratings as sums by item; each coefficient for each row of weights, which say how often an item counts."""

    def __init__(self, level: Level, x_V: Floats, code_NR: NDArray[np.int64]) -> None:
        self._level = level
        self._code_NR = code_NR
        self._counts_NV = np.zeros((len(code_NR), len(x_V)))
        item, rater = np.nonzero(code_NR >= 0)
        np.add.at(self._counts_NV, (item, code_NR[item, rater]), 1.0)
        self._m_N = self._counts_NV.sum(axis=1)
        self._paired_N = (self._m_N >= 2).astype(np.float64)
        self._x_V = np.arange(len(x_V), dtype=np.float64) if level == "ordinal" else x_V
        self._span = 1.0 if level == "nominal" or len(x_V) < 2 else float(np.ptp(self._x_V)) ** 2
        self._same_N = self._within(None)
        self._apart_N = self._same_N if level == "nominal" else self._within(self._x_V) / self._span

    def _within(self, x_V: Floats | None) -> Floats:
        """The mean difference of two ratings of each item; 0 where it has no two. Without places: how often they are not the same."""
        c, m = self._counts_NV, self._m_N
        summed = m * m - (c * c).sum(axis=1) if x_V is None else 2 * (m * (c @ (x_V * x_V)) - (c @ x_V) ** 2)
        return np.where(self._paired_N > 0, summed / np.maximum(m * (m - 1), 1), 0.0)

    def _mean(self, each_N: Floats, weights_DN: Floats) -> Floats:
        return _ratio(weights_DN @ each_N, weights_DN @ self._paired_N)

    def _shares(self, weights_DN: Floats) -> Floats:
        """How often each value is said, items counting alike."""
        some = self._m_N > 0
        shares_NV = self._counts_NV / np.maximum(self._m_N, 1)[:, None]
        return _ratio(weights_DN @ shares_NV, (weights_DN @ some.astype(np.float64))[:, None])

    def _between(self, a_DV: Floats, b_DV: Floats) -> Floats:
        """The mean difference of a value drawn from one distribution and one from another."""
        x = self._x_V
        apart_D: Floats
        if self._level == "nominal":
            apart_D = 1.0 - (a_DV * b_DV).sum(axis=1)
        else:
            apart_D = (a_DV @ (x * x) + b_DV @ (x * x) - 2 * (a_DV @ x) * (b_DV @ x)) / self._span
        return apart_D

    def raw(self, weights_DN: Floats) -> Floats:
        return 1.0 - self._mean(self._same_N, weights_DN)

    def fleiss(self, weights_DN: Floats) -> Floats:
        shares_DV = self._shares(weights_DN)
        return _above_chance(self._mean(self._apart_N, weights_DN), self._between(shares_DV, shares_DV))

    def gwet(self, weights_DN: Floats) -> Floats:
        shares_DV = self._shares(weights_DN)
        q = shares_DV.shape[1]
        if q < 2:
            return np.full(len(weights_DN), np.nan)
        alike = q * q * (1.0 - self._between(np.full((1, q), 1 / q), np.full((1, q), 1 / q)))
        guessed_D = alike / (q * (q - 1)) * (shares_DV * (1 - shares_DV)).sum(axis=1)
        return _above_chance(self._mean(self._apart_N, weights_DN), 1.0 - guessed_D)

    def alpha(self, weights_DN: Floats) -> Floats:
        c = self._counts_NV * self._paired_N[:, None]
        n_DV = weights_DN @ c
        n_D = n_DV.sum(axis=1)
        if self._level == "nominal":
            expected_D = n_D * n_D - (n_DV * n_DV).sum(axis=1)
            return _above_chance((n_D - 1) * (weights_DN @ (self._m_N * self._same_N)), expected_D)
        if self._level == "interval":
            x = self._x_V
            expected_D = 2 * (n_D * (n_DV @ (x * x)) - (n_DV @ x) ** 2) / self._span
            return _above_chance((n_D - 1) * (weights_DN @ (self._m_N * self._apart_N)), expected_D)
        rank_DV = (n_DV.cumsum(axis=1) - n_DV / 2) / np.maximum(n_D, 1)[:, None]
        each_DN = 2 * (self._m_N * (rank_DV**2 @ c.T) - (rank_DV @ c.T) ** 2) / np.maximum(self._m_N - 1, 1)
        expected_D = 2 * (n_D * (n_DV * rank_DV**2).sum(axis=1) - (n_DV * rank_DV).sum(axis=1) ** 2)
        return _above_chance((n_D - 1) * (weights_DN * each_DN).sum(axis=1), expected_D)

    def cohen(self, first: int, second: int, weights_DN: Floats) -> Floats:
        a_N, b_N = self._code_NR[:, first], self._code_NR[:, second]
        both = (a_N >= 0) & (b_N >= 0)
        w_DB, a_B, b_B = weights_DN[:, both], a_N[both], b_N[both]
        apart_B = (a_B != b_B).astype(np.float64) if self._level == "nominal" else (self._x_V[a_B] - self._x_V[b_B]) ** 2 / self._span
        told = w_DB.sum(axis=1)
        names = np.eye(self._counts_NV.shape[1])
        shares = [_ratio(w_DB @ names[said], told[:, None]) for said in (a_B, b_B)]
        return _above_chance(_ratio(w_DB @ apart_B, told), self._between(shares[0], shares[1]))


def coded(ratings_NR: Floats, level: str, values: Sequence[float] | None) -> tuple[Floats, NDArray[np.int64]]:
    """The values there are, ascending, and which of them each rating is; -1 for one that is missing."""
    if level not in get_args(Level):
        raise DataError(f"'{level}' is no level of measurement; expected one of {', '.join(get_args(Level))}")
    if ratings_NR.ndim != 2:
        raise DataError(f"ratings have {ratings_NR.ndim} axes; expected two: items and raters")
    if np.isinf(ratings_NR).any():
        raise DataError("A rating is infinite; expected finite numbers, and NaN where one is missing")
    given = ~np.isnan(ratings_NR)
    x_V = np.unique(ratings_NR[given] if values is None else np.asarray(values, dtype=np.float64))
    code_NR = np.where(given, np.searchsorted(x_V, np.where(given, ratings_NR, 0.0)), -1).astype(np.int64)
    strange = given & ((code_NR >= len(x_V)) | (x_V[np.minimum(code_NR, len(x_V) - 1)] != ratings_NR)) if len(x_V) else given
    if strange.any():
        raise DataError(f"A rating is {ratings_NR[strange][0]:g}, which is none of the values that can be said: {list(x_V)}")
    return x_V, code_NR


def _weights(items: int, draws: int, groups_N: NDArray[np.int64] | None, rng: np.random.Generator) -> Iterator[Floats]:
    """How often each item counts: once as they are, then in every draw with replacement of as many items, or groups, as there are."""
    yield np.ones((1, items))
    of_N = np.arange(items) if groups_N is None else np.unique(groups_N, return_inverse=True)[1]
    groups = int(of_N.max()) + 1
    step = max(1, _MOST_CELLS // items)
    for begin in range(0, draws, step):
        drawn = rng.multinomial(groups, np.full(groups, 1 / groups), size=min(step, draws - begin))
        yield drawn[:, of_N].astype(np.float64)


def _estimate(found_D: Floats, confidence: float) -> Estimate:
    value, drawn = found_D[0], found_D[1:]
    if np.isnan(value):
        return Estimate(None)
    drawn = drawn[~np.isnan(drawn)]  # draws in which everybody said one thing
    if not len(drawn):
        return Estimate(float(value))
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(value), float(low), float(high))


def _above_chance(apart_D: Floats, by_chance_D: Floats) -> Floats:
    """1 less the share of the difference that chance gives; NaN where chance gives none."""
    return 1.0 - _ratio(apart_D, np.where(by_chance_D > 1e-12, by_chance_D, 0.0))


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)
