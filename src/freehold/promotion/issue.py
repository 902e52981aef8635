"""Says what a certification found, as a certificate: numbers, controls, slices, conditions, and how many labels are missing."""

from datetime import datetime
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.catalog import AGREEMENT, Metric
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import CALIBRATE, TEST, TRAIN
from freehold.evaluation import bounds
from freehold.journal.call import LabelDesign
from freehold.promotion.certificate import Certificate, Control, Controls, PerSide, Slice, TestResult, Unpaired, identity
from freehold.promotion.develop import Developed, Goal
from freehold.promotion.family import choices, choose_family, expected_bounds
from freehold.promotion.judge import Judgement
from freehold.promotion.measure import cost_per_1k, costed, mean_of, mean_quality, saving_of, share_of, weight_of
from freehold.promotion.settings import Settings
from freehold.promotion.walk import Exam
from freehold.routing.embed import HashedEmbedder
from freehold.routing.program import digest, show
from freehold.routing.scorer import Scored
from freehold.routing.syntax import Program

Floats = NDArray[np.float64]


class Prepared(NamedTuple):
    """Everything that is fixed before a calibration loss is looked at."""

    pairs: Pairs
    """All items, with the head's column where there is one."""
    part_N: NDArray[np.int8]
    """The part of each item."""
    design: LabelDesign | Literal["mixed"]
    """How the calibration labels were come by."""
    weight_N: Floats | None
    """How much each calibration item weighs; None where all weigh the same."""
    developed: Developed
    """What training made: the arrays and the family."""
    goal: Goal
    """What the policy is for."""
    exam: Exam
    """How the family is tested."""
    metric: Metric
    """What is measured."""
    settings: Settings
    """What was asked."""
    tenant: str
    """Whose traffic it is."""
    unpriced: tuple[str, ...]
    """Recorded variants whose cost nobody knows."""


class Findings(NamedTuple):
    """What a certification came to, before it is put in words."""

    prepared: Prepared
    """What was fixed beforehand."""
    scored: Scored
    """What the arrays say of all items."""
    judgements: list[Judgement]
    """How far the family got, on all traffic or on each slice."""
    choice_N: NDArray[np.int64]
    """The column the policy picks for each item."""
    program: Program
    """The policy."""


def issue(found: Findings, unpaired: Unpaired, now: datetime) -> Certificate:
    """The certificate of what was found, not yet named after its data and files."""
    known, choice_N = found.prepared, found.choice_N
    pairs, part_N, made, goal, metric, settings = known.pairs, known.part_N, known.developed, known.goal, known.metric, known.settings
    calibrate_N, test_N = part_N == CALIBRATE, part_N == TEST
    loss_N = pairs.loss_NV[np.arange(len(pairs)), choice_N]
    weight_N = weight_of(pairs)
    saving = saving_of(pairs, choice_N, calibrate_N, made.unit) or 0.0
    passed = any(v.chosen >= 0 for v in found.judgements)
    is_estimate = known.design == "found"
    is_certified = passed and saving > 0 and not is_estimate
    slices = tuple(_slice(pairs, made.unit, choice_N, calibrate_N, v) for v in found.judgements if v.cut is not None)
    method = "clopper-pearson" if goal.is_exact else "betting"
    n_over_cap = 0 if goal.is_exact else _over_cap(pairs, calibrate_N, known.exam.cap)
    n_costed = int(costed(pairs, choice_N, calibrate_N, made.unit).sum())
    record = Certificate(
        id="",
        tenant=known.tenant,
        task=pairs.task,
        reference=pairs.reference,
        variants=pairs.variants,
        metric=metric.id,
        metric_kind=metric.kind,
        label_design=known.design,
        claim=_claim(pairs, metric, settings, is_certified, is_estimate, saving, made.unit, known.exam.cap if n_over_cap else None),
        max_loss=settings.max_loss,
        confidence=settings.confidence,
        attempt=settings.attempt,
        delta=goal.delta,
        seed=settings.seed,
        certified=is_certified,
        estimate=is_estimate,
        method=method,
        certificate=None,
        policy=None,
        policy_source=show(found.program),
        policy_hash=digest(found.program),
        artefact=None,
        dataset=None,
        dataset_hash="",
        n_items=len(pairs),
        n_asked=int(pairs.asked_N.sum()),
        n_groups=len(set(pairs.groups)),
        n_train=int((part_N == TRAIN).sum()),
        n_calibrate=int(calibrate_N.sum()),
        n_test=int(test_N.sum()),
        n_calibrate_groups=goal.units,
        group_cap=known.exam.cap,
        n_over_cap=n_over_cap,
        pilot_bets=tuple(float(b.bet_K[0]) for b in known.exam.bets_T),
        train_fraction=settings.fractions.train,
        calibrate_fraction=settings.fractions.calibrate,
        thresholds_tested=sum(v.walk.tested for v in found.judgements),
        thresholds=tuple(made.family.threshold_T.tolist()) if made.family else (),
        predictor=made.family.predictor if made.family else "none",
        family=tuple(pairs.variants[c] for c in made.family.columns) if made.family else (),
        loss_upper_bound=max((v.upper for v in found.judgements), default=0.0),
        loss_calibrate=mean_of(pairs, loss_N, calibrate_N) or 0.0,
        saving=saving,
        n_costed=n_costed,
        saving_unit=made.unit,  # type: ignore[arg-type]  # cost or calls
        share=share_of(pairs, choice_N, calibrate_N),
        quality=PerSide(
            policy=mean_quality(pairs, choice_N, calibrate_N), reference=mean_quality(pairs, np.zeros_like(choice_N), calibrate_N)
        ),
        cost_usd_per_1k=PerSide(
            policy=cost_per_1k(pairs, choice_N, calibrate_N), reference=cost_per_1k(pairs, np.zeros_like(choice_N), calibrate_N)
        ),
        test=TestResult(
            n=int(test_N.sum()),
            loss=mean_of(pairs, loss_N, test_N),
            loss_ci=bounds.bootstrap_mean_interval(
                loss_N[test_N], pairs.group_codes[test_N], settings.seed, weight_N=None if weight_N is None else weight_N[test_N]
            ),
            saving=saving_of(pairs, choice_N, test_N, made.unit),
        ),
        controls=_controls(pairs, made, choice_N, test_N, settings.seed),
        labels_needed=0 if is_certified else _labels_needed(found, 0 if is_estimate else goal.units),
        labels_at_least=bounds.least_units(settings.max_loss, goal.delta, goal.is_exact),
        slices=slices,
        by=settings.by,
        worst_slice=max(slices, key=lambda s: s.loss_upper_bound or 0.0).name if slices else None,
        unpriced=known.unpriced,
        left_out=made.left_out,
        unpaired=unpaired,
        p95_s=settings.p95_s,
        head_cost_usd=settings.head_cost_usd,
        trained_head=settings.head if settings.trained is not None else None,
        embedder=None if isinstance(made.scorer.embedder, HashedEmbedder) else made.scorer.embedder.name,
        created_at=now,
        conditions=(
            *_conditions(pairs, metric, made.unit, known.weight_N is not None),
            *_about_groups(method, known.exam.cap, n_over_cap),
            *_about_costs(n_costed, int(calibrate_N.sum())),
        ),
    )
    return msgspec.structs.replace(record, id=identity(record))


def _over_cap(pairs: Pairs, calibrate_N: NDArray[np.bool_], cap: int) -> int:
    sizes = np.unique(pairs.group_codes[calibrate_N], return_counts=True)[1]
    return int(np.maximum(sizes - cap, 0).sum())


def _claim(
    pairs: Pairs, metric: Metric, settings: Settings, is_certified: bool, is_estimate: bool, saving: float, unit: str, capped_at: int | None
) -> str:
    """The result in one or two plain sentences."""
    kept = "costs" if unit == "cost" else "calls to the reference"
    task, reference, floor = pairs.task, pairs.reference, f"{settings.max_loss:g}"
    counted = [
        *(["each question counted once however often it is asked"] if pairs.asked_N.sum() > len(pairs) else []),
        *([f"each group for at most {capped_at} items"] if capped_at is not None else []),
    ]
    average = f" ({' and '.join(counted)})" if counted else ""
    if is_certified and metric.id == AGREEMENT:
        holds = f"agrees with the reference '{reference}' on at least {1 - settings.max_loss:.2%} of calls{average}"
    else:
        holds = f"loses at most {floor} of '{metric.id}' against the reference '{reference}' on average{average}"
    if is_certified:
        return (
            f"On traffic like this, the policy for '{task}' {holds}, with confidence {settings.confidence:g}. "
            f"It saves {saving:.1%} of {kept}."
        )
    if is_estimate:
        return (
            f"An estimate, not a certificate: labels of '{task}' were found, not drawn, so nothing is claimed about traffic. "
            f"On these items the policy would save {saving:.1%} of {kept} and stay within {floor} of '{reference}'."
        )
    return f"Nothing cheaper than '{reference}' is certified for '{task}' within {floor}: the reference answers all."


def _conditions(pairs: Pairs, metric: Metric, unit: str, is_weighted: bool) -> tuple[str, ...]:
    words = [
        "Calls to come are exchangeable with the calibration items: same kind of traffic, same variants, same prompts.",
        f"Quality is what '{metric.id}' measures, against the reference '{pairs.reference}', and nothing else.",
        "The loss is an average over traffic; single calls may lose more, and so may parts of it that have no slice of their own.",
    ]
    if metric.id == AGREEMENT:
        words.append("The certificate says that the policy agrees with the reference's recorded answers, not that those are right.")
    asked, items = int(pairs.asked_N.sum()), len(pairs)
    if asked > items:
        words.append(
            f"A question that came again counts once: {items:,} questions were asked {asked:,} times. Where a few of them are most of the "
            "traffic, the loss by calls may be another."
        )
    if is_weighted:
        least = pairs.least_inclusion
        which = "the least of them is among the labelled items" if np.isnan(least) else f"none was below {least:.3g}"
        words.append(
            f"Labels were drawn with known, unequal chances, of which {which}. The bound, savings, shares, quality and what is told of test "
            "items weigh items by them."
        )
    if unit == "calls":
        words.append("Costs are unknown; a saving is the share of calls the reference no longer answers.")
    return tuple(words)


def _about_groups(method: str, cap: int, n_over_cap: int) -> tuple[str, ...]:
    if method != "betting":
        return ()
    beyond = f" Each counts for at most {cap} items; {n_over_cap:,} calibration items were beyond that." if n_over_cap else ""
    return (f"Groups are independent of each other; items within one may depend on each other in any way.{beyond}",)


def _about_costs(n_costed: int, n_calibrate: int) -> tuple[str, ...]:
    if n_costed == n_calibrate:
        return ()
    return (f"The saving rests on the {n_costed:,} of {n_calibrate:,} calibration items whose costs are known.",)


def _slice(pairs: Pairs, unit: str, choice_N: NDArray[np.int64], calibrate_N: NDArray[np.bool_], judgement: Judgement) -> Slice:
    assert judgement.cut is not None
    here = calibrate_N & judgement.cut.holds_N
    is_certified = judgement.chosen >= 0
    failed = judgement.walk.failed_upper
    why = "no policy that passed saves anything" if judgement.walk.passed or failed is None else f"its first policy's bound is {failed:.4f}"
    reason = judgement.reason or ("" if is_certified else why)
    return Slice(
        name=judgement.cut.name,
        n_calibrate=int(here.sum()),
        n_groups=len(np.unique(pairs.group_codes[here])),
        certified=is_certified,
        loss_upper_bound=judgement.upper,
        saving=saving_of(pairs, choice_N, here, unit) or 0.0,
        reason=reason,
    )


def _controls(pairs: Pairs, made: Developed, choice_N: NDArray[np.int64], test_N: NDArray[np.bool_], seed: int) -> Controls:
    """What no judgement, perfect judgement and the policy's shares without its judgement do on test items."""
    mean_V = made.rehearsal.cost_NV.mean(axis=0)
    cheapest = min((0, *made.candidates), key=lambda c: mean_V[c])
    cost_NV = np.where(np.isnan(pairs.cost_NV), mean_V, pairs.cost_NV) if made.unit == "cost" else np.tile(mean_V, (len(pairs), 1))
    allowed = np.zeros(len(pairs.variants), dtype=bool)
    allowed[[0, *made.candidates]] = True
    oracle_N = np.argmin(np.where(allowed & (pairs.loss_NV <= 0), cost_NV, np.inf), axis=1)
    shuffled_N = choice_N.copy()
    shuffled_N[test_N] = np.random.default_rng(seed).permutation(choice_N[test_N])

    def control(picked_N: NDArray[np.int64]) -> Control:
        loss_N = pairs.loss_NV[np.arange(len(pairs)), picked_N]
        return Control(
            loss=mean_of(pairs, loss_N, test_N),
            quality=mean_quality(pairs, picked_N, test_N),
            saving=saving_of(pairs, picked_N, test_N, made.unit),
        )

    return Controls(
        all_cheapest=control(np.full(len(pairs), cheapest)),
        all_reference=control(np.zeros(len(pairs), dtype=np.int64)),
        shuffled=control(shuffled_N),
        oracle=control(oracle_N),
    )


def _labels_needed(found: Findings, have: int) -> int | None:
    """How many more labelled groups, over all parts, a certificate is expected to need; None where no number is expected to do.

    `have` is how many groups of the calibration part have labels that certify. Where training expects nothing to be provable yet, it goes
    by training losses; where the calibration part said no to what training expected, by what was seen there.
    """
    known, made, goal = found.prepared, found.prepared.developed, found.prepared.goal
    if found.judgements[0].cut is not None:
        return _labels_needed_by_slices(found)
    least = bounds.least_units(goal.epsilon, goal.delta, goal.is_exact)
    if made.family is not None and have >= least:
        calibrate_N = known.part_N == CALIBRATE
        first = made.family._replace(threshold_T=made.family.threshold_T[:1])
        choice_1N = choices(found.scored.loss_NV[calibrate_N], found.scored.cost_NV[calibrate_N], first, len(known.pairs.variants))
        seen = made.rehearsal._replace(loss_NV=known.pairs.loss_NV[calibrate_N], group_N=known.pairs.group_codes[calibrate_N])
    else:
        units = max(have, least)
        for _ in range(12):
            family = choose_family(made.rehearsal._replace(units=units), made.candidates, made.fitted)
            if family is not None:
                break
            units *= 2
        else:
            return None
        seen, first = made.rehearsal, family._replace(threshold_T=family.threshold_T[:1])
        choice_1N = choices(made.fitted[family.predictor].oof_NV, seen.predicted_cost_NV, first, seen.loss_NV.shape[1])
    needed = bounds.units_needed(lambda count: float(expected_bounds(seen, choice_1N, count)[0]), goal.epsilon, max(have, least))
    return None if needed is None else max(1, int(np.ceil((needed - have) / known.settings.fractions.calibrate)))


def _labels_needed_by_slices(found: Findings) -> int | None:
    """How many more before the first slice that has too few groups has enough; None where what has enough is refused all the same."""
    known, goal = found.prepared, found.prepared.goal
    calibrate_N = known.part_N == CALIBRATE
    least = bounds.least_units(goal.epsilon, goal.delta / len(found.judgements), goal.is_exact)
    missing = []
    for judgement in found.judgements:
        assert judgement.cut is not None
        groups = len(np.unique(known.pairs.group_codes[calibrate_N & judgement.cut.holds_N]))
        if 0 < groups < least:
            share = groups / max(1, goal.units)
            missing.append(int(np.ceil((least - groups) / (share * known.settings.fractions.calibrate))))
    return min(missing, default=None)
