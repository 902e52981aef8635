"""Dawid and Skene's model, on simulated reviewers whose truth is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from freehold.errors import DataError
from freehold.feedback.reliability import Reliability, reliability

Floats = NDArray[np.float64]


def verdicts(rng: np.random.Generator, accuracy: list[float], items: int, classes: int = 2, k: int | None = None) -> tuple[Floats, Floats]:
    """Truths, and what reviewers of such accuracy say; each item goes to `k` of them."""
    truth = rng.integers(0, classes, size=items)
    wrong = (truth[:, None] + rng.integers(1, classes, size=(items, len(accuracy)))) % classes
    said = np.where(rng.random((items, len(accuracy))) < accuracy, truth[:, None], wrong).astype(float)
    if k is not None:
        asked = np.argsort(rng.random(said.shape), axis=1) < k
        said[~asked] = np.nan
    return truth.astype(float), said


def measured(said: Floats, known: Floats | None = None, draws: int = 100) -> Reliability:
    return reliability(said, np.random.default_rng(0), draws, known_N=known)


def vote(said: Floats) -> Floats:
    """What most say; of equals, the least."""
    values = np.unique(said[~np.isnan(said)])
    return values[np.argmax([(said == value).sum(axis=1) for value in values], axis=0)]


def test_the_careless_reviewer_is_ranked_last() -> None:
    """Three judge 200 items each, two of accuracy .92 and .85, one who guesses: in 60 of 60 trials the guesser is last, with a skill below .3,
    and the best has .7 on average."""
    rng, skills = np.random.default_rng(1), []
    for _trial in range(60):
        _truth, said = verdicts(rng, [0.92, 0.5, 0.85], 200)
        found = measured(said, draws=10).reviewers
        assert min(found, key=lambda each: each.accuracy.value or 0).column == 1
        assert found[1].skill < 0.3
        skills.append(found[0].skill)
    assert np.mean(skills) > 0.7


def test_it_beats_the_vote_where_most_are_careless() -> None:
    """One of .95 and four of .6: over 40 trials of 300 items the vote is right on fewer items than the model, by 5 points at least."""
    rng = np.random.default_rng(2)
    ahead = []
    for _trial in range(40):
        truth, said = verdicts(rng, [0.95, 0.6, 0.6, 0.6, 0.6], 300)
        ahead.append((np.array(measured(said, draws=10).truth()) == truth).mean() - (vote(said) == truth).mean())
    assert np.mean(ahead) > 0.05


def test_with_three_of_eight_reviewers_for_each_item_accuracies_are_recovered() -> None:
    """Eight reviewers from .55 to .97, 600 items of 3 classes, each judged by 3 of them: within 5 points on average, and never 15 off."""
    rng = np.random.default_rng(3)
    accuracy = [0.97, 0.93, 0.9, 0.85, 0.8, 0.75, 0.65, 0.55]
    truth, said = verdicts(rng, accuracy, 600, classes=3, k=3)
    found = measured(said)
    off = [abs((each.accuracy.value or 0) - right) for each, right in zip(found.reviewers, accuracy, strict=True)]
    assert np.mean(off) < 0.05
    assert max(off) < 0.15
    assert (np.array(found.truth()) == truth).mean() >= (vote(said) == truth).mean()


def test_intervals_of_accuracy_hold_it() -> None:
    """Over 40 trials of 4 reviewers and 150 items, the 95 % intervals hold the accuracy in at least 90 % of 160 cases."""
    rng = np.random.default_rng(4)
    accuracy, held = [0.95, 0.85, 0.75, 0.6], 0
    for _trial in range(40):
        _truth, said = verdicts(rng, accuracy, 150)
        for each, right in zip(reliability(said, rng, 200).reviewers, accuracy, strict=True):
            assert each.accuracy.low is not None
            assert each.accuracy.high is not None
            held += each.accuracy.low <= right <= each.accuracy.high
    assert held >= 144


def test_errors_that_go_one_way_are_seen() -> None:
    """Who takes every second 1 for a 0, and never a 0 for a 1, has a table that says so."""
    rng = np.random.default_rng(5)
    truth, said = verdicts(rng, [0.95, 0.95, 0.95], 500)
    said[:, 2] = np.where((truth == 1) & (rng.random(500) < 0.5), 0, truth)
    table = measured(said).reviewers[2].confusion
    assert table[0][1] < 0.05
    assert 0.4 < table[1][0] < 0.6


def test_who_always_says_one_thing_has_no_skill() -> None:
    """Though it is right on four of five items."""
    rng = np.random.default_rng(6)
    truth = (rng.random(300) < 0.8).astype(float)
    said = np.column_stack([np.where(rng.random(300) < 0.95, truth, 1 - truth) for _ in range(2)] + [np.ones(300)])
    lazy = measured(said).reviewers[2]
    assert lazy.accuracy.value == pytest.approx(0.8, abs=0.07)
    assert lazy.skill < 0.05


def test_gold_tells_who_is_right_where_two_disagree() -> None:
    """Two reviewers alone cannot be told apart; thirty items of known truth tell."""
    rng = np.random.default_rng(7)
    truth, said = verdicts(rng, [0.95, 0.55], 200)
    known = np.where(np.arange(200) < 30, truth, np.nan)
    with_gold = measured(said, known)
    good, bad = with_gold.reviewers
    assert (good.accuracy.low or 0) > (bad.accuracy.value or 1)
    assert np.array(with_gold.truth())[:30].tolist() == truth[:30].tolist()


def test_the_vote_decides_where_nothing_else_can() -> None:
    """All agree on each item: the truth is what they say, and each is trusted, though not without end."""
    truth = np.array([0.0, 1.0, 2.0] * 5)
    found = measured(np.column_stack([truth] * 3))
    assert found.truth() == tuple(truth)
    assert all(0.85 < (each.accuracy.value or 0) < 1 for each in found.reviewers)
    assert all((each.accuracy.low or 0) < 0.9 for each in found.reviewers)


def test_an_item_nobody_judged_is_as_probable_as_the_prior_says() -> None:
    """And a reviewer who said nothing is not there."""
    rng = np.random.default_rng(8)
    _truth, said = verdicts(rng, [0.9, 0.9, 0.9], 50)
    said[7] = np.nan
    found = measured(np.column_stack([said, np.full(50, np.nan)]))
    assert found.posterior[7] == pytest.approx(found.prior)
    assert [each.column for each in found.reviewers] == [0, 1, 2]


def test_the_same_verdicts_give_the_same_answer() -> None:
    """To the last digit."""
    _truth, said = verdicts(np.random.default_rng(9), [0.9, 0.7, 0.8], 100, classes=4)
    assert measured(said) == measured(said)


@pytest.mark.parametrize("said", [np.full((3, 2), np.nan), np.random.default_rng(0).normal(size=(200, 2))])
def test_what_are_no_verdicts_is_refused(said: Floats) -> None:
    """Nothing said, and measurements."""
    with pytest.raises(DataError, match="no classes"):
        measured(said)
