"""The embedder seam: texts to vectors. One implementation needs no download; `onnx.py` has the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from freehold.routing.features import features


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

    @property
    def dims(self) -> int:
        """D."""
        return int(self.projection_BD.shape[1])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Embedder.embed`."""
        out = np.zeros((len(texts), self.dims), dtype=np.float32)
        for n, text in enumerate(texts):
            hashed = features(text, len(self.idf_B))
            vector = (hashed.weight * self.idf_B[hashed.index]) @ self.projection_BD[hashed.index]
            norm = float(np.sqrt(vector @ vector))
            if norm > 0:
                out[n] = vector / norm
        return out


def load_embedder(folder: Path | str) -> Embedder:
    """The embedder in a folder that `freehold embedder build` made. Raises OperatorError, DataError."""
    from freehold.routing.onnx import OnnxEmbedder

    return OnnxEmbedder(Path(folder))
