"""A calibration says what a judge does to scores: bias, by variant too, order, kin, and how far it agrees with people."""

from datetime import UTC, datetime

import numpy as np
import pytest

from freehold.errors import DataError
from freehold.evaluation.calibrate import About, Calibration, Pair, calibrate
from freehold.evaluation.calibrated import family

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
ABOUT = About("judge:quality", "triage", "correct", "0" * 16, "cheap")


def made(seed: int, count: int = 200, bias: float = 0.1, kin_bias: float = 0.0, noise: float = 0.1) -> Calibration:
    rng = np.random.default_rng(seed)
    pairs = []
    for n in range(count):
        human, is_kin = float(rng.random()), n % 2 == 0
        judge = human * 0.5 + bias + kin_bias * is_kin + noise * float(rng.random() - 0.5)
        pairs.append(Pair(f"g{n // 4}", "mine" if is_kin else "theirs", judge, human, is_kin))
    return calibrate(ABOUT, pairs, [], seed, NOON)


def test_intervals_of_bias_and_self_preference_hold_the_truth() -> None:
    """40 simulated judges that score half of people's score plus 0.1, their own kin 0.15 higher: 0.85 is three standard errors below 95 %."""
    found = [made(seed, count=100, kin_bias=0.15) for seed in range(40)]
    truth = 0.1 - 0.25 + 0.075
    assert np.mean([one.bias.low <= truth <= one.bias.high for one in found]) >= 0.85
    kin = [one.self_preference for one in found if one.self_preference is not None]
    assert len(kin) == 40 and np.mean([one.low <= 0.15 <= one.high for one in kin]) >= 0.85


def test_a_judge_without_kin_among_the_answers_has_no_self_preference() -> None:
    pairs = [Pair(f"g{n}", "theirs", n / 20, n / 20, False) for n in range(20)]
    found = calibrate(ABOUT, pairs, [], 0, NOON)
    assert found.self_preference is None and found.order is None and found.bias.value == 0
    assert found.correlation is not None and found.correlation.value == pytest.approx(1) and found.agreement.alpha.value == pytest.approx(1)


def test_the_order_effect_is_how_much_oftener_than_half_the_first_wins() -> None:
    """Ten pairs on which the first always wins, ten that are judged alike in both orders."""
    pairs = [Pair(f"g{n}", "v", 1.0, 1.0, False) for n in range(20)]
    order = calibrate(ABOUT, pairs, [(1.0, 0.0)] * 10 + [(1.0, 1.0)] * 10, 0, NOON).order
    assert order is not None and (order.pairs, order.first.value, order.changed.value) == (20, 0.25, 0.5)
    assert order.first.low < 0.25 < order.first.high


def test_fewer_than_ten_answers_are_no_calibration() -> None:
    with pytest.raises(DataError, match="9 answers of task 'triage' have a score of 'judge:quality' and people's of 'correct'"):
        calibrate(ABOUT, [Pair("g", "v", 1.0, 1.0, False)] * 9, [], 0, NOON)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("gpt-5-mini", "gpt"), ("openai/gpt-4o", "gpt"), ("claude-x", "claude"), ("meta-llama/Llama-3", "llama"), ("4o", "")],
)
def test_a_family_is_how_a_models_name_begins(name: str, wanted: str) -> None:
    assert family(name) == wanted
