"""Conversations by id: what was said in them, read whole and added to at the end, in the project's store.

A conversation is a row a message. Whoever adds says where, by how many messages it has read: two who add at once cannot both have that
place, and the one who is second is told. Adding the same there again adds nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, delete, func, select, text

from freehold.chat import Message
from freehold.errors import CallerError, DataError
from freehold.store.open import Store
from freehold.store.schema import conversation_message as rows
from freehold.store.times import microseconds

_COLUMNS = ("tenant", "conversation", "n", "message", "call", "subject", "at")
_MOST_ID = 512
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Message).decode


class StoredConversations:
    """A tenant's conversations in the project's store, as said in one call and about one person."""

    def __init__(self, store: Store, tenant: str, now: datetime, call: str | None = None, subject: str | None = None) -> None:
        """`call`: the call that what is added was said in. `subject`: the person it is about; erasing them removes the conversation."""
        self._store, self._tenant, self._at = store, tenant, microseconds(now)
        self._call, self._subject = call, subject

    def read(self, id: str) -> tuple[Message, ...]:
        """What was said, in order; nothing for one that nobody began. Waits for the store, as `append` does: within an event loop, call them in
        a thread. Raises OperatorError."""
        with self._store.reading() as connection:
            return tuple(_message(id, n, data) for n, data in connection.execute(_said(self._tenant, id, 0)))

    def append(self, id: str, messages: Sequence[Message], at: int | None = None) -> int:
        """Adds what was said, all of it or nothing, and gives how many messages the conversation has then.

        `at`: how many it had when it was read, which makes telling it again add nothing. Raises CallerError where something else stands
        there, or where it has fewer. None: at its end, whatever was added meanwhile; told again, that is added again. Raises OperatorError
        for a store that cannot be written.
        """
        if not 0 < len(id) <= _MOST_ID or "\0" in id:
            raise CallerError(f"A conversation's id has {len(id)} characters; expected 1 to {_MOST_ID}, none of them NUL.")
        data = [_encode(message) for message in messages]
        with self._store.writing() as connection:
            _hold(self._store, connection, self._tenant, id)
            found = connection.execute(_length(self._tenant, id)).scalar_one()
            begin = found if at is None else at
            if not 0 <= begin <= found:
                raise CallerError(f"Conversation '{id}' has {found} messages, and cannot be added to at {begin}. Read it again.")
            for n, there in connection.execute(_said(self._tenant, id, begin).limit(len(data))):
                if there != data[n - begin]:
                    raise CallerError(
                        f"Conversation '{id}' has another message at {n} already: somebody added to it meanwhile, and it has {found} now. "
                        "Read it again and add to its end."
                    )
            new = [
                (self._tenant, id, n, bytearray(one), self._call, self._subject, self._at)
                for n, one in enumerate(data, start=begin)
                if n >= found
            ]
            self._store.insert_new(connection, "conversation_message", _COLUMNS, "tenant, conversation, n", new)
            return int(found + len(new))


def said_in(store: Store, tenant: str, subject: str) -> list[dict[str, Any]]:
    """The messages of conversations about a person, in order, each with its conversation."""
    wanted = select(rows.c.conversation, rows.c.n, rows.c.message).where(rows.c.tenant == tenant, rows.c.subject == subject)
    with store.reading() as connection:
        found = connection.execute(wanted.order_by(rows.c.conversation, rows.c.n)).all()
    return [{"conversation": row.conversation, "n": row.n, "message": msgspec.json.decode(row.message)} for row in found]


def forget(connection: Connection, tenant: str, subject: str, calls: Select[str] | None = None) -> int:
    """Removes the conversations about a person, or in which one of these `calls` was made, whole, and gives how many messages that were.

    For whoever erases a person, in the same transaction and before the calls are deleted: what was said later in such a conversation
    repeats what was said before.
    """
    about = rows.c.subject == subject
    if calls is not None:
        about |= rows.c.call.in_(calls)
    named = select(rows.c.conversation).where(rows.c.tenant == tenant, about)
    result: Any = connection.execute(delete(rows).where(rows.c.tenant == tenant, rows.c.conversation.in_(named)))
    return int(result.rowcount)


def _hold(store: Store, connection: Connection, tenant: str, id: str) -> None:
    """On PostgreSQL whoever adds to this conversation waits for us until the commit; on SQLite whoever writes does already."""
    if store.kind == "postgresql":
        name = _encode([tenant, id]).decode()
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def _said(tenant: str, id: str, begin: int) -> Select[int, bytes]:
    named = (rows.c.tenant == tenant) & (rows.c.conversation == id)
    return select(rows.c.n, rows.c.message).where(named, rows.c.n >= begin).order_by(rows.c.n)


def _length(tenant: str, id: str) -> Select[int]:
    return select(func.coalesce(func.max(rows.c.n), -1) + 1).where(rows.c.tenant == tenant, rows.c.conversation == id)


def _message(id: str, n: int, data: bytes) -> Message:
    try:
        return _decode(data)
    except msgspec.DecodeError as error:
        raise DataError(f"Message {n} of conversation '{id}' is none that this Freehold can read: {error}. Upgrade it.") from error
