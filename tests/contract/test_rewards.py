"""Rewards of calls in the journal, on each database: what they are read from, what they choose as examples, and files of signals."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from freehold.catalog import Catalog, Metric, Reward
from freehold.feedback.bring import Bringing, Row, bring
from freehold.feedback.lessons import examples_of, named_in, preferences_of
from freehold.feedback.rewards import asked, rewards
from freehold.journal import read
from freehold.journal.call import Call, Feedback
from freehold.journal.write import append_many
from freehold.pipelines.examples import well_rewarded
from freehold.store.open import Store
from freehold.tables import FeedbackTable

MakeCall = Callable[..., Call]
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
RULE = Reward(metrics={"correct": 1.0})
CATALOG = Catalog(metrics={"correct": Metric(id="correct", kind="binary")})


def word(n: int, value: float | None, call: str | None = None, source: str = "person:ann", **more: Any) -> Feedback:
    more = {"metric": "correct", "at": NOON + timedelta(seconds=n), **more}
    return Feedback(id=f"said {n}", call=call, value=value, source=source, **more)


def test_what_was_said_of_many_calls_is_read_at_once_that_of_their_runs_too(store: Store, a_call: MakeCall) -> None:
    calls = [a_call(n, episode="run" if n < 600 else None) for n in range(1_200)]
    said = [word(n, 1.0, calls[n].id) for n in range(0, 1_200, 2)]
    append_many(store, calls, [*said, word(5_000, 0.0, episode="run"), word(5_001, 0.0, calls[0].id, tenant="other")])
    found = read.said_about(store, "default", [(call.id, call.episode) for call in calls])
    one_by_one = {call.id: read.feedback_of(store, "default", call.id, call.episode) for call in calls}
    assert found == {call: told for call, told in one_by_one.items() if told}
    rewarded = rewards(store, "default", map(asked, calls), RULE, CATALOG)
    assert [rewarded[call.id].value for call in calls[:2]] == [1.0, 0.0]  # one voice: its word on the call comes before that on the run
    assert calls[601].id not in rewarded


def test_answers_whose_reward_is_high_are_the_examples_and_a_crowd_chooses_none(store: Store, a_call: MakeCall) -> None:
    good, praised, bad = (a_call(n, task="triage", item=f"m{n}") for n in range(3))
    crowd = [word(100 + n, 1.0, call.id, "user", author=f"u{n}") for n, call in enumerate([praised] * 50 + [bad] * 50)]
    append_many(store, [good, praised, bad], [word(0, 1.0, good.id), word(1, 0.0, bad.id), *crowd])
    found = well_rewarded(store, "default", "triage", RULE, CATALOG)
    assert [one.input for one in found] == [good.input]
    unbounded = Reward(metrics={"correct": 1.0}, at_most={"user": 1})
    assert len(well_rewarded(store, "default", "triage", unbounded, CATALOG)) == 3  # a crowd that may outvotes the person, too
    assert len(well_rewarded(store, "default", "triage", lambda said: float(len(said) > 10), CATALOG)) == 2


def brought(store: Store, rows: list[Any], is_table: bool = False, **how: Any) -> Any:
    found = [Row(f"row {n}", value) for n, value in enumerate(rows, 1)]
    return bring(store, CATALOG, "full", FeedbackTable(), found, Bringing("default", **how), NOON, is_table)


def test_a_file_of_signals_teaches_as_what_was_said_here_does(store: Store, a_call: MakeCall) -> None:
    """A preference is told of both calls; what a row may not say stops no other; coming in twice adds nothing."""
    better, worse = a_call(1, item="m1", variant="a", task="triage"), a_call(2, item="m1", variant="b", task="triage")
    other = a_call(3, item="m2", variant="a", task="triage")
    append_many(store, [better, worse, other])
    rows = [
        {"call": better.id, "metric": "correct", "better_than": worse.id, "source": "person:ann"},
        {"call": worse.id, "metric": "correct", "correction": "cards", "source": "person:ann"},
        {"call": better.id, "metric": "correct", "same_as": other.id},
        {"call": better.id, "metric": "correct", "value": 1, "at": "2026-03-04T09:00:00Z", "author": "u1", "source": "user"},
        {"call": better.id, "metric": "correct", "value": 1, "key": "k", "source": "user"},
        {"call": better.id, "metric": "correct", "value": 0, "key": "k", "source": "user"},
        "no object",
        {"item": "m1", "metric": "correct", "value": 1},
    ]
    first, again = brought(store, rows, task="triage"), brought(store, rows, task="triage")
    assert (first.rows, first.added, first.present, first.waiting) == (8, 5, 0, 0)
    assert (again.added, again.present) == (0, 5)
    assert [why.partition(":")[0] for why in first.refused] == ["row 3", "row 6", "row 7", "row 8"]
    told = read.said_about(store, "default", [(call.id, None) for call in (better, worse)])
    assert named_in(told[better.id]) == {worse.id}
    (pair,) = preferences_of(better, told[better.id], {worse.id: worse})
    assert (pair.chosen_call, pair.rejected_call) == (better.id, worse.id)
    assert [example.output for example in examples_of(worse, told[worse.id])] == ["cards"]


def test_a_table_of_signals_says_numbers_words_and_nothing(store: Store, a_call: MakeCall) -> None:
    call = a_call(1)
    append_many(store, [call])
    rows = [{"call": call.id, "value": value, "comment": ""} for value in ("1", " true ", "helpful", "")]
    found = brought(store, rows, is_table=True, metric="tone")
    assert (found.added, found.refused) == (
        3,
        ("row 4: nothing is said: one of value, correction, preference and comment has to be there",),
    )
    assert [(one.kind, one.value, one.content) for one in read.feedback_of(store, "default", call.id)] == [
        ("score", 1.0, None),
        ("score", 1.0, None),
        ("label", None, "helpful"),
    ]


@pytest.mark.parametrize("n", [0, 499, 500, 501])
def test_no_row_is_lost_between_batches(store: Store, a_call: MakeCall, n: int) -> None:
    call = a_call(1)
    append_many(store, [call])
    rows = [{"call": call.id, "metric": "correct", "value": 1, "key": str(k)} for k in range(n)]
    assert brought(store, rows).added == n == len(read.feedback_of(store, "default", call.id))
