"""Whether inputs have changed: two samples of embeddings compared by a permutation test, and what many such looks say together."""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

PERMUTATIONS = 1_999
_AT_ONCE = 256


class Compared(NamedTuple):
    """Two samples beside each other."""

    distance: float
    """Squared maximum mean discrepancy, unbiased: about 0 where both are drawn alike."""
    p: float
    """The share of permutations, this arrangement among them, that lie at least as far apart: exact for exchangeable inputs."""


def compare(before_ND: NDArray[np.float32], now_MD: NDArray[np.float32], seed: int, permutations: int = PERMUTATIONS) -> Compared:
    """Maximum mean discrepancy with a Gaussian kernel, as wide as the median distance. The caller bounds N + M: the kernel is its square.

    Source: Gretton et al., JMLR 13 (2012) 723. The width comes from both samples together, so that it stays the same under a permutation.
    """
    pooled_KD = np.vstack([before_ND, now_MD]).astype(np.float64)
    count, first = len(pooled_KD), len(before_ND)
    square_K = (pooled_KD**2).sum(axis=1)
    distance_KK = np.maximum(square_K[:, None] + square_K - 2.0 * pooled_KD @ pooled_KD.T, 0.0)
    apart = distance_KK[np.triu_indices(count, 1)]
    median = float(np.median(apart)) if len(apart) else 1.0
    kernel_KK = np.exp(-distance_KK / (median if median > 0 else 1.0))
    np.fill_diagonal(kernel_KK, 0.0)
    rng = np.random.default_rng(seed)
    here = float(_discrepancies(kernel_KK, np.arange(count)[None, :] < first, first)[0])
    as_far = 0
    for begin in range(0, permutations, _AT_ONCE):
        some = min(_AT_ONCE, permutations - begin)
        order = rng.permuted(np.tile(np.arange(count), (some, 1)), axis=1)
        as_far += int((_discrepancies(kernel_KK, order < first, first) >= here - 1e-12).sum())
    return Compared(here, (1 + as_far) / (1 + permutations))


def _discrepancies(kernel_KK: Floats, is_before_BK: NDArray[np.bool_], first: int) -> Floats:
    """The statistic of B ways to deal the inputs out, the kernel's diagonal being 0."""
    second = is_before_BK.shape[1] - first
    before_BK = is_before_BK.astype(np.float64)
    with_before_BK = before_BK @ kernel_KK
    within = (with_before_BK * before_BK).sum(axis=1)
    across = with_before_BK.sum(axis=1) - within
    other = float(kernel_KK.sum()) - within - 2.0 * across
    spread = within / (first * (first - 1)) + other / (second * (second - 1)) - 2.0 * across / (first * second)
    return np.asarray(spread)


def evidence_of(p: float) -> float:
    """What a p-value is worth as a bet: (1 - p + p ln p) / (p (ln p)²), whose mean under the null is 1.

    Source: Vovk and Wang, Annals of Statistics 49 (2021) 1736, the mixture of all calibrators κ p^(κ - 1).
    """
    if p >= 1.0:
        return 0.5
    log = math.log(p)
    return (1.0 - p + p * log) / (p * log * log)


def carried(before: float, p: float) -> float:
    """The evidence after one more look, as an e-CUSUM over looks: it reaches A after A looks or more on average while nothing changes.

    That holds for looks each of which compares new inputs with a sample, drawn anew, of all earlier ones: for exchangeable inputs the
    p-values of such looks are independent.
    """
    return max(before, 1.0) * evidence_of(p)
