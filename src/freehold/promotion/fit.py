"""Fits what predicts the paired loss of each variant, on training items alone, and says how well each did out of fold."""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.routing.predict import (
    AnyPredictor,
    Blend,
    Constant,
    Difficulty,
    Kernel,
    Linear,
    Neighbours,
    Regions,
    gaussian,
    kernel_inputs,
)

Floats: TypeAlias = NDArray[np.float64]

FOLDS = 5
_ALPHAS = np.geomspace(10, 1e5, 13)
_KERNEL_ALPHAS = np.geomspace(0.1, 1e3, 13)
_LANDMARKS = 1000
"""More gain nothing on MMLU (1,000: APGR .663, 2,000: .660) and cost their square; 400 lose .007."""
_REACHES = (0.05, 0.08, 0.12, 0.18)
_SHRINK = 8.0
_POOLED_FROM = 5
"""From this many recorded variants on, a difficulty learnt from all of them is worth a predictor of its own."""


class Fitted(NamedTuple):
    """A predictor fitted on all training items, and what it says of each when that item's fold was left out."""

    predictor: AnyPredictor
    oof_NV: Floats


class Sample(NamedTuple):
    """Training items as predictors see them."""

    x_NF: Floats
    """Features: scaled surface features, then the embedding."""
    start: int
    """Where the embedding begins."""
    loss_NV: Floats
    """Paired losses to predict, no NaN."""
    pooled_N: Floats | None
    """The mean paired loss over every variant recorded, to learn difficulty from; None where they are few."""
    fold_N: NDArray[np.int64]
    """The fold of each item; a group never straddles."""


def folds(groups: NDArray[np.int64], seed: int, count: int = FOLDS) -> NDArray[np.int64]:
    """Seeded folds of groups, shape N."""
    names, code = np.unique(groups, return_inverse=True)
    return (np.random.default_rng(seed).permutation(len(names)) % count)[code]


def pooled_loss(score_NV: Floats) -> Floats | None:
    """The reference's score (column 0) less the mean score of all other variants; None where fewer than five are recorded."""
    others = score_NV[:, 1:]
    known = ~np.isnan(others)
    if known.shape[1] < _POOLED_FROM or not known.any(axis=1).all() or np.isnan(score_NV[:, 0]).any():
        return None
    mean_N: Floats = np.nansum(others, axis=1) / known.sum(axis=1)
    return score_NV[:, 0] - mean_N


def fit_predictors(sample: Sample, seed: int) -> dict[str, Fitted]:
    """Every kind of predictor the sample allows, by name."""
    fitted = {
        "constant": _constant(sample),
        "linear": _linear(sample),
        "kernel": _kernel(sample, seed),
        "neighbours": _neighbours(sample),
        "regions": _regions(sample, seed),
    }
    smooth = [fitted["linear"], fitted["kernel"]]
    if sample.pooled_N is not None:
        fitted["difficulty"] = _difficulty(sample, sample.pooled_N)
        smooth.append(fitted["difficulty"])
    far = min(smooth, key=lambda f: float(((f.oof_NV - sample.loss_NV) ** 2).mean()))
    near = fitted["neighbours"]
    assert isinstance(far.predictor, Linear | Kernel | Difficulty) and isinstance(near.predictor, Neighbours)
    fitted["blend"] = Fitted(Blend(far.predictor, near.predictor), (far.oof_NV + near.oof_NV) / 2)
    return fitted


def _constant(sample: Sample) -> Fitted:
    oof = np.empty_like(sample.loss_NV)
    for fold in np.unique(sample.fold_N):
        out = sample.fold_N == fold
        oof[out] = sample.loss_NV[~out].mean(axis=0)
    return Fitted(Constant(sample.loss_NV.mean(axis=0)), oof)


def _linear(sample: Sample) -> Fitted:
    inside = [sample.fold_N != f for f in np.unique(sample.fold_N)]
    fits = [_ridge_path(sample.x_NF[i], sample.loss_NV[i], sample.start) for i in inside]
    best, best_error, best_oof = 0, np.inf, np.empty(0)
    for a in range(len(_ALPHAS)):
        oof = np.empty_like(sample.loss_NV)
        for f, path in zip(np.unique(sample.fold_N), fits, strict=True):
            oof[sample.fold_N == f] = path[a].predict(sample.x_NF[sample.fold_N == f])
        error = float(((oof - sample.loss_NV) ** 2).mean())
        if error < best_error:
            best, best_error, best_oof = a, error, oof
    return Fitted(_ridge_path(sample.x_NF, sample.loss_NV, sample.start)[best], best_oof)


def _ridge_path(x_NF: Floats, y_NV: Floats, start: int) -> list[Linear]:
    """Ridge regression at every penalty, from one eigendecomposition.

    The embedding as a whole is scaled to vary as much as the surface features do together: with every column alike, hundreds of dimensions
    that tell nothing drown out the few features that do (RouteLLM's GSM8K on MiniLM: APGR .588 before, .613 so; no change on MMLU).
    """
    mean, scale = x_NF.mean(axis=0), x_NF.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    if 0 < start < x_NF.shape[1]:
        scale[start:] *= np.sqrt((x_NF.shape[1] - start) / start)
    z_NF = (x_NF - mean) / scale
    coef_AFV, centre_V = _ridge(z_NF.T @ z_NF, z_NF, y_NV, _ALPHAS)
    return [Linear(mean, scale, coef_FV, centre_V) for coef_FV in coef_AFV]


def _ridge(gram_MM: Floats, phi_NM: Floats, y_NV: Floats, alphas: Floats) -> tuple[Floats, Floats]:
    """Coefficients at each of A penalties, A by M by V, and the intercepts, from one eigendecomposition of φᵀφ."""
    centre_V = y_NV.mean(axis=0)
    values, vectors = np.linalg.eigh(gram_MM)
    turned_MV = vectors.T @ (phi_NM.T @ (y_NV - centre_V))
    return np.stack([vectors @ (turned_MV / (np.maximum(values, 0.0) + alpha)[:, None]) for alpha in alphas]), centre_V


def _kernel(sample: Sample, seed: int) -> Fitted:
    """Kernel ridge regression with a Gaussian kernel on at most a thousand seeded landmarks.

    Of single predictors tried it ranks best on MMLU, and .005 of APGR below ridge on GSM8K (docs/log.md). A landmark is a training item's
    features and never its loss, so that out-of-fold predictions stay so. Source: Williams and Seeger, NIPS 13 (2001) 682, in the
    subset-of-regressors form.
    """
    surface_NS = sample.x_NF[:, : sample.start]
    mean_S, spread_S = surface_NS.mean(axis=0), surface_NS.std(axis=0)
    scale_S = np.where(spread_S > 1e-9, spread_S, 1.0)
    z_NF = kernel_inputs(sample.x_NF, mean_S, scale_S)
    landmark_MF = z_NF[np.random.default_rng(seed).permutation(len(z_NF))[:_LANDMARKS]]
    whitener_MM = _whitener(gaussian(landmark_MF, landmark_MF))
    phi_NM = gaussian(z_NF, landmark_MF) @ whitener_MM
    names, y_NV = np.unique(sample.fold_N), sample.loss_NV
    gram_KMM = [phi_NM[sample.fold_N == f].T @ phi_NM[sample.fold_N == f] for f in names]
    whole_MM = np.sum(gram_KMM, axis=0)
    oof_ANV = np.empty((len(_KERNEL_ALPHAS), *y_NV.shape))
    for f, gram_MM in zip(names, gram_KMM, strict=True):
        out = sample.fold_N == f
        coef_AMV, centre_V = _ridge(whole_MM - gram_MM, phi_NM[~out], y_NV[~out], _KERNEL_ALPHAS)
        oof_ANV[:, out] = phi_NM[out] @ coef_AMV + centre_V
    best = int(np.argmin(((oof_ANV - y_NV) ** 2).mean(axis=(1, 2))))
    coef_AMV, centre_V = _ridge(whole_MM, phi_NM, y_NV, _KERNEL_ALPHAS[best : best + 1])
    return Fitted(Kernel(mean_S, scale_S, landmark_MF, whitener_MM @ coef_AMV[0], centre_V), oof_ANV[best])


def _whitener(kernel_MM: Floats) -> Floats:
    """W with W Wᵀ the inverse of the kernel matrix, but for what single precision cannot tell from nothing."""
    values, vectors = np.linalg.eigh(kernel_MM)
    kept = values > 1e-5 * values[-1]
    whitener: Floats = vectors[:, kept] / np.sqrt(values[kept])
    return whitener


def _neighbours(sample: Sample) -> Fitted:
    """Every training item weighed by nearness; how fast that falls is what errs least out of fold."""
    embedding_ND = np.ascontiguousarray(sample.x_NF[:, sample.start :], dtype=np.float32)
    oof_RNV = np.empty((len(_REACHES), *sample.loss_NV.shape))
    for f in np.unique(sample.fold_N):
        out = sample.fold_N == f
        inside = Neighbours(0, embedding_ND[~out], sample.loss_NV[~out], sample.loss_NV[~out].mean(axis=0), _REACHES[0])
        oof_RNV[:, out] = inside.predict_at(embedding_ND[out], _REACHES)
    best = int(np.argmin(((oof_RNV - sample.loss_NV) ** 2).mean(axis=(1, 2))))
    return Fitted(Neighbours(sample.start, embedding_ND, sample.loss_NV, sample.loss_NV.mean(axis=0), _REACHES[best]), oof_RNV[best])


def _regions(sample: Sample, seed: int) -> Fitted:
    centroid_KD = centroids(sample.x_NF[:, sample.start :], max(2, min(60, len(sample.x_NF) // 25)), seed)
    regions = Regions(sample.start, centroid_KD, np.empty((0, 0)))
    region_N = regions.region(sample.x_NF)
    oof = np.empty_like(sample.loss_NV)
    for f in np.unique(sample.fold_N):
        out = sample.fold_N == f
        oof[out] = _shrunken_means(region_N[~out], sample.loss_NV[~out], len(centroid_KD))[region_N[out]]
    return Fitted(Regions(sample.start, centroid_KD, _shrunken_means(region_N, sample.loss_NV, len(centroid_KD))), oof)


def centroids(embedding_ND: Floats, count: int, seed: int) -> NDArray[np.float32]:
    """Centres of `count` regions by k-means (scikit-learn), or as many as there are distinct inputs."""
    from sklearn.cluster import KMeans

    count = min(count, len(np.unique(embedding_ND.round(6), axis=0)))
    return np.asarray(KMeans(n_clusters=count, n_init=3, random_state=seed).fit(embedding_ND).cluster_centers_, dtype=np.float32)


def _shrunken_means(region_N: NDArray[np.int64], loss_NV: Floats, count: int) -> Floats:
    """The mean loss of each region, K by V, drawn towards the mean of all as if eight more items had that."""
    sums = np.zeros((count, loss_NV.shape[1]))
    np.add.at(sums, region_N, loss_NV)
    sizes = np.bincount(region_N, minlength=count)[:, None]
    means: Floats = (sums + _SHRINK * loss_NV.mean(axis=0)) / (sizes + _SHRINK)
    return means


def _difficulty(sample: Sample, pooled_N: Floats) -> Fitted:
    line = _linear(sample._replace(loss_NV=pooled_N[:, None]))
    assert isinstance(line.predictor, Linear)
    oof = np.empty_like(sample.loss_NV)
    for f in np.unique(sample.fold_N):
        out = sample.fold_N == f
        slope, intercept = _lines(line.oof_NV[~out, 0], sample.loss_NV[~out])
        oof[out] = line.oof_NV[out] * slope + intercept
    return Fitted(Difficulty(line.predictor, *_lines(line.oof_NV[:, 0], sample.loss_NV)), oof)


def _lines(difficulty_N: Floats, loss_NV: Floats) -> tuple[Floats, Floats]:
    """Slope and intercept of each variant's loss over difficulty, the slope drawn towards 1 as if fifty more items had that."""
    centre, centre_V = difficulty_N.mean(), loss_NV.mean(axis=0)
    spread = difficulty_N - centre
    more = 50.0 * float(spread @ spread) / len(spread)
    slope_V = (spread @ (loss_NV - centre_V) + more) / max(float(spread @ spread) + more, 1e-12)
    return slope_V, centre_V - slope_V * centre
