"""Evaluation texts are found in what is to be trained on."""

import random

from tests.data_sets import a_question

from freehold.datasets.contamination import Evaluation, Evaluations, shingled
from freehold.datasets.words import shingles_of, words_of

RNG = random.Random(0)
EXAM = [a_question(RNG, 40) for _ in range(50)]


def held(rows: list[str], exam: list[str] = EXAM, share: float = 0.5) -> dict[int, float]:
    evaluations = Evaluations([Evaluation("exam", shingled(exam))])
    return {one.row: one.share for one in evaluations.held(shingles_of(words_of(rows)), share)}


def test_the_same_words_are_found_whatever_the_case_and_however_few() -> None:
    assert held([EXAM[0].upper(), "something else"]) == {0: 1.0}
    assert held(["Yes", "no"], exam=["yes"]) == {0: 1.0}


def test_a_text_within_a_longer_one_is_found() -> None:
    """However long the row is, and wherever the text stands in it."""
    around = a_question(random.Random(1), 5_000)
    assert held([f"{around} {EXAM[3]} {around}"]) == {0: 1.0}


def test_a_part_is_found_from_the_share_on() -> None:
    half = " ".join(EXAM[4].split()[:30])
    assert held([half], share=0.5)[0] >= 0.5
    assert held([half], share=0.9) == {}


def test_other_texts_of_the_same_words_are_not() -> None:
    rng = random.Random(2)
    assert held([a_question(rng, 60) for _ in range(500)]) == {}


def test_a_short_text_within_a_longer_one_is_no_evidence() -> None:
    assert held(["I have lost my card and need another"], exam=["lost my card"]) == {}


def test_runs_that_many_evaluation_texts_share_tell_nothing() -> None:
    """A greeting that stands above a hundred questions is in every row that has it, too."""
    greeting = "thank you for calling us today how may we help you with your account"
    exam = [f"{greeting} {text}" for text in (a_question(random.Random(n), 4) for n in range(100))]
    assert held([f"{greeting} with quite another matter"], exam=exam, share=0.3) == {}


def test_a_text_that_is_in_several_sets_counts_once() -> None:
    """Or the second build of a data set would see other texts as boilerplate than the first."""
    many = [Evaluation(f"copy {n}", shingled(EXAM)) for n in range(100)]
    found = Evaluations(many).held(shingles_of(words_of([f"before {EXAM[7]} behind"])), 0.5)
    assert [(one.row, one.share) for one in found] == [(0, 1.0)]


def test_nothing_is_held_where_there_is_nothing_to_hold() -> None:
    assert Evaluations(()).held(shingles_of(words_of(["a text"])), 0.5) == []
    assert held([""]) == {}
