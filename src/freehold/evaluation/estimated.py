"""What people would say of a task's answers, estimated from their labels of some and a judge's scores of more, by variant and beside the reference."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from freehold.errors import CallerError, DataError
from freehold.evaluation import ppi
from freehold.evaluation.calibrated import by_people, metric_of, right_of, unit_of, verdicts_of
from freehold.evaluation.judge import PREFIX, rubric_hash
from freehold.journal.read import scores
from freehold.project import Project
from freehold.tables import JudgeTable


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """What a judge and people together say of a task. Scores are in [0, 1] with 1 the best. It steers and warns, and certifies nothing."""

    judge: str
    """The judge."""
    task: str
    """The task."""
    metric: str
    """What people's labels are of; of a judge that compares two answers, whether they score one above the reference's."""
    reference: str | None
    """The variant that the others are compared with; None where the task has none, and for a judge that compares anyway."""
    variants: dict[str, ppi.Estimate]
    """The mean of each variant's answers."""
    differences: dict[str, ppi.Estimate]
    """How much higher than the reference's, over items that both answered."""
    unknown: dict[str, str]
    """Variants of which nothing can be said, and why."""
    is_drawn: bool
    """Whether every label is of an item that was drawn with a known probability. Otherwise the numbers hold as far as those that people happened
    to label are like the rest, which nobody knows."""


class _Row(NamedTuple):
    """An answer that a judge scored."""

    item: str
    group: str
    variant: str
    judge: float
    human: float
    """NaN where nobody labelled it."""
    inclusion: float | None


def estimate(project: Project, name: str, table: JudgeTable, task: str, metric: str | None, variants: tuple[str, ...] = ()) -> Estimated:
    """Of the answers that the judge has scored by the rubric it has now. Raises CallerError, and DataError where nothing can be said at all."""
    judged_by = metric_of(project, task, metric)
    rows = [row for row in _rows(project, name, table, task, judged_by) if not variants or row.variant in variants]
    if not rows:
        raise CallerError(
            f"Judge '{name}' has scored no answer of task '{task}' by the rubric it has now. 'freehold judge run {name} --task {task}' has it do so."
        )
    by_variant: dict[str, dict[str, _Row]] = {}
    for row in rows:
        by_variant.setdefault(row.variant, {})[row.item] = row
    reference = None if table.kind == "pairwise" else project.task(task).reference
    unknown: dict[str, str] = {}
    means: dict[str, ppi.Estimate] = {}
    differences: dict[str, ppi.Estimate] = {}
    for variant, of_item in sorted(by_variant.items()):
        try:
            means[variant] = _mean(of_item.values())
            if reference in by_variant and variant != reference:
                differences[variant] = _difference(by_variant[reference], of_item)
        except DataError as error:
            unknown[variant] = str(error)
    if not means:
        raise DataError("; ".join(f"{variant}: {why}" for variant, why in unknown.items()))
    return Estimated(
        judge=f"{PREFIX}{name}",
        task=task,
        metric=judged_by,
        reference=reference,
        variants=means,
        differences=differences,
        unknown=unknown,
        is_drawn=all(row.inclusion is not None for row in rows if not np.isnan(row.human)),
    )


def _rows(project: Project, name: str, table: JudgeTable, task: str, metric: str) -> Iterable[_Row]:
    human = by_people(scores(project.store, project.tenant, task, metric), project.catalog.metric(metric))
    reference = project.task(task).reference
    others = {said.item: said.value for said in human.values() if said.variant == reference}
    for call, verdict in dict(verdicts_of(project, f"{PREFIX}{name}", rubric_hash(table), task)).items():
        said = human.get(call)
        right = right_of(table, said, others.get(verdict.item))
        yield _Row(
            item=verdict.item,
            group=verdict.group,
            variant=verdict.variant,
            judge=unit_of(table, verdict.value),
            human=np.nan if right is None else right,
            inclusion=None if said is None or right is None else said.inclusion,
        )


def _mean(rows: Iterable[_Row]) -> ppi.Estimate:
    rows = list(rows)
    human_N, judge_N = np.array([row.human for row in rows]), np.array([row.judge for row in rows])
    return ppi.mean(human_N, judge_N, inclusion_N=_inclusion(rows), group_N=_codes(rows))


def _difference(reference: Mapping[str, _Row], other: Mapping[str, _Row]) -> ppi.Estimate:
    both = [(reference[item], row) for item, row in other.items() if item in reference]
    rows = [row for _, row in both]
    human_N2 = np.array([[first.human, row.human] for first, row in both]).reshape(-1, 2)
    judge_N2 = np.array([[first.judge, row.judge] for first, row in both]).reshape(-1, 2)
    return ppi.difference(human_N2, judge_N2, inclusion_N=_inclusion(rows), group_N=_codes(rows))


def _inclusion(rows: list[_Row]) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """With which probability each labelled item was drawn; None where all have one, or nobody knows."""
    told = {row.inclusion for row in rows if not np.isnan(row.human)}
    if len(told) < 2 or None in told:
        return None
    return np.array([1.0 if row.inclusion is None else row.inclusion for row in rows])


def _codes(rows: list[_Row]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.unique([row.group for row in rows], return_inverse=True)[1].astype(np.int64)
