"""What a choice of variants costs, saves and scores on given items, as recorded.

Items that were drawn with unequal probabilities count by the inverse of theirs, so that all of it is about the traffic they were drawn from
(Hájek's ratio of weighted sums).
"""

import numpy as np
from numpy.typing import NDArray

from freehold.datasets.pairs import Pairs

Floats = NDArray[np.float64]


def unpriced_of(pairs: Pairs) -> tuple[str, ...]:
    """The variants none of whose costs is known."""
    return tuple(name for v, name in enumerate(pairs.variants) if np.isnan(pairs.cost_NV[:, v]).all())


def weight_of(pairs: Pairs) -> Floats | None:
    """Inverse inclusion probabilities; 1 of items that were not drawn; None where all count alike."""
    known_N = pairs.inclusion_N[~np.isnan(pairs.inclusion_N)]
    if len(known_N) == 0 or np.ptp(known_N) < 1e-12:
        return None
    weight_N: Floats = 1.0 / np.where(np.isnan(pairs.inclusion_N), 1.0, pairs.inclusion_N)
    return weight_N


def mean_of(pairs: Pairs, value_N: Floats, keep_N: NDArray[np.bool_]) -> float | None:
    """The mean of a value over the items kept; None without any."""
    weight_N = weight_of(pairs)
    if not keep_N.any():
        return None
    return float(value_N[keep_N].mean() if weight_N is None else np.average(value_N[keep_N], weights=weight_N[keep_N]))


def sum_of(pairs: Pairs, value_N: Floats, at: NDArray[np.int64]) -> float:
    """The sum of a value over some items."""
    weight_N = weight_of(pairs)
    return float(value_N.sum() if weight_N is None else (value_N * weight_N[at]).sum())


def share_of(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_]) -> dict[str, float]:
    """The share of items each variant answers, those that answer any."""
    weight_N = weight_of(pairs)
    kept_N = None if weight_N is None else weight_N[keep_N]
    counts = np.bincount(choice_N[keep_N], weights=kept_N, minlength=len(pairs.variants))
    return {variant: float(n / counts.sum()) for variant, n in zip(pairs.variants, counts, strict=True) if n}


def mean_quality(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_]) -> float | None:
    """Mean score of the chosen answers; None unless every one of them has a score."""
    score_N = pairs.score_NV[np.arange(len(pairs)), choice_N]
    return None if np.isnan(score_N[keep_N]).any() else mean_of(pairs, score_N, keep_N)


def costed(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_], unit: str) -> NDArray[np.bool_]:
    """Of the items kept, those a saving is computed on: all where it is a share of calls, else those with both costs known."""
    both_N = ~np.isnan(pairs.cost_NV[np.arange(len(pairs)), choice_N]) & ~np.isnan(pairs.cost_NV[:, 0])
    return keep_N if unit == "calls" else keep_N & both_N


def saving_of(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_], unit: str) -> float | None:
    """1 - recorded cost of the choices / recorded cost of the reference, over items where both are known."""
    if not keep_N.any():
        return None
    if unit == "calls":
        return mean_of(pairs, (choice_N != 0).astype(np.float64), keep_N)
    here = np.flatnonzero(costed(pairs, choice_N, keep_N, unit))
    before = sum_of(pairs, pairs.cost_NV[here, 0], here)
    return 1.0 - sum_of(pairs, pairs.cost_NV[here, choice_N[here]], here) / before if before > 0 else None


def cost_per_1k(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_]) -> float | None:
    cost_N = pairs.cost_NV[np.arange(len(pairs)), choice_N]
    mean = None if np.isnan(cost_N[keep_N]).any() else mean_of(pairs, cost_N, keep_N)
    return None if mean is None else 1000.0 * mean
