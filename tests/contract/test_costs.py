"""What calls, judges and labels of a task cost, as each database says it."""

from datetime import UTC, datetime

from freehold.chat import Usage
from freehold.journal.build import feedback_id
from freehold.journal.call import Call, Feedback
from freehold.journal.costs import Cost, costs, judging_costs, labels_given, trial_costs
from freehold.journal.rows import INLINE_BYTES
from freehold.journal.write import append_many
from freehold.store.open import Store

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def call(n: int, **fields: object) -> Call:
    plain = {"id": f"{n:032x}", "task": "triage", "variant": "large", "item": f"i{n}", "input": "?", "output": "!", "at": NOON}
    return Call(**plain | fields)  # type: ignore[arg-type]


def said(about: Call, source: str, **fields: object) -> Feedback:
    plain = {"metric": "correct", "value": 1.0, "at": NOON, "call": about.id, "source": source}
    return Feedback(id=feedback_id(about.id, "correct", source, str(fields)), **plain | fields)  # type: ignore[arg-type]


def test_calls_come_by_item_with_cost_usage_and_source_also_where_the_answer_is_large(store: Store) -> None:
    usage = Usage(input_tokens=10, output_tokens=8, reasoning_tokens=6)
    large = call(1, item="a", output="x" * (INLINE_BYTES + 1), usage=usage, cost_usd=0.5, source="gateway", episode="run")
    blob = call(2, item="b", output="y" * (2 * 2**20), source="ask", group="customer")
    append_many(store, [call(3, item="c", task="other"), blob, large])
    first, second = costs(store, "default", "triage")
    assert (first.item, first.cost_usd, first.usage, first.source, first.episode) == ("a", 0.5, usage, "gateway", "run")
    assert (second.item, second.cost_usd, second.usage, second.episode) == ("b", None, None, "customer")
    assert (first.is_trial, second.is_trial) == (False, True)


def test_every_call_comes_once_whatever_the_number_of_pages(store: Store) -> None:
    append_many(store, [call(n, item=f"i{n % 7}") for n in range(50)])
    found = list(costs(store, "default", "triage", page=4))
    assert sorted(one.id for one in found) == sorted(f"{n:032x}" for n in range(50))
    assert [one.item for one in found] == sorted(one.item for one in found)


def test_what_judging_cost_is_told_by_the_call_that_was_judged(store: Store) -> None:
    answer = call(1)
    verdicts = [
        call(n, task="judge:quality", source="judge", cost_usd=usd, tags={"judged": answer.id})
        for n, usd in ((2, 0.1), (3, 0.2), (4, None))
    ]
    append_many(store, [answer, *verdicts, call(5, task="judge:quality", cost_usd=9.0)])
    found = judging_costs(store, "default")
    assert list(found) == [answer.id]
    assert (found[answer.id].calls, found[answer.id].unknown, round(found[answer.id].known_usd, 9)) == (3, 1, 0.3)


def test_candidates_of_evaluations_have_a_task_of_their_own(store: Store) -> None:
    append_many(store, [call(1, task="triage@candidates", cost_usd=0.25), call(2, task="triage@candidates"), call(3)])
    assert trial_costs(store, "default", "triage") == Cost(2, 0.25, 1)


def test_a_label_is_what_a_person_said_of_an_item_however_often_and_what_was_drawn_before_an_import(store: Store) -> None:
    one, other, third = call(1, item="a"), call(2, item="a", variant="small"), call(3, item="b")
    append_many(
        store,
        [one, other, third],
        [
            said(one, "person:ann"),
            said(other, "person:ann"),
            said(one, "person:bob"),
            said(third, "person:ann", kind="comment", value=None, content="hm"),
            said(third, "user"),
            said(third, "import", design="census", inclusion=1.0),
            said(one, "import", design="found"),
        ],
    )
    assert labels_given(store, "default", "triage") == {"import": 1, "person:ann": 1, "person:bob": 1}
