"""An alarm learns what is usual, goes off once when that falls, and stops when it is over."""

import numpy as np

from freehold.evaluation.alarm import Alarm, Rule


def coins(seed: int, mean: float, count: int) -> list[float]:
    return (np.random.default_rng(seed).random(count) < mean).astype(float).tolist()


def test_it_goes_off_once_and_stops_once() -> None:
    alarm, changes = Alarm().with_scores(coins(1, 0.9, 500) + coins(2, 0.6, 1000) + coins(3, 0.9, 500))
    assert [change.phase for change in changes] == ["raised", "watching"]
    raised, over = changes
    assert 500 < raised.n < 650 and 1500 < over.n < 1700
    assert alarm.phase == "watching"


def test_its_level_is_a_lower_bound_of_what_it_learnt_from() -> None:
    alarm, _ = Alarm().with_scores(coins(1, 0.9, 100))
    assert alarm.phase == "watching" and 0.7 < alarm.level < 0.9


def test_a_given_level_is_not_learnt() -> None:
    alarm, changes = Alarm(rule=Rule(level=0.8)).with_scores(coins(1, 0.4, 100))
    assert alarm.level == 0.8 and [change.phase for change in changes] == ["raised"]


def test_it_is_silent_on_steady_streams() -> None:
    """50 streams of 1,000 scores each."""
    assert sum(len(Alarm().with_scores(coins(seed, 0.8, 1000))[1]) for seed in range(50)) == 0


def test_it_does_not_flicker_while_quality_is_low() -> None:
    changes = [Alarm(rule=Rule(level=0.8)).with_scores(coins(seed, 0.7, 1500))[1] for seed in range(30)]
    assert all([change.phase for change in each] == ["raised"] for each in changes)


def test_going_on_from_a_kept_alarm_gives_the_same() -> None:
    scores = coins(1, 0.9, 300) + coins(2, 0.5, 100)
    first, early = Alarm().with_scores(scores[:250])
    again, late = first.with_scores(scores[250:])
    assert (again, early + late) == Alarm().with_scores(scores)
