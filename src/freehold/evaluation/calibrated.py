"""Calibrations of a project's judges: what the journal says about them, and the files that say what came of it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
from sqlalchemy import select

from freehold.catalog import Metric
from freehold.chat import JSON
from freehold.config import Config
from freehold.errors import CallerError, DataError
from freehold.evaluation.calibrate import About, Calibration, Pair, calibrate
from freehold.evaluation.judge import PREFIX, rubric_hash
from freehold.journal.build import feedback_id
from freehold.journal.read import Score, scores
from freehold.journal.rows import feedback_of_row
from freehold.project import Project
from freehold.store.files import private_file
from freehold.store.schema import calls, feedback
from freehold.tables import JudgeTable

FOLDER = "calibrations"
"""Where they lie in a project."""
_INSTRUMENTS = ("judge:", "scorer:", "verifier:")
"""Sources that are no people."""
_FAMILY = re.compile(r"[a-z]+")


class Verdict(NamedTuple):
    """What a judge said of a call."""

    item: str
    variant: str
    group: str
    value: float
    parts: Mapping[str, JSON]


def calibrate_judge(project: Project, name: str, table: JudgeTable, task: str, metric: str | None, seed: int, now: datetime) -> Calibration:
    """A judge against the people who scored the same answers of a task, kept as a file. Raises CallerError, DataError."""
    judged_by = metric_of(project, task, metric)
    human = by_people(scores(project.store, project.tenant, task, judged_by), project.catalog.metric(judged_by))
    verdicts = dict(verdicts_of(project, f"{PREFIX}{name}", rubric_hash(table), task))
    kin = families(project.config, table.model)
    reference = project.task(task).reference
    others = {said.item: said.value for said in human.values() if said.variant == reference}
    pairs = [
        Pair(said.group, said.variant, unit_of(table, said.value), right, said.variant in kin)
        for call, said in verdicts.items()
        if (right := right_of(table, human.get(call), others.get(said.item))) is not None
    ]
    orders = [
        (float(said.parts["shown_first"]), float(said.parts["shown_second"])) for said in verdicts.values() if "shown_first" in said.parts
    ]
    made = calibrate(About(f"{PREFIX}{name}", task, judged_by, rubric_hash(table), table.model), pairs, orders, seed, now)
    with private_file(_path(project.folder, name, task, made.rubric)) as file:
        file.write(msgspec.json.format(msgspec.json.encode(made), indent=2))
    return made


def calibrations(folder: Path, name: str, table: JudgeTable) -> list[Calibration]:
    """What is known of a judge, by task, as far as it goes by the rubric it has now. Raises DataError for a file that is none."""
    found = []
    for path in sorted((folder / FOLDER).glob(f"*-{rubric_hash(table)}.json")):
        try:
            made = msgspec.json.decode(path.read_bytes(), type=Calibration)
        except msgspec.DecodeError as error:
            raise DataError(f"{path} is no calibration: {error}. Remove it, and run 'freehold judge calibrate' again.") from None
        found += [made] if made.judge == f"{PREFIX}{name}" else []
    return found


def families(config: Config, model: str) -> set[str]:
    """The variants whose models are of one family with this one: those of its provider's names that begin with the same letters, as `gpt` or
    `claude` do."""
    mine = family(_name(config, model))
    asked = {**{name: name for name in config.models}, **{name: table.model for name, table in config.variants.items() if table.model}}
    return {variant for variant, behind in asked.items() if mine and family(_name(config, behind)) == mine}


def family(name: str) -> str:
    """The letters that a model's name begins with, after its maker's: `gpt` of `openai/gpt-5-mini`."""
    found = _FAMILY.match(name.rpartition("/")[2].casefold())
    return "" if found is None else found[0]


def _name(config: Config, model: str) -> str:
    table = config.models.get(model)
    return model if table is None else table.name or model


def metric_of(project: Project, task: str, metric: str | None) -> str:
    """What people's labels of a task are of. Raises CallerError where nobody says."""
    found = metric or project.task(task).metric
    if found is None:
        raise CallerError(f"Task '{task}' has no metric. Say by which people scored its answers: --metric M.")
    return found


class ByPeople(NamedTuple):
    """What people said of a call."""

    item: str
    variant: str
    value: float
    """The mean of their scores, in [0, 1] with 1 the best."""
    inclusion: float | None
    """The probability with which the call's item was drawn for them, 1 for a census; None where nobody drew it."""


def by_people(batches: Iterable[list[Score]], metric: Metric) -> dict[str, ByPeople]:
    """What people said of each call that they scored. What somebody said last counts."""
    said: dict[str, dict[str, float]] = {}
    about: dict[str, Score] = {}
    for score in (score for batch in batches for score in batch):
        if not score.source.startswith(_INSTRUMENTS):
            said.setdefault(score.call, {})[score.source] = metric.unit(score.value)
            if score.call not in about or score.design != "found":
                about[score.call] = score
    return {
        call: ByPeople(about[call].item, about[call].variant, sum(by.values()) / len(by), about[call].inclusion)
        for call, by in said.items()
    }


def right_of(table: JudgeTable, said: ByPeople | None, other: float | None) -> float | None:
    """What people say of an answer; of two answers which they score higher. None where they say nothing."""
    if table.kind != "pairwise" or said is None:
        return None if said is None else said.value
    return None if other is None else 0.5 if said.value == other else float(said.value > other)


def unit_of(table: JudgeTable, value: float) -> float:
    """A judge's score in [0, 1], with 1 the best."""
    return Metric(id="judge", range=table.scores, better=table.better).unit(value)


def verdicts_of(project: Project, metric: str, rubric: str, task: str) -> Iterator[tuple[str, Verdict]]:
    """What a judge said of a task's calls by this rubric, by call."""
    c, f = calls.c, feedback.c
    wanted = (
        select(feedback, c.item, c.variant, c.group)
        .join_from(calls, feedback, f.call == c.id)
        .where(c.tenant == project.tenant, c.task == task, f.tenant == project.tenant, f.metric == metric, f.value.is_not(None))
        .order_by(f.seq)
    )
    with project.store.reading() as connection:
        rows = connection.execute(wanted).all()
    for row in rows:
        said = feedback_of_row(row._mapping)
        if said.call is not None and said.value is not None and said.id == feedback_id(said.call, metric, metric, rubric):
            parts = said.content.get("parts") if isinstance(said.content, dict) else None
            yield said.call, Verdict(row.item, row.variant, row.group or row.item, said.value, parts if isinstance(parts, dict) else {})


def _path(folder: Path, name: str, task: str, rubric: str) -> Path:
    return folder / FOLDER / f"{re.sub(r'[^A-Za-z0-9_.]', '_', f'{name}.{task}').lstrip('.')}-{rubric}.json"
