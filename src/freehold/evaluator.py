"""Runs an evaluation: who has still to be asked what, the answers, their scores, and what those show.

The journal is the checkpoint. An answer that is there is not paid for again, whoever asked for it; `--resume` takes the scores of a run that was
broken off, too. Of the two halves of the items, targets are chosen on the first and kept before the second is scored (`evaluation/scorecard.py`).
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from freehold.asker import Ended, Report, ask, only_one
from freehold.candidates import AskRequest, Plan, Planned, check_budget, is_askable, priced
from freehold.catalog import AGREEMENT, Task
from freehold.chat import canonical_json, text_of
from freehold.datasets.sample import Item
from freehold.errors import CallerError, nearest
from freehold.evaluation import gate, records
from freehold.evaluation.asking import Ask
from freehold.evaluation.recorded import Recorded
from freehold.evaluation.result import Asked, Evaluation, Scorecard, Targets
from freehold.evaluation.scorecard import Values, choose, confirm, targets_hash
from freehold.evaluation.scorers import functions_in, kinds, named
from freehold.evaluation.summary import differences, known_tags, overall, parts, people, values_of
from freehold.evaluation.table import Table
from freehold.journal.answers import metrics_of, variants_of
from freehold.journal.build import Builder, new_call_id
from freehold.journal.samples import Sample
from freehold.project import Project
from freehold.promotion.gate import active_hash
from freehold.promotion.records import policy_rows
from freehold.questions import Given, Question, Questions, of_file, of_journal, whole
from freehold.routing import artefact
from freehold.scoring import Agreement, Instrument, Known, Scoring, blank, journalled
from freehold.trials import Candidate, Tried, try_out

T = TypeVar("T")
REGION = "region"


class Request(NamedTuple):
    """What is to be evaluated. None takes what the task says."""

    task: str
    variants: tuple[str, ...] | None = None
    dataset: str | None = None
    """A file of items; None for those of the journal."""
    scorers: tuple[str, ...] = ()
    limit: int | None = None
    seed: int = 0
    concurrency: int | None = None
    """Requests at one time to one model; None to find out what its provider takes."""
    budget_usd: float | None = None
    resume: bool = False
    by: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    is_all_pairs: bool = False
    reference: str | None = None
    margin: float | None = None
    confidence: float | None = None


class Prepared(NamedTuple):
    """An evaluation that can begin: what it is asked for, of which items, and what it will cost."""

    id: str
    asked: Asked
    begun: datetime
    is_resumed: bool
    task: Task
    questions: Questions
    instruments: tuple[Instrument, ...]
    candidates: Mapping[str, Candidate]
    """Functions of a program among the variants, by name."""
    planned: Planned | None
    """What live variants have still to be asked; None where there is nothing."""
    requirements: tuple[gate.Requirement, ...]
    request: Request

    @property
    def plan(self) -> Plan | None:
        """What will be asked of whom, and about what that will cost."""
        return None if self.planned is None else self.planned.plan


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


def prepare(
    project: Project,
    request: Request,
    now: datetime,
    candidates: Mapping[str, Candidate] | None = None,
    modules: Sequence[ModuleType] = (),
    ask: Ask | None = None,
) -> Prepared:
    """Reads the items and finds out what is missing. Changes nothing. `modules`: of the project's programs, where scorers may stand. `ask`: asks
    a model, for scorers that do.

    Raises CallerError for what cannot be evaluated, DataError where there are no items.
    """
    candidates = candidates or {}
    task = project.task(request.task)
    _check(request)
    reference = request.reference if request.reference is not None else task.reference
    questions = _read(project, task, request, reference, now)
    variants = _variants(project, task, questions, request, reference, candidates)
    reference = reference if reference in variants else None
    asked = Asked(
        task=task.id,
        variants=variants,
        reference=reference,
        scorers=_scorers(project, task, questions, request, modules),
        dataset=request.dataset,
        limit=request.limit,
        seed=request.seed,
        by=request.by,
        margin=task.max_loss if request.margin is None else request.margin,
        confidence=task.confidence if request.confidence is None else request.confidence,
        requirements=request.requirements,
        is_all_pairs=request.is_all_pairs,
    )
    _check_tags(questions, request.by)
    instruments = tuple(_instrument(project, name, questions, modules, ask) for name in asked.scorers)
    requirements = tuple(gate.read(said, asked.variants, [one.metric.id for one in instruments]) for said in asked.requirements)
    earlier = records.unfinished(project.store, project.tenant, _asked_hash(asked)) if request.resume else None
    if request.resume and earlier is None:
        raise CallerError(
            "There is nothing to resume: no evaluation of these variants, items and scorers was broken off. Leave --resume out."
        )
    begun = now if earlier is None else next(row.begun for row in records.rows(project.store, project.tenant, task.id) if row.id == earlier)
    live = [name for name in variants if name not in candidates and is_askable(project.config, name)]
    planned = _planned(project, task, questions, live, reference, request, begun, now)
    id = earlier or f"{now:%Y%m%d}-{new_call_id()[-8:]}"
    return Prepared(id, asked, begun, earlier is not None, task, questions, instruments, candidates, planned, requirements, request)


def evaluate(
    project: Project, prepared: Prepared, tell: Tell = lambda _: None, tell_stopping: Callable[[int], None] = lambda _: None
) -> Done:
    """Asks what is missing, scores everything, and keeps what that shows. Raises OperatorError for a provider that cannot be called."""
    records.begin(project.store, project.tenant, prepared.id, prepared.asked, _asked_hash(prepared.asked), prepared.begun)
    report: Report | None = None
    questions, tried = prepared.questions, Tried()
    if prepared.planned is not None:
        total = prepared.planned.plan.calls
        with only_one(project):
            report = ask(project, prepared.planned, lambda p: tell(Progress("asking", p.done, total, p.spent_usd)), tell_stopping)
        if report.ended in ("interrupted", "failing"):
            left = sum(asked.left for asked in report.variants.values())
            return Done(None, report.ended, report.why, left)
        questions = _read(project, prepared.task, prepared.request, prepared.asked.reference, prepared.begun)
        questions = _the_same(questions, prepared.questions)
    if prepared.candidates:
        spent = 0.0 if report is None else report.spent_usd
        budget = None if prepared.request.budget_usd is None else max(0.0, prepared.request.budget_usd - spent)
        tried = try_out(project, prepared.id, questions, prepared.candidates, prepared.request.concurrency, budget, _trying(tell))
        questions = questions._replace(rows=_with(questions.rows, tried.given))
    evaluation = in_loop(_scored(project, prepared, questions, report, tell))
    return Done(evaluation, "budget" if tried.is_spent else "done" if report is None else report.ended, "", tried.left)


def _trying(tell: Tell) -> Callable[[int, int], None]:
    return lambda done, total: tell(Progress("trying", done, total))


async def _scored(project: Project, prepared: Prepared, questions: Questions, report: Report | None, tell: Tell) -> Evaluation:
    """Scores one half, fixes targets, scores the other, and says what all of it shows."""
    asked = prepared.asked
    table = blank(questions, asked.variants, prepared.instruments)
    known = journalled(project, questions, prepared.instruments, asked.variants, prepared.id) if prepared.is_resumed else Known()
    total = len(table)
    scoring = Scoring(
        project, questions, prepared.instruments, table, asked.reference, prepared.id, known,
        lambda done: tell(Progress("scoring", done, total)),
    )  # fmt: skip
    values = _values(project, prepared, questions, table)
    now = lambda: datetime.now(UTC)  # noqa: E731
    await scoring.some(table.selects_N.tolist(), now)
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
    fixed_at, attempt = records.fix(project.store, project.tenant, prepared.id, targets, targets_hash(targets), now())
    await scoring.some((~table.selects_N).tolist(), now)
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
        ended=now(),
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
    return found


# What there is to evaluate.


def _check(request: Request) -> None:
    if request.limit is not None and request.limit < 1:
        raise CallerError(f"--limit {request.limit} is a number of items from 1 up, such as 200.")
    if request.seed < 0:
        raise CallerError(f"--seed {request.seed} is no seed; it is a whole number from 0 up.")
    if request.budget_usd is not None and not 0 < request.budget_usd < float("inf"):
        raise CallerError(f"--budget-usd {request.budget_usd:g} is no budget; it is a number of dollars above 0, such as 5.")
    if request.margin is not None and not 0 <= request.margin < 1:
        raise CallerError(f"--margin {request.margin:g} is a share of the metric's range from 0 to below 1, such as 0.02.")
    if request.confidence is not None and not 0.5 <= request.confidence < 1:
        raise CallerError(f"--confidence {request.confidence:g} lies from 0.5 to below 1, such as 0.95.")
    if request.concurrency is not None and request.concurrency < 1:
        raise CallerError(f"--concurrency {request.concurrency} is a number from 1 up, or auto.")


def _read(project: Project, task: Task, request: Request, reference: str | None, now: datetime) -> Questions:
    if request.dataset is None:
        return of_journal(project, task, request.limit, request.seed, reference)
    return of_file(project, task, Path(request.dataset), request.limit, request.seed, now)


def _the_same(read: Questions, before: Questions) -> Questions:
    """What is known now of the items that were drawn before: others may have come in meanwhile."""
    known = {question.item: (question, group) for question, group in zip(read.rows, read.groups, strict=True)}
    kept = [known.get(question.item, (question, group)) for question, group in zip(before.rows, before.groups, strict=True)]
    return before._replace(rows=[question for question, _ in kept], groups=tuple(group for _, group in kept))


def _variants(
    project: Project, task: Task, questions: Questions, request: Request, reference: str | None, candidates: Mapping[str, Candidate]
) -> tuple[str, ...]:
    """Who is evaluated, the reference first: those that are named, else the task's own, else everybody recorded."""
    recorded = dict.fromkeys(name for under in questions.journalled for name in variants_of(project.store, project.tenant, under))
    wanted = request.variants if request.variants is not None else (task.variants if task.variants else tuple(recorded))
    usable = [*recorded, *(name for name in (*project.config.models, *project.config.variants) if is_askable(project.config, name))]
    known = {*usable, *candidates}
    if request.variants is None:
        wanted = tuple(name for name in wanted if name in known)
    wanted = (*wanted, *candidates)
    for name in (*wanted, *([reference] if reference is not None and request.reference is not None else [])):
        if name not in known:
            raise CallerError(
                f"'{name}' has no recorded answer to task '{task.id}', and is no model with a provider that could be asked."
                f"{nearest(name, list(known))}"
            )
    names = tuple(dict.fromkeys([*([reference] if reference in known and (wanted != (reference,)) else []), *wanted]))
    if not names:
        raise CallerError(
            f"Whom to evaluate? Nobody answered task '{task.id}', and it names nobody. Say --variants A,B.{nearest('', list(known))}"
        )
    return tuple(name for name in names if name is not None)


def _scorers(project: Project, task: Task, questions: Questions, request: Request, modules: Sequence[ModuleType]) -> tuple[str, ...]:
    """By whom: those that are named, else the task's metric."""
    if request.scorers:
        return tuple(dict.fromkeys(request.scorers))
    if task.metric is not None:
        return (task.metric,)
    raise CallerError(
        f"By which scorers? Say --scorers, such as exact, or a metric that calls of '{task.id}' have scores of; or set metric under "
        f"[tasks.{task.id}]."
    )


def _instrument(project: Project, name: str, questions: Questions, modules: Sequence[ModuleType], ask: Ask | None) -> Instrument:
    """A scorer by name: one of the project's or a kind there is; else a metric that the journal has scores of."""
    if name == AGREEMENT:
        return Agreement()
    config = project.config
    kind = name.partition(":")[0]
    if name in config.scorers or kind in {one.name for one in kinds()} or name in functions_in(modules):
        return named(config, [name], modules, ask)[0]
    recorded = {metric for task in questions.journalled for metric in metrics_of(project.store, project.tenant, task)}
    if name in recorded:
        return Recorded(project.store, project.tenant, questions.journalled, project.catalog.metric(name))
    hint = nearest(name, {*recorded, *config.scorers, *(one.name for one in kinds()), *functions_in(modules)})
    raise CallerError(
        f"'{name}' is no scorer, and no metric that calls of this task have scores of.{hint} 'freehold scorers' lists scorers."
    )


def _check_tags(questions: Questions, by: Sequence[str]) -> None:
    known = known_tags([question.tags for question in questions.rows])
    for one in by:
        if one != REGION and one.removeprefix("tag.") not in known:
            raise CallerError(f"--by {one}: no item has such a tag.{nearest(one, [*known, REGION])}")


def _planned(
    project: Project,
    task: Task,
    questions: Questions,
    live: Sequence[str],
    reference: str | None,
    request: Request,
    begun: datetime,
    now: datetime,
) -> Planned | None:
    """What live variants have still to be asked, as `freehold ask` plans it; None where there is nothing."""
    open_questions = [q for q in questions.rows if any(name not in q.given or not _responded(q, name) for name in live)]
    if not open_questions:
        return None
    items = [
        Item(one.asked, tuple(one.calls.values()))
        for some in whole(project, open_questions, live)
        for one in some
        if one.asked.input is not None
    ]
    if not items:
        raise CallerError(
            f"Live variants cannot be asked: no question of task '{task.id}' is in the journal. Set content = \"full\" under [journal] and import "
            "again, or name recorded variants only."
        )
    builder = Builder(None, project.tenant, "found", project.catalog, project.prices, now)
    missing, prices, bills = priced(builder, task, items, live, now)
    plan = Plan(
        task=questions.under,
        reference=reference or live[0],
        frame=questions.frame,
        needs_reference=False,
        items=len(questions.rows),
        inclusion=len(questions.rows) / questions.frame,
        seed=request.seed,
        bills=tuple(bill for bill in bills if bill.calls),
        spent_usd=_spent(items, live, begun),
    )
    check_budget(plan, request.budget_usd)
    asking = AskRequest(task.id, tuple(live), len(items), request.seed, request.budget_usd, request.concurrency)
    sample = Sample(request.seed, tuple(item.asked.item for item in items), plan.inclusion, begun)
    return Planned(plan, asking, task, sample, (), items, missing, prices, questions.under)


def _responded(question: Question, name: str) -> bool:
    return question.given[name].outcome in ("answered", "refused", "malformed")


def _spent(items: Sequence[Item], live: Sequence[str], begun: datetime) -> float:
    """What this evaluation has paid already, where it goes on."""
    return sum(
        call.cost_usd or 0.0
        for item in items
        for call in item.calls
        if call.source == "ask" and call.variant in live and call.at is not None and call.at >= begun
    )


def _asked_hash(asked: Asked) -> str:
    plain = msgspec.structs.replace(asked, requirements=())
    return hashlib.sha256(canonical_json(msgspec.to_builtins(plain))).hexdigest()


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
    rows = policy_rows(project.store, project.tenant, task.id)
    active = active_hash(project.store, project.tenant, task.id)
    with_arrays = [row for row in rows if row.artefact is not None]
    chosen = next((row for row in reversed(with_arrays) if row.hash == active), with_arrays[-1] if with_arrays else None)
    if chosen is None or chosen.artefact is None:
        raise CallerError(f"--by region: task '{task.id}' has no policy with regions. 'freehold certify {task.id}' finds some.")
    scorer = artefact.load(project.store.blobs.get(chosen.artefact))
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
