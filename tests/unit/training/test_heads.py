"""Heads: linear classifiers from recorded answers, with a confidence that means what it says."""

import numpy as np
import pytest

from freehold.errors import TrainingError
from freehold.promotion.fit import folds
from freehold.routing.head import Head
from freehold.training.heads import MOST_ANSWERS, fit_head, is_learnable
from simulated import FRONTIER, a_task

PAIRS = a_task(900, (FRONTIER,))
LABELS = [PAIRS.answers[a] for a in PAIRS.truth_N]


@pytest.fixture(scope="module")
def fitted() -> tuple[Head, np.ndarray]:
    """A head of six topics, and what it says out of fold of the first 600 messages."""
    return fit_head(PAIRS.texts[:600], LABELS[:600], folds(np.arange(600), 0))


def test_what_it_was_taught_it_says_of_new_messages(fitted: tuple[Head, np.ndarray]) -> None:
    head, _ = fitted
    said = [head.answer(text)[0] for text in PAIRS.texts[600:]]
    assert np.mean([answer == label for answer, label in zip(said, LABELS[600:], strict=True)]) > 0.85


def test_out_of_fold_it_is_as_good_as_on_new_messages(fitted: tuple[Head, np.ndarray]) -> None:
    head, oof_NC = fitted
    known = np.mean([head.answers[c] == label for c, label in zip(oof_NC.argmax(axis=1), LABELS[:600], strict=True)])
    new = np.mean([head.answer(text)[0] == label for text, label in zip(PAIRS.texts[600:], LABELS[600:], strict=True)])
    assert known == pytest.approx(new, abs=0.05)


def test_its_confidence_is_how_often_it_is_right(fitted: tuple[Head, np.ndarray]) -> None:
    head, _ = fitted
    probability_NC = head.probabilities(PAIRS.texts[600:])
    is_right_N = np.array([head.answers[c] == label for c, label in zip(probability_NC.argmax(axis=1), LABELS[600:], strict=True)])
    confidence_N = probability_NC.max(axis=1)
    assert confidence_N.mean() == pytest.approx(is_right_N.mean(), abs=0.05)
    assert is_right_N[confidence_N > 0.9].mean() > is_right_N[confidence_N <= 0.9].mean()


def test_the_same_data_gives_the_same_head(fitted: tuple[Head, np.ndarray]) -> None:
    head, oof_NC = fitted
    again, again_NC = fit_head(PAIRS.texts[:600], LABELS[:600], folds(np.arange(600), 0))
    assert (again.coef_BC == head.coef_BC).all()
    assert (again_NC == oof_NC).all()


def test_two_answers_are_enough_and_one_is_not() -> None:
    texts, labels = PAIRS.texts[:100], ["hard" if label > "topic 3" else "easy" for label in LABELS[:100]]
    head, oof_NC = fit_head(texts, labels, folds(np.arange(100), 0))
    assert head.answers == ("easy", "hard")
    assert oof_NC.shape == (100, 2)
    with pytest.raises(TrainingError, match="two distinct answers"):
        fit_head(texts, ["easy"] * 100, folds(np.arange(100), 0))


def test_answers_may_be_any_json() -> None:
    labels = [{"queue": label, "urgent": False} for label in LABELS[:300]]
    head, _ = fit_head(PAIRS.texts[:300], labels, folds(np.arange(300), 0))
    assert head.answer(PAIRS.texts[0])[0] in labels


def test_an_answer_that_a_fold_lacks_and_one_that_stands_once_break_nothing() -> None:
    labels = [*LABELS[:199], "once"]
    head, oof_NC = fit_head(PAIRS.texts[:200], labels, folds(np.arange(200), 0))
    assert "once" in head.answers
    assert oof_NC.sum(axis=1) == pytest.approx(np.ones(200))


def test_a_fold_of_one_answer_alone_breaks_nothing() -> None:
    labels = ["a"] * 50 + ["b"] * 50
    _, oof_NC = fit_head(PAIRS.texts[:100], labels, np.repeat([0, 1], 50))
    assert np.isfinite(oof_NC).all()


def test_what_is_worth_fitting() -> None:
    assert is_learnable(["a", "b"] * 3)
    assert not is_learnable(["a"] * 100)
    assert not is_learnable([str(n) for n in range(100)])
    assert not is_learnable([str(n % (MOST_ANSWERS + 1)) for n in range(10_000)])
    assert not is_learnable([])
