"""What a policy would have been worth on logged traffic, from the probabilities with which the log chose: IPS, SNIPS and doubly robust.

A decision is one question that was answered live. What is known of it are observations: a variant's outcome, and the probability with which
the log would look at that variant on that question. A log that draws one variant for each question has one observation a decision; a log
that asks another variant beside the answer now and then has two where it did. The target names one variant for every decision.

Groups of dependent decisions are the units of every interval. Weights are never clipped: a clipped estimate has the smaller error, and an
interval that covers about half of the time (measured on RouteLLM). Where too few units carry the weight, there is no number at all. The
outcome model's own mean is never given an interval: measured, such intervals covered from none to a third.
"""

from statistics import NormalDist
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.errors import DataError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

LEAST_UNITS = 100.0
"""The smallest effective sample that gives an estimate."""
LEAST_OVERLAP = 0.95
"""Where the log certainly could not have shown more than 1 minus this share of what the target chooses, there is no estimate."""
FOLDS = 5
_SURE = 3.29
"""Standard errors beyond which it is no chance (0.1 %, both sides) that weights do not average to 1."""
_RIDGE = 10.0
"""Noise over signal of the outcome model, whose features have length 1 on average; it decides width, not validity."""


class Refused(DataError):
    """There is no estimate: the log says too little about the target."""

    def __init__(self, message: str, effective: float, overlap: float) -> None:
        super().__init__(message)
        self.effective = effective
        """Effective number of units."""
        self.overlap = overlap
        """Mean weight."""


class Log(NamedTuple):
    """N decisions and M observations of them."""

    unit_N: Ints
    """Decisions that depend on each other share a unit."""
    weight_N: Floats
    """1 / the probability with which the decision is in this log at all; 1 for every decision of a whole log."""
    x_NF: Floats
    """What was known before anybody was asked: the outcome model's features."""
    decision_M: Ints
    """The decision that was observed."""
    variant_M: Ints
    """Whose outcome it is."""
    propensity_M: Floats
    """The probability with which the log would look at this variant on this question."""
    value_M: Floats
    """The outcome."""


class Interval(msgspec.Struct, frozen=True):
    """An estimate with its 95 % interval."""

    value: float
    """The estimate."""
    low: float
    """The lower end."""
    high: float
    """The upper end."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """What a target is worth by this log."""

    ips: Interval
    """Inverse propensity: unbiased, wide."""
    snips: Interval
    """Inverse propensity over the sum of weights."""
    dr: Interval
    """Doubly robust, cross-fitted: what to read."""
    n: int
    """Decisions."""
    units: int
    """Independent ones."""
    effective: float
    """Of them, so many as would say as much if all had one weight."""
    overlap: float
    """Mean weight: 1 where the log could have shown everything that the target chooses."""
    matched: int
    """Observations of what the target chooses."""
    largest: float
    """The largest weight of a unit, as a share of them all."""


def value_of(log: Log, target_N: Ints, variants: int, seed: int = 0, confidence: float = 0.95) -> Value:
    """The target's value. Raises Refused where its effective sample is below `LEAST_UNITS`, or where the log had not reached what it chooses.

    Source: Dudík, Langford and Li, ICML 2011 (doubly robust); Swaminathan and Joachims, NeurIPS 2015 (self-normalised); Chernozhukov et al.
    2018 (cross-fitting). Intervals are of ratios of sums over units, linearised, with the normal quantile.
    """
    matched_M = log.variant_M == target_N[log.decision_M]
    where = log.decision_M[matched_M]
    weight = log.weight_N[where] / log.propensity_M[matched_M]
    value = log.value_M[matched_M]
    count = len(log.unit_N)
    names, unit_N = np.unique(log.unit_N, return_inverse=True)
    units = len(names)

    def summed(value_K: Floats, decision_K: Ints) -> Floats:
        return _sums(value_K, unit_N[decision_K], units)

    every = np.arange(count)
    by_unit_G, size_G = summed(weight, where), summed(log.weight_N, every)
    square = float((by_unit_G**2).sum())
    effective = float(by_unit_G.sum() ** 2 / square) if square > 0 else 0.0
    z = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    overlap = _ratio(by_unit_G, size_G, _SURE)
    _refuse(effective, overlap, count, int(matched_M.sum()))
    predicted_N = _predicted(log, unit_N, target_N, variants, seed)
    corrected_G = summed(log.weight_N * predicted_N, every) + summed(weight * (value - predicted_N[where]), where)
    return Value(
        ips=_ratio(summed(weight * value, where), size_G, z),
        snips=_ratio(summed(weight * value, where), by_unit_G, z),
        dr=_ratio(corrected_G, size_G, z),
        n=count,
        units=units,
        effective=effective,
        overlap=overlap.value,
        matched=int(matched_M.sum()),
        largest=float(by_unit_G.max() / by_unit_G.sum()),
    )


def _refuse(effective: float, overlap: Interval, count: int, matched: int) -> None:
    if effective < LEAST_UNITS:
        raise Refused(
            f"The log has {matched:,} observations of what the policy would choose on its {count:,} decisions, worth {effective:.0f} "
            f"independent ones; an estimate takes {LEAST_UNITS:.0f}. Let more traffic come in, or explore more of it: [tasks.NAME] explore = "
            "0.05 or more.",
            effective,
            overlap.value,
        )
    if overlap.high < LEAST_OVERLAP:
        raise Refused(
            f"Of what the policy would choose the log could have shown about {overlap.value:.0%} (at most {overlap.high:.0%}); an estimate "
            "takes all of it. Explore the variants that the policy names ([tasks.NAME] explore), or look at traffic since then (--since).",
            effective,
            overlap.value,
        )


def mean_of(value_K: Floats, unit_K: Ints, weight_K: Floats, confidence: float = 0.95) -> Interval:
    """A plain weighted mean over units: what the log itself was worth."""
    _, unit = np.unique(unit_K, return_inverse=True)
    z = NormalDist().inv_cdf((1.0 + confidence) / 2.0)
    units = int(unit.max(initial=-1)) + 1
    return _ratio(_sums(weight_K * value_K, unit, units), _sums(weight_K, unit, units), z)


def _sums(value_K: Floats, unit_K: Ints, units: int) -> Floats:
    return np.asarray(np.bincount(unit_K, weights=value_K, minlength=units), dtype=np.float64)


def _ratio(above_G: Floats, below_G: Floats, z: float) -> Interval:
    """Σ above / Σ below, with the interval of its linearisation over units."""
    total, units = float(below_G.sum()), len(below_G)
    value = float(above_G.sum()) / total
    if units < 2:
        return Interval(value, float("-inf"), float("inf"))
    half = z * float(np.sqrt(units / (units - 1) * ((above_G - value * below_G) ** 2).sum())) / total
    return Interval(value, value - half, value + half)


def _predicted(log: Log, unit_N: Ints, target_N: Ints, variants: int, seed: int) -> Floats:
    """The outcome expected of the target's choice on each decision, by a model that saw none of the decision's unit."""
    fold_G = np.random.default_rng(seed).permutation(int(unit_N.max()) + 1) % FOLDS
    fold_N = fold_G[unit_N]
    x_NF = _scaled(log.x_NF)
    out_N = np.zeros(len(unit_N))
    for fold in range(FOLDS):
        others_M = fold_N[log.decision_M] != fold
        mine_N = fold_N == fold
        mean = float(log.value_M[others_M].mean()) if others_M.any() else 0.0
        for variant in range(variants):
            asked_N = mine_N & (target_N == variant)
            learn_M = others_M & (log.variant_M == variant)
            if asked_N.any():
                out_N[asked_N] = _ridge(x_NF[log.decision_M[learn_M]], log.value_M[learn_M], x_NF[asked_N], mean)
    return out_N


def _scaled(x_NF: Floats) -> Floats:
    """Features with mean 0, equal spread, and length 1 on average."""
    centred = x_NF - x_NF.mean(axis=0)
    spread_F = centred.std(axis=0)
    used = spread_F > 1e-12
    return np.asarray(centred[:, used] / (spread_F[used] * np.sqrt(max(1, int(used.sum())))))


def _ridge(x_KF: Floats, y_K: Floats, at_NF: Floats, otherwise: float) -> Floats:
    """Ridge regression, whose mean is free; `otherwise` where nothing is there to learn from."""
    if len(y_K) == 0:
        return np.full(len(at_NF), otherwise)
    mean_F, mean = x_KF.mean(axis=0), float(y_K.mean())
    x_KF = x_KF - mean_F
    if x_KF.shape[0] < x_KF.shape[1]:  # the same solution by the smaller of the two systems
        coefficients = x_KF.T @ np.linalg.solve(x_KF @ x_KF.T + _RIDGE * np.eye(len(x_KF)), y_K - mean)
    else:
        coefficients = np.linalg.solve(x_KF.T @ x_KF + _RIDGE * np.eye(x_KF.shape[1]), x_KF.T @ (y_K - mean))
    return np.asarray((at_NF - mean_F) @ coefficients + mean)
