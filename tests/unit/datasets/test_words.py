"""Texts as hashes: words, runs of words, near duplicates and languages."""

import random

import numpy as np
import pytest
from tests.data_sets import WORDS, a_question

from freehold.datasets.language import language_of
from freehold.datasets.near import Near, jaccard, near_duplicates, signatures
from freehold.datasets.words import keys_of, shingles_of, words_of


def similarity(one: str, other: str) -> float:
    """Jaccard similarity of runs of three words, by sets."""
    a, b = ({tuple(text.split()[n : n + 3]) for n in range(len(text.split()) - 2)} for text in (one, other))
    return len(a & b) / len(a | b)


def found(texts: list[str], threshold: float = 0.8, among: list[int] | None = None) -> list[Near]:
    shingles = shingles_of(words_of(texts))
    ends = [0, *shingles.end_N.tolist()]
    codes = np.array(among or [0] * len(texts), dtype=np.int64)
    return near_duplicates(signatures(shingles), codes, threshold, lambda n: set(shingles.hash_S[ends[n] : ends[n + 1]].tolist()))


def test_words_are_the_same_wherever_they_stand() -> None:
    words = words_of(["Hello, World", "world", "a \N{LEFT DOUBLE QUOTATION MARK}hello\N{RIGHT DOUBLE QUOTATION MARK}", "日本 語", ""])
    assert words.end_N.tolist() == [3, 4, 8, 11, 11]
    hello, comma, world = words.hash_W[:3].tolist()
    assert words.hash_W[3] == world
    assert words.hash_W[6] == hello
    assert len({hello, comma, world}) == 3


def test_hashes_do_not_depend_on_what_stands_beside() -> None:
    texts = [a_question(random.Random(n), 400) for n in range(300)]
    together = words_of(texts)
    alone = [words_of([text]).hash_W for text in texts]
    assert np.array_equal(together.hash_W, np.concatenate(alone))
    assert np.array_equal(keys_of(texts), np.concatenate([keys_of([text]) for text in texts]))


def test_a_text_of_fewer_than_three_words_is_one_run() -> None:
    assert shingles_of(words_of(["one", "one two", "one two three", "one two three four", ""])).end_N.tolist() == [1, 2, 3, 5, 5]


def test_an_estimate_of_similarity_is_right_on_average() -> None:
    """Over 400 pairs the mean error of the signatures' agreement is below 0.01, and four of 1,000 candidates at 0.8 are missed."""
    rng = random.Random(1)
    errors = []
    for _ in range(400):
        text = a_question(rng, 100)
        other = " ".join(rng.choice(WORDS) if rng.random() < 0.05 else word for word in text.split())
        signature = signatures(shingles_of(words_of([text, other])))
        errors.append(float((signature[0] == signature[1]).mean()) - similarity(text, other))
    assert abs(float(np.mean(errors))) < 0.01


def test_planted_near_duplicates_are_found_and_nothing_else() -> None:
    """2,000 texts, each with a copy in which some words were replaced: at least 98 % of the pairs at 0.8 or more are found, and every pair
    that is found is at 0.8 or more by sets."""
    rng = random.Random(2)
    texts = [f"{n} " + a_question(rng, 60) for n in range(2_000)]
    copies = [" ".join(rng.choice(WORDS) if rng.random() < 0.03 else word for word in text.split()) for text in texts]
    alike = {n + 2_000 for n in range(2_000) if similarity(texts[n], copies[n]) >= 0.8}
    gone = found(texts + copies)
    assert all(similarity((texts + copies)[near.row], (texts + copies)[near.of]) == pytest.approx(near.similarity) for near in gone)
    assert len({near.row for near in gone} & alike) >= 0.98 * len(alike) > 1_000


def test_what_goes_is_like_something_that_stays() -> None:
    """A chain of texts, each near the next: the ends are not near each other, and one that is near only to what went is kept."""
    words = a_question(random.Random(3), 60).split()
    chain = [" ".join([*words[step * 3 :], *(f"new{n}" for n in range(step * 3))]) for step in range(6)]
    gone = {near.row: near.of for near in found(chain)}
    assert gone
    assert all(of not in gone for of in gone.values())


def test_texts_of_different_kinds_are_not_compared() -> None:
    text = a_question(random.Random(4))
    assert [near.row for near in found([text, text, text], among=[0, 1, 0])] == [2]


def test_a_large_bucket_is_compared_with_its_first() -> None:
    """Many copies of one text cost no square of their number."""
    text = a_question(random.Random(5))
    assert {near.of for near in found([text] * 3_000)} == {0}


def test_two_sets_without_anything_are_alike() -> None:
    assert jaccard(set(), set()) == 1.0


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I would like to know what the limit of my card is", "en"),
        ("Ich möchte wissen, wie hoch das Limit von meiner Karte ist", "de"),
        ("Je voudrais savoir quelle est la limite de ma carte, pour ne pas être surpris", "fr"),
        ("Quisiera saber cuál es el límite de mi tarjeta, por favor, que no lo encuentro", "es"),
        ("Мне нужно знать, какой лимит у моей карты и что делать", "ru"),
        ("请问我的银行卡的限额是多少", "zh"),
        ("カードの限度額を教えてください", "ja"),
        ("내 카드 한도가 얼마인지 알고 싶어요", "ko"),
        ("ما هو حد بطاقتي", "ar"),
        ("SELECT x FROM y", "und"),
        ("", "und"),
    ],
)
def test_a_language_is_told_by_script_and_stop_words(text: str, language: str) -> None:
    assert language_of([text]) == [language]
