"""What a choice of variants costs, saves and scores on given items, as recorded."""

import numpy as np
from numpy.typing import NDArray

from freehold.datasets.pairs import Pairs

Floats = NDArray[np.float64]


def unpriced_of(pairs: Pairs) -> tuple[str, ...]:
    """The variants none of whose costs is known."""
    return tuple(name for v, name in enumerate(pairs.variants) if np.isnan(pairs.cost_NV[:, v]).all())


def mean_of(value_N: Floats) -> float | None:
    return float(value_N.mean()) if len(value_N) else None


def share_of(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_]) -> dict[str, float]:
    """The share of items each variant answers, those that answer any."""
    counts = np.bincount(choice_N[keep_N], minlength=len(pairs.variants))
    return {variant: float(n / keep_N.sum()) for variant, n in zip(pairs.variants, counts, strict=True) if n}


def mean_quality(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_]) -> float | None:
    """Mean score of the chosen answers; None unless every one of them has a score."""
    score_N = pairs.score_NV[np.arange(len(pairs)), choice_N][keep_N]
    return None if len(score_N) == 0 or np.isnan(score_N).any() else float(score_N.mean())


def costed(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_], unit: str) -> NDArray[np.bool_]:
    """Of the items kept, those a saving is computed on: all where it is a share of calls, else those with both costs known."""
    both_N = ~np.isnan(pairs.cost_NV[np.arange(len(pairs)), choice_N]) & ~np.isnan(pairs.cost_NV[:, 0])
    return keep_N if unit == "calls" else keep_N & both_N


def saving_of(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_], unit: str) -> float | None:
    """1 - recorded cost of the choices / recorded cost of the reference, over items where both are known."""
    if not keep_N.any():
        return None
    if unit == "calls":
        return float((choice_N[keep_N] != 0).mean())
    here = np.flatnonzero(costed(pairs, choice_N, keep_N, unit))
    before = pairs.cost_NV[here, 0].sum()
    return float(1.0 - pairs.cost_NV[here, choice_N[here]].sum() / before) if before > 0 else None


def cost_per_1k(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_]) -> float | None:
    cost_N = pairs.cost_NV[np.arange(len(pairs)), choice_N][keep_N]
    return None if len(cost_N) == 0 or np.isnan(cost_N).any() else float(1000.0 * cost_N.mean())
