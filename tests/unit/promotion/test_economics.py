"""When something of one's own has paid for itself: the arithmetic against closed forms, and intervals against simulated traffic."""

import numpy as np
import pytest

from freehold.promotion.economics import (
    FURTHEST_MONTHS,
    MONTH_DAYS,
    Estimate,
    Owned,
    Rates,
    Scenario,
    Traffic,
    break_even,
    drawn,
    estimate,
    least_questions,
    month_saving,
    owned_usd,
    paid,
    rates,
    rented_usd,
)

STILL = Scenario()


def now(questions: float = 1_000.0, price: float = 0.01, share: float = 0.8) -> Rates:
    return Rates(np.array([questions]), np.array([price]), np.array([share]))


def even(owned: Owned, scenario: Scenario = STILL, rates: Rates | None = None) -> float:
    return float(break_even(rates or now(), owned, scenario)[0])


def test_a_month_is_the_traffic_of_its_days() -> None:
    traffic = Traffic(np.array([10.0, 30.0]), np.array([5.0, 15.0]), np.array([1.0, 5.0]), days=2.0)
    found = rates(traffic, 0.5)
    assert found.questions[0] == pytest.approx(20 * MONTH_DAYS)
    assert (found.per_question_usd[0], found.share[0]) == (pytest.approx(0.3), 0.5)


def test_with_constant_traffic_and_prices_it_is_even_after_its_cost_by_what_a_month_saves() -> None:
    owned = Owned(fixed_usd=50.0, per_question_usd=0.001, per_month_usd=2.0)
    saving = 1_000 * (0.8 * 0.01 - 0.001) - 2.0
    assert month_saving(now(), owned)[0] == pytest.approx(saving)
    assert even(owned) == pytest.approx(50.0 / saving, rel=1e-9)


@pytest.mark.parametrize("factor", [0.1, 0.5, 1.0, 1.0 + 1e-13, 2.0, 30.0])
def test_what_is_paid_until_then_is_the_integral_of_what_a_month_costs(factor: float) -> None:
    at = np.array([0.0, 0.5, 12.0, 60.0])
    steps = [np.linspace(0, t, 200_001) for t in at]
    summed = [np.trapezoid(factor ** (tau / 12), tau) for tau in steps]
    assert paid(at, factor) == pytest.approx(summed, rel=1e-7)


@pytest.mark.parametrize(("growth", "decline"), [(2.0, 1.0), (1.0, 1.5), (3.0, 10.0), (0.7, 1.0)])
def test_with_growth_and_falling_prices_it_is_even_where_the_sum_of_a_geometric_series_says(growth: float, decline: float) -> None:
    """Saving is s f^(t/12) with f = growth / decline: F = 12 s (f^(t/12) - 1) / ln f, solved for t."""
    fixed, saving, log = 20.0, 8.0, np.log(growth / decline)
    expected = 12 / log * np.log1p(fixed * log / (12 * saving))
    assert even(Owned(fixed_usd=fixed), Scenario(growth, decline)) == pytest.approx(expected, rel=1e-9)


def test_prices_that_fall_too_fast_leave_it_unpaid_for_ever() -> None:
    """All that can ever be saved is 12 s / ln 4 = 69 USD."""
    assert np.isfinite(even(Owned(fixed_usd=69.0), Scenario(price_decline=4.0)))
    assert even(Owned(fixed_usd=70.0), Scenario(price_decline=4.0)) == np.inf


def test_what_saves_nothing_is_never_even_though_it_cost_nothing() -> None:
    assert even(Owned(per_question_usd=0.02)) == np.inf
    assert even(Owned()) == 0.0


def test_a_training_is_paid_again_and_again_and_dearer_every_time() -> None:
    owned = Owned(training_usd=10.0, retrain_months=6.0)
    at = np.array([[0.0, 5.9, 6.0, 12.0, 30.0]])
    nothing = now(questions=0.0)
    assert owned_usd(nothing, owned, STILL, at)[0] == pytest.approx([0, 0, 10, 20, 50])
    dearer = owned_usd(nothing, owned, Scenario(training_growth=4.0), at)[0]
    assert dearer == pytest.approx([0, 0, 20, 60, 20 + 40 + 80 + 160 + 320])


def test_trainings_to_come_put_the_day_off() -> None:
    once = even(Owned(fixed_usd=100.0, training_usd=20.0))
    again = even(Owned(fixed_usd=100.0, training_usd=20.0, retrain_months=12.0))
    assert once == pytest.approx(12.5)
    assert again == pytest.approx(15.0)


def test_what_a_provider_is_paid_for_it_falls_with_rented_prices_and_a_machine_does_not() -> None:
    at = np.array([[12.0]])
    halved = Scenario(price_decline=2.0)
    rented = owned_usd(now(share=1.0), Owned(rented_per_question_usd=0.001), halved, at)[0, 0]
    owned = owned_usd(now(share=1.0), Owned(per_question_usd=0.001), halved, at)[0, 0]
    assert owned == pytest.approx(12.0)
    assert rented == pytest.approx(12.0 * paid(np.array([12.0]), 0.5)[0] / 12)
    assert rented_usd(now(), halved, at)[0, 0] == pytest.approx(10.0 * paid(np.array([12.0]), 0.5)[0])


def test_the_least_traffic_is_the_one_that_is_just_even_in_time() -> None:
    owned = Owned(fixed_usd=500.0, training_usd=30.0, per_question_usd=0.0002, per_month_usd=1.0, retrain_months=5.0)
    scenario = Scenario(growth=1.3, price_decline=1.6, training_growth=2.0)
    least = least_questions(now(), owned, scenario, 18.0)
    assert least is not None
    at = np.array([[18.0]])
    here = now(questions=least)
    assert rented_usd(here, scenario, at)[0, 0] == pytest.approx(owned_usd(here, owned, scenario, at)[0, 0])
    assert least_questions(now(), Owned(fixed_usd=1.0, per_question_usd=0.02), scenario, 18.0) is None


def test_an_unknown_price_gives_no_month() -> None:
    traffic = Traffic(np.ones(20), np.zeros(20), np.zeros(20), days=20.0)
    assert np.isnan(break_even(rates(traffic, 0.5), Owned(fixed_usd=1.0), STILL)[0])


def test_never_is_no_number_in_an_interval() -> None:
    assert estimate(3.0, np.array([2.0, 3.0, np.inf]), 30) == Estimate(value=3.0, interval=(2.0, None))
    assert estimate(np.inf, np.full(9, np.inf), 30) == Estimate(value=None, interval=(None, None))
    assert estimate(3.0, np.array([3.0]), 1) == Estimate(value=3.0, interval=None)


def test_a_seed_gives_the_same_draws_and_another_one_others() -> None:
    traffic = Traffic(np.arange(30.0), np.arange(30.0), np.arange(30.0) / 50, days=30.0)
    first, again, other = (drawn(traffic, 0.4, 200, np.random.default_rng(seed), 50) for seed in (1, 1, 2))
    assert [np.array_equal(a, b) for a, b in zip(first, again, strict=True)] == [True] * 3
    assert not np.array_equal(first.questions, other.questions)


def covered(days: int, unit: str, trials: int) -> float:
    """How often the interval covers the truth: traffic with a weekly course, costs that vary, a share that 300 test rows told."""
    rng, share, fixed = np.random.default_rng(7), 0.6, 30.0
    weekly = np.array([1.2, 1.2, 1.2, 1.2, 1.2, 0.5, 0.5])
    mean_usd = 0.01 * np.exp(0.5 * 0.8**2)
    truth = fixed / (60.0 * MONTH_DAYS * share * mean_usd)
    hits = 0
    for _ in range(trials):
        if unit != "episode":
            asked_U = rng.poisson(60.0 * weekly[np.arange(days) % 7]).astype(float)
            cost_U = np.array([rng.lognormal(np.log(0.01), 0.8, int(n)).sum() for n in asked_U])
        else:
            asked_U = rng.geometric(0.4, rng.poisson(60.0 * days * 0.4)).astype(float)
            cost_U = asked_U * rng.lognormal(np.log(0.01), 0.8, len(asked_U))
        traffic = Traffic(asked_U, asked_U, cost_U, float(days), unit)  # type: ignore[arg-type]
        told = rng.binomial(300, share) / 300
        owned = Owned(fixed_usd=fixed)
        others = drawn(traffic, told, 300, rng, 400)
        point = float(break_even(rates(traffic, told), owned, STILL, 12.0)[0])
        ends = estimate(point, break_even(others, owned, STILL, 12.0), traffic.units).interval
        assert ends is not None and ends[0] is not None
        hits += ends[0] <= truth <= (FURTHEST_MONTHS if ends[1] is None else ends[1])
    return hits / trials


@pytest.mark.parametrize(("days", "unit"), [(14, "day"), (60, "week"), (4, "episode")])
def test_intervals_cover_the_true_day_as_often_as_they_say_300_trials(days: int, unit: str) -> None:
    assert covered(days, unit, 300) >= 0.92
