"""From journal to paired items: what belongs together, what each answer is known to score, and what that rests on."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert

from freehold.catalog import AGREEMENT, Metric
from freehold.datasets.load import MOST_KEPT_ANSWERS, Loaded, load_pairs, usable
from freehold.errors import CallerError, DataError
from freehold.journal.build import call_id, feedback_id
from freehold.journal.call import TRUTH, Call, Feedback
from freehold.journal.rows import digest_of
from freehold.journal.write import append_many
from freehold.store.open import Store, open_store
from freehold.store.schema import draws

CORRECT = Metric(id="correct", kind="binary")
MATCH = Metric(id="correct", kind="binary", deterministic=True)
GRADE = Metric(id="grade")
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Store]:
    """An empty journal."""
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        yield store


def answered(item: str, variant: str, output: Any = "yes", **fields: Any) -> Call:
    """A call of the task, answered."""
    truth = fields.get("reference_output")
    known: dict[str, Any] = {
        "id": call_id(fields.get("tenant", "default"), "triage", item, variant),
        "task": "triage",
        "item": item,
        "variant": variant,
        "input": f"about {item}",
        "output": output,
        "output_digest": None if output is None else digest_of(output),
        "reference_digest": None if truth is None else digest_of(truth),
        "cost_usd": 0.01,
        "latency_s": 0.5,
        "at": NOON,
        "shape": "0",
    }
    return Call(**known | fields)


def said(call: Call, value: float, design: str = "census", source: str = "import", **fields: Any) -> Feedback:
    """A score of a call."""
    inclusion = {"census": 1.0, "audit": 0.5, "found": None}[design]
    known: dict[str, Any] = {"metric": "correct", "inclusion": inclusion, "at": NOON, "tenant": call.tenant}
    id = feedback_id(call.id, fields.get("metric", "correct"), source)
    return Feedback(**known | {"id": id, "call": call.id, "value": value, "design": design, "source": source} | fields)


Tell = Callable[..., Loaded]


@pytest.fixture
def loaded(journal: Store) -> Tell:
    """Tells the journal calls and scores, and loads what it then knows: `loaded(calls, scores, metric=…)`."""

    def tell(calls: list[Call], scores: list[Feedback], metric: Metric = CORRECT, reference: str = "frontier") -> Loaded:
        append_many(journal, calls, scores)
        return load_pairs(journal, "default", "triage", reference, metric)

    return tell


def test_answers_to_one_item_are_paired_the_reference_first(loaded: Tell) -> None:
    calls = [answered(item, variant) for item in "ba" for variant in ("cheap", "frontier", "bold")]
    pairs = loaded(calls, [said(calls[0], 1)]).pairs
    assert pairs.variants == ("frontier", "bold", "cheap")
    assert pairs.items == ("a", "b")
    assert pairs.texts == ("about a", "about b")
    assert pairs.cost_NV.tolist() == [[0.01] * 3] * 2


def test_a_loss_is_the_references_score_less_the_variants(loaded: Tell) -> None:
    dear, cheap = answered("a", "frontier", "x"), answered("a", "cheap", "y")
    pairs = loaded([dear, cheap], [said(dear, 1), said(cheap, 0)]).pairs
    assert pairs.score_NV.tolist() == [[1, 0]]
    assert pairs.loss_NV.tolist() == [[0, 1]]


def test_scores_are_mapped_to_the_unit_range_with_one_the_best(loaded: Tell) -> None:
    errors = Metric(id="errors", range=(0, 10), better="lower")
    dear, cheap = answered("a", "frontier", "x"), answered("a", "cheap", "y")
    pairs = loaded([dear, cheap], [said(dear, 2, metric="errors"), said(cheap, 5, metric="errors")], errors).pairs
    assert pairs.score_NV == pytest.approx(np.array([[0.8, 0.5]]))


def test_equal_answers_lose_nothing_by_a_deterministic_metric_and_need_no_label(loaded: Tell) -> None:
    calls = [answered(item, variant, output) for item, variant, output in
             [("same", "frontier", {"q": 1}), ("same", "cheap", {"q": 1}), ("not", "frontier", "x"), ("not", "cheap", "y")]]  # fmt: skip
    found = loaded(calls, [said(calls[2], 1)], MATCH)
    assert found.pairs.items == ("not", "same")
    assert found.pairs.loss_NV[0, 1] == 1.0, "an answer that differs from the labelled one and has no label counts as wrong"
    assert found.charged_NV.tolist() == [[False, True], [False, False]]
    assert found.pairs.loss_NV[1, 1] == 0
    assert np.isnan(found.pairs.score_NV[1]).all()


def test_equal_answers_lose_what_was_scored_by_any_other_metric(loaded: Tell) -> None:
    dear, cheap = answered("a", "frontier"), answered("a", "cheap")
    assert loaded([dear, cheap], [said(dear, 1), said(cheap, 0)]).pairs.loss_NV[0, 1] == 1


def test_a_recorded_right_answer_is_the_label_where_equality_decides(loaded: Tell) -> None:
    dear, cheap = answered("a", "frontier", "x", reference_output="y"), answered("a", "cheap", "y", reference_output="y")
    found = loaded([dear, cheap], [], MATCH)
    assert found.pairs.score_NV.tolist() == [[0, 1]]
    assert found.pairs.loss_NV.tolist() == [[0, -1]]
    assert found.is_labelled_N.tolist() == [True]
    assert found.pairs.answers[found.pairs.truth_N[0]] == "y"


def test_agreement_takes_the_references_answers_as_right_and_is_a_census(loaded: Tell) -> None:
    calls = [answered(item, variant, output) for item, variant, output in
             [("a", "frontier", "x"), ("a", "cheap", "x"), ("b", "frontier", "x"), ("b", "cheap", "y"), ("c", "frontier", "x")]]  # fmt: skip
    found = loaded(calls, [], Metric(id=AGREEMENT, kind="binary", deterministic=True))
    assert found.pairs.score_NV[:, 1].tolist()[:2] == [1, 0]
    assert np.isnan(found.pairs.score_NV[2, 1])
    assert found.pairs.designs == ("census",) * 3
    assert found.is_labelled_N.all()


# Which label counts


@pytest.mark.parametrize("is_audit_first", [True, False])
def test_an_audits_label_counts_before_a_found_one_whichever_was_told_first(loaded: Tell, is_audit_first: bool) -> None:
    dear, cheap = answered("a", "frontier"), answered("a", "cheap", "no")
    thumbs = [said(dear, 0, "found", "user"), said(cheap, 1, "found", "user")]
    audit = [said(dear, 1, "audit", "person:ann"), said(cheap, 0, "audit", "person:ann")]
    pairs = loaded([dear, cheap], audit + thumbs if is_audit_first else thumbs + audit).pairs
    assert pairs.score_NV.tolist() == [[1, 0]]
    assert pairs.designs == ("audit",)
    assert pairs.inclusion_N.tolist() == [0.5]


def test_of_two_labels_of_one_design_the_later_counts(loaded: Tell) -> None:
    dear = answered("a", "frontier")
    assert loaded([dear], [said(dear, 1, source="person:ann"), said(dear, 0, source="person:bo")]).pairs.score_NV[0, 0] == 0


def test_an_items_design_is_the_weaker_of_two_that_certify(loaded: Tell) -> None:
    dear, cheap = answered("a", "frontier"), answered("a", "cheap", "no")
    pairs = loaded([dear, cheap], [said(dear, 1, "audit"), said(cheap, 1, "census")]).pairs
    assert (pairs.designs, pairs.inclusion_N.tolist()) == (("census",), [1.0])


@pytest.mark.parametrize("metric", [CORRECT, MATCH])
def test_a_found_score_credits_nobody_on_an_item_that_certifies(loaded: Tell, metric: Metric) -> None:
    """Thumbs up for an answer that no audit looked at: it counts as wrong, as if nobody had said anything."""
    dear, cheap = answered("a", "frontier"), answered("a", "cheap", "no")
    found = loaded([dear, cheap], [said(dear, 1, "audit"), said(cheap, 1, "found")], metric)
    assert (found.pairs.designs, found.pairs.inclusion_N.tolist()) == (("audit",), [0.5])
    assert found.pairs.loss_NV.tolist() == [[0, 1]]
    assert found.charged_NV.tolist() == [[False, True]]


def test_a_judges_score_certifies_nothing_whatever_design_it_claims(loaded: Tell) -> None:
    """It teaches as a found score does; beside people's labels it counts for nothing."""
    dear, cheap = answered("1", "frontier"), answered("1", "cheap", "no")
    by_judge = [said(dear, 1, "census", "judge:quality"), said(cheap, 1, "audit", "judge:quality")]
    pairs = loaded([dear, cheap], by_judge).pairs
    assert pairs.designs == ("found",) and np.isnan(pairs.inclusion_N[0]) and pairs.loss_NV.tolist() == [[0.0, 0.0]]
    people = [said(dear, 1, "census", "person:ann"), said(cheap, 0, "census", "person:ann")]
    pairs = loaded([], [*people]).pairs
    assert pairs.designs == ("census",) and pairs.loss_NV.tolist() == [[0.0, 1.0]]


def test_a_found_right_answer_credits_nobody_beside_a_census(loaded: Tell) -> None:
    """The right answer came with a row that was merely found."""
    dear, cheap = answered("a", "frontier", "x"), answered("a", "cheap", "y", reference_output="y")
    found = loaded([dear, cheap], [said(dear, 0, "census")], MATCH)
    assert found.pairs.designs == ("census",)
    assert found.pairs.loss_NV.tolist() == [[0, 0]], "neither is known to be right"
    assert found.pairs.truth_N.tolist() == [-1], "and a head is not judged by it either"


def test_a_right_answer_counts_by_how_it_was_come_by(loaded: Tell) -> None:
    calls = [answered("a", variant, variant, reference_output="cheap") for variant in ("frontier", "cheap")]
    truths = [said(call, 1, "census", metric=TRUTH, kind="label") for call in calls]
    pairs = loaded(calls, truths, MATCH).pairs
    assert (pairs.designs, pairs.loss_NV.tolist()) == (("census",), [[0, -1]])


def test_a_found_score_still_teaches_where_nothing_certifies(loaded: Tell) -> None:
    dear, cheap = answered("a", "frontier"), answered("a", "cheap", "no")
    pairs = loaded([dear, cheap], [said(dear, 1, "found"), said(cheap, 0, "found")]).pairs
    assert (pairs.designs, pairs.loss_NV.tolist()) == (("found",), [[0, 1]])


def test_in_a_census_an_answer_that_nobody_scored_counts_as_wrong(loaded: Tell) -> None:
    """Failures are what most often goes unscored."""
    calls = [answered(item, variant, f"{variant} {item}") for item in "ab" for variant in ("frontier", "cheap")]
    found = loaded(calls, [said(call, 1) for call in calls[:3]])
    assert found.pairs.loss_NV[:, 1].tolist() == [0, 1]
    assert usable(found, ("cheap",)).left_out_N.sum() == 0


def test_an_item_whose_reference_has_no_score_is_unpaired(loaded: Tell) -> None:
    calls = [answered(item, variant, f"{variant} {item}") for item in "ab" for variant in ("frontier", "cheap")]
    found = usable(loaded(calls, [said(call, 1) for call in calls if (call.item, call.variant) != ("b", "frontier")]), ("cheap",))
    assert (found.pairs.items, found.reasons) == (("a",), {"a candidate has no answer or label": 1})


def test_a_score_of_an_earlier_answer_says_nothing_of_the_one_that_is_kept(loaded: Tell) -> None:
    dear = answered("a", "frontier", "right")
    early = answered("a", "cheap", "right", id="1")
    late = answered("a", "cheap", "wrong", id="2")
    pairs = loaded([dear, early, late], [said(dear, 1), said(early, 1)]).pairs
    assert pairs.answers[pairs.answer_NV[0, 1]] == "wrong"
    assert pairs.loss_NV.tolist() == [[0, 1]]


def test_agreement_knows_no_right_answer_but_the_references(loaded: Tell) -> None:
    calls = [answered("a", "frontier", "x", reference_output="y"), answered("a", "cheap", "y", reference_output="y")]
    pairs = loaded(calls, [], Metric(id=AGREEMENT, kind="binary", deterministic=True)).pairs
    assert (pairs.loss_NV.tolist(), pairs.truth_N.tolist()) == ([[0, 1]], [-1])


def test_an_item_that_was_drawn_and_needed_no_label_is_an_audits_item(journal: Store) -> None:
    calls = [answered(item, variant) for item in ("a", "b") for variant in ("frontier", "cheap")]
    append_many(journal, calls, [said(calls[0], 1, "found")])
    row = {"tenant": "default", "task": "triage", "session": "correct", "position": 0, "item": "a", "inclusion": 0.2, "at": 0}
    with journal.writing() as connection:
        connection.execute(insert(draws).values(**row))
    found = load_pairs(journal, "default", "triage", "frontier", MATCH)
    assert found.is_labelled_N.tolist() == [True, False]
    assert (found.pairs.designs[0], found.pairs.inclusion_N[0]) == ("audit", 0.2)


# What else is known of an item


def test_an_item_without_a_group_is_a_group_of_its_own(loaded: Tell) -> None:
    calls = [answered("a", "frontier", group="c1"), answered("b", "frontier", group="c1"), answered("c", "frontier")]
    assert loaded(calls, [said(calls[0], 1)]).pairs.groups == ("c1", "c1", "item:c")


def test_a_group_counts_whoevers_call_names_it_and_groups_that_share_an_item_are_one(loaded: Tell) -> None:
    calls = [
        *(answered(item, "frontier") for item in "abcd"),
        *(answered(item, "cheap", group=group) for item, group in (("a", "c1"), ("b", "c1"), ("c", "c2"))),
        answered("c", "bold", group="c1"),
    ]
    assert loaded(calls, [said(calls[0], 1)]).pairs.groups == ("c1", "c1", "c1", "item:d")


def test_a_question_that_comes_again_is_one_item_and_is_counted(loaded: Tell) -> None:
    calls = [answered("a", "frontier", id="1"), answered("a", "frontier", id="2"), answered("a", "cheap"), answered("b", "frontier")]
    assert loaded(calls, [said(calls[0], 1)]).pairs.asked_N.tolist() == [2, 1]


def test_tags_and_times_are_the_references_calls(loaded: Tell) -> None:
    calls = [
        answered("a", "cheap", tags={"tier": "x"}, at=None),
        answered("a", "frontier", tags={"tier": "gold"}),
        answered("b", "frontier", at=None),
    ]
    pairs = loaded(calls, [said(calls[1], 1)]).pairs
    assert pairs.tags == ({"tier": "gold"}, {})
    assert pairs.at_N.tolist() == [int(NOON.timestamp() * 1e6), -1]


@pytest.mark.parametrize(
    "call", [answered("a", "cheap", None, outcome="failed"), answered("a", "cheap", "half an ans", outcome="timed_out")]
)
def test_a_call_that_was_not_answered_has_no_answer(loaded: Tell, call: Call) -> None:
    dear = answered("a", "frontier")
    assert loaded([dear, call], [said(dear, 1)]).pairs.answer_NV.tolist() == [[0, -1]]


def test_what_is_unknown_stays_unknown(loaded: Tell) -> None:
    dear = answered("a", "frontier", cost_usd=None, latency_s=None, input=None)
    pairs = loaded([dear], [said(dear, 1)]).pairs
    assert np.isnan([pairs.cost_NV[0, 0], pairs.latency_NV[0, 0]]).all()
    assert pairs.texts == ("",)


def test_answers_are_kept_as_values_only_where_they_are_few(loaded: Tell) -> None:
    calls = [answered(f"i{n:04}", "frontier", f"essay {n}") for n in range(MOST_KEPT_ANSWERS + 1)]
    pairs = loaded(calls, [said(calls[0], 1)]).pairs
    assert pairs.answers == ()
    assert len(set(pairs.answer_NV[:, 0].tolist())) == MOST_KEPT_ANSWERS + 1


def test_another_tenants_answers_are_not_seen(loaded: Tell) -> None:
    dear = answered("a", "frontier")
    pairs = loaded([dear, answered("a", "cheap", tenant="acme"), answered("b", "frontier", tenant="acme")], [said(dear, 1)]).pairs
    assert (pairs.items, pairs.variants) == (("a",), ("frontier",))


# What cannot be loaded


def test_a_task_without_calls_says_how_to_get_some(journal: Store) -> None:
    with pytest.raises(DataError, match=r"no calls.*freehold import"):
        load_pairs(journal, "default", "triage", "frontier", CORRECT)


def test_an_unknown_reference_names_the_nearest(loaded: Tell) -> None:
    dear = answered("a", "frontier")
    with pytest.raises(CallerError, match=r"'fronteir'.*Did you mean 'frontier'"):
        loaded([dear], [said(dear, 1)], reference="fronteir")


def test_an_unknown_metric_names_the_nearest_and_the_way_without_labels(loaded: Tell) -> None:
    dear = answered("a", "frontier")
    with pytest.raises(CallerError, match=r"'corect'.*Did you mean 'correct'.*--metric agreement"):
        loaded([dear], [said(dear, 1)], Metric(id="corect"))


# What can be used


def many(count: int, **skip: Callable[[int], bool]) -> tuple[list[Call], list[Feedback]]:
    """Items that frontier, cheap and bold answered and all of which have scores; `skip` leaves a variant's answers out."""
    calls = [
        answered(f"i{n:03}", variant, f"{variant} {n % 2}")
        for n in range(count)
        for variant in ("frontier", "cheap", "bold")
        if not (variant in skip and skip[variant](n))
    ]
    return calls, [said(call, 1) for call in calls]


def test_complete_items_are_used_and_the_others_counted_by_reason(loaded: Tell) -> None:
    calls, scores = many(40, frontier=lambda n: n < 6, cheap=lambda n: n == 10)
    unlabelled = {call.id for call in calls if call.item in ("i020", "i021")}
    found = usable(loaded(calls, [s for s in scores if s.call not in unlabelled]), None)
    assert found.candidates == ("bold", "cheap")
    assert found.reasons == {"the reference did not answer": 6, "no label": 2, "a candidate has no answer or label": 1}
    assert len(found.pairs) == 31
    assert found.left_out_N.sum() == 9


def test_a_variant_with_few_answers_is_left_out_and_named_unless_asked_for(loaded: Tell) -> None:
    known = loaded(*many(40, bold=lambda n: n >= 10))
    assert usable(known, None).candidates == ("cheap",)
    assert "only 25%" in usable(known, None).dropped["bold"]
    assert usable(known, ("bold", "cheap")).candidates == ("bold", "cheap")
    assert len(usable(known, ("bold", "cheap")).pairs) == 10


def test_a_variant_is_not_held_responsible_for_items_the_reference_did_not_answer(loaded: Tell) -> None:
    found = usable(loaded(*many(40, frontier=lambda n: n < 20)), None)
    assert (found.candidates, found.dropped) == (("bold", "cheap"), {})


def test_only_those_that_were_asked_for_are_candidates(loaded: Tell) -> None:
    assert usable(loaded(*many(10)), ("bold",)).candidates == ("bold",)


def test_a_variant_without_a_price_is_left_out_and_named_where_the_reference_has_one(loaded: Tell) -> None:
    calls, scores = many(10)
    calls = [answered(c.item, c.variant, c.output, cost_usd=None) if c.variant == "bold" else c for c in calls]
    found = usable(loaded(calls, scores), None)
    assert found.candidates == ("cheap",)
    assert "its cost is unknown" in found.dropped["bold"]


def test_an_unknown_variant_names_the_nearest(loaded: Tell) -> None:
    with pytest.raises(CallerError, match=r"'cheep'.*Did you mean 'cheap'"):
        usable(loaded(*many(5)), ("cheep",))


def test_the_order_of_import_changes_nothing(tmp_path: Path) -> None:
    calls, scores = many(30)
    hashes = []
    for turn, order in enumerate((calls, calls[::-1])):
        with open_store(f"sqlite:///{turn}.db", tmp_path) as store:
            append_many(store, order, scores)
            pairs = load_pairs(store, "default", "triage", "frontier", CORRECT).pairs
            hashes.append((pairs.items, pairs.loss_NV.tobytes(), [pairs.answers[a] for a in pairs.answer_NV[:, 1]]))
    assert hashes[0] == hashes[1]


def test_later_items_join_without_moving_the_earlier_ones(loaded: Tell) -> None:
    calls, scores = many(6)
    before = loaded(calls, scores).pairs
    late = [answered("i999", "frontier", at=NOON + timedelta(days=1))]
    assert loaded(late, [said(late[0], 0)]).pairs.items == (*before.items, "i999")
