"""Answers that are probably wrong."""

import random

import numpy as np
from tests.data_sets import WORDS

from freehold.datasets.suspects import suspects

ANSWERS = ("cards", "loans", "fraud")


def test_planted_wrong_answers_are_suspected() -> None:
    """600 texts whose words tell the answer, 30 of them with another one: at least 20 are suspected, and at most 20 others."""
    rng = random.Random(0)
    texts, answers = [], []
    for n in range(600):
        own = WORDS[(n % 3) * 16 : (n % 3) * 16 + 16]
        texts.append(" ".join(rng.choices(own, k=8) + rng.choices(WORDS, k=4)))
        answers.append(ANSWERS[n % 3])
    wrong = set(range(0, 600, 20))
    noisy = [ANSWERS[(n + 1) % 3] if n in wrong else answer for n, answer in enumerate(answers)]
    found = suspects(texts, noisy, np.random.default_rng(0).random(600))
    assert len({one.row for one in found} & wrong) >= 20
    assert len({one.row for one in found} - wrong) <= 20
    assert all(one.suggested == answers[one.row] for one in found if one.row in wrong)


def test_where_nothing_can_be_learnt_nobody_is_suspected() -> None:
    rng = random.Random(1)
    texts = [" ".join(rng.choices(WORDS, k=12)) for _ in range(400)]
    assert suspects(texts, [rng.choice(ANSWERS) for _ in texts], np.random.default_rng(1).random(400)) == []


def test_an_answer_that_few_rows_have_is_not_judged() -> None:
    assert suspects(["a", "b", "c"], ["x", "y", "x"], np.array([0.1, 0.5, 0.9])) == []
