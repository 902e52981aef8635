"""The features that need no download: what a text looks like, and hashed n-grams of what it says.

One function, the same in training and in serving. Numpy alone, and few calls of it: a short text is all overhead.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.errors import CallerError

DIMS = 2**15
"""Buckets of the hashed n-grams. Twice as many gain .004 of accuracy on 57 subjects and nothing on 77 intents (docs/log.md)."""

HEAD_BYTES, TAIL_BYTES = 16_384, 4_096
"""Of a longer text, the n-grams of this beginning and this end count. Surface features read all of it."""

SURFACE_DOC: dict[str, str] = {
    "chars": "characters",
    "words": "words: runs of letters and digits; anything beyond ASCII counts as a letter",
    "lines": "lines; 0 for an empty text",
    "numbers": "words that begin with a digit",
    "questions": "question marks",
    "exclamations": "exclamation marks",
    "quotes": "double quotation marks",
    "links": "web addresses: '://' and 'www.'",
    "question": "1 if it holds a question mark or begins with a question word (what, how, …), else 0",
    "code": "1 if it holds a ``` fence, or code symbols and = < > are 3% of its characters or more, else 0",
    "mean_word_length": "characters of a word, on average",
    "digits": "share of characters that are digits",
    "uppercase": "share of characters that are A to Z",
    "punctuation": "share of characters that are ASCII punctuation or symbols",
    "symbols": "share of characters that are code symbols: { } [ ] ; \\ _ ` |",
    "math": "share of characters that are = < > + * ^ %",
    "non_ascii": "share of characters beyond ASCII",
}
"""Each surface feature, and what it measures. All are plain numbers: counts as they are, shares from 0 to 1."""

SURFACE: tuple[str, ...] = tuple(SURFACE_DOC)
"""Names of the surface features, in the order of `Features.surface`."""

_KINDS = ("letter", "digit", "lead", "trail", "space", "newline", "question", "exclamation", "quote", "relation", "math", "symbol", "other")
"""What a byte can be; the first four make words. `lead` and `trail` begin and continue a character beyond ASCII in UTF-8."""
_WORD_KINDS = 4
_MEMBERS = {
    "digit": b"0123456789",
    "lead": bytes(range(0xC0, 0x100)),
    "trail": bytes(range(0x80, 0xC0)),
    "space": bytes(range(0x21)) + b"\x7f",
    "newline": b"\n",
    "question": b"?",
    "exclamation": b"!",
    "quote": b'"',
    "relation": b"=<>",
    "math": b"+*^%",
    "symbol": b"{}[];\\_`|",
    "other": b".,:()-/'$@#&~",
}
_UPPERCASE = bytes(range(ord("A"), ord("Z") + 1))
_QUESTION_WORDS = frozenset(b"what when where which who whom whose why how".split())


def _kind_of_byte() -> bytes:
    table = bytearray(256)  # 0, a letter, is what lower case leaves
    for kind, members in _MEMBERS.items():
        for byte in members:
            table[byte] = _KINDS.index(kind)
    return bytes(table)


_KIND_OF_BYTE = _kind_of_byte()

# A word's hash is a polynomial in _BASE over its bytes, modulo 2**32 (Rabin and Karp, 1987), read off a running sum: the sum over the
# word times _BASE**-start. _BASE is odd, so it has an inverse. Both hashes end in a multiplication whose high bits name the bucket
# (Dietzfelbinger et al., 1997); the multipliers are odd and arbitrary.
_BASE, _WORD, _GRAM = 0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35
_LONGEST = HEAD_BYTES + TAIL_BYTES + 4
_POWER = np.cumprod(np.full(_LONGEST, _BASE, np.uint32), dtype=np.uint32)
_INVERSE = np.cumprod(np.full(_LONGEST, pow(_BASE, -1, 2**32), np.uint32), dtype=np.uint32)
_WORD_MULTIPLIER = np.uint32(_WORD)
_GRAM_MULTIPLIER = np.uint32(_GRAM << 8 & 0xFFFFFFFF)  # the shift drops the last of four bytes


class Features(NamedTuple):
    """What one text looks like and says."""

    surface: NDArray[np.float32]
    """Length S, in the order of `SURFACE`."""
    index: NDArray[np.int32]
    """Buckets that hold something, each once, ascending."""
    weight: NDArray[np.float32]
    """Square root of each bucket's share of the n-grams, so the vector has length 1."""


class HashedMatrix(NamedTuple):
    """The features of N texts; the last three are the rows of a sparse matrix (CSR)."""

    surface_NS: NDArray[np.float32]
    indptr: NDArray[np.int64]
    """Row n is `indices[indptr[n]:indptr[n + 1]]`."""
    indices: NDArray[np.int32]
    weights: NDArray[np.float32]


def features(text: str, dims: int = DIMS) -> Features:
    """Surface features, and words and 3-grams of UTF-8 bytes in lower case, hashed into `dims` buckets.

    Any string will do, half a surrogate pair too. Words and 3-grams alone did best of the n-grams tried (docs/log.md), and square
    roots of counts better than counts, 0/1 or logarithms. An empty text has no bucket. Raises CallerError unless `dims` is a power
    of two.
    """
    if dims < 2 or dims & (dims - 1) or dims > 2**24:
        raise CallerError(f"features into {dims} buckets; expected a power of two from 2 to {2**24}, such as {DIMS}")
    lowered = text.lower().encode("utf-8", "surrogatepass")
    kinds, edges = _words(lowered)
    surface = _surface(text, lowered, kinds, edges)
    if len(lowered) > HEAD_BYTES + TAIL_BYTES:
        lowered = lowered[:HEAD_BYTES] + b" " + lowered[-TAIL_BYTES:]
        _, edges = _words(lowered)
    return Features(surface, *_shares(_buckets(lowered, edges, dims)))


def hashed_matrix(texts: Sequence[str], dims: int = DIMS) -> HashedMatrix:
    """The same for many texts, as arrays to learn from."""
    rows = [features(text, dims) for text in texts]
    if not rows:
        empty = np.empty(0, np.float32)
        return HashedMatrix(empty.reshape(0, len(SURFACE)), np.zeros(1, np.int64), np.empty(0, np.int32), empty)
    surfaces, indices, weights = zip(*rows, strict=True)
    indptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(index) for index in indices], out=indptr[1:])
    return HashedMatrix(np.stack(surfaces), indptr, np.concatenate(indices), np.concatenate(weights))


def surface_scaled(surface_NS: NDArray[np.float32]) -> NDArray[np.float32]:
    """Surface features for learning: log(1 + x), so that a text ten times as long is not ten times as anything."""
    return np.log1p(surface_NS)


def _words(lowered: bytes) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The kind of every byte, and the positions where words begin and end by turns; a space is put before and after.

    A word that begins at `edges[0]` and ends at `edges[1]` is the bytes between, the second included, the first not.
    """
    kinds = np.frombuffer((b" " + lowered + b" ").translate(_KIND_OF_BYTE), np.uint8)
    inside = kinds < _WORD_KINDS
    return kinds, (inside[1:] != inside[:-1]).nonzero()[0]


def _surface(text: str, lowered: bytes, kinds: NDArray[np.uint8], edges: NDArray[np.int64]) -> NDArray[np.float32]:
    letters, digits, leads, _, _, newlines, questions, exclamations, quotes, relations, math, symbols, other = np.bincount(
        kinds, minlength=len(_KINDS)
    ).tolist()
    chars, words = len(text), len(edges) // 2
    encoded = text.encode("utf-8", "surrogatepass")
    uppercase = len(encoded) - len(encoded.translate(None, _UPPERCASE))
    share = 1.0 / max(chars, 1)
    values = (
        chars,
        words,
        newlines + 1 if chars else 0,
        np.count_nonzero(kinds[edges[::2] + 1] == 1),
        questions,
        exclamations,
        quotes,
        lowered.count(b"://") + lowered.count(b"www."),
        questions > 0 or _begins_as_question(lowered) or "？" in text or "؟" in text,
        (symbols + relations) * share >= 0.03 or "```" in text,
        (letters + digits + leads) / max(words, 1),
        digits * share,
        uppercase * share,
        (questions + exclamations + quotes + relations + math + symbols + other) * share,
        symbols * share,
        (relations + math) * share,
        leads * share,
    )
    return np.array(values, np.float32)


def _begins_as_question(lowered: bytes) -> bool:
    first = lowered[:80].split(None, 1)
    return bool(first) and first[0].partition(b"'")[0] in _QUESTION_WORDS


def _buckets(lowered: bytes, edges: NDArray[np.int64], dims: int) -> NDArray[np.uint32]:
    """The bucket of every 3-gram and word, sorted, and one entry beyond all buckets at the end."""
    padded = b" " + lowered + b"  "
    grams = np.ndarray((len(lowered),), "<u4", padded, 0, (1,))  # at every byte, it and the three after it as one number
    running = (np.frombuffer(padded, np.uint8) * _POWER[: len(padded)]).cumsum(dtype=np.uint32)[edges]
    words = (running[1::2] - running[::2]) * _INVERSE[edges[::2]]
    buckets = np.empty(len(grams) + len(words) + 1, np.uint32)
    np.multiply(grams, _GRAM_MULTIPLIER, out=buckets[: len(grams)])
    np.multiply(words, _WORD_MULTIPLIER, out=buckets[len(grams) : -1])
    buckets >>= np.uint32(33 - dims.bit_length())
    buckets[-1] = 0xFFFFFFFF
    buckets.sort()
    return buckets


def _shares(buckets: NDArray[np.uint32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Each bucket once, with the square root of its share of the entries; the last entry is the end and does not count."""
    last = (buckets[1:] != buckets[:-1]).nonzero()[0]
    count = last.astype(np.float32)
    count[1:] -= count[:-1].copy()
    count[:1] += 1
    count *= np.float32(1 / max(len(buckets) - 1, 1))
    return buckets[last].view(np.int32), np.sqrt(count)
