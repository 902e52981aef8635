"""Streaming linear discriminant analysis: sums instead of rows, from which the classifier follows.

Source: Hayes and Kanan, Lifelong Machine Learning with Deep Streaming Linear Discriminant Analysis (CVPR Workshops 2020). We differ in four
points. The shared covariance is not updated row by row but follows from sums of whole numbers: the same rows give the same sums in any order
and in any parts, and taking rows out leaves exactly what the others would have given, to the last bit. An answer may have several components
with a mean each (one for each data set that taught it: Hastie and Tibshirani, JRSS B 58 (1996) 155), since the same answer is about something
else in another season. The covariance shrinks towards its mean variance instead of 1. And answers have their priors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.errors import TrainingError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

STEPS = 2**16
"""Into how many steps 1 is cut. A vector of length 1 is known to 1e-5 in each dimension, which is less than int8 embedders differ by."""
_ROWS_AT_ONCE = 2**16
"""Products of two numbers of 16 bits, so many of them, are whole numbers below 2^53: floating-point sums of them are exact in any order."""
_MOST_ROWS = 2**30
"""From there on sums would not fit into 64 bits."""


@dataclass(frozen=True, slots=True)
class Sums:
    """All that is kept of rows: whole numbers, in steps. K components, D dimensions."""

    count_K: Ints
    """Rows of each component."""
    sum_KD: Ints
    """Sum of their vectors."""
    gram_DD: Ints
    """Sum over all rows of each vector times itself."""

    @property
    def dims(self) -> int:
        """D."""
        return int(self.sum_KD.shape[1])

    def __add__(self, other: "Sums") -> "Sums":
        """Those of both, of the same components."""
        return Sums(self.count_K + other.count_K, self.sum_KD + other.sum_KD, self.gram_DD + other.gram_DD)

    def __sub__(self, other: "Sums") -> "Sums":
        """What is left without those rows. Raises TrainingError where they were never in it."""
        left = Sums(self.count_K - other.count_K, self.sum_KD - other.sum_KD, self.gram_DD - other.gram_DD)
        if (left.count_K < 0).any() or (np.diagonal(left.gram_DD) < 0).any():
            raise TrainingError("Rows cannot be taken out of sums that they are not in. Rebuild the sums from the rows that are left.")
        return left


def nothing(components: int, dims: int) -> Sums:
    """The sums of no rows."""
    return Sums(np.zeros(components, np.int64), np.zeros((components, dims), np.int64), np.zeros((dims, dims), np.int64))


def sums_of(vector_ND: NDArray[np.floating], component_N: Ints, components: int) -> Sums:
    """The sums of these rows. Vectors have no number beyond 1 in size. Raises TrainingError for those that have, or are no numbers."""
    if len(vector_ND) > _MOST_ROWS:
        raise TrainingError(f"{len(vector_ND):,} rows are more than sums can hold; {_MOST_ROWS:,} is the most.")
    if vector_ND.size and not np.abs(vector_ND).max() <= 1.0 + 1e-6:  # NaN fails too
        raise TrainingError("A vector has a number beyond 1, or one that is no number. Embedders give vectors of length 1: build it anew.")
    total = nothing(components, vector_ND.shape[1])
    for start in range(0, len(vector_ND), _ROWS_AT_ONCE):
        whole_ND = np.rint(np.clip(vector_ND[start : start + _ROWS_AT_ONCE].astype(np.float64), -1.0, 1.0) * STEPS)
        member_KN = np.zeros((components, len(whole_ND)))
        member_KN[component_N[start : start + _ROWS_AT_ONCE], np.arange(len(whole_ND))] = 1.0
        count_K, sum_KD, gram_DD = member_KN.sum(axis=1), member_KN @ whole_ND, whole_ND.T @ whole_ND
        total = total + Sums(count_K.astype(np.int64), sum_KD.astype(np.int64), gram_DD.astype(np.int64))
    return total


def joined(parts: Sequence[Sums]) -> Sums:
    """Sums of different components as one: theirs stand after one another."""
    gram_DD = sum((part.gram_DD for part in parts[1:]), parts[0].gram_DD)
    return Sums(np.concatenate([part.count_K for part in parts]), np.concatenate([part.sum_KD for part in parts]), gram_DD)


@dataclass(frozen=True, slots=True)
class Discriminant:
    """A linear score for each component: how likely it is, and the vector in it, up to what all have in common."""

    weight_DK: Floats
    bias_K: Floats

    def scores(self, vector_ND: NDArray[np.floating]) -> Floats:
        """Shape N by K."""
        found_NK: Floats = vector_ND @ self.weight_DK + self.bias_K
        return found_NK


def discriminant(sums: Sums, shrink: float = 0.01) -> Discriminant:
    """The classifier of these sums: log prior + w·x - ½ μ·w with w = Σ⁻¹μ and Σ = (1-shrink) S + shrink tr(S)/D (Hayes and Kanan, eq. 2 and 3).

    S is the covariance within components. A component without rows is never chosen. Raises TrainingError where there are no rows at all.
    """
    from scipy.linalg import cho_factor, cho_solve

    rows = int(sums.count_K.sum())
    if rows == 0:
        raise TrainingError("There is no row to learn from.")
    has_K = sums.count_K > 0
    mean_KD = sums.sum_KD / np.maximum(sums.count_K, 1)[:, None] / STEPS
    gram_DD = sums.gram_DD / float(STEPS) ** 2
    within_DD = (gram_DD - (mean_KD.T * sums.count_K) @ mean_KD) / max(1, rows - int(has_K.sum()))
    variance = max(float(np.trace(within_DD)) / sums.dims, 1.0 / STEPS**2)
    covariance_DD = (1.0 - shrink) * within_DD
    covariance_DD[np.diag_indices(sums.dims)] += max(shrink, 1e-9) * variance
    weight_DK = cho_solve(cho_factor(covariance_DD), mean_KD.T)
    prior_K = np.log(np.maximum(sums.count_K, 1) / rows)
    bias_K = prior_K - 0.5 * np.einsum("kd,dk->k", mean_KD, weight_DK)
    return Discriminant(np.asarray(weight_DK), np.where(has_K, bias_K, -np.inf))


def nearest_mean(sums: Sums) -> Discriminant:
    """The classifier that takes the component whose mean is nearest: all directions count alike, and nothing but means is kept."""
    mean_KD = sums.sum_KD / np.maximum(sums.count_K, 1)[:, None] / STEPS
    return Discriminant(mean_KD.T.copy(), np.where(sums.count_K > 0, -0.5 * (mean_KD**2).sum(axis=1), -np.inf))
