"""The features that need no download: what a text looks like, and hashed n-grams of what it says.

One function, the same in training and in serving. Numpy alone, and few calls of it: on a short text the calls are all the cost.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.errors import CallerError
from freehold.routing.names import SURFACE_DOC

DIMS = 2**15
"""Buckets of the hashed n-grams. Twice as many gain nothing; half as many cost .006 of accuracy on MMLU's 57 subjects."""

HEAD_BYTES, TAIL_BYTES = 16_384, 4_096
"""Of a longer text, the n-grams of this beginning and this end count. Surface features read all of it."""

SURFACE: tuple[str, ...] = tuple(SURFACE_DOC)
"""Names of the surface features, in the order of `Features.surface`."""

_KINDS = {
    "digits": b"0123456789",
    "capitals": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "vowels": b"aeiouy",
    "consonants": b"bcdfghjklmnpqrstvwxz",
    "leads": bytes(range(0xC0, 0x100)),
    "trails": bytes(range(0x80, 0xC0)),
    "spaces": bytes(range(0x21)).replace(b"\n", b"") + b"\x7f",
    "newlines": b"\n",
    "questions": b"?",
    "exclamations": b"!",
    "quotes": b'"',
    "slashes": b"/",
    "relations": b"=<>",
    "operators": b"+*^%",
    "symbols": b"{}[];\\_`|",
    "others": b".,:()-'$@#&~",
}
"""What a byte can be; `leads` and `trails` begin and go on with a UTF-8 character beyond ASCII. Every byte is of one kind.

Small letters are of two so that `bincount` waits less often for the count it has just written.
"""
_NUMBER_OF_KIND = {byte: number for number, members in enumerate(_KINDS.values()) for byte in members}
_KIND_OF_BYTE = bytes(_NUMBER_OF_KIND[byte] for byte in range(256))
_IN_WORDS = np.array(6, np.uint8)  # the first six make words; the digit is 0, which `numbers` relies on
_QUESTION_WORDS = (b"what", b"when", b"where", b"which", b"who", b"whom", b"whose", b"why", b"how")
_QUESTION_STARTS = tuple(word + end for word in _QUESTION_WORDS for end in (b" ", b"'"))

# From every byte on, four bytes as one number: a 3-gram is such a number with its fourth byte shifted out, a word's beginning is the one
# where it starts. Times an odd number each, the highest bits of 32 name the bucket (multiply-shift: Dietzfelbinger et al., 1997).
# Arrays without axes and dtypes ready made: numpy takes them 0.1 to 0.2 µs faster than scalars and types.
_GRAM, _WORD = np.array(0xC2B2AE35 << 8 & 0xFFFFFFFF, np.uint32), np.array(0x85EBCA6B, np.uint32)
_BYTE, _FOUR_BYTES, _BUCKET, _FLOAT = np.dtype(np.uint8), np.dtype("<u4"), np.dtype(np.int32), np.dtype(np.float32)
_SHIFT = {2**bits: np.array(32 - bits, np.uint32) for bits in range(1, 25)}
_LONGEST = 1 + HEAD_BYTES + TAIL_BYTES + 3
_ROOT = np.sqrt(np.arange(2 * _LONGEST, dtype=np.float32))


class Features(msgspec.Struct, frozen=True, gc=False):
    """What one text looks like and says."""

    surface: NDArray[np.float32]
    """Length S, in the order of `SURFACE`."""
    index: NDArray[np.int32]
    """Buckets that hold something, each once, ascending."""
    weight: NDArray[np.float32]
    """Square root of each bucket's share of the text's n-grams; so the whole has length 1."""


class HashedMatrix(NamedTuple):
    """The features of N texts; the last three are the rows of a sparse matrix (CSR)."""

    surface_NS: NDArray[np.float32]
    indptr: NDArray[np.int64]
    """Row n is `indices[indptr[n]:indptr[n + 1]]`."""
    indices: NDArray[np.int32]
    weights: NDArray[np.float32]


def features(text: str, dims: int = DIMS) -> Features:
    """Surface features, and the words and 3-grams of its UTF-8 bytes in lower case, hashed into `dims` buckets.

    Any string will do, half a surrogate pair and none at all too: the spaces around a text count. Raises CallerError unless `dims` is
    a power of two. A word counts by its first four bytes: as accurate as by all of them, and cheaper. Of what was tried on three data
    sets (2- to 6-grams, pairs of words), 3-grams with words did best; square roots of counts (the Hellinger map) did better than
    counts, 0/1 or logarithms.
    """
    shift = _SHIFT.get(dims)
    if shift is None:
        raise CallerError(f"features cannot be hashed into {dims} buckets; expected a power of two up to {max(_SHIFT)}, such as {DIMS}")
    padded = _padded(text)
    kinds, starts = _words(padded)
    surface = _surface(text, padded, kinds, starts)
    if len(padded) > _LONGEST:
        text = f"{text[:HEAD_BYTES]} {text[-TAIL_BYTES:]}"  # characters, so at least as many bytes
        lowered = _lowered(text, _padded(text))
        lowered = lowered[: HEAD_BYTES + 1] + b" " + lowered[-TAIL_BYTES - 3 :]
        _, starts = _words(lowered)
    else:
        lowered = _lowered(text, padded)
    index, weight = _shares(_buckets(lowered, starts, shift))
    return Features(surface, index, weight)


def surface_of(text: str) -> dict[str, float]:
    """Surface features by name."""
    padded = _padded(text)
    return dict(zip(SURFACE, _surface(text, padded, *_words(padded)).tolist(), strict=True))


def hashed_matrix(texts: Sequence[str], dims: int = DIMS) -> HashedMatrix:
    """The features of many texts as arrays to learn from, row by row what `features` gives."""
    rows = [features(text, dims) for text in texts]
    if not rows:
        nothing = np.empty(0, np.float32)
        return HashedMatrix(nothing.reshape(0, len(SURFACE)), np.zeros(1, np.int64), np.empty(0, np.int32), nothing)
    indptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row.index) for row in rows], out=indptr[1:])
    return HashedMatrix(
        surface_NS=np.stack([row.surface for row in rows]),
        indptr=indptr,
        indices=np.concatenate([row.index for row in rows]),
        weights=np.concatenate([row.weight for row in rows]),
    )


def surface_scaled(surface_NS: NDArray[np.float32]) -> NDArray[np.float32]:
    """Surface features for learning: log(1 + x), so that a text ten times as long is not ten times as anything."""
    return np.log1p(surface_NS)


def _padded(text: str) -> bytes:
    """The text with a space before it and three after, so that its first and last characters have neighbours."""
    return b" " + text.encode("utf-8", "surrogatepass") + b"   "


def _words(padded: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The kind of each byte, and the places just before words."""
    kinds = np.frombuffer(padded.translate(_KIND_OF_BYTE), _BYTE)
    inside = kinds < _IN_WORDS
    return kinds, (inside[1:] > inside[:-1]).nonzero()[0]


def _lowered(text: str, padded: bytes) -> bytes:
    """All of it in lower case, byte for byte in its place: where a letter such as İ would change its length, A to Z alone are lowered."""
    if not text.isascii():
        lowered = _padded(text.lower())
        if len(lowered) == len(padded):
            return lowered
    return padded.lower()


def _surface(text: str, padded: bytes, kinds: NDArray[np.uint8], starts: NDArray[np.int64]) -> NDArray[np.float32]:
    """By a table and `bincount`, which do not branch on the text: on varied texts twice as fast as `bytes.count` and the like."""
    counts = np.bincount(kinds, minlength=len(_KINDS)).tolist()
    digits, capitals, vowels, consonants, leads, _, _, newlines, *signs = counts
    questions, exclamations, quotes, slashes, relations, operators, symbols, _ = signs
    chars, words = len(text), len(starts)
    share = 1.0 / (chars or 1)
    return np.array(
        (
            chars,
            words,
            newlines + 1 if chars else 0,
            kinds[1:][starts].tobytes().count(0) if digits else 0,
            questions,
            exclamations,
            quotes,
            padded.count(b"://") if slashes > 1 else 0,
            1.0 if questions or _is_question(text, padded) else 0.0,
            1.0 if (symbols + relations) * share >= 0.03 or (symbols > 2 and b"```" in padded) else 0.0,
            (digits + capitals + vowels + consonants + leads) / (words or 1),
            digits * share,
            capitals * share,
            sum(signs) * share,
            symbols * share,
            (relations + operators) * share,
            leads * share,
        ),
        _FLOAT,
    )


def _is_question(text: str, padded: bytes) -> bool:
    return padded[:20].lstrip().lower().startswith(_QUESTION_STARTS) or (not text.isascii() and ("？" in text or "؟" in text))


def _buckets(padded: bytes, starts: NDArray[np.int64], shift: NDArray[np.uint32]) -> NDArray[np.int32]:
    """The buckets of all 3-grams and words, sorted, between a number below all buckets and one above."""
    count = len(padded) - 3
    buckets = np.empty(count + len(starts) + 2, _FOUR_BYTES)
    grams = buckets[1 : count + 1]
    grams[...] = np.ndarray((count,), _FOUR_BYTES, padded, 0, (1,))
    np.multiply(grams[1:][starts], _WORD, buckets[count + 1 : -1])
    np.multiply(grams, _GRAM, grams)
    signed = np.right_shift(buckets, shift, buckets).view(_BUCKET)
    signed[0], signed[-1] = -1, 2**31 - 1
    signed.sort()
    return signed


def _shares(buckets: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Each bucket once, with the square root of its share."""
    turns = (buckets[1:] != buckets[:-1]).nonzero()[0]
    last = turns[1:]
    weight = _ROOT[last - turns[:-1]]
    weight /= _ROOT[len(buckets) - 2, ...]
    return buckets[last], weight
