"""`POST /v1/feedback`, on each database: what is said about calls and episodes is attached to them, also while the journal is away."""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from freehold.catalog import Catalog, Content, Metric, Reward, Task
from freehold.feedback.early import sweep
from freehold.feedback.receive import Receiver
from freehold.gateway.asgi import AsgiReply
from freehold.gateway.caller import Caller
from freehold.gateway.head import Head
from freehold.gateway.keys import Grant, Key, Role
from freehold.gateway.reply import Request
from freehold.journal import read
from freehold.journal.call import Call, Episode
from freehold.journal.erase import erase
from freehold.journal.spool import Entry, Spool
from freehold.journal.write import Writer, append_episodes, append_many
from freehold.store.open import Store
from freehold.tables import FeedbackTable

MakeCall = Callable[..., Call]
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NEVER_MADE = "0" * 32


def given(
    store: Store,
    *bodies: dict[str, Any],
    spool: Path | None = None,
    content: dict[str, Content] | None = None,
    metrics: dict[str, Metric] | None = None,
    tasks: dict[str, Task] | None = None,
    rule: FeedbackTable = FeedbackTable(),  # noqa: B008 it is frozen
    caller: Caller = Caller(),  # noqa: B008 likewise
) -> list[tuple[int, Any]]:
    """What a gateway answers to these, one after the other: status and body."""
    kept = {name: Task(id=name, content=kept) for name, kept in (content or {}).items()}
    catalog = Catalog(tasks={**kept, **(tasks or {})}, metrics=metrics or {})

    async def run() -> list[tuple[int, Any]]:
        writer = Writer(store, None if spool is None else Spool(spool))
        receiver = Receiver(store, writer, catalog, "full", "default", rule)
        answers = []
        for body in bodies:
            reply = AsgiReply()
            receiver.take(
                caller,
                Request(b"POST", b"/v1/feedback", Head.of([(b"content-type", b"application/json")]), json.dumps(body).encode()),
                reply,
            )
            start, told = await reply.messages.get(), await reply.messages.get()
            assert start is not None and told is not None
            answers.append((start["status"], json.loads(told["body"])))
        await writer.close()
        return answers

    return asyncio.run(run())


def test_what_is_said_about_an_episode_is_attached_to_it(store: Store, a_call: MakeCall) -> None:
    """Whether a row or only its calls tell of the episode; a call's own feedback stands beside it."""
    first, second = a_call(1, episode="run"), a_call(2, episode="run")
    append_many(store, [first, second, a_call(3)])
    append_episodes(store, [Episode(id="alone", at=NOON)])
    about_run = {"episode": "run", "metric": "solved", "value": True, "comment": "in one go", "key": "k"}
    (status, told), again, about_call, alone = given(
        store,
        about_run,
        about_run,
        {"call": first.id, "metric": "solved", "value": 0, "key": "k"},
        {"episode": "alone", "metric": "m", "value": 1},
    )
    assert (status, told["episode"], told["metric"], len(told["feedback"])) == (200, "run", "solved", 2)
    assert (again, about_call[0], alone[0]) == ((status, told), 200, 200)
    said = [(one.call, one.episode, one.kind, one.value) for one in read.feedback_of(store, "default", first.id, "run")]
    assert said == [(None, "run", "score", 1.0), (None, "run", "comment", None), (first.id, None, "score", 0.0)]
    assert [one.episode for one in read.feedback_of(store, "default", second.id, "run")] == ["run", "run"]
    assert [one.call for one in read.feedback_of(store, "default", first.id)] == [first.id]


@pytest.mark.parametrize(
    ("about", "status", "message"),
    [
        ({"call": "misspelt"}, 404, "call 'misspelt' is not in the journal: it may be misspelt"),
        ({"call": "a", "episode": "b"}, 400, "both call and episode are there"),
        ({"call": None, "episode": None}, 400, "call is missing"),
    ],
)
def test_what_it_is_about_has_to_be_one_thing_and_known(store: Store, about: dict[str, Any], status: int, message: str) -> None:
    ((told, body),) = given(store, {**about, "metric": "m", "value": 1})
    assert told == status and message in body["error"]["message"]


def test_a_metric_that_nobody_declared_is_taken_as_imports_take_it(store: Store, a_call: MakeCall) -> None:
    """A task names the metric of its floor, and not all that may be said about it; a score of another is one from 0 to 1. A declared one has
    the range and kind that it was declared with."""
    call = a_call(1)
    append_many(store, [call])
    metrics = {"grade": Metric(id="grade", range=(0, 10)), "correct": Metric(id="correct", kind="binary")}
    about = [("helpful", 0.5), ("helpful", 7), ("grade", 7), ("correct", 0.5)]
    told = given(store, *({"call": call.id, "metric": name, "value": value} for name, value in about), metrics=metrics)
    assert [status for status, _ in told] == [200, 400, 200, 400]
    assert [(one.metric, one.design) for one in read.feedback_of(store, "default", call.id)] == [("helpful", "found"), ("grade", "found")]


def test_a_label_that_no_reward_of_a_binary_metric_knows_is_refused_with_those_it_does(store: Store, a_call: MakeCall) -> None:
    """It would be kept and never be heard. A metric that is not binary may be judged in any words."""
    call = a_call(1)
    append_many(store, [call])
    reward = Reward(metrics={"correct": 1}, labels={"right": 1, "wrong": 0})
    known: dict[str, Any] = {
        "metrics": {"correct": Metric(id="correct", kind="binary")},
        "tasks": {"triage": Task(id="triage", reward=reward)},
    }
    about = [("correct", "right"), ("correct", "rigth"), ("tone", "polite")]
    told = given(store, *({"call": call.id, "metric": metric, "value": label} for metric, label in about), **known)
    assert [status for status, _ in told] == [200, 400, 200]
    why = told[1][1]["error"]["message"]
    assert "metric 'correct' is binary: expected 1 or 0, true or false, or a label that a reward knows." in why
    assert "Did you mean 'right'? Known: right, wrong." in why and "under [tasks.triage.reward]" in why
    assert [(one.kind, one.content) for one in read.feedback_of(store, "default", call.id)] == [("label", "right"), ("label", "polite")]
    ((status, body),) = given(store, {"call": call.id, "metric": "correct", "value": "right"}, metrics=known["metrics"])
    assert (status, "knows" in body["error"]["message"]) == (400, False)


def test_another_tenant_s_episode_is_not_known(store: Store, a_call: MakeCall) -> None:
    append_many(store, [a_call(1, episode="run", tenant="other")])
    assert given(store, {"episode": "run", "metric": "m", "value": 1})[0][0] == 202


def test_what_is_said_before_its_call_is_there_is_attached_when_it_comes(store: Store, a_call: MakeCall) -> None:
    """The same for an episode; it waits with as little of its words as the strictest task keeps."""
    call = a_call(1, episode="run")
    about = ({"call": call.id, "key": "a"}, {"episode": "run", "key": "b"})
    said = [{**one, "metric": "m", "value": 1, "comment": "of ann@example.com"} for one in about]
    told = given(store, *said, *said, content={"private": "redacted"})
    assert [(status, "waits_until" in body) for status, body in told] == [(202, True)] * 4
    assert sweep(store, "default", NOON) == 0
    append_many(store, [call])
    assert sweep(store, "default", NOON + timedelta(days=10_000)) == 0  # it has found its call, and does not wait any more
    kept = read.feedback_of(store, "default", call.id, "run")
    assert [(one.kind, one.content) for one in kept] == [("score", None), ("comment", "of [EMAIL]")] * 2


def test_what_waits_for_a_call_that_never_comes_is_forgotten(store: Store, a_call: MakeCall) -> None:
    given(store, {"call": NEVER_MADE, "metric": "m", "value": 1, "comment": "hm"})
    assert len(read.feedback_of(store, "default", NEVER_MADE)) == 2
    assert sweep(store, "default", datetime.now(UTC) + timedelta(days=6)) == 0
    assert sweep(store, "default", datetime.now(UTC) + timedelta(days=8)) == 2
    assert read.feedback_of(store, "default", NEVER_MADE) == []


def test_nobody_fills_the_store_with_what_waits(store: Store) -> None:
    """One voice has a tenth of the room, and all together have no more than there is."""
    rule = FeedbackTable(most_early=20)
    ids = (f"{n:032x}" for n in range(1, 1000))
    by_one = [{"call": next(ids), "metric": "m", "value": 1} for _ in range(4)]
    by_many = [{"call": next(ids), "metric": "m", "value": 1, "author": f"u{n}"} for n in range(30)]
    assert [status for status, _ in given(store, *by_one, rule=rule)] == [202, 202, 429, 429]
    told = given(store, *by_many, rule=rule)
    assert [status for status, _ in told] == [202] * 18 + [429] * 12
    assert "as many as may" in told[-1][1]["error"]["message"]


def test_a_preference_stands_with_both_of_its_calls(store: Store, a_call: MakeCall) -> None:
    better, worse = a_call(1, item="m1"), a_call(2, item="m1", variant="other")
    append_many(store, [better, worse, a_call(3, item="m2")])
    said = {"call": better.id, "metric": "m", "preference": {"better_than": {"call": worse.id}}, "key": "k"}
    first, again, other_item = given(store, said, said, {**said, "preference": {"same_as": {"call": a_call(3).id}}, "key": "l"})
    assert (first[0], again) == (200, first)
    assert (other_item[0], "answer different questions" in other_item[1]["error"]["message"]) == (400, True)
    (with_better,), (with_worse,) = (read.feedback_of(store, "default", call.id) for call in (better, worse))
    assert with_better.content == {"better_than": {"call": worse.id}}
    assert with_worse.content == {"worse_than": {"call": better.id}}


def test_of_a_preference_the_other_answer_is_kept_as_the_call_s_own_words_are(store: Store, a_call: MakeCall) -> None:
    call = a_call(1, task="private")
    append_many(store, [call])
    said = {"call": call.id, "metric": "m", "preference": {"worse_than": {"answer": "write to ann@example.com"}}}
    for content, kept in (("redacted", "write to [EMAIL]"), ("none", None)):
        given(store, {**said, "key": content}, content={"private": content})
        assert read.feedback_of(store, "default", call.id)[-1].content == {"worse_than": {"answer": kept}}


def a_key(*roles: Role) -> Caller:
    return Caller(key=Key(id="abc", grant=Grant(roles=roles), created_at=NOON), id="abc")


def test_a_key_speaks_as_one_user_unless_it_vouches_for_others(store: Store, a_call: MakeCall) -> None:
    call = a_call(1)
    append_many(store, [call])
    said = {"call": call.id, "metric": "m", "value": 1}
    of_others = [{**said, **more} for more in ({"source": "verifier:tests"}, {"author": "ann"}, {"at": "2026-03-04T12:00:00Z"})]
    told = given(store, {**said, "source": "user"}, *of_others, caller=a_key("feedback"))
    assert [status for status, _ in told] == [200, 403, 403, 403]
    assert [status for status, _ in given(store, *of_others, caller=a_key("feedback", "vouch"))] == [200, 200, 200]
    kept = read.feedback_of(store, "default", call.id)
    assert [(one.source, one.author, one.kind) for one in kept] == [
        ("user", "key:abc", "score"),
        ("verifier:tests", None, "verifier"),
        ("user", "ann", "score"),
        ("user", None, "score"),
    ]
    assert kept[-1].at == NOON


def test_two_authors_may_use_one_key(store: Store, a_call: MakeCall) -> None:
    """A product counts for each user of its own."""
    call = a_call(1)
    append_many(store, [call])
    said = [{"call": call.id, "metric": "m", "value": n, "author": f"u{n}", "key": "thumb"} for n in range(2)]
    assert [status for status, _ in given(store, *said, *said)] == [200] * 4
    assert [one.value for one in read.feedback_of(store, "default", call.id)] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"source": "jugde:a"}, "Did you mean 'judge'?"),
        ({"source": "judge"}, "expected a name behind it, as in judge:NAME"),
        ({"at": "2999-01-01T00:00:00Z"}, "expected a time with its zone that has passed"),
        ({"at": "2026-01-01T00:00:00"}, "expected a time with its zone that has passed"),
        ({"preference": {"better": 1}}, "preference cannot be read; expected one of better_than, worse_than, same_as"),
        ({"preference": {"better_than": {"call": "c" * 201}}}, "preference names a call of 201 characters"),
        ({"preference": {"better_than": {"answer": None}}}, "preference compares with no answer"),
        ({"value": [1]}, "value is a list or an object"),
        ({"value": None}, "nothing is said"),
    ],
)
def test_what_cannot_be_said_is_refused_with_what_can(store: Store, more: dict[str, Any], message: str) -> None:
    ((status, body),) = given(store, {"call": NEVER_MADE, "metric": "m", "value": 1, **more})
    assert (status, message in body["error"]["message"]) == (400, True), body


def test_of_an_episode_is_kept_what_the_strictest_of_its_tasks_keeps(store: Store, a_call: MakeCall) -> None:
    append_many(store, [a_call(1, episode="run"), a_call(2, episode="run", task="private"), a_call(3, episode="open")])
    said = [{"episode": run, "metric": "m", "comment": "of ann@example.com"} for run in ("run", "open")]
    given(store, *said, content={"private": "none"})
    assert [read.feedback_of(store, "default", "", run)[0].content for run in ("run", "open")] == [None, "of ann@example.com"]


def test_erasing_a_person_removes_what_was_said_about_the_episodes_of_their_calls(store: Store, a_call: MakeCall) -> None:
    append_many(store, [a_call(1, episode="run", subject="ann"), a_call(2, episode="other", subject="bob")])
    given(store, *({"episode": run, "metric": "m", "comment": "slow"} for run in ("run", "other")))
    assert erase(store, "default", "ann", NOON).feedback == 1
    assert [len(read.feedback_of(store, "default", "", run)) for run in ("run", "other")] == [0, 1]


def test_what_is_said_about_a_call_that_waits_in_the_spool_waits_with_it(store: Store, a_call: MakeCall, tmp_path: Path) -> None:
    """Nobody can look whether the call is there, so that an id that no call of a gateway can have is refused still."""
    call = a_call(1)
    with closing(Spool(tmp_path / "spool")) as other:
        other.append([Entry(call)])  # of a worker that lives: its lock keeps everybody else from bringing it in
        said, impossible = given(
            store,
            {"call": call.id, "metric": "m", "value": 1, "key": "k"},
            {"call": "no id", "metric": "m", "value": 1},
            spool=tmp_path / "spool",
        )
    assert (said[0], impossible[0]) == (200, 404)
    asyncio.run(_brought_in(store, tmp_path / "spool"))
    assert [one.value for one in read.feedback_of(store, "default", call.id)] == [1.0]


@pytest.mark.parametrize("spools", [True, False])
def test_while_the_journal_is_away_it_waits_as_calls_do(store: Store, a_call: MakeCall, tmp_path: Path, spools: bool) -> None:
    """And with as little of its words as the strictest task keeps, for nobody knows whose it is."""
    call, spool = a_call(1), tmp_path / "spool"
    append_many(store, [call])
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE calls RENAME TO away")
        connection.exec_driver_sql("ALTER TABLE feedback RENAME TO feedback_away")
    said = {"call": call.id, "metric": "m", "value": 1, "comment": "private", "key": "k"}
    ((status, _),) = given(store, said, spool=spool if spools else None, content={"private": "none"})
    assert status == (200 if spools else 503)
    with store.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO calls")
        connection.exec_driver_sql("ALTER TABLE feedback_away RENAME TO feedback")
    asyncio.run(_brought_in(store, spool))
    assert [one.content for one in read.feedback_of(store, "default", call.id)] == ([None, None] if spools else [])


async def _brought_in(store: Store, spool: Path) -> None:
    await Writer(store, Spool(spool)).close()
