"""Prediction-powered estimates hold what they promise whatever the judge is worth, and bets on audited items are as fair as on labels."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from freehold.errors import DataError
from freehold.evaluation import ppi
from freehold.evaluation.audited import debiased, power_from
from freehold.evaluation.bounds import bets_from, betting_upper

Floats = np.ndarray[Any, np.dtype[np.float64]]
NAN = float("nan")


def traffic(rng: np.random.Generator, count: int, right: float, bias: float = 0.1, mean: float = 0.7) -> tuple[Floats, Floats]:
    """Labels of 0 and 1, and a judge that sees them with probability `right`, and scores too high by `bias`."""
    human_N = (rng.random(count) < mean).astype(float)
    guess_N = (rng.random(count) < mean).astype(float)
    return human_N, np.where(rng.random(count) < right, human_N, guess_N) * 0.8 + bias


def asked_of(rng: np.random.Generator, human_N: Floats, labels: int) -> Floats:
    said_N = np.full(len(human_N), NAN)
    at = rng.choice(len(human_N), labels, replace=False)
    said_N[at] = human_N[at]
    return said_N


def test_the_estimate_is_the_formula_of_the_paper() -> None:
    """Of Angelopoulos, Duchi and Zrnic (2023): the labelled mean of Y - λf plus λ times the unlabelled mean of f, λ as in their equation for means."""
    rng = np.random.default_rng(1)
    human_N, judge_N = traffic(rng, 60, 0.8)
    said_N = np.where(np.arange(60) < 20, human_N, NAN)
    made = ppi.mean(said_N, judge_N)
    y, f, g = human_N[:20], judge_N[:20], judge_N[20:]
    power = min(1.0, max(0.0, np.cov(y, f)[0, 1] / ((1 + 20 / 40) * np.var(judge_N, ddof=1))))
    assert made.power == pytest.approx(power) and made.labels == 20 and made.items == 60
    assert made.powered.value == pytest.approx((y - power * f).mean() + power * g.mean())
    error = np.sqrt(np.var(y - power * f, ddof=1) / 20 + power**2 * np.var(g, ddof=1) / 40)
    assert made.powered.width == pytest.approx(2 * stats.t.ppf(0.975, 19) * error, rel=0.02)
    assert made.labels_only.value == pytest.approx(y.mean())
    assert made.labels_only.width == pytest.approx(2 * stats.t.ppf(0.975, 19) * np.std(y, ddof=1) / np.sqrt(20))
    assert made.bias.value == pytest.approx((f - y).mean())


@pytest.mark.parametrize(("right", "ratio"), [(0.0, 1.03), (0.6, 0.95), (0.95, 0.65)])
def test_intervals_hold_the_truth_and_a_better_judge_makes_them_narrower(right: float, ratio: float) -> None:
    """600 draws of 100 labels among 1,000: at 95 %, 0.925 lies three standard errors below; a judge that knows nothing costs nothing."""
    rng = np.random.default_rng(int(100 * right))
    held, widths, alone = 0, 0.0, 0.0
    for _ in range(600):
        human_N, judge_N = traffic(rng, 1_000, right)
        made = ppi.mean(asked_of(rng, human_N, 100), judge_N)
        held += made.powered.low <= 0.7 <= made.powered.high
        widths, alone = widths + made.powered.width, alone + made.labels_only.width
    assert held / 600 >= 0.925 and widths / alone < ratio


def test_labels_drawn_with_unequal_chances_are_weighed_by_them() -> None:
    """500 draws: items that the judge doubts are asked four times as often. Unweighed labels would be far off."""
    rng, held, plain = np.random.default_rng(5), 0, []
    for _ in range(500):
        human_N, judge_N = traffic(rng, 1_000, 0.7)
        inclusion_N = np.where(judge_N < 0.5, 0.28, 0.07)
        said_N = np.where(rng.random(1_000) < inclusion_N, human_N, NAN)
        made = ppi.mean(said_N, judge_N, inclusion_N=inclusion_N)
        held += made.powered.low <= 0.7 <= made.powered.high
        plain.append(np.nanmean(said_N))
    assert held / 500 >= 0.92 and abs(np.mean(plain) - 0.7) > 0.1


def test_items_that_depend_on_each_other_widen_the_interval() -> None:
    """500 draws of 150 conversations of eight items that share their label: by groups the interval holds, item by item it would not."""
    rng, held, naive = np.random.default_rng(6), 0, 0
    for _ in range(500):
        human_N, judge_N = (np.repeat(one, 8) for one in traffic(rng, 150, 0.5))
        group_N = np.repeat(np.arange(150), 8)
        said_N = np.where(np.isin(group_N, rng.choice(150, 40, replace=False)), human_N, NAN)
        made, alone = ppi.mean(said_N, judge_N, group_N=group_N), ppi.mean(said_N, judge_N)
        held += made.powered.low <= 0.7 <= made.powered.high
        naive += alone.powered.low <= 0.7 <= alone.powered.high
    assert held / 500 >= 0.92 > 0.75 > naive / 500


def test_what_a_judge_has_against_both_answers_cancels_in_their_difference() -> None:
    rng, held = np.random.default_rng(7), 0
    for _ in range(400):
        one, judged_one = traffic(rng, 600, 0.8, bias=0.3, mean=0.6)
        two, judged_two = traffic(rng, 600, 0.8, bias=0.3, mean=0.7)
        asked = np.isin(np.arange(600), rng.choice(600, 80, replace=False))[:, None]
        made = ppi.difference(np.where(asked, np.stack([one, two], 1), NAN), np.stack([judged_one, judged_two], 1))
        held += made.powered.low <= 0.1 <= made.powered.high
    assert held / 400 >= 0.92 and made.labels == 80


def test_a_judge_that_gave_no_score_of_some_is_used_for_the_others() -> None:
    human_N, judge_N = traffic(np.random.default_rng(8), 200, 0.9)
    said_N = np.where(np.arange(200) < 50, human_N, NAN)
    made = ppi.mean(said_N, np.where(np.arange(200) % 5 == 0, NAN, judge_N))
    assert made.silent == 40 and made.powered.width < made.labels_only.width


@pytest.mark.parametrize(
    ("human", "judge", "more", "why"),
    [
        ([1.0] * 9 + [NAN] * 9, [1.0] * 18, {}, "9 independent items have people's labels; an estimate takes at least 10"),
        ([1.0] * 20, [NAN] * 20, {}, "gave no score at all"),
        ([1.0] * 20, [float("inf")] * 20, {}, "a score is infinite"),
        ([1.0] * 20, [1.0] * 19, {}, "not one each for every item"),
        ([1.0] * 20, [1.0] * 20, {"inclusion_N": np.zeros(20)}, "inclusion probabilities lie above 0"),
        ([1.0] * 20, [1.0] * 20, {"group_N": np.zeros(20, dtype=int)}, "1 independent items"),
    ],
)
def test_what_gives_no_estimate_is_refused_with_why(human: list[float], judge: list[float], more: dict[str, Any], why: str) -> None:
    with pytest.raises(DataError, match=why):
        ppi.mean(np.array(human), np.array(judge), **more)


# Bets on audited items.


def losses(rng: np.random.Generator, count: int, mean: float, right: float, tilt: float) -> tuple[Floats, Floats]:
    """Paired losses of -1, 0 and 1 with that mean, and a judge that sees each with probability `right`, else says what it likes, tilted."""
    loss_N = rng.choice([-1.0, 0.0, 1.0], size=count, p=[0.2 - mean / 2, 0.6, 0.2 + mean / 2])
    other_N = np.clip(rng.choice([-1.0, 0.0, 1.0], size=count) + tilt, -1, 1)
    return loss_N, np.where(rng.random(count) < right, loss_N, other_N)


@pytest.mark.slow
@pytest.mark.parametrize(("right", "tilt"), [(0.95, 0.0), (0.6, -0.8), (0.0, -1.0)])
def test_a_bound_on_debiased_losses_fails_no_oftener_than_it_says(right: float, tilt: float) -> None:
    """400 draws at δ = 5 % with a mean loss that is exactly the floor: 200 audited of 2,000, also with a judge that praises everything."""
    rng, floor, fails = np.random.default_rng(int(100 * right)), 0.05, 0
    pilot = losses(rng, 200, floor, right, tilt)
    power = power_from(*pilot, 0.1)
    bets = bets_from(debiased(np.where(np.arange(200) < 20, pilot[0], NAN), pilot[1], power, 0), floor)
    for draw in range(400):
        loss_N, judged_N = losses(rng, 2_000, floor, right, tilt)
        audited_N = np.where(np.isin(np.arange(2_000), rng.choice(2_000, 200, replace=False)), loss_N, NAN)
        fails += betting_upper(debiased(audited_N, judged_N, power, draw), bets, 0.05) < floor
    assert fails / 400 <= 0.072  # 0.05 and two standard errors


def test_a_judge_that_follows_people_makes_the_bound_tighter() -> None:
    """On the same 200 audits; the same floor is reached with what the judge says of 1,800 more."""
    rng, with_judge, alone = np.random.default_rng(3), [], []
    pilot = losses(rng, 400, 0.0, 0.97, 0.0)
    power = power_from(*pilot, 0.1)
    bets = bets_from(debiased(np.where(np.arange(400) < 200, pilot[0], NAN), pilot[1], power, 0), 0.1)
    bets_alone = bets_from(debiased(pilot[0], pilot[1], 0.0, 0), 0.1)
    for draw in range(40):
        loss_N, judged_N = losses(rng, 2_000, 0.0, 0.97, 0.0)
        audited_N = np.where(np.isin(np.arange(2_000), rng.choice(2_000, 200, replace=False)), loss_N, NAN)
        with_judge.append(betting_upper(debiased(audited_N, judged_N, power, draw), bets, 0.05))
        alone.append(betting_upper(debiased(audited_N, judged_N, 0.0, draw), bets_alone, 0.05))
    assert np.mean(with_judge) < 0.85 * np.mean(alone)


def test_debiased_losses_are_losses_on_average_and_stay_within_their_cap() -> None:
    rng = np.random.default_rng(4)
    sums = []
    for draw in range(2_000):
        loss_N, judged_N = losses(rng, 60, 0.1, 0.3, -0.9)
        unit = debiased(np.where(np.arange(60) < 20, loss_N, NAN), judged_N, 0.7, draw)
        assert len(unit.loss_sum_G) == 20 and np.abs(unit.loss_sum_G).max() <= unit.cap == pytest.approx(2.4)
        sums.append(unit.loss_sum_G.mean())
    assert np.mean(sums) == pytest.approx(0.1, abs=4 * np.std(sums) / np.sqrt(2_000))


@pytest.mark.parametrize(
    ("loss", "judged", "power", "why"),
    [
        ([2.0, NAN], [0.0, 0.0], 0.5, "from -1 to 1"),
        ([0.0, NAN], [0.0, NAN], 0.5, "every item has one by the judge"),
        ([0.0, NAN], [0.0, 0.0], 1.5, "it lies from 0 to 1"),
        ([0.0, 0.0, NAN], [0.0, 0.0, 0.0], 0.5, "2 items were audited and 1 only judged"),
    ],
)
def test_losses_that_cannot_be_bet_on_are_refused(loss: list[float], judged: list[float], power: float, why: str) -> None:
    with pytest.raises(DataError, match=why):
        debiased(np.array(loss), np.array(judged), power, 0)
