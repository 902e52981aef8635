"""Judges a family of policies on calibration items, and turns what passed into choices and a program."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.datasets.pairs import Pairs
from freehold.evaluation import bounds
from freehold.promotion.develop import Developed, Goal
from freehold.promotion.family import Family, choices
from freehold.promotion.measure import saving_of
from freehold.promotion.slices import Cut
from freehold.promotion.walk import Exam, Losses, Walk, walk, walk_slices
from freehold.routing.program import parse, show
from freehold.routing.scorer import Scored, Scorer
from freehold.routing.syntax import And, Compare, Condition, Constant, Fact, Program, Rule, Use, UseCheapest

Floats = NDArray[np.float64]


class Judgement(NamedTuple):
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
) -> list[Judgement]:
    """The walk on all calibration items, or one for each slice; of the policies that passed, the one that saves most there."""
    nothing = Walk(0, 0, (), None)
    if family is None:
        why = "nothing cheaper is expected to be provable from its training items"
        return [Judgement(c, nothing, 0.0, why) for c in cuts] or [Judgement(None, nothing, delta, why)]
    choice_TN = choices(scored.loss_NV, scored.cost_NV, family, len(pairs.variants))
    losses = Losses(losses_of(pairs.loss_NV, choice_TN)[:, calibrate_N], pairs.group_codes[calibrate_N], weight_N)

    def best(walked: Walk, here_N: NDArray[np.bool_]) -> int:
        savings = [saving_of(pairs, choice_TN[t], calibrate_N & here_N, unit) or 0.0 for t in range(walked.passed)]
        return int(np.argmax(savings)) if savings and max(savings) > 0 else -1

    if not cuts:
        walked = walk(losses, exam, delta)
        return [Judgement(None, walked, delta, "", best(walked, calibrate_N))]
    least = bounds.least_units(exam.epsilon, delta, exam.is_exact)
    inside = {c.name: losses.where(c.holds_N[calibrate_N]) for c in cuts}
    enough = {name: part for name, part in inside.items() if len(np.unique(part.group_N)) >= least}
    by_slice = walk_slices(enough, exam, delta)
    return [
        Judgement(c, *by_slice[c.name], "", best(by_slice[c.name][0], c.holds_N))
        if c.name in by_slice
        else Judgement(c, nothing, 0.0, f"{len(np.unique(inside[c.name].group_N))} calibration groups; at least {least} are needed")
        for c in cuts
    ]


def exam_of(pairs: Pairs, made: Developed, train_N: NDArray[np.bool_], goal: Goal, cap: int) -> Exam:
    """How losses will be tested: the bets of each policy are tuned on its out-of-fold training losses."""
    bets: tuple[bounds.Bets, ...] = ()
    if not goal.is_exact and made.family is not None:
        oof_NV = made.fitted[made.family.predictor].oof_NV
        choice_TN = choices(oof_NV, made.rehearsal.predicted_cost_NV, made.family, len(pairs.variants))
        loss_TN = losses_of(pairs.loss_NV[train_N], choice_TN)
        group_N = pairs.group_codes[train_N]
        bets = tuple(bounds.bets_from(bounds.units(loss_N, group_N, cap, goal.seed), goal.epsilon) for loss_N in loss_TN)
    return Exam(goal.epsilon, goal.is_exact, cap, bets, goal.seed)


def losses_of(loss_NV: Floats, choice_TN: NDArray[np.int64]) -> Floats:
    return loss_NV[np.arange(len(loss_NV))[None, :], choice_TN]


def picked(family: Family | None, scored: Scored, judgements: list[Judgement]) -> NDArray[np.int64]:
    """The column the certified policy picks for each item."""
    choice_N = np.zeros(len(scored.region_N), dtype=np.int64)
    if family is None:
        return choice_N
    choice_TN = choices(scored.loss_NV, scored.cost_NV, family, scored.loss_NV.shape[1])
    for judgement in judgements:
        if judgement.chosen >= 0:
            here = choice_TN[judgement.chosen]
            choice_N = here if judgement.cut is None else np.where(judgement.cut.holds_N, here, choice_N)
    return choice_N


def policy_program(pairs: Pairs, scorer: Scorer, family: Family | None, judgements: list[Judgement], p95_s: float | None) -> Program:
    """The certified policy as a program: one rule for each part that passed, and the reference otherwise."""
    rules = []
    for judgement in judgements:
        if family is not None and judgement.chosen >= 0:
            where: Condition = Compare(Fact("predicted_loss"), "<=", float(family.threshold_T[judgement.chosen]))
            listed = _listed(scorer, family)
            # The candidates meet the limit, or they would be none; a listed reference that does not is still what they are compared with.
            if p95_s is not None and (0 not in listed or scorer.latency_V[0] <= p95_s):
                where = And((where, Compare(Fact("predicted_latency_s"), "<=", float(p95_s))))
            action = UseCheapest(tuple(pairs.variants[c] for c in listed), where)
            rules.append(Rule(judgement.cut.condition if judgement.cut else Constant(True), action))
    program = Program(pairs.task, (*rules, Rule(None, Use(pairs.reference))))
    return parse(show(program))


def _listed(scorer: Scorer, family: Family) -> tuple[int, ...]:
    """The columns a rule has to name: the candidates, and the reference where it may be the cheapest of them for some input."""
    dearest = max(scorer.cost_range_V2[c, 1] for c in family.columns)
    return family.columns if dearest < scorer.cost_range_V2[0, 0] else (0, *family.columns)


def weights(pairs: Pairs, keep_N: NDArray[np.bool_], design: str) -> Floats | None:
    """Inverse inclusion probabilities of items, scaled to at most 1; None where all are equal, so that they weigh nothing.

    They are scaled by the least probability that any item could have had, where that was written down before a label was: by the least that
    is there, a rare stratum of which nothing happened to be drawn would count as if it did not exist, and bets against it would be won
    (`tests/property/test_review_draws.py` shows how often). Where nobody wrote it down it is the least of all labelled items, not of the
    calibration items alone.
    """
    known_N = pairs.inclusion_N[~np.isnan(pairs.inclusion_N)]
    if design == "found" or len(known_N) == 0:
        return None
    least = float(np.fmin(known_N.min(), pairs.least_inclusion))
    if np.ptp(known_N) < 1e-12 and known_N.min() - least < 1e-12:
        return None
    return np.asarray(least / pairs.inclusion_N[keep_N], dtype=np.float64)
