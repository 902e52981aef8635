"""The journal on each database: what is appended is there, once, and comes back as it was."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine, event, select

from freehold.chat import Usage
from freehold.errors import DataError, OperatorError, StoreBusy
from freehold.journal import read
from freehold.journal.call import Attempt, Call, Episode, Feedback
from freehold.journal.redact import redact
from freehold.journal.rows import INLINE_BYTES, digest_of
from freehold.journal.spool import Entry, Spool
from freehold.journal.write import Appended, Writer, append_each, append_episodes, append_feedback, append_many
from freehold.store.open import Store, open_store
from freehold.store.schema import contents

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MakeCall = Callable[..., Call]
MakeScore = Callable[..., Feedback]


def whole_call(call: Call) -> Call:
    """Every field set, to something that is easy to lose."""
    return msgspec.structs.replace(
        call,
        input={"messages": [{"role": "user", "content": "Größe 😀 \u0000 \u2028"}], "z": 1, "a": 123456789012345678901234567890},
        output=["b", {"z": 1, "a": [None, True, 1.5]}],
        output_digest="f" * 32,
        usage=Usage(input_tokens=10, cached_read=3, output_tokens=4, reasoning_tokens=1, input_by_modality={"text": 10}),
        at=datetime(2026, 3, 4, 12, 0, 0, 123457, tzinfo=UTC),
        group="conversation 7",
        customer="acme",
        subject="person 9",
        tags={"tier": "gold", "": "empty key"},
        episode="run 1",
        policy="abc",
        propensity=0.05,
        reference_output="cards",
        reference_digest="e" * 32,
        source="gateway",
        delivered=False,
        outcome="refused",
        attempts=tuple(
            Attempt(n=n, variant="v", cause="retry", outcome="failed", at=NOON, latency_s=0.1, usage=Usage(input_tokens=n), error="429")
            for n in range(3)
        ),
    )


def test_a_call_comes_back_as_it_was(store: Store, a_call: MakeCall) -> None:
    """Every field, the order of keys, and what is unknown as unknown."""
    call = whole_call(a_call(1))
    bare = Call(id="bare", variant="v", item="i", at=None)
    append_many(store, [call, bare])
    found = read.find_call(store, "default", call.id)
    assert found == call
    assert found is not None and list(found.input) == list(call.input)
    assert read.find_call(store, "default", "bare") == bare
    assert read.find_call(store, "default", "nobody") is None


def test_no_read_crosses_tenants(store: Store, a_call: MakeCall, a_score: MakeScore) -> None:
    """What belongs to one tenant another does not see, even by id, and even where the input is the same."""
    mine, theirs = a_call(1), a_call(1, id="theirs", tenant="other")
    append_many(store, [mine, theirs], [a_score(mine), a_score(theirs, tenant="other")])
    assert read.find_call(store, "default", "theirs") is None
    assert [call.id for call in read.calls(store, "other")] == ["theirs"]
    assert [row.call for batch in read.answers(store, "other", "triage") for row in batch] == ["theirs"]
    assert [row.call for batch in read.scores(store, "other", "triage", "correct") for row in batch] == ["theirs"]
    assert read.feedback_of(store, "default", "theirs") == []
    assert read.inputs(store, "third", [row.input for batch in read.answers(store, "other", "triage") for row in batch if row.input]) == {}
    assert read.counts(store, "third").calls == 0


def test_telling_twice_adds_nothing(store: Store, a_call: MakeCall, a_score: MakeScore) -> None:
    calls = [a_call(n) for n in range(700)]
    said = [a_score(call) for call in calls]
    assert append_many(store, calls, said) == Appended(added=700, feedback_added=700)
    assert append_many(store, calls, said) == Appended(present=700, feedback_present=700)
    assert append_many(store, [*calls, a_call(700)], said) == Appended(added=1, present=700, feedback_present=700)
    assert read.counts(store, "default") == read.Counts(calls=701, feedback=700, tasks={"triage": 701}, unnamed=0)


def test_of_two_that_contradict_each_other_the_first_stays(store: Store, a_call: MakeCall, a_score: MakeScore) -> None:
    """Both are reported; nothing of the refused one is stored, neither its input, its attempts nor what is said about it."""
    kept = a_call(1)
    append_many(store, [kept], [a_score(kept, 1.0)])
    attempt = Attempt(n=0, variant="v", cause="first", outcome="answered", at=NOON)
    told = a_call(1, input="something else", attempts=(attempt,))
    appended = append_many(store, [told, a_call(2)], [a_score(told, 0.0), a_score(told, 0.5, metric="style")])
    assert (appended.added, appended.present, appended.feedback_added) == (1, 0, 0)
    (conflict,) = appended.conflicts
    assert (conflict.id, conflict.refused) == (kept.id, told)
    assert isinstance(conflict.kept, Call) and conflict.kept.input == kept.input
    assert [said.value for said in read.feedback_of(store, "default", kept.id)] == [1.0]
    with store.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM contents").scalar_one() == 2
        assert connection.exec_driver_sql("SELECT count(*) FROM attempts").scalar_one() == 0


def test_within_one_batch_the_first_stays_too(store: Store, a_call: MakeCall) -> None:
    appended = append_many(store, [a_call(1), a_call(1), a_call(1, output="other")])
    assert (appended.added, appended.present, len(appended.conflicts)) == (1, 1, 1)
    found = read.find_call(store, "default", a_call(1).id)
    assert found is not None and found.output == a_call(1).output


def test_contradicting_feedback_is_reported_and_the_first_stays(store: Store, a_call: MakeCall, a_score: MakeScore) -> None:
    call = a_call(1)
    append_many(store, [call], [a_score(call, 1.0)])
    appended = append_feedback(store, [a_score(call, 0.0), a_score(call, 0.5, metric="style")])
    assert (appended.feedback_added, appended.feedback_present, len(appended.conflicts)) == (1, 0, 1)
    assert {said.value for said in read.feedback_of(store, "default", call.id)} == {1.0, 0.5}


def test_when_it_was_said_again_does_not_count(store: Store, a_call: MakeCall, a_score: MakeScore) -> None:
    """An import without times dates scores by its own clock."""
    call = a_call(1)
    append_many(store, [call], [a_score(call)])
    assert append_feedback(store, [a_score(call, at=NOON + timedelta(days=1))]) == Appended(feedback_present=1)


@pytest.mark.parametrize(
    "changed",
    [
        {"task": "another name"},
        {"shape": "new algorithm"},
        {"input": {"b": 1, "a": 2}},
    ],
    ids=["task", "shape", "order of keys"],
)
def test_what_does_not_make_a_call_another_one(store: Store, a_call: MakeCall, changed: dict[str, Any]) -> None:
    """A later name of its task, a newer way to group, and JSON's order of keys."""
    append_many(store, [a_call(1, input={"a": 2, "b": 1}) if "input" in changed else a_call(1)])
    assert append_many(store, [a_call(1, **changed)]) == Appended(present=1)


def test_a_newer_price_is_no_contradiction(store: Store, a_call: MakeCall) -> None:
    """A cost we computed follows from the record; one that was recorded is part of it."""
    append_many(store, [a_call(1, cost_usd=0.1, price_id="prices-1"), a_call(2)])
    appended = append_many(store, [a_call(1, cost_usd=0.2, price_id="prices-2"), a_call(2, cost_usd=0.002)])
    assert (appended.present, len(appended.conflicts)) == (1, 1)


@pytest.mark.parametrize("first", ["full", "redacted", "none"])
@pytest.mark.parametrize("then", ["full", "redacted", "none"])
def test_keeping_less_or_more_later_is_no_contradiction(store: Store, a_call: MakeCall, first: Any, then: Any) -> None:
    call = a_call(1, input="I am ann@example.com", output="Hello ann@example.com", reference_output="Hi")
    append_many(store, [redact(call, first)])
    assert append_many(store, [redact(call, then)]) == Appended(present=1)
    other = redact(a_call(1, input="I am ann@example.com", output="Good bye", reference_output="Hi"), then)
    assert len(append_many(store, [other]).conflicts) == 1


def test_the_same_input_is_stored_once(store: Store, a_call: MakeCall) -> None:
    append_many(store, [a_call(n, item="one", variant=f"v{n}", input="the same") for n in range(60)])
    append_many(store, [a_call(60, item="one", variant="v60", input="the same")])
    with store.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM contents").scalar_one() == 1
    assert {call.input for call in read.calls(store, "default", "triage")} == {"the same"}


def test_what_is_large_becomes_a_blob(store: Store, a_call: MakeCall) -> None:
    """An input and an answer of more than 64 KiB leave the database; reading does not show it."""
    asked, answered = "a" * (INLINE_BYTES + 1), {"text": "ü" * INLINE_BYTES}
    call = a_call(1, input=asked, output=answered)
    append_many(store, [call, a_call(2, input=asked)])
    assert append_many(store, [call]).present == 1
    assert len(list(store.blobs.names())) == 2
    found = read.find_call(store, "default", call.id)
    assert found is not None and (found.input, found.output) == (asked, answered)
    (row, _) = [row for batch in read.answers(store, "default", "triage") for row in batch]
    assert row.input is not None and read.inputs(store, "default", [row.input, b"unknown"]) == {row.input: asked}


def test_a_batch_is_stored_whole_or_not_at_all(store: Store, a_call: MakeCall) -> None:
    with pytest.raises(DataError, match=a_call(2).id):
        append_many(store, [a_call(1), a_call(2, output=object())])
    with pytest.raises(DataError, match="no time zone"):
        append_many(store, [a_call(1), a_call(2, at=datetime(2026, 1, 1))])
    assert read.counts(store, "default").calls == 0


def test_a_stream_of_calls_has_an_order_and_an_end(store: Store, a_call: MakeCall) -> None:
    """Of a task by item, of a time by time, of a shape and of everything as it arrived; over more than one batch."""
    count = 1_203
    order = [(n * 7) % count for n in range(count)]
    append_many(store, [a_call(n, task="triage" if n % 2 else None, shape=f"shape{n % 3}") for n in order])
    everything = [int(call.item[5:]) for call in read.calls(store, "default")]
    assert sorted(everything) == sorted(order)
    if store.kind == "sqlite":
        assert everything == order
    odd = [n for n in range(count) if n % 2]
    assert [int(call.item[5:]) for call in read.calls(store, "default", "triage")] == odd
    assert [int(call.item[5:]) for call in read.calls(store, "default", unnamed=True)] == [n for n in range(count) if not n % 2]
    assert {int(call.item[5:]) % 3 for call in read.calls(store, "default", shape="shape1")} == {1}
    late = read.calls(store, "default", since=NOON + timedelta(seconds=100), until=NOON + timedelta(seconds=900))
    assert [int(call.item[5:]) for call in late] == list(range(100, 900))
    assert [int(call.item[5:]) for call in read.calls(store, "default", "triage", limit=3)] == odd[:3]


def test_a_stream_ends_with_what_was_there_when_it_began(store: Store, a_call: MakeCall) -> None:
    append_many(store, [a_call(n) for n in range(600)])
    stream = read.calls(store, "default", "triage")
    next(stream)
    append_many(store, [a_call(n) for n in range(600, 1_300)])
    assert 1 + sum(1 for _ in stream) == 600


def test_certifying_reads_columns(store: Store, a_call: MakeCall, a_score: MakeScore) -> None:
    call = whole_call(a_call(1))
    append_many(
        store, [call, a_call(2)], [a_score(call, 0.25, design="audit", inclusion=0.1), a_score(call, None, metric="note", kind="comment")]
    )
    first, second = (row for batch in read.answers(store, "default", "triage") for row in batch)
    assert first[:4] == (call.id, call.item, "frontier", "refused")
    assert first.output_digest == "f" * 32
    assert first.reference_digest == "e" * 32
    assert (first.at_us, first.tags, first.propensity) == (1772625600123457, call.tags, 0.05)
    assert (second.output_digest, second.reference_digest, second.tags) == (digest_of(a_call(2).output), None, {})
    ((score,),) = read.scores(store, "default", "triage", "correct")
    assert score == read.Score(call.id, call.item, "frontier", 0.25, "score", "import", "audit", 0.1, 1772625600000000)
    assert list(read.scores(store, "default", "triage", "note")) == []


def test_a_call_told_again_brings_the_price_and_the_content_that_were_not_known(store: Store, a_call: MakeCall) -> None:
    """What is known already stays as it is."""
    call = a_call(1, cost_usd=None, price_id=None, output="cards", output_digest=digest_of("cards"))
    append_many(store, [redact(call, "none")])
    priced = msgspec.structs.replace(call, cost_usd=0.5, price_id="snapshot 1")
    assert append_many(store, [priced]).present == 1
    assert read.find_call(store, "default", call.id) == priced
    append_many(store, [msgspec.structs.replace(call, cost_usd=0.7, price_id="snapshot 2")])
    assert read.find_call(store, "default", call.id) == priced
    append_many(store, [redact(priced, "none")])
    assert read.find_call(store, "default", call.id) == priced


def test_the_latest_calls_come_in_the_order_they_arrived(store: Store, a_call: MakeCall) -> None:
    """By every filter, and from where the last look ended."""
    append_many(store, [a_call(n, latency_s=float(n), variant="cheap" if n % 2 else "frontier") for n in range(10)])
    append_many(store, [a_call(10, tenant="other"), a_call(11, outcome="failed", task=None, episode="run")])

    def found(limit: int = 100, after: int = 0, **wanted: Any) -> list[str]:
        return [call.id for call in read.latest(store, "default", read.Wanted(**wanted), limit, after)[0]]

    def ids(*numbers: int) -> list[str]:
        return [a_call(n).id for n in numbers]

    assert found(3) == ids(8, 9, 11)
    assert found(task="triage", variant="cheap", slow_s=4.0) == ids(5, 7, 9)
    assert found(outcome="failed") == found(episode="run") == ids(11)
    assert found(since=NOON + timedelta(seconds=8)) == ids(8, 9, 11)
    _, newest = read.latest(store, "default", read.Wanted(), 1)
    append_many(store, [a_call(12)])
    assert found(after=newest) == ids(12)
    assert read.named_alike(store, "default", a_call(3).id[:10]) == ids(3)
    assert read.named_alike(store, "default", a_call(10).id) == [] == read.named_alike(store, "default", "%")


def test_episodes_are_kept(store: Store) -> None:
    run = Episode(id="run 1", name="nightly", at=NOON, subject="person 9")
    assert append_episodes(store, [run]) == 1
    assert append_episodes(store, [run]) == 0


def test_an_append_returns_when_the_call_is_durable(store: Store, a_call: MakeCall, a_score: MakeScore) -> None:
    """However many wait at once: they are committed in groups, and each is told."""

    async def serve() -> None:
        writer = Writer(store)

        async def one(n: int) -> None:
            await writer.append(a_call(n), [a_score(a_call(n))])
            assert read.find_call(store, "default", a_call(n).id) is not None

        await asyncio.gather(*(one(n) for n in range(100)))
        await writer.append_feedback([a_score(a_call(1), metric="style")])
        await writer.close()
        with pytest.raises(OperatorError, match="closed"):
            await writer.append(a_call(1))

    asyncio.run(serve())
    assert read.counts(store, "default")[:2] == (100, 101)


def test_a_waiter_that_gives_up_costs_nobody_else_a_call(store: Store, a_call: MakeCall) -> None:
    async def serve() -> None:
        writer = Writer(store)
        waiting = [asyncio.ensure_future(writer.append(a_call(n))) for n in range(50)]
        await asyncio.sleep(0)
        for given_up in waiting[::2]:
            given_up.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await writer.close()

    asyncio.run(serve())
    assert read.counts(store, "default").calls == 50


def test_a_bad_record_fails_alone(store: Store, a_call: MakeCall) -> None:
    """One that cannot be written and one that contradicts; the rest of their group is stored."""

    async def serve() -> list[BaseException | None]:
        writer = Writer(store)
        calls = [a_call(n) for n in range(20)]
        calls[7] = a_call(7, output=object())
        calls[9] = a_call(8, output="contradicts 8")
        ended = await asyncio.gather(*(writer.append(call) for call in calls), return_exceptions=True)
        await writer.close()
        return ended

    ended = asyncio.run(serve())
    assert [n for n, error in enumerate(ended) if error is not None] == [7, 9]
    assert isinstance(ended[7], DataError) and isinstance(ended[9], DataError)
    assert read.counts(store, "default").calls == 18


def test_a_closing_writer_stores_what_was_queued(store: Store, a_call: MakeCall) -> None:
    async def serve() -> None:
        writer = Writer(store)
        waiting = [asyncio.ensure_future(writer.append(a_call(n))) for n in range(300)]
        await asyncio.sleep(0)
        await writer.close()
        await asyncio.gather(*waiting)

    asyncio.run(serve())
    assert read.counts(store, "default").calls == 300


@contextmanager
def locked(store_url: str, folder: Path) -> Iterator[None]:
    """A store that somebody else keeps from being written."""
    with open_store(store_url, folder) as other, other.writing() as connection:
        if other.kind == "postgresql":
            connection.exec_driver_sql("LOCK TABLE calls IN EXCLUSIVE MODE")
        yield


def test_the_loop_goes_on_while_somebody_else_writes(store_url: str, tmp_path: Path, a_call: MakeCall) -> None:
    """Where nobody does it commits by itself; else a thread waits for it."""

    async def serve(store: Store) -> None:
        writer = Writer(store)
        with locked(store_url, tmp_path):
            waiting = asyncio.ensure_future(writer.append(a_call(1)))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not waiting.done()
        await waiting
        await writer.append(a_call(2))
        await writer.close()

    with open_store(store_url, tmp_path, busy_s=30.0) as store:
        asyncio.run(asyncio.wait_for(serve(store), 20))
        assert read.counts(store, "default").calls == 2


def test_calls_wait_in_the_spool_until_the_store_takes_them(
    store_url: str, tmp_path: Path, a_call: MakeCall, a_score: MakeScore, caplog: pytest.LogCaptureFixture
) -> None:
    """All are acknowledged, only the first waits for the lock, and every field comes through."""
    spool = Spool(tmp_path / "spool")

    async def serve(store: Store) -> None:
        writer = Writer(store, spool)
        with locked(store_url, tmp_path):
            await writer.append(a_call(0))
            await asyncio.gather(*(writer.append(whole_call(a_call(n)), [a_score(a_call(n))]) for n in range(1, 100)))
            with pytest.raises(DataError):
                await writer.append(a_call(200, output=object()))
            assert caplog.text.count("journal.spooling: until") == 1  # the others did not ask the store any more
            assert read.counts(store, "default").calls == 0
        while spool.files():
            await asyncio.sleep(0.02)
        await writer.append(a_call(100))
        await writer.close()

    with open_store(store_url, tmp_path, busy_s=0.3) as store:
        asyncio.run(asyncio.wait_for(serve(store), 60))
        assert read.counts(store, "default")[:2] == (101, 99)
        assert read.find_call(store, "default", a_call(7).id) == whole_call(a_call(7))
    assert "journal.spooling" in caplog.text and "journal.spool_brought_in: 100 calls" in caplog.text


def test_what_a_writer_left_in_the_spool_is_brought_in_by_the_next(store: Store, tmp_path: Path, a_call: MakeCall) -> None:
    gone = Spool(tmp_path / "spool")
    gone.append([Entry(a_call(n)) for n in range(10)])
    gone.close()

    async def serve() -> None:
        writer = Writer(store, Spool(tmp_path / "spool"))
        await writer.append(a_call(10))
        while writer.has_spooled:
            await asyncio.sleep(0.01)
        await writer.close()

    asyncio.run(serve())
    assert read.counts(store, "default").calls == 11 and not gone.files()


def test_what_the_spool_has_and_the_journal_knows_otherwise_is_set_aside_alone(
    store: Store, tmp_path: Path, a_call: MakeCall, a_score: MakeScore
) -> None:
    """It was acknowledged, so that it may not be lost without a word; and the others of its batch are stored."""
    append_many(store, [a_call(1), a_call(2)], [a_score(a_call(1), 1.0)])
    spool = Spool(tmp_path / "spool")
    spool.append([Entry(None, (a_score(a_call(1), 0.0),)), Entry(a_call(2, output="another")), Entry(a_call(3)), Entry(a_call(1))])
    assert list(spool.bring_in(partial(append_each, store))) == [2]
    (aside,) = (tmp_path / "spool").iterdir()
    assert aside.suffix == ".refused" and aside.read_bytes().count(b"\n") == 2
    assert read.counts(store, "default")[:2] == (3, 1)


def test_a_store_that_fails_half_way_is_asked_no_more(
    store: Store, tmp_path: Path, a_call: MakeCall, caplog: Any, monkeypatch: Any
) -> None:
    """A bad record makes its group be halved; were the store down by then, each half would wait for it."""
    asked = []

    def failing(store: Store, calls: list[Call], *_: object) -> Appended:
        asked.append(len(calls))
        raise DataError("a bad record") if len(calls) > 4 else StoreBusy("locked")

    monkeypatch.setattr("freehold.journal.write.append_many", failing)

    async def serve() -> None:
        writer = Writer(store, Spool(tmp_path / "spool"))
        await asyncio.gather(*(writer.append(a_call(n)) for n in range(8)))
        await writer.close()

    asyncio.run(serve())
    assert caplog.text.count("journal.spooling: until") == 1
    assert [count for count in asked if count <= 4] == [count for count in asked if count <= 4][:1]


def test_what_many_calls_bring_that_was_not_known_is_filled_in_at_once(store: Store, a_call: MakeCall) -> None:
    """Prices by one statement, content by another, however many they are."""
    known = [a_call(n, cost_usd=0.5, price_id="snapshot 1") for n in range(30)]
    bare = [redact(msgspec.structs.replace(call, cost_usd=None, price_id=None), "none") for call in known]
    append_many(store, [*bare[:10], *(msgspec.structs.replace(call, cost_usd=None, price_id=None) for call in known[10:20]), *known[20:]])
    told: list[str] = []

    def hear(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("UPDATE calls"):
            told.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        assert append_many(store, known).present == 30
    finally:
        event.remove(Engine, "before_cursor_execute", hear)
    assert len(told) == 2
    filled = [(call.input, call.output, call.cost_usd, call.price_id) for call in read.calls(store, "default")]
    assert filled == [(call.input, call.output, 0.5, "snapshot 1") for call in known]


def test_words_that_are_not_kept_leave_nothing_behind_when_they_are_told_again(store: Store, a_call: MakeCall) -> None:
    """Nothing would refer to them, and no erasure would find them."""
    told = a_call(1, input="mail bob@example.com", subject="bob")
    append_many(store, [redact(told, "redacted")])
    assert append_many(store, [told]).present == 1
    with store.reading() as connection:
        kept = [bytes(data) for data in connection.execute(select(contents.c.data)).scalars()]
    assert kept == [b'"mail [EMAIL]"']
    append_many(store, [redact(a_call(2), "none")])
    assert append_many(store, [a_call(2)]).present == 1  # where nothing was kept, it is kept now
    found = read.find_call(store, "default", a_call(2).id)
    assert found is not None and found.input == a_call(2).input


@pytest.mark.parametrize("best_effort", [True, False])
def test_without_a_spool_a_store_that_cannot_be_written_drops_or_fails(
    store_url: str, tmp_path: Path, a_call: MakeCall, best_effort: bool
) -> None:
    async def serve(store: Store) -> tuple[list[BaseException | None], int]:
        writer = Writer(store, best_effort=best_effort)
        with locked(store_url, tmp_path):
            ended = await asyncio.gather(*(writer.append(a_call(n)) for n in range(3)), return_exceptions=True)
        await writer.append(a_call(3))
        await writer.close()
        return ended, writer.dropped

    with open_store(store_url, tmp_path, busy_s=0.1) as store:
        ended, dropped = asyncio.run(serve(store))
        assert read.counts(store, "default").calls == 1
    assert dropped == (3 if best_effort else 0)
    assert all(error is None if best_effort else isinstance(error, StoreBusy) for error in ended)


def test_two_writers_of_one_id_agree(store: Store, store_url: str, tmp_path: Path, a_call: MakeCall) -> None:
    """Two event loops appending the same calls at once: each is stored once, nobody fails."""

    async def both(other: Store) -> None:
        first, second = Writer(store), Writer(other)
        await asyncio.gather(*(writer.append(a_call(n)) for n in range(200) for writer in (first, second)))
        await first.close()
        await second.close()

    with open_store(store_url, tmp_path, busy_s=5.0) as other:
        asyncio.run(both(other))
    assert read.counts(store, "default").calls == 200


def test_a_store_that_stays_locked_is_tried_until_it_is_free(store_url: str, tmp_path: Path, a_call: MakeCall) -> None:
    """Also where every try to open it anew fails like the first."""

    async def serve(store: Store) -> bool:
        writer = Writer(store, Spool(tmp_path / "spool"))
        with locked(store_url, tmp_path):
            await writer.append(a_call(1))
            await asyncio.sleep(2.5)
        for _ in range(500):
            if writer.is_store_up and not writer.has_spooled:
                break
            await asyncio.sleep(0.02)
        await writer.close()
        return writer.has_spooled

    with open_store(store_url, tmp_path, busy_s=0.1) as store:
        assert not asyncio.run(serve(store))
        assert read.counts(store, "default").calls == 1
