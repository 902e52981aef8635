"""Judges what a task's journal holds: a seeded sample of its answers, several at one time, within a budget. Every verdict is kept as it is given.

What was judged by the same rubric before is not judged again.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import numpy as np

from freehold.errors import CallerError
from freehold.evaluation.judge import Judge
from freehold.evaluation.scorer import Case, Score, Scorer
from freehold.evaluation.verdict import feedback_from, verdict_id
from freehold.journal.call import Call
from freehold.journal.read import calls, feedback_by_id
from freehold.journal.redact import redact_feedback
from freehold.journal.write import append_feedback
from freehold.project import Project


class Wanted(NamedTuple):
    """What is to be judged."""

    task: str
    """Whose answers."""
    variants: tuple[str, ...] = ()
    """Those of these variants; of all where none is named."""
    sample: int | None = None
    """So many of them, drawn at random; all where nothing is said."""
    seed: int = 0
    """Of the draw."""
    budget_usd: float | None = None
    """What it may cost at most; the dearest verdict so far is set aside for each that is under way."""
    concurrency: int = 4
    """How many are judged at one time."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    judge: str
    """Who judged."""
    task: str
    """Whose answers."""
    scored: int
    """Answers that got a score now."""
    before: int
    """Answers that had one by this rubric already."""
    unscored: dict[str, int]
    """Answers without one, by the reason."""
    left: int
    """Answers that were not judged because the budget was spent."""
    mean: float | None
    """The mean of the scores now given. It is the judge's opinion; 'freehold judge calibrate' says how far that is people's."""
    cost_usd: float | None
    """What it cost; None where that is unknown of any."""


def judge_task(
    project: Project,
    scorer: Scorer,
    wanted: Wanted,
    run: Callable[..., None] = asyncio.run,
    tell: Callable[[int, int], None] = lambda done, all: None,
) -> Judged:
    """Judges and keeps what it says. `tell` hears how many are done, and how many there are. Raises CallerError for a task without answers."""
    found = [call for call, _ in _cases(project, scorer, wanted)]
    if not found:
        raise CallerError(f"Task '{wanted.task}' has no answers to be judged. 'freehold calls --task {wanted.task}' shows what it has.")
    if wanted.sample is not None and wanted.sample < len(found):
        drawn = np.random.default_rng(wanted.seed).permutation(len(found))[: wanted.sample]
        found = [found[place] for place in drawn]
    ids = {verdict_id(scorer, call): call for call in found}
    with project.store.reading() as connection:
        known = feedback_by_id(connection, list(ids))
    todo = {call for id, call in ids.items() if id not in known}
    work = _Work(project, scorer, wanted, lambda done: tell(done, len(todo)))
    run(work.through((case for call, case in _cases(project, scorer, wanted) if call in todo), len(todo)))
    return Judged(
        judge=scorer.metric.id,
        task=wanted.task,
        scored=len(work.values),
        before=len(known),
        unscored=work.unscored,
        left=work.left,
        mean=sum(work.values) / len(work.values) if work.values else None,
        cost_usd=work.cost_usd,
    )


class _Work:
    def __init__(self, project: Project, scorer: Scorer, wanted: Wanted, tell: Callable[[int], None]) -> None:
        self.values: list[float] = []
        self.unscored: dict[str, int] = {}
        self.left = 0
        self.cost_usd: float | None = 0.0
        self._project = project
        self._scorer = scorer
        self._wanted = wanted
        self._tell = tell
        self._content = project.task(wanted.task).content or project.config.journal.content
        self._spent_usd = self._dearest_usd = 0.0
        self._under_way = 0

    async def through(self, cases: Iterable[Case], count: int) -> None:
        """Judges them all, or as many as the budget has room for."""
        several = asyncio.Semaphore(self._wanted.concurrency)
        begun = 0
        async with asyncio.TaskGroup() as group:
            for case in cases:
                await several.acquire()
                if not self._has_room():
                    several.release()
                    break
                begun += 1
                self._under_way += 1
                group.create_task(self._one(case, several))
        self.left = count - begun

    def _has_room(self) -> bool:
        budget = self._wanted.budget_usd
        return budget is None or self._spent_usd + (self._under_way + 1) * self._dearest_usd <= budget

    async def _one(self, case: Case, several: asyncio.Semaphore) -> None:
        try:
            self._heard(case, await self._scorer.score(case))
        finally:
            self._under_way -= 1
            several.release()

    def _heard(self, case: Case, score: Score) -> None:
        self.cost_usd = None if self.cost_usd is None or score.cost_usd is None else self.cost_usd + score.cost_usd
        self._spent_usd += score.cost_usd or 0.0
        self._dearest_usd = max(self._dearest_usd, score.cost_usd or 0.0)
        said = feedback_from(self._scorer, case, score, self._project.tenant, datetime.now(UTC))
        if said is None or score.value is None:
            self.unscored[score.why] = self.unscored.get(score.why, 0) + 1
        else:
            append_feedback(self._project.store, [redact_feedback(said, self._content)])
            self.values.append(score.value)
        self._tell(len(self.values) + sum(self.unscored.values()))


def _cases(project: Project, scorer: Scorer, wanted: Wanted) -> Iterator[tuple[str, Case]]:
    """The answers that may be judged, as cases. One of two answers is compared with the reference's to the same item."""
    is_pairwise = isinstance(scorer, Judge) and scorer.table.kind == "pairwise"
    reference = project.task(wanted.task).reference
    if is_pairwise and reference is None:
        raise CallerError(
            f"Task '{wanted.task}' has no reference, and '{scorer.metric.id}' compares with it. Set [tasks.{wanted.task}] reference."
        )
    of_item: list[Call] = []
    for call in calls(project.store, project.tenant, wanted.task):
        if of_item and of_item[0].item != call.item:
            yield from _of_item(of_item, reference if is_pairwise else None, wanted.variants)
            of_item = []
        of_item.append(call)
    yield from _of_item(of_item, reference if is_pairwise else None, wanted.variants)


def _of_item(of_item: Sequence[Call], reference: str | None, variants: Sequence[str]) -> Iterator[tuple[str, Case]]:
    answered = [call for call in of_item if call.outcome == "answered" and call.output is not None]
    other = next((call for call in reversed(answered) if call.variant == reference), None)
    for call in answered:
        if (variants and call.variant not in variants) or (reference is not None and call.variant == reference):
            continue
        truth = call.reference_output if reference is None else None if other is None else other.output
        case = Case(item=call.item, input=call.input, output=call.output, has_truth=truth is not None, truth=truth, call=call)
        yield call.id, case
