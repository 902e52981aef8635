"""A task or a pipeline over the rows of a file, durably: the journal is the checkpoint, so that a run which was broken off goes on.

Each row is a run of its own whose id follows from the batch and the row. What the journal has of it, when the batch is run again, is neither
asked nor paid again: of a task its answer, of a pipeline every step that it had come through.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import msgspec

from freehold.chat import JSON
from freehold.errors import CallerError, DataError, FreeholdError, is_deferred
from freehold.gateway.budget import nano
from freehold.journal.read import spent_on
from freehold.pipelines.failure import HAD_NO_ANSWER, BudgetSpent, Cancelled, NotReady, kind_of, may_pass, words_of
from freehold.pipelines.handing import Handing, check_takes_batches, handing_over
from freehold.pipelines.job import Ended, Job, Report, batch_id, check
from freehold.pipelines.laid import columns, laid
from freehold.pipelines.output import FailedRow, RowWriter, Written, is_written
from freehold.pipelines.rows import BadRow, Row, count_rows, format_of, read_rows
from freehold.pipelines.run import Progress, Run, Steps, spent_before
from freehold.pipelines.runs import known_run, known_steps
from freehold.pipelines.runtime import Runtime, runtime
from freehold.pipelines.scope import Purse, Scope, current
from freehold.pipelines.step import Program, Step
from freehold.pipelines.task import Task
from freehold.pipelines.writers import Fields
from freehold.providers.batches import BatchTicket
from freehold.providers.order import wait_s
from freehold.providers.pacing import Pacing

MOST_ROWS = 512
"""Rows under way at one time, at most."""
MOST_FAILURES = 100
"""After so many tries in a row without an answer nothing more is begun."""
MOST_WITH_PEOPLE = 2_000
"""Rows that wait for a person beside those, and take no place of theirs: each takes about 40 KB."""
_FEWEST_ROWS = 16
CHUNK = 256
"""Rows that are read, and whose earlier steps are looked up at once."""
_TELL_S = 0.2
_MOMENT_S = 0.01
_ROW_BYTES = 10
CHECKPOINT_S = 5.0
"""How often what was answered is brought to the disk."""


class Batch:
    """One run over a file. `stop` may be called while it lasts."""

    def __init__(self, at: Runtime, program: Program, job: Job, tell: Callable[[Progress], None] = lambda _: None) -> None:
        """Raises CallerError for a job that cannot be done, and Misuse as `Step`."""
        job = job._replace(input=Path(job.input), out=Path(job.out))  # which may be texts in a program without types
        check(job)
        self.id = batch_id(program.name, job)
        self._at = at
        self._step = Step(program)
        self._job = job
        self._tell = tell
        self._run = Run("batch", program.name, self.id)
        self._purse = None if job.budget_usd is None else Purse(job.budget_usd, learns=True)
        self._scope = Scope(current(), purse=self._purse)
        self._pacing: Pacing | None = None
        self._broken: FreeholdError | None = None
        self._begun = datetime.now(UTC)
        self._rows = 0
        self._in_a_row = 0
        self._ended: Ended = "done"
        self._why = ""
        self._under_way: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        """A row has ended, or has begun or ceased to wait for people."""
        self._handing: Handing | None = None
        self._failed: set[int] = set()
        self._rounds = 0
        self._rows_under_way: set[int] = set()
        self._with_people: dict[int, tuple[Run, int]] = {}
        """Of the rows under way those that wait for people, and for how many."""
        self._checkpoint_at = 0.0
        self._for_money = 0
        """Rows that wait until others cost less than was set aside for them."""
        self._left_to_people = 0
        """Rows that were waiting for people when the batch ended."""

    def stop(self) -> int:
        """Begins no further rows; the second time breaks off those under way. Gives how many those are. To be called on the runtime's loop."""
        if self._ended == "interrupted":
            self._run.cancel()
            for task in list(self._under_way):
                task.cancel()
        self._end("interrupted", "")
        if self._handing is not None:
            self._handing.wake()
        return len(self._under_way) - len(self._with_people)

    async def through(self) -> Report:
        """Does it. Raises CallerError and OperatorError for files that cannot be read or written."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        job, at, program = self._job, self._at, self._step.program
        if job.provider_batch:
            check_takes_batches(at, (await at.manner(program)).task if isinstance(program, Task) else None)
        await asyncio.to_thread(self._open)
        at.begin(self._run, self._scope.customer)
        telling = loop.create_task(self._go_on_telling())
        try:
            with at.resources.paced(job.at_once) as self._pacing:
                await (self._in_rounds() if job.provider_batch else self._all_rows())
            written = await asyncio.to_thread(self._close)
        except BaseException as error:
            self._run.cancel()
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            self._writer.close()
            at.end(self._run, "failed", kind_of(error))
            raise
        finally:
            telling.cancel()
            self._step.close()
        at.end(self._run, "done" if self._ended == "done" else "cancelled", self._ended)
        if self._left_to_people:
            people = f"{self._left_to_people:,} of its rows wait for people: what those answer is there when it is gone on with"
            self._why = "; ".join(filter(None, (self._why, people)))
        found = self._run.progress = msgspec.structs.replace(self._run.progress, with_people=0)
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
            known_usd=found.known_usd,
            seconds=loop.time() - began,
            out=str(job.out if written is not None else self._writer.part),
            failures=str(self._writer.failed_path) if written is not None and found.failed else None,
        )

    def _open(self) -> None:
        """Looks at the files, in a thread."""
        job, project = self._job, self._at.project
        format = format_of(job.out)
        if format is None:
            raise CallerError(f"{job.out} says no format. End its name with .jsonl, .csv or .parquet, with or without .gz.")
        total, spent = count_rows(job.input), spent_on(project.store, project.tenant, self.id)
        known = known_run(project.store, project.tenant, self.id)
        earlier = Progress() if known is None else known.progress
        self._run.progress = msgspec.structs.replace(spent_before(spent), total=total, tickets=self._tickets_of(earlier))
        if self._purse is not None:
            self._purse.spent_nano = nano(spent.known_usd)
        self._input = read_rows(job.input)
        self._first = list(islice(self._input, CHUNK))
        if format_of(job.input) in ("csv", "parquet"):
            self._step.check_columns(job.input.name, (row.value for row in self._first if isinstance(row, Row)))
        self._fields: Fields = {}
        if format != "jsonl":  # lines of JSON may have a column that no earlier one has: all are looked at
            rows = self._first if format_of(job.input) in ("csv", "parquet") else read_rows(job.input)
            self._fields = columns(rows, self._step.signature)
        finished = msgspec.json.decode(earlier.what, type=Written) if earlier.what else None  # what an earlier run wrote to its end
        has_part = job.out.with_name(f"{job.out.name}.part").exists()
        if finished is not None and not (job.retry_failed or job.overwrite or (job.resume and has_part)) and is_written(job.out, finished):
            failed = f", but for {finished.failed:,} rows that failed: --retry-failed tries those again" if finished.failed else ""
            raise CallerError(f"{job.out} is what this batch wrote already{failed}. Name another file, or say --overwrite.")
        if has_part and not (job.resume or job.retry_failed or job.overwrite):
            raise CallerError(
                f"{job.out}.part is there from a run that was broken off. Say --resume to go on with it, or --overwrite to begin anew."
            )
        if has_part and job.overwrite and not job.resume:
            job.out.with_name(f"{job.out.name}.part").unlink()
        self._writer = RowWriter(job.out, format, self._fields, self.id, finished=finished, overwrite=job.overwrite)

    def _tickets_of(self, earlier: Progress) -> tuple[BatchTicket, ...]:
        """What an earlier run handed over that has not come back. Raises CallerError where that would be paid twice."""
        tickets = () if self._job.overwrite and not self._job.resume else earlier.tickets
        if tickets and not self._job.provider_batch:
            names = ", ".join(sorted({f"'{ticket.provider}'" for ticket in tickets}))
            raise CallerError(
                f"Questions of this batch were handed to {names}, and would be paid twice. Say --provider-batch --resume to go on with them, "
                "or --overwrite to begin anew all the same."
            )
        return tickets

    def _close(self) -> Written | None:
        """Lays the rows down in their order where all have ended; else keeps them for the next run. In a thread."""
        if self._ended != "done":
            self._writer.checkpoint()
            self._writer.close()
            return None
        written = self._writer.finish()
        self._run.progress = msgspec.structs.replace(self._run.progress, what=msgspec.json.encode(written).decode(), tickets=())
        self._at.note(self._run, self._begun, "done")
        return written

    async def _in_rounds(self) -> None:
        """As `_all_rows`, with questions handed over."""
        path = self._job.out.with_name(f"{self._job.out.name}.part.asked")
        with handing_over(self._at, self._run, self._begun, path, self._job.retry_failed) as self._handing:
            self._run.under_way(self._handing.wake)
            await self._handing.through(self._once_more, self._is_over)
            if self._ended == "cancelled":
                await self._handing.stop()
            if self._ended != "done" and self._handing.why:
                self._why = "; ".join(filter(None, (self._why, self._handing.why)))

    def _is_over(self) -> bool:
        if self._run.is_cancelled:
            self._end("cancelled", "it was cancelled")
        return self._ended != "done"

    async def _once_more(self) -> None:
        self._rounds += 1
        if self._rounds > 1:
            self._rows = 0
            self._input = read_rows(self._job.input)
            self._first = await asyncio.to_thread(lambda: list(islice(self._input, CHUNK)))
        await self._all_rows()

    async def _all_rows(self) -> None:
        some: list[Row | BadRow] = self._first
        while self._ended == "done" and some:
            await self._begin(self._without_answer(some))
            await self._checkpoint()
            some = await asyncio.to_thread(lambda: list(islice(self._input, CHUNK)))
        while self._under_way and not self._hands_over_first():
            self._room.clear()
            with suppress(TimeoutError):  # people take their time
                await asyncio.wait_for(self._room.wait(), CHECKPOINT_S)
            await self._checkpoint()
        if self._broken is not None:
            raise self._broken

    async def _checkpoint(self) -> None:
        """Now and then has what was answered be on the disk."""
        if (now := asyncio.get_running_loop().time()) >= self._checkpoint_at:
            self._checkpoint_at = now + CHECKPOINT_S
            await asyncio.to_thread(self._writer.checkpoint)

    def _hands_over_first(self) -> bool:
        """Whether what was taken down is handed over now, and people are waited for meanwhile."""
        return self._handing is not None and len(self._with_people) == len(self._under_way) and bool(self._handing.desk.providers())

    def _without_answer(self, rows: Sequence[Row | BadRow]) -> list[Row | BadRow]:
        """Those that neither an earlier run nor an earlier round has answered, or is at; the others are counted, once."""
        over = self._failed | self._rows_under_way
        left = [row for row in rows if not self._writer.has(row.n) and row.n not in over]
        self._rows += len(rows)
        if self._rounds < 2:
            self._run.note(done=len(rows) - len(left))
        return left

    async def _begin(self, rows: Sequence[Row | BadRow]) -> list[asyncio.Task[None]]:
        """Begins rows as there is room for them, until the batch ends. Gives those that were begun."""
        steps = await self._known_steps(rows)
        begun: list[asyncio.Task[None]] = []
        for row in rows:
            while self._is_full() and self._ended == "done":
                self._room.clear()
                await self._room.wait()
            if self._is_over():
                break
            task = asyncio.create_task(self._row(row, steps.get(row.n)))
            begun.append(task)
            self._under_way.add(task)
            self._rows_under_way.add(row.n)
            task.add_done_callback(partial(self._row_ended, row.n))
        return begun

    def _row_ended(self, n: int, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._rows_under_way.discard(n)
        self._room.set()

    def _is_full(self) -> bool:
        """Whether no further row has a place now. One that waits for a person takes none, for that may be hours."""
        working = len(self._under_way) - len(self._with_people)
        return working >= self._most_rows() or len(self._with_people) >= MOST_WITH_PEOPLE

    def _waits(self, n: int, run: Run, begins: bool) -> None:
        """A row waits for one person more, or for one less."""
        count = self._with_people.get(n, (run, 0))[1] + (1 if begins else -1)
        if count > 0:
            self._with_people[n] = run, count
        else:
            self._with_people.pop(n, None)
        self._room.set()
        if begins and self._ended != "done":
            asyncio.get_running_loop().call_soon(self._leave_to_people)

    def _leave_to_people(self) -> None:
        """Waits for people no longer: what they answer is there when the batch is gone on with."""
        for run, _ in [*self._with_people.values()]:
            if not run.is_cancelled:
                self._left_to_people += 1
                run.cancel()

    def _most_rows(self) -> int:
        """As many as the models take at one time, and some that wait for their turn."""
        return min(MOST_ROWS, max(_FEWEST_ROWS, 2 * (self._pacing.window() if self._pacing is not None else 0)))

    async def _known_steps(self, rows: Iterable[Row | BadRow]) -> dict[int, Steps]:
        """What the journal has of these rows, where the batch was run before."""
        if self._run.progress.cost_usd == 0.0 and self._rounds < 2 and not (self._job.resume or self._job.retry_failed):
            return {}
        wanted = {self._episode(row): row.n for row in rows if isinstance(row, Row)}
        project = self._at.project
        known = await asyncio.to_thread(known_steps, project.store, project.tenant, wanted)
        return {wanted[episode]: steps for episode, steps in known.items()}

    def _episode(self, row: Row) -> str:
        return self.id + blake2b(row.key.encode(), digest_size=_ROW_BYTES).hexdigest()

    async def _row(self, row: Row | BadRow, steps: Steps | None) -> None:
        if isinstance(row, BadRow):
            self._fails(FailedRow(n=row.n, key="", input=row.text, error=f"the row cannot be read: {row.why}", attempts=0))
            return
        episode = self._episode(row)
        attempt = 1
        while True:
            run = Run("pipeline", self._step.name, episode, steps, self._run)
            run.waits = partial(self._waits, row.n, run)
            try:
                work = self._step.run(self._at, row.value, Scope(self._scope, deadline_s=self._job.deadline_s, run=run))
                output = await (work if self._handing is None else self._handing.given(run, work))
            except BudgetSpent as error:
                if self._purse is None or error.purse is not self._purse:  # a budget of the program's own, for this row
                    self._fails(FailedRow(n=row.n, key=row.key, input=row.value, error=str(error), attempts=attempt))
                    return
                if self._purse is not None and self._purse.held_nano and self._ended == "done" and self._others_settle():
                    steps = await self._known_again(episode)
                    await self._one_settles()  # it may cost less than was set aside for it
                    if self._ended == "done":  # else what is free again is of rows that were left to people
                        continue
                    return
                self._end("budget", str(error))
                return
            except (Cancelled, asyncio.CancelledError):
                return
            except NotReady as error:  # nor is it for any other row
                self._breaks(error)
                return
            except HAD_NO_ANSWER as error:
                if self._fails_again(error):
                    return
                if may_pass(error) and attempt < self._job.attempts and self._handing is None and self._ended == "done":
                    await asyncio.sleep(wait_s(attempt - 1, None, self._at.resources.rng))
                    attempt += 1
                    steps = await self._known_again(episode)
                    continue
                self._fails(FailedRow(n=row.n, key=row.key, input=row.value, error=str(error), attempts=attempt))
                return
            except Exception as error:  # noqa: BLE001 a program's own failure is a row's
                self._fails(FailedRow(n=row.n, key=row.key, input=row.value, error=words_of(error), attempts=attempt))
                return
            except BaseException as error:
                if not is_deferred(error):
                    raise
                return
            self._in_a_row = 0
            self._put(row, output, attempt)
            return

    def _put(self, row: Row, output: JSON, attempt: int) -> None:
        """Lays an answer down; one that the table has no place for is a row that failed."""
        try:
            self._writer.put(row.n, laid(row, output, self._fields))
        except DataError as error:
            self._fails(FailedRow(n=row.n, key=row.key, input=row.value, error=str(error), attempts=attempt))
        except FreeholdError as error:
            self._breaks(error)
        else:
            self._run.note(done=1)

    def _breaks(self, error: FreeholdError) -> None:
        """Nothing more is begun, for something is wrong with all of it, such as a full disk."""
        self._broken = self._broken or error
        self._end("failing", str(error))

    async def _known_again(self, episode: str) -> Steps:
        """What the journal has of a row that is tried once more."""
        project = self._at.project
        known = await asyncio.to_thread(known_steps, project.store, project.tenant, [episode])
        return known.get(episode) or Steps()

    def _others_settle(self) -> bool:
        """Whether any row but this one is under way that may cost less than was set aside for it: a person costs what was said."""
        return len(self._under_way) - len(self._with_people) - self._for_money > 1

    async def _one_settles(self) -> None:
        """Waits until what is set aside has changed, or for a moment."""
        assert self._purse is not None
        held = self._purse.held_nano
        self._for_money += 1
        try:
            for _ in range(100):
                await asyncio.sleep(_MOMENT_S)
                if self._purse.held_nano != held:
                    return
        finally:
            self._for_money -= 1

    def _fails_again(self, error: FreeholdError) -> bool:
        """Counts a try without an answer. Gives whether there were so many in a row that the batch ends; its rows are left for the next run."""
        self._in_a_row += self._handing is None  # what came back together says nothing of the next
        if self._in_a_row >= MOST_FAILURES:
            self._end("failing", f"{self._in_a_row} tries in a row had no answer. The last time: {error}")
        return self._ended == "failing"

    def _fails(self, row: FailedRow) -> None:
        if self._handing is not None:
            self._failed.add(row.n)
        try:
            self._writer.fail(row)
        except FreeholdError as error:
            self._breaks(error)
        else:
            self._run.note(failed=1)

    def _end(self, ended: Ended, why: str) -> None:
        if self._ended == "done":
            self._ended, self._why = ended, why
            self._leave_to_people()

    async def _go_on_telling(self) -> None:
        while True:
            pause_s = round(self._pacing.pause_s(), 1) if self._pacing is not None else 0.0
            self._run.progress = msgspec.structs.replace(self._run.progress, pause_s=pause_s, with_people=len(self._with_people))
            self._tell(self._run.progress)
            await asyncio.sleep(_TELL_S)


def batch(
    program: Program,
    job: Job,
    tell: Callable[[Progress], None] = lambda _: None,
    tell_stopping: Callable[[int], None] = lambda _: None,
) -> Report:
    """Runs a program over a file, and waits. Ctrl-C begins no further rows, and a second one breaks off those under way; `tell_stopping` hears
    how many those are. Raises as `Batch`."""
    at = runtime()
    if job.ray:
        from freehold.pipelines.cluster import ClusterBatch  # which needs this

        work: Batch = ClusterBatch(at, program, job, tell)
    else:
        work = Batch(at, program, job, tell)
    future = at.submit(work.through())
    while True:
        try:
            return future.result()
        except KeyboardInterrupt:
            at.soon(lambda: tell_stopping(work.stop()))
