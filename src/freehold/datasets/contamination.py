"""Evaluation texts in training rows: whoever is trained on what it is examined with looks better than it is.

A training row is contaminated where it has the very words of an evaluation text, or holds so large a share of its runs of eight words.
The runs of an evaluation text that have the least hashes stand for all of them (bottom-k, Cohen and Kaplan 2007), so that memory is bounded;
a text held whole has all of them, however few are looked at. Texts of fewer than eight words are compared as wholes alone: such runs are
in every conversation. So are runs that many evaluation texts share: those are boilerplate.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.datasets.words import RUN, U64, Shingles, hashed, mix, shingles_of, words_of

LONG_RUN = 8
"""Words of a run."""
_PER_TEXT = 32
"""So many runs stand for a text."""
_BOILERPLATE = 64
"""Runs that more evaluation texts than this have tell nothing."""
_BATCH = 2_000
_RUN_BITS = 48
"""Bits of a run's hash. Two runs that are taken for one matter only where half of a text's runs are taken for such."""
_BITS = 26
"""Bits of a hash by which most runs are told to be in no evaluation text: a table of 64 MB, of which a tenth is filled by 200,000 texts."""


class Evaluation(NamedTuple):
    """Texts that nothing may be trained on."""

    name: str
    """What they are, such as `triage@3f2a… test`."""
    texts: Iterable[Shingles]
    """Their shingles, in batches of some thousand texts; read once. `shingled` makes them of texts."""


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
        self.names: list[str] = []
        self.sizes: list[int] = []
        self._texts = _Texts.none()
        self._index = _Index(self._texts)
        self.add(sets)

    def add(self, sets: Iterable[Evaluation]) -> None:
        """Takes in further sets."""
        batches = [self._texts]
        count = len(self._texts.whole_T)
        for evaluation in sets:
            self.names.append(evaluation.name)
            self.sizes.append(0)
            for shingles in evaluation.texts:
                run_R, owner_R = _sampled(*_runs(shingles))
                set_T = np.full(len(shingles.end_N), len(self.names) - 1, dtype=np.int32)
                batches.append(_Texts(whole_of(shingles), set_T, run_R, (owner_R + count).astype(np.int32)))
                self.sizes[-1] += len(set_T)
                count += len(set_T)
        self._texts = _Texts.joined(batches)
        self._index = _Index(self._texts)

    def __len__(self) -> int:
        return len(self._texts.whole_T)

    def held(self, shingles: Shingles, share: float) -> list[Held]:
        """The rows that hold an evaluation text, each once. `shingles`: of three words, as they follow each other."""
        if not len(self):
            return []
        found: dict[int, Held] = {}
        for row, text in self._index.equal(whole_of(shingles), shingles):
            found[row] = self._as_held(row, text, 1.0)
        for row, text, part in self._index.shares(*_runs(shingles)):
            if part >= share and row not in found:
                found[row] = self._as_held(row, text, part)
        return list(found.values())

    def _as_held(self, row: int, text: int, share: float) -> Held:
        return Held(row, self.names[int(self._texts.set_T[text])], share)


class _Texts(NamedTuple):
    """Evaluation texts in the order in which they were told, and the runs that stand for them."""

    whole_T: NDArray[np.uint64]
    """A hash of each text's words."""
    set_T: NDArray[np.int32]
    """The set that each is from."""
    run_R: NDArray[np.uint64]
    """Runs,"""
    owner_R: NDArray[np.int32]
    """and whose each is."""

    @classmethod
    def none(cls) -> "_Texts":
        none = np.zeros(0, dtype=np.int32)
        return cls(none.astype(U64), none, none.astype(U64), none)

    @classmethod
    def joined(cls, batches: Sequence["_Texts"]) -> "_Texts":
        """All of them."""
        return cls(
            np.concatenate([batch.whole_T for batch in batches]),
            np.concatenate([batch.set_T for batch in batches]),
            np.concatenate([batch.run_R for batch in batches]),
            np.concatenate([batch.owner_R for batch in batches]),
        )


class _Index:
    """Where a hash is looked for among those of evaluation texts."""

    def __init__(self, texts: _Texts) -> None:
        self._whole, self._first = np.unique(texts.whole_T, return_index=True)
        count = len(texts.whole_T)
        is_first_T = np.zeros(count, dtype=bool)  # a text that is in several sets counts once, or it would be boilerplate by itself
        is_first_T[self._first] = True
        is_counted = is_first_T[texts.owner_R]
        run_R, owner_R = texts.run_R[is_counted], texts.owner_R[is_counted]
        order = np.argsort(run_R, kind="stable")
        self._run_R, self._owner_R = _without_boilerplate(run_R[order], owner_R[order])
        self._size_T = np.bincount(self._owner_R, minlength=count)
        self._may_be = np.zeros(1 << _BITS, dtype=bool)
        self._may_be[self._run_R >> U64(_RUN_BITS - _BITS)] = True

    def equal(self, whole_N: NDArray[np.uint64], shingles: Shingles) -> Iterator[tuple[int, int]]:
        """Rows that have any words at all, and the very ones of an evaluation text, with that text."""
        place = np.minimum(np.searchsorted(self._whole, whole_N), len(self._whole) - 1)
        for row in np.flatnonzero((self._whole[place] == whole_N) & (np.diff(shingles.end_N, prepend=0) > 0)).tolist():
            yield row, int(self._first[place[row]])

    def shares(self, run: NDArray[np.uint64], row: NDArray[np.int64]) -> Iterator[tuple[int, int, float]]:
        """Row, evaluation text and the share of it, wherever there is any."""
        maybe = np.flatnonzero(self._may_be[run >> U64(_RUN_BITS - _BITS)])
        if not len(maybe) or not len(self._run_R):
            return
        maybe = maybe[np.argsort(run[maybe])]  # what is looked for in order is found four times as fast
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
    return hashed(shingles.hash_S, shingles.end_N)


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
    return run[inside] >> U64(64 - _RUN_BITS), row[:-reach][inside]


def _sampled(run: NDArray[np.uint64], owner: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Of each text the runs with the least hashes, each once."""
    ordered = np.sort((owner.astype(U64) << U64(_RUN_BITS)) | run)  # numbers are sorted several times as fast as places by numbers
    ordered = ordered[np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))] if len(ordered) else ordered
    owner = (ordered >> U64(_RUN_BITS)).astype(np.int64)
    is_least = np.arange(len(owner)) - np.searchsorted(owner, owner, side="left") < _PER_TEXT
    return ordered[is_least] & U64((1 << _RUN_BITS) - 1), owner[is_least]


def _without_boilerplate(run: NDArray[np.uint64], owner: NDArray[np.int32]) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Runs in order, without those that too many texts have."""
    is_first = np.ones(len(run), dtype=bool)
    is_first[1:] = run[1:] != run[:-1]
    size = np.diff(np.flatnonzero(is_first), append=len(run))
    is_kept = np.repeat(size <= _BOILERPLATE, size)
    return run[is_kept], owner[is_kept]
