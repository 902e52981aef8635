"""A person as a variant: a question lies in the store until somebody answers it or its deadline passes, whichever is first and once.

What is shown of a question is what the journal may keep of it. Its text is gone from here when it is over; who answered, when and for how
much stays.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection, select, update

from freehold.chat import JSON
from freehold.errors import FreeholdError
from freehold.store.open import Store
from freehold.store.schema import expert_asks
from freehold.store.times import microseconds, moment

State: TypeAlias = Literal["waiting", "answered", "late", "withdrawn"]
HOLD_S = 30.0
"""For how long a question of a process that nobody hears of is still shown: it says again and again that it waits."""
COLUMNS = (
    "tenant", "id", "call", "task", "variant", "expertise", "subject", "at", "deadline", "held_until", "price_nano", "state", "expert",
    "answered_at", "took_s", "used_by", "question", "answer",
)  # fmt: skip
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("freehold.serve")
_SOME = 400


class Shown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question as a person sees it."""

    input: JSON
    """What is asked."""
    instruction: str = ""
    """What its task asks of everybody, in words."""
    more: tuple[dict[str, str], ...] = ()
    """What was said after the question, as of an answer that is to be looked at: roles and contents."""
    form: JSON = None
    """A JSON schema of the answer; None for words."""


class ExpertAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question to people."""

    tenant: str = "default"
    """Whose data this is."""
    id: str
    """Unique; the same for the same question of a call that is begun anew."""
    call: str
    """The call that waits for it."""
    task: str
    """Its task."""
    variant: str
    """The variant by which it is asked."""
    expertise: str = ""
    """What a person has to know; empty for nothing."""
    subject: str | None = None
    """The person it is about."""
    at: datetime
    """When it was asked, UTC."""
    deadline: datetime
    """When nobody waits for it any longer, UTC."""
    price_nano: int
    """What an answer costs, and earns, in billionths of a dollar."""
    state: State = "waiting"
    """`late`: nobody answered in time. `withdrawn`: nobody wants it any more."""
    expert: str | None = None
    """Who answered."""
    answered_at: datetime | None = None
    """When, UTC."""
    took_s: float | None = None
    """How long the person took, as far as known."""
    used_by: str | None = None
    """The call that has the answer, once that is durable."""
    question: Shown | None = None
    """What is shown; None once it is over."""
    has_answer: bool = False
    """Whether it has an answer: null may be one."""
    answer: JSON = None
    """The answer, until its call is durable."""


class Beside(NamedTuple):
    """What has a question, and its answer, outlive this process."""

    write: Callable[[Connection], None] | None
    """Writes the call down, in the transaction in which the question is asked; None where whoever begins it anew finds the question."""
    written: Callable[[], None]
    """Hears when that is durable."""
    over: Callable[[], None] = lambda: None
    """Hears when it is waited for no longer."""


class Experts:
    """The questions that this process waits for."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._waiting: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Future[ExpertAsk]]] = {}
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._under_way: set[asyncio.Task[None]] = set()
        self._taken: dict[str, set[str]] = {}
        """By call that is under way, the questions that are its own."""

    async def answer(self, ask: ExpertAsk, beside: Beside | None) -> ExpertAsk:
        """The question when it is over, asked now unless it was before. `beside`: None where nobody else goes on with its call when this
        process ends. Raises OperatorError."""
        held, first, n = beside is None, ask.id, 0
        is_begun_anew = beside is None or beside.write is None
        while True:
            kept = (
                ask
                if self._is_taken(ask)
                else await asyncio.to_thread(put, self._store, ask, None if beside is None else beside.write, held)
            )
            is_another = kept is ask or kept.used_by not in (None, ask.call) or (kept.state == "withdrawn" and is_begun_anew)
            if not is_another:
                break
            n += 1  # the same question of the same run, asked once more
            ask = msgspec.structs.replace(ask, id=f"{first}-{n}")
        self._taken.setdefault(ask.call, set()).add(ask.id)
        if kept.state != "waiting":
            if beside is not None and beside.write is not None:
                beside.written()
            return kept
        loop = asyncio.get_running_loop()
        future: asyncio.Future[ExpertAsk] = loop.create_future()
        with self._lock:
            self._waiting[ask.id] = loop, future
            if held:
                self._held.add(ask.id)
        try:
            if beside is not None:
                beside.written()
            return await future
        finally:
            with self._lock:
                self._waiting.pop(ask.id, None)
                self._held.discard(ask.id)
            if beside is not None:
                beside.over()

    async def earlier(self, ids: Sequence[str]) -> set[str]:
        """Those of these questions that were asked before, and that no call has the answer of. Raises OperatorError."""
        taken = {id for some in self._taken.values() for id in some}
        found = await asyncio.to_thread(asks, self._store, self._tenant, [id for id in ids if id not in taken])
        return {ask.id for ask in found if ask.used_by is None and ask.state != "withdrawn"}

    def _is_taken(self, ask: ExpertAsk) -> bool:
        """Whether another call of this process has this question, or its answer."""
        return any(ask.id in ids for call, ids in self._taken.items() if call != ask.call)

    def free(self, call: str) -> None:
        """A call has ended."""
        self._taken.pop(call, None)

    def look(self, now: datetime) -> None:
        """Sees what was answered, and ends what is late. To be called now and then, in a thread. Raises OperatorError."""
        with self._lock:
            ids, held = list(self._waiting), list(self._held)
        if not ids:
            return
        found = {ask.id: ask for ask in asks(self._store, self._tenant, ids)}
        late = [ask.id for ask in found.values() if ask.state == "waiting" and ask.deadline <= now]
        if late:
            end(self._store, self._tenant, late, "late")
            found |= {ask.id: ask for ask in asks(self._store, self._tenant, late)}  # some may have been answered meanwhile
        if held:
            _hold(self._store, self._tenant, held, now)
        for id in ids:
            if (ask := found.get(id)) is None:  # erased with the person it was about
                ask = ExpertAsk(id=id, call="", task="", variant="", at=now, deadline=now, price_nano=0, state="withdrawn")
            if ask.state != "waiting":
                self._tell(ask)

    def _tell(self, ask: ExpertAsk) -> None:
        with self._lock:
            waiter = self._waiting.get(ask.id)
        if waiter is not None:
            loop, future = waiter
            loop.call_soon_threadsafe(lambda: None if future.done() else future.set_result(ask))

    def withdraw_soon(self, ids: Iterable[str]) -> None:
        """Nobody wants these any more. An answer that came before stays one."""
        if left := sorted(ids):
            self._soon(lambda: end(self._store, self._tenant, left, "withdrawn"))

    def used_soon(self, call: str) -> None:
        """A call is durable: its questions need their texts no more."""
        ids = sorted(self._taken.get(call, ()))
        self._soon(lambda: use(self._store, self._tenant, call, ids), lambda: self.free(call))

    def _soon(self, step: Callable[[], None], then: Callable[[], None] = lambda: None) -> None:
        """Has something written down beside. What is not is no harm: a question that nobody says he waits for is shown no more."""

        def written() -> None:
            try:
                step()
            except FreeholdError as error:
                _log.warning("expert.not_noted: %s", error)

        with suppress(RuntimeError):  # the program ends, and begins no threads any more
            task = asyncio.get_running_loop().create_task(asyncio.to_thread(written))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            task.add_done_callback(lambda _: then())


def put(store: Store, ask: ExpertAsk, beside: Callable[[Connection], None] | None = None, held: bool = False) -> ExpertAsk:
    """Asks a question, unless it is asked already, and gives it as it stands. Raises OperatorError."""
    with store.writing() as connection:
        store.insert_new(connection, "expert_asks", COLUMNS, "id", [_values(ask, held)])
        if beside is not None:
            beside(connection)
        return _rows(connection, ask.tenant, [ask.id])[0]


def asks(store: Store, tenant: str, ids: Sequence[str]) -> list[ExpertAsk]:
    """Questions by id, as they stand. Raises OperatorError."""
    with store.reading() as connection:
        return _rows(connection, tenant, ids)


def open_asks(store: Store, tenant: str, now: datetime, task: str | None = None, expertise: Iterable[str] | None = None) -> list[ExpertAsk]:
    """The questions that somebody waits for, those first that are due first. `expertise`: what whoever looks knows, beside what anybody does;
    None for everything. Raises OperatorError."""
    c = expert_asks.c
    held = c.held_until.is_(None) | (c.held_until > microseconds(now))
    wanted = select(*(c[name] for name in COLUMNS)).where(c.tenant == tenant, c.state == "waiting", c.deadline > microseconds(now), held)
    if task is not None:
        wanted = wanted.where(c.task == task)
    if expertise is not None:
        wanted = wanted.where(c.expertise.in_(["", *expertise]))
    with store.reading() as connection:
        return [_ask(row) for row in connection.execute(wanted.order_by(c.deadline, c.seq))]


def take_answer(connection: Connection, tenant: str, id: str, expert: str, answer: JSON, took_s: float | None, now: datetime) -> bool:
    """Whether an answer is the question's: not where it has one, is late, or is withdrawn."""
    c = expert_asks.c
    ours = (c.tenant == tenant) & (c.id == id) & (c.state == "waiting") & (c.deadline > microseconds(now))
    given = {"state": "answered", "expert": expert, "answered_at": microseconds(now), "took_s": took_s, "answer": _encode([answer])}
    result: Any = connection.execute(update(expert_asks).where(ours).values(**given, question=None))
    return int(result.rowcount) == 1


def use(store: Store, tenant: str, call: str, ids: Sequence[str]) -> None:
    """Notes that a call has the answers to these: their text is in the journal, as far as that keeps it."""
    c = expert_asks.c
    with store.writing() as connection:
        for some in _slices(ids):
            ours = (c.tenant == tenant) & c.id.in_(some)
            connection.execute(update(expert_asks).where(ours).values(call=call, used_by=call, answer=None, question=None))


def end(store: Store, tenant: str, ids: Sequence[str], state: State) -> None:
    """Ends those of these questions that nobody has answered."""
    c = expert_asks.c
    with store.writing() as connection:
        for some in _slices(ids):
            ours = (c.tenant == tenant) & c.id.in_(some) & (c.state == "waiting")
            connection.execute(update(expert_asks).where(ours).values(state=state, question=None))


def _hold(store: Store, tenant: str, ids: Sequence[str], now: datetime) -> None:
    """Says that they are waited for, where that is about to be forgotten."""
    c = expert_asks.c
    soon, until = microseconds(now + timedelta(seconds=HOLD_S / 2)), microseconds(now + timedelta(seconds=HOLD_S))
    with store.reading() as connection:
        due = connection.execute(select(c.id).where(c.tenant == tenant, c.id.in_(ids[:_SOME]), c.held_until < soon)).scalars().all()
    if due:
        with store.writing() as connection:
            connection.execute(update(expert_asks).where(c.tenant == tenant, c.id.in_(ids[:_SOME])).values(held_until=until))


def _rows(connection: Connection, tenant: str, ids: Sequence[str]) -> list[ExpertAsk]:
    c = expert_asks.c
    found: list[ExpertAsk] = []
    for some in _slices(ids):
        wanted = select(*(c[name] for name in COLUMNS)).where(c.tenant == tenant, c.id.in_(some))
        found += [_ask(row) for row in connection.execute(wanted)]
    return found


def _slices(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[begin : begin + _SOME] for begin in range(0, len(ids), _SOME))


def _values(ask: ExpertAsk, held: bool) -> tuple[Any, ...]:
    until = microseconds(datetime.now(UTC) + timedelta(seconds=HOLD_S)) if held else None
    return (
        ask.tenant, ask.id, ask.call, ask.task, ask.variant, ask.expertise, ask.subject, microseconds(ask.at), microseconds(ask.deadline),
        until, ask.price_nano, ask.state, None, None, None, None, bytearray(_encode(ask.question)), None,
    )  # fmt: skip


def _ask(row: Any) -> ExpertAsk:
    return ExpertAsk(
        tenant=row.tenant,
        id=row.id,
        call=row.call,
        task=row.task,
        variant=row.variant,
        expertise=row.expertise,
        subject=row.subject,
        at=moment(row.at),
        deadline=moment(row.deadline),
        price_nano=row.price_nano,
        state=row.state,
        expert=row.expert,
        answered_at=None if row.answered_at is None else moment(row.answered_at),
        took_s=row.took_s,
        used_by=row.used_by,
        question=None if row.question is None else msgspec.json.decode(row.question, type=Shown),
        has_answer=row.answer is not None,
        answer=None if row.answer is None else msgspec.json.decode(row.answer)[0],
    )
