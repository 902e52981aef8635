"""Heads: linear classifiers over hashed n-grams, trained in seconds from recorded answers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.errors import TrainingError
from freehold.routing.features import DIMS, hashed_matrix
from freehold.routing.head import Head, softmax

MOST_ANSWERS = 500
"""A head answers from a closed set; a task with more distinct answers than this asks for something else."""


def is_learnable(labels: Sequence[JSON]) -> bool:
    """Whether these answers are few enough, and repeat enough, for a head to be worth fitting."""
    distinct = len({canonical_json(label) for label in labels})
    return 2 <= distinct <= MOST_ANSWERS and len(labels) >= 3 * distinct


def fit_head(texts: Sequence[str], labels: Sequence[JSON], folds_N: NDArray[np.int64], seed: int = 0) -> tuple[Head, NDArray[np.float64]]:
    """A head fitted on all items, and the probabilities, shape N by C, that heads fitted without an item's fold give it.

    A support vector machine per class (scikit-learn's LinearSVC: on 77 classes as accurate as logistic regression and ten times
    faster to fit), margins to probabilities by one temperature that minimises the log loss out of fold (Guo et al., ICML 2017).
    Raises TrainingError when there are fewer than two distinct answers.
    """
    by_key = {canonical_json(label): label for label in labels}
    keys = sorted(by_key)
    if len(keys) < 2:
        raise TrainingError(f"A head needs at least two distinct answers to learn from; the training part has {len(keys)}.")
    place = {key: c for c, key in enumerate(keys)}
    y_N = np.array([place[canonical_json(label)] for label in labels])
    logits_NC = np.zeros((len(texts), len(keys)))
    for fold in np.unique(folds_N):
        inside = folds_N != fold
        if len(np.unique(y_N[inside])) < 2:
            continue
        margins = _fit(_those(texts, inside), y_N[inside], len(keys), seed)
        logits_NC[~inside] = margins.of(_those(texts, ~inside))
    temperature = _temperature(logits_NC, y_N)
    whole = _fit(texts, y_N, len(keys), seed)
    head = Head(tuple(by_key[key] for key in keys), whole.idf_B, whole.coef_BC, whole.intercept_C, temperature)
    return head, softmax(logits_NC / temperature)


def _those(texts: Sequence[str], keep_N: NDArray[np.bool_]) -> list[str]:
    return [text for text, keep in zip(texts, keep_N.tolist(), strict=True) if keep]


class _Margins(NamedTuple):
    """One linear model per class over weighted buckets."""

    idf_B: NDArray[np.float32]
    coef_BC: NDArray[np.float32]
    intercept_C: NDArray[np.float32]

    def of(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Margins, shape N by C."""
        return np.asarray(_weighted(texts, self.idf_B) @ self.coef_BC + self.intercept_C, dtype=np.float64)


def _fit(texts: Sequence[str], y_N: NDArray[np.int64], classes: int, seed: int) -> _Margins:
    from sklearn.svm import LinearSVC

    idf_B = _inverse_document_frequency(texts)
    model = LinearSVC(C=1.0, random_state=seed, max_iter=2000)
    model.fit(_weighted(texts, idf_B), y_N)
    two = len(model.classes_) == 2  # scikit-learn keeps one row for two classes
    coef = np.vstack([-model.coef_, model.coef_]) if two else model.coef_
    intercept = np.concatenate([-model.intercept_, model.intercept_]) if two else model.intercept_
    coef_BC = np.zeros((len(idf_B), classes), dtype=np.float32)
    intercept_C = np.full(classes, -10.0, dtype=np.float32)  # a class that a fold lacks never wins there
    coef_BC[:, model.classes_] = coef.T
    intercept_C[model.classes_] = intercept
    return _Margins(idf_B, coef_BC, intercept_C)


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


def _temperature(logits_NC: NDArray[np.float64], y_N: NDArray[np.int64]) -> float:
    """The divisor of logits with the least log loss, by a grid over three decades."""
    grid = np.geomspace(0.02, 5.0, 60)
    rows = np.arange(len(y_N))
    losses = [-np.log(np.maximum(softmax(logits_NC / t)[rows, y_N], 1e-12)).mean() for t in grid]
    return float(grid[int(np.argmin(losses))])
