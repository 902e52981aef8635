"""Fixed-sequence testing: in order, from the reference outward, to the first failure; slices share what may be spent."""

import numpy as np
import pytest

from freehold.evaluation.bounds import bets_of, betting_upper, paired_binomial_upper, units
from freehold.promotion.walk import Exam, Losses, walk, walk_slices

EXACT = Exam(epsilon=0.05, is_exact=True, cap=1, bets_T=(), seed=0)


def with_harms(*harms: int, n: int = 400, gains: int = 0) -> Losses:
    """Losses of policies with so many harms each."""
    loss_TN = np.zeros((len(harms), n))
    for t, count in enumerate(harms):
        loss_TN[t, :count] = 1
        loss_TN[t, n - gains :] = -1
    return Losses(loss_TN, np.arange(n), None)


def betting(policies: int, cap: int = 1) -> Exam:
    """A test by betting."""
    return Exam(epsilon=0.05, is_exact=False, cap=cap, bets_T=(bets_of(0.7),) * policies, seed=0)


def test_policies_are_tested_in_order_until_one_fails() -> None:
    result = walk(with_harms(0, 2, 40, 0), EXACT, 0.05)
    assert (result.passed, result.tested) == (2, 3)
    assert result.upper_P == pytest.approx([float(paired_binomial_upper(k, 0, 400, 0.05)) for k in (0, 2)])
    assert result.failed_upper == pytest.approx(float(paired_binomial_upper(40, 0, 400, 0.05)))


def test_a_family_may_pass_whole() -> None:
    result = walk(with_harms(0, 1, 2), EXACT, 0.05)
    assert (result.passed, result.tested, result.failed_upper) == (3, 3, None)


def test_where_the_first_policy_fails_nothing_is_certified() -> None:
    assert walk(with_harms(300, 0, 0), EXACT, 0.05).upper_P == ()


def test_an_empty_family_passes_nothing() -> None:
    assert walk(with_harms(), EXACT, 0.05) == (0, 0, (), None)


def test_without_items_nothing_passes() -> None:
    for exam in (EXACT, betting(1)):
        assert walk(Losses(np.zeros((1, 0)), np.arange(0), None), exam, 0.05).passed == 0


def test_a_bound_below_zero_is_told_as_zero() -> None:
    assert walk(with_harms(0, gains=200), EXACT, 0.05).upper_P == (0,)


def test_a_loss_that_is_no_number_certifies_nothing() -> None:
    losses = with_harms(0)
    losses.loss_TN[0, 3] = np.nan
    with np.errstate(invalid="ignore"):
        assert walk(losses, betting(1), 0.05).passed == 0


def test_gains_count_against_harms() -> None:
    assert walk(with_harms(30, n=800), EXACT, 0.05).passed == 0
    assert walk(with_harms(30, n=800, gains=30), EXACT, 0.05).passed == 1


def test_betting_is_on_groups_with_the_cap_and_the_order_of_the_exam() -> None:
    losses = Losses(np.tile(np.repeat([0.0, 0, 0, 0.1], 100), (2, 1)), np.arange(400) // 8, None)
    result = walk(losses, betting(2, cap=8), 0.05)
    sample = units(losses.loss_TN[0], losses.group_N, 8, 0)
    bound = betting_upper(sample, bets_of(0.7), 0.05)
    assert result.upper_P == (bound, bound) or result.failed_upper == bound


def test_a_smaller_delta_lets_less_pass() -> None:
    losses = with_harms(0, 2, 4, 6, 8, 10, 12)
    assert walk(losses, EXACT, 0.05).passed > walk(losses, EXACT, 0.0005).passed > 0


# Slices


def test_slices_begin_with_equal_shares() -> None:
    results = walk_slices({name: with_harms(0, 100) for name in "abcd"}, EXACT, 0.05)
    assert [delta for _, delta in results.values()] == [0.0125] * 4


def test_a_slice_that_passes_whole_hands_its_share_to_the_others() -> None:
    """Holm on chains: what is rejected to its end needs its share no more."""
    results = walk_slices({"a": with_harms(0), "b": with_harms(0, 100), "c": with_harms(0, 100)}, EXACT, 0.06)
    assert {name: round(delta, 6) for name, (_, delta) in results.items()} == {"a": 0.02, "b": 0.03, "c": 0.03}


def test_a_slice_may_pass_by_what_it_was_handed_and_hand_all_of_it_on() -> None:
    just_fails_alone, never = with_harms(11, n=400), with_harms(0, 300)
    assert walk(just_fails_alone, EXACT, 0.05 / 3).passed == 0
    assert walk(just_fails_alone, EXACT, 0.05 / 2).passed == 1
    results = walk_slices({"easy": with_harms(0), "next": just_fails_alone, "hard": never}, EXACT, 0.05)
    assert results["next"][0].passed == 1
    assert results["hard"][1] == pytest.approx(0.05)


def test_one_slice_alone_has_all_of_delta() -> None:
    losses = with_harms(0, 2, 40)
    assert walk_slices({"only": losses}, EXACT, 0.05) == {"only": (walk(losses, EXACT, 0.05), 0.05)}


def test_no_slices_are_no_walks() -> None:
    assert walk_slices({}, EXACT, 0.05) == {}


def test_part_of_the_items_keeps_what_belongs_to_them() -> None:
    losses = Losses(np.array([[0.0, 1, -1]]), np.array([5, 6, 7]), np.array([0.1, 0.2, 1]))
    part = losses.where(np.array([True, False, True]))
    assert (part.loss_TN.tolist(), part.group_N.tolist()) == ([[0, -1]], [5, 7])
    assert part.weight_N is not None
    assert part.weight_N.tolist() == [0.1, 1]
