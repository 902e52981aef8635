"""What is known of a text without any download: how it looks, counted plainly, and what it says, hashed."""

import subprocess
import sys

import numpy as np
import pytest

from freehold.errors import CallerError
from freehold.routing.features import DIMS, HEAD_BYTES, SURFACE, SURFACE_DOC, TAIL_BYTES, features, hashed_matrix, surface_scaled


def seen(text: str) -> dict[str, float]:
    return dict(zip(SURFACE, features(text).surface.tolist(), strict=True))


def likeness(one: str, other: str) -> float:
    """Cosine of what two texts say."""
    vectors = np.zeros((2, DIMS), np.float32)
    for row, text in enumerate((one, other)):
        said = features(text)
        vectors[row, said.index] = said.weight
    return float(vectors[0] @ vectors[1])


def test_every_surface_feature_has_a_meaning() -> None:
    assert tuple(SURFACE_DOC) == SURFACE
    assert all(len(meaning) > 3 for meaning in SURFACE_DOC.values())
    assert all(name.isidentifier() for name in SURFACE), "the policy language names them"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", dict.fromkeys(SURFACE, 0)),
        ("Hello there", {"chars": 11, "words": 2, "lines": 1, "mean_word_length": 5, "question": 0, "non_ascii": 0}),
        ("one\ntwo\n\nthree", {"lines": 4, "words": 3}),
        ("Pay 12 of 3.5 euros to A7", {"numbers": 3, "words": 8}),
        ("Why? Really?? No!", {"questions": 3, "exclamations": 1, "question": 1}),
        ("what's my balance", {"question": 1, "questions": 0}),
        ("However, no.", {"question": 0}),
        ("余额是多少？", {"question": 1, "words": 1}),
        ('He said "no" and "no"', {"quotes": 4}),
        ("see https://example.com/a and http://b", {"links": 2}),
        ("and/or, his/her", {"links": 0}),
        ("AbCd", {"uppercase": 0.5, "digits": 0}),
        ("a1b2", {"digits": 0.5, "words": 1, "numbers": 0}),
        ("x = y", {"math": 0.2, "punctuation": 0.2}),
        ("{ab}", {"symbols": 0.5, "punctuation": 0.5}),
        ("Größe", {"chars": 5, "words": 1, "non_ascii": 0.4, "mean_word_length": 5}),
    ],
)
def test_a_text_is_counted_as_a_person_would(text: str, expected: dict[str, float]) -> None:
    found = seen(text)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "is_code"),
    [
        ("Look:\n```\nls\n```\nand that in a text that goes on for a good while without any other sign of code in it at all", 1),
        ("def total(rows):\n    return sum(row['price'] for row in rows if row['price'] >= 0)", 1),
        ("SELECT name FROM cards WHERE lost = 1;", 1),
        ("I lost my card yesterday; what should I do now, and who pays for what was taken?", 0),
        ("The order (no. 1,204) cost $12.50 - or did it?", 0),
    ],
)
def test_code_is_told_from_prose(text: str, is_code: float) -> None:
    assert seen(text)["code"] == is_code


def test_counts_of_a_long_text_are_of_all_of_it() -> None:
    text = "word 7!\n" * 20_000
    found = seen(text)
    assert (found["chars"], found["words"], found["numbers"], found["lines"]) == (160_000, 40_000, 20_000, 20_001)


def test_the_buckets_of_a_text_stand_once_and_in_order_with_length_one() -> None:
    said = features("the cat and the dog and the cat again")
    assert np.all(np.diff(said.index) > 0)
    assert said.index.dtype == np.int32
    assert 0 <= said.index[0] <= said.index[-1] < DIMS
    assert float(said.weight @ said.weight) == pytest.approx(1.0, abs=1e-6)


def test_a_bucket_weighs_the_root_of_its_share() -> None:
    """Nine of the ten entries of "aaaaaaaa" stand for its 3-grams: "aaa" six times, three more at the edges, and its one word."""
    squares = np.sort(features("aaaaaaaa").weight.astype(float) ** 2)
    assert squares == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.6], abs=1e-6)


def test_case_does_not_matter_beyond_ascii_either() -> None:
    assert likeness("MY CARD", "my card") == pytest.approx(1.0)
    assert likeness("ÜBER GRÖSSE", "über grösse") == pytest.approx(1.0)
    assert likeness("ПРИВЕТ", "привет") == pytest.approx(1.0)


def test_a_letter_whose_lower_case_is_longer_is_no_trouble() -> None:
    """İ has two bytes and i̇ three; the text then keeps its length and its words."""
    assert seen("İstanbul İ 7") | {"chars": 12, "words": 3, "numbers": 1} == seen("İstanbul İ 7")


def test_texts_of_one_meaning_are_more_alike_than_others() -> None:
    card = "I lost my card on the train"
    assert likeness(card, "my card was lost on a train") > 0.5 > 0.3 > likeness(card, "what is the exchange rate today?")


def test_a_word_counts_wherever_it_stands() -> None:
    """Same first four letters, same bucket, whatever stands around."""
    shared = [set(features(text).index.tolist()) for text in ("transfer", "a transfer,", "the transformer: 9")]
    words_and_grams_of_tran = shared[0] & shared[1] & shared[2]
    assert len(words_and_grams_of_tran) >= 4  # " tr", "tra", "ran" and the word


def test_of_a_long_text_the_beginning_and_the_end_are_read() -> None:
    begin, end = "alpha beta " * (HEAD_BYTES // 11 + 1), "gamma delta " * (TAIL_BYTES // 12 + 1)
    one, other = (begin + middle * 5_000 + end for middle in ("left out ", "not seen "))
    assert np.array_equal(features(one).index, features(other).index)
    assert np.array_equal(features(one).weight, features(other).weight)
    assert likeness(one, begin) > 0.5
    assert likeness(one, end) > 0.2


def test_rows_learnt_from_are_the_rows_served() -> None:
    texts = ["my card", "", "a transfer of 12 €", "x" * 30_000]
    surface_NS, indptr, indices, weights = hashed_matrix(texts)
    assert surface_NS.shape == (4, len(SURFACE))
    for n, text in enumerate(texts):
        single = features(text)
        row = slice(int(indptr[n]), int(indptr[n + 1]))
        assert np.array_equal(surface_NS[n], single.surface)
        assert np.array_equal(indices[row], single.index)
        assert np.array_equal(weights[row], single.weight)


def test_no_texts_are_no_rows() -> None:
    surface_NS, indptr, indices, weights = hashed_matrix([])
    assert (surface_NS.shape, indptr.tolist(), len(indices), len(weights)) == ((0, len(SURFACE)), [0], 0, 0)


def test_fewer_buckets_hold_the_same_text() -> None:
    assert features("my card", 16).index.max() < 16


@pytest.mark.parametrize("dims", [0, 1, 1000, -8, 2**25])
def test_a_number_of_buckets_that_is_no_power_of_two_is_refused(dims: int) -> None:
    with pytest.raises(CallerError, match="power of two"):
        features("my card", dims)


def test_for_learning_large_counts_are_brought_near() -> None:
    scaled = surface_scaled(np.array([[0.0, 9.0, 999.0]], np.float32))
    assert scaled[0].tolist() == pytest.approx([0.0, np.log(10), np.log(1000)])


def test_a_worker_gets_features_without_heavy_packages() -> None:
    """Scikit-learn alone would make a worker 150 MB larger and 1.5 s slower to start."""
    program = (
        "import sys, freehold.routing.features, freehold.routing.embed, freehold.routing.onnx;"
        "print([p for p in ('scipy', 'sklearn', 'pandas', 'pyarrow', 'onnxruntime', 'tokenizers') if p in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"
