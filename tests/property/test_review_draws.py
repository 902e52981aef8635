"""Items chosen by a rule still prove: estimates from them are without bias, and certificates hold, although a rule looks where losses are likely.

Traffic is simulated with a rule that sees which items are hard; what is known of each trial is exactly what a queue keeps.
"""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from freehold.evaluation.bounds import bets_of
from freehold.feedback.chance import chances, unit
from freehold.promotion.judge import weights
from freehold.promotion.walk import Exam, Losses, walk
from simulated import a_task

Floats = NDArray[np.float64]

DELTA = EPSILON = 0.05
N, SIZE, EXPLORE = 2_000, 400, 0.25


def is_within(violations: int, trials: int) -> bool:
    """Whether so many violations are what δ allows."""
    return bool(binom.sf(violations - 1, trials, DELTA) > 0.001)


def traffic(rng: np.random.Generator, mean: float, hard_share: float, n: int = N) -> tuple[Floats, Floats]:
    """Losses of n items whose mean is `mean` in expectation, and what a rule makes of each: harms and gains are where it says, mostly."""
    hard_N = rng.random(n) < hard_share
    harm, gain = 0.35, 0.35 - (mean - 0.01) / hard_share  # the hard part's mean is (mean - .01)/share; an easy item loses .01/(1-share)
    draw_N = rng.random(n)
    easy = 0.01 / (1 - hard_share)
    loss_N = np.where(hard_N, np.where(draw_N < harm, 1.0, np.where(draw_N > 1 - gain, -1.0, 0.0)), (draw_N < easy).astype(float))
    return loss_N, np.where(hard_N, math.sqrt(harm + gain), math.sqrt(easy))


def drawn(
    rng: np.random.Generator, worth_N: Floats, size: float = SIZE, explore: float = EXPLORE
) -> tuple[NDArray[np.bool_], Floats, float]:
    """Which items a queue draws, the probability of each, and the floor that was written down."""
    found = chances(worth_N.tolist(), size, explore)
    p_N = np.array(found.of)
    return rng.random(len(p_N)) < p_N, p_N, found.floor


@settings(deadline=None)
@given(
    worth=st.lists(st.floats(0, 100), min_size=1, max_size=80),
    size=st.floats(0.5, 90),
    explore=st.floats(0, 1),
)
def test_probabilities_sum_to_the_size_and_none_is_below_the_floor(worth: list[float], size: float, explore: float) -> None:
    """Whatever items are worth: at most 1 each, more worth is never less probable, and the sum is the size, or all items of any worth."""
    found = chances(worth, size, explore)
    assert all(found.floor - 1e-9 <= p <= 1 for p in found.of)
    ordered = [p for _, p in sorted(zip(worth, found.of, strict=True))]
    assert all(one <= other + 1e-9 for one, other in pairwise(ordered))
    reachable = len(worth) if explore > 0 or not sum(worth) else sum(each > 0 for each in worth)
    if all(each == 0 or each > 1e-6 for each in worth) and (explore == 0 or explore > 1e-6):
        assert math.isclose(sum(found.of), min(size, reachable), rel_tol=1e-6)


def test_places_are_uniform_and_the_same_each_time() -> None:
    """20,000 items: their mean and spread are those of a uniform draw."""
    place_N = np.array([unit("t", "task", "correct", f"i{n}") for n in range(20_000)])
    assert abs(place_N.mean() - 0.5) < 4 / math.sqrt(12 * 20_000)
    assert abs((place_N < 0.1).mean() - 0.1) < 4 * math.sqrt(0.09 / 20_000)
    assert unit("t", "task", "correct", "i7") == place_N[7]


def test_estimates_from_chosen_labels_are_unbiased_and_those_that_forget_the_choice_are_not_2000_trials() -> None:
    """Horvitz and Thompson's estimate of the mean loss, whatever the rule: within 3.5 standard errors of the mean of all items."""
    rng = np.random.default_rng(0)
    loss_N, worth_N = traffic(rng, 0.03, 0.2)
    weighed, plain = [], []
    for _ in range(2000):
        is_drawn_N, p_N, _ = drawn(rng, worth_N)
        weighed.append((loss_N[is_drawn_N] / p_N[is_drawn_N]).sum() / N)
        plain.append(loss_N[is_drawn_N].mean())
    error = np.std(weighed) / math.sqrt(2000)
    assert abs(np.mean(weighed) - loss_N.mean()) < 3.5 * error
    assert abs(np.mean(plain) - loss_N.mean()) > 20 * np.std(plain) / math.sqrt(2000)


def test_two_queues_together_draw_each_item_with_the_greater_of_its_probabilities_4000_trials() -> None:
    """Both go by the items' places: an item is in one of them exactly as often as the likelier of the two would draw it."""
    first = chances([1.0, 2.0, 4.0, 8.0, 1.0], 2, 0.25)
    second = chances([5.0, 1.0, 1.0, 1.0, 1.0], 2, 0.25)
    times_N = np.zeros(5)
    for trial in range(4000):
        for n in range(5):
            at = unit("t", f"task {trial}", "m", f"i{n}")
            times_N[n] += at < first.of[n] or at < second.of[n]
    p_N = np.maximum(first.of, second.of)
    assert np.all(np.abs(times_N / 4000 - p_N) < 4 * np.sqrt(p_N * (1 - p_N) / 4000) + 1e-9)


PAIRS = a_task(2)


def weighed(p_N: Floats, floor: float) -> Floats | None:
    """What `certify` weighs labels of these probabilities by."""
    return weights(replace(PAIRS, inclusion_N=p_N, least_inclusion=floor), np.ones(len(p_N), dtype=bool), "audit")


def passed(rng: np.random.Generator, mean: float, hard_share: float, knows_floor: bool = True, **about: Any) -> bool:
    """Whether a policy of this mean loss is certified by labels that a rule chose, weighed as `certify` weighs them."""
    loss_N, worth_N = traffic(rng, mean, hard_share)
    is_drawn_N, p_N, floor = drawn(rng, worth_N, **about)
    loss_N, p_N = loss_N[is_drawn_N], p_N[is_drawn_N]
    weight_N = weighed(p_N, floor if knows_floor else math.nan)
    assert weight_N is not None
    exam = Exam(EPSILON, False, 1, (bets_of(0.6),), 0)
    return walk(Losses(loss_N[None], np.arange(len(loss_N)), weight_N), exam, DELTA).passed == 1


def test_certificates_from_chosen_labels_hold_at_the_edge_300_trials() -> None:
    rng = np.random.default_rng(1)
    assert is_within(sum(passed(rng, EPSILON + 1e-4, 0.2) for _ in range(300)), 300)


def test_chosen_labels_certify_what_loses_little_60_trials() -> None:
    """A bound that never lets anything through would hold too."""
    rng = np.random.default_rng(2)
    assert sum(passed(rng, 0.0, 0.1, size=800) for _ in range(60)) > 50


RARE, SELDOM, MANY = 0.06, 0.002, 1_000
"""A kind of item that is drawn so seldom that most draws hold none of it, and where all harm is done."""


def rare_stratum(rng: np.random.Generator, knows_floor: bool) -> bool:
    is_rare_N = rng.random(MANY) < RARE
    loss_N = np.where(is_rare_N, (rng.random(MANY) < (EPSILON + 1e-4) / RARE).astype(float), 0.0)
    p_N = np.where(is_rare_N, SELDOM, 0.4)
    is_drawn_N = rng.random(MANY) < p_N
    weight_N = weighed(p_N[is_drawn_N], SELDOM if knows_floor else math.nan)
    exam = Exam(EPSILON, False, 1, (bets_of(0.99),), 0)
    return walk(Losses(loss_N[is_drawn_N][None], np.arange(int(is_drawn_N.sum())), weight_N), exam, DELTA).passed == 1


def test_what_was_hardly_ever_drawn_counts_although_none_of_it_was_300_trials() -> None:
    """The floor is what bets are scaled by: where no rare item came up, the others count for little."""
    rng = np.random.default_rng(3)
    assert is_within(sum(rare_stratum(rng, knows_floor=True) for _ in range(300)), 300)


def test_warning_scaled_by_the_least_probability_that_came_up_such_draws_certify_what_is_not_so_300_trials() -> None:
    """Why the floor is written down. This is the mistake, kept to show its size."""
    rng = np.random.default_rng(3)
    assert sum(rare_stratum(rng, knows_floor=False) for _ in range(300)) > 150


@pytest.mark.parametrize("hard_share", [0.1, 0.3])
def test_a_rule_narrows_the_estimate_where_losses_sit_in_a_part_of_the_traffic_500_trials(hard_share: float) -> None:
    """The spread of the estimate at the same expected number of labels, against a draw that looks at nothing."""
    rng = np.random.default_rng(4)
    loss_N, worth_N = traffic(rng, 0.03, hard_share)
    by_rule, by_chance = [], []
    for _ in range(500):
        for worth, found in ((worth_N, by_rule), (np.ones(N), by_chance)):
            is_drawn_N, p_N, _ = drawn(rng, worth)
            found.append((loss_N[is_drawn_N] / p_N[is_drawn_N]).sum() / N)
    assert np.std(by_rule) < 0.8 * np.std(by_chance)
