"""Erasing a person, on each database."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from freehold.errors import StoreBusy
from freehold.gateway.ledger import Account, Settlement, book
from freehold.gateway.recount import recount
from freehold.gateway.spending import spending
from freehold.journal import read
from freehold.journal.call import Attempt, Call, Episode, Feedback
from freehold.journal.erase import erase
from freehold.journal.rows import INLINE_BYTES
from freehold.journal.write import append_episodes, append_many
from freehold.store import schema
from freehold.store.open import Store, open_store

MakeCall = Callable[..., Call]
MakeScore = Callable[..., Feedback]
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def everything_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_everything_of_a_person_goes_and_nothing_of_others(store: Store, a_call: MakeCall, a_score: MakeScore) -> None:
    attempt = Attempt(n=0, variant="v", cause="first", outcome="answered", at=NOON)
    large = "x" * (INLINE_BYTES + 1)
    hers = [
        a_call(1, subject="ann", attempts=(attempt,), episode="run"),
        a_call(2, subject="ann", input=large),
        a_call(3, subject="ann", input="shared", item="shared"),
    ]
    others = [
        a_call(4, subject="bob", input="shared", item="shared"),
        a_call(5, attempts=(attempt,)),
        a_call(6, subject="ann", tenant="other", input=large),
    ]
    said = [a_score(call) for call in hers] + [a_score(call, tenant=call.tenant) for call in others]
    append_many(store, hers + others, said)
    append_episodes(store, [Episode(id="run", at=NOON, subject="ann"), Episode(id="other run", at=NOON, subject="bob")])
    with store.writing() as connection:
        drawn = [
            {"tenant": "default", "task": "triage", "session": "s", "position": n, "item": call.item, "inclusion": 1.0, "at": 0}
            for n, call in enumerate((hers[0], others[0]))
        ]
        connection.execute(insert(schema.draws), drawn)

    erased = erase(store, "default", "ann", NOON)
    assert (erased.calls, erased.attempts, erased.feedback, erased.episodes, erased.contents, erased.blobs, erased.draws) == (
        3,
        1,
        3,
        1,
        2,
        0,
        1,
    )
    assert erased.items == (("triage", hers[0].item), ("triage", hers[1].item))
    assert [read.find_call(store, "default", call.id) for call in hers] == [None] * 3
    assert [read.find_call(store, call.tenant, call.id) is not None for call in others] == [True] * 3
    found = read.find_call(store, "other", others[2].id)
    assert found is not None and found.input == large
    assert [len(read.feedback_of(store, call.tenant, call.id)) for call in hers + others] == [0, 0, 0, 1, 1, 1]
    with store.reading() as connection:
        assert connection.execute(select(schema.episodes.c.id)).scalars().all() == ["other run"]
        assert connection.execute(select(schema.draws.c.item)).scalars().all() == ["shared"]
        (record,) = connection.execute(select(schema.erasures)).all()
        assert record.counts.startswith(b'{"calls":3,')
        assert "ann" not in record.subject_hash

    assert erase(store, "other", "ann", NOON).blobs == 1
    assert list(store.blobs.names()) == []
    assert erase(store, "default", "ann", NOON).calls == 0


def test_what_a_person_was_billed_stays_without_their_name(store: Store, tmp_path: Path) -> None:
    """Sums have to go on adding up; where the customer is another than the person, it stays as it is."""
    billed = [
        Settlement(call=f"c{n}", account=Account(tenant=tenant, customer=customer), at=NOON, cost_nano=5, charged_nano=5)
        for n, (tenant, customer) in enumerate([("default", "ann-of-berlin"), ("default", "acme"), ("other", "ann-of-berlin")])
    ]
    with store.writing() as connection:
        book(store, connection, billed)
    assert erase(store, "default", "ann-of-berlin", NOON).billed == 1
    rows = spending(store, "default", "customer")
    assert sum(row.calls for row in rows) == 2 and "ann-of-berlin" not in {row.name for row in rows}
    assert recount(store, "default") == []
    assert [row.name for row in spending(store, "other", "customer")] == ["ann-of-berlin"]


def test_a_person_who_is_not_there_costs_nothing(store: Store) -> None:
    erased = erase(store, "default", "nobody", NOON)
    assert (erased.calls, erased.items) == (0, ())


def test_nothing_of_the_text_remains_in_any_file(tmp_path: Path, a_call: MakeCall, a_score: MakeScore) -> None:
    """Twenty people in random order, erased one by one, with others' rows between them: pages split, merge and move, and each time the
    bytes of all files are searched for every word of those who are gone."""
    rng = random.Random(7)
    people = [f"person-{n:02}-{rng.getrandbits(64):x}" for n in range(20)]
    owners = [person for person in people for _ in range(12)]
    rng.shuffle(owners)
    words = {person: [f"{rng.getrandbits(80):020x}" for _ in range(4)] for person in people}
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        for n, person in enumerate(owners):
            asked, answered, item, comment = (f"{word}-{n}" for word in words[person])
            call = a_call(
                n,
                subject=person,
                item=item,
                input=f"{asked} " * rng.choice([1, 20, 200]),
                output=f"{answered} " * rng.choice([1, 20, 6_000]),
            )
            note = a_score(call, None, kind="comment", content=comment)
            append_many(store, [call], [note])
        rng.shuffle(people)
        for gone, person in enumerate(people[:12], start=1):
            assert erase(store, "default", person, NOON).calls == 12
            if gone % 3 == 0:
                bytes_left = everything_on_disk(tmp_path)
                for one in people[:gone]:
                    assert not [word for word in [one, *words[one]] if word.encode() in bytes_left]
        assert all(words[person][0].encode() in everything_on_disk(tmp_path) for person in people[12:])
        assert read.counts(store, "default").calls == 8 * 12


def test_a_reader_that_holds_the_log_is_told_of(tmp_path: Path, a_call: MakeCall) -> None:
    """The rows are gone; the file is clean once the reader has ended and the erasure has run again."""
    with open_store("sqlite:///freehold.db", tmp_path, busy_s=0.2) as store:
        append_many(store, [a_call(1, subject="ann", input="a telling sentence")])
        with store.reading() as reader:
            reader.execute(select(schema.calls)).all()
            with pytest.raises(StoreBusy, match="a reader still holds the log"):
                erase(store, "default", "ann", NOON)
            assert read.counts(store, "default").calls == 0
        erase(store, "default", "ann", NOON)
        assert b"a telling sentence" not in everything_on_disk(tmp_path)
