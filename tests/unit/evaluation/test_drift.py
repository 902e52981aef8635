"""Inputs that change are noticed, and inputs that do not are not, however often one looks."""

import numpy as np
import pytest

from freehold.evaluation.drift import carried, compare, evidence_of


def points(rng: np.random.Generator, count: int, shift: float = 0.0) -> np.ndarray:
    return (rng.normal(size=(count, 8)) + np.r_[shift, np.zeros(7)]).astype(np.float32)


def test_p_values_of_samples_drawn_alike_are_uniform() -> None:
    """200 comparisons with 99 permutations: of a true null, a tenth lies at or below 0.1."""
    rng = np.random.default_rng(1)
    p = [compare(points(rng, 40), points(rng, 20), seed, 99).p for seed in range(200)]
    assert 8 <= sum(value <= 0.1 for value in p) <= 34
    assert 0.4 < np.mean(p) < 0.6


def test_a_shift_is_found() -> None:
    rng = np.random.default_rng(2)
    found = compare(points(rng, 200), points(rng, 60, 1.0), 0)
    assert found.p == 1 / 2000 and found.distance > 0.01


def test_the_same_seed_gives_the_same_p() -> None:
    rng = np.random.default_rng(3)
    before, now = points(rng, 50), points(rng, 20, 0.3)
    assert compare(before, now, 7) == compare(before, now, 7)


def test_inputs_that_are_all_the_same_say_nothing() -> None:
    assert compare(np.ones((30, 4), np.float32), np.ones((20, 4), np.float32), 0, 99).p == 1.0


def test_evidence_is_a_fair_bet() -> None:
    """Its mean over the 2,000 p-values there are, all equally likely, is at most 1."""
    assert np.mean([evidence_of(n / 2000) for n in range(1, 2001)]) <= 1.0
    assert evidence_of(1 / 2000) > 30 and evidence_of(0.5) < 1


def test_repeated_looks_rarely_add_up_to_an_alarm_while_nothing_changes() -> None:
    """20 streams of 30 looks each at a threshold of 100 looks: 6 false alarms on average at most; 13 would be 3 standard errors."""
    rng, alarms = np.random.default_rng(4), 0
    for _ in range(20):
        seen, evidence = points(rng, 50), 0.0
        for look in range(30):
            now = points(rng, 30)
            sample = seen[rng.permutation(len(seen))[:100]]
            evidence = carried(evidence, compare(sample, now, look, 199).p)
            seen = np.vstack([seen, now])
            if evidence >= 100.0:
                alarms += 1
                break
    assert alarms <= 12


@pytest.mark.parametrize("p", [0.0005, 0.01])
def test_two_telling_looks_are_worth_their_product(p: float) -> None:
    assert carried(carried(0.0, p), p) == pytest.approx(evidence_of(p) ** 2)
