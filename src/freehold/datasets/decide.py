"""What becomes of every gathered row: it is kept, in one part, or it is left out for a reason. Depends on the rows and on nothing else."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import text_of
from freehold.datasets.contamination import Evaluation, Evaluations, Held
from freehold.datasets.near import near_duplicates
from freehold.datasets.query import KINDS
from freehold.datasets.recipe import Recipe
from freehold.datasets.scratch import Scratch
from freehold.datasets.split import CALIBRATE, TEST, TRAIN, by_place, connected, stratified
from freehold.datasets.suspects import MOST_ROWS, Suspect, suspects
from freehold.datasets.table import json_at
from freehold.datasets.words import U64, mix

PAIRS = KINDS.index("preferences")
EXACT, NEAR, EVALUATION, LABEL = range(1, 5)
REASONS = ("", "exact duplicate", "near duplicate", "evaluation text", "label error")


class Decision(NamedTuple):
    """What becomes of N rows."""

    reason_N: NDArray[np.uint8]
    """0 where a row is kept, else its place in REASONS."""
    of_N: NDArray[np.int64]
    """The row that it is a duplicate of; -1 for none."""
    detail: dict[int, str]
    """What else there is to say of a row."""
    part_N: NDArray[np.int8]
    """Its part."""
    group_N: NDArray[np.uint64]
    """Its group, with whatever hangs together with it."""
    suspected: dict[int, Suspect]
    """Kept rows whose answer is suspected."""
    unseen: int
    """Rows that were too many to be looked at for that."""
    evaluations: Evaluations


def decide(scratch: Scratch, recipe: Recipe, evaluations: Iterable[Evaluation]) -> Decision:
    """Duplicates first, then parts, then evaluation texts in what is to be trained on, then answers that are suspected."""
    number_N, clean = scratch.number_N, recipe.clean
    reason_N, of_N = np.zeros(len(number_N), dtype=np.uint8), np.full(len(number_N), -1, dtype=np.int64)
    detail: dict[int, str] = {}
    order = np.lexsort((number_N["id"], number_N["at"], -number_N["reward"], number_N["rank"]))
    among_N = number_N["task"].astype(np.int64) * 2 + (number_N["kind"] == PAIRS)
    if clean.exact:
        _exact(order, among_N, number_N["exact"], reason_N, of_N)
    if clean.near:
        rows = order[(reason_N[order] == 0) & (number_N["kind"][order] != PAIRS) & (scratch.sizes_N[order] > 0)]
        for near in near_duplicates(scratch.signatures(rows), among_N[rows], clean.near, lambda n: scratch.shingles_at(int(rows[n]))):
            row = int(rows[near.row])
            reason_N[row], of_N[row], detail[row] = NEAR, rows[near.of], f"{near.similarity:.2f}"
    kept = np.flatnonzero(reason_N == 0)
    group_N = np.zeros(len(number_N), dtype=np.uint64)
    group_N[kept] = connected(number_N["item"][kept], number_N["group"][kept])
    part_N = np.full(len(number_N), TEST, dtype=np.int8)
    part_N[kept] = _parts(scratch, recipe, kept, group_N[kept])
    against = Evaluations(())
    if recipe.purpose == "training":  # of a data set for evaluation nothing is asked
        kept = reason_N == 0
        against.add((*evaluations, _own(scratch, np.flatnonzero(kept & (part_N == TEST)), "its own test part")))
        _leave_out(scratch, against, np.flatnonzero(kept & (part_N == CALIBRATE)), clean.contamination, reason_N, detail)
        kept = reason_N == 0
        against.add([_own(scratch, np.flatnonzero(kept & (part_N == CALIBRATE)), "its own calibration part")])
        _leave_out(scratch, against, np.flatnonzero(kept & (part_N == TRAIN)), clean.contamination, reason_N, detail)
    suspected, unseen = _suspects(scratch, reason_N, group_N) if clean.label_errors != "off" else ({}, 0)
    if clean.label_errors == "drop":
        for row, suspect in suspected.items():
            reason_N[row], detail[row] = LABEL, f"perhaps {suspect.suggested} ({suspect.confidence:.2f})"
        suspected = {}
    return Decision(reason_N, of_N, detail, part_N, group_N, suspected, unseen, against)


def _exact(
    order: NDArray[np.int64],
    among_N: NDArray[np.int64],
    exact_N: NDArray[np.uint64],
    reason_N: NDArray[np.uint8],
    of_N: NDArray[np.int64],
) -> None:
    """Of rows that ask the same, and may be compared, all but the first in order go."""
    key = mix(mix(among_N.astype(U64)) + exact_N)[order]
    _, first, code = np.unique(key, return_index=True, return_inverse=True)
    best = order[first[code]]
    again = best != order
    reason_N[order[again]], of_N[order[again]] = EXACT, best[again]


def _parts(scratch: Scratch, recipe: Recipe, kept: NDArray[np.int64], group_K: NDArray[np.uint64]) -> NDArray[np.int8]:
    """The part of each kept row: of its group, by the group's place, within its stratum where that is wanted."""
    groups, code_K = np.unique(group_K, return_inverse=True)
    place_G = groups / 2.0**64
    if not recipe.split.stratify:
        return by_place(place_G, recipe.fractions)[code_K]
    number_K = scratch.number_N[kept]
    is_few = np.array([scratch.few.get(task) is not None for task in range(len(scratch.tasks))], dtype=bool)
    names = sorted(scratch.tasks, key=lambda task: task or "")
    rank_of = {scratch.tasks[name]: rank for rank, name in enumerate(names)}  # codes are given as tasks come, and order must not enter
    rank_K = np.array([rank_of[task] for task in range(len(names))], dtype=np.int64)[number_K["task"]]
    answers, answer_K = np.unique(np.where(is_few[number_K["task"]], number_K["answer"], 0), return_inverse=True)
    strata, stratum_K = np.unique(rank_K * len(answers) + answer_K, return_inverse=True)
    pairs, count = np.unique(code_K * len(strata) + stratum_K, return_counts=True)
    group, stratum = pairs // len(strata), pairs % len(strata)
    commonest = np.lexsort((stratum, -count, group))
    first = commonest[np.searchsorted(group[commonest], np.arange(len(groups)))]
    return stratified(place_G, stratum[first], recipe.fractions)[code_K]


def _own(scratch: Scratch, rows: NDArray[np.int64], name: str) -> Evaluation:
    return Evaluation(name, (shingles for part in scratch.parts for _, shingles in scratch.shingles(part, rows)))


def _leave_out(
    scratch: Scratch, against: Evaluations, rows: NDArray[np.int64], share: float, reason_N: NDArray[np.uint8], detail: dict[int, str]
) -> None:
    """Leaves out the rows that hold an evaluation text. The parts that were gathered are gone through side by side."""

    def held(part: int) -> list[tuple[int, Held]]:
        return [(int(some[one.row]), one) for some, shingles in scratch.shingles(part, rows) for one in against.held(shingles, share)]

    with ThreadPoolExecutor(len(scratch.parts)) as threads:
        for row, one in chain.from_iterable(threads.map(held, scratch.parts)):
            reason_N[row], detail[row] = EVALUATION, f"{one.share:.2f} of a text of {one.evaluation}"


def _suspects(scratch: Scratch, reason_N: NDArray[np.uint8], group_N: NDArray[np.uint64]) -> tuple[dict[int, Suspect], int]:
    """Suspected rows of tasks with few answers, by row, and how many rows of such tasks nobody looked at."""
    number_N = scratch.number_N
    looked: dict[int, NDArray[np.int64]] = {}
    unseen = 0
    for task, known in scratch.few.items():
        if known is not None and len(known) >= 2:
            rows = np.flatnonzero((reason_N == 0) & (number_N["task"] == task) & (number_N["kind"] != PAIRS))
            looked[task] = np.sort(rows[np.argsort(number_N["id"][rows], kind="stable")][:MOST_ROWS])
            unseen += len(rows) - len(looked[task])
    wanted = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *looked.values()]))
    text = dict(zip(wanted.tolist(), _texts(scratch, wanted), strict=True))
    found: dict[int, Suspect] = {}
    for task, rows in looked.items():
        by_id = rows[np.argsort(number_N["id"][rows], kind="stable")]  # what is learnt may depend on the order of what is shown
        known = scratch.few[task] or {}
        answers = [known[answer] for answer in number_N["answer"][by_id].tolist()]
        for suspect in suspects([text[row] for row in by_id.tolist()], answers, group_N[by_id] / 2.0**64):
            found[int(by_id[suspect.row])] = suspect
    return found, unseen


def _texts(scratch: Scratch, rows: NDArray[np.int64]) -> Iterator[str]:
    """The questions of some rows, in ascending order."""
    if not len(rows):
        return
    start = 0
    for table in scratch.tables(["input"]):
        inside = rows[(rows >= start) & (rows < start + len(table))] - start
        yield from (text_of(json_at(text)) for text in table.column("input").take(inside).to_pylist())
        start += len(table)
