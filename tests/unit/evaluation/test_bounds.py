"""The bounds are what their sources say, hold at the edges, and plan what they later grant."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from freehold.evaluation import bounds
from freehold.evaluation.bounds import (
    GRID,
    Bets,
    Units,
    bets_from,
    bets_of,
    betting_upper,
    betting_wealth,
    binomial_interval,
    bootstrap_mean_interval,
    clopper_pearson_lower,
    clopper_pearson_upper,
    least_units,
    paired_binomial_upper,
    spend,
    units,
    units_needed,
)
from freehold.promotion.walk import Exam, Losses, walk

few = settings(max_examples=40, deadline=None)


def singles(losses: list[float]) -> Units:
    """Units of one item each, in this order."""
    return Units(np.array(losses), np.ones(len(losses)), 1)


# The binomial bound


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 10), (1, 10), (10, 10), (3, 20), (17, 400), (399, 400), (400, 400), (0, 5000)])
@pytest.mark.parametrize("alpha", [0.05, 0.045, 0.005, 0.001])
def test_clopper_pearson_agrees_with_scipy(k: int, n: int, alpha: float) -> None:
    interval = binomtest(k, n).proportion_ci(1 - 2 * alpha, method="exact")
    assert clopper_pearson_upper(k, n, alpha) == pytest.approx(interval.high, abs=1e-9)
    assert clopper_pearson_lower(k, n, alpha) == pytest.approx(interval.low, abs=1e-9)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(0, 10, 0, 0.3085), (3, 20, 0.0321, 0.3789), (5, 10, 0.1871, 0.8129), (10, 100, 0.0490, 0.1762)]
)
def test_the_95_percent_interval_is_the_one_in_printed_tables(k: int, n: int, low: float, high: float) -> None:
    assert binomial_interval(k, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_bounds_are_computed_elementwise() -> None:
    assert clopper_pearson_upper([0, 3, 20], 20, 0.05).tolist() == [float(clopper_pearson_upper(k, 20, 0.05)) for k in (0, 3, 20)]


def test_the_paired_bound_is_the_harm_rates_upper_less_the_gain_rates_lower_bound() -> None:
    expected = clopper_pearson_upper(7, 200, 0.045) - clopper_pearson_lower(4, 200, 0.005)
    assert paired_binomial_upper(7, 4, 200, 0.05) == pytest.approx(float(expected))


@given(st.integers(1, 400), st.data())
@few
def test_a_harm_more_raises_the_paired_bound_and_a_gain_more_never_does(n: int, data: st.DataObject) -> None:
    harms = data.draw(st.integers(0, n - 1))
    gains = data.draw(st.integers(0, n - 1 - harms))
    bound = float(paired_binomial_upper(harms, gains, n, 0.05))
    assert float(paired_binomial_upper(harms + 1, gains, n, 0.05)) > bound
    assert float(paired_binomial_upper(harms, gains + 1, n, 0.05)) <= bound
    assert (harms - gains) / n <= bound <= 1


def test_without_items_the_paired_bound_is_one() -> None:
    assert paired_binomial_upper(np.zeros(3), np.zeros(3), 0, 0.05).tolist() == [1, 1, 1]


# Units


def test_a_units_losses_and_weights_are_its_items_sums() -> None:
    sample = units(np.array([1.0, 0, -1, 1]), np.array([7, 7, 8, 9]), cap=5, seed=0)
    assert sorted(zip(sample.loss_sum_G.tolist(), sample.weight_G.tolist(), strict=True)) == [(-1, 1), (1, 1), (1, 2)]


def test_of_a_group_above_the_cap_so_many_items_count() -> None:
    sample = units(np.ones(50), np.repeat([0, 1, 2], [30, 18, 2]), cap=10, seed=0)
    assert sorted(sample.weight_G.tolist()) == [2, 10, 10]
    assert sample.cap == 10


def test_which_items_of_a_large_group_count_is_a_draw_that_the_seed_decides() -> None:
    losses = np.arange(100) / 100
    one, same, other = (units(losses, np.zeros(100, dtype=np.int64), 10, seed).loss_sum_G[0] for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_every_item_of_a_large_group_is_as_likely_to_count_1000_draws() -> None:
    marks = 0.5 ** np.arange(1, 13)  # a sum of some of them says which
    group_N = np.zeros(12, dtype=np.int64)
    sums = np.array([units(marks, group_N, 4, seed).loss_sum_G[0] for seed in range(1000)])
    counted = (np.round(sums * 2**12).astype(int)[:, None] >> np.arange(12)) & 1
    assert (counted.sum(axis=1) == 4).all()
    assert np.abs(counted.mean(axis=0) - 4 / 12).max() < 0.06  # four standard errors


def test_groups_stand_in_seeded_random_order() -> None:
    losses = np.linspace(-1, 1, 60)
    one, other = (units(losses, np.arange(60), 1, seed).loss_sum_G for seed in (0, 1))
    assert sorted(one) == sorted(other) == losses.tolist()
    assert one.tolist() != other.tolist()


def test_weighted_items_sum_their_weights() -> None:
    sample = units(np.array([1.0, -1.0]), np.array([0, 0]), 3, 0, weight_N=np.array([0.25, 1.0]))
    assert (sample.loss_sum_G[0], sample.weight_G[0]) == (-0.75, 1.25)


def test_no_items_are_no_units() -> None:
    assert len(units(np.empty(0), np.empty(0, dtype=np.int64), 3, 0).weight_G) == 0


# Betting


def test_wealth_is_the_mixture_of_products_of_one_plus_bet_times_stake() -> None:
    bets = Bets(np.array([0.5, 0.25]), np.array([0.6, 0.4]))
    grown = 0.6 * (1 + 0.5 * 0.1) * (1 + 0.5 * 0.1) + 0.4 * (1 + 0.25 * 0.1) * (1 + 0.25 * 0.1)
    assert betting_wealth(singles([0, 0]), 0.1, bets) == pytest.approx(grown)


def test_the_greatest_wealth_on_the_way_counts_so_a_late_harm_takes_nothing_back() -> None:
    bets = bets_of(0.9)
    assert betting_wealth(singles([0] * 50 + [1] * 50), 0.1, bets) == betting_wealth(singles([0] * 50), 0.1, bets)
    assert betting_wealth(singles([1] * 50 + [0] * 50), 0.1, bets) < 2


def test_without_units_nothing_is_won_and_the_bound_is_one() -> None:
    assert betting_wealth(singles([]), 0.1, bets_of(0.5)) == 1
    assert betting_upper(singles([]), bets_of(0.5), 0.05) == 1


@given(st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.0, 0.0, 0.2, 1.0]), min_size=1, max_size=120), st.floats(0.02, 0.99))
@few
def test_wealth_grows_with_the_mean_that_is_bet_against(losses: list[float], bet: float) -> None:
    wealth = [betting_wealth(singles(losses), e, bets_of(bet)) for e in (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)]
    assert all(low <= high * (1 + 1e-12) for low, high in pairwise(wealth))


@given(st.lists(st.sampled_from([-0.5, 0.0, 0.0, 0.0, 0.1, 1.0]), min_size=30, max_size=200), st.sampled_from([0.05, 0.01]))
@few
def test_the_betting_bound_is_where_wealth_reaches_one_over_delta(losses: list[float], delta: float) -> None:
    upper = betting_upper(singles(losses), bets_of(0.7), delta)
    if upper < 1:
        assert betting_wealth(singles(losses), upper, bets_of(0.7)) >= 1 / delta
        assert betting_wealth(singles(losses), upper - 1e-6, bets_of(0.7)) < 1 / delta or upper < 1e-6


def test_smaller_delta_and_more_harm_give_a_higher_betting_bound() -> None:
    rng = np.random.default_rng(0)
    losses = (rng.random(400) < 0.03).astype(float)
    sample, worse = singles(losses.tolist()), singles(np.maximum(losses, rng.random(400) < 0.05).tolist())
    assert 0.03 < betting_upper(sample, bets_of(0.6), 0.05) < betting_upper(sample, bets_of(0.6), 0.005)
    assert betting_upper(sample, bets_of(0.6), 0.05) < betting_upper(worse, bets_of(0.6), 0.05)


def test_one_group_of_n_equal_items_says_no_more_than_one_item() -> None:
    grouped = units(np.zeros(200), np.zeros(200, dtype=np.int64), 200, 0)
    assert betting_upper(grouped, bets_of(0.99), 0.05) == betting_upper(singles([0.0]), bets_of(0.99), 0.05) == 1


def test_bets_keep_every_factor_positive_at_any_floor() -> None:
    worst = singles([1.0] * 20)
    for bet in (0.02, 0.99, *GRID):
        assert np.isfinite(betting_wealth(worst, 0.0, bets_of(bet)))
    assert bets_of(0.5).weight_K.sum() == pytest.approx(1)


def test_the_pilot_bets_boldly_where_training_shows_no_harm_and_little_where_it_shows_much() -> None:
    assert bets_from(singles([0.0] * 100), 0.05).bet_K[0] == pytest.approx(0.99)
    assert bets_from(singles([0.0] * 90 + [1.0] * 10), 0.05).bet_K[0] == pytest.approx(0.02)
    assert 0.02 < bets_from(singles([0.0] * 98 + [1.0] * 2), 0.05).bet_K[0] < 0.99
    assert np.isfinite(bets_from(singles([]), 0.05).bet_K).all()


# Spending and planning


def test_what_all_attempts_spend_sums_to_delta() -> None:
    total = sum(spend(0.05, k) for k in range(1, 200_001))
    assert total < 0.05
    assert total == pytest.approx(0.05, abs=1e-6)
    assert spend(0.05, 1) == pytest.approx(0.0304, abs=5e-5)


@pytest.mark.parametrize("epsilon", [0.005, 0.01, 0.02, 0.05, 0.1])
@pytest.mark.parametrize("delta", [0.05, spend(0.05, 1), spend(0.05, 7), 0.3])
@pytest.mark.parametrize("is_exact", [True, False])
def test_the_least_number_of_units_just_passes_without_a_harm_and_one_fewer_never_does(
    epsilon: float, delta: float, is_exact: bool
) -> None:
    def passes(count: int) -> bool:
        losses = Losses(np.zeros((1, count)), np.arange(count), None)
        return walk(losses, Exam(epsilon, is_exact, 1, (bets_of(GRID[0]),), 0), delta).passed == 1

    least = least_units(epsilon, delta, is_exact)
    assert passes(least)
    assert not passes(least - 1)


def test_a_first_attempt_at_confidence_95_percent_needs_so_many_calibration_items_for_a_floor() -> None:
    assert {e: least_units(e, spend(0.05, 1), True) for e in (0.1, 0.05, 0.02, 0.01)} == {0.1: 35, 0.05: 71, 0.02: 179, 0.01: 359}


@given(st.integers(1, 5000), st.floats(0.001, 0.5))
@few
def test_the_units_needed_are_the_first_whose_expected_bound_reaches_the_floor(least: int, scale: float) -> None:
    def bound(n: int) -> float:
        return scale / n**0.5

    found = units_needed(bound, 0.005, least)
    assert found is not None
    assert bound(found) <= 0.005
    assert found == least or bound(found - 1) > 0.005


def test_no_number_of_units_is_enough_where_the_expected_loss_is_above_the_floor() -> None:
    assert units_needed(lambda n: 0.06 + 1 / n, 0.05, 10) is None


def test_the_planned_betting_bound_falls_towards_the_mean() -> None:
    planned = [float(bounds.bernstein_upper(0.01, 0.01, n, 0.05)) for n in (100, 1000, 100_000)]
    assert planned == sorted(planned, reverse=True)
    assert planned[-1] == pytest.approx(0.01, abs=0.001)


# What reports show


def test_a_bootstrap_interval_resamples_groups_not_items() -> None:
    rng = np.random.default_rng(1)
    value_N = np.repeat(rng.random(40) < 0.3, 25).astype(float)
    by_item = bootstrap_mean_interval(value_N, np.arange(1000), 0)
    by_group = bootstrap_mean_interval(value_N, np.repeat(np.arange(40), 25), 0)
    assert by_item is not None
    assert by_group is not None
    assert by_group[0] < by_item[0] < value_N.mean() < by_item[1] < by_group[1]


def test_an_interval_of_nothing_is_none() -> None:
    assert bootstrap_mean_interval(np.empty(0), np.empty(0, dtype=np.int64), 0) is None
