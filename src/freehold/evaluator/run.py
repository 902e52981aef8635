"""Runs an evaluation: who has still to be asked what, the answers, their scores, and what those show.

The journal is the checkpoint. An answer that is there is not paid for again, whoever asked for it; `--resume` takes the scores of a run that was
broken off, too. Of the two halves of the items, targets are chosen on the first and kept before the second is scored (`evaluation/scorecard.py`).
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from freehold.asker import Ended, Report, ask, only_one
from freehold.catalog import Task
from freehold.chat import text_of
from freehold.errors import CallerError
from freehold.evaluation import gate, records
from freehold.evaluation.recorded import Recorded
from freehold.evaluation.result import Evaluation, Scorecard, Targets
from freehold.evaluation.scorecard import Values, choose, confirm, targets_hash
from freehold.evaluation.summary import differences, overall, parts, people, values_of
from freehold.evaluation.table import Table
from freehold.evaluator.prepared import REGION, Prepared, asked_hash, read
from freehold.evaluator.questions import Given, Question, Questions, whole
from freehold.evaluator.scoring import Instrument, Scoring, blank, journalled
from freehold.evaluator.trials import Tried, try_out
from freehold.project import Project
from freehold.promotion.served import mapped

T = TypeVar("T")


class Progress(NamedTuple):
    """How far an evaluation has come."""

    step: str
    """`asking`, `trying` or `scoring`."""
    done: int
    total: int
    spent_usd: float = 0.0


class Done(NamedTuple):
    """How an evaluation ended."""

    evaluation: Evaluation | None
    """What it says; None where it was broken off before it could say anything."""
    ended: Ended
    """Why asking ended."""
    why: str
    """The same in words, where a provider made it end."""
    left: int
    """Calls that were to be made and were not."""


Tell = Callable[[Progress], None]


def evaluate(
    project: Project, prepared: Prepared, tell: Tell = lambda _: None, tell_stopping: Callable[[int], None] = lambda _: None
) -> Done:
    """Asks what is missing, scores everything, and keeps what that shows. Raises OperatorError for a provider that cannot be called."""
    records.begin(project.store, project.tenant, prepared.id, prepared.asked, asked_hash(prepared.asked), prepared.begun)
    report: Report | None = None
    questions, tried = prepared.questions, Tried()
    if prepared.planned is not None:
        total = prepared.planned.plan.calls
        with only_one(project):
            report = ask(project, prepared.planned, lambda p: tell(Progress("asking", p.done, total, p.spent_usd)), tell_stopping)
        if report.ended in ("interrupted", "failing"):
            left = sum(asked.left for asked in report.variants.values())
            return Done(None, report.ended, report.why, left)
        everything = prepared.request._replace(limit=None)  # what was drawn stays, though others may have come in meanwhile
        questions = read(project, prepared.task, everything, prepared.asked.reference, prepared.begun)
        questions = _the_same(questions, prepared.questions)
    if prepared.candidates:  # functions of a program, and specialists
        spent = 0.0 if report is None else report.spent_usd
        budget = None if prepared.request.budget_usd is None else max(0.0, prepared.request.budget_usd - spent)
        tried = try_out(project, prepared.id, questions, prepared.candidates, prepared.request.concurrency, budget, _trying(tell))
        questions = questions._replace(rows=_with(questions.rows, tried.given))
    spent = (0.0 if report is None else report.spent_usd) + tried.spent_usd
    budget = prepared.request.budget_usd
    evaluation, unjudged = in_loop(
        _scored(project, prepared, questions, report, None if budget is None else max(0.0, budget - spent), tell)
    )
    left = tried.left + unjudged + (0 if report is None else sum(asked.left for asked in report.variants.values()))
    is_spent = tried.is_spent or unjudged > 0
    return Done(evaluation, "budget" if is_spent else "done" if report is None else report.ended, "", left)


def _trying(tell: Tell) -> Callable[[int, int], None]:
    return lambda done, total: tell(Progress("trying", done, total))


async def _scored(
    project: Project, prepared: Prepared, questions: Questions, report: Report | None, budget_usd: float | None, tell: Tell
) -> tuple[Evaluation, int]:
    """Scores one half, fixes targets, scores the other, and says what all of it shows; and how many judgements the budget left out."""
    asked = prepared.asked
    table = blank(questions, asked.variants, prepared.instruments)
    known = journalled(project, questions, prepared.instruments, asked.variants, prepared.id, prepared.is_resumed)
    total = len(table)
    scoring = Scoring(
        project, questions, prepared.instruments, table, asked.reference, prepared.id, known,
        lambda done: tell(Progress("scoring", done, total)), budget_usd,
        {bill.judge: (bill.cost_usd or 0.0) / bill.calls for bill in prepared.judges if bill.calls},
    )  # fmt: skip
    values = _values(project, prepared, questions, table)
    await scoring.some(table.selects_N, _now)
    can_choose = asked.reference is not None and len(asked.variants) > 1
    targets = Targets(
        requirements=asked.requirements,
        scorer=asked.scorers[0],
        reference=asked.reference or "",
        margin=asked.margin,
        confidence=asked.confidence,
        data=table.data,
        chosen=choose(table, asked.reference, values, asked.confidence, asked.margin) if asked.reference is not None and can_choose else (),
    )
    fixed_at, attempt = records.fix(project.store, project.tenant, prepared.id, targets, targets_hash(targets), _now())
    await scoring.some(~table.selects_N, _now)
    scorecard = None
    if can_choose:
        scorecard = Scorecard(
            targets_hash=targets_hash(targets),
            targets_at=fixed_at,
            attempt=attempt,
            chosen_from=int(table.selects_N.sum()),
            confirmed_on=int((~table.selects_N).sum()),
            lines=confirm(table, targets, values, attempt),
        )
    grouped = people(table, project.config.evaluation.people, project.config.evaluation.least_people, asked.confidence)
    calls = _calls(questions, asked.variants)
    found = Evaluation(
        id=prepared.id,
        asked=asked,
        metrics=table.metrics,
        begun=prepared.begun,
        ended=_now(),
        items=len(table),
        frame=questions.frame,
        groups=len(np.unique(table.group_N)),
        data=table.data,
        sides=overall(table, asked.confidence),
        parts=tuple(part for by, held in values.items() for part in parts(table, by, held, asked.confidence)),
        people=tuple(grouped.parts),
        suppressed=tuple(grouped.suppressed),
        gaps=tuple(grouped.gaps),
        differences=tuple(differences(table, asked.reference, asked.is_all_pairs, asked.confidence, asked.margin)),
        scorecard=scorecard,
        asked_usd=0.0 if report is None else report.spent_usd,
        scoring_usd=scoring.cost_usd,
        sources=_sources(prepared.instruments, calls),
    )
    found = msgspec.structs.replace(found, required=gate.judge(found, prepared.requirements))
    records.write(project.folder, prepared.id, table, calls)
    records.finish(project.store, project.tenant, found)
    return found, scoring.left


def _now() -> datetime:
    return datetime.now(UTC)


def _the_same(read: Questions, before: Questions) -> Questions:
    """What is known now of the items that were drawn before: others may have come in meanwhile."""
    known = {question.item: (question, group) for question, group in zip(read.rows, read.groups, strict=True)}
    kept = [known.get(question.item, (question, group)) for question, group in zip(before.rows, before.groups, strict=True)]
    return before._replace(rows=[question for question, _ in kept], groups=tuple(group for _, group in kept))


def _with(questions: Sequence[Question], given: Mapping[tuple[str, str], Given]) -> list[Question]:
    """The items with these answers, by item and variant."""
    more: dict[str, dict[str, Given]] = {}
    for (item, name), one in given.items():
        more.setdefault(item, {})[name] = one
    return [question._replace(given={**question.given, **more.get(question.item, {})}) for question in questions]


def _values(project: Project, prepared: Prepared, questions: Questions, table: Table) -> Values:
    """What items are told apart by."""
    regions = _regions(project, prepared.task, questions) if REGION in prepared.asked.by else None
    return {by: values_of(table, by, regions) for by in prepared.asked.by}


def _regions(project: Project, task: Task, questions: Questions) -> Sequence[str | None]:
    """The region of each item, by the arrays of the policy that is active, or else the newest that has some."""
    scorer = mapped(project.store, project.tenant, task.id)
    if scorer is None:
        raise CallerError(f"--by region: task '{task.id}' has no policy with regions. 'freehold certify {task.id}' finds some.")
    found: dict[str, str] = {}
    for some in whole(project, questions.rows, ()):
        scored = scorer.score([text_of(one.asked.input) for one in some])
        found.update(zip((one.question.item for one in some), (scorer.region_names[int(n)] for n in scored.region_N), strict=True))
    return [found.get(question.item) for question in questions.rows]


def _calls(questions: Questions, variants: Sequence[str]) -> "np.ndarray[tuple[int, int], np.dtype[np.object_]]":
    """The id of the call of each answer; None where there is none."""
    ids = [[given.call if (given := question.given.get(name)) is not None else None for name in variants] for question in questions.rows]
    return np.array(ids, dtype=object).reshape(len(questions.rows), len(variants))


def _sources(instruments: Sequence[Instrument], call_NV: "np.ndarray[tuple[int, int], np.dtype[np.object_]]") -> dict[str, int]:
    """Who said the scores that were taken from the journal."""
    calls = [call for call in call_NV.reshape(-1).tolist() if call is not None]
    found: dict[str, int] = {}
    for one in instruments:
        if isinstance(one, Recorded):
            for source, count in one.sources(calls).items():
                found[source] = found.get(source, 0) + count
    return found


def in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end, in a thread of its own where a loop runs here already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
