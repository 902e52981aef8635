"""Which texts have most to do with a question."""

import math

from freehold.context.likeness import bm25, words


def test_a_text_scores_by_the_formula() -> None:
    """One rare word, once in a text of mean length: its weight alone."""
    assert bm25("Rome", ["from rome here", "a b c", "d e f"])[0] == math.log(1 + 2.5 / 1.5)


def test_rare_words_count_more_than_frequent_ones() -> None:
    scores = bm25("Is the card blocked?", ["the hotel is full", "the bus is late", "the card is lost"])
    assert scores[2] > scores[1] == scores[0] > 0
    assert bm25("nothing of this", ["x", "y"]) == [0, 0]


def test_there_may_be_nothing_to_compare() -> None:
    assert bm25("a", []) == []
    assert bm25("a", ["", "..."]) == [0, 0]
    assert bm25("", ["a"]) == [0]


def test_scripts_without_spaces_are_read_letter_by_letter() -> None:
    assert words("Karte 卡 丢了x") == ["karte", "卡", "丢", "了", "x"]
