"""Texts become places: like texts lie near each other, and the same text always at the same place."""

from pathlib import Path

import numpy as np
import pytest

from freehold.errors import OperatorError, TrainingError
from freehold.routing.embed import HashedEmbedder, load_embedder
from freehold.routing.features import features
from freehold.training.project import fit_hashed_embedder

TOPICS = {
    "card": ["I lost my card", "my card was stolen", "where is my new card", "the card is lost again", "block my stolen card"],
    "rate": ["what is the exchange rate", "is the rate of exchange good", "exchange rate for euros", "euro rate today", "rate for dollars"],
    "top up": ["my top up failed", "the top up was declined", "topping up does not work", "why did my top up fail", "top up is pending"],
}
TEXTS = [text for texts in TOPICS.values() for text in texts]


@pytest.fixture(scope="module")
def embedder() -> HashedEmbedder:
    return fit_hashed_embedder(TEXTS, dims=8, seed=0)


def test_vectors_have_length_one(embedder: HashedEmbedder) -> None:
    vectors_ND = embedder.embed(TEXTS)
    assert vectors_ND.shape == (15, embedder.dims) == (15, 8)
    assert vectors_ND.dtype == np.float32
    assert np.linalg.norm(vectors_ND, axis=1) == pytest.approx(np.ones(15), abs=1e-6)


def test_texts_of_one_topic_lie_nearer_than_others(embedder: HashedEmbedder) -> None:
    vectors_ND = embedder.embed(TEXTS)
    topic_N = np.repeat(np.arange(3), 5)
    likeness_NN = vectors_ND @ vectors_ND.T
    same_NN = topic_N[:, None] == topic_N
    assert likeness_NN[same_NN].mean() > likeness_NN[~same_NN].mean() + 0.3


def test_a_text_lies_where_it_lies_alone(embedder: HashedEmbedder) -> None:
    together = embedder.embed(TEXTS)
    assert np.array_equal(together, np.concatenate([embedder.embed([text]) for text in TEXTS]))
    assert np.array_equal(together[3], embedder.project(features(TEXTS[3])))


def test_a_text_that_says_nothing_known_lies_nowhere(embedder: HashedEmbedder) -> None:
    vector_D = HashedEmbedder(np.zeros_like(embedder.idf_B), embedder.projection_BD).embed(["quartz"])[0]
    assert vector_D.tolist() == [0.0] * 8


def test_no_texts_have_no_vectors(embedder: HashedEmbedder) -> None:
    assert embedder.embed([]).shape == (0, 8)


def test_its_name_tells_its_content(embedder: HashedEmbedder) -> None:
    again, other = fit_hashed_embedder(TEXTS, dims=8, seed=0), fit_hashed_embedder(TEXTS[1:], dims=8, seed=0)
    assert embedder.name == again.name != other.name
    assert embedder.name.startswith("hashed-8@")


def test_few_texts_span_few_dimensions() -> None:
    assert fit_hashed_embedder(TEXTS[:4], dims=64).dims == 3
    assert fit_hashed_embedder(TEXTS[:1], dims=64).dims == 1


def test_nothing_can_be_learnt_from_no_texts() -> None:
    with pytest.raises(TrainingError, match="needs texts"):
        fit_hashed_embedder([])


def test_a_folder_without_an_embedder_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="freehold embedder build"):
        load_embedder(tmp_path)
