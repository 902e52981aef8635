"""Questions of a batch that are handed to their providers together, at their price for that, and come back within a day.

The rows are gone through; where a model would be asked, its question is taken down and the row left. What was taken down is handed over, and
when all of it has come back the rows are gone through again: what was asked is answered then, and further questions are taken down. A task
takes one such round, a pipeline as many as it has steps that wait for each other. So whatever asks models in whichever order can be handed
over, as long as it asks the same when it is run again.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

import msgspec

from freehold.catalog import Task
from freehold.chat import JSON, Usage
from freehold.errors import CallerError, Deferred, OperatorError, ProviderError
from freehold.pipelines.run import Run
from freehold.pipelines.runtime import Runtime
from freehold.providers.batch_api import APIS
from freehold.providers.batches import BatchTicket, cancel, poll, results, settle, submit
from freehold.providers.desk import HandedOver, Told
from freehold.providers.provider import Provider, Target

_LOOK_S = (2.0, 60.0)
"""How long it is waited between two looks: at first, and once it takes long."""
_SLOWER = 1.5
_GRACE_S = 0.1
_MOST_FAILURES = 20
"""After so many looks in a row without an answer it is given up for now."""
_ID_BYTES = 16
_LOST = "its provider's batch ended without an answer to it"
_log = logging.getLogger("freehold.pipelines")


class RowsDesk:
    """Takes down what the rows of one batch ask, on the disk, by ids that follow from the row and the question. As of `Desk`."""

    def __init__(self, path: Path, takes: Callable[[Target], bool], batch: str) -> None:
        """`path`: a file of its own, which is gone when it is closed. `batch`: what the ids of its runs begin with. Raises OperatorError where
        it cannot be written."""
        self.takes = takes
        self._batch = batch
        self.found = 0
        """How many answers were given out since `forget`."""
        self._path = path
        self._taken: dict[str, dict[str, str]] = {}
        """Of each session that is under way, which answers were given to, or are waited for by, which call."""
        self._waiting: set[str] = set()
        """Which of those wait for an answer."""
        try:
            path.unlink(missing_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.executescript(
                "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
                "CREATE TABLE asked(id TEXT PRIMARY KEY, provider TEXT, body BLOB) WITHOUT ROWID;"
                "CREATE TABLE told(id TEXT PRIMARY KEY, status INTEGER, body BLOB, is_used INTEGER DEFAULT 0) WITHOUT ROWID;"
            )
        except (OSError, sqlite3.Error) as error:
            raise OperatorError(f"Cannot write '{path}': {error}. Make room, or make '{path.parent}' writable for this user.") from error

    def close(self) -> None:
        """Its file is gone."""
        self._db.close()
        self._path.unlink(missing_ok=True)

    # As of `Desk`.

    def serves(self, session: str) -> bool:
        """As of `Desk`."""
        return session.startswith(self._batch)

    def find(self, session: str, call: str, target: Target, body: bytes) -> Told:
        """As of `Desk`."""
        id, told = self.look(session, call, target, body)
        if told is not None:
            self.found += 1
            return told
        self._waiting.add(session)
        self._db.execute("INSERT OR IGNORE INTO asked VALUES (?, ?, ?)", (id, target.provider.name, body))
        raise HandedOver

    def look(self, session: str, call: str, target: Target, body: bytes) -> tuple[str, Told | None]:
        """As of `Desk`."""
        taken = self._taken.get(session)
        if taken is None:  # something that its run began and did not wait for
            raise HandedOver
        n = 0
        while True:  # the same may be asked several times, and each time is answered by itself
            said = f"{session}\0{target.provider.name}\0{n}\0".encode()
            id = blake2b(said + body, digest_size=_ID_BYTES).hexdigest()
            n += 1
            if id in taken:
                continue
            row = self._db.execute("SELECT status, body, is_used FROM told WHERE id = ?", (id,)).fetchone()
            if row is not None and row[2]:
                continue
            taken[id] = call
            return id, None if row is None else Told(row[0], row[1])

    def tell(self, id: str, told: Told) -> None:
        """As of `Desk`."""
        self._db.execute("INSERT OR IGNORE INTO told(id, status, body) VALUES (?, ?, ?)", (id, told.status, told.body))

    def keep(self, session: str, call: str) -> None:
        """As of `Desk`."""
        used = [(id,) for id, taker in self._taken.get(session, {}).items() if taker == call]
        self._db.executemany("UPDATE told SET is_used = 1, body = x'' WHERE id = ?", used)

    # For whoever hands over.

    def enter(self, session: str) -> None:
        """A run begins."""
        self._taken[session] = {}

    def leave(self, session: str) -> None:
        """It has ended, or waits for its next time."""
        self._taken.pop(session, None)
        self._waiting.discard(session)

    def is_waiting(self, session: str) -> bool:
        """Whether anything that a run asked is answered later."""
        return session in self._waiting

    def forget(self) -> None:
        """The rows are gone through anew."""
        self.found = 0
        self._db.execute("DELETE FROM asked")

    def providers(self) -> list[str]:
        """Whose questions were taken down."""
        return [name for (name,) in self._db.execute("SELECT DISTINCT provider FROM asked ORDER BY provider")]

    def asked(self, provider: str) -> Iterator[tuple[str, bytes]]:
        """The questions to one, always in the same order."""
        yield from self._db.execute("SELECT id, body FROM asked WHERE provider = ? ORDER BY id", (provider,))

    def has_answers(self) -> bool:
        """Whether anything came back for what was taken down since `forget`."""
        return self._db.execute("SELECT 1 FROM asked JOIN told USING (id) LIMIT 1").fetchone() is not None

    def give_up(self, provider: str, why: str) -> None:
        """Nothing more comes back from one."""
        told = (502, why.encode(), provider)
        self._db.execute("INSERT OR IGNORE INTO told(id, status, body) SELECT id, ?, ? FROM asked WHERE provider = ?", told)


class Handing:
    """The rounds of one batch. What was handed over is noted with its run before it is sent, so that a kill hands nothing over twice."""

    def __init__(self, at: Runtime, run: Run, begun: datetime, desk: RowsDesk, tries_again: bool) -> None:
        self._again = {ticket.id for ticket in run.progress.tickets} if tries_again else set[str]()
        """What had no answer in these is handed over again."""
        self._at = at
        self._run = run
        self._begun = begun
        self.desk = desk
        self._loaded: set[str] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._wakes = asyncio.Event()

    def wake(self) -> None:
        """Somebody wants it to end: it is looked at once whether that is so."""
        self._wakes.set()

    async def through(self, all_rows: Callable[[], Awaitable[None]], is_over: Callable[[], bool]) -> None:
        """Goes through the rows as often as that asks anything new. Raises ProviderError where a provider takes no batch, or is away."""
        while True:
            await self._come_back(is_over)
            if is_over():
                return
            came_back = self.desk.has_answers()
            self.desk.forget()
            await self._all_asked(all_rows)
            asked = self.desk.providers()
            if is_over() or not asked:
                return
            if came_back and not self.desk.found:
                raise CallerError(
                    f"'{self._run.name}' asks something else each time it is run, so that what was handed over answers nothing. "
                    "Make what it asks follow from the row alone, or leave out --provider-batch."
                )
            for name in asked:
                await self._hand_over(name)

    async def given(self, run: Run, work: Awaitable[JSON]) -> JSON:
        """What a row's run gives. Raises Deferred where anything that it asked is answered later, whatever its program made of that."""
        self.desk.enter(run.id)
        try:
            try:
                given = await work
            except BaseException:
                if self.desk.is_waiting(run.id):
                    raise Deferred from None
                raise
            if self.desk.is_waiting(run.id):
                raise Deferred
            return given
        finally:
            if self.desk.is_waiting(run.id):
                task = asyncio.create_task(self._left(run))
                self._leaving.add(task)
                task.add_done_callback(self._leaving.discard)
            else:
                self.desk.leave(run.id)

    async def _left(self, run: Run) -> None:
        """What a run began and did not wait for may still ask, for a moment; what is asked at once is journalled first."""
        await asyncio.sleep(_GRACE_S)
        while run.has_under_way:
            await asyncio.sleep(_GRACE_S)
        run.cancel()
        self.desk.leave(run.id)

    async def _all_asked(self, all_rows: Callable[[], Awaitable[None]]) -> None:
        try:
            await all_rows()
        finally:
            await asyncio.gather(*self._leaving)

    async def stop(self) -> None:
        """Has the providers begin no more. What they answered by then comes when the batch is gone on with."""
        for ticket in self._under_way():
            try:
                await cancel(self._provider(ticket), ticket, self._note)
            except ProviderError as error:
                _log.warning("batch.goes_on: '%s' could not be told to begin no more: %s", ticket.provider, error)

    @property
    def why(self) -> str:
        """Who has how much of it still; empty for nobody."""
        left = [(ticket.provider, sum(part.requests for part in ticket.parts)) for ticket in self._under_way()]
        return ", ".join(f"'{name}' has {requests:,} of its questions as a batch, and goes on with them" for name, requests in left)

    def _under_way(self) -> list[BatchTicket]:
        return [ticket for ticket in self._run.progress.tickets if not ticket.is_over]

    def _provider(self, ticket: BatchTicket) -> Provider:
        provider = self._at.resources.providers.get(ticket.provider)
        if provider is None:
            raise CallerError(f"Provider '{ticket.provider}' has a batch of this, and is not configured any more. Put its row back.")
        return provider

    async def _hand_over(self, name: str) -> None:
        ticket = f"{self._run.id}-{uuid4().hex[:8]}"
        await submit(self._at.resources.providers[name], self.desk.asked(name), self._note, ticket)

    async def _come_back(self, is_over: Callable[[], bool]) -> None:
        """Waits for what is under way, and reads what came back."""
        wait_s, failures = _LOOK_S[0], 0
        while True:
            for ticket in self._under_way():
                try:
                    if not ticket.needs_submit:
                        ticket = await poll(self._provider(ticket), ticket, self._note)
                    if ticket.needs_submit:  # rows may ask less by now, so it is not handed over again as it was
                        await settle(self._provider(ticket), ticket, self._note)
                    failures = 0
                except ProviderError as error:
                    failures += 1
                    if failures >= _MOST_FAILURES:
                        raise
                    _log.warning("batch.unseen: '%s' does not say how far it is: %s", ticket.provider, error)
            if is_over() or not self._under_way():
                break
            await self._wait(wait_s)
            wait_s = min(_LOOK_S[1], wait_s * _SLOWER)
        for ticket in self._run.progress.tickets:
            if ticket.is_over and ticket.id not in self._loaded:
                await self._load(ticket)

    async def _wait(self, seconds: float) -> None:
        self._wakes.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wakes.wait(), seconds)

    async def _load(self, ticket: BatchTicket) -> None:
        async for result in results(self._provider(ticket), ticket):
            if result.status != "cancelled" and (result.code == 200 or ticket.id not in self._again):
                self.desk.tell(result.custom_id, Told(result.code, result.body or result.why.encode()))
        if all(part.batch is not None for part in ticket.parts):  # else some were never handed over, and are asked anew
            why = next((f"{_LOST}: {part.why}" for part in ticket.parts if part.why), _LOST)
            self.desk.give_up(ticket.provider, why)
        self._loaded.add(ticket.id)

    def _note(self, ticket: BatchTicket) -> None:
        """Keeps a ticket, durably; called in a thread."""

        async def keep() -> None:
            others = [each for each in self._run.progress.tickets if each.id != ticket.id]
            self._run.progress = msgspec.structs.replace(self._run.progress, tickets=(*others, ticket))

        self._at.submit(keep()).result()
        self._at.note(self._run, self._begun, "running")


def takes_batches(at: Runtime) -> Callable[[Target], bool]:
    """Which models' questions are handed over: those of a provider that has batches, and whose price for that is known."""
    known: dict[str, bool] = {}
    any_usage = Usage(input_tokens=1, output_tokens=1)

    def takes(target: Target) -> bool:
        if target.variant not in known:
            provider = target.provider
            cost, _ = at.resources.prices.of_a_batch(target.variant, any_usage, datetime.now(UTC), provider.pool.origin.host)
            known[target.variant] = cost is not None and provider.format.name in APIS
        return known[target.variant]

    return takes


def check_takes_batches(at: Runtime, task: Task | None) -> None:
    """Raises CallerError where nobody who may be asked takes batches. `task`: whose questions they are, where they are one's."""
    takes, has = takes_batches(at), at.resources
    may_all = [name for name in (*task.variants, task.reference) if name is not None] if task is not None else []
    asked = {name for variant in may_all for name, _ in has.may_be_asked(variant)}
    if not any(takes(target) for target in has.targets() if task is None or target.variant in asked):
        raise CallerError(
            "--provider-batch hands questions to providers whose price for batches is known, and no model has one. OpenAI's and Anthropic's "
            "own are; for another give a model named 'NAME (batch)' of the same provider a price."
        )


@contextmanager
def handing_over(at: Runtime, run: Run, begun: datetime, path: Path, tries_again: bool) -> Iterator[Handing]:
    """Questions of the batch's rows are taken down. `path`: where, beside the output. `tries_again`: whether what earlier runs handed over
    without an answer is handed over again."""
    desk = RowsDesk(path, takes_batches(at), run.id)
    try:
        with at.resources.handing_over(desk):
            yield Handing(at, run, begun, desk, tries_again)
    finally:
        desk.close()
