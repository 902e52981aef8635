"""The words of a text and what is known of each, hashed: what a tagger without a model looks at."""

import re
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+|[^\w\s]")
_SHAPES = ((re.compile(r"[^\W\d_a-z]+"), "X"), (re.compile(r"[a-z]+"), "x"), (re.compile(r"\d"), "0"))
_OUTSIDE = "\n"
"""What stands before the first and behind the last word."""
_REACH = 3
"""How many words to each side are looked at."""

_FIRST = 2
"""How many of a text's first words each of its words is seen with."""


class Word(NamedTuple):
    """Where a word stands."""

    start: int
    end: int


def words(text: str) -> list[Word]:
    """Runs of letters, digits and underscores, and every other sign by itself; spaces are none."""
    return [Word(*found.span()) for found in _WORD.finditer(text)]


def word_features(text: str, at: list[Word]) -> NDArray[np.uint32]:
    """What is known of each of T words, T by F: itself, its shape, its beginning and end, its neighbours', and pairs of those. Hashes of 32 bits.

    The features are those of CRFsuite's chunker (Okazaki, 2007), with affixes and shapes for words that were never seen.
    """
    exact = [_OUTSIDE] * _REACH + [text[word.start : word.end] for word in at] + [_OUTSIDE] * _REACH
    lower = [word.lower() for word in exact]
    shape = [_shape(word) for word in exact]
    said_KT = np.array([[_hash(word) for word in kind] for kind in _kinds(exact, lower, shape)], np.uint32)
    e, w, s, p2, p3, p4, s2, s3 = said_KT
    n = len(at)

    def to(kind_T: NDArray[np.uint32], step: int) -> NDArray[np.uint32]:
        return kind_T[_REACH + step : _REACH + step + n]

    single = [to(kind, 0) for kind in (e, w, s, p2, p3, p4, s2, s3)]
    single += (
        [to(w, step) for step in (-3, -2, -1, 1, 2, 3)] + [to(s, step) for step in (-2, -1, 1, 2)] + [to(s3, step) for step in (-1, 1)]
    )
    pairs = [
        (w, -1, w, 0),
        (w, 0, w, 1),
        (w, -2, w, -1),
        (w, 1, w, 2),
        (w, -1, w, 1),
        (w, -1, s, 0),
        (s, 0, w, 1),
        (s, -1, s, 0),
        (s, 0, s, 1),
    ]
    both = [_mixed(to(one, i), to(other, j)) for one, i, other, j in pairs]
    for first in range(_FIRST):  # what a text begins with may say what it is about
        begins = np.full(n, w[_REACH + min(first, n - 1)], np.uint32)
        both += [begins, _mixed(begins, to(w, 0)), _mixed(begins, to(s, 0))]
    both += [_mixed(_mixed(to(kind, -1), to(kind, 0)), to(kind, 1)) for kind in (w, s)]
    everything_FT = np.stack([*single, *both, np.zeros(n, np.uint32)])
    return (everything_FT * np.uint32(2654435761) + np.arange(len(everything_FT), dtype=np.uint32)[:, None] * np.uint32(40503 * 65537)).T


def _kinds(exact: list[str], lower: list[str], shape: list[str]) -> list[list[str]]:
    starts = [[word[:n] for word in lower] for n in (2, 3, 4)]
    return [exact, lower, shape, *starts, *([word[-n:] for word in lower] for n in (2, 3))]


def _hash(word: str) -> int:
    return crc32(word.encode("utf-8", "replace"))


def _mixed(one_T: NDArray[np.uint32], other_T: NDArray[np.uint32]) -> NDArray[np.uint32]:
    mixed: NDArray[np.uint32] = (one_T * np.uint32(0x9E3779B1)) ^ (other_T * np.uint32(0x85EBCA6B))
    mixed ^= mixed >> np.uint32(15)
    return mixed


def _shape(word: str) -> str:
    """`Xx` for `Monday`, `00:00` in its parts: letters by case, runs as one; digits one by one."""
    for pattern, sign in _SHAPES:
        word = pattern.sub(sign, word)
    return word[:8]
