"""What a text is in numbers that no training changes: an embedder's vector or hashed n-grams, in more dimensions where that tells more apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import shake_256

import numpy as np
from numpy.typing import NDArray

from freehold.routing.embed import Embedder
from freehold.routing.features import features

Vectors32 = NDArray[np.float32]


@dataclass(frozen=True)
class Fixed:
    """Texts to vectors of length 1, the same ones today and next year: what is learnt from them can be added up."""

    embedder: Embedder | None
    """None for hashed n-grams, which need no download."""
    buckets: int = 1024
    """Buckets of hashed n-grams; a power of two."""
    width: int = 0
    """Dimensions that vectors are widened to; 0 leaves them as they are."""

    @property
    def name(self) -> str:
        """Which function of the text this is: the same name gives the same vectors."""
        of = self.embedder.name if self.embedder is not None else f"hashed-{self.buckets}"
        return f"{of}+wide-{self.width}" if self.width else of

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return self.width or (self.embedder.dims if self.embedder is not None else self.buckets)

    def of(self, texts: Sequence[str]) -> Vectors32:
        """Shape N by D."""
        return self.widen(self.narrow(texts))

    def narrow(self, texts: Sequence[str]) -> Vectors32:
        """As they are before they are widened."""
        if self.embedder is not None:
            return self.embedder.embed(texts)
        vector_NB = np.zeros((len(texts), self.buckets), np.float32)
        for row, text in zip(vector_NB, texts, strict=True):
            found = features(text, self.buckets)
            row[found.index] = found.weight
        return vector_NB

    def widen(self, vector_ND: Vectors32) -> Vectors32:
        """Those of `narrow` as `of` gives them."""
        return widened(vector_ND, self._signs_DM) if self.width else vector_ND

    @cached_property
    def _signs_DM(self) -> Vectors32:
        return signs(self.embedder.dims if self.embedder is not None else self.buckets, self.width)


def widened(vector_ND: Vectors32, signs_DM: Vectors32) -> Vectors32:
    """Vectors in M dimensions where a plane tells more apart: random signs, negative parts cut off, length 1.

    Source: McDonnell et al., RanPAC: Random Projections and Pre-trained Models for Continual Learning (NeurIPS 2023), §3. Theirs are drawn
    from a normal distribution; signs do as well, and need no file.
    """
    wide_NM = np.maximum(vector_ND @ signs_DM, np.float32(0.0))
    length_N = np.sqrt(np.einsum("nm,nm->n", wide_NM, wide_NM))
    return np.asarray(wide_NM / np.where(length_N > 0, length_N, 1.0)[:, None], dtype=np.float32)


def signs(dims: int, width: int) -> Vectors32:
    """Signs that are always the same, shape D by M: bits of SHAKE-256 of their number, which no version of anything will change."""
    bits = np.unpackbits(np.frombuffer(shake_256(f"{dims} {width}".encode()).digest(-(-dims * width // 8)), np.uint8))
    return (2.0 * bits[: dims * width].reshape(dims, width) - 1.0).astype(np.float32)
