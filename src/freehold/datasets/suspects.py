"""Answers that are probably wrong: a classifier trained on the other rows is confident that they are others.

Confident learning (Northcutt, Jiang and Chuang 2021): probabilities come from cross-validation, so that no row is judged by what was learnt
from it, and groups stay together. A class is confident of a row whose probability reaches the mean one of the rows that have that class; a
row of which another class than its own is confident, and more so than its own, is suspected. It speaks of tasks with few answers alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.routing.features import DIMS, hashed_matrix

MOST_ROWS = 5_000
"""The most rows of a task that are looked at: those whose ids are least. The others are said to be unseen."""
MOST_ANSWERS, LEAST_OF_EACH = 100, 5
FOLDS = 5
_EPOCHS = 10


class Suspect(NamedTuple):
    """A row whose answer may be wrong."""

    row: int
    suggested: str
    """The answer that the others suggest."""
    confidence: float
    """Its probability."""


def suspects(texts: Sequence[str], answers: Sequence[str], place_N: NDArray[np.float64]) -> list[Suspect]:
    """Rows of one task that are suspected. `place_N`: where each row's group lies in [0, 1), which decides its fold.

    Rows of an answer that fewer than five rows have are not judged: of those nobody can learn what is usual.
    """
    names, code_N, count_C = np.unique(np.asarray(answers, dtype=object).astype(str), return_inverse=True, return_counts=True)
    judged = np.flatnonzero((count_C >= LEAST_OF_EACH)[code_N])
    classes = np.unique(code_N[judged])
    if not 2 <= len(classes) <= MOST_ANSWERS:
        return []
    label_N = np.searchsorted(classes, code_N[judged])
    proba_NC = _out_of_fold([texts[n] for n in judged.tolist()], label_N, place_N[judged], len(classes))
    right = float((proba_NC.argmax(axis=1) == label_N).mean())
    commonest = float(np.bincount(label_N).max() / len(label_N))
    if right <= commonest + 2.0 * np.sqrt(
        commonest * (1.0 - commonest) / len(label_N)
    ):  # nothing can be learnt, so nobody can be surprised
        return []
    own_N = proba_NC[np.arange(len(judged)), label_N]
    threshold_C = np.array([own_N[label_N == c].mean() for c in range(len(classes))])
    confident_NC = np.where(proba_NC >= threshold_C, proba_NC, -1.0)
    best_N = confident_NC.argmax(axis=1)
    is_suspect = (confident_NC.max(axis=1) > own_N) & (best_N != label_N)
    return [
        Suspect(int(judged[n]), str(names[classes[best_N[n]]]), round(float(proba_NC[n, best_N[n]]), 4))
        for n in np.flatnonzero(is_suspect).tolist()
    ]


def _out_of_fold(texts: Sequence[str], label_N: NDArray[np.int64], place_N: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Each row's probabilities by a classifier that saw no row of its fold."""
    from scipy.sparse import csr_array
    from sklearn.linear_model import SGDClassifier

    hashed = hashed_matrix(texts)
    x = csr_array((hashed.weights, hashed.indices, hashed.indptr.astype(np.int32)), shape=(len(texts), DIMS))
    fold_N = np.minimum((place_N * FOLDS).astype(np.int64), FOLDS - 1)
    proba_NC = np.full((len(texts), classes), 1.0 / classes)
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
        seen = np.unique(label_N[outside])
        if not len(inside) or len(seen) < 2:
            continue
        model = SGDClassifier(loss="log_loss", alpha=1e-4, max_iter=_EPOCHS, tol=None, random_state=0).fit(x[outside], label_N[outside])
        proba_NC[inside] = 0.0
        proba_NC[np.ix_(inside, seen)] = model.predict_proba(x[inside])
    return proba_NC
