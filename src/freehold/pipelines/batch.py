"""A task or a pipeline over the rows of a file, durably: the journal is the checkpoint, so that a run which was broken off goes on.

Each row is a run of its own whose id follows from the batch and the row. What the journal has of it, when the batch is run again, is neither
asked nor paid again: of a task its answer, of a pipeline every step that it had come through.
"""

import asyncio
from collections.abc import Callable, Iterable
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from freehold.errors import CallerError, FreeholdError
from freehold.gateway.budget import nano
from freehold.journal.read import calls_by_episode, spent_on
from freehold.pipelines.failure import BudgetSpent, Cancelled, NotAnswered, NotKept, TookTooLong
from freehold.pipelines.rows import BadRow, Row, RowWriter, count_rows, read_rows
from freehold.pipelines.run import Progress, Run, Steps
from freehold.pipelines.runtime import Runtime
from freehold.pipelines.scope import Scope, current
from freehold.pipelines.step import Program, Step
from freehold.providers.pacing import Pacing

Ended: TypeAlias = Literal["done", "budget", "interrupted", "cancelled"]
"""Why a batch ended: every row has, the money was spent, somebody pressed Ctrl-C, or cancelled it from elsewhere."""
MOST_ROWS = 512
"""Rows under way at one time, at most."""
_FEWEST_ROWS = 16
_CHUNK = 256
"""Rows whose earlier steps are looked up at once."""
_TELL_S = 0.2
_ID_BYTES = 8
_ROW_BYTES = 10
_MAY_HELP = (NotAnswered, NotKept, TookTooLong)


class Job(NamedTuple):
    """What is to be done."""

    input: Path
    """The rows."""
    out: Path
    """Where the answers go, in the same order."""
    at_once: int | None = None
    """Requests under way at one time to one model; None to find out what its provider takes."""
    budget_usd: float | None = None
    """The most that all of it may cost, earlier runs included; None for no limit."""
    resume: bool = False
    """Whether to go on where a run broke off."""
    retry_failed: bool = False
    """Whether only those rows are done again that failed."""
    attempts: int = 3
    """How often a row is tried that fails in a way which may pass."""
    deadline_s: float | None = None
    """How long one row may take."""
    overwrite: bool = False
    """Whether what stands at `out` may be overwritten."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch did."""

    id: str
    """What it is called: `freehold runs show ID`."""
    name: str
    """What was run."""
    ended: Ended
    """Why it ended."""
    why: str = ""
    """The same in words, where there is something to say."""
    rows: int
    """Rows that were read."""
    done: int
    """Rows that have their answer, earlier runs included."""
    failed: int
    """Rows that failed, and are in the side file."""
    left: int | None
    """Rows that were not begun; None where nobody knows how many there are."""
    cost_usd: float | None
    """What this run cost; None where that is unknown."""
    seconds: float
    """How long it took."""
    out: str
    """Where the answers are."""
    failures: str | None
    """Where the rows are that failed, each with its reason; None where none did."""


class Batch:
    """One run over a file. `stop` may be called while it lasts."""

    def __init__(self, at: Runtime, program: Program, job: Job, tell: Callable[[Progress], None] = lambda _: None) -> None:
        """Raises CallerError for a job that cannot be done, and Misuse as `Step`."""
        _check(job)
        self.id = batch_id(program.name, job)
        self._at = at
        self._step = Step(program)
        self._job = job
        self._tell = tell
        self._run = Run("batch", program.name, self.id)
        self._scope = Scope(current(), budget_usd=job.budget_usd)
        self._pacing = Pacing(job.at_once)
        self._rows = 0
        self._ended: Ended = "done"
        self._why = ""
        self._under_way: set[asyncio.Task[None]] = set()

    def stop(self) -> int:
        """Begins no further rows; the second time breaks off those under way. Gives how many those are. To be called on the runtime's loop."""
        if self._ended == "interrupted":
            self._run.cancel()
            for task in list(self._under_way):
                task.cancel()
        self._end("interrupted", "")
        return len(self._under_way)

    async def through(self) -> Report:
        """Does it. Raises OperatorError for files that cannot be read or written."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        job, at = self._job, self._at
        project = at.project
        total, spent = await asyncio.to_thread(lambda: (count_rows(job.input), spent_on(project.store, project.tenant, self.id)))
        self._run.progress = Progress(total=total, cost_usd=spent)
        for purse in self._scope.purses[: 1 if job.budget_usd is not None else 0]:
            purse.spent_nano = nano(spent or 0.0)
        self._writer = await asyncio.to_thread(RowWriter, job.out, job.resume or job.retry_failed, job.overwrite)
        resources = at.resources
        before, resources.pacing = resources.pacing, self._pacing
        at.begin(self._run, self._scope.customer)
        telling = loop.create_task(self._go_on_telling())
        try:
            await self._all_rows()
        except BaseException as error:
            at.end(self._run, "failed", f"{type(error).__name__}: {error}")
            raise
        finally:
            telling.cancel()
            resources.pacing = before
            self._step.close()
            await asyncio.to_thread(self._writer.close, self._ended == "done")
        state: Literal["done", "cancelled"] = "done" if self._ended == "done" else "cancelled"
        at.end(self._run, state, self._why or self._ended)
        found = self._run.progress
        self._tell(found)
        return Report(
            id=self.id,
            name=self._step.name,
            ended=self._ended,
            why=self._why,
            rows=self._rows,
            done=found.done,
            failed=found.failed,
            left=None if found.total is None else max(0, found.total - found.done - found.failed),
            cost_usd=found.cost_usd,
            seconds=loop.time() - began,
            out=str(job.out),
            failures=str(self._writer.failures) if found.failed else None,
        )

    async def _all_rows(self) -> None:
        rows = read_rows(self._job.input)
        room = asyncio.Event()
        while self._ended == "done" and (some := await asyncio.to_thread(lambda: list(islice(rows, _CHUNK)))):
            steps = await self._known_steps(some)
            for row in some:
                self._rows += 1
                if self._writer.has(row.n):  # of an earlier run
                    self._run.note(done=1)
                    continue
                while len(self._under_way) >= self._most_rows() and self._ended == "done":
                    room.clear()
                    await room.wait()
                if self._run.is_cancelled:
                    self._end("cancelled", "it was cancelled")
                if self._ended != "done":
                    break
                task = asyncio.create_task(self._row(row, steps.get(row.n)))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
                task.add_done_callback(lambda _: room.set())
        while self._under_way:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    def _most_rows(self) -> int:
        """As many as the models take at one time, and some that wait for their turn."""
        return min(MOST_ROWS, max(_FEWEST_ROWS, 2 * self._pacing.window()))

    async def _known_steps(self, rows: Iterable[Row | BadRow]) -> dict[int, Steps]:
        """What the journal has of these rows, where the batch was run before."""
        if not (self._job.resume or self._job.retry_failed):
            return {}
        wanted = {self._episode(row): row.n for row in rows if isinstance(row, Row) and not self._writer.has(row.n)}
        project = self._at.project
        known = await asyncio.to_thread(calls_by_episode, project.store, project.tenant, list(wanted))
        return {wanted[episode]: Steps(calls) for episode, calls in known.items()}

    def _episode(self, row: Row) -> str:
        return self.id + blake2b(row.key.encode(), digest_size=_ROW_BYTES).hexdigest()

    async def _row(self, row: Row | BadRow, steps: Steps | None) -> None:
        if isinstance(row, BadRow):
            await self._fails(row.n, row.text, f"the row cannot be read: {row.why}", 0)
            return
        episode = self._episode(row)
        attempt = 1
        while True:
            run = Run("pipeline", self._step.name, episode, steps, self._run)
            try:
                output = await self._step.run(self._at, row.value, Scope(self._scope, deadline_s=self._job.deadline_s, run=run))
            except BudgetSpent as error:
                self._end("budget", str(error))
                return
            except (Cancelled, asyncio.CancelledError):
                return
            except _MAY_HELP as error:
                if attempt < self._job.attempts and self._ended == "done":
                    attempt += 1
                    project = self._at.project
                    known = await asyncio.to_thread(calls_by_episode, project.store, project.tenant, [episode])
                    steps = Steps(known.get(episode, ()))
                    continue
                await self._fails(row.n, row.value, str(error), attempt)
                return
            except Exception as error:  # noqa: BLE001 a program's own failure is a row's
                words = str(error) if isinstance(error, FreeholdError) else f"{type(error).__name__}: {error}"
                await self._fails(row.n, row.value, words, attempt)
                return
            await self._writer.put(row.n, row.value, output)
            self._run.note(done=1)
            return

    async def _fails(self, n: int, input: object, why: str, attempts: int) -> None:
        self._run.note(failed=1)
        await self._writer.fail(n, input, why, attempts)

    def _end(self, ended: Ended, why: str) -> None:
        if self._ended == "done":
            self._ended, self._why = ended, why

    async def _go_on_telling(self) -> None:
        while True:
            self._tell(self._run.progress)
            await asyncio.sleep(_TELL_S)


def batch_id(program: str, job: Job) -> str:
    """What a batch is called: the same for the same program over the same file to the same place, so that it can be gone on with."""
    said = "\0".join((program, str(job.input.absolute()), str(job.out.absolute())))
    return blake2b(said.encode("utf-8", "surrogateescape"), digest_size=_ID_BYTES).hexdigest()


def _check(job: Job) -> None:
    if job.at_once is not None and job.at_once < 1:
        raise CallerError(f"--concurrency is {job.at_once}; expected 'auto' or a number from 1 up.")
    if job.budget_usd is not None and not 0 < job.budget_usd < 1e9:
        raise CallerError(f"--budget-usd {job.budget_usd:g} is no budget; it is a number of dollars above 0, such as 5.")
    if job.attempts < 1:
        raise CallerError(f"--attempts is {job.attempts}; expected a number from 1 up.")
    if job.input.absolute() == job.out.absolute():
        raise CallerError(f"{job.input} is read and would be overwritten. Name another file by --out.")
