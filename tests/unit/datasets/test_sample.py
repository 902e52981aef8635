"""Which recorded items are drawn to be put to a variant, and how far it has come through them."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from freehold.catalog import AGREEMENT, Catalog, Metric, Task
from freehold.datasets.load import Loaded, load_pairs, usable
from freehold.datasets.sample import draw, items_of
from freehold.feedback.population import LabelRequest, population
from freehold.journal.call import Call
from freehold.journal.samples import Sample, keep_sample, reached, samples_of
from freehold.journal.write import append_many
from freehold.store.open import Store

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SAME = Metric(id=AGREEMENT, kind="binary", deterministic=True)


def calls(items: Any, variant: str = "frontier", **fields: Any) -> list[Call]:
    """Calls of one variant, one for each item."""
    known: dict[str, Any] = {"output": "yes"} if fields.get("outcome", "answered") == "answered" else {}
    known |= {"task": "triage", "variant": variant, "at": NOON, "shape": "0"}
    return [Call(**known | {"id": f"{variant} {n}", "item": f"i{n:04}", "input": f"about {n}"} | fields) for n in items]


def drawn(store: Store, size: int, seed: int = 0, answered_by: str | None = None) -> Sample:
    return draw(store, "default", "triage", answered_by, size, seed, NOON).sample


def put(store: Store, size: int, *variants: str) -> Sample:
    """Draws a sample and keeps it for these variants."""
    sample = drawn(store, size)
    keep_sample(store, "default", "triage", variants, sample)
    return sample


def numbers(items: tuple[str, ...]) -> list[int]:
    return [int(item[1:]) for item in items]


# What is drawn


def test_the_same_seed_draws_the_same_and_a_larger_sample_begins_with_a_smaller_one(store: Store) -> None:
    append_many(store, calls(range(100)))
    small, large = drawn(store, 10), drawn(store, 30)
    assert large.items[:10] == small.items == drawn(store, 10).items
    assert (small.inclusion, large.inclusion) == (0.1, 0.3)
    assert drawn(store, 10, seed=1).items != small.items


def test_every_item_is_drawn_as_often_as_any_other_400_seeds(store: Store) -> None:
    append_many(store, calls(range(20)))
    times = np.zeros(20)
    for seed in range(400):
        times[numbers(drawn(store, 5, seed).items)] += 1
    assert times.sum() == 2000
    assert np.abs(times - 100).max() < 4.5 * np.sqrt(400 * 0.25 * 0.75)


def test_an_item_counts_once_however_often_it_was_asked_and_only_where_its_question_is_kept(store: Store) -> None:
    again = [Call(id=f"again {n}", task="triage", variant="frontier", item="i0000", input="about 0", output="no") for n in range(50)]
    append_many(store, [*calls(range(4)), *again, *calls([7], input=None, output_digest="d")])
    found = draw(store, "default", "triage", None, 100, 0, NOON)
    assert (found.frame, sorted(found.sample.items), found.sample.inclusion) == (4, [f"i{n:04}" for n in range(4)], 1.0)


def test_the_frame_may_be_what_one_variant_answered(store: Store) -> None:
    append_many(store, [*calls(range(3)), *calls(range(10, 15), "cheap"), *calls([20], outcome="failed")])
    assert sorted(numbers(drawn(store, 100, answered_by="frontier").items)) == [0, 1, 2]


def test_what_was_refused_is_not_asked_again_and_what_failed_is(store: Store) -> None:
    append_many(store, calls(range(3)))
    sample = drawn(store, 3)
    append_many(store, [*calls([0], "cheap"), *calls([1], "cheap", outcome="refused"), *calls([2], "cheap", outcome="failed")])
    items = items_of(store, "default", "triage", sample, "frontier", ("cheap",))
    assert {item.asked.item: item.responded("cheap") for item in items} == {"i0000": True, "i0001": True, "i0002": False}
    assert [item.asked.item for item in items] == list(sample.items)
    assert {item.asked.variant for item in items} == {"frontier"}


# How far a variant has come


def test_a_variant_has_come_to_the_first_item_that_it_was_not_asked(store: Store) -> None:
    append_many(store, calls(range(50)))
    order = numbers(put(store, 20, "cheap").items)
    append_many(store, [*calls(order[:5], "cheap"), *calls(order[5:7], "cheap", outcome="failed"), *calls(order[9:], "cheap")])
    through = reached(store, "default", "triage")["cheap"]
    assert numbers(tuple(through)) == order[:7]
    assert list(through.values()) == pytest.approx([7 / 50] * 7)


def test_what_we_broke_off_was_not_asked(store: Store) -> None:
    append_many(store, calls(range(50)))
    order = numbers(put(store, 20, "cheap").items)
    append_many(store, [*calls(order[:3], "cheap"), *calls(order[3:4], "cheap", outcome="cancelled"), *calls(order[4:], "cheap")])
    assert len(reached(store, "default", "triage")["cheap"]) == 3


def test_a_sample_takes_the_place_of_an_earlier_one(store: Store) -> None:
    append_many(store, calls(range(50)))
    put(store, 20, "cheap", "bold")
    other = drawn(store, 10, seed=3)
    keep_sample(store, "default", "triage", ["cheap"], other)
    kept = samples_of(store, "default", "triage")
    assert kept["cheap"] == other
    assert (kept["bold"].seed, len(kept["bold"].items)) == (0, 20)


# What it proves


def loaded(store: Store, metric: Metric = SAME) -> Loaded:
    return load_pairs(store, "default", "triage", "frontier", metric)


def test_what_was_drawn_certifies_and_what_was_answered_anyway_teaches(store: Store) -> None:
    append_many(store, calls(range(60)))
    order = numbers(put(store, 20, "cheap").items)
    outside = next(n for n in range(60) if n not in order)
    append_many(store, calls([*order, outside], "cheap"))
    found = usable(loaded(store), None)
    assert found.candidates == ("cheap",)
    designs = dict(zip(found.pairs.items, found.pairs.designs, strict=True))
    assert designs.pop(f"i{outside:04}") == "found"
    assert set(designs.values()) == {"audit"}
    assert len(designs) == 20
    assert np.nanmax(found.pairs.inclusion_N) == np.nanmin(found.pairs.inclusion_N) == pytest.approx(20 / 60)
    assert found.reasons == {"it is not in the sample that was put to a candidate": 39}


def test_a_sample_that_was_just_begun_proves_nothing(store: Store) -> None:
    append_many(store, calls(range(60)))
    order = numbers(put(store, 20, "cheap").items)
    append_many(store, calls(order[1:], "cheap"))
    assert set(usable(loaded(store), ("cheap",)).pairs.designs) == {"found"}


def test_two_samples_of_one_seed_have_the_smaller_one_in_common(store: Store) -> None:
    append_many(store, calls(range(60)))
    large = numbers(put(store, 20, "cheap").items)
    small = numbers(put(store, 5, "bold").items)
    append_many(store, [*calls(large, "cheap"), *calls(small, "bold")])
    both = usable(loaded(store), ("cheap", "bold")).pairs
    assert (numbers(both.items), both.designs) == (sorted(small), ("audit",) * 5)
    assert both.inclusion_N == pytest.approx(5 / 60)
    assert len(usable(loaded(store), ("cheap",)).pairs) == 20


def test_no_answer_to_an_item_of_the_sample_counts_as_wrong(store: Store) -> None:
    append_many(store, calls(range(60)))
    order = numbers(put(store, 20, "cheap").items)
    append_many(store, [*calls(order[:18], "cheap"), *calls(order[18:], "cheap", outcome="failed")])
    found = loaded(store)
    silent_N = np.isin(found.pairs.items, [f"i{n:04}" for n in order[18:]])
    assert found.pairs.loss_NV[silent_N, 1].tolist() == [1.0, 1.0]
    assert found.pairs.score_NV[silent_N, 1].tolist() == [0.0, 0.0]
    assert found.charged_NV[:, 1].sum() == 2
    assert len(usable(found, None).pairs) == 20


def test_a_variant_without_a_sample_is_judged_as_before(store: Store) -> None:
    append_many(store, [*calls(range(60)), *calls(range(58), "bold")])
    put(store, 20, "frontier")
    found = usable(loaded(store), None)
    assert (found.candidates, len(found.pairs), set(found.pairs.designs)) == (("bold",), 58, {"census"})


@pytest.mark.parametrize(("answered", "design"), [(54, "census"), (53, "found"), (12, "found")])
def test_agreement_on_a_part_that_nobody_drew_is_found(store: Store, answered: int, design: str) -> None:
    """A candidate that was asked for by name, and to which no sample was put: under nine tenths what it answered may have been picked."""
    append_many(store, [*calls(range(60)), *calls(range(answered), "bold")])
    found = usable(loaded(store), ("bold",)).pairs
    assert (len(found), set(found.designs)) == (answered, {design})
    assert np.isnan(found.inclusion_N).all() == (design == "found")


@pytest.mark.parametrize("design", ["audit", "found"])
def test_beside_a_sample_it_has_to_cover_what_was_drawn(store: Store, design: str) -> None:
    append_many(store, calls(range(60)))
    order = numbers(put(store, 20, "cheap").items)
    append_many(store, [*calls(order, "cheap"), *calls(order if design == "audit" else order[:10], "bold")])
    both = usable(loaded(store), ("cheap", "bold")).pairs
    assert set(both.designs) == {design}
    assert set(usable(loaded(store), ("cheap",)).pairs.designs) == {"audit"}


@pytest.mark.parametrize("kind", ["binary", "bounded"])
def test_labels_are_drawn_within_the_sample_and_silence_needs_none(store: Store, kind: Any) -> None:
    append_many(store, calls(range(60)))
    order = numbers(put(store, 20, "cheap").items)
    outside = [n for n in range(60) if n not in order][:7]
    append_many(store, [*calls([*order[:18], *outside], "cheap", output="no"), *calls(order[18:], "cheap", outcome="failed")])
    metric = Metric(id="correct", kind=kind, deterministic=kind == "binary")
    catalog = Catalog(tasks={"triage": Task(id="triage", reference="frontier", metric="correct")}, metrics={"correct": metric})
    found = population(store, "default", catalog, LabelRequest("triage"))
    assert (found.variants, found.dropped) == (("cheap",), {})
    assert sorted(numbers(found.order)) == sorted(order)
    assert sorted(numbers(tuple(found.free))) == sorted(order[18:])
    assert (found.n_outside, found.n_incomplete) == (40, 0)
