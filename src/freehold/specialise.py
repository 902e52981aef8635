"""From a frozen data set to a specialist: planned, trained, tested on rows that nothing was chosen by, and put on the shelf. Never live by
itself: a policy has to name it, and a certificate to allow that."""

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from freehold import __version__
from freehold.catalog import Task, Variant
from freehold.chat import JSON, canonical_json
from freehold.context.prompts import keep
from freehold.curate import build_dataset
from freehold.datasets.recipe import Recipe, settled
from freehold.datasets.versions import Version, find, intact, standing, versions
from freehold.errors import CallerError, TrainingError
from freehold.evaluation.forgetting import Both, kept, manner
from freehold.evaluation.tested import Rows, scored, tested
from freehold.pipelines.teaching import price_of, teaching
from freehold.project import Project
from freehold.promotion.gate import active_hash
from freehold.promotion.records import find_policy
from freehold.promotion.regression import Forgot, collapsed, forgot, refusal
from freehold.promotion.served import mapped
from freehold.routing.decide import variants_used
from freehold.routing.embed import load_embedder
from freehold.routing.program import parse
from freehold.training.lesson import NO_ROWS, Lesson, Part, check_several, read_lesson, shape_of
from freehold.training.method import Earlier, Estimate, Job, Made, Method, method_of, options_of
from freehold.training.methods.distill import teacher_of
from freehold.training.run import Run, Step, alone, run_folder
from freehold.variants import shelf
from freehold.variants.card import Card, Of, Plan, Tested
from freehold.variants.specialist import FORMATS, Answerer, load

_TIMED = 200
"""Rows that are asked one by one, for how long one takes."""
_ROWS_AT_ONCE = 256


class Wanted(NamedTuple):
    """What training is asked for. None takes what is usual."""

    task: str
    method: str
    dataset: str | None = None
    seed: int = 0
    embedder: Path | None = None
    base: Path | None = None
    continues: str | None = None
    budget_usd: float | None = None
    options: dict[str, JSON] = {}  # noqa: RUF012 a NamedTuple's default is never changed


class Prepared(NamedTuple):
    """A run that could begin."""

    job: Job
    method: Method[Any]
    options: Any
    version: Version
    estimate: Estimate

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each part."""
        lesson = self.job.lesson
        return {"train": len(lesson.train), "calibrate": len(lesson.calibrate), "test": len(lesson.test)}


def plan_of(project: Project, wanted: Wanted, say: Callable[[str], None] = lambda _: None) -> Plan:
    """What would determine the run. Where no data set has rows of the task, one is built. Raises CallerError, DataError."""
    project.task(wanted.task)
    method_of(wanted.method)
    earlier = shelf.find(project.store, project.tenant, wanted.continues) if wanted.continues is not None else None
    if earlier is not None and earlier.task != wanted.task:
        raise CallerError(f"'{earlier.name}' answers the task '{earlier.task}', and cannot go on with '{wanted.task}'.")
    teacher = project.task(wanted.task).reference
    if wanted.method == "distill":
        teacher = teacher_of(teacher, str(wanted.options.get("teacher") or ""), wanted.task)
    version = find(project.datasets, wanted.dataset) if wanted.dataset is not None else _newest_with(project, wanted.task, teacher, say)
    return Plan(
        task=wanted.task,
        method=wanted.method,
        dataset=f"{version.manifest.name}@{version.manifest.hash}",
        seed=wanted.seed,
        embedder=None if wanted.embedder is None else str(wanted.embedder),
        base=None if wanted.base is None else str(wanted.base),
        continues=wanted.continues,
        budget_usd=wanted.budget_usd,
        options=wanted.options,
        code=__version__,
    )


def _newest_with(project: Project, task: str, teacher: str | None, say: Callable[[str], None]) -> Version:
    """The newest data set for training that has rows of a task; one of people's answers and the teacher's where there is none."""
    known = [v for v in versions(project.datasets) if task in v.manifest.tasks and v.manifest.recipe.purpose == "training"]
    if known:
        return max(known, key=lambda version: version.manifest.created_at)
    taught = f"task={task} and variant={teacher}" if teacher is not None else f"task={task}"
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in task.lower()).strip("-_")[:64]
    say(f"no data set has rows of '{task}' yet: building '{name}' from what people said and what '{teacher}' answered")
    sources = (f"task={task} and kind=corrections", f"task={task} and kind=reviewed", taught)
    return build_dataset(project, settled(Recipe(name=name, sources=sources), datetime.now(UTC)), say)


def prepare(project: Project, plan: Plan) -> Prepared:
    """Looks at everything that a run needs before it begins. Raises CallerError, DataError, OperatorError, TrainingError."""
    task, method = project.task(plan.task), method_of(plan.method)
    options = options_of(method, plan.options)
    version = intact(find(project.datasets, plan.dataset))
    if version.manifest.recipe.purpose != "training":
        raise CallerError(f"{version.label} is for evaluation: nothing may be trained on it. Name another --dataset.")
    earlier = None if plan.continues is None else _earlier(project, plan.continues)
    lesson = read_lesson(version, plan.task)
    if earlier is not None and earlier.lessons:  # a data set may bring nothing but a new answer, or few rows
        everything = sum((one.train for one in earlier.lessons), lesson.train)
        lesson = replace(lesson, shape=shape_of(everything.answers, everything.texts))
    else:
        check_several(lesson, plan.task)
    job = Job(
        task=task,
        plan=plan,
        lesson=lesson,
        embedder=load_embedder(plan.embedder) if plan.embedder is not None else None,
        base=None if plan.base is None else Path(plan.base),
        providers=project.config.providers,
        earlier=earlier,
    )
    estimate = method.estimate(job, options)
    estimate = estimate._replace(usd=_sum(estimate.usd, price_of(project, estimate.asks, datetime.now(UTC))))
    return Prepared(job, method, options, version, estimate)


def _earlier(project: Project, name: str) -> Earlier:
    """A specialist, and what it and those before it learnt from, as far as that is still there."""
    card, known = shelf.find(project.store, project.tenant, name), versions(project.datasets)
    left = [version for hash in card.learnt_from if (version := standing(known, hash)) is not None]
    lessons = {version.manifest.hash: read_lesson(intact(version), card.task) for version in left}
    return Earlier(card, shelf.read_files(project.store, card), tuple(lessons.values()))


def train(
    project: Project, prepared: Prepared, name: str | None = None, tell: Callable[[Step], None] = lambda _: None, force: bool = False
) -> Card:
    """Runs a plan to its end, or goes on with it where it was killed, tests what came of it, and puts that on the shelf.

    Raises TrainingError where nothing comes of it or the machine has too little memory, CallerError for a name that is taken, and Forgot for
    one that goes on from another and forgot more than the task allows, unless `force`: then its card says so.
    """
    plan, store, tenant = prepared.job.plan, project.store, project.tenant
    check_memory(prepared.estimate)
    with alone(project.folder, plan.digest):
        run = Run(run_folder(project.folder, plan.digest), plan.digest, tell)
        with teaching(project, plan.task, plan.budget_usd) as models:
            made = prepared.method.train(replace(prepared.job, models=models), prepared.options, run)
            card = _card(project, prepared, made, name or shelf.free_name(store, tenant, plan.task, plan.method), run.seconds)
            answerer = load(store, card) if card.format in FORMATS else made.answerer
            if answerer is not None:
                run.tell("testing", 0, len(prepared.job.lesson.test))
                card = msgspec.structs.replace(card, is_quick=answerer.is_quick, tested=test(answerer, prepared.job.lesson))
            card = msgspec.structs.replace(card, training_usd=_sum(models.cost_usd, made.usd))
            if prepared.job.earlier is not None and answerer is not None:
                card = _compared(project, prepared, card, answerer, run, force)
            _check_there(project, prepared.job, run)
            shelf.add(store, card)
        shutil.rmtree(run.folder, ignore_errors=True)
    return card


def _check_there(project: Project, job: Job, run: Run) -> None:
    """Raises TrainingError where a data set that was learnt has gone meanwhile, as after an erasure, and then nothing is left of the run."""
    there = {version.manifest.hash for version in versions(project.datasets)}
    learnt = [job.lesson, *(job.earlier.lessons if job.earlier is not None else ())]
    if gone := [one.dataset for one in learnt if one.dataset.partition("@")[2] not in there]:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise TrainingError(
            f"{', '.join(name[: name.find('@') + 13] for name in gone)} was removed while it was learnt, as an erasure does. Nothing is kept of this run: "
            "train on what is left."
        )


def _compared(project: Project, prepared: Prepared, card: Card, answerer: Answerer, run: Run, force: bool) -> Card:
    """The card with what it kept of what the one before it knew. Raises Forgot where that is too little, and then nothing is left of it."""
    job = prepared.job
    assert job.earlier is not None
    before = job.earlier.card
    if before.format not in FORMATS:
        raise CallerError(
            f"'{before.name}' is answered by a provider, and what it knows cannot be looked up here. Train without --continue-from."
        )
    run.tell("comparing", 0, 1)
    lessons = [lesson for lesson in job.earlier.lessons if len(lesson.test)]
    rows, reasons = sum((lesson.test for lesson in lessons), NO_ROWS), []
    if lessons:
        old, new = rows_of(load(project.store, before), rows), rows_of(answerer, rows)
        shape = job.lesson.shape
        first, second = scored(old, shape), scored(new, shape)
        parts: dict[Of, Sequence[str | None]] = {
            "dataset": [name for lesson in lessons for name in [_as_learnt(lesson, before)] * len(lesson.test)],
            "region": _regions(project, job.task, rows.texts),
            "answer": [_as_text(answer) for answer in rows.answers] if shape == "choice" else [],
        }
        both = Both(first.score_N, second.score_N, rows.group_N, first.is_binary)
        card = msgspec.structs.replace(card, kept=kept(both, parts, job.task.confidence))
        reasons = collapsed(manner(old, shape), manner(new, shape), shape)
    reasons = forgot(card.kept, job.task.max_loss) + reasons
    if reasons and not force:
        shelf.remove_files(project.store, card)
        raise Forgot(refusal(card, before.name, reasons, job.task.max_loss), card, reasons)
    return msgspec.structs.replace(card, made={**card.made, "forced": list(reasons)}) if reasons else card


def _as_learnt(lesson: Lesson, card: Card) -> str:
    """A data set by the hash that it had when it was learnt."""
    name, _, hash = lesson.dataset.partition("@")
    return f"{name}@{next((one for one in lesson.stands_for if one in card.learnt_from), hash)}"


def _regions(project: Project, task: Task, texts: Sequence[str]) -> list[str | None]:
    """The region of each text, as the task's policy maps its traffic; None where it has no map."""
    scorer = mapped(project.store, project.tenant, task.id)
    if scorer is None or not scorer.region_names:
        return [None] * len(texts)
    return [scorer.region_names[int(region)] for region in scorer.score(list(texts)).region_N]


def _as_text(answer: JSON) -> str:
    return answer if isinstance(answer, str) else canonical_json(answer).decode()


def check_memory(estimate: Estimate) -> None:
    """Raises TrainingError where a run is expected to need more memory than this machine has."""
    has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if estimate.bytes > has:
        raise TrainingError(
            f"This run is expected to need {estimate.bytes / 1e9:,.1f} GB of memory, and the machine has {has / 1e9:,.1f}. Take fewer rows, a "
            "smaller base model or a smaller batch, or run it elsewhere."
        )


def test(answerer: Answerer, lesson: Lesson) -> Tested | None:
    """How good a specialist is on the test part; None where that has no rows."""
    if not len(lesson.test):
        return None
    calibrate, rows = rows_of(answerer, lesson.calibrate), rows_of(answerer, lesson.test)
    return tested(rows, calibrate, lesson.shape, _us_per_row(answerer, lesson.test))


def rows_of(answerer: Answerer, part: Part) -> Rows:
    """What a specialist answers to the rows of a part, beside what is right."""
    answers = [
        answer for start in range(0, len(part), _ROWS_AT_ONCE) for answer in answerer.answer(part.texts[start : start + _ROWS_AT_ONCE])
    ]
    return Rows(answers, part.answers, part.group_N)


def _us_per_row(answerer: Answerer, part: Part) -> float:
    if not answerer.is_quick and part.texts and answerer.size_bytes == 0:  # a provider's model: each question has a price
        return 0.0
    took: list[float] = []
    for text in part.texts[:_TIMED]:
        began = time.perf_counter()
        answerer.answer((text,))
        took.append(time.perf_counter() - began)
    return float(np.median(took) * 1e6)


def _sum(*costs: float | None) -> float | None:
    """What several cost; unknown where any of them is."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None


def _variant(project: Project, prepared: Prepared, made: Made, name: str) -> Variant | None:
    """How a specialist is asked that a model answers, under its own name; its template is kept."""
    if made.variant is None:
        return None
    variant = msgspec.structs.replace(made.variant, id=name)
    if made.prompt is None:
        return variant
    hash = keep(project.store, project.tenant, prepared.job.task.id, made.prompt, datetime.now(UTC))
    return msgspec.structs.replace(variant, prompt=hash)


def _card(project: Project, prepared: Prepared, made: Made, name: str, seconds: float) -> Card:
    manifest = prepared.version.manifest
    licences = set(manifest.licences) - {""}
    return Card(
        name=name,
        tenant=project.tenant,
        task=prepared.job.task.id,
        format=made.format,
        files=shelf.store_files(project.store, made.files),
        plan=prepared.job.plan,
        dataset=manifest.hash,
        taught=() if prepared.job.earlier is None else prepared.job.earlier.card.learnt_from,
        rows=prepared.rows,
        made={**made.about, "contradictions": prepared.job.lesson.contradictions},
        base=made.base,
        licence=licences.pop() if len(licences) == 1 and "" not in manifest.licences else None,
        replaces=prepared.job.task.reference,
        variant=_variant(project, prepared, made, name),
        training_s=seconds,
        training_usd=0.0,
        created_at=datetime.now(UTC),
    )


def remove(project: Project, name: str) -> None:
    """Takes a specialist from the shelf. Raises CallerError for one that a served policy names."""
    card = shelf.find(project.store, project.tenant, name)
    hash = active_hash(project.store, project.tenant, card.task)
    if hash is not None and name in variants_used(parse(find_policy(project.store, project.tenant, card.task, hash).source)):
        raise CallerError(
            f"'{name}' answers calls of '{card.task}': the active policy {hash[:12]} names it. 'freehold rollback {card.task}' first."
        )
    shelf.remove(project.store, card)
