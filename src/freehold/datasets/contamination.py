"""Evaluation texts in training rows: whoever is trained on what it is examined with looks better than it is.

A training row is contaminated where it has the very words of an evaluation text, or holds so large a share of its runs of eight words.
The runs of an evaluation text that have the least hashes stand for all of them (bottom-k, Cohen and Kaplan 2007), so that memory is bounded;
a text held whole has all of them, however few are looked at. Texts of fewer than eight words are compared as wholes alone: such runs are
in every conversation. So are runs that many evaluation texts share: those are boilerplate.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.datasets.words import RUN, U64, Shingles, mix, shingles_of, words_of

LONG_RUN = 8
"""Words of a run."""
_PER_TEXT = 32
"""So many runs stand for a text."""
_BOILERPLATE = 64
"""Runs that more evaluation texts than this have tell nothing."""
_BATCH = 2_000
_BITS = 26
"""Bits of a hash by which most runs are told to be in no evaluation text: a table of 64 MB, of which a tenth is filled by 200,000 texts."""
_NONE, _NOBODY = np.zeros(0, dtype=U64), np.zeros(0, dtype=np.int64)


class Evaluation(NamedTuple):
    """Texts that nothing may be trained on."""

    name: str
    """What they are, such as `triage@3f2a… test`."""
    texts: Iterable[Shingles]
    """Their shingles, in batches; read once. `shingled` makes them of texts."""


class Held(NamedTuple):
    """The evaluation text that a row holds."""

    row: int
    evaluation: str
    """The name of the set that it is from."""
    share: float
    """How much of it the row holds."""


class Evaluations:
    """All evaluation texts, as hashes."""

    def __init__(self, sets: Iterable[Evaluation]) -> None:
        whole, runs, owners, set_of = [_NONE], [_NONE], [_NOBODY], [_NOBODY]
        self.names: list[str] = []
        self.sizes: list[int] = []
        count = 0
        for evaluation in sets:
            self.names.append(evaluation.name)
            self.sizes.append(0)
            for shingles in evaluation.texts:
                sample, owner = _sampled(*_runs(shingles))
                whole.append(whole_of(shingles))
                runs.append(sample)
                owners.append(owner + count)
                set_of.append(np.full(len(shingles.end_N), len(self.names) - 1))
                self.sizes[-1] += len(shingles.end_N)
                count += len(shingles.end_N)
        self._set_T = np.concatenate(set_of)
        self._whole, self._first = np.unique(np.concatenate(whole), return_index=True)
        run_R, owner_R = np.concatenate(runs), np.concatenate(owners)
        is_first_T = np.zeros(count, dtype=bool)  # a text that is in several sets counts once, or it would be boilerplate by itself
        is_first_T[self._first] = True
        run_R, owner_R = run_R[is_first_T[owner_R]], owner_R[is_first_T[owner_R]]
        order = np.argsort(run_R, kind="stable")
        self._run_R, self._owner_R = _without_boilerplate(run_R[order], owner_R[order])
        self._size_T = np.bincount(self._owner_R, minlength=count)
        self._may_be = np.zeros(1 << _BITS, dtype=bool)
        self._may_be[(self._run_R >> U64(64 - _BITS)).astype(np.int64)] = True

    def __len__(self) -> int:
        return len(self._whole)

    def held(self, shingles: Shingles, share: float) -> list[Held]:
        """The rows that hold an evaluation text, each once. `shingles`: of three words, as they follow each other."""
        if not len(self):
            return []
        found: dict[int, Held] = {}
        text_N = whole_of(shingles)
        place = np.minimum(np.searchsorted(self._whole, text_N), len(self._whole) - 1)
        for row in np.flatnonzero((self._whole[place] == text_N) & (np.diff(shingles.end_N, prepend=0) > 0)).tolist():
            found[row] = self._as_held(row, int(self._first[place[row]]), 1.0)
        for row, text, part in self._shares(*_runs(shingles)):
            if part >= share and row not in found:
                found[row] = self._as_held(row, text, part)
        return list(found.values())

    def _as_held(self, row: int, text: int, share: float) -> Held:
        return Held(row, self.names[int(self._set_T[text])], share)

    def _shares(self, run: NDArray[np.uint64], row: NDArray[np.int64]) -> Iterator[tuple[int, int, float]]:
        """Row, evaluation text and the share of it, wherever there is any."""
        maybe = np.flatnonzero(self._may_be[(run >> U64(64 - _BITS)).astype(np.int64)])
        if not len(maybe) or not len(self._run_R):
            return
        left = np.searchsorted(self._run_R, run[maybe], side="left")
        is_one = self._run_R[np.minimum(left, len(self._run_R) - 1)] == run[maybe]
        pair = np.unique(row[maybe[is_one]] * len(self._run_R) + left[is_one])  # a run that stands twice in a row counts once
        rows, left = pair // len(self._run_R), pair % len(self._run_R)
        many = np.searchsorted(self._run_R, self._run_R[left], side="right") - left
        at = np.repeat(left - (np.cumsum(many) - many), many) + np.arange(many.sum())
        code, count = np.unique(np.repeat(rows, many) * len(self._size_T) + self._owner_R[at], return_counts=True)
        for one, hits in zip(code.tolist(), count.tolist(), strict=True):
            yield one // len(self._size_T), one % len(self._size_T), hits / int(self._size_T[one % len(self._size_T)])


def whole_of(shingles: Shingles) -> NDArray[np.uint64]:
    """A hash of each text's words, all of them in order."""
    found = np.zeros(len(shingles.end_N), dtype=U64)
    start = 0
    data = shingles.hash_S.tobytes()
    for n, end in enumerate(shingles.end_N.tolist()):
        found[n] = int.from_bytes(blake2b(data[4 * start : 4 * end], digest_size=8).digest())
        start = end
    return found


def shingled(texts: Iterable[str]) -> Iterator[Shingles]:
    """The shingles of texts, in batches."""
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            yield shingles_of(words_of(batch))
            batch = []
    if batch:
        yield shingles_of(words_of(batch))


def _runs(shingles: Shingles) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The runs of eight words of each text, from runs of three that cover them, and whose they are."""
    count = len(shingles.hash_S)
    reach = LONG_RUN - RUN
    if count <= reach:
        return np.zeros(0, dtype=U64), np.zeros(0, dtype=np.int64)
    row = np.repeat(np.arange(len(shingles.end_N)), np.diff(shingles.end_N, prepend=0))
    inside = row[:-reach] == row[reach:]
    wide = shingles.hash_S.astype(U64)
    run = mix(wide[:-reach] * U64(0x9E3779B97F4A7C15) + wide[3 : count - reach + 3] * U64(0xC2B2AE3D27D4EB4F) + wide[reach:])
    return run[inside], row[:-reach][inside]


def _sampled(run: NDArray[np.uint64], owner: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Of each text the runs with the least hashes, each once."""
    order = np.argsort((owner.astype(U64) << U64(44)) | (run >> U64(20)), kind="stable")
    run, owner = run[order], owner[order]
    fresh = np.ones(len(run), dtype=bool)
    fresh[1:] = (run[1:] != run[:-1]) | (owner[1:] != owner[:-1])
    run, owner = run[fresh], owner[fresh]
    rank = np.arange(len(owner)) - np.searchsorted(owner, owner, side="left")
    return run[rank < _PER_TEXT], owner[rank < _PER_TEXT]


def _without_boilerplate(run: NDArray[np.uint64], owner: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    many = np.searchsorted(run, run, side="right") - np.searchsorted(run, run, side="left")
    return run[many <= _BOILERPLATE], owner[many <= _BOILERPLATE]
