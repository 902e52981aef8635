"""Fits the embedder that needs no download: latent semantic analysis of hashed n-grams."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from freehold.errors import TrainingError
from freehold.routing.embed import HashedEmbedder
from freehold.routing.features import DIMS, hashed_matrix


def fit_hashed_embedder(texts: Sequence[str], dims: int = 64, seed: int = 0) -> HashedEmbedder:
    """An embedder of `dims` dimensions (fewer where the texts span fewer), fitted on `texts` by a randomized singular value decomposition.

    Raises TrainingError without texts. Source: Deerwester et al., JASIS 41 (1990) 391; Halko, Martinsson and Tropp, SIAM Review 53 (2011) 217.
    """
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd, svd_flip

    if not texts:
        raise TrainingError("An embedder needs texts to learn from; there are none in the training part.")
    _, indptr, indices, weights = hashed_matrix(texts, DIMS)
    held_B = np.bincount(indices, minlength=DIMS)
    idf_B = np.where(held_B > 0, np.log((1 + len(texts)) / (1 + held_B)) + 1.0, 0.0).astype(np.float32)
    rows = csr_matrix((weights * idf_B[indices], indices, indptr), shape=(len(texts), DIMS))
    u, _, vt = randomized_svd(rows, n_components=max(1, min(dims, len(texts) - 1)), random_state=seed, flip_sign=False)
    _, vt = svd_flip(u, vt)
    projection_BD = np.ascontiguousarray(vt.T, dtype=np.float32)
    content = sha256(idf_B.tobytes() + projection_BD.tobytes()).hexdigest()
    return HashedEmbedder(idf_B, projection_BD, f"hashed-{projection_BD.shape[1]}@{content[:16]}")
