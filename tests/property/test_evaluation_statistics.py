"""The statistics of evaluations by simulation: how often intervals hold the truth, and how often a verdict is false.

Every share is of 1,000 draws unless a test says otherwise; at a true 95 % their standard error is 0.7 points.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from freehold.evaluation.difference import paired
from freehold.evaluation.interval import mean_interval
from freehold.evaluation.multiplicity import adjusted, verdict

Floats: TypeAlias = NDArray[np.float64]
Rng: TypeAlias = np.random.Generator
DRAWS = 1000


def right_or_wrong(rng: Rng, n: int, rate: float) -> tuple[Floats, NDArray[np.int64]]:
    return (rng.random(n) < rate).astype(float), np.arange(n)


def in_groups(rng: Rng, groups: int, rate: float) -> tuple[Floats, NDArray[np.int64]]:
    """Groups of five items on average, whose items have a correlation of 0.3."""
    sizes = 1 + rng.poisson(4, groups)
    spread = (1 - 0.3) / 0.3
    of_group = rng.beta(rate * spread, (1 - rate) * spread, groups)
    code = np.repeat(np.arange(groups), sizes)
    return (rng.random(len(code)) < of_group[code]).astype(float), code


def mostly_right(rng: Rng, n: int, rate: float) -> tuple[Floats, NDArray[np.int64]]:
    """Bounded scores: 1, but for a few of 0.4."""
    return np.where(rng.random(n) < (1 - rate) / 0.6, 0.4, 1.0), np.arange(n)


def covered(draw: Callable[[Rng, int, float], tuple[Floats, NDArray[np.int64]]], n: int, rate: float, is_binary: bool) -> float:
    rng = np.random.default_rng(n)
    found = [mean_interval(*draw(rng, n, rate), is_binary) for _ in range(DRAWS)]
    return float(np.mean([one.low <= rate <= one.high for one in found]))


@pytest.mark.parametrize("rate", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("n", [20, 200])
def test_exact_intervals_hold_the_truth(n: int, rate: float) -> None:
    assert covered(right_or_wrong, n, rate, True) >= 0.94


@pytest.mark.parametrize(("groups", "rate"), [(15, 0.5), (15, 0.9), (60, 0.5), (60, 0.9)])
def test_intervals_by_group_hold_the_truth_where_items_depend_on_each_other(groups: int, rate: float) -> None:
    assert covered(in_groups, groups, rate, True) >= 0.93


def test_an_interval_over_items_would_not() -> None:
    """The same items taken for independent: what counting groups is for."""
    share = covered(lambda rng, n, rate: (lambda found: (found[0], np.arange(len(found[0]))))(in_groups(rng, n, rate)), 60, 0.5, True)
    assert share < 0.87


@pytest.mark.parametrize("n", [15, 60])
def test_intervals_of_skewed_bounded_scores_hold_the_truth(n: int) -> None:
    assert covered(mostly_right, n, 0.94, False) >= 0.94


def pairs(rng: Rng, n: int, gains: float, losses: float) -> tuple[Floats, Floats]:
    u, alike = rng.random(n), (rng.random(n) < 0.7).astype(float)
    first = np.where(u < gains, 1.0, np.where(u < gains + losses, 0.0, alike))
    second = np.where(u < gains, 0.0, np.where(u < gains + losses, 1.0, alike))
    return first, second


@pytest.mark.parametrize(("gains", "losses"), [(0.1, 0.1), (0.15, 0.05), (0.02, 0.02)])
@pytest.mark.parametrize("n", [30, 200])
def test_intervals_of_differences_hold_the_truth(n: int, gains: float, losses: float) -> None:
    rng = np.random.default_rng(n)
    found = [paired(*pairs(rng, n, gains, losses), np.arange(n), True) for _ in range(DRAWS)]
    assert np.mean([one.low <= gains - losses <= one.high for one in found]) >= 0.94
    if gains == losses:
        assert np.mean([one.p <= 0.05 for one in found]) <= 0.05 + 0.014


def test_differences_by_group_hold_the_truth() -> None:
    """80 groups of four items on average that change together."""
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(DRAWS):
        sizes = 1 + rng.poisson(3, 80)
        code = np.repeat(np.arange(80), sizes)
        first, second = pairs(rng, 80, 0.15, 0.05)
        found = paired(first[code], second[code], code, True)
        inside.append(found.low <= 0.1 <= found.high)
    assert np.mean(inside) >= 0.93


@pytest.mark.parametrize("is_binary", [True, False])
def test_of_variants_that_are_alike_hardly_any_set_of_comparisons_has_a_false_verdict(is_binary: bool) -> None:
    """Fifteen comparisons of six variants that are alike, in 500 draws: one of them is called better or worse in at most 5 % (and chance)."""
    rng = np.random.default_rng(7)
    false = 0
    for _ in range(500):
        base = rng.beta(5, 2, 100)
        scores = [(rng.random(100) < base).astype(float) if is_binary else np.clip(base + rng.normal(0, 0.1, 100), 0, 1) for _ in range(6)]
        found = [paired(scores[i], scores[j], np.arange(100), is_binary, margin=0.02) for i in range(6) for j in range(i)]
        false += any(verdict(one, by, 0.95, True) in ("better", "worse") for one, by in zip(found, adjusted(found), strict=True))
    assert false / 500 <= 0.05 + 0.02


def test_variants_that_differ_by_the_margin_are_hardly_ever_called_equivalent() -> None:
    """The worst case for it: a true difference of exactly the margin, in 2,000 items, of five comparisons at once, 300 draws."""
    rng = np.random.default_rng(8)
    false = 0
    for _ in range(300):
        found = [paired(*pairs(rng, 2000, 0.04, 0.02), np.arange(2000), True, margin=0.02) for _ in range(5)]
        false += any(verdict(one, by, 0.95, True) == "equivalent" for one, by in zip(found, adjusted(found), strict=True))
    assert false / 300 <= 0.05 + 0.025
