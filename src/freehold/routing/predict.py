"""Predicting the paired loss of each variant for one input: arrays that training froze, and the few lines that read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_ROWS = 512
"""Inputs looked at together, so that no matrix of inputs by training items grows large."""
_FARTHEST = 4.0
"""Standard deviations beyond which a surface feature says no more: of an input unlike all others it would decide everything."""
_SURFACE_WEIGHT = 0.6
"""Against an embedding of length 1. Settled on RouteLLM's MMLU and GSM8K with MiniLM."""
_IMAGINED = 0.5
"""Items with the mean loss of all that are imagined beside the real ones, at the cosine `_IMAGINED_AT`."""
_IMAGINED_AT = 0.5


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
class Kernel:
    """Kernel ridge regression: a smooth function of surface features and embedding together, through `M` landmarks among the training items."""

    mean_S: Floats
    """Means of the surface features."""
    scale_S: Floats
    """Their standard deviations."""
    landmark_MF: NDArray[np.float32]
    """The landmarks, as `kernel_inputs` gives them."""
    coef_MV: Floats
    intercept_V: Floats

    def predict(self, x_NF: Floats) -> Floats:
        """As `Predictor.predict`."""
        out = np.empty((len(x_NF), len(self.intercept_V)))
        for begin in range(0, len(x_NF), _ROWS):
            z_NF = kernel_inputs(x_NF[begin : begin + _ROWS], self.mean_S, self.scale_S)
            out[begin : begin + _ROWS] = gaussian(z_NF, self.landmark_MF) @ self.coef_MV + self.intercept_V
        return out


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The mean loss on training items, each weighed by how near it is (by cosine), shrunk towards the mean of all."""

    start: int
    """Where the embedding begins among the features."""
    embedding_MD: NDArray[np.float32]
    loss_MV: Floats
    mean_V: Floats
    reach: float
    """How much less like an item may be before it weighs e times less."""

    def predict(self, x_NF: Floats) -> Floats:
        """As `Predictor.predict`."""
        (told_NV,) = self.predict_at(x_NF, (self.reach,))
        return np.asarray(told_NV)

    def predict_at(self, x_NF: Floats, reaches: Sequence[float]) -> Floats:
        """What it would predict with each of R reaches, R by N by V: how like everything is to everything is worked out once."""
        embedding_ND = x_NF[:, self.start :].astype(np.float32)
        out_RNV = np.empty((len(reaches), len(x_NF), self.loss_MV.shape[1]))
        for begin in range(0, len(x_NF), _ROWS):
            likeness_NM = embedding_ND[begin : begin + _ROWS] @ self.embedding_MD.T
            for r, reach in enumerate(reaches):
                out_RNV[r, begin : begin + _ROWS] = nearby_mean(nearness(likeness_NM, reach), self.loss_MV, self.mean_V, reach)
        return out_RNV


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
        return nearest_centroid(x_NF[:, self.start :], self.centroid_KD)[0]


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

    first: "Linear | Kernel | Difficulty"
    second: Neighbours

    def predict(self, x_NF: Floats) -> Floats:
        """As `Predictor.predict`."""
        return (self.first.predict(x_NF) + self.second.predict(x_NF)) / 2


AnyPredictor: TypeAlias = Constant | Linear | Kernel | Neighbours | Regions | Difficulty | Blend


def kernel_inputs(x_NF: Floats, mean_S: Floats, scale_S: Floats) -> NDArray[np.float32]:
    """Features as a kernel compares them: the S surface features standardised, bounded, and together of weight .6; the embedding as it is."""
    z_NF = x_NF.astype(np.float32)
    surface = np.clip((x_NF[:, : len(mean_S)] - mean_S) / scale_S, -_FARTHEST, _FARTHEST)
    z_NF[:, : len(mean_S)] = surface * (_SURFACE_WEIGHT / np.sqrt(max(1, len(mean_S))))
    return z_NF


def gaussian(z_NF: NDArray[np.float32], landmark_MF: NDArray[np.float32]) -> Floats:
    """exp(-|z - landmark|²), N by M."""
    square_NM = (z_NF**2).sum(axis=1)[:, None] + (landmark_MF**2).sum(axis=1) - 2.0 * (z_NF @ landmark_MF.T)
    return np.asarray(np.exp(-np.maximum(square_NM, 0.0), dtype=np.float64))


def nearness(likeness_NM: NDArray[np.float32], reach: float) -> Floats:
    """The weight of each of M items for each of N inputs, from their cosines."""
    return np.asarray(np.exp((likeness_NM - 1.0) / reach, dtype=np.float64))


def nearby_mean(weight_NM: Floats, loss_MV: Floats, mean_V: Floats, reach: float) -> Floats:
    """The weighted mean loss, N by V, with half an item of mean loss imagined at cosine one half."""
    imagined = _IMAGINED * np.exp((_IMAGINED_AT - 1.0) / reach)
    mean_NV: Floats = (weight_NM @ loss_MV + imagined * mean_V) / (weight_NM.sum(axis=1, keepdims=True) + imagined)
    return mean_NV


def nearest_centroid(embedding_ND: Floats, centroid_KD: NDArray[np.float32]) -> tuple[NDArray[np.int64], Floats]:
    """Index of the nearest centroid (Euclidean) of each row, and how near it is: greater is nearer, among rows of one length."""
    half_norm_K = 0.5 * (centroid_KD.astype(np.float64) ** 2).sum(axis=1)
    nearness_NK = embedding_ND @ centroid_KD.T.astype(np.float64) - half_norm_K
    nearest_N: NDArray[np.int64] = np.argmax(nearness_NK, axis=1)
    return nearest_N, nearness_NK.max(axis=1)


def cheapest_within(loss_NV: Floats, cost_NV: Floats, allowed_V: NDArray[np.bool_], threshold: float) -> NDArray[np.int64]:
    """For each item the column of the cheapest allowed variant predicted to lose at most `threshold`; 0, the reference, where none is.

    Column 0 is the reference, whose predicted loss is 0 by definition. Ties go to the first column. Unknown cost (NaN) comes last.
    """
    eligible = (loss_NV <= threshold) & allowed_V
    cost = np.where(eligible, np.where(np.isnan(cost_NV), np.finfo(np.float64).max, cost_NV), np.inf)
    choice = np.argmin(cost, axis=1)
    return np.where(eligible.any(axis=1), choice, 0)
