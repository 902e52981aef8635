"""Calls over HTTP that wait for a person: they outlive their connection and their worker, and their answer lies here until it is fetched.

Whoever goes on with one says again and again that it does; where it stops saying so, another worker takes it up from what is written down.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from sqlalchemy import Connection, delete, select, update

from freehold.chat import JSON
from freehold.errors import FreeholdError
from freehold.gateway.reply import Headers, Reply
from freehold.journal.call import Attempt
from freehold.store.open import Store
from freehold.store.schema import pending_calls
from freehold.store.times import microseconds, moment

HOLD_S = 6.0
"""After so long without a word from its worker a call is another's."""
KEPT_S = 86_400.0
"""How long an answer lies here."""
_COLUMNS = ("tenant", "id", "key", "subject", "until", "holder", "held_until", "told_at", "done_at", "request", "reply")
_KEPT_COLUMNS = ("tenant", "id", "key", "subject", "until", "holder", "held_until", "request")
_MOST = 100
AGAIN_S = 10
"""After how long it is worth asking whether an answer has come."""
_FETCH_S = 0.5
_LOOKS_FOR_OLD = 600
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("freehold.serve")


class Going(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that goes on with a call."""

    door: str
    """The path by which it came in."""
    body: JSON
    """What it asks."""
    about: dict[str, str] = {}
    """What its headers said to us."""
    at: datetime
    """When it came, UTC."""
    task: str
    """Its task."""
    variant: str
    """The variant that waits for a person."""
    policy: str | None = None
    """Hash of the policy that chose it."""
    reserved_nano: int | None = None
    """What is held back for it."""
    attempts: tuple[Attempt, ...] = ()
    """Who was asked before."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as its caller gets it."""

    status: int
    """As of HTTP."""
    headers: tuple[tuple[str, str], ...]
    """Without those that say how long it is."""
    body: str
    """The whole of it."""


class PendingCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that waits for a person, or has ended."""

    tenant: str = "default"
    """Whose data this is."""
    id: str
    """The call's."""
    key: str | None = None
    """Id of the key it came with."""
    subject: str | None = None
    """The person it is about."""
    until: datetime
    """When it will have ended, UTC."""
    going: Going | None = None
    """What goes on with it; None once it has ended."""
    answered: Answered | None = None
    """Its answer; None until there is one."""
    is_told: bool = False
    """Whether its caller was told where the answer will be."""


def keep(store: Store, connection: Connection, call: PendingCall, holder: str, now: datetime) -> None:
    """Writes down what goes on with a call, within the connection's transaction; again for one that asks another person."""
    held = microseconds(now + timedelta(seconds=HOLD_S))
    row = (call.tenant, call.id, call.key, call.subject, microseconds(call.until), holder, held, bytearray(_encode(call.going)))
    store.put(connection, "pending_calls", _KEPT_COLUMNS, ("id",), [row])  # whether its caller was told stays as it is


def hold(store: Store, tenant: str, ids: Sequence[str], holder: str, now: datetime) -> None:
    """Says that this worker goes on with calls."""
    with store.writing() as connection:
        ours = _ours(tenant, holder) & pending_calls.c.id.in_(ids)
        connection.execute(update(pending_calls).where(ours).values(held_until=microseconds(now + timedelta(seconds=HOLD_S))))


def let_go(store: Store, tenant: str, id: str, holder: str, going: Going) -> None:
    """This worker goes on with it no more: another may at once, from here."""
    with store.writing() as connection:
        ours = _ours(tenant, holder) & (pending_calls.c.id == id)
        connection.execute(update(pending_calls).where(ours).values(held_until=0, request=_encode(going)))


def take_up(store: Store, tenant: str, holder: str, now: datetime) -> list[PendingCall]:
    """Calls that nobody goes on with: they are this worker's from now on. One look where there are none."""
    c = pending_calls.c
    left = (c.tenant == tenant) & c.done_at.is_(None) & (c.held_until <= microseconds(now))
    with store.reading() as connection:
        ids = connection.execute(select(c.id).where(left).order_by(c.seq).limit(_MOST)).scalars().all()
    if not ids:
        return []
    found = []
    with store.writing() as connection:
        for id in ids:
            claim = update(pending_calls).where(left & (c.id == id))
            result: Any = connection.execute(claim.values(holder=holder, held_until=microseconds(now + timedelta(seconds=HOLD_S))))
            if result.rowcount:
                found.append(_call(connection.execute(select(*(c[name] for name in _COLUMNS)).where(c.id == id)).one()))
    return found


def done(store: Store, tenant: str, id: str, answered: Answered, now: datetime) -> None:
    """A call has ended so; its answer can be fetched."""
    with store.writing() as connection:
        ours = (pending_calls.c.tenant == tenant) & (pending_calls.c.id == id)
        values = {"done_at": microseconds(now), "request": None, "reply": _encode(answered)}
        connection.execute(update(pending_calls).where(ours).values(**values))


def tell(store: Store, tenant: str, id: str, now: datetime) -> None:
    """Its caller was told where the answer will be."""
    with store.writing() as connection:
        ours = (pending_calls.c.tenant == tenant) & (pending_calls.c.id == id)
        connection.execute(update(pending_calls).where(ours).values(told_at=microseconds(now)))


def pending_call(store: Store, tenant: str, id: str) -> PendingCall | None:
    """The call of that id, where it waited for a person."""
    c = pending_calls.c
    with store.reading() as connection:
        row = connection.execute(select(*(c[name] for name in _COLUMNS)).where(c.tenant == tenant, c.id == id)).one_or_none()
    return None if row is None else _call(row)


def forget_old(store: Store, tenant: str, now: datetime) -> None:
    """Answers that were not fetched for long are gone; the journal has them."""
    c = pending_calls.c
    old = (c.tenant == tenant) & (c.done_at < microseconds(now - timedelta(seconds=KEPT_S)))
    with store.reading() as connection:
        if connection.execute(select(c.id).where(old).limit(1)).first() is None:
            return
    with store.writing() as connection:
        connection.execute(delete(pending_calls).where(old))


class PendingCalls:
    """Those that this worker goes on with."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._holder = uuid4().hex
        self._under_way: set[asyncio.Task[None]] = set()
        self._held_at = 0.0
        self._looks = 0

    def kept(self, call: PendingCall) -> Callable[[Connection], None]:
        """Writes down what goes on with a call, within a transaction."""
        return lambda connection: keep(self._store, connection, call, self._holder, datetime.now(UTC))

    def answered(self, id: str, answered: Answered) -> None:
        """A call has ended so. What cannot be written down now is found out anew by whoever takes the call up."""

        self._soon(id, lambda: done(self._store, self._tenant, id, answered, datetime.now(UTC)))

    def told(self, id: str) -> None:
        """Its caller was told where the answer will be."""
        self._soon(id, lambda: tell(self._store, self._tenant, id, datetime.now(UTC)))

    def _soon(self, id: str, step: Callable[[], None]) -> None:
        def write() -> None:
            try:
                step()
            except FreeholdError as error:
                _log.warning("pending.not_noted: %s", error, extra={"call": id})

        task = asyncio.get_running_loop().create_task(asyncio.to_thread(write))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def let_go(self, id: str, going: Going) -> None:
        """This worker ends: another takes the call up, at once where this can be written down and after a while where not."""
        try:
            let_go(self._store, self._tenant, id, self._holder, going)
        except FreeholdError as error:
            _log.warning("pending.not_let_go: %s", error, extra={"call": id})

    def look(self, ids: Sequence[str], now: datetime) -> list[PendingCall]:
        """Says that the worker goes on with these calls, and gives those that nobody goes on with: they are its own now. In a thread.
        Raises OperatorError."""
        self._looks += 1
        if ids and now.timestamp() - self._held_at >= HOLD_S / 3:
            self._held_at = now.timestamp()
            hold(self._store, self._tenant, ids, self._holder, now)
        if self._looks % _LOOKS_FOR_OLD == 1:
            forget_old(self._store, self._tenant, now)
        return [call for call in take_up(self._store, self._tenant, self._holder, now) if call.id not in ids]

    async def fetched(self, id: str, key: str | None, wait_s: float) -> PendingCall | None:
        """The call of that id, for whoever shows its key, as it stands once it has ended or after so long. None where there is none."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while True:
            call = await asyncio.to_thread(pending_call, self._store, self._tenant, id)
            if call is None or call.key != key:
                return None
            left = until - loop.time()
            if call.answered is not None or left <= 0:
                return call
            await asyncio.sleep(min(left, _FETCH_S))


def later(id: str) -> tuple[int, Headers, bytes]:
    """What a caller hears that need not wait: status, headers and body."""
    headers = (
        (b"content-type", b"application/json"),
        (b"x-freehold-call", id.encode()),
        (b"location", f"/v1/calls/{id}".encode()),
        (b"retry-after", b"%d" % AGAIN_S),
    )
    return 202, headers, _encode({"id": id, "object": "freehold.call", "status": "waiting", "answer_at": f"/v1/calls/{id}"})


class KeptReply:
    """The way back to a caller of a call that is kept: it hears as long as it is there, and what it would hear is kept as well."""

    def __init__(self, inner: Reply, keep: Callable[[Answered], None]) -> None:
        """`keep` is told the whole answer once."""
        self._inner = inner
        self._keep = keep
        self._begun: tuple[int, Headers] | None = None
        self._pieces: list[bytes] = []
        self.is_told = False
        """Whether the caller was told that the answer comes later, and where it will be."""

    @property
    def is_gone(self) -> bool:
        """As of `Reply`: not for a caller who knows where to fetch it."""
        return self._inner.is_gone and not self.is_told

    @is_gone.setter
    def is_gone(self, value: bool) -> None:
        self._inner.is_gone = value

    @property
    def on_gone(self) -> Callable[[], None] | None:
        """As of `Reply`."""
        return self._inner.on_gone

    @on_gone.setter
    def on_gone(self, step: Callable[[], None] | None) -> None:
        self._inner.on_gone = step

    @property
    def on_room(self) -> Callable[[bool], None] | None:
        """As of `Reply`."""
        return self._inner.on_room

    @on_room.setter
    def on_room(self, step: Callable[[bool], None] | None) -> None:
        self._inner.on_room = step

    def tell_later(self, status: int, headers: Headers, body: bytes) -> None:
        """The caller hears that it need not wait."""
        if not self.is_told and self._begun is None:
            self.is_told = not self._inner.is_gone
            self._inner.send(status, headers, body)

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        """As of `Reply`."""
        if not self.is_told:
            self._inner.send(status, headers, body)
        self._keep_it(status, headers, body)

    def begin(self, status: int, headers: Headers) -> None:
        """As of `Reply`."""
        self._begun = status, headers
        if not self.is_told:
            self._inner.begin(status, headers)

    def write(self, data: bytes) -> None:
        """As of `Reply`."""
        self._pieces.append(data)
        if not self.is_told:
            self._inner.write(data)

    def end(self) -> None:
        """As of `Reply`."""
        if not self.is_told:
            self._inner.end()
        if self._begun is not None:
            self._keep_it(*self._begun, b"".join(self._pieces))

    def abort(self) -> None:
        """As of `Reply`."""
        if not self.is_told:
            self._inner.abort()

    def _keep_it(self, status: int, headers: Headers, body: bytes) -> None:
        told = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
        self._keep(Answered(status=status, headers=told, body=body.decode("utf-8", "replace")))


def _ours(tenant: str, holder: str) -> Any:
    c = pending_calls.c
    return (c.tenant == tenant) & (c.holder == holder) & c.done_at.is_(None)


def _call(row: Any) -> PendingCall:
    return PendingCall(
        tenant=row.tenant,
        id=row.id,
        key=row.key,
        subject=row.subject,
        until=moment(row.until),
        going=None if row.request is None else msgspec.json.decode(row.request, type=Going),
        is_told=row.told_at is not None,
        answered=None if row.reply is None else msgspec.json.decode(row.reply, type=Answered),
    )
