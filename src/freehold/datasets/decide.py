"""What becomes of every gathered row: it is kept, in one part, or it is left out for a reason. Depends on the rows and on nothing else."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import text_of
from freehold.datasets.contamination import Evaluation, Evaluations
from freehold.datasets.near import near_duplicates
from freehold.datasets.query import KINDS
from freehold.datasets.recipe import Recipe
from freehold.datasets.scratch import Scratch
from freehold.datasets.split import CALIBRATE, TEST, TRAIN, by_place, connected, stratified
from freehold.datasets.suspects import MOST_ROWS, Suspect, suspects
from freehold.datasets.table import json_at

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
        signature_NK = scratch.signature_NK[rows]
        for near in near_duplicates(signature_NK, among_N[rows], clean.near, lambda n: scratch.shingles_at(int(rows[n]))):
            row = int(rows[near.row])
            reason_N[row], of_N[row], detail[row] = NEAR, rows[near.of], f"{near.similarity:.2f}"
    kept = np.flatnonzero(reason_N == 0)
    group_N = np.zeros(len(number_N), dtype=np.uint64)
    group_N[kept] = connected(number_N["item"][kept], number_N["group"][kept])
    part_N = np.full(len(number_N), TEST, dtype=np.int8)
    part_N[kept] = _parts(scratch, recipe, kept, group_N[kept])
    against = _against(scratch, recipe, evaluations, np.flatnonzero((reason_N == 0) & (part_N == TEST)), "its own test part")
    for row, said in _held(scratch, against, np.flatnonzero((reason_N == 0) & (part_N != TEST)), clean.contamination):
        reason_N[row], detail[row] = EVALUATION, said
    own = _against(scratch, recipe, (), np.flatnonzero((reason_N == 0) & (part_N == CALIBRATE)), "its own calibration part")
    for row, said in _held(scratch, own, np.flatnonzero((reason_N == 0) & (part_N == TRAIN)), clean.contamination):
        reason_N[row], detail[row] = EVALUATION, said
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
    key = np.empty(len(order), dtype=[("among", np.int64), ("exact", np.uint64)])
    key["among"], key["exact"] = among_N[order], exact_N[order]
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
    stratum_K = np.empty(len(kept), dtype=[("task", np.uint64), ("answer", np.uint64)])
    names = sorted(scratch.tasks, key=lambda task: task or "")
    rank_of = {scratch.tasks[name]: rank for rank, name in enumerate(names)}  # codes are given as tasks come, and order must not enter
    stratum_K["task"] = np.array([rank_of[task] for task in range(len(names))], dtype=np.uint64)[number_K["task"]]
    stratum_K["answer"] = np.where(is_few[number_K["task"]], number_K["answer"], 0)
    _, stratum = np.unique(stratum_K, return_inverse=True)
    pairs, count = np.unique(np.stack([code_K, stratum]), axis=1, return_counts=True)
    commonest = np.lexsort((pairs[1], -count, pairs[0]))
    first = commonest[np.searchsorted(pairs[0][commonest], np.arange(len(groups)))]
    return stratified(place_G, pairs[1][first], recipe.fractions)[code_K]


def _against(scratch: Scratch, recipe: Recipe, evaluations: Iterable[Evaluation], own: NDArray[np.int64], name: str) -> Evaluations:
    """What no training text may be: of a data set for evaluation nothing is asked."""
    if recipe.purpose == "evaluation":
        return Evaluations(())
    ours = Evaluation(name, (shingles for _, shingles in scratch.shingles(own)))
    return Evaluations((*evaluations, ours))


def _held(scratch: Scratch, against: Evaluations, rows: NDArray[np.int64], share: float) -> Iterator[tuple[int, str]]:
    if len(against):
        for some, shingles in scratch.shingles(rows):
            for held in against.held(shingles, share):
                yield int(some[held.row]), f"{held.share:.2f} of a text of {held.evaluation}"


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
