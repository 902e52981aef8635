"""A scorer as bytes: the same arrays come back, equal scorers are equal bytes, and nothing else is taken for one."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save

from freehold.errors import DataError
from freehold.routing.artefact import dump, load, policy_hash
from freehold.routing.embed import HashedEmbedder
from freehold.routing.features import SURFACE
from freehold.routing.head import Head
from freehold.routing.online import OnlinePolicy
from freehold.routing.predict import AnyPredictor, Blend, Constant, Difficulty, Kernel, Linear, Neighbours, Regions
from freehold.routing.program import parse
from freehold.routing.scorer import HeadScore, Scorer

RNG = np.random.default_rng(0)
BUCKETS, DIMS = 64, 4
FEATURES = len(SURFACE) + DIMS
LINE = Linear(RNG.normal(size=FEATURES), np.ones(FEATURES), RNG.normal(size=(FEATURES, 1)), np.array([0.1]))
NEAR = Neighbours(len(SURFACE), RNG.normal(size=(5, DIMS)).astype(np.float32), RNG.random((5, 1)), np.array([0.2]), 0.1)
SMOOTH = Kernel(
    np.zeros(len(SURFACE)), np.ones(len(SURFACE)), RNG.normal(size=(4, FEATURES)).astype(np.float32), RNG.random((4, 1)), np.array([0.2])
)
KINDS: dict[str, AnyPredictor | None] = {
    "none": None,
    "constant": Constant(np.array([0.1])),
    "linear": LINE,
    "neighbours": NEAR,
    "regions": Regions(len(SURFACE), RNG.normal(size=(3, DIMS)).astype(np.float32), RNG.random((3, 1))),
    "difficulty": Difficulty(replace(LINE), np.array([1.1]), np.array([-0.1])),
    "kernel": SMOOTH,
    "blend": Blend(SMOOTH, NEAR),
}
HEAD = Head(
    ("cards", {"queue": "other", "urgent": True, "ids": [1, 2]}, None),
    np.ones(BUCKETS, np.float32),
    RNG.normal(size=(BUCKETS, 3)).astype(np.float32),
    np.zeros(3, np.float32),
    0.7,
)


def scorer(predictor: AnyPredictor | None = LINE, head: Head | None = None) -> Scorer:
    """A scorer of three variants."""
    return Scorer(
        variants=("frontier", "cheap", "head"),
        embedder=HashedEmbedder(np.ones(BUCKETS, np.float32), np.arange(BUCKETS * DIMS, dtype=np.float32).reshape(BUCKETS, DIMS)),
        predictor=predictor,
        predicted=(1,) if predictor is not None else (),
        head=None if head is None else HeadScore(head, np.array([0.2, 0.9]), np.array([0.5, 0.0])),
        head_column=-1 if head is None else 2,
        cost_V2=np.array([[1e-3, 0], [1e-4, 1e-6], [0, 0]]),
        cost_range_V2=np.array([[1e-3, 1e-3], [1e-4, 2e-4], [0, 0]]),
        latency_V=np.array([1.0, np.nan, 0.0]),
        centroid_KD=np.eye(2, DIMS, dtype=np.float32),
        region_names=("card lost", "ünïcode"),
    )


def test_one_whose_text_a_network_reads_is_not_quick() -> None:
    class Slow:
        name, dims = "slow", DIMS

        def embed(self, texts: Any) -> Any:
            raise NotImplementedError

    assert scorer(head=HEAD).is_quick and OnlinePolicy("", parse("task t otherwise use frontier"), None).is_quick
    for slow in (replace(scorer(), embedder=Slow()), scorer(head=replace(HEAD, embedder=Slow()))):
        assert not slow.is_quick
        assert not OnlinePolicy("", parse("task t otherwise use frontier"), slow).is_quick


def same(one: Any, other: Any) -> bool:
    """Whether two records hold the same."""
    if is_dataclass(one):
        return type(one) is type(other) and all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other) and type(one) is type(other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", [None, HEAD])
def test_every_kind_of_scorer_comes_back_as_it_went(kind: str, head: Head | None) -> None:
    made = scorer(KINDS[kind], head)
    assert same(load(dump(made)), made)


@pytest.mark.parametrize("kind", KINDS)
def test_equal_scorers_are_equal_bytes(kind: str) -> None:
    assert len({dump(scorer(KINDS[kind], HEAD)) for _ in range(20)}) == 1
    assert dump(load(dump(scorer(KINDS[kind], HEAD)))) == dump(scorer(KINDS[kind], HEAD))


def test_a_changed_array_is_other_bytes() -> None:
    made = scorer()
    assert dump(replace(made, latency_V=made.latency_V + 1)) != dump(made)


def test_no_code_travels_with_it() -> None:
    assert b"pickle" not in dump(scorer(head=HEAD))
    assert dump(scorer())[8:9] == b"{"


WHOLE = dump(scorer(head=HEAD))


@pytest.mark.parametrize("data", [b"", b"x" * 100, WHOLE[:50], WHOLE[:-8], b"\xff" * 8 + WHOLE[8:], save({"a": np.zeros(3)})], ids=range(6))
def test_what_is_no_scorer_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="not a scorer"):
        load(data)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"format": "freehold-scorer-99", "tree": {}}, "freehold-scorer-99"),
        ({"format": "freehold-scorer-1", "tree": {"value": 3}}, "holds something else"),
        ({"format": "freehold-scorer-1", "tree": {"record": "Popen", "fields": {}}}, "not a scorer"),
        ({"format": "freehold-scorer-1", "tree": {"array": "gone"}}, "not a scorer"),
        ({"format": "freehold-scorer-1", "tree": {"record": "Constant", "fields": {}}}, "not a scorer"),
    ],
)
def test_a_file_of_another_format_or_with_other_records_is_refused(about: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(save({"a": np.zeros(1)}, metadata={"freehold": msgspec.json.encode(about).decode()}))


def test_a_policys_hash_is_of_program_and_arrays() -> None:
    assert len({policy_hash("p", "a"), policy_hash("p", "b"), policy_hash("q", "a"), policy_hash("pa", ""), policy_hash("", "pa")}) == 5
