"""How a row becomes durable: whole batches in one transaction, and a writer that commits what is waiting in groups.

Imports no SQLAlchemy, which takes longer to import than a gateway's worker may take to start; the store it is handed has it already.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from freehold.errors import DataError, FreeholdError, OperatorError, StoreBusy
from freehold.gateway.budget import BudgetExceeded
from freehold.gateway.ledger import Reservation, Settlement, book
from freehold.journal.call import Call, Episode, Feedback
from freehold.journal.rows import (
    ATTEMPT_COLUMNS,
    CALL_COLUMNS,
    CONTENT_COLUMNS,
    EPISODE_COLUMNS,
    FEEDBACK_COLUMNS,
    INLINE_BYTES,
    CallRow,
    Values,
    call_row,
    episode_values,
    feedback_values,
)
from freehold.journal.spool import Entry, Spool
from freehold.store.times import microseconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from freehold.store.open import Store

_LOOK_S = 1.0
"""How long after a failure it is tried whether the store can be written again."""
GROUP = 1_000
"""The most calls the writer commits at once."""
_FEW, _FEW_BYTES = 64, 256 << 10
"""How much of a group is committed on the event loop at most: it waits meanwhile, some milliseconds."""
_GATHER_S = 0.001
_GATHERS_FROM = 4
"""Where so many came together, the next commit waits a moment for more: of four calls half its cost is the commit's own, of twenty a tenth."""

_log = logging.getLogger("freehold.journal")

Done: TypeAlias = Callable[[FreeholdError | None], None]
"""Told how an append ended, on the event loop: None once the row is durable."""


class Conflict(msgspec.Struct, frozen=True):
    """Two records of one id that say different things. The first one stays."""

    id: str
    """What both are called."""
    kept: Call | Feedback
    """What the journal says, as it is stored."""
    refused: Call | Feedback
    """What was told now, and was not stored."""


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """What an append did."""

    added: int = 0
    """Calls that are new."""
    present: int = 0
    """Calls that were there already, the same."""
    conflicts: tuple[Conflict, ...] = ()
    """Calls and feedback that were there already and said something else."""
    feedback_added: int = 0
    """Pieces of feedback that are new."""
    feedback_present: int = 0
    """Pieces of feedback that were there already, the same."""
    over_budget: dict[str, BudgetExceeded] = {}
    """Calls whose reservation was refused, and why."""


def append_many(
    store: Store,
    calls: Sequence[Call],
    feedback: Sequence[Feedback] = (),
    settlements: Sequence[Settlement] = (),
    reservations: Sequence[Reservation] = (),
    at_once: bool = False,
) -> Appended:
    """Stores what is told in one transaction: all of it or, where it raises, nothing. Telling a call again adds nothing.

    But what the journal did not know of it, a price or content that was not kept, it knows then.
    Feedback about a call that was refused for a conflict is left out with it; what a call cost is booked once, whatever else is told of it.
    Batches of 1,000 to 5,000 are fastest; much larger ones hold other writers up. Raises DataError for a record that cannot be stored,
    OperatorError for a store that cannot store it. `at_once`: for those who may not wait, StoreBusy where it would take its time.
    """
    rows, said = [call_row(call) for call in calls], [feedback_values(one) for one in feedback]
    if not (rows or said or settlements or reservations):
        return Appended()
    if at_once and sum(len(data) for row in rows for _, data in row.contents) > _FEW_BYTES:
        raise StoreBusy("The contents of these calls take their time.")
    with store.writing(at_once) as connection:
        added = store.insert_new(connection, "calls", CALL_COLUMNS, "id", [row.values for row in rows])
        refused: dict[int, Conflict] = {}
        if added < len(rows):
            from freehold.journal.conflict import calls_in_conflict, fill_what_was_unknown

            refused = calls_in_conflict(store, connection, calls, rows)
            rows = [row for place, row in enumerate(rows) if place not in refused]
            rows = fill_what_was_unknown(connection, rows)
        _insert_contents(store, connection, rows)
        store.insert_new(connection, "attempts", ATTEMPT_COLUMNS, "call, n", [attempt for row in rows for attempt in row.attempts])
        conflicts = list(refused.values())
        if refused:
            left_out = {conflict.id for conflict in conflicts} - {row.id for row in rows}
            kept = [place for place, one in enumerate(feedback) if one.call not in left_out]
            feedback, said = [feedback[place] for place in kept], [said[place] for place in kept]
        feedback_added = store.insert_new(connection, "feedback", FEEDBACK_COLUMNS, "id", said)
        disputed: list[Conflict] = []
        if feedback_added < len(said):
            from freehold.journal.conflict import feedback_in_conflict

            disputed = feedback_in_conflict(connection, feedback)
        # Last, for whoever books holds up every other writer of the ledger until the commit.
        over_budget = book(store, connection, settlements, reservations)
    return Appended(
        added=added,
        present=len(rows) - added,
        conflicts=(*conflicts, *disputed),
        feedback_added=feedback_added,
        feedback_present=len(said) - feedback_added - len(disputed),
        over_budget=over_budget,
    )


def append_each(store: Store, entries: Sequence[Entry | Reservation], at_once: bool = False) -> list[FreeholdError | None]:
    """Stores what was told together, and gives how each ended: a bad record fails alone, and so does a reservation that a budget does not
    allow. Raises OperatorError where the store cannot store; with `at_once`, as of `append_many`, also DataError for a bad record."""
    told = [entry for entry in entries if isinstance(entry, Entry)]
    try:
        appended = append_many(
            store,
            [entry.call for entry in told if entry.call is not None],
            [said for entry in told for said in entry.feedback],
            [entry.settlement for entry in told if entry.settlement is not None],
            [entry for entry in entries if isinstance(entry, Reservation)],
            at_once,
        )
    except DataError as error:
        if at_once:
            raise
        if len(entries) == 1:
            return [error]
        half = len(entries) // 2
        return append_each(store, entries[:half]) + append_each(store, entries[half:])
    if not appended.conflicts and not appended.over_budget:
        return [None] * len(entries)
    refused = {id(conflict.refused): conflict.id for conflict in appended.conflicts}
    return [_refusal(refused, one) if isinstance(one, Entry) else appended.over_budget.get(one.call) for one in entries]


def _refusal(refused: dict[int, str], entry: Entry) -> DataError | None:
    for record in (entry.call, *entry.feedback):
        if id(record) in refused:
            return DataError(f"'{refused[id(record)]}' is in the journal already and says something else; the first one stays.")
    return None


def append_feedback(store: Store, feedback: Sequence[Feedback]) -> Appended:
    """Stores feedback in one transaction. Saying it again adds nothing."""
    return append_many(store, (), feedback)


def append_episodes(store: Store, episodes: Sequence[Episode]) -> int:
    """Stores episodes in one transaction and gives how many are new."""
    with store.writing() as connection:
        return store.insert_new(connection, "episodes", EPISODE_COLUMNS, "id", [episode_values(episode) for episode in episodes])


def _insert_contents(store: Store, connection: Connection, rows: Iterable[CallRow]) -> None:
    by_tenant: dict[str, dict[bytes, bytes]] = {}
    for row in rows:
        if row.contents:
            by_tenant.setdefault(row.tenant, {}).update(row.contents)
    values: list[Values] = []
    large: list[bytes] = []
    for tenant, contents in by_tenant.items():
        for digest in sorted(contents):  # in one order, so that two batches never wait for each other
            data = contents[digest]
            if len(data) <= INLINE_BYTES:
                values.append((bytearray(digest), tenant, len(data), bytearray(data)))
            else:
                values.append((bytearray(digest), tenant, len(data), None))
                large.append(data)
    store.insert_new(connection, "contents", CONTENT_COLUMNS, "digest, tenant", values)
    for data in large:  # after their rows: from there on an erasure waits for us, and cannot remove the file we rely on
        store.blobs.put(data)


class _Waiting(msgspec.Struct, frozen=True):
    """An append or a reservation that waits for its group."""

    entry: Entry | Reservation
    done: Done


class _Signal(Enum):
    """What the writer's thread is told besides appends."""

    END = "end"
    STORE_IS_BACK = "store is back"


class Writer:
    """Commits what concurrent requests append, in groups: all that one round of their event loop brought.

    Where a commit waits for nothing, the loop commits small groups itself, for waking a thread and being woken by it costs as much again.
    Whatever takes its time or fails is a thread's, which takes all that waits whenever it is free. A bad record fails alone. What becomes of
    a group that the store does not take: with a spool it waits there, durable, until the store takes it; at best effort it is dropped and
    counted in `dropped`; otherwise all of it fails. Reservations are let through in the first two cases, for that we cannot look is not the
    caller's fault.
    """

    def __init__(self, store: Store, spool: Spool | None = None, best_effort: bool = False) -> None:
        self.dropped = 0
        """Calls that best effort could not store."""
        self.unchecked = 0
        """Calls that were let through without a look at their budgets."""
        self._store = store
        self._spool = spool
        self._best_effort = best_effort
        self._is_store_down = False
        self._coming_in: Iterator[int] | None = None
        self._gathered: list[_Waiting] = []
        """What this round of the event loop brought so far."""
        self._queue: SimpleQueue[_Waiting | _Signal] = SimpleQueue()
        self._closed = threading.Event()
        self._last = 0
        """How many the last group were."""
        if self.has_spooled:
            self._queue.put(_Signal.STORE_IS_BACK)  # what a writer left that is gone
        self._thread = threading.Thread(target=self._run, name="freehold-journal", daemon=True)
        self._thread.start()

    @property
    def is_store_up(self) -> bool:
        """Whether the store took what it was last given."""
        return not self._is_store_down

    @property
    def waiting(self) -> int:
        """How many appends wait for their turn."""
        return len(self._gathered) + self._queue.qsize()

    @property
    def spool_files(self) -> int:
        """How many files of calls wait outside the store, whoever wrote them."""
        return 0 if self._spool is None else len(self._spool.files())

    @property
    def has_spooled(self) -> bool:
        """Whether calls wait outside the store, whoever wrote them."""
        return self._spool is not None and bool(self._spool.files())

    def submit(self, call: Call | None, feedback: Sequence[Feedback], done: Done, settlement: Settlement | None = None) -> None:
        """Queues a call, feedback and what the call cost; `done` is called on the running event loop when they are durable, or with why
        they are not."""
        self._put(Entry(call, tuple(feedback), settlement), done)

    def reserve(self, reservation: Reservation, done: Done) -> None:
        """Queues a reservation; `done` is called on the running event loop when it is durable, or with BudgetExceeded."""
        self._put(reservation, done)

    async def append(self, call: Call, feedback: Sequence[Feedback] = ()) -> None:
        """Returns when the call is durable. Cancelling the wait does not take the call back. Raises as `append_many`."""
        await self._appended(call, feedback)

    async def append_feedback(self, feedback: Sequence[Feedback]) -> None:
        """Returns when the feedback is durable."""
        await self._appended(None, feedback)

    async def close(self) -> None:
        """Commits what was queued before, then ends. What still waits in the spool waits for the next writer."""
        self.stop()
        await asyncio.get_running_loop().run_in_executor(None, self.join)

    def stop(self) -> None:
        """Takes nothing more, and ends when what was queued before is committed. On the loop that appends come from."""
        if not self._closed.is_set():
            self._closed.set()
            self._hand_over()
            self._queue.put(_Signal.END)

    def join(self) -> None:
        """Waits until it has ended."""
        self._thread.join()

    def _put(self, entry: Entry | Reservation, done: Done) -> None:
        if self._closed.is_set():
            raise OperatorError("The journal's writer is closed; nothing can be appended after that.")
        if not self._gathered:
            self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._commit)
        self._gathered.append(_Waiting(entry, done))

    def _commit(self) -> None:
        """Commits here and now what was gathered, or leaves it to the thread."""
        group = self._gathered
        if self._store.commits_at_once and 0 < len(group) <= _FEW and not self._is_store_down:
            try:
                ended = append_each(self._store, [waiting.entry for waiting in group], at_once=True)
            except Exception:  # noqa: BLE001 whatever it is, it is the thread's to try again and to say
                self._hand_over()
            else:
                self._gathered = []
                _tell(group, ended)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        """Leaves what was gathered to the thread."""
        group, self._gathered = self._gathered, []
        for waiting in group:
            self._queue.put(waiting)

    async def _appended(self, call: Call | None, feedback: Sequence[Feedback]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: FreeholdError | None) -> None:
            if future.done():  # whoever waited was cancelled
                return
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)

        self.submit(call, feedback, done)
        await future

    def _run(self) -> None:
        """Groups of appends; between them, a batch at a time, what comes in from the spool."""
        is_over = False
        while not is_over:
            taken = self._taken(wait=self._coming_in is None)
            if group := [waiting for waiting in taken if isinstance(waiting, _Waiting)]:
                ended = self._ended(group)
                with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
                    self._loop.call_soon_threadsafe(_tell, group, ended)
            is_over = _Signal.END in taken
            if _Signal.STORE_IS_BACK in taken and self._spool is not None:
                self._is_store_down = False
                self._coming_in = self._spool.bring_in(partial(append_each, self._store))
            if self._coming_in is not None:
                self._bring_some_in(self._coming_in)
        if self._spool is not None:
            self._spool.close()

    def _taken(self, wait: bool) -> list[_Waiting | _Signal]:
        """What is waiting, as much as one group may be."""
        found: list[_Waiting | _Signal] = []
        with suppress(Empty):
            found.append(self._queue.get(block=wait))
            if self._last >= _GATHERS_FROM:
                time.sleep(_GATHER_S)
            while len(found) < GROUP:
                found.append(self._queue.get_nowait())
        self._last = len(found)
        return found

    def _ended(self, group: list[_Waiting]) -> Sequence[FreeholdError | None]:
        """How each of the group ended."""
        entries = [waiting.entry for waiting in group]
        try:
            if self._is_store_down:
                return self._spooled(entries)
            try:
                return append_each(self._store, entries)
            except FreeholdError as error:
                return self._refused(entries, error)
        except Exception as error:  # noqa: BLE001 the thread's boundary: whatever it is, nobody may wait for ever
            failure = OperatorError(f"The journal's writer failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            return [failure] * len(group)

    def _refused(self, entries: Sequence[Entry | Reservation], error: FreeholdError) -> Sequence[FreeholdError | None]:
        """What becomes of a group that the store does not take."""
        if self._spool is not None:
            _log.warning("journal.spooling: until the store can be written, calls wait in the spool. %s", error)
            self._look_for_the_store()
            return self._spooled(entries)
        if self._best_effort:
            told = [entry for entry in entries if isinstance(entry, Entry)]
            self.dropped += sum(entry.call is not None for entry in told)
            self.unchecked += len(entries) - len(told)
            _log.warning("journal.dropped: %d calls since the start are not in the journal. %s", self.dropped, error)
            return [None] * len(entries)
        return [error] * len(entries)

    def _spooled(self, entries: Sequence[Entry | Reservation]) -> Sequence[FreeholdError | None]:
        """Puts into the spool what the store would have taken. Reservations do not wait there: what a call cost comes in with it."""
        assert self._spool is not None
        ended = [_not_storable(entry) if isinstance(entry, Entry) else None for entry in entries]
        kept = [entry for entry, error in zip(entries, ended, strict=True) if isinstance(entry, Entry) and error is None]
        self.unchecked += sum(isinstance(entry, Reservation) for entry in entries)
        if not kept:
            return ended
        try:
            self._spool.append(kept)
        except OperatorError as worse:
            return [None if isinstance(entry, Reservation) else error or worse for entry, error in zip(entries, ended, strict=True)]
        return ended

    def _look_for_the_store(self) -> None:
        self._is_store_down = True
        threading.Thread(target=self._wait_for_the_store, name="freehold-journal-store", daemon=True).start()

    def _wait_for_the_store(self) -> None:
        """Apart from the writer's thread, for a store that is locked makes whoever asks wait."""
        while not self._closed.wait(_LOOK_S):
            try:
                with self._store.writing():
                    self._queue.put(_Signal.STORE_IS_BACK)
                    return
            except Exception:  # noqa: BLE001 whatever keeps it from being written, it is tried again
                with suppress(Exception):  # the same may keep it from that
                    self._store.renew()

    def _bring_some_in(self, coming_in: Iterator[int]) -> None:
        """The next batch from the spool; where the store does not take it, everything waits again."""
        try:
            count = next(coming_in, None)
        except Exception as error:  # noqa: BLE001 as in `_ended`
            _log.warning("journal.spooling: what waits in the spool could not be brought in yet. %s: %s", type(error).__name__, error)
            self._coming_in = None
            self._look_for_the_store()
            return
        if count is None:
            self._coming_in = None
        elif count:
            _log.warning("journal.spool_brought_in: %d calls are in the journal now.", count)


def _not_storable(entry: Entry) -> DataError | None:
    try:
        if entry.call is not None:
            call_row(entry.call)
        for said in entry.feedback:
            feedback_values(said)
        if entry.settlement is not None:
            microseconds(entry.settlement.at)
    except DataError as error:
        return error
    return None


def _tell(group: Sequence[_Waiting], ended: Sequence[FreeholdError | None]) -> None:
    for waiting, error in zip(group, ended, strict=True):
        waiting.done(error)
