"""Finite-sample upper bounds on the mean paired loss of a policy: what a certificate rests on.

A paired loss is L = score(reference) - score(policy) on one item, in [-1, 1]. Every bound here holds for any sample size, without a
normal approximation, provided that the units (items, or groups of dependent items) are drawn independently from the traffic the claim
is about, and that everything chosen by looking at losses was chosen on other data.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

Floats: TypeAlias = NDArray[np.float64]

HARM_SHARE = 0.9
"""The part of δ spent on the upper bound of the harm rate; the rest goes to the lower bound of the gain rate (fixed beforehand)."""

PILOT_WEIGHT = 0.7
"""Capital put on the bet tuned on training losses; the rest is spread over `GRID`, which guards against a bad pilot."""

GRID = (0.99, 0.75, 0.5, 0.25, 0.12, 0.06)
"""Bets λ beside the pilot's. All are below 1, hence below 1/(1 - ε) for every floor ε."""


def clopper_pearson_upper(successes: ArrayLike, trials: float, alpha: float) -> Floats:
    """The p with P(Binomial(trials, p) <= successes) = alpha: the rate is above it with probability at most `alpha`. Elementwise.

    Exact for whole counts; a fractional count (an expected one, in planning) is read through the incomplete beta function.
    Source: Clopper and Pearson, Biometrika 26 (1934) 404.
    """
    k = np.minimum(np.asarray(successes, dtype=np.float64), trials)
    return np.where(k >= trials, 1.0, betaincinv(k + 1.0, np.maximum(trials - k, 1e-9), 1.0 - alpha))


def clopper_pearson_lower(successes: ArrayLike, trials: float, alpha: float) -> Floats:
    """The p with P(Binomial(trials, p) >= successes) = alpha: the rate is below it with probability at most `alpha`. Elementwise."""
    k = np.minimum(np.asarray(successes, dtype=np.float64), trials)
    return np.where(k <= 0, 0.0, betaincinv(np.maximum(k, 1e-9), trials - k + 1.0, alpha))


def paired_binomial_upper(harms: ArrayLike, gains: ArrayLike, trials: int, delta: float) -> Floats:
    """An upper bound on E L = P(harm) - P(gain) of a binary metric that holds with probability at least 1 - δ. Elementwise.

    Derivation: harms and gains are each binomial in the number of items; the harm rate exceeds its Clopper-Pearson bound at .9δ with
    probability at most .9δ, the gain rate falls short of its own at .1δ with probability at most .1δ; both hold together with
    probability at least 1 - δ (union bound), and then so does their difference. Conditions: independent single items, and a metric
    declared binary before the labels were seen. Exact, no large-sample step. Source: Clopper and Pearson (1934) with Bonferroni.
    """
    if trials == 0:
        return np.ones_like(np.asarray(harms, dtype=np.float64))
    harm = clopper_pearson_upper(harms, trials, HARM_SHARE * delta)
    gain = clopper_pearson_lower(gains, trials, (1.0 - HARM_SHARE) * delta)
    return harm - gain


class Units(NamedTuple):
    """The losses of one policy by unit (group of dependent items), in the order in which they are bet on."""

    loss_sum_G: NDArray[np.float64]
    """Sum of the (weighted) losses of a unit's items."""
    weight_G: NDArray[np.float64]
    """Sum of their weights; the number of items where every weight is 1."""
    cap: float
    """The most a unit's loss may sum to, fixed before calibration losses were seen: the most items it may hold, for losses up to 1."""


def units(
    loss_N: NDArray[np.float64], group_N: NDArray[np.int64], cap: int, seed: int, weight_N: NDArray[np.float64] | None = None
) -> Units:
    """Losses summed by group, groups in seeded random order, at most `cap` seeded items of each.

    `weight_N` in (0, 1] are inverse inclusion probabilities scaled to a maximum of 1, for labels drawn with unequal chances.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(loss_N))
    weight = np.ones(len(loss_N)) if weight_N is None else weight_N
    names, first = np.unique(group_N, return_inverse=True)
    shuffled = first[order]
    rank = _rank_within(shuffled)
    kept = order[rank < cap]
    sums = np.bincount(first[kept], weights=(weight * loss_N)[kept], minlength=len(names))
    sizes = np.bincount(first[kept], weights=weight[kept], minlength=len(names))
    turn = rng.permutation(len(names))
    return Units(sums[turn].astype(np.float64), sizes[turn].astype(np.float64), cap)


def _rank_within(group_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each entry, how many of its group stand before it."""
    by_group = np.argsort(group_N, kind="stable")
    ordered = group_N[by_group]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.empty(0, dtype=np.int64)
    rank = np.empty(len(group_N), dtype=np.int64)
    rank[by_group] = np.arange(len(group_N)) - np.repeat(starts, np.diff(np.r_[starts, len(group_N)]))
    return rank


class Bets(NamedTuple):
    """A mixture of constant bets, fixed before calibration: capital `weight_K` on each λ of `bet_K`, weights summing to 1."""

    bet_K: NDArray[np.float64]
    weight_K: NDArray[np.float64]


def bets_from(pilot: Units, epsilon: float) -> Bets:
    """The mixture tuned on training losses: most capital on the λ that would have grown fastest there, the rest on a grid."""
    lambdas = np.linspace(0.02, 0.99, 50)
    growth = np.log1p(lambdas[:, None] * _stakes(pilot, epsilon)[None, :]).mean(axis=1) if len(pilot.weight_G) else np.zeros(50)
    return bets_of(float(lambdas[int(np.argmax(growth))]))


def bets_of(pilot_bet: float) -> Bets:
    """The mixture around a pilot's bet."""
    grid = (1.0 - PILOT_WEIGHT) / len(GRID)
    return Bets(np.array([pilot_bet, *GRID]), np.array([PILOT_WEIGHT, *[grid] * len(GRID)]))


def _stakes(sample: Units, epsilon: float) -> NDArray[np.float64]:
    """What a unit pays a bettor against "the mean loss exceeds ε": (ε·weight - loss)/cap, never below -(1 - ε)."""
    return (epsilon * sample.weight_G - sample.loss_sum_G) / sample.cap


def betting_wealth(sample: Units, epsilon: float, bets: Bets) -> float:
    """The greatest wealth reached, from 1, by betting on each unit in turn that the mean loss is at most ε."""
    if len(sample.weight_G) == 0:
        return 1.0
    paths = np.cumsum(np.log1p(bets.bet_K[:, None] * _stakes(sample, epsilon)[None, :]), axis=1)
    top = paths.max(axis=0)
    wealth = np.log((bets.weight_K[:, None] * np.exp(paths - top)).sum(axis=0)) + top
    return float(np.exp(min(wealth.max(), 700.0)))


def betting_upper(sample: Units, bets: Bets, delta: float) -> float:
    """An upper bound on the item-weighted mean loss that holds with probability at least 1 - δ, for any bounded loss and for groups.

    Derivation: were the mean loss above ε, every stake (ε·weight - loss)/cap would have a mean of at most 0, so wealth
    Σ_k w_k ∏_g (1 + λ_k·stake_g) would be a nonnegative supermartingale (0 <= λ < 1/(1 - ε) keeps each factor positive), and by
    Ville's inequality it would ever reach 1/δ with probability at most δ. The bound is the least ε at which it did; wealth grows with ε, so
    bisection finds it. Conditions: units independent, their cap and the bets fixed before their losses were seen. The mean weighs each
    unit by its items, at most `cap` of them. Source: Waudby-Smith and Ramdas, JRSS-B 86 (2024) 1; Ville (1939).
    """
    low, high = 0.0, 1.0
    if betting_wealth(sample, high, bets) < 1.0 / delta:
        return 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if betting_wealth(sample, middle, bets) >= 1.0 / delta:
            high = middle
        else:
            low = middle
    return high


def spend(delta: float, attempt: int) -> float:
    """What attempt number `attempt` (from 1) on one data set may spend: 6δ/(π²k²), which sums to δ over all attempts."""
    return 6.0 * delta / (math.pi**2 * attempt**2)


def least_units(epsilon: float, delta: float, exact: bool) -> int:
    """The fewest independent units with which anything can be certified, reached when not one harm is seen.

    `exact`: the binomial bound, n = ln(.9δ)/ln(1 - ε). Otherwise betting, the pilot on the greatest λ: the least n with
    Σ_k w_k (1 + λ_k ε)^n >= 1/δ.
    """
    if exact:
        return math.ceil(math.log(HARM_SHARE * delta) / math.log1p(-epsilon))
    bets = bets_of(GRID[0])
    enough = math.ceil(-math.log(PILOT_WEIGHT * delta) / math.log1p(GRID[0] * epsilon))  # by the pilot alone
    too_few = 0
    while enough - too_few > 1:
        count = (enough + too_few) // 2
        if (bets.weight_K * (1.0 + epsilon * bets.bet_K) ** count).sum() >= 1.0 / delta:
            enough = count
        else:
            too_few = count
    return enough


def units_needed(expected_bound: Callable[[int], float], epsilon: float, least: int, most: int = 10_000_000) -> int | None:
    """The fewest units, from `least`, at which a bound that falls with their number is expected to reach ε; None when beyond `most`."""
    low, high = least, least
    while expected_bound(high) > epsilon:
        low, high = high, high * 2
        if high > most:
            return None
    while low < high:
        middle = (low + high) // 2
        if expected_bound(middle) > epsilon:
            low = middle + 1
        else:
            high = middle
    return high


def bernstein_upper(mean: ArrayLike, variance: ArrayLike, trials: float, delta: float) -> Floats:
    """About where the betting bound will lie, for planning on training data only: mean + sqrt(2·variance·ln(1/δ)/n) + ln(1/δ)/n."""
    budget = -math.log(delta) / trials
    return np.asarray(mean) + np.sqrt(2.0 * np.asarray(variance) * budget) + budget


def binomial_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a rate."""
    alpha = (1.0 - confidence) / 2
    return float(clopper_pearson_lower(successes, trials, alpha)), float(clopper_pearson_upper(successes, trials, alpha))


def bootstrap_mean_interval(
    value_N: NDArray[np.float64],
    group_N: NDArray[np.int64],
    seed: int,
    confidence: float = 0.95,
    draws: int = 1000,
    weight_N: NDArray[np.float64] | None = None,
) -> tuple[float, float] | None:
    """A percentile bootstrap interval of a mean, resampling groups. For reports on test data only: it is not a guarantee.

    `weight_N`: what each value counts, where they do not count alike.
    """
    if len(value_N) == 0:
        return None
    _, code = np.unique(group_N, return_inverse=True)
    sums, sizes = np.bincount(code, weights=value_N if weight_N is None else value_N * weight_N), np.bincount(code, weights=weight_N)
    picks = np.random.default_rng(seed).integers(0, len(sums), size=(draws, len(sums)))
    means = sums[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    tail = (1.0 - confidence) / 2
    return float(np.quantile(means, tail)), float(np.quantile(means, 1.0 - tail))
