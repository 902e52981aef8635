"""Intervals of means: exact for single right-or-wrong items, by group otherwise, and never narrower for lack of variance."""

import numpy as np
import pytest
from scipy.stats import beta

from freehold.evaluation.interval import mean_interval, totals


def test_single_binary_items_have_clopper_and_pearsons_interval() -> None:
    found = mean_interval(np.array([1.0] * 18 + [0.0] * 2), np.arange(20), True)
    assert (found.mean, found.n, found.groups, found.method) == (0.9, 20, 20, "exact")
    assert found.low == pytest.approx(beta.ppf(0.025, 18, 3))
    assert found.high == pytest.approx(beta.ppf(0.975, 19, 2))


def test_items_that_repeat_within_a_group_are_one_piece_of_evidence() -> None:
    """Ten copies of each of twenty items: the interval is about that of twenty, not of two hundred."""
    once = np.array([1.0] * 14 + [0.0] * 6)
    alone = mean_interval(once, np.arange(20), True)
    repeated = mean_interval(np.repeat(once, 10), np.repeat(np.arange(20), 10), True)
    assert repeated.mean == alone.mean
    assert 0.95 < (repeated.high - repeated.low) / (alone.high - alone.low) < 1.1


def test_where_nothing_varies_the_interval_is_that_of_the_groups() -> None:
    """All right in ten groups of a hundred: it may still be wrong as often as ten groups allow."""
    found = mean_interval(np.ones(1000), np.repeat(np.arange(10), 100), True)
    assert found.high == 1.0
    assert found.low == pytest.approx(0.025 ** (1 / 10))


def test_one_group_says_nothing() -> None:
    found = mean_interval(np.array([0.2, 0.4]), np.array([3, 3]), False)
    assert (found.mean, found.low, found.high) == (pytest.approx(0.3), 0.0, 1.0)


def test_bounded_values_stay_within_their_range() -> None:
    found = mean_interval(np.array([1.0] * 30 + [0.9]), np.arange(31), False)
    assert 0.9 < found.low < found.mean < found.high <= 1.0


def test_the_variance_of_a_mean_is_that_of_the_groups_totals() -> None:
    """Of groups of one, the usual s²/n."""
    value_N = np.random.default_rng(0).random(50)
    assert totals(value_N, np.arange(50)).variance == pytest.approx(value_N.var(ddof=1) / 50)


def test_a_mean_of_nothing_has_no_interval() -> None:
    with pytest.raises(ValueError, match="no values"):
        mean_interval(np.array([]), np.array([], dtype=np.int64), True)
