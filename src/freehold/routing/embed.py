"""The embedder seam: texts to vectors. One implementation needs no download; `onnx.py` has the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from freehold.routing.features import DIMS, Features, features


class Embedder(Protocol):
    """Gives texts places, so that like texts lie near each other."""

    @property
    def name(self) -> str:
        """Its identity, weights included: policies remember which embedder they were made with."""

    @property
    def dims(self) -> int:
        """D, the length of a vector."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of length 1 (0 for a text that says nothing), shape N by D."""


@dataclass(frozen=True, slots=True)
class HashedEmbedder:
    """Hashed words and 3-grams, weighted by rarity and projected: latent semantic analysis as arrays. Fitted by `training/project.py`."""

    idf_B: NDArray[np.float32]
    """Weight of each bucket; 0 for buckets that no training text holds."""
    projection_BD: NDArray[np.float32]
    """Where each bucket points."""
    name: str = "hashed"
    """`hashed-D@` and a hash of the arrays, when fitted."""

    @property
    def dims(self) -> int:
        """D."""
        return int(self.projection_BD.shape[1])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Embedder.embed`."""
        return self.embed_hashed([features(text, len(self.idf_B)) for text in texts])

    def embed_hashed(self, hashed: Sequence[Features]) -> NDArray[np.float32]:
        """The vectors, N by D, of texts whose features are known already."""
        vectors_ND = np.zeros((len(hashed), self.dims), dtype=np.float32)
        for row, one in enumerate(hashed):
            vectors_ND[row] = self.project(one)
        return vectors_ND

    def project(self, hashed: Features) -> NDArray[np.float32]:
        """The vector, length D, of one of them."""
        vector_D: NDArray[np.float32] = np.dot(hashed.weight * self.idf_B[hashed.index], self.projection_BD.take(hashed.index, axis=0))
        norm = np.sqrt(vector_D @ vector_D)
        return np.divide(vector_D, norm, dtype=np.float32) if norm > 0 else vector_D


def unfitted(dims: int) -> HashedEmbedder:
    """An embedder that has seen no text: each bucket points somewhere at random, always the same. For comparing texts, not for routing them."""
    projection_BD = np.random.default_rng(0).standard_normal((DIMS, dims), dtype=np.float32)
    return HashedEmbedder(np.ones(DIMS, np.float32), projection_BD, f"unfitted-{dims}")


def load_embedder(folder: Path | str) -> Embedder:
    """The embedder in a folder that `freehold embedder build` made. Raises OperatorError, DataError."""
    from freehold.routing.onnx import OnnxEmbedder

    return OnnxEmbedder(Path(folder))
