"""Heads: linear classifiers over hashed n-grams and vectors, trained in seconds from recorded answers."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.errors import TrainingError
from freehold.routing.embed import Embedder
from freehold.routing.features import DIMS, hashed_matrix
from freehold.routing.head import Head, softmax
from freehold.training.beliefs import LEAST
from freehold.training.continual.slda import discriminant, sums_of

MOST_ANSWERS = 500
"""A head answers from a closed set; a task with more distinct answers than this asks for something else."""
_NEVER = -1e4
"""The score of a class that no item has."""
MOST_FOR_LOGISTIC = 3_000
"""Rows up to which logistic regression on vectors is tried: with few rows of each class it does better than margins, and takes longer with many."""


def is_learnable(labels: Sequence[JSON]) -> bool:
    """Whether these answers are few enough, and repeat enough, for a head to be worth fitting."""
    distinct = len({canonical_json(label) for label in labels})
    return 2 <= distinct <= MOST_ANSWERS and len(labels) >= 3 * distinct


class Classes(NamedTuple):
    """The distinct answers in the order of their canonical JSON, and the place of each row's."""

    answers: tuple[JSON, ...]
    y_N: NDArray[np.int64]


def classes_of(labels: Sequence[JSON]) -> Classes:
    """The classes of these answers. Raises TrainingError where there are fewer than two."""
    by_key = {canonical_json(label): label for label in labels}
    keys = sorted(by_key)
    if len(keys) < 2:
        raise TrainingError(f"A head needs at least two distinct answers to learn from; the training part has {len(keys)}.")
    place = {key: c for c, key in enumerate(keys)}
    return Classes(tuple(by_key[key] for key in keys), np.array([place[canonical_json(label)] for label in labels]))


def fit_head(texts: Sequence[str], labels: Sequence[JSON], folds_N: NDArray[np.int64], seed: int = 0) -> tuple[Head, NDArray[np.float64]]:
    """A head fitted on all items, and the probabilities, shape N by C, that heads fitted without an item's fold give it.

    A support vector machine per class (scikit-learn's LinearSVC: on 77 classes as accurate as logistic regression and ten times
    faster to fit), margins to probabilities by one temperature that minimises the log loss out of fold (Guo et al., ICML 2017).
    Raises TrainingError when there are fewer than two distinct answers.
    """
    answers, y_N = classes_of(labels)
    logits_NC = out_of_fold(texts, None, y_N, len(answers), folds_N, HASHED, seed)
    temperature = temperature_for(logits_NC, y_N)
    whole = fit(texts, None, y_N, len(answers), HASHED, seed)
    return whole.head(answers, temperature, None), softmax(logits_NC / temperature)


class Shape(NamedTuple):
    """What a linear model looks at, and how it is fitted."""

    name: str
    has_words: bool
    """Whether it looks at hashed n-grams."""
    scale: float
    """What vectors are multiplied by beside them; 0 for none."""
    by: Literal["margins", "logistic", "discriminant"] = "margins"
    """A support vector machine per class, logistic regression, or the linear discriminant (`continual/slda.py`)."""
    shrink: float = 0.0
    """Of a discriminant: how much the covariance is drawn to its mean variance."""


HASHED = Shape("words", True, 0.0)
BOTH = (Shape("words and vectors", True, 1.0), Shape("words and vectors, these doubled", True, 2.0))
LOGISTIC = Shape("vectors, by logistic regression", False, 1.0, "logistic")
DISCRIMINANTS = tuple(Shape(f"vectors, by a discriminant that shrinks by {one}", False, 1.0, "discriminant", one) for one in (0.03, 0.3))
VECTORS = Shape("vectors", False, 1.0)


class Linear(NamedTuple):
    """One linear model per class over weighted buckets and vectors."""

    idf_B: NDArray[np.float32]
    coef_BC: NDArray[np.float32]
    coef_DC: NDArray[np.float32] | None
    intercept_C: NDArray[np.float32]

    def of(self, texts: Sequence[str], vector_ND: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Margins, shape N by C."""
        margin_NC = np.tile(self.intercept_C.astype(np.float64), (len(texts), 1))
        if len(self.idf_B):
            margin_NC += _weighted(texts, self.idf_B) @ self.coef_BC
        if self.coef_DC is not None:
            assert vector_ND is not None
            margin_NC += vector_ND @ self.coef_DC
        return margin_NC

    def head(self, answers: tuple[JSON, ...], temperature: float, embedder: Embedder | None) -> Head:
        """As a head that answers with these."""
        return Head(answers, self.idf_B, self.coef_BC, self.intercept_C, temperature, embedder, self.coef_DC)


def out_of_fold(
    texts: Sequence[str],
    vector_ND: NDArray[np.float32] | None,
    y_N: NDArray[np.int64],
    classes: int,
    folds_N: NDArray[np.int64],
    shape: Shape,
    seed: int,
    target_NC: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Margins, N by C, of models that were fitted without an item's fold; 0 where the rest of the items is of one class. `target_NC`: as of `fit`."""
    logits_NC = np.zeros((len(texts), classes))
    for fold in np.unique(folds_N):
        inside = folds_N != fold
        if len(np.unique(y_N[inside])) < 2:
            continue
        without = None if vector_ND is None else vector_ND[inside]
        believed = None if target_NC is None else target_NC[inside]
        margins = fit(_those(texts, inside), without, y_N[inside], classes, shape, seed, believed)
        logits_NC[~inside] = margins.of(_those(texts, ~inside), None if vector_ND is None else vector_ND[~inside])
    return logits_NC


def fit(
    texts: Sequence[str],
    vector_ND: NDArray[np.float32] | None,
    y_N: NDArray[np.int64],
    classes: int,
    shape: Shape,
    seed: int,
    target_NC: NDArray[np.float64] | None = None,
) -> Linear:
    """A linear model of each class; one that these items lack never wins. `target_NC`: how probable each class is to whoever taught the items: each
    is learnt as all that it may be, with that weight, in the place of `y_N`."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if shape.by == "discriminant":
        assert vector_ND is not None and target_NC is None
        return _discriminant(vector_ND, y_N, classes, shape.shrink)
    idf_B = _inverse_document_frequency(texts) if shape.has_words else np.zeros(0, dtype=np.float32)
    parts = [_weighted(texts, idf_B)] if shape.has_words else []
    if shape.scale:
        assert vector_ND is not None
        parts.append(csr_matrix(vector_ND * np.float32(shape.scale)) if shape.has_words else vector_ND)
    model = LogisticRegression(C=10.0, max_iter=300) if shape.by == "logistic" else LinearSVC(C=1.0, random_state=seed, max_iter=2000)
    seen = hstack(parts).tocsr() if len(parts) > 1 else parts[0]
    if target_NC is None:
        model.fit(seen, y_N)
    else:
        row_M, class_M = np.nonzero(target_NC >= LEAST)
        model.fit(seen[row_M], class_M, sample_weight=target_NC[row_M, class_M])
    two = len(model.classes_) == 2  # scikit-learn keeps one row for two classes
    coef_CF = np.vstack([-model.coef_, model.coef_]) if two else model.coef_
    intercept = np.concatenate([-model.intercept_, model.intercept_]) if two else model.intercept_
    coef_FC = np.zeros((coef_CF.shape[1], classes), dtype=np.float32)
    intercept_C = np.full(classes, -10.0, dtype=np.float32)
    coef_FC[:, model.classes_] = coef_CF.T
    intercept_C[model.classes_] = intercept
    coef_DC = coef_FC[len(idf_B) :] * np.float32(shape.scale) if shape.scale else None
    return Linear(idf_B, coef_FC[: len(idf_B)], coef_DC, intercept_C)


def _discriminant(vector_ND: NDArray[np.float32], y_N: NDArray[np.int64], classes: int, shrink: float) -> Linear:
    found = discriminant(sums_of(vector_ND, y_N, classes), shrink)
    none_BC = np.zeros((0, classes), dtype=np.float32)
    bias_C = np.maximum(found.bias_K, _NEVER).astype(np.float32)
    return Linear(np.zeros(0, dtype=np.float32), none_BC, found.weight_DK.astype(np.float32), bias_C)


def _those(texts: Sequence[str], keep_N: NDArray[np.bool_]) -> list[str]:
    return [text for text, keep in zip(texts, keep_N.tolist(), strict=True) if keep]


def _inverse_document_frequency(texts: Sequence[str]) -> NDArray[np.float32]:
    """log((1 + N)/(1 + n)) + 1 of each bucket, n the texts that hold it; 0 for a bucket no text holds, which so weighs nothing."""
    _, _, indices, _ = hashed_matrix(texts, DIMS)
    held_B = np.bincount(indices, minlength=DIMS)
    return np.where(held_B > 0, np.log((1 + len(texts)) / (1 + held_B)) + 1.0, 0.0).astype(np.float32)


def _weighted(texts: Sequence[str], idf_B: NDArray[np.float32]):  # type: ignore[no-untyped-def]  # scipy has no types
    """Rows of hashed counts times idf, each of length 1: the same numbers as `Head` computes one by one."""
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import normalize

    _, indptr, indices, weights = hashed_matrix(texts, DIMS)
    return normalize(csr_matrix((weights * idf_B[indices], indices, indptr), shape=(len(texts), DIMS)), copy=False)


def temperature_for(logits_NC: NDArray[np.float64], y_N: NDArray[np.int64]) -> float:
    """The divisor of logits with the least log loss, by a grid over three decades."""
    grid = np.geomspace(0.02, 5.0, 60)
    return float(grid[int(np.argmin([log_loss(softmax(logits_NC / t), y_N) for t in grid]))])


def log_loss(probability_NC: NDArray[np.float64], y_N: NDArray[np.int64]) -> float:
    """Mean of -log of the probability of the right class."""
    return float(-np.log(np.maximum(probability_NC[np.arange(len(y_N)), y_N], 1e-12)).mean())
