"""Predicting the paired loss of each variant for one input: arrays that training froze, and the few lines that read them."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


class Predictor(Protocol):
    """Says how much each variant would lose against the reference."""

    def predict(self, x_NF: Floats) -> Floats:
        """Predicted loss, shape N by V, of the variants it was fitted for."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Every input alike: each variant's mean loss."""

    loss_V: Floats

    def predict(self, x_NF: Floats) -> Floats:
        """As `Predictor.predict`."""
        return np.broadcast_to(self.loss_V, (len(x_NF), len(self.loss_V))).copy()


@dataclass(frozen=True, slots=True)
class Linear:
    """Ridge regression of every variant's loss on the standardised features."""

    mean_F: Floats
    scale_F: Floats
    coef_FV: Floats
    intercept_V: Floats

    def predict(self, x_NF: Floats) -> Floats:
        """As `Predictor.predict`."""
        return ((x_NF - self.mean_F) / self.scale_F) @ self.coef_FV + self.intercept_V


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The mean loss on the nearest training items by cosine, shrunk towards the mean of all."""

    start: int
    """Where the embedding begins among the features."""
    embedding_MD: NDArray[np.float32]
    loss_MV: Floats
    mean_V: Floats
    k: int
    shrink: float
    """How many imagined neighbours with the mean loss stand beside the real ones."""

    def predict(self, x_NF: Floats) -> Floats:
        """As `Predictor.predict`."""
        embedding_ND = x_NF[:, self.start :].astype(np.float32)
        k = min(self.k, len(self.embedding_MD))
        out = np.empty((len(x_NF), self.loss_MV.shape[1]))
        for begin in range(0, len(x_NF), 512):
            likeness = embedding_ND[begin : begin + 512] @ self.embedding_MD.T
            nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
            total = self.loss_MV[nearest].sum(axis=1)
            out[begin : begin + 512] = (total + self.shrink * self.mean_V) / (k + self.shrink)
        return out


@dataclass(frozen=True, slots=True)
class Regions:
    """The mean loss in the region of traffic an input lies in, shrunk towards the mean of all."""

    start: int
    centroid_KD: NDArray[np.float32]
    loss_KV: Floats

    def predict(self, x_NF: Floats) -> Floats:
        """As `Predictor.predict`."""
        return self.loss_KV[self.region(x_NF)]

    def region(self, x_NF: Floats) -> NDArray[np.int64]:
        """The nearest centroid of each input, shape N."""
        return nearest_centroid(x_NF[:, self.start :], self.centroid_KD)


@dataclass(frozen=True, slots=True)
class Difficulty:
    """One difficulty for each input, learnt from all variants together, and each variant's own line over it.

    With many variants recorded, the share of them that fail on an item says more about it than one variant's single failure does.
    """

    difficulty: Linear
    slope_V: Floats
    intercept_V: Floats

    def predict(self, x_NF: Floats) -> Floats:
        """As `Predictor.predict`."""
        return self.difficulty.predict(x_NF) * self.slope_V + self.intercept_V


@dataclass(frozen=True, slots=True)
class Blend:
    """The mean of two predictors."""

    first: "Linear | Difficulty"
    second: Neighbours

    def predict(self, x_NF: Floats) -> Floats:
        """As `Predictor.predict`."""
        return (self.first.predict(x_NF) + self.second.predict(x_NF)) / 2


AnyPredictor: TypeAlias = Constant | Linear | Neighbours | Regions | Difficulty | Blend


def nearest_centroid(embedding_ND: Floats, centroid_KD: NDArray[np.float32]) -> NDArray[np.int64]:
    """Index of the nearest centroid (Euclidean) of each row."""
    half_norm_K = 0.5 * (centroid_KD.astype(np.float64) ** 2).sum(axis=1)
    nearest_N: NDArray[np.int64] = np.argmax(embedding_ND @ centroid_KD.T.astype(np.float64) - half_norm_K, axis=1)
    return nearest_N


def cheapest_within(loss_NV: Floats, cost_NV: Floats, allowed_V: NDArray[np.bool_], threshold: float) -> NDArray[np.int64]:
    """For each item the column of the cheapest allowed variant predicted to lose at most `threshold`; 0, the reference, where none is.

    Column 0 is the reference, whose predicted loss is 0 by definition. Ties go to the first column. Unknown cost (NaN) comes last.
    """
    eligible = (loss_NV <= threshold) & allowed_V
    cost = np.where(eligible, np.where(np.isnan(cost_NV), np.finfo(np.float64).max, cost_NV), np.inf)
    choice = np.argmin(cost, axis=1)
    return np.where(eligible.any(axis=1), choice, 0)
