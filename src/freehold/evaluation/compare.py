"""Two evaluations side by side: the same variants and scorers on the items that both have, paired by item."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from freehold.catalog import Metric
from freehold.errors import CallerError
from freehold.evaluation.difference import paired
from freehold.evaluation.multiplicity import adjusted, verdict
from freehold.evaluation.records import Single
from freehold.evaluation.result import Against, Evaluation


class Change(NamedTuple):
    """One variant's scores by one scorer in two evaluations."""

    variant: str
    before: float
    """Its mean in the first, on the items that both have."""
    after: float
    """Its mean in the second."""
    against: Against
    """The second against the first."""


class Compared(NamedTuple):
    """Two evaluations."""

    before: str
    after: str
    changes: list[Change]
    only_before: int
    """Items that the first alone has."""
    only_after: int
    """Items that the second alone has."""
    left_out: list[str]
    """Variants and scorers that only one of them has."""


def compare(before: Evaluation, after: Evaluation, singles: tuple[Iterable[Single], Iterable[Single]], margin: float) -> Compared:
    """What has changed from one evaluation to another. Raises CallerError for evaluations of different tasks, or of no common item."""
    if before.asked.task != after.asked.task:
        raise CallerError(f"{before.id} is of task '{before.asked.task}' and {after.id} of '{after.asked.task}': compare two of one task.")
    first, second = (list(some) for some in singles)
    one, other = _by_answer(first), _by_answer(second)
    group = {single.item: single.group for single in second}
    metrics = {metric.id: metric for metric in after.metrics}
    keys = [(side.variant, mean.scorer) for side in after.sides for mean in side.means]
    known = {(side.variant, mean.scorer) for side in before.sides for mean in side.means}
    found, told = [], []
    for key in keys:
        items = sorted(one.get(key, {}).keys() & other.get(key, {}).keys())
        if key not in known or not items:
            continue
        metric = metrics[key[1]]
        old_N, new_N = (np.array([_share(metric, scores[item]) for item in items]) for scores in (one[key], other[key]))
        group_N = np.array([group[item] for item in items], dtype=np.int64)
        found.append(paired(new_N, old_N, group_N, metric.kind == "binary", after.asked.confidence, margin))
        told.append((key, metric, float(old_N.mean()), float(new_N.mean())))
    if not found:
        raise CallerError(f"{before.id} and {after.id} have no variant, scorer and item in common. Compare evaluations of the same items.")
    changes = []
    for (key, metric, old, new), each, by in zip(told, found, adjusted(found), strict=True):
        low, high = metric.range
        scale = high - low
        against = Against(
            first=after.id,
            second=before.id,
            scorer=key[1],
            difference=scale * each.mean,
            low=scale * each.low,
            high=scale * each.high,
            p=each.p,
            p_adjusted=by.p,
            p_equivalent=by.p_equivalent,
            verdict=verdict(each, by, after.asked.confidence, metric.better == "higher"),
            n=each.n,
            groups=each.groups,
        )
        changes.append(Change(key[0], low + scale * old, low + scale * new, against))
    items_before, items_after = ({single.item for single in some} for some in (first, second))
    return Compared(
        before.id,
        after.id,
        changes,
        len(items_before - items_after),
        len(items_after - items_before),
        sorted(" by ".join(key) for key in known ^ set(keys)),
    )


def _by_answer(singles: Iterable[Single]) -> Mapping[tuple[str, str], dict[str, float]]:
    found: dict[tuple[str, str], dict[str, float]] = {}
    for single in singles:
        if single.score is not None:
            found.setdefault((single.variant, single.scorer), {})[single.item] = single.score
    return found


def _share(metric: Metric, score: float) -> float:
    low, high = metric.range
    return (score - low) / (high - low)
