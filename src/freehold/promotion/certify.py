"""Certification, top to bottom: split, develop on training items, walk on calibration items, look once at test items, say it."""

from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.catalog import AGREEMENT, Metric
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import CALIBRATE, TEST, TRAIN, Fractions, split
from freehold.errors import CallerError
from freehold.evaluation import bounds
from freehold.journal.call import LabelDesign
from freehold.promotion.certificate import Certificate, Control, Controls, PerSide, Slice, TestResult, Unpaired, identity
from freehold.promotion.develop import Developed, Goal, add_head, develop
from freehold.promotion.family import Family, choices, choose_family, expected_bounds
from freehold.promotion.fit import FOLDS
from freehold.promotion.slices import Cut, cut
from freehold.promotion.walk import Exam, Losses, Walk, walk, walk_slices
from freehold.routing.embed import Embedder
from freehold.routing.program import digest, parse, show
from freehold.routing.scorer import Scored, Scorer
from freehold.routing.syntax import And, Compare, Condition, Constant, Fact, Program, Rule, Use, UseCheapest

Floats = NDArray[np.float64]

LEAST_TRAINING_ITEMS = 20
"""Fewer teach nothing, and a split of fewer has parts of one or two items."""


class Settings(NamedTuple):
    """What is asked of a certification. All of it is fixed before any label is looked at."""

    max_loss: float = 0.02
    """The floor."""
    confidence: float = 0.95
    """1 - δ over all attempts."""
    fractions: Fractions = Fractions()
    """Shares of the parts."""
    by: str | None = None
    """A tag, `region` or a feature to make slices of."""
    seed: int = 0
    """Orders items, folds and clusters."""
    attempt: int = 1
    """Which attempt on this data set this is."""
    p95_s: float | None = None
    """The limit on predicted latency."""
    head: str | None = None
    """The name of a head to train; None for none."""
    head_cost_usd: float = 0.0
    """What a call to the head costs."""


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
    recorded, part_N, design = parts(recorded, tenant, settings.fractions)
    train_N, calibrate_N = part_N == TRAIN, part_N == CALIBRATE
    train_groups = len(np.unique(recorded.group_codes[train_N]))
    if train_N.sum() < LEAST_TRAINING_ITEMS or train_groups < FOLDS or not calibrate_N.any():
        raise CallerError(
            f"Task '{recorded.task}' has {len(recorded)} usable paired items, {int(train_N.sum())} in {train_groups} groups for training "
            f"and {int(calibrate_N.sum())} for calibration; at least {LEAST_TRAINING_ITEMS} in {FOLDS} and 1 are needed. Import or label "
            "more, or change --train and --calibrate."
        )
    weight_N = weights(recorded, calibrate_N, design)
    is_exact = metric.kind == "binary" and weight_N is None and _all_single(recorded, calibrate_N)
    delta = bounds.spend(1.0 - settings.confidence, settings.attempt)
    n_groups = len(set(np.asarray(recorded.groups, dtype=object)[calibrate_N]))
    goal = Goal(settings.max_loss, delta, n_groups, is_exact, settings.p95_s, settings.seed)

    pairs = recorded.columns((recorded.reference, *(c for c in candidates if c != recorded.reference)))
    head = None
    if settings.head is not None:
        pairs, head_score, confidence_N = add_head(pairs, train_N, settings.head, settings.head_cost_usd, settings.seed)
        head = (head_score, confidence_N)
    made = develop(pairs, recorded, train_N, goal, embedder, head)

    scored = made.scorer.score(pairs.texts)
    cap = _cap(pairs, train_N)
    cuts = cut(settings.by, pairs, scored, made.scorer, train_N) if settings.by else []
    exam = _exam(pairs, made, train_N, goal, cap)
    verdicts = judge(pairs, made.family, exam, scored, calibrate_N, cuts, goal.delta, weight_N, made.unit)
    program = policy_program(pairs, made.scorer, made.family, verdicts, settings.p95_s)
    choice_N = picked(made.family, scored, verdicts)
    certificate = _certificate(
        pairs,
        metric,
        settings,
        unpaired,
        now,
        tenant,
        part_N,
        made,
        verdicts,
        choice_N,
        program,
        goal,
        exam,
        design,
        n_groups,
        unpriced_of(recorded),
    )
    scorer = made.scorer if any(v.chosen >= 0 for v in verdicts) else None
    passed = 0 if cuts else verdicts[0].walk.passed
    return Certification(certificate, program, scorer, pairs, scored, part_N, choice_N, made, passed)


class Verdict(NamedTuple):
    """How far the family is certified on one part of the traffic; on all of it where there are no slices."""

    cut: Cut | None
    walk: Walk
    delta: float
    reason: str
    """Why nothing was tested; empty where something was."""
    chosen: int = -1
    """The policy of the family that is used here; -1 is the reference."""

    @property
    def upper(self) -> float:
        """The bound on its mean loss; the reference loses nothing against itself."""
        return self.walk.upper_P[self.chosen] if self.chosen >= 0 else 0.0


def parts(pairs: Pairs, tenant: str, fractions: Fractions) -> tuple[Pairs, NDArray[np.int8], "LabelDesign | str"]:
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


def weights(pairs: Pairs, calibrate_N: NDArray[np.bool_], design: str) -> Floats | None:
    """Inverse inclusion probabilities of calibration items, scaled to at most 1; None where all are equal, so that they weigh nothing.

    The least probability is that of all labelled items, not of the calibration items alone: a rare stratum that the calibration part
    happens to miss would otherwise count as if it did not exist.
    """
    known_N = pairs.inclusion_N[~np.isnan(pairs.inclusion_N)]
    if design == "found" or len(known_N) == 0 or np.ptp(known_N) < 1e-12:
        return None
    return np.asarray(known_N.min() / pairs.inclusion_N[calibrate_N], dtype=np.float64)


def _all_single(pairs: Pairs, keep_N: NDArray[np.bool_]) -> bool:
    groups = [pairs.groups[i] for i in np.flatnonzero(keep_N)]
    return len(set(groups)) == len(groups)


def _cap(pairs: Pairs, train_N: NDArray[np.bool_]) -> int:
    """The size at which groups are capped: the 95th percentile of group sizes in training."""
    sizes = np.unique(pairs.group_codes[train_N], return_counts=True)[1]
    return max(1, int(np.ceil(np.quantile(sizes, 0.95))))


def judge(
    pairs: Pairs,
    family: Family | None,
    exam: Exam,
    scored: Scored,
    calibrate_N: NDArray[np.bool_],
    cuts: list[Cut],
    delta: float,
    weight_N: Floats | None,
    unit: str,
) -> list[Verdict]:
    """The walk on all calibration items, or one for each slice; of the policies that passed, the one that saves most there."""
    nothing = Walk(0, 0, (), None)
    if family is None:
        why = "nothing cheaper is expected to be provable from its training items"
        return [Verdict(c, nothing, 0.0, why) for c in cuts] or [Verdict(None, nothing, delta, why)]
    choice_TN = choices(scored.loss_NV, scored.cost_NV, family, len(pairs.variants))
    losses = Losses(_paired_losses(pairs.loss_NV, choice_TN)[:, calibrate_N], pairs.group_codes[calibrate_N], weight_N)

    def best(walked: Walk, here_N: NDArray[np.bool_]) -> int:
        savings = [saving_of(pairs, choice_TN[t], calibrate_N & here_N, unit) or 0.0 for t in range(walked.passed)]
        return int(np.argmax(savings)) if savings and max(savings) > 0 else -1

    if not cuts:
        walked = walk(losses, exam, delta)
        return [Verdict(None, walked, delta, "", best(walked, calibrate_N))]
    least = bounds.least_units(exam.epsilon, delta, exam.is_exact)
    inside = {c.name: losses.where(c.holds_N[calibrate_N]) for c in cuts}
    enough = {name: part for name, part in inside.items() if len(np.unique(part.group_N)) >= least}
    by_slice = walk_slices(enough, exam, delta)
    return [
        Verdict(c, *by_slice[c.name], "", best(by_slice[c.name][0], c.holds_N))
        if c.name in by_slice
        else Verdict(c, nothing, 0.0, f"{len(np.unique(inside[c.name].group_N))} calibration groups; at least {least} are needed")
        for c in cuts
    ]


def _exam(pairs: Pairs, made: Developed, train_N: NDArray[np.bool_], goal: Goal, cap: int) -> Exam:
    """How losses will be tested: the bets of each policy are tuned on its out-of-fold training losses."""
    bets: tuple[bounds.Bets, ...] = ()
    if not goal.is_exact and made.family is not None:
        oof_NV = made.fitted[made.family.predictor].oof_NV
        choice_TN = choices(oof_NV, made.rehearsal.predicted_cost_NV, made.family, len(pairs.variants))
        loss_TN = _paired_losses(pairs.loss_NV[train_N], choice_TN)
        group_N = pairs.group_codes[train_N]
        bets = tuple(bounds.bets_from(bounds.units(loss_N, group_N, cap, goal.seed), goal.epsilon) for loss_N in loss_TN)
    return Exam(goal.epsilon, goal.is_exact, cap, bets, goal.seed)


def _paired_losses(loss_NV: Floats, choice_TN: NDArray[np.int64]) -> Floats:
    return loss_NV[np.arange(len(loss_NV))[None, :], choice_TN]


def picked(family: Family | None, scored: Scored, verdicts: list[Verdict]) -> NDArray[np.int64]:
    """The column the certified policy picks for each item."""
    choice_N = np.zeros(len(scored.region_N), dtype=np.int64)
    if family is None:
        return choice_N
    choice_TN = choices(scored.loss_NV, scored.cost_NV, family, scored.loss_NV.shape[1])
    for verdict in verdicts:
        if verdict.chosen >= 0:
            here = choice_TN[verdict.chosen]
            choice_N = here if verdict.cut is None else np.where(verdict.cut.holds_N, here, choice_N)
    return choice_N


def policy_program(pairs: Pairs, scorer: Scorer, family: Family | None, verdicts: list[Verdict], p95_s: float | None) -> Program:
    """The certified policy as a program: one rule for each part that passed, and the reference otherwise."""
    rules = []
    for verdict in verdicts:
        if family is not None and verdict.chosen >= 0:
            where: Condition = Compare(Fact("predicted_loss"), "<=", float(family.threshold_T[verdict.chosen]))
            listed = _listed(scorer, family)
            # The candidates meet the limit, or they would be none; a listed reference that does not is still what they are compared with.
            if p95_s is not None and (0 not in listed or scorer.latency_V[0] <= p95_s):
                where = And((where, Compare(Fact("predicted_latency_s"), "<=", float(p95_s))))
            action = UseCheapest(tuple(pairs.variants[c] for c in listed), where)
            rules.append(Rule(verdict.cut.condition if verdict.cut else Constant(True), action))
    program = Program(pairs.task, (*rules, Rule(None, Use(pairs.reference))))
    return parse(show(program))


def _listed(scorer: Scorer, family: Family) -> tuple[int, ...]:
    """The columns a rule has to name: the candidates, and the reference where it may be the cheapest of them for some input."""
    dearest = max(scorer.cost_range_V2[c, 1] for c in family.columns)
    return family.columns if dearest < scorer.cost_range_V2[0, 0] else (0, *family.columns)


def _certificate(
    pairs: Pairs,
    metric: Metric,
    settings: Settings,
    unpaired: Unpaired,
    now: datetime,
    tenant: str,
    part_N: NDArray[np.int8],
    made: Developed,
    verdicts: list[Verdict],
    choice_N: NDArray[np.int64],
    program: Program,
    goal: Goal,
    exam: Exam,
    design: "LabelDesign | str",
    n_groups: int,
    unpriced: tuple[str, ...],
) -> Certificate:
    calibrate_N, test_N = part_N == CALIBRATE, part_N == TEST
    loss_N = pairs.loss_NV[np.arange(len(pairs)), choice_N]
    saving = saving_of(pairs, choice_N, calibrate_N, made.unit) or 0.0
    passed = any(v.chosen >= 0 for v in verdicts)
    is_estimate = design == "found"
    is_certified = passed and saving > 0 and not is_estimate
    slices = tuple(_slice(pairs, made.unit, choice_N, calibrate_N, v) for v in verdicts if v.cut is not None)
    method = "clopper-pearson" if goal.is_exact else "betting"
    record = Certificate(
        id="",
        tenant=tenant,
        task=pairs.task,
        reference=pairs.reference,
        variants=pairs.variants,
        metric=metric.id,
        metric_kind=metric.kind,
        label_design=design,  # type: ignore[arg-type]  # one of the three, or mixed
        claim=_claim(pairs, metric, settings, is_certified, is_estimate, saving, made.unit),
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
        policy_source=show(program),
        policy_hash=digest(program),
        artefact=None,
        dataset=None,
        dataset_hash="",
        n_items=len(pairs),
        n_groups=len(set(pairs.groups)),
        n_train=int((part_N == TRAIN).sum()),
        n_calibrate=int(calibrate_N.sum()),
        n_test=int(test_N.sum()),
        n_calibrate_groups=n_groups,
        group_cap=exam.cap,
        pilot_bets=tuple(float(b.bet_K[0]) for b in exam.bets_T),
        train_fraction=settings.fractions.train,
        calibrate_fraction=settings.fractions.calibrate,
        thresholds_tested=sum(v.walk.tested for v in verdicts),
        thresholds=tuple(made.family.threshold_T.tolist()) if made.family else (),
        predictor=made.family.predictor if made.family else "none",
        family=tuple(pairs.variants[c] for c in made.family.columns) if made.family else (),
        loss_upper_bound=max((v.upper for v in verdicts), default=0.0),
        loss_calibrate=float(loss_N[calibrate_N].mean()),
        saving=saving,
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
            loss=_mean(loss_N[test_N]),
            loss_ci=bounds.bootstrap_mean_interval(loss_N[test_N], pairs.group_codes[test_N], settings.seed),
            saving=saving_of(pairs, choice_N, test_N, made.unit),
        ),
        controls=_controls(pairs, made, choice_N, test_N, settings.seed),
        labels_needed=0 if is_certified else _labels_needed(made, goal, settings),
        labels_at_least=bounds.least_units(settings.max_loss, goal.delta, goal.is_exact),
        slices=slices,
        by=settings.by,
        worst_slice=max(slices, key=lambda s: s.loss_upper_bound or 0.0).name if slices else None,
        unpriced=unpriced,
        left_out=made.left_out,
        unpaired=unpaired,
        p95_s=settings.p95_s,
        created_at=now,
        conditions=_conditions(pairs, metric, method, made.unit, weights(pairs, calibrate_N, design) is not None),
    )
    return msgspec.structs.replace(record, id=identity(record))


def _claim(pairs: Pairs, metric: Metric, settings: Settings, is_certified: bool, is_estimate: bool, saving: float, unit: str) -> str:
    """The result in one or two plain sentences."""
    kept = "costs" if unit == "cost" else "calls to the reference"
    task, reference, floor = pairs.task, pairs.reference, f"{settings.max_loss:g}"
    if is_certified and metric.id == AGREEMENT:
        holds = f"agrees with the reference '{reference}' on at least {1 - settings.max_loss:.2%} of calls"
    else:
        holds = f"loses at most {floor} of '{metric.id}' against the reference '{reference}' on average"
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


def _conditions(pairs: Pairs, metric: Metric, method: str, unit: str, is_weighted: bool) -> tuple[str, ...]:
    words = [
        "Calls to come are exchangeable with the calibration items: same kind of traffic, same variants, same prompts.",
        f"Quality is what '{metric.id}' measures, against the reference '{pairs.reference}', and nothing else.",
        "The loss is an average over traffic; single calls may lose more, and so may parts of it that have no slice of their own.",
    ]
    if metric.id == AGREEMENT:
        words.append("The certificate says that the policy agrees with the reference's recorded answers, not that those are right.")
    if method == "betting":
        words.append("Groups are independent of each other; items within one may depend on each other in any way.")
    if is_weighted:
        words.append("Labels were drawn with known, unequal chances, and the least of those chances is among the labelled items.")
    if unit == "calls":
        words.append("Costs are unknown; a saving is the share of calls the reference no longer answers.")
    return tuple(words)


def _slice(pairs: Pairs, unit: str, choice_N: NDArray[np.int64], calibrate_N: NDArray[np.bool_], verdict: Verdict) -> Slice:
    assert verdict.cut is not None
    here = calibrate_N & verdict.cut.holds_N
    is_certified = verdict.chosen >= 0
    failed = verdict.walk.failed_upper
    why = "no policy that passed saves anything" if verdict.walk.passed or failed is None else f"its first policy's bound is {failed:.4f}"
    reason = verdict.reason or ("" if is_certified else why)
    return Slice(
        name=verdict.cut.name,
        n_calibrate=int(here.sum()),
        n_groups=len(np.unique(pairs.group_codes[here])),
        certified=is_certified,
        loss_upper_bound=verdict.upper,
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
            loss=_mean(loss_N[test_N]), quality=mean_quality(pairs, picked_N, test_N), saving=saving_of(pairs, picked_N, test_N, made.unit)
        )

    return Controls(
        all_cheapest=control(np.full(len(pairs), cheapest)),
        all_reference=control(np.zeros(len(pairs), dtype=np.int64)),
        shuffled=control(shuffled_N),
        oracle=control(oracle_N),
    )


def unpriced_of(pairs: Pairs) -> tuple[str, ...]:
    """The variants none of whose costs is known."""
    return tuple(name for v, name in enumerate(pairs.variants) if np.isnan(pairs.cost_NV[:, v]).all())


def _mean(value_N: Floats) -> float | None:
    return float(value_N.mean()) if len(value_N) else None


def share_of(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_]) -> dict[str, float]:
    """The share of items each variant answers, those that answer any."""
    counts = np.bincount(choice_N[keep_N], minlength=len(pairs.variants))
    return {variant: float(n / keep_N.sum()) for variant, n in zip(pairs.variants, counts, strict=True) if n}


def mean_quality(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_]) -> float | None:
    """Mean score of the chosen answers; None unless every one of them has a score."""
    score_N = pairs.score_NV[np.arange(len(pairs)), choice_N][keep_N]
    return None if len(score_N) == 0 or np.isnan(score_N).any() else float(score_N.mean())


def saving_of(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_], unit: str) -> float | None:
    """1 - recorded cost of the choices / recorded cost of the reference, over items where both are known."""
    if not keep_N.any():
        return None
    if unit == "calls":
        return float((choice_N[keep_N] != 0).mean())
    paid_N = pairs.cost_NV[np.arange(len(pairs)), choice_N][keep_N]
    before_N = pairs.cost_NV[keep_N, 0]
    both = ~np.isnan(paid_N) & ~np.isnan(before_N)
    return float(1.0 - paid_N[both].sum() / before_N[both].sum()) if both.any() and before_N[both].sum() > 0 else None


def cost_per_1k(pairs: Pairs, choice_N: NDArray[np.int64], keep_N: NDArray[np.bool_]) -> float | None:
    cost_N = pairs.cost_NV[np.arange(len(pairs)), choice_N][keep_N]
    return None if len(cost_N) == 0 or np.isnan(cost_N).any() else float(1000.0 * cost_N.mean())


def _labels_needed(made: Developed, goal: Goal, settings: Settings) -> int | None:
    """How many more labelled groups, over all parts, before training losses let us expect a certificate that saves 1 % or more."""
    units = max(goal.units, bounds.least_units(goal.epsilon, goal.delta, goal.is_exact))
    for _ in range(12):
        family = choose_family(made.rehearsal._replace(units=units), made.candidates, made.fitted)
        if family is not None and (units > goal.units or made.family is None):
            break
        units *= 2
    else:
        return None
    choice_TN = choices(made.fitted[family.predictor].oof_NV, made.rehearsal.predicted_cost_NV, family, made.rehearsal.loss_NV.shape[1])
    needed = bounds.units_needed(lambda count: float(expected_bounds(made.rehearsal, choice_TN, count)[0]), goal.epsilon, goal.units)
    return None if needed is None else max(1, int(np.ceil((needed - goal.units) / settings.fractions.calibrate)))
