"""What a specialist has learnt so far, data set by data set: the rows that are left, and the sums that were kept of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.routing.arrays import pack, unpack
from freehold.training.continual.slda import Sums, sums_of
from freehold.training.lesson import Lesson, Part
from freehold.training.method import Earlier

_SUMS = "sums-"


class Past(NamedTuple):
    """A data set that was learnt, or is learnt now, as far as it is still there."""

    dataset: str
    """Hash of the version."""
    stands_for: tuple[str, ...]
    """Hashes of those it is what is left of."""
    train: Part
    """Its training rows, but for those that an earlier one had already."""
    calibrate: Part


class Kept(NamedTuple):
    """Sums of one data set."""

    dataset: str
    """Hash of the version."""
    vectors: str
    """Which function of the texts their vectors are."""
    answers: tuple[JSON, ...]
    """The answer of each component."""
    sums: Sums


def history(earlier: Earlier | None, lesson: Lesson) -> list[Past]:
    """The data sets in the order in which they were learnt, the present one last. A row that is in two of them counts in the first."""
    known: set[str] = set()
    found: list[Past] = []
    for one in (*(earlier.lessons if earlier is not None else ()), lesson):
        hash = one.dataset.partition("@")[2]
        if any(past.dataset == hash for past in found):
            continue
        fresh = one.train.those(n for n, id in enumerate(one.train.ids) if id not in known)
        known |= set(one.train.ids)
        found.append(Past(hash, one.stands_for, fresh, one.calibrate))
    return found


class Recalled(NamedTuple):
    """The sums of a whole history."""

    kept: tuple[Kept, ...]
    """In the order in which they were learnt."""
    summed_anew: tuple[str, ...]
    """Hashes of data sets that were read again: those that are new, that rows were erased from, or whose sums were of other vectors."""


def recall(
    past: Sequence[Past], before: Sequence[Kept], vectors: str, embed: Callable[[Part], NDArray[np.float32]], keep_gone: bool
) -> Recalled:
    """The sums of every data set: those that were kept where it is as it was, of what is left of it where rows were erased since, to the bit
    what learning only that would have given. What is gone altogether is left out, unless `keep_gone`."""
    usable = {one.dataset: one for one in before if one.vectors == vectors}
    there = {hash for one in past for hash in (one.dataset, *one.stands_for)}
    kept = [one for one in usable.values() if keep_gone and one.dataset not in there]
    anew: list[str] = []
    for one in past:
        if one.dataset in usable:
            kept.append(usable[one.dataset])
        elif len(one.train):
            kept.append(summed(one, vectors, embed(one.train)))
            anew.append(one.dataset)
    return Recalled(tuple(kept), tuple(anew))


def summed(past: Past, vectors: str, vector_ND: NDArray[np.float32]) -> Kept:
    """The sums of a data set, a component for each of its answers, in the order of their canonical JSON."""
    answers = distinct(past.train.answers)
    place = {canonical_json(answer): k for k, answer in enumerate(answers)}
    component_N = np.array([place[canonical_json(answer)] for answer in past.train.answers], dtype=np.int64)
    return Kept(past.dataset, vectors, answers, sums_of(vector_ND, component_N, len(answers)))


def distinct(answers: Sequence[JSON]) -> tuple[JSON, ...]:
    """Each answer once, in the order of their canonical JSON."""
    by_key = {canonical_json(answer): answer for answer in answers}
    return tuple(by_key[key] for key in sorted(by_key))


def to_file(kept: Kept) -> tuple[str, bytes]:
    """A file of its own for each data set, so that specialists that learnt the same share it. Of what is symmetric one half is kept."""
    upper = np.triu_indices(kept.sums.dims)
    arrays: dict[str, NDArray[Any]] = {
        "count_K": kept.sums.count_K,
        "sum_KD": kept.sums.sum_KD,
        "gram_upper": kept.sums.gram_DD[upper],
    }
    return f"{_SUMS}{kept.dataset[:16]}.safetensors", pack(
        arrays, {"dataset": kept.dataset, "vectors": kept.vectors, "answers": list(kept.answers)}
    )


def of_files(files: Mapping[str, bytes], order: Sequence[str]) -> list[Kept]:
    """The sums among a specialist's files, in the order of their data sets. Raises DataError for one that is none."""
    found = {one.dataset: one for name, data in files.items() if name.startswith(_SUMS) for one in (_of_file(data),)}
    return [found[dataset] for dataset in order if dataset in found]


def _of_file(data: bytes) -> Kept:
    arrays, about = unpack(data, "sums")
    dims = arrays["sum_KD"].shape[1]
    gram_DD = np.zeros((dims, dims), np.int64)
    gram_DD[np.triu_indices(dims)] = arrays["gram_upper"]
    gram_DD += np.triu(gram_DD, 1).T
    return Kept(about["dataset"], about["vectors"], tuple(about["answers"]), Sums(arrays["count_K"], arrays["sum_KD"], gram_DD))
