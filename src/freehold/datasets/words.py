"""Texts as hashes of their words and of runs of words, for many texts at once: what duplicates, contamination and language are found by.

A word is a run of letters and digits; every other sign is a word of its own, and so is each character of a script without spaces. Hashes
are of the words' bytes alone, so that they are the same on every machine and in every run.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

U64 = np.uint64
_CHUNK = 256 << 10
"""Bytes hashed at once: their arrays stay within a processor's cache."""
_BASE = 0x9E3779B97F4A7C15
_SPACE, _LETTER = 0, 127


class Words(NamedTuple):
    """The words of N texts, in order."""

    hash_W: NDArray[np.uint64]
    """Each word's hash."""
    end_N: NDArray[np.int64]
    """Where each text's words end."""
    script_NS: NDArray[np.int32]
    """About how many characters of each script of SCRIPTS there are; where all are ASCII, they count as Latin."""

    @property
    def start_N(self) -> NDArray[np.int64]:
        """Where each text's words begin."""
        return np.concatenate([np.zeros(1, dtype=np.int64), self.end_N[:-1]]) if len(self.end_N) else self.end_N


class Shingles(NamedTuple):
    """Runs of words, each as a hash, in the order of the text: repeats stay."""

    hash_S: NDArray[np.uint32]
    end_N: NDArray[np.int64]


SCRIPTS = ("latin", "cyrillic", "greek", "hebrew", "arabic", "kana", "han", "hangul", "devanagari", "thai")


def words_of(texts: Sequence[str]) -> Words:
    """The words of texts, without regard to case."""
    parts = [_hashed(chunk) for chunk in _chunks(texts)]
    if not parts:
        return Words(np.zeros(0, dtype=U64), np.zeros(0, dtype=np.int64), np.zeros((0, len(SCRIPTS)), dtype=np.int32))
    sizes = np.cumsum([0, *(len(part.hash_W) for part in parts[:-1])])
    ends = np.concatenate([part.end_N + size for part, size in zip(parts, sizes, strict=True)])
    return Words(np.concatenate([part.hash_W for part in parts]), ends, np.concatenate([part.script_NS for part in parts]))


RUN = 3
"""Words of a shingle."""


def shingles_of(words: Words) -> Shingles:
    """The runs of three words of each text; of a shorter text, the one of all its words."""
    count = len(words.hash_W)
    if not count:
        return Shingles(np.zeros(0, dtype=np.uint32), np.zeros_like(words.end_N))
    start_N, sizes = words.start_N, words.end_N - words.start_N
    end_W = np.repeat(words.end_N, sizes)
    at = np.arange(count)
    mixed = words.hash_W.copy()
    for step in range(1, RUN):
        following = np.zeros(count, dtype=U64)
        following[:-step] = words.hash_W[step:]
        following[at + step >= end_W] = 0
        mixed = mixed * U64(_BASE) + following
    keep = at + RUN <= end_W
    keep[start_N[sizes > 0]] = True
    ends = np.cumsum(keep)
    end_N = np.where(words.end_N > 0, ends[np.maximum(words.end_N, 1) - 1], 0)
    return Shingles((mix(mixed[keep]) >> U64(32)).astype(np.uint32), end_N)


def keys_of(texts: Sequence[str]) -> NDArray[np.uint64]:
    """A hash of each text as it stands, many short ones at once."""
    encoded = [text.encode(errors="surrogatepass") for text in texts]
    data = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    return hashed(data, np.cumsum([len(text) for text in encoded], dtype=np.int64))


def hashed(value_V: NDArray[Any], end_N: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash of each of N stretches of values that follow each other, whose ends are told: of the values in their order and of how many
    there are. Every value is weighted by its place; the difference of two sums over all of them, moved to place 0, is a stretch's."""
    begin_N = np.concatenate([np.zeros(1, dtype=np.int64), end_N[:-1]])[: len(end_N)]
    power, inverse = _powers(len(value_V) + 1)
    total = np.zeros(len(value_V) + 1, dtype=U64)
    np.multiply(value_V + U64(1), power[:-1], out=total[1:])
    np.cumsum(total, out=total)
    return mix((total[end_N] - total[begin_N]) * inverse[begin_N] + (end_N - begin_N).astype(U64))


def mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spreads hashes over all bits (the end of splitmix64, Steele et al. 2014)."""
    x = (x ^ (x >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> U64(27))) * U64(0x94D049BB133111EB)
    return x ^ (x >> U64(31))


def _chunks(texts: Sequence[str]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for text in texts:
        data = text.lower().encode(errors="replace")
        if chunk and size + len(data) > _CHUNK:
            yield chunk
            chunk, size = [], 0
        chunk.append(data)
        size += len(data) + 1
    if chunk:
        yield chunk


def _hashed(texts: list[bytes]) -> Words:
    """Every byte is weighted by its place; the difference of two sums over all of them, moved to place 0, is a word's hash."""
    joined = b"\n".join(texts) + b"\n"
    data = np.frombuffer(joined, dtype=np.uint8)
    kind = np.frombuffer(joined.translate(_KIND), dtype=np.uint8)  # several times faster than numpy's lookup
    is_start, is_text = _starts(kind)
    begin = np.flatnonzero(is_start)
    ends_here = is_text.copy()
    ends_here[:-1] &= ~is_text[1:] | is_start[1:]
    end = np.flatnonzero(ends_here) + 1
    power, inverse = _powers(len(data) + 1)
    total = np.empty(len(data) + 1, dtype=U64)  # in place: fresh memory costs more here than arithmetic
    total[0] = 0
    np.multiply(data, power[:-1], out=total[1:], dtype=U64)
    np.cumsum(total, out=total)
    hash_W = mix((total[end] - total[begin]) * inverse[begin])
    last = np.cumsum([len(text) + 1 for text in texts])
    return Words(hash_W, np.searchsorted(begin, last), _scripts(joined, data, last))


def _starts(kind: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where words begin, and what is part of one."""
    is_text = kind != _SPACE
    is_start = is_text.copy()
    is_start[1:] &= kind[:-1] == _SPACE
    for size in (1, 2, 3):  # a sign of so many bytes is a word, and the next begins behind it
        single = np.flatnonzero(kind == size)
        is_start[single] = True
        behind = single + size
        behind = behind[behind < len(kind)]
        is_start[behind] = is_text[behind]
    return is_start, is_text


def _scripts(joined: bytes, data: NDArray[np.uint8], last: NDArray[np.int64]) -> NDArray[np.int32]:
    found = np.zeros((len(last), len(SCRIPTS)), dtype=np.int32)
    if joined.isascii():
        found[:, 0] = np.diff(last, prepend=0) - 1
        return found
    script = np.frombuffer(joined.translate(_SCRIPT), dtype=np.uint8)
    if data.max() >= 0xE0:
        following = np.append(data[1:], np.uint8(0))
        script = np.where(data == 0xE3, np.where((following >= 0x81) & (following <= 0x83), 5, 255), script)
        script = np.where(data == 0xE0, np.where((following == 0xB8) | (following == 0xB9), 9, np.where(following <= 0xA5, 8, 255)), script)
    first = np.concatenate([np.zeros(1, dtype=np.int64), last[:-1]])
    for number in np.flatnonzero(np.bincount(script, minlength=256)[: len(SCRIPTS)]):
        found[:, number] = np.add.reduceat(script == number, first, dtype=np.int32)
    return found


def _powers(count: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The weights of places and their inverses, modulo 2^64."""
    if count <= len(_POWER):
        return _POWER[:count], _INVERSE[:count]
    return _powers_of(_BASE, count), _powers_of(pow(_BASE, -1, 1 << 64), count)


def _powers_of(base: int, count: int) -> NDArray[np.uint64]:
    factors = np.full(count, base, dtype=U64)
    factors[0] = 1
    return np.cumprod(factors, dtype=U64)


def _kinds() -> bytes:
    """By byte: 0 for what parts words, the number of bytes of a sign that is a word of its own, else 127."""
    kind = np.full(256, _LETTER, dtype=np.uint8)
    kind[:33] = _SPACE
    kind[127] = _SPACE
    for byte in range(33, 127):
        if not chr(byte).isalnum() and byte != ord("_"):
            kind[byte] = 1
    kind[0xC2] = 2  # signs of Latin-1
    kind[0xE2:0xEA] = 3  # punctuation and symbols, kana, Chinese characters
    kind[0xEF] = 3  # full-width forms
    return kind.tobytes()


def _script_table() -> bytes:
    """By first byte of a character, where one byte tells: its place in SCRIPTS."""
    script = np.full(256, 255, dtype=np.uint8)
    script[ord("a") : ord("z") + 1] = 0
    script[0xC3:0xC6] = 0
    for number, first, last in ((1, 0xD0, 0xD3), (2, 0xCE, 0xCF), (3, 0xD6, 0xD7), (4, 0xD8, 0xDB), (6, 0xE4, 0xE9), (7, 0xEA, 0xED)):
        script[first : last + 1] = number
    return script.tobytes()


_KIND = _kinds()
_SCRIPT = _script_table()
_POWER = _powers_of(_BASE, _CHUNK + 2)
_INVERSE = _powers_of(pow(_BASE, -1, 1 << 64), _CHUNK + 2)
