"""Paired differences, and what many of them together allow to be said."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, ttest_1samp

from freehold.evaluation.difference import paired
from freehold.evaluation.multiplicity import adjusted, holm, verdict


def binary(gains: int, losses: int, both: int, neither: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    first = np.array([1.0] * gains + [0.0] * losses + [1.0] * both + [0.0] * neither)
    second = np.array([0.0] * gains + [1.0] * losses + [1.0] * both + [0.0] * neither)
    return first, second, np.arange(len(first))


def test_single_binary_items_are_tested_exactly() -> None:
    """As McNemar's exact test: the items on which both are right or both wrong say nothing of which is better."""
    found = paired(*binary(12, 3, 85), True)
    assert found.mean == pytest.approx(0.09)
    assert found.p == pytest.approx(binomtest(3, 15, 0.5).pvalue)
    assert found.low < 0.09 < found.high


def restricted_z(gains: int, losses: int, n: int, at: float) -> float:
    """The score statistic of a true difference `at`, its nuisance rate found by maximising the likelihood numerically."""

    def minus_log_likelihood(second: float) -> float:
        first, rest = second + at, 1 - 2 * second - at
        return -(gains * np.log(first) + losses * np.log(second) + (n - gains - losses) * np.log(rest))

    low, high = max(0.0, -at) + 1e-12, (1 - at) / 2 - 1e-12
    second = minimize_scalar(minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    return float(((gains - losses) / n - at) / np.sqrt((2 * second + at - at**2) / n))


@pytest.mark.parametrize(("gains", "losses", "n"), [(1, 3, 44), (12, 2, 100), (40, 37, 150)])
def test_tangos_interval_ends_where_the_score_statistic_is_the_normal_quantile(gains: int, losses: int, n: int) -> None:
    found = paired(*binary(gains, losses, n - gains - losses), True)
    assert restricted_z(gains, losses, n, found.low) == pytest.approx(1.959964, abs=1e-3)
    assert restricted_z(gains, losses, n, found.high) == pytest.approx(-1.959964, abs=1e-3)


def test_without_a_discordant_pair_it_ends_where_it_is_known_to() -> None:
    """z²/(n + z²) to either side."""
    found = paired(*binary(0, 0, 30), True)
    assert (-found.low, found.high) == (pytest.approx(1.959964**2 / (30 + 1.959964**2)),) * 2


def test_bounded_values_are_tested_by_t_over_groups() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random(40), rng.random(40)
    found = paired(first, second, np.arange(40), False)
    assert found.p == pytest.approx(ttest_1samp(first - second, 0).pvalue)
    interval = ttest_1samp(first - second, 0).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))


def test_of_few_groups_that_differ_nobody_can_tell() -> None:
    """Five groups all to one side: flipping signs shows as much once in 16, however regular they look."""
    first = np.array([0.9, 0.91, 0.9, 0.92, 0.9, *[0.5] * 30])
    found = paired(first, np.full(35, 0.5), np.arange(35), False)
    assert found.p >= 2.0**-4
    assert found.low <= 0 <= found.high


def test_equal_answers_leave_the_share_of_groups_that_may_differ() -> None:
    values = np.random.default_rng(2).random(300)
    found = paired(values, values, np.arange(300), False, margin=0.05)
    assert (found.mean, found.p) == (0.0, 1.0)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 300))
    assert found.p_equivalent == pytest.approx(0.95**300)


def test_verdicts() -> None:
    better, worse = paired(*binary(30, 5, 165), True, margin=0.02), paired(*binary(5, 30, 165), True, margin=0.02)
    equal, unclear = paired(*binary(2, 2, 1996), True, margin=0.02), paired(*binary(6, 5, 39), True, margin=0.02)
    every = [better, worse, equal, unclear]
    said = [verdict(found, by, 0.95, True) for found, by in zip(every, adjusted(every), strict=True)]
    assert said == ["better", "worse", "equivalent", "no difference shown"]
    assert verdict(better, adjusted([better])[0], 0.95, higher_is_better=False) == "worse"


def test_holms_adjustment() -> None:
    assert holm([0.01, 0.04, 0.03]) == [pytest.approx(0.03), pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([]) == []


def test_a_comparison_counts_once_though_it_is_tested_twice() -> None:
    """Of one comparison at most one null hypothesis is true, so the smallest of two comparisons' p values is doubled, not quadrupled."""
    strong, weak = paired(*binary(20, 2, 178), True, margin=0.02), paired(*binary(6, 5, 89), True, margin=0.02)
    assert adjusted([strong, weak])[0].p == pytest.approx(2 * strong.p)


def test_nothing_in_common_is_no_difference() -> None:
    with pytest.raises(ValueError, match="no item"):
        paired(np.array([]), np.array([]), np.array([], dtype=np.int64), True)
