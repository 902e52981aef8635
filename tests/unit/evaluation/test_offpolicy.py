"""Estimates from logged propensities are unbiased, their intervals cover, and there is none where the log says too little."""

import numpy as np
import pytest

from freehold.evaluation.offpolicy import Log, Refused, Value, mean_of, value_of

RIGHT = np.array([0.9, 0.6])
"""How often each of two variants is right where the first feature is 0; where it is 1, the second is always right."""


def draw(seed: int, count: int, floor: float = 0.2, group: int = 1, shadow: bool = False) -> tuple[Log, np.ndarray, float]:
    """A log, what a target would choose (the second variant where the feature is 1), and what that is truly worth."""
    rng = np.random.default_rng(seed)
    kind_N = np.repeat(rng.integers(0, 2, -(-count // group)), group)[:count]
    right_NV = np.where(kind_N[:, None] == 1, np.array([0.3, 1.0]), RIGHT)
    outcome_NV = (np.repeat(rng.random((-(-count // group), 2)), group, axis=0)[:count] < right_NV).astype(float)
    target_N = kind_N.astype(np.int64)
    decision_M, variant_M, propensity_M = np.arange(count), (rng.random(count) < floor).astype(np.int64), np.full(count, floor)
    propensity_M[variant_M == 0] = 1 - floor
    if shadow:
        explored = np.flatnonzero(rng.random(count) < floor)
        decision_M = np.r_[np.arange(count), explored]
        variant_M = np.r_[np.zeros(count, np.int64), np.ones(len(explored), np.int64)]
        propensity_M = np.r_[np.ones(count), np.full(len(explored), floor)]
    log = Log(
        unit_N=np.arange(count) // group,
        weight_N=np.ones(count),
        x_NF=np.column_stack([kind_N, rng.normal(size=(count, 3))]).astype(float),
        decision_M=decision_M,
        variant_M=variant_M,
        propensity_M=propensity_M,
        value_M=outcome_NV[decision_M, variant_M],
    )
    return log, target_N, 0.5 * 0.9 + 0.5 * 1.0


def covered(name: str, values: list[Value], truth: float) -> int:
    return sum(getattr(value, name).low <= truth <= getattr(value, name).high for value in values)


@pytest.mark.parametrize("shadow", [False, True])
def test_every_estimator_is_unbiased_and_its_interval_covers(shadow: bool) -> None:
    """200 logs of 800 decisions; of 95 % intervals 180 is 3 standard errors below 190."""
    drawn = [draw(seed, 800, shadow=shadow) for seed in range(200)]
    values = [value_of(log, target, 2) for log, target, _ in drawn]
    for name in ("ips", "snips", "dr"):
        mean = np.mean([getattr(value, name).value for value in values])
        assert mean == pytest.approx(0.95, abs=0.006)
        assert covered(name, values, 0.95) >= 180


def test_weighing_and_a_model_of_outcomes_are_worth_a_third_of_the_error() -> None:
    values = [value_of(*draw(seed, 800)[:2], 2) for seed in range(60)]
    spread = {name: np.std([getattr(value, name).value for value in values]) for name in ("ips", "snips", "dr")}
    assert max(spread["dr"], spread["snips"]) < spread["ips"] * 2 / 3


def test_groups_are_the_units_of_an_interval() -> None:
    """100 logs of 100 groups of ten questions that are answered alike."""
    values = [value_of(*draw(seed, 2000, floor=0.5, group=10)[:2], 2) for seed in range(100)]
    assert covered("dr", values, 0.95) >= 88
    assert all(value.units == 200 and value.effective <= 200 for value in values)


def test_a_log_that_was_drawn_unevenly_speaks_for_the_traffic() -> None:
    log, target, _ = draw(1, 4000)
    is_second = log.x_NF[:, 0] == 1
    keep = ~is_second | (np.arange(4000) % 4 == 0)
    place = np.cumsum(keep) - 1
    kept_M = keep[log.decision_M]
    sample = Log(
        unit_N=log.unit_N[keep],
        weight_N=np.where(is_second, 4.0, 1.0)[keep],
        x_NF=log.x_NF[keep],
        decision_M=place[log.decision_M[kept_M]],
        variant_M=log.variant_M[kept_M],
        propensity_M=log.propensity_M[kept_M],
        value_M=log.value_M[kept_M],
    )
    whole, of_sample = value_of(log, target, 2), value_of(sample, target[keep], 2)
    assert of_sample.dr.value == pytest.approx(whole.dr.value, abs=0.02)
    assert of_sample.overlap == pytest.approx(1.0, abs=0.15)


def test_too_small_an_effective_sample_is_refused_with_its_size() -> None:
    log, target, _ = draw(1, 150, floor=0.05)
    with pytest.raises(Refused, match=r"worth \d+ independent ones; an estimate takes 100") as refusal:
        value_of(log, target, 2)
    assert 0 < refusal.value.effective < 100


def test_what_the_log_could_not_have_shown_is_refused() -> None:
    log, _, _ = draw(1, 2000)
    never = np.where(log.x_NF[:, 0] == 1, 2, 0)
    with pytest.raises(Refused, match="could have shown about") as refusal:
        value_of(log, never, 3)
    assert refusal.value.overlap == pytest.approx(0.5, abs=0.05)


def test_a_target_that_is_what_was_done_is_the_mean_of_what_came_of_it() -> None:
    log, _, _ = draw(2, 500, shadow=True)
    value = value_of(log, np.zeros(500, np.int64), 2)
    plain = mean_of(log.value_M[:500], log.unit_N, log.weight_N)
    assert (value.snips, value.overlap, value.effective) == (plain, 1.0, pytest.approx(500))
    assert value.ips == plain and value.dr.value == pytest.approx(plain.value)


def test_the_same_seed_gives_the_same_estimate() -> None:
    log, target, _ = draw(3, 400)
    assert value_of(log, target, 2, seed=4) == value_of(log, target, 2, seed=4)
