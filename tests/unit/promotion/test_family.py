"""The ordered family of policies: made from training items alone, and chosen for what it can be expected to prove and save."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from freehold.evaluation.bounds import least_units, paired_binomial_upper
from freehold.promotion.family import STEPS, Family, Rehearsal, choices, choose_family, expected_bounds, expected_saving, thresholds
from freehold.promotion.fit import Fitted
from freehold.routing.predict import Constant, cheapest_within

Floats = NDArray[np.float64]


def rehearsal(loss_NV: Floats, cost_V: tuple[float, ...] = (1.0, 0.1), **changes: Any) -> Rehearsal:
    """Training items with these losses (column 0 the reference), at flat costs."""
    cost_NV = np.tile(cost_V, (len(loss_NV), 1))
    known = {"cost_NV": cost_NV, "predicted_cost_NV": cost_NV, "group_N": np.arange(len(loss_NV))}
    floor = {"epsilon": 0.05, "delta": 0.03, "units": 400.0, "is_exact": True}
    return Rehearsal(**{"loss_NV": loss_NV} | known | floor | changes)


def two(oof_N: Floats) -> Floats:
    """Predictions of one candidate beside the reference."""
    return np.column_stack([np.zeros(len(oof_N)), oof_N])


def fitted(**oof_NV: Floats) -> dict[str, Fitted]:
    """Predictors that said this out of fold."""
    return {kind: Fitted(Constant(np.zeros(1)), oof) for kind, oof in oof_NV.items()}


EASY = np.arange(500) < 350
LOSSES = two(np.where(EASY, 0.0, 1.0))
KNOWS = two(np.where(EASY, 0.0, 1.0) + np.linspace(0, 0.01, 500))
GUESSES = two(np.random.default_rng(0).random(500))


# Choices


def test_the_cheapest_within_the_threshold_is_picked() -> None:
    loss_NV = np.array([[0, 0.1, 0.3], [0, 0.3, 0.1], [0, 0.5, 0.5], [0, 0.1, 0.1]])
    cost_NV = np.tile([1.0, 0.5, 0.2], (4, 1))
    assert cheapest_within(loss_NV, cost_NV, np.ones(3, dtype=bool), 0.2).tolist() == [1, 2, 0, 2]


def test_the_reference_is_picked_where_it_is_the_cheapest() -> None:
    assert cheapest_within(np.zeros((1, 2)), np.array([[0.1, 0.2]]), np.ones(2, dtype=bool), 0.5).tolist() == [0]


def test_at_a_negative_threshold_the_reference_itself_is_not_within_and_still_answers_the_rest() -> None:
    loss_NV = np.array([[0, -0.2], [0, 0.1]])
    assert cheapest_within(loss_NV, np.tile([1, 0.1], (2, 1)), np.ones(2, dtype=bool), -0.1).tolist() == [1, 0]


def test_ties_go_to_the_first_and_an_unknown_cost_comes_last() -> None:
    allowed_V = np.array([False, True, True])
    assert cheapest_within(np.zeros((1, 3)), np.array([[1.0, 0.5, 0.5]]), allowed_V, 0).tolist() == [1]
    assert cheapest_within(np.zeros((1, 3)), np.array([[1.0, np.nan, 0.5]]), allowed_V, 0).tolist() == [2]
    assert cheapest_within(np.zeros((1, 3)), np.array([[1.0, np.nan, np.nan]]), allowed_V, 0).tolist() == [1]


def test_a_variant_outside_the_family_is_never_picked() -> None:
    loss_NV, cost_NV = np.zeros((5, 3)), np.tile([1.0, 0.5, 0.1], (5, 1))
    assert (choices(loss_NV, cost_NV, Family("x", (1,), np.array([0.0])), 3) == 1).all()


def test_each_policy_lets_a_step_more_of_the_traffic_leave_the_reference() -> None:
    oof_NV = two(np.random.default_rng(1).normal(size=4000))
    family = Family("x", (1,), thresholds(oof_NV, (1,), STEPS))
    share_T = (choices(oof_NV, np.tile([1.0, 0.1], (4000, 1)), family, 2) == 1).mean(axis=1)
    assert len(family.threshold_T) == STEPS
    assert (np.diff(family.threshold_T) > 0).all()
    assert np.diff(share_T) == pytest.approx(np.full(STEPS - 1, 1 / STEPS), abs=0.002)
    assert share_T[-1] > 0.999


@pytest.mark.parametrize(("loss", "threshold"), [(0.123456789, 0.123457), (0.123456123, 0.123457), (-0.02819957, -0.0281995), (0.0, 0.0)])
def test_equal_predictions_make_one_policy_that_holds_all_of_them(loss: float, threshold: float) -> None:
    family = Family("x", (1,), thresholds(two(np.full(100, loss)), (1,)))
    assert family.threshold_T.tolist() == [threshold]
    assert (choices(two(np.full(100, loss)), np.tile([1.0, 0.1], (100, 1)), family, 2) == 1).all()


# What is expected


def test_what_is_expected_is_the_bound_training_losses_would_have_with_half_a_harm_more() -> None:
    known = rehearsal(LOSSES, units=500.0)
    choice_TN = np.ones((1, 500), dtype=np.int64)
    assert expected_bounds(known, choice_TN)[0] == pytest.approx(float(paired_binomial_upper(150.5, 0, 500, 0.03)))


@pytest.mark.parametrize("is_exact", [True, False])
def test_more_units_are_expected_to_prove_more(is_exact: bool) -> None:
    known = rehearsal(LOSSES, is_exact=is_exact)
    choice_TN = choices(KNOWS, known.cost_NV, Family("x", (1,), thresholds(KNOWS, (1,))), 2)
    few, many = expected_bounds(known, choice_TN, 100), expected_bounds(known, choice_TN, 10_000)
    assert (many < few).all()


def test_items_that_win_and_lose_together_are_expected_to_prove_no_more_than_one_of_them() -> None:
    loss_NV = two((np.arange(500) // 10 % 10 == 0).astype(float))
    choice_TN = np.ones((1, 500), dtype=np.int64)
    alone = rehearsal(loss_NV, is_exact=False, units=50.0)
    grouped = alone._replace(group_N=np.arange(500) // 10)
    assert expected_bounds(grouped, choice_TN)[0] == pytest.approx(expected_bounds(alone, choice_TN)[0])
    assert expected_bounds(grouped, choice_TN)[0] > expected_bounds(alone, choice_TN, 500)[0]


def test_the_saving_expected_is_that_of_the_last_policy_expected_to_pass() -> None:
    family = Family("x", (1,), thresholds(KNOWS, (1,)))
    assert 0.55 < expected_saving(rehearsal(LOSSES), family, KNOWS) < 0.9 * 0.75
    assert expected_saving(rehearsal(LOSSES, units=float(least_units(0.05, 0.03, True) - 10)), family, KNOWS) == 0


# The choice


def test_the_predictor_that_can_be_expected_to_prove_most_is_chosen() -> None:
    family = choose_family(rehearsal(LOSSES), (1,), fitted(guesses=GUESSES, knows=KNOWS))
    assert family is not None
    assert family.predictor == "knows"


def test_nothing_is_chosen_where_nothing_can_be_expected_to_pass() -> None:
    assert choose_family(rehearsal(two(np.ones(500)), epsilon=0.02), (1,), fitted(guesses=GUESSES)) is None
    assert choose_family(rehearsal(LOSSES, units=20.0), (1,), fitted(knows=KNOWS)) is None
    assert choose_family(rehearsal(LOSSES), (), fitted(knows=KNOWS)) is None


def test_nothing_is_chosen_that_saves_nothing() -> None:
    assert choose_family(rehearsal(LOSSES, cost_V=(1.0, 1.0)), (1,), fitted(knows=KNOWS)) is None


def test_variants_that_are_good_at_different_things_are_chosen_together_and_useless_ones_left_out() -> None:
    half = np.arange(600) < 300
    loss_NV = np.column_stack([np.zeros(600), np.where(half, 0.0, 1.0), np.where(half, 1.0, 0.0), np.ones(600)])
    family = choose_family(rehearsal(loss_NV, (1.0, 0.1, 0.1, 0.05)), (1, 2, 3), fitted(knows=loss_NV))
    assert family is not None
    assert set(family.columns) - {3} == {1, 2}
    assert expected_saving(rehearsal(loss_NV, (1.0, 0.1, 0.1, 0.05)), family, loss_NV) == pytest.approx(0.9)


def test_sixty_candidates_are_all_tried() -> None:
    """One of sixty is good; the others lose everything."""
    loss_NV = np.column_stack([np.zeros(300), *[np.ones(300)] * 41, np.zeros(300), *[np.ones(300)] * 18])
    family = choose_family(rehearsal(loss_NV, (1.0, *[0.1] * 60)), tuple(range(1, 61)), fitted(knows=loss_NV))
    assert family is not None
    assert 42 in family.columns
