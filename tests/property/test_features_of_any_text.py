"""Whatever the text, its features are numbers, the same each time, and the same alone as among others."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.routing.features import SURFACE, features, hashed_matrix, surface_scaled

SHARES = [SURFACE.index(name) for name in ("digits", "uppercase", "punctuation", "symbols", "math", "non_ascii")]
FLAGS = [SURFACE.index(name) for name in ("question", "code")]

any_text = st.text(st.characters(codec=None), max_size=400) | st.text(st.sampled_from("aB1 \n.?{=\x00é余İ\ud800\U0001f600"), max_size=60)
long_text = st.tuples(any_text, st.integers(0, 2000)).map(lambda pair: pair[0] * pair[1])
few = settings(max_examples=150, deadline=None)


@given(any_text | long_text, st.integers(1, 20))
@few
def test_any_text_has_finite_features(text: str, bits: int) -> None:
    found = features(text, 2**bits)
    assert np.all(np.isfinite(found.surface))
    assert np.all(found.surface >= 0)
    assert found.surface[SURFACE.index("chars")] == len(text)
    assert np.all(found.surface[SHARES] <= 1 + 1e-6)
    assert set(found.surface[FLAGS].tolist()) <= {0.0, 1.0}
    assert np.all(np.isfinite(surface_scaled(found.surface)))


@given(any_text | long_text, st.integers(1, 20))
@few
def test_any_text_has_buckets_in_order_and_length_one(text: str, bits: int) -> None:
    found = features(text, 2**bits)
    assert len(found.index) == len(found.weight) > 0
    assert np.all(np.diff(found.index) > 0)
    assert 0 <= found.index[0] <= found.index[-1] < 2**bits
    assert np.all(found.weight > 0)
    assert abs(float(found.weight.astype(float) @ found.weight) - 1) < 1e-4


@given(st.lists(any_text, max_size=8))
@few
def test_a_text_has_the_same_features_alone_as_among_others(texts: list[str]) -> None:
    surface_NS, indptr, indices, weights = hashed_matrix(texts)
    assert len(surface_NS) == len(indptr) - 1 == len(texts)
    for n, text in enumerate(texts):
        alone, row = features(text), slice(int(indptr[n]), int(indptr[n + 1]))
        assert surface_NS[n].tobytes() == alone.surface.tobytes()
        assert indices[row].tobytes() == alone.index.tobytes()
        assert weights[row].tobytes() == alone.weight.tobytes()
