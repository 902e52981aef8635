"""A confidence sequence holds at all times at once, and an alarm's false alarms are as rare as it says."""

import numpy as np
import pytest

from freehold.evaluation.sequence import Detector, Mean


@pytest.mark.parametrize("mean", [0.1, 0.5, 0.95])
def test_an_interval_misses_the_mean_at_any_of_600_moments_no_more_often_than_alpha(mean: float) -> None:
    """100 streams of 600 coins at alpha 0.1, looked at after every 12; 10 misses are allowed on average, 19 are 3 standard errors more."""
    rng, missed = np.random.default_rng(1), 0
    for _ in range(100):
        state = Mean(alpha=0.1)
        for some in np.split((rng.random(600) < mean).astype(float), 50):
            state = state.with_scores(some)
            low, high = state.interval()
            if not low <= mean <= high:
                missed += 1
                break
    assert missed <= 19


def test_an_interval_narrows_as_the_square_root_of_the_number() -> None:
    scores = np.random.default_rng(2).beta(8, 2, 4000)
    early = Mean(alpha=0.05).with_scores(scores[:400])
    late = early.with_scores(scores[400:])
    widths = [high - low for low, high in (early.interval(), late.interval())]
    assert widths[0] < 0.13 and widths[1] < widths[0] / 2.2


def test_a_bound_on_one_side_is_nearer_while_there_are_few_scores() -> None:
    state = Mean(alpha=0.05).with_scores((np.random.default_rng(3).random(100) < 0.9).astype(float))
    low, high = state.interval()
    assert low < state.lower() <= 0.9 <= high


@pytest.mark.parametrize("bound", ["interval", "lower"])
def test_an_interval_holds_for_the_mean_so_far_while_quality_falls(bound: str) -> None:
    """100 streams that fall from 0.95 to 0.5 in the middle; what was ever so good is what a lower bound speaks of."""
    rng, missed = np.random.default_rng(9), 0
    mean_T = np.r_[np.full(300, 0.95), np.full(300, 0.5)]
    for _ in range(100):
        scores, state = (rng.random(600) < mean_T).astype(float), Mean(alpha=0.1)
        for end in range(20, 601, 20):
            state = state.with_scores(scores[end - 20 : end])
            low, high = state.interval()
            held = low <= mean_T[:end].mean() <= high if bound == "interval" else state.lower() <= 0.95
            if not held:
                missed += 1
                break
    assert missed <= 19


def test_going_on_from_a_kept_state_gives_the_same_to_the_last_bit() -> None:
    rng = np.random.default_rng(4)
    scores, weights = rng.random(100).tolist(), (1 / rng.uniform(0.1, 1.0, 100)).tolist()
    whole = Mean(alpha=0.05).with_scores(scores, weights)
    parts = Mean(alpha=0.05)
    for n in (0, 1, 37, 60):
        end = {0: 1, 1: 37, 37: 60, 60: 100}[n]
        parts = parts.with_scores(scores[n:end], weights[n:end])
    assert parts == whole


def test_the_estimate_follows_the_traffic_and_not_the_sample() -> None:
    """Half of the traffic is good and looked at rarely, half is bad and looked at always."""
    state = Mean(alpha=0.05).with_scores([1.0] * 10 + [0.0] * 100, [10.0] * 10 + [1.0] * 100)
    assert state.mean == pytest.approx(0.5)


def test_a_weighted_interval_holds_when_probabilities_change_with_the_traffic() -> None:
    rng, missed = np.random.default_rng(5), 0
    for _ in range(200):
        state = Mean(alpha=0.1)
        for chance in (1.0, 0.05, 0.3, 0.1):
            scores = (rng.random(100) < 0.8).astype(float)
            state = state.with_scores(scores, [1 / chance] * 100)
            low, high = state.interval()
            if not low <= 0.8 <= high:
                missed += 1
                break
    assert missed <= 33


def test_a_score_outside_the_range_is_refused() -> None:
    with pytest.raises(ValueError, match="a score of 1.5"):
        Mean(alpha=0.05).with_scores([1.5])


def test_nothing_is_claimed_before_the_first_score() -> None:
    state = Mean(alpha=0.05)
    assert (state.mean, state.interval(), state.lower()) == (None, (0.0, 1.0), 0.0)


def _first(detector: Detector, scores: np.ndarray, threshold: float) -> int | None:
    for n, score in enumerate(scores, start=1):
        detector = detector.with_score(float(score))
        if detector.evidence >= threshold:
            return n
    return None


@pytest.mark.parametrize("finds", ["fall", "rise"])
def test_false_alarms_are_as_rare_as_the_threshold_says(finds: str) -> None:
    """40 streams at the very level, where false alarms are most frequent: the mean run length is at least the threshold."""
    rng = np.random.default_rng(6)
    lengths = [_first(Detector(level=0.7, finds=finds), rng.random(4000) < 0.7, 200.0) or 4000 for _ in range(40)]
    assert np.mean(lengths) >= 200.0


def test_a_fall_by_ten_points_is_found_within_200_scores_half_of_the_time() -> None:
    rng = np.random.default_rng(7)
    found = [_first(Detector(level=0.98, finds="fall"), rng.random(2000) < 0.88, 10_000.0) or 2000 for _ in range(40)]
    assert np.median(found) < 200


def test_a_detector_of_rises_is_silent_while_things_fall() -> None:
    assert _first(Detector(level=0.7, finds="rise"), np.random.default_rng(8).random(2000) < 0.5, 100.0) is None
