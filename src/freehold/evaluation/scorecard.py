"""Where a cheaper variant already does as well as the reference: chosen on one half of the groups, confirmed on the other.

`choose` is to be called with a table in which the confirming half has no scores yet; what it gives is kept, with its hash and the time,
before `confirm` sees them.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.chat import canonical_json
from freehold.evaluation.bounds import spend
from freehold.evaluation.difference import Difference
from freehold.evaluation.multiplicity import holm
from freehold.evaluation.result import Confirmed, Target, Targets
from freehold.evaluation.summary import compared
from freehold.evaluation.table import Table

PROMISING = 0.1
"""A claim becomes a target where chance would show as much on the choosing half in at most this share of cases."""
LEAST_GROUPS = 10
"""Parts with fewer groups to choose on make no targets."""

Values = Mapping[str, Sequence[str | None]]
"""The value of each item, by what items are told apart by."""


def choose(table: Table, reference: str, values: Values, confidence: float, margin: float) -> tuple[Target, ...]:
    """What is worth confirming: by the first scorer, overall and in every part, each variant that looks better than the reference, or as good."""
    targets = []
    for by, value, keep_N in _cells(table, values):
        for v, variant in enumerate(table.variants):
            if variant == reference:
                continue
            keep = keep_N & table.selects_N
            found = _signed(table, v, reference, keep, confidence, margin)
            if found is None or found.groups < LEAST_GROUPS:
                continue
            is_better = _one_sided(found.p, found.mean) <= PROMISING
            if is_better or found.p_above <= PROMISING:
                claim: Literal["better", "as good"] = "better" if is_better else "as good"
                scale = table.metrics[0].range[1] - table.metrics[0].range[0]
                targets.append(Target(by=by, value=value, variant=variant, claim=claim, chosen_on=scale * found.mean, n=found.n))
    return tuple(targets)


def confirm(table: Table, targets: Targets, values: Values, attempt: int) -> tuple[Confirmed, ...]:
    """What became of each target on the other half. `attempt`: which list of targets this half is asked about."""
    held = {(by, value): keep_N for by, value, keep_N in _cells(table, values)}
    nobody_N = np.zeros(len(table), dtype=bool)
    level = spend(1.0 - targets.confidence, attempt)
    found, p_values = [], []
    for target in targets.chosen:
        keep_N = held.get((target.by, target.value), nobody_N) & ~table.selects_N
        v = table.variants.index(target.variant)
        one = _signed(table, v, targets.reference, keep_N, targets.confidence, targets.margin)
        found.append((target, one, _cost_share(table, v, table.variants.index(targets.reference), keep_N)))
        p_values.append(1.0 if one is None else _one_sided(one.p, one.mean) if target.claim == "better" else one.p_above)
    scale = table.metrics[0].range[1] - table.metrics[0].range[0]
    return tuple(
        Confirmed(
            target=target,
            difference=None if one is None else scale * one.mean,
            low=None if one is None else scale * one.low,
            high=None if one is None else scale * one.high,
            p_adjusted=p,
            is_confirmed=p <= level,
            n=0 if one is None else one.n,
            cost_share=share,
        )
        for (target, one, share), p in zip(found, holm(p_values), strict=True)
    )


def targets_hash(targets: Targets) -> str:
    """By which what was fixed is known again."""
    return hashlib.sha256(canonical_json(msgspec.to_builtins(targets))).hexdigest()


def _cells(table: Table, values: Values) -> list[tuple[str, str, NDArray[np.bool_]]]:
    cells = [("", "", np.ones(len(table), dtype=bool))]
    for by, of_items in values.items():
        held_N = np.array(of_items, dtype=object)
        cells += [(by, value, held_N == value) for value in sorted({value for value in of_items if value is not None})]
    return cells


def _signed(table: Table, v: int, reference: str, keep_N: NDArray[np.bool_], confidence: float, margin: float) -> Difference | None:
    """The variant against the reference by the first scorer, as `compared`, better above 0."""
    at = table.variants.index(reference)
    if table.metrics[0].better == "higher":
        return compared(table, 0, v, at, keep_N, confidence, margin)
    return compared(table, 0, at, v, keep_N, confidence, margin)


def _one_sided(p: float, mean: float) -> float:
    """The p value of "better" from that of "different"."""
    return p / 2 if mean > 0 else 1.0 - p / 2


def _cost_share(table: Table, v: int, reference: int, keep_N: NDArray[np.bool_]) -> float | None:
    both_N = keep_N & ~np.isnan(table.cost_NV[:, v]) & ~np.isnan(table.cost_NV[:, reference])
    before = float(table.cost_NV[both_N, reference].sum())
    return float(table.cost_NV[both_N, v].sum()) / before if before > 0 else None
