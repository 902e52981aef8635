"""Certification, top to bottom: split, develop on training items, walk on calibration items, look once at test items, say it."""

from datetime import datetime
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.catalog import Metric
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import CALIBRATE, TRAIN, Fractions, split
from freehold.errors import CallerError
from freehold.evaluation import bounds
from freehold.journal.call import LabelDesign
from freehold.promotion.certificate import Certificate, Unpaired
from freehold.promotion.develop import Developed, Goal, add_head, add_trained, develop
from freehold.promotion.fit import FOLDS
from freehold.promotion.issue import Findings, Prepared, issue
from freehold.promotion.judge import exam_of, judge, picked, policy_program, weights
from freehold.promotion.measure import unpriced_of
from freehold.promotion.settings import Settings
from freehold.promotion.slices import cut
from freehold.routing.embed import Embedder
from freehold.routing.scorer import Scored, Scorer
from freehold.routing.syntax import Program

Floats = NDArray[np.float64]

LEAST_TRAINING_ITEMS = 20
"""Fewer teach nothing, and a split of fewer has parts of one or two items."""


class Certification(NamedTuple):
    """A certificate and everything it was made of."""

    certificate: Certificate
    program: Program
    scorer: Scorer | None
    """None for the program that sends everything to the reference."""
    pairs: Pairs
    """All items, with the head's column where there is one."""
    scored: Scored
    """What the scorer says of all items."""
    part_N: NDArray[np.int8]
    """The part of each item."""
    choice_N: NDArray[np.int64]
    """The column the policy picks for each item."""
    developed: Developed
    passed: int
    """How many policies of the family passed, the first so many; 0 where slices were walked one by one."""


def certify(
    recorded: Pairs,
    candidates: tuple[str, ...],
    metric: Metric,
    settings: Settings,
    unpaired: Unpaired,
    now: datetime,
    tenant: str = "default",
    embedder: Embedder | None = None,
) -> Certification:
    """A policy over `candidates` and the proof of its floor, from paired items.

    `recorded` holds only items on which the reference and every candidate have an answer and a loss; its further variants teach how
    hard an item is and are never chosen. Raises CallerError when there are too few items to split.
    """
    return conclude(prepare(recorded, candidates, metric, settings, tenant, embedder), unpaired, now)


def prepare(
    recorded: Pairs, candidates: tuple[str, ...], metric: Metric, settings: Settings, tenant: str, embedder: Embedder | None
) -> Prepared:
    """The split, and what training makes of its part. Raises CallerError when there are too few items."""
    recorded, part_N, design = parts(recorded, tenant, settings.fractions)
    train_N, calibrate_N = part_N == TRAIN, part_N == CALIBRATE
    train_groups = len(np.unique(recorded.group_codes[train_N]))
    if train_N.sum() < LEAST_TRAINING_ITEMS or train_groups < FOLDS or not calibrate_N.any():
        raise CallerError(
            f"Task '{recorded.task}' has {len(recorded)} usable paired items: {int(train_N.sum())} to train on, in {train_groups} groups, and "
            f"{int(calibrate_N.sum())} to prove on. Training takes at least {LEAST_TRAINING_ITEMS} in {FOLDS} groups, and a proof of "
            f"{settings.max_loss:g} at least {bounds.least_units(settings.max_loss, 1.0 - settings.confidence, metric.kind == 'binary'):,}. "
            "Import or label more."
        )
    weight_N = weights(recorded, calibrate_N, design)
    is_exact = metric.kind == "binary" and weight_N is None and _all_single(recorded, calibrate_N)
    delta = bounds.spend(1.0 - settings.confidence, settings.attempt)
    n_groups = len(set(np.asarray(recorded.groups, dtype=object)[calibrate_N]))
    goal = Goal(settings.max_loss, delta, n_groups, is_exact, settings.p95_s, settings.seed)
    pairs = recorded.columns((recorded.reference, *(c for c in candidates if c != recorded.reference)))
    head = None
    if settings.head is not None:
        if settings.trained is not None:
            pairs, head_score, confidence_N = add_trained(pairs, train_N, settings.trained, settings.head, settings.head_cost_usd)
        else:
            pairs, head_score, confidence_N = add_head(pairs, train_N, settings.head, settings.head_cost_usd, settings.seed)
        head = (head_score, confidence_N)
    made = develop(pairs, recorded, train_N, goal, embedder, head)
    exam = exam_of(pairs, made, train_N, goal, _cap(pairs, train_N))
    return Prepared(pairs, part_N, design, weight_N, made, goal, exam, metric, settings, tenant, unpriced_of(recorded))


def conclude(prepared: Prepared, unpaired: Unpaired, now: datetime, scored: Scored | None = None) -> Certification:
    """The walk over calibration items, one look at the test items, and the certificate that says what came of it.

    `scored`: what the arrays say of all items, where that is known already.
    """
    pairs, part_N, made, settings = prepared.pairs, prepared.part_N, prepared.developed, prepared.settings
    calibrate_N = part_N == CALIBRATE
    scored = made.scorer.score(pairs.texts) if scored is None else scored
    cuts = cut(settings.by, pairs, scored, made.scorer, part_N == TRAIN) if settings.by else []
    judgements = judge(pairs, made.family, prepared.exam, scored, calibrate_N, cuts, prepared.goal.delta, prepared.weight_N, made.unit)
    program = policy_program(pairs, made.scorer, made.family, judgements, settings.p95_s)
    choice_N = picked(made.family, scored, judgements)
    found = Findings(prepared, scored, judgements, choice_N, program)
    certificate = issue(found, unpaired, now)
    scorer = made.scorer if any(v.chosen >= 0 for v in judgements) else None
    passed = 0 if cuts else judgements[0].walk.passed
    return Certification(certificate, program, scorer, pairs, scored, part_N, choice_N, made, passed)


def parts(pairs: Pairs, tenant: str, fractions: Fractions) -> tuple[Pairs, NDArray[np.int8], LabelDesign | Literal["mixed"]]:
    """The items that are used, the part of each, and how the calibration labels were come by.

    The data set a split is a hash of is the tenant's task, so that an item stays in its part while the task's data grows. Where some
    labels were drawn (audit) or complete (census), found ones are for training only; where all were found, they can only estimate.
    """
    at_N = pairs.at_N if len(pairs) and bool((pairs.at_N >= 0).all()) else None
    part_N = split(f"{tenant}/{pairs.task}", pairs.groups, at_N, fractions)
    certifies = np.array([design != "found" for design in pairs.designs], dtype=bool)
    if not certifies[part_N == CALIBRATE].any():
        return pairs, part_N, "found"
    keep = certifies | (part_N == TRAIN)
    kept = {design for design, part in zip(pairs.designs, part_N, strict=True) if part == CALIBRATE and design != "found"}
    return pairs.rows(keep), part_N[keep], kept.pop() if len(kept) == 1 else "mixed"


def _all_single(pairs: Pairs, keep_N: NDArray[np.bool_]) -> bool:
    groups = [pairs.groups[i] for i in np.flatnonzero(keep_N)]
    return len(set(groups)) == len(groups)


def _cap(pairs: Pairs, train_N: NDArray[np.bool_]) -> int:
    """The size at which groups are capped: the largest in training, so that nearly every item to come counts in full."""
    return int(np.unique(pairs.group_codes[train_N], return_counts=True)[1].max())
