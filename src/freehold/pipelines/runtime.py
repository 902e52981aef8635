"""A project at work in this process: the gateway without a socket, on an event loop in a thread of its own.

One for a process and project, whoever calls from whichever thread or loop, so that connections, limits and budgets are shared.
"""

import asyncio
import atexit
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import CancelledError as FutureCancelled
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import uvloop

from freehold.chat import JSON, Chunk
from freehold.config import find_project
from freehold.errors import CallerError, Deferred, FreeholdError
from freehold.feedback.receive import Receiver
from freehold.gateway.budget import nano
from freehold.gateway.formats import OPENAI, error_message
from freehold.gateway.reply import Headers
from freehold.journal.call import Call, Episode
from freehold.journal.spool import Spool
from freehold.journal.write import Writer, append_episodes
from freehold.pipelines.failure import Cancelled, NotAsked, StepFailed
from freehold.pipelines.form import Manner
from freehold.pipelines.manners import Asks, Manners
from freehold.pipelines.run import Run
from freehold.pipelines.runs import Recorded, State, see
from freehold.pipelines.scope import Held, Scope
from freehold.project import Project
from freehold.serve import LATER, Exchange
from freehold.serving.asked import Asked
from freehold.serving.origin import Origin
from freehold.serving.resources import Resources
from freehold.serving.underway import Underway
from freehold.tables import TelemetryTable
from freehold.telemetry.telemetry import Telemetry

T = TypeVar("T")
_log = logging.getLogger("freehold.pipelines")

SOURCE = "python"
"""The `source` of calls that a program makes."""
PROJECT = "FREEHOLD_PROJECT"
"""The environment variable that says in which project a program runs."""
_LOOK_S = 1.0
_LASTS_S = 1.0
"""How long a run lasts at least of which the store hears: others are over before anybody could look."""
_LOOKS_FOR_EXAMPLES = 60
"""Every how manieth look what was rated well is looked up anew."""
_END_S = 30.0
_STOPPED = "it was cancelled"
_CLOSED = "The project was closed before this had ended."
_UNFINISHED: State = "cancelled"
_NO_WORDS = OPENAI._replace(write_answer=lambda answer: {})
"""The door of those to whom the call says what was answered."""
_IS_FINAL = (b"x-should-retry", b"false")
"""Said of what is refused for a budget's sake."""


class Told(NamedTuple):
    """How a call has ended."""

    status: int
    """As the gateway would have answered."""
    message: str
    """What went wrong; empty for an answer."""
    call: Call | None
    """As the journal has it; None where nobody was asked."""


class Runtime:
    """A project at work."""

    def __init__(self, project: Project) -> None:
        """Starts it. Raises OperatorError."""
        self.project = project
        self.pid = os.getpid()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="freehold-runtime", daemon=True)
        self._thread.start()
        self._is_closed = False
        try:
            self.run(self._begin())
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        """Ends the thread, and closes what it had."""
        writer: Writer | None = getattr(self, "_writer", None)
        if writer is not None:
            asyncio.run_coroutine_threadsafe(writer.close(), self._loop).result(_END_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_END_S)
        if not self._thread.is_alive():
            self._loop.close()
        self.project.__exit__(None, None, None)

    async def _begin(self) -> None:
        project, on_failure = self.project, self.project.config.journal.on_failure
        self._writer = Writer(
            project.store, Spool(project.spool) if on_failure == "spool" else None, best_effort=on_failure == "best_effort"
        )
        self.resources = Resources(project.config, project.store, self._writer, project.tenant, needs_every_key=False)
        self._underway = Underway(self.resources, Telemetry(TelemetryTable()))
        self._manners = Manners(self.resources)
        self._waiting: set[asyncio.Task[Any]] = set()
        """Who waits for an answer."""
        self._runs: dict[str, _UnderWay] = {}
        self._noting = threading.Lock()
        """Held while it is written down how runs stand, so that nothing older comes after."""
        self._ended_runs: list[tuple[_UnderWay, State, str]] = []
        self._episodes: list[Episode] = []
        self._looking = self._loop.create_task(self._look_around())

    async def _look_around(self) -> None:
        for n in count(1):
            await asyncio.sleep(_LOOK_S)
            try:
                if n % _LOOKS_FOR_EXAMPLES == 0:
                    await asyncio.to_thread(self._manners.look_for_examples)
                await self.resources.look_around()
                await asyncio.to_thread(self._manners.refresh)
                await self._see_runs()
            except Exception as error:  # noqa: BLE001 what is served goes on being served
                if not threading.main_thread().is_alive():  # the program ends, and begins no threads any more
                    return
                _log.warning("look.failed: what changed since in the store is not known yet: %s", error)

    @property
    def receiver(self) -> Receiver:
        """Who takes what is said about answers."""
        return self._underway.receiver

    # From any thread, and from any loop.

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on this loop."""
        return threading.get_ident() == self._thread.ident

    def now(self) -> float:
        """The loop's clock, from which deadlines are told."""
        return self._loop.time()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine gives that runs here, for a caller who waits. Ctrl-C cancels it. Raises as it does."""
        if self.is_here:
            work.close()
            raise CallerError(
                "This would wait for itself: it is called where Freehold's own loop runs. Await it there, as in `await task.acall(…)`."
            )
        future = self.submit(work)
        try:
            return future.result()
        except FutureCancelled:
            raise Cancelled(_CLOSED) from None
        except BaseException:
            future.cancel()
            raise

    def soon(self, step: Callable[[], object]) -> None:
        """Has a step taken here, where the project is not closed by then."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(step)

    async def arun(self, work: Coroutine[Any, Any, T]) -> T:
        """As `run`, for a caller on any loop."""
        if self.is_here:
            return await work
        return await asyncio.wrap_future(self.submit(work))

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Has a coroutine run here, for a caller who waits later. Raises Cancelled where the project was closed."""
        if self._is_closed:
            work.close()
            raise Cancelled(_CLOSED)
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def begin(self, run: Run, customer: str | None = None) -> None:
        """A run begins. Its episode is journalled, and who looks sees it where it lasts."""
        episode = Episode(id=run.id, tenant=self.project.tenant, name=run.name, at=datetime.now(UTC), customer=customer)
        self.soon(lambda: self._begin_run(_UnderWay(run, episode.at), episode))

    def note(self, run: Run, begun: datetime, state: State, why: str = "") -> None:
        """Writes down how a run stands, now."""
        with self._noting:
            see(self.project.store, self.project.tenant, [_UnderWay(run, begun).recorded(state, datetime.now(UTC), why)])

    def end(self, run: Run, state: State, why: str = "") -> None:
        """It is over."""
        self.soon(lambda: self._end_run(run, state, why))

    # Here.

    def _begin_run(self, under_way: "_UnderWay", episode: Episode) -> None:
        self._runs[under_way.run.id] = under_way
        self._episodes.append(episode)

    def _end_run(self, run: Run, state: State, why: str) -> None:
        under_way = self._runs.pop(run.id, None)
        if under_way is not None and under_way.is_told:
            self._ended_runs.append((under_way, state, why))

    async def _see_runs(self) -> None:
        """Writes down which runs there are: those that last, and those that were written down and are over."""
        now = datetime.now(UTC)
        lasting = [each for each in self._runs.values() if (now - each.begun).total_seconds() >= _LASTS_S]
        for each in lasting:
            each.is_told = True
        episodes, ended = self._episodes, self._ended_runs
        self._episodes, self._ended_runs = [], []
        try:
            for each in await asyncio.to_thread(self._written, episodes, ended, lasting, now):
                each.run.cancel()
        except BaseException:
            self._episodes, self._ended_runs = [*episodes, *self._episodes], [*ended, *self._ended_runs]
            raise

    def _written(
        self, episodes: Sequence[Episode], ended: Sequence[tuple["_UnderWay", State, str]], lasting: Sequence["_UnderWay"], now: datetime
    ) -> list["_UnderWay"]:
        """Writes them down. Gives the runs that somebody wants to stop. Raises OperatorError."""
        store, tenant = self.project.store, self.project.tenant
        if episodes:
            append_episodes(store, episodes)
        with self._noting:
            over = [each.recorded(state, now, why) for each, state, why in ended]
            seen = {run.id: run for run in (*over, *(each.recorded("running", now) for each in lasting))}  # one may have begun anew since
            stopped = see(store, tenant, list(seen.values())) if seen else set()
        return [each for each in lasting if each.run.id in stopped]

    async def manner(self, task: Asks) -> Manner:
        """As of `Manners.of`."""
        return await self._manners.of(task)

    async def ask(self, make: Callable[[], Asked], task: str, scope: Scope, on_chunk: Callable[[Chunk], None] | None = None) -> Told:
        """Puts a question to a task and waits until its call is durable. `on_chunk` hears the pieces of a streamed answer.

        Raises TookTooLong, BudgetSpent and Cancelled where the scope or its run say so. Where the caller is cancelled so is whoever is asked.
        """
        try:
            return await self._ask(make, task, scope, on_chunk)
        except StepFailed as error:
            error.task = error.task or task
            raise

    async def _ask(self, make: Callable[[], Asked], task: str, scope: Scope, on_chunk: Callable[[Chunk], None] | None) -> Told:
        now = time.monotonic()
        left = scope.left_s(now)
        try:
            plan = self.resources.tariff.plan(scope.plan)
        except CallerError as error:
            raise NotAsked(f"Task '{task}': {error}", task, scope.episode) from None
        held, episode = _Held(scope), scope.episode or ""
        heard: list[Call] = []

        def hear(call: Call) -> None:
            heard.append(call)
            if (desk := self.resources.desk_of(lambda: episode)) is not None:
                desk.keep(episode, call.id)
            if scope.run is not None:  # also where nobody waits for it any more
                scope.run.count(call)

        origin = Origin(
            SOURCE,
            task,
            customer=scope.customer,
            is_routed=True,
            ends_at=None if left is None else self._loop.time() + left,
            known=scope.known(now),
            hold=held.hold if scope.purses else None,
            heard=hear,
            waits=None if scope.run is None else scope.run.waits,
        )
        ended: asyncio.Future[tuple[int, bytes]] = self._loop.create_future()
        pieces = _Pieces(on_chunk or (lambda chunk: None))
        reply = _Reply(ended, pieces, lambda: held.settle(exchange.cost_usd))
        door = OPENAI._replace(write_answer=lambda answer: {}, stream_writer=lambda with_usage: pieces)
        exchange = Exchange(self._underway, door, reply, origin)
        caller = self.resources.callers.anybody
        if scope.customer is not None or scope.plan is not None:
            caller = msgspec.structs.replace(caller, customer=scope.customer, plan_name=scope.plan, plan=plan)
        stop = partial(exchange.give_up, _STOPPED)
        if scope.run is not None:
            scope.run.check()
            scope.run.under_way(stop)
        waiting = asyncio.current_task()
        assert waiting is not None
        self._waiting.add(waiting)
        try:
            exchange.ask(make, caller)
            status, body = await ended
        except asyncio.CancelledError:
            desk = self.resources.desk_of(lambda: episode)
            if desk is not None and desk.is_waiting(episode):  # for another question: this one is paid, and known when it is asked anew
                await asyncio.wait([ended])
            else:
                stop()
            raise
        finally:
            self._waiting.discard(waiting)
            if scope.run is not None:
                scope.run.over(stop)
        if isinstance(held.refused, StepFailed):
            raise held.refused
        call = heard[0] if heard else None
        if call is None and status == LATER:
            raise Deferred
        if status == 200:
            return Told(status, "", call)
        if call is None and (self._is_closed or (scope.run is not None and scope.run.is_cancelled)):
            status = 499
        elif call is None and exchange.was_asked:  # it was paid for, and there is nothing of it in the journal
            status = 503
        elif call is None and exchange.failure is not None and status == 503:  # not of ours, but of a model that is left alone for a while
            status = 502
        return Told(status, error_message(body), call)

    async def put(self, body: dict[str, JSON], origin: Origin) -> Told:
        """Puts a request to the model it names, on nobody's scope, and waits until its call is durable. For what asks on its own behalf."""
        heard: list[Call] = []
        ended: asyncio.Future[tuple[int, bytes]] = self._loop.create_future()
        reply = _Reply(ended, _Pieces(lambda chunk: None), lambda: None)
        exchange = Exchange(self._underway, _NO_WORDS, reply, origin._replace(heard=heard.append))
        waiting = asyncio.current_task()
        assert waiting is not None
        self._waiting.add(waiting)
        try:
            exchange.ask(lambda: Asked(OPENAI, body, len(msgspec.json.encode(body)), {}), self.resources.callers.anybody)
            status, said = await ended
        except asyncio.CancelledError:
            exchange.give_up(_STOPPED)
            raise
        finally:
            self._waiting.discard(waiting)
        return Told(status, "" if status == 200 else error_message(said), heard[0] if heard else None)

    def close(self) -> None:
        """Ends what is under way, and the journal. What was told to be done is durable."""
        if self._is_closed or self.pid != os.getpid():
            return
        self._is_closed = True
        atexit.unregister(self.close)
        try:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(_END_S)
            ended = [*self._ended_runs, *((each, _UNFINISHED, _CLOSED) for each in self._runs.values() if each.is_told)]
            with suppress(FreeholdError):
                self._written(self._episodes, ended, (), datetime.now(UTC))
        finally:
            self._writer.join()  # here, for a program that ends starts no threads any more
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_END_S)
            if not self._thread.is_alive():
                self._loop.close()
            self.project.__exit__(None, None, None)

    async def _end(self) -> None:
        """Ends what is under way here. It begins no threads: where the program is ending there can be none."""
        try:
            self._looking.cancel()
            self._underway.close()
            if self._waiting:
                await asyncio.wait(self._waiting, timeout=_END_S / 2)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=_LOOK_S)
        finally:
            self._writer.stop()


class _UnderWay:
    """A run that is under way here."""

    def __init__(self, run: Run, begun: datetime) -> None:
        self.run = run
        self.begun = begun
        self.is_told = False
        """Whether the store knows of it."""

    def recorded(self, state: State, now: datetime, why: str = "") -> Recorded:
        run = self.run
        progress = msgspec.structs.replace(run.progress, host=socket.gethostname(), pid=os.getpid(), why=why[:2_000])
        return Recorded(id=run.id, kind=run.kind, name=run.name, state=state, begun=self.begun, seen=now, progress=progress)


class _Held:
    """What is set aside for one call in the budgets of its scope."""

    def __init__(self, scope: Scope) -> None:
        self.refused: StepFailed | None = None
        self._scope = scope
        self._held = Held()

    def hold(self, most_nano: int) -> None:
        try:
            self._held = self._scope.hold(most_nano)
        except StepFailed as error:
            self.refused = error
            raise

    def settle(self, cost_usd: float | None) -> None:
        """It has ended. What it cost is charged; where that is unknown, what was set aside."""
        held, self._held = self._held, Held()
        self._scope.settle(held, held.most_nano if cost_usd is None else nano(cost_usd))


class _Reply:
    """The way back to a program: nothing matters but that the exchange has ended, and how."""

    is_gone = False
    on_gone: Callable[[], None] | None = None
    on_room: Callable[[bool], None] | None = None

    def __init__(self, ended: "asyncio.Future[tuple[int, bytes]]", pieces: "_Pieces", on_end: Callable[[], None]) -> None:
        self._ended = ended
        self._pieces = pieces
        self._on_end = on_end

    # As of `Reply`.

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        self._on_end()
        if not self._ended.done():
            is_spent = status == 429 and _IS_FINAL in headers
            self._ended.set_result((402 if is_spent else status, body))

    def begin(self, status: int, headers: Headers) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass

    def end(self) -> None:
        self.send(502 if self._pieces.why else 200, (), self._pieces.why)

    def abort(self) -> None:
        self.send(502, (), b"it broke off")


class _Pieces:
    """A stream that is heard, not written: as of `StreamWriter`."""

    def __init__(self, on_chunk: Callable[[Chunk], None]) -> None:
        self.why = b""
        self._on_chunk = on_chunk

    def write(self, chunk: Chunk) -> bytes:
        self._on_chunk(chunk)
        return b""

    def end(self) -> bytes:
        return b""

    def broken(self, message: str, kind: str) -> bytes:
        self.why = message.encode()
        return b""


# The project of this process. State of the module on purpose: a decorated function is called as it is, with nobody to hand it a project.

_running: Final[dict[tuple[Path, str], Runtime]] = {}
_lock: Final = threading.Lock()
_chosen: ContextVar[Runtime | None] = ContextVar("freehold_runtime", default=None)
_unasked: ContextVar[str] = ContextVar("freehold_unasked", default="")


def runtime() -> Runtime:
    """The project that a call belongs to: the one of `use`, else the one that FREEHOLD_PROJECT names, else the one around the current folder.

    It is opened at the first call and closed when the program ends. Raises OperatorError where there is none.
    """
    if why := _unasked.get():
        raise CallerError(why)
    chosen = _chosen.get()
    if chosen is not None and chosen.pid == os.getpid():
        return chosen
    if chosen is not None:  # its parent's: a child has none of the threads
        project = Project(chosen.project.config, chosen.project.tenant)
        key = project.folder, project.tenant
    else:
        project = None
        key = _project_from(os.path.abspath(os.environ.get(PROJECT) or ".")), "default"  # noqa: PTH100 by far the quicker, at every call
    with _lock:
        known = _running.get(key)
        if known is None or known.pid != os.getpid():
            known = _running[key] = Runtime(project or Project.at(key[0]))
            atexit.register(known.close)
        return known


@lru_cache(64)
def _project_from(start: str) -> Path:
    """As `find_project`, once for each folder: every call asks for it."""
    return find_project(Path(start))


@contextmanager
def use(project: Path | str | Project) -> Iterator[Runtime]:
    """Has every call within the block belong to a project, which is open for as long. What inherits it: as of `scope`. Raises OperatorError."""
    opened = Runtime(project if isinstance(project, Project) else Project.at(Path(project)))
    token = _chosen.set(opened)
    try:
        yield opened
    finally:
        _chosen.reset(token)
        opened.close()


@contextmanager
def unasked(why: str) -> Iterator[None]:
    """Has nobody be asked within the block: a call raises CallerError with this message."""
    token = _unasked.set(why)
    try:
        yield
    finally:
        _unasked.reset(token)
