"""An evaluation before it begins: of which items, who answers, by whom they are scored, and what live answers will cost.

Nothing is changed here and nobody is asked: `run.py` carries it out.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import ModuleType
from typing import NamedTuple

import msgspec

from freehold.candidates import AskRequest, Plan, Planned, check_budget, is_askable, priced
from freehold.catalog import AGREEMENT, Task
from freehold.chat import canonical_json
from freehold.datasets.sample import RESPONDED, Item
from freehold.errors import CallerError, nearest
from freehold.evaluation import gate, records
from freehold.evaluation.asking import Ask
from freehold.evaluation.recorded import Recorded
from freehold.evaluation.result import Asked
from freehold.evaluation.scorer import Scorer
from freehold.evaluation.scorers import functions_in, kinds, named
from freehold.evaluation.summary import known_tags
from freehold.evaluator.items import items_of
from freehold.evaluator.judged import JudgeBill, check_judges, judge_bills
from freehold.evaluator.questions import Question, Questions, of_journal, whole
from freehold.evaluator.scoring import Agreement, Instrument
from freehold.evaluator.specialists import with_specialists
from freehold.evaluator.trials import Candidate
from freehold.journal.answers import metrics_of, variants_of
from freehold.journal.build import Builder, new_call_id
from freehold.journal.samples import Sample
from freehold.project import Project

REGION = "region"


class Request(NamedTuple):
    """What is to be evaluated. None takes what the task says."""

    task: str
    variants: tuple[str, ...] | None = None
    dataset: str | None = None
    """A file of items, or a data set; None for those of the journal."""
    scorers: tuple[str, ...] = ()
    limit: int | None = None
    seed: int = 0
    concurrency: int | None = None
    """Requests at one time to one model; None to find out what its provider takes."""
    budget_usd: float | None = None
    resume: bool = False
    """Whether to go on with one that was broken off; where none was, one begins."""
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
    judges: tuple[JudgeBill, ...] = ()
    """What judges have still to be asked."""
    left_out: Mapping[str, int] = {}
    """Items that are left out because a specialist learnt from them, by its name."""

    @property
    def plan(self) -> Plan | None:
        """What will be asked of whom, and about what that will cost."""
        return None if self.planned is None else self.planned.plan


def prepare(
    project: Project,
    request: Request,
    now: datetime,
    candidates: Mapping[str, Candidate] | None = None,
    modules: Sequence[ModuleType] = (),
    ask: Ask | None = None,
    own: Mapping[str, Scorer] | None = None,
) -> Prepared:
    """Reads the items and finds out what is missing. Changes nothing. `modules`: of the project's programs, where scorers may stand. `ask`: asks
    a model, for scorers that do. `own`: scorers of the caller's, by name.

    Raises CallerError for what cannot be evaluated, DataError where there are no items.
    """
    candidates = candidates or {}
    task = project.task(request.task)
    _check(request)
    reference = request.reference if request.reference is not None else task.reference
    questions = read(project, task, request, reference, now)
    entered = with_specialists(project, task, questions, request.variants or task.variants)
    questions = entered.questions
    variants = _variants(project, task, questions, request, reference, candidates, entered.shelved)
    candidates = {**candidates, **entered.shelved}
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
    mine = own or {}
    instruments = tuple(mine.get(name) or _instrument(project, name, questions, modules, ask) for name in asked.scorers)
    requirements = tuple(gate.read(said, asked.variants, [one.metric.id for one in instruments]) for said in asked.requirements)
    earlier = records.unfinished(project.store, project.tenant, asked_hash(asked)) if request.resume else None
    begun = now if earlier is None else next(row.begun for row in records.rows(project.store, project.tenant, task.id) if row.id == earlier)
    live = [name for name in variants if name not in candidates and is_askable(project.config, name)]
    planned = _planned(project, task, questions, live, reference, request, begun, now)
    id = earlier or f"{now:%Y%m%d}-{new_call_id()[-8:]}"
    judges = judge_bills(project, questions, variants, reference, instruments, now)
    check_judges(judges, request.budget_usd)
    is_resumed, left_out = earlier is not None, entered.left_out
    return Prepared(
        id, asked, begun, is_resumed, task, questions, instruments, candidates, planned, requirements, request, judges, left_out
    )


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


def read(project: Project, task: Task, request: Request, reference: str | None, now: datetime) -> Questions:
    """The items, with what is known of them now."""
    if request.dataset is None:
        return of_journal(project, task, request.limit, request.seed, reference)
    return items_of(project, task, request.dataset, request.limit, request.seed, now)


def _variants(
    project: Project,
    task: Task,
    questions: Questions,
    request: Request,
    reference: str | None,
    candidates: Mapping[str, Candidate],
    shelved: Mapping[str, Candidate],
) -> tuple[str, ...]:
    """Who is evaluated, the reference first: those that are named, else the task's own, else everybody recorded."""
    recorded = dict.fromkeys(name for under in questions.journalled for name in variants_of(project.store, project.tenant, under))
    wanted = request.variants if request.variants is not None else (task.variants if task.variants else tuple(recorded))
    usable = [*recorded, *(name for name in (*project.config.models, *project.config.variants) if is_askable(project.config, name))]
    for name in candidates:
        if name in recorded or name in project.config.models or name in project.config.variants:
            raise CallerError(f"A candidate is called '{name}', and so is another variant. Give the candidate a name of its own.")
    known = {*usable, *candidates, *shelved}
    if request.variants is None:
        wanted = tuple(name for name in wanted if name in known)
    wanted = (*wanted, *candidates)
    for name in (*wanted, *([reference] if reference is not None and request.reference is not None else [])):
        if name not in known:
            raise CallerError(
                f"'{name}' has no recorded answer to task '{task.id}', is no model with a provider that could be asked, and no specialist."
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
    open_questions = [q for q in questions.rows if not all(_responded(q, name) for name in live)]
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
    return name in question.given and question.given[name].outcome in RESPONDED


def _spent(items: Sequence[Item], live: Sequence[str], begun: datetime) -> float:
    """What this evaluation has paid already, where it goes on."""
    return sum(
        call.cost_usd or 0.0
        for item in items
        for call in item.calls
        if call.source == "ask" and call.variant in live and call.at is not None and call.at >= begun
    )


def asked_hash(asked: Asked) -> str:
    """By which the same evaluation is known again: what a build requires of it makes no difference."""
    plain = msgspec.structs.replace(asked, requirements=())
    return hashlib.sha256(canonical_json(msgspec.to_builtins(plain))).hexdigest()
