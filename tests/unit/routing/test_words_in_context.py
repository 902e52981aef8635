"""Words of a text and what is known of them."""

import numpy as np

from freehold.routing.words import word_features, words


def test_words_are_runs_of_letters_and_digits_and_other_signs_alone() -> None:
    text = "Bordeaux, 6pm @ 5:30 – ça va?"
    assert [text[word.start : word.end] for word in words(text)] == ["Bordeaux", ",", "6pm", "@", "5", ":", "30", "–", "ça", "va", "?"]
    assert words("  \n") == []


def test_features_are_the_same_each_time_and_see_three_words_around() -> None:
    one, other = "a table for 4 on friday night please", "a table for 4 on friday night thanks"
    first, second = word_features(one, words(one)), word_features(other, words(other))
    assert np.array_equal(first, word_features(one, words(one)))
    same = [np.array_equal(first[t], second[t]) for t in range(8)]
    assert same == [True] * 4 + [False] * 4


def test_each_kind_of_feature_has_hashes_of_its_own() -> None:
    """One word alone, whose beginning, end and itself are the same letters."""
    (features,) = word_features("ab", words("ab"))
    assert len(set(features.tolist())) == len(features)


def test_any_text_has_features() -> None:
    for text in ("\ud800 half", "日本 語", "🙂🙂", "a" * 5000):
        assert word_features(text, words(text)).dtype == np.uint32
