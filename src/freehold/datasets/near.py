"""Near duplicates: texts whose runs of words are mostly the same, found without comparing all with all.

MinHash (Broder 1997): of each text the least value of its shingles under many hash functions; two texts agree on a share of those that is
their Jaccard similarity, on average. Bands of them are compared by sorting (LSH, Indyk and Motwani 1998), which finds candidates; candidates
that the agreement does not rule out are verified on the shingles themselves, so that nothing is called alike that is not.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.datasets.words import U64, Shingles, mix

BANDS, ROWS = 14, 5
"""At a similarity of 0.8 a pair shares a band with probability 1 - (1 - 0.8^5)^14 = 0.996; at 0.3, 0.03."""
HASHES = BANDS * ROWS
_MARGIN = 0.15
"""How far below the threshold an estimate may be: three standard deviations of one from 70 hashes at 0.8."""
_NEIGHBOURS = 8
"""With how many of those before it, in a bucket, a text is compared, beside the bucket's first."""
_PIECE = 1 << 20

Signatures = NDArray[np.uint16]
"""Shape N by HASHES: the low bits of the least values, which is all that equality needs."""


class Near(NamedTuple):
    """A text that is a near duplicate of one that is kept."""

    row: int
    of: int
    similarity: float
    """Jaccard similarity of their shingles."""


def signatures(shingles: Shingles) -> Signatures:
    """The signature of each text; of a text without words, zeros."""
    sizes = np.diff(shingles.end_N, prepend=0)
    has = np.flatnonzero(sizes)
    signature = np.zeros((len(sizes), HASHES), dtype=np.uint16)
    if len(has):
        starts = (shingles.end_N - sizes)[has]
        for k in range(HASHES):
            values = (shingles.hash_S ^ _XOR[k]) * _FACTOR[k]
            signature[has, k] = np.minimum.reduceat(values, starts).astype(np.uint16)
    return signature


def near_duplicates(
    signature_NK: Signatures, among_N: NDArray[np.int64], threshold: float, shingles_of: Callable[[int], NDArray[np.uint32]]
) -> list[Near]:
    """Rows that are alike to an earlier row that is kept, of the same `among_N`: rows come in order of preference, best first.

    `shingles_of` gives a row's distinct shingles, sorted. A row alike only to rows that went themselves stays, so that what goes is always
    like something that is left.
    """
    gone: dict[int, Near] = {}
    count = len(signature_NK)
    for code in _candidates(signature_NK, among_N, threshold).tolist():
        row, of = divmod(code, count)
        if row in gone or of in gone:
            continue
        similarity = jaccard(shingles_of(row), shingles_of(of))
        if similarity >= threshold:
            gone[row] = Near(row, of, similarity)
    return list(gone.values())


def jaccard(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> float:
    """Of two sets as sorted arrays: the share of their union that both have."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    union = len(one) + len(other) - both
    return both / union if union else 1.0


def _candidates(signature_NK: Signatures, among_N: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """Pairs worth verifying as `row * N + earlier row`, each once, in order of the later row."""
    found = np.zeros(0, dtype=np.int64)
    for band in range(BANDS):
        here = list(_in_band(signature_NK, among_N, band, threshold))
        found = np.unique(np.concatenate([found, *here]))
    return found


def _in_band(signature_NK: Signatures, among_N: NDArray[np.int64], band: int, threshold: float) -> Iterator[NDArray[np.int64]]:
    part = signature_NK[:, band * ROWS : (band + 1) * ROWS]
    key = among_N.astype(U64)
    for column in range(ROWS):
        key = mix(key * U64(0x9E3779B97F4A7C15) + part[:, column].astype(U64) + U64(1))
    order = np.argsort(key, kind="stable")
    sorted_key = key[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = sorted_key[1:] != sorted_key[:-1]
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    for lag in range(1, _NEIGHBOURS + 1):
        later = np.flatnonzero(sorted_key[lag:] == sorted_key[:-lag]) + lag
        if not len(later):
            return
        yield from _agreeing(signature_NK, order[later], order[later - lag], threshold)
    far = np.flatnonzero(np.arange(len(order)) - first > _NEIGHBOURS)
    yield from _agreeing(signature_NK, order[far], order[first[far]], threshold)


def _agreeing(signature_NK: Signatures, row: NDArray[np.int64], of: NDArray[np.int64], threshold: float) -> Iterator[NDArray[np.int64]]:
    for start in range(0, len(row), _PIECE):
        some, other = row[start : start + _PIECE], of[start : start + _PIECE]
        agreeing = np.zeros(len(some), dtype=np.uint8)
        for k in range(HASHES):
            agreeing += signature_NK[some, k] == signature_NK[other, k]
        keep = agreeing >= (threshold - _MARGIN) * HASHES
        yield some[keep] * len(signature_NK) + other[keep]


def distinct(hashes: Sequence[int] | NDArray[np.uint32]) -> NDArray[np.uint32]:
    """A set of shingles as `jaccard` takes it."""
    return np.unique(np.asarray(hashes, dtype=np.uint32))


_SEED = mix(np.arange(1, 2 * HASHES + 1, dtype=U64) * U64(0x9E3779B97F4A7C15))
_XOR = (_SEED[:HASHES] >> U64(32)).astype(np.uint32)
_FACTOR = (_SEED[HASHES:] >> U64(32)).astype(np.uint32) | np.uint32(1)
