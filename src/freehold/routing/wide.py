"""Vectors in more dimensions, where a plane tells more apart than it did before: a fixed layer that nobody trains."""

from hashlib import shake_256

import numpy as np
from numpy.typing import NDArray


def widened(vector_ND: NDArray[np.floating], signs_DM: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors in M dimensions where more can be told apart by a plane: random signs, negative parts cut off, length 1.

    Source: McDonnell et al., RanPAC: Random Projections and Pre-trained Models for Continual Learning (NeurIPS 2023), §3. Theirs are drawn
    from a normal distribution; signs do as well, and need no file.
    """
    wide_NM = np.maximum(vector_ND.astype(np.float32) @ signs_DM, np.float32(0.0))
    length_N = np.sqrt(np.einsum("nm,nm->n", wide_NM, wide_NM))
    return np.asarray(wide_NM / np.where(length_N > 0, length_N, 1.0)[:, None], dtype=np.float32)


def signs(dims: int, width: int) -> NDArray[np.float32]:
    """Signs that are always the same, shape D by M: bits of SHAKE-256 of their number, which no version of anything will change."""
    bits = np.unpackbits(np.frombuffer(shake_256(f"{dims} {width}".encode()).digest(-(-dims * width // 8)), np.uint8))
    return (2.0 * bits[: dims * width].reshape(dims, width) - 1.0).astype(np.float32)
