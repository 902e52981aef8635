"""Conversations by id, on each database."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from freehold.chat import Media, Message, Text, Thinking, ToolCall, ToolResult
from freehold.context.conversation import StoredConversations, forget
from freehold.errors import CallerError
from freehold.journal.call import Call
from freehold.journal.erase import erase
from freehold.journal.write import append_many
from freehold.store.backup import backup, restore
from freehold.store.open import Store, open_store

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def said(text: str) -> Message:
    return Message(role="user", parts=(Text(text=text),))


def talks(
    store: Store, tenant: str = "default", now: datetime = NOON, call: str | None = None, subject: str | None = None
) -> StoredConversations:
    return StoredConversations(store, tenant, now, call, subject)


def test_what_was_said_is_read_as_it_was_said(store: Store) -> None:
    """Every kind of part, and characters of every kind."""
    image = Media(kind="image", media_type="image/png", data="aGk=")
    messages = (
        Message(role="system", parts=(Text(text="brief \x00 😀 余", cache={"type": "ephemeral"}),), name="n"),
        Message(role="user", parts=(Text(text=""), image)),
        Message(role="assistant", parts=(Thinking(text="hm", signature="s"), ToolCall(id="1", name="find", arguments="{}"))),
        Message(role="tool", parts=(ToolResult(call="1", parts=(image,), is_error=True),)),
    )
    kept = talks(store)
    assert kept.read("c") == ()
    assert kept.append("c", messages, at=0) == 4
    assert kept.append("d", [said("other")]) == 1
    assert kept.read("c") == messages


def test_telling_it_again_adds_nothing(store: Store) -> None:
    """Whole, in part, and with more after it."""
    kept = talks(store)
    assert kept.append("c", [said("a"), said("b")], at=0) == 2
    assert kept.append("c", [said("a"), said("b")], at=0) == 2
    assert kept.append("c", [said("b")], at=1) == 2
    assert kept.append("c", [said("b"), said("c")], at=1) == 3
    assert kept.append("c", [], at=3) == 3
    assert kept.read("c") == (said("a"), said("b"), said("c"))


def test_two_who_add_at_once_do_not_both_have_the_place(store: Store) -> None:
    """The second is told, and nothing of theirs is there."""
    kept = talks(store)
    kept.append("c", [said("a"), said("b")], at=0)
    with pytest.raises(CallerError, match=r"Conversation 'c' has another message at 1 already: .* and it has 2 now\. Read it again"):
        kept.append("c", [said("else"), said("more")], at=1)
    assert kept.read("c") == (said("a"), said("b"))


def test_nothing_is_added_behind_a_gap(store: Store) -> None:
    with pytest.raises(CallerError, match="'c' has 0 messages, and cannot be added to at 1"):
        talks(store).append("c", [said("a")], at=1)
    with pytest.raises(CallerError, match="at -1"):
        talks(store).append("c", [said("a")], at=-1)


@pytest.mark.parametrize("id", ["", "x" * 513, "a\0b"])
def test_an_id_is_a_short_text(store: Store, id: str) -> None:
    with pytest.raises(CallerError, match="expected 1 to 512, none of them NUL"):
        talks(store).append(id, [said("a")])


def test_many_add_at_the_end_and_none_is_lost(store: Store) -> None:
    """Eight threads, ten times two messages each: pairs stay together."""
    kept = talks(store)

    def add(who: int) -> None:
        for n in range(10):
            kept.append("c", [said(f"{who} {n} a"), said(f"{who} {n} b")])

    threads = [threading.Thread(target=add, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = [part.text for message in kept.read("c") for part in message.parts if isinstance(part, Text)]
    assert sorted(texts) == sorted(f"{who} {n} {half}" for who in range(8) for n in range(10) for half in "ab")
    assert all(one[:-1] == other[:-1] for one, other in zip(texts[::2], texts[1::2], strict=True))


def test_of_many_who_add_at_one_place_one_does(store: Store) -> None:
    kept = talks(store)
    ended: list[str] = []

    def add(who: int) -> None:
        try:
            kept.append("c", [said(str(who)), said("more")], at=0)
            ended.append("added")
        except CallerError:
            ended.append("refused")

    threads = [threading.Thread(target=add, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["added", *["refused"] * 7]
    assert len(kept.read("c")) == 2


def test_tenants_do_not_see_each_other(store: Store) -> None:
    talks(store).append("c", [said("a")], at=0)
    talks(store, "other").append("c", [said("b")], at=0)
    assert talks(store, "other").read("c") == (said("b"),)
    assert talks(store).read("c") == (said("a"),)


def test_erasing_a_person_removes_their_conversations_whole(store: Store, a_call: object) -> None:
    """Those that are said to be about them, and those in which a call about them was made; nobody else's."""
    assert callable(a_call)
    hers: Call = a_call(1, subject="ann")
    append_many(store, [hers, a_call(2, subject="bob")])
    talks(store, subject="ann").append("named", [said("a")], at=0)
    talks(store).append("named", [said("b")], at=1)
    talks(store).append("called", [said("c")], at=0)
    talks(store, call=hers.id).append("called", [said("d")], at=1)
    talks(store, call=a_call(2).id, subject="bob").append("his", [said("e")], at=0)
    talks(store, "other", subject="ann").append("named", [said("f")], at=0)
    assert erase(store, "default", "ann", NOON).conversation_messages == 4
    assert [talks(store).read(id) for id in ("named", "called")] == [(), ()]
    assert talks(store).read("his") == (said("e"),)
    assert talks(store, "other").read("named") == (said("f"),)


def test_nothing_of_an_erased_conversation_remains_in_any_file(tmp_path: Path) -> None:
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        talks(store, subject="ann").append("c", [said("a telling sentence")], at=0)
        erase(store, "default", "ann", NOON)
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"a telling sentence" in path.read_bytes()]


def test_forgetting_somebody_who_is_not_there_removes_nothing(store: Store) -> None:
    talks(store).append("c", [said("a")], at=0)
    with store.writing() as connection:
        assert forget(connection, "default", "nobody") == 0


def test_a_backup_has_them(store: Store, store_url: str, new_store_url: object, tmp_path: Path) -> None:
    assert callable(new_store_url)
    (tmp_path / "freehold.toml").write_text(f'[project]\nname = "x"\n[store]\nurl = "{store_url}"\n')
    talks(store).append("c", [said("a")], at=0)
    url = new_store_url()
    backup(store, tmp_path, tmp_path / "backup.tar", NOON)
    restore(tmp_path / "backup.tar", tmp_path / "restored", url)
    with open_store(url, tmp_path / "restored") as copy:
        assert talks(copy).read("c") == (said("a"),)
        assert talks(copy).append("c", [said("b")], at=1) == 2
