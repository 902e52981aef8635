"""Near duplicates: texts whose runs of words are mostly the same, found without comparing all with all.

MinHash (Broder 1997): of each text the least value of its shingles under many hash functions; two texts agree on a share of those that is
their Jaccard similarity, on average. Bands of them are compared by sorting (LSH, Indyk and Motwani 1998), which finds candidates; candidates
that the agreement does not rule out are verified on the shingles themselves, so that nothing is called alike that is not.
"""

import os
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
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
    signature_NK: Signatures, among_N: NDArray[np.int64], threshold: float, shingles_of: Callable[[int], AbstractSet[int]]
) -> list[Near]:
    """Rows that are alike to an earlier row that is kept, of the same `among_N`: rows come in order of preference, best first.

    A row alike only to rows that went themselves stays, so that what goes is always like something that is left.
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


def jaccard(one: AbstractSet[int], other: AbstractSet[int]) -> float:
    """The share of two sets' union that both have."""
    both = len(one & other)
    union = len(one) + len(other) - both
    return both / union if union else 1.0


def _candidates(signature_NK: Signatures, among_N: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """Pairs worth verifying as `row * N + earlier row`, each once, in order of the later row. Bands are looked at side by side: what numpy
    does to them leaves Python's lock to others."""
    found = np.zeros(0, dtype=np.int64)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
        for here in threads.map(lambda band: _in_band(signature_NK, among_N, band, threshold), range(BANDS)):
            found = np.unique(np.concatenate([found, here]))
    return found


def _in_band(signature_NK: Signatures, among_N: NDArray[np.int64], band: int, threshold: float) -> NDArray[np.int64]:
    """Pairs of rows that have the same band, each with some before it, as far as the whole of their signatures agrees."""
    order, key = _by_key(signature_NK[:, band * ROWS : (band + 1) * ROWS], among_N)
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = key[1:] != key[:-1]
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
    found = [np.zeros(0, dtype=np.int64)]
    for lag in range(1, _NEIGHBOURS + 1):
        later = np.flatnonzero(key[lag:] == key[:-lag]) + lag
        if not len(later):
            break
        found += _agreeing(signature_NK, among_N, order[later], order[later - lag], threshold)
    far = np.flatnonzero(np.arange(len(order)) - first > _NEIGHBOURS)
    found += _agreeing(signature_NK, among_N, order[far], order[first[far]], threshold)
    return np.concatenate(found)


def _by_key(part_NR: Signatures, among_N: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Rows in the order of a hash of their band and of what they are compared among, equal ones by their place, and that hash.

    A row's place stands in the low bits of what is sorted, for sorting numbers is several times as fast as sorting places by numbers. Two
    bands that have one hash now are told apart by the rest of what is looked at.
    """
    bits = U64(len(part_NR).bit_length())
    key = mix(part_NR.astype(U64) @ _WEIGHT + among_N.astype(U64) * U64(0x9E3779B97F4A7C15))
    ordered = np.sort((key >> bits << bits) | np.arange(len(key), dtype=U64))
    return (ordered & ((U64(1) << bits) - U64(1))).astype(np.int64), ordered >> bits


def _agreeing(
    signature_NK: Signatures, among_N: NDArray[np.int64], row: NDArray[np.int64], of: NDArray[np.int64], threshold: float
) -> Iterator[NDArray[np.int64]]:
    """Those pairs, as `row * N + of`, that may be compared and whose signatures do not rule out that they are alike."""
    for start in range(0, len(row), _PIECE):
        some, other = row[start : start + _PIECE], of[start : start + _PIECE]
        agreeing = np.zeros(len(some), dtype=np.uint8)
        for k in range(HASHES):
            agreeing += signature_NK[some, k] == signature_NK[other, k]
        keep = (agreeing >= (threshold - _MARGIN) * HASHES) & (among_N[some] == among_N[other])
        yield some[keep] * len(signature_NK) + other[keep]


_SEED = mix(np.arange(1, 2 * HASHES + ROWS + 1, dtype=U64) * U64(0x9E3779B97F4A7C15))
_XOR = (_SEED[:HASHES] >> U64(32)).astype(np.uint32)
_FACTOR = (_SEED[HASHES : 2 * HASHES] >> U64(32)).astype(np.uint32) | np.uint32(1)
_WEIGHT = _SEED[2 * HASHES :] | U64(1)
