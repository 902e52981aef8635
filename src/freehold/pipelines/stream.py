"""A task or a pipeline over items that go on coming, until somebody says stop: from a pipe, a folder or a file that grows, to a pipe, a file or a folder.

Each item is a run of its own whose id follows from the stream and the item's key. What had not been finished when a stream was killed is
read again, and what the journal has of it is neither asked nor paid again.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from hashlib import blake2b
from math import inf
from typing import Any, NamedTuple, TypeVar

import msgspec

from freehold.chat import JSON
from freehold.errors import CallerError
from freehold.gateway.budget import nano
from freehold.journal.read import spent_on
from freehold.pipelines.failure import BudgetSpent, Cancelled, NotReady, kind_of, may_pass, words_of
from freehold.pipelines.folder import Folder
from freehold.pipelines.growing import GrowingFile
from freehold.pipelines.run import Progress, Run, Steps, spent_before
from freehold.pipelines.runs import known_steps
from freehold.pipelines.runtime import Runtime
from freehold.pipelines.scope import Scope, current
from freehold.pipelines.sinks import Dead, FilesFolder, Line, LinesFile, Pipe, Sink, State, only_one, read_state, write_state
from freehold.pipelines.sources import Item, Lines, Source, decoder
from freehold.pipelines.step import Program, Step
from freehold.pipelines.stream_job import MOST_AT_ONCE, Ended, Job, Report, check, is_folder, source_name, stream_id

T = TypeVar("T")
CHECKPOINT_S = 1.0
"""How long after an item is finished that is noted, at most, where noting is quick."""
_NOTING_SHARE = 20
_LOOK_S = 0.05
_TELL_S = 0.5
_LEAST_LOOKED_BACK = 256
_ITEM_BYTES = 10
_LONGEST_WAIT_S = 60.0
_MOST_WHY = 10_000
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("freehold.pipelines")


class _UnderWay(NamedTuple):
    item: Item
    since: float
    out_bytes: int
    dead_bytes: int


class Stream:
    """One run of a stream. `stop` may be called from any thread while it lasts."""

    def __init__(
        self,
        at: Runtime,
        program: Program,
        job: Job,
        tell: Callable[[Progress], None] = lambda _: None,
        descriptors: tuple[int, int] = (0, 1),
    ) -> None:
        """`descriptors`: of the pipes that stand for standard input and output. Raises CallerError for a job that cannot be done."""
        self._at = at
        self._step = Step(program)
        self.id = stream_id(program.name, job)
        self.out = "stdout" if job.to is None else str(job.to)
        beside = job.to if job.to is not None else at.project.folder / "streams" / self.id
        self.dead = job.dead if job.dead is not None else beside.with_name(f"{beside.name}.dead.jsonl")
        self._retried = self.dead.with_name(f"{self.dead.name}.retried")
        noted = self._retried if job.retry_dead else beside
        self._state_path = noted.with_name(f"{noted.name}.state.json")
        self._lock = beside.with_name(f"{beside.name}.lock")
        check(job, (self.dead, self._state_path, beside))
        self._job = job
        self._tell = tell
        self._descriptors = descriptors
        self._run = Run("stream", program.name, self.id)
        self._scope = Scope(current(), budget_usd=job.budget_usd)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ended: Ended = "done"
        self._why = ""
        self._failure: Exception | None = None
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="freehold-stream-reads")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="freehold-stream-writes")
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way: dict[int, _UnderWay] = {}
        self._begun = 0
        self._finished: list[Item] = []
        self._repeated = 0
        self._look_back: float = 0
        self._is_lagging = False
        self._noted_at = self._told_at = -inf
        self._noting_s = 0.0

    def stop(self) -> None:
        """Reads nothing more and finishes what is under way; the second time breaks that off."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it is over
                self._loop.call_soon_threadsafe(self._stop)

    def _stop(self) -> None:
        if self._ended in ("stopped", "broken off"):
            self._break_off("broken off", "")
        self._end("stopped", "")

    def _break_off(self, ended: Ended, why: str) -> None:
        self._end(ended, why)
        self._ended = ended
        self._run.cancel()
        for task in list(self._tasks):
            task.cancel()

    def _end(self, ended: Ended, why: str) -> None:
        if self._ended == "done":
            self._ended, self._why = ended, why
        self._stopping.set()
        self._news.set()

    async def through(self) -> Report:
        """Runs until it ends, on the runtime's loop. Raises OperatorError for what cannot be read or written, BrokenPipeError where nobody
        reads what it writes."""
        loop = self._loop = asyncio.get_running_loop()
        began = loop.time()
        at, job, project = self._at, self._job, self._at.project
        try:
            with ExitStack() as stack:
                await asyncio.to_thread(stack.enter_context, only_one(self._lock, self.out))
                await self._read_in(self._open, stack)
                spent = await asyncio.to_thread(spent_on, project.store, project.tenant, self.id)
                self._run.progress = spent_before(spent)
                for purse in self._scope.purses[: 1 if job.budget_usd is not None else 0]:
                    purse.spent_nano = nano(spent.known_usd)
                stack.enter_context(at.resources.paced())
                at.begin(self._run, self._scope.customer)
                try:
                    await self._all_items()
                except BaseException as error:
                    at.end(self._run, "failed", kind_of(error))
                    raise
                finally:
                    self._step.close()
                at.end(self._run, "done" if self._ended in ("done", "stopped") else "cancelled", self._ended)
        finally:
            self._loop = None
            self._reading.shutdown(wait=False)
            self._writing.shutdown(wait=False)
        found = self._run.progress
        return Report(
            id=self.id,
            name=self._step.name,
            ended=self._ended,
            why=self._why,
            done=found.done,
            repeated=self._repeated,
            failed=found.failed,
            left=len(self._under_way),
            cost_usd=found.cost_usd,
            known_usd=found.known_usd,
            seconds=loop.time() - began,
            out=self.out,
            dead=str(self.dead),
        )

    # Where it reads and writes.

    def _open(self, stack: ExitStack) -> None:
        """Opens everything, and goes on where an earlier run was."""
        job = self._job
        if job.retry_dead and not self._retried.exists():
            if not self.dead.exists():
                raise CallerError(f"There are no dead letters in {self.dead}. Name their file by --dead where it is another.")
            self.dead.replace(self._retried)
            self._state_path.unlink(missing_ok=True)
        state = read_state(self._state_path)
        if state is not None and state.id != self.id:
            raise CallerError(
                f"{self._state_path} says how far a stream of '{state.program}' over {state.source} is, and this one is of "
                f"'{self._step.name}' over {source_name(job)}. Choose another --to, or delete that file to begin from the start."
            )
        place = None if state is None else state.place
        self._source: Source
        if job.retry_dead:
            self._source = GrowingFile(self._retried, place, _decode_dead, ends=True)
        elif job.source is None:
            self._source = Lines(self._descriptors[0], place, decoder(job.key))
        elif job.source.is_dir():
            self._source = Folder(job.source, place, job.key)
        else:
            self._source = GrowingFile(job.source, place, decoder(job.key))
        stack.callback(self._source.close)
        self._sink: Sink
        if job.to is None:
            self._sink = Pipe(self._descriptors[1], lambda: self._ended in ("broken off", "cancelled"))
        elif is_folder(job.to):
            self._sink = FilesFolder(job.to)
        else:
            self._sink = LinesFile(job.to)
        stack.callback(self._sink.close)
        self._letters = LinesFile(self.dead)
        stack.callback(self._letters.close)
        self._recalled = self._sink.size, self._letters.size
        if state is not None and not state.is_clean:
            self._recalled = state.out_bytes, state.dead_bytes
            self._look_back = max(_LEAST_LOOKED_BACK, 4 * job.at_once)
            if self._source.repeats or job.key is not None:
                self._sink.recall(state.out_bytes)
                self._letters.recall(state.dead_bytes)
        self._look_back = inf if job.retry_dead else self._look_back

    async def _read_in(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reading, work, *args)

    # The items.

    async def _all_items(self) -> None:
        await self._note()
        has_stopped = False
        while not self._source.is_over and self._failure is None:
            await self._look_after()
            if self._stopping.is_set() and not has_stopped:
                has_stopped = True
                await self._read_in(self._source.stop)
                continue
            if has_stopped and self._ended != "stopped":  # nobody can have again what it holds of a pipe
                for item in await self._read_in(self._source.read, MOST_AT_ONCE):
                    await self._fails(item, self._why or "it was broken off", 0)
                continue
            room = self._job.at_once - len(self._tasks)
            if room <= 0:
                await self._wait(_TELL_S)
                continue
            items = await self._read_in(self._source.read, room)
            if items:
                await self._begin(items)
            if self._source.has_turned:
                await self._note()
            elif not items and not self._source.is_over:
                await self._wait(_LOOK_S)
        while self._tasks:
            if self._failure is not None:
                self._break_off("broken off", "")
            await self._wait(_TELL_S)
            await self._look_after()
        if self._failure is not None:
            raise self._failure
        await self._note(is_end=True)
        self._tell_progress(None)
        if self._job.retry_dead and self._ended == "done":
            self._retried.unlink(missing_ok=True)
            self._state_path.unlink(missing_ok=True)

    async def _wait(self, longest_s: float) -> None:
        """Until an item is finished, somebody says stop, or so long."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._news.wait()

    async def _look_after(self) -> None:
        """What has to be seen to from time to time: whether it was cancelled, what is noted, what is told."""
        now = asyncio.get_running_loop().time()
        if self._finished and now - self._noted_at >= max(CHECKPOINT_S, _NOTING_SHARE * self._noting_s):
            await self._note()
        if now - self._told_at >= _TELL_S:
            self._told_at = now
            self._tell_progress(await self._read_in(self._source.waiting))
        if self._run.is_cancelled and self._ended not in ("cancelled", "broken off"):  # last, so that nothing is begun after it
            self._break_off("cancelled", "it was cancelled")

    async def _begin(self, items: list[Item]) -> None:
        steps = await self._known_steps(items)
        now, (out_bytes, dead_bytes) = asyncio.get_running_loop().time(), self._sizes()
        for item in items:
            if self._sink.knows(item.key) or self._letters.knows(item.key):
                self._repeated += 1
                self._finished.append(item)
                continue
            number, self._begun = self._begun, self._begun + 1
            self._under_way[number] = _UnderWay(item, now, out_bytes, dead_bytes)
            task = asyncio.create_task(self._guarded(number, self._item(item, steps.get(item.key))))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: self._news.set())

    async def _known_steps(self, items: list[Item]) -> dict[str, Steps]:
        """What the journal has of these items, until so many came one after the other of which it has nothing that what was begun is over."""
        if self._look_back <= 0:
            return {}
        project = self._at.project
        wanted = {self._episode(item): item.key for item in items if not item.why}
        known = await asyncio.to_thread(known_steps, project.store, project.tenant, wanted)
        found = {wanted[episode]: steps for episode, steps in known.items()}
        if any(item.key in found or self._sink.knows(item.key) or self._letters.knows(item.key) for item in items):
            self._look_back = max(self._look_back, _LEAST_LOOKED_BACK, 4 * self._job.at_once)
        else:
            self._look_back -= len(items)
            if self._look_back <= 0:
                self._sink.forget()
                self._letters.forget()
        return found

    def _episode(self, item: Item) -> str:
        return self.id + blake2b(item.key.encode("utf-8", "surrogatepass"), digest_size=_ITEM_BYTES).hexdigest()

    async def _guarded(self, number: int, work: Coroutine[Any, Any, bool]) -> None:
        """Does one item, and counts it as finished where it is."""
        try:
            if await work:
                self._finished.append(self._under_way.pop(number).item)
        except asyncio.CancelledError:
            return
        except Exception as error:  # noqa: BLE001 the answer, or the dead letter, cannot be written
            self._failure = self._failure or error

    async def _item(self, item: Item, steps: Steps | None) -> bool:
        """Whether it is finished, well or for good."""
        if item.why:
            return await self._fails(item, f"the item cannot be read: {item.why}", 0)
        episode = self._episode(item)
        for attempt in range(1, self._job.attempts + 1):
            run = Run("pipeline", self._step.name, episode, steps, self._run)
            try:
                output = await self._step.run(
                    self._at, self._given(item.value), Scope(self._scope, deadline_s=self._job.deadline_s, run=run)
                )
                line = _encode(Line(n=item.n, key=item.key, episode=episode, input=item.value, output=output))
            except BudgetSpent as error:
                self._end("budget", str(error))
                return await self._left(item, str(error), attempt)
            except (Cancelled, asyncio.CancelledError):
                return await self._left(item, "it was broken off", attempt)
            except NotReady:  # nor is it for any other item
                raise
            except Exception as error:  # noqa: BLE001 a program's own failure is an item's
                if not may_pass(error) or attempt >= self._job.attempts:
                    return await self._fails(item, words_of(error), attempt)
                if not await self._waited(min(2.0 ** (attempt - 1), _LONGEST_WAIT_S)):
                    return await self._left(item, words_of(error), attempt)
                project = self._at.project
                steps = (await asyncio.to_thread(known_steps, project.store, project.tenant, [episode])).get(episode)
            else:
                await self._write(self._sink.put, item.key, line)
                self._run.note(done=1)
                return True
        raise AssertionError("an item is tried at least once")

    def _given(self, value: JSON) -> JSON:
        """What the program is given: an item whose key stands beside its arguments has them alone."""
        key, taken = self._job.key, {field.name for field in self._step.signature.fields}
        if key is None or not isinstance(value, dict) or key in taken or not value.keys() - {key} <= taken:
            return value
        return {name: given for name, given in value.items() if name != key}

    async def _waited(self, seconds: float) -> bool:
        """Whether so long has passed; not where somebody wants it to end."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return True
        return False

    async def _left(self, item: Item, why: str, attempts: int) -> bool:
        """It is not finished, and is read again next time; where nobody can read it again it is a dead letter."""
        return False if self._source.repeats else await self._fails(item, why, attempts)

    async def _fails(self, item: Item, why: str, attempts: int) -> bool:
        letter = Dead(
            n=item.n,
            key=item.key,
            episode=self._episode(item),
            why=why[:_MOST_WHY],
            attempts=attempts,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            input=item.value,
            text=item.text if item.why else None,
        )
        await self._write(self._letters.put, item.key, _encode(letter))
        self._run.note(failed=1)
        return True

    async def _write(self, put: Callable[[str, bytes], None], key: str, line: bytes) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writing, put, key, line)

    # How far it is.

    async def _note(self, is_end: bool = False) -> None:
        """Notes how far it is, after the answers are on the disk."""
        loop = asyncio.get_running_loop()
        began = self._noted_at = loop.time()
        oldest = next(iter(self._under_way.values()), None)
        finished, self._finished = self._finished, []
        sizes = self._sizes() if oldest is None else (oldest.out_bytes, oldest.dead_bytes)

        def noted() -> None:
            self._sink.sync()
            self._letters.sync()
            state = State(
                id=self.id,
                program=self._step.name,
                source=source_name(self._job),
                place=self._source.place(None if oldest is None else oldest.item, finished, is_end),
                out_bytes=sizes[0],
                dead_bytes=sizes[1],
                is_clean=is_end and oldest is None,
            )
            write_state(self._state_path, state)

        await self._read_in(noted)
        self._noting_s = loop.time() - began

    def _sizes(self) -> tuple[int, int]:
        """Behind what in the output, and in the dead letters, every item stands that is read from now on: while it looks back that is what an
        earlier run noted, for items that are still to be read were written by that."""
        return self._recalled if self._look_back > 0 else (self._sink.size, self._letters.size)

    def _tell_progress(self, waiting: int | None) -> None:
        now = asyncio.get_running_loop().time()
        oldest = next(iter(self._under_way.values()), None)
        lag_s = None if oldest is None else now - oldest.since
        self._run.progress = msgspec.structs.replace(self._run.progress, under_way=len(self._under_way), waiting=waiting, lag_s=lag_s)
        most_s = self._job.most_lag_s
        if most_s is not None and ((lag_s or 0.0) > most_s) != self._is_lagging:
            self._is_lagging = not self._is_lagging
            if self._is_lagging:
                _log.warning("stream.lags: the oldest item of '%s' is %.1f s old, and %s wait", self._step.name, lag_s, waiting)
            else:
                _log.warning("stream.caught_up: no item of '%s' is older than %g s", self._step.name, most_s)
        self._tell(self._run.progress)


class _Letter(msgspec.Struct):
    n: int
    key: str
    why: str
    input: Any = None
    text: str | None = None


def _decode_dead(n: int, key: str, line: bytes) -> Item:
    """The item of a dead letter."""
    try:
        letter = msgspec.json.decode(line, type=_Letter)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Item(n, key, None, f"it is no dead letter: {error}", line[:2_000].decode(errors="replace"))
    if letter.text is None:
        return Item(letter.n, letter.key, letter.input)
    return Item(letter.n, letter.key, None, letter.why.removeprefix("the item cannot be read: "), letter.text)
