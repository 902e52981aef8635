"""One of the processes that ask for a batch: handed some of its rows at a time, it gives what came of each.

A row is asked as in a batch of one process, as the same episode, so that what the journal has of it is not asked again: neither when the worker
that asked died, nor when the batch goes on elsewhere. Nothing here knows who hands the rows over; `cluster` has Ray do it.
"""

import asyncio
import atexit
import json
import socket
from contextlib import ExitStack
from contextvars import copy_context
from pathlib import Path
from typing import Any, NamedTuple

from freehold.chat import JSON
from freehold.config import load
from freehold.errors import OperatorError
from freehold.pipelines.batch import Batch
from freehold.pipelines.failure import words_of
from freehold.pipelines.job import Job
from freehold.pipelines.output import FailedRow
from freehold.pipelines.program import load_program
from freehold.pipelines.rows import Row
from freehold.pipelines.runs import known_run
from freehold.pipelines.runtime import Runtime, use
from freehold.pipelines.scope import Scope, entered
from freehold.pipelines.step import Program
from freehold.project import Project

_LOOK_S = 1.0
_MACHINE = Path("/proc/sys/kernel/random/boot_id")


class Handed(NamedTuple):
    """What a worker is told of its batch."""

    folder: Path
    """The project's."""
    tenant: str
    """Whose data it is."""
    file: Path
    """Where the program stands."""
    name: str
    """What it is called there."""
    job: Job
    """What is to be done, with whole paths and this worker's share of what is asked at one time."""
    machine: str
    """As of `this_machine`, where the batch writes its output."""
    plan: str | None
    """As of the scope around the batch, and so are these."""
    customer: str | None
    tags: dict[str, str]
    conversation: str | None
    deadline_s: float | None


class Part(Batch):
    """A batch whose rows are handed to it, and whose outcomes are handed back in place of being written."""

    def __init__(self, at: Runtime, program: Program, job: Job) -> None:
        super().__init__(at, program, job._replace(resume=True))  # whatever the journal has of a row: who asked for it may have died
        self._told: dict[int, list[JSON]] = {}

    async def answers(self, rows: list[Row]) -> list[list[JSON]]:
        """What came of these rows. Those that were not begun, for the batch has ended, are not among them. May be called while it runs."""
        if begun := await self._begin(rows):
            await asyncio.wait(begun)
        told = [self._told.pop(row.n) for row in rows if row.n in self._told]
        return told if self._ended == "done" else [*told, ["ended", self._ended, self._why]]

    async def follow(self) -> None:
        """Keeps the pace of this process, and looks whether the batch still runs, until it is cancelled."""
        project = self._at.project
        with self._at.resources.paced(self._job.at_once) as self._pacing:
            while True:
                known = await asyncio.to_thread(known_run, project.store, project.tenant, self.id)
                state = "lost" if known is None else known.state
                if state == "cancelling":  # somebody cancelled it
                    self._run.cancel()
                if state != "running":
                    self._end("cancelled", "it was cancelled")
                await asyncio.sleep(_LOOK_S)

    def _put(self, row: Row, output: JSON, attempt: int) -> None:
        self._told[row.n] = ["answered", row.n, row.value, row.key, output, attempt]

    def _fails(self, row: FailedRow) -> None:
        self._told[row.n] = ["failed", row.n, row.input, row.key, row.error, row.attempts]


class Worker:
    """A process that asks, as Ray calls it: with rows as tables of JSON, from several threads."""

    def __init__(self, handed: Handed) -> None:
        """A worker that cannot begin says why for each table, so that the batch ends with its reason in place of a stack of errors."""
        self._open = ExitStack()
        self._context = copy_context()
        """In which its project is in use."""
        self._unable = ""
        atexit.register(self.close)
        try:
            self._context.run(self._begin, handed)
        except Exception as error:  # noqa: BLE001 whatever it is, the batch has to hear of it
            self._unable = f"The worker on {socket.gethostname()} cannot begin: {words_of(error)}"

    def _begin(self, handed: Handed) -> None:
        config = load(handed.folder)
        program = load_program([str(handed.file)], handed.folder).find(handed.name)
        project = Project(config, handed.tenant)
        store = project.store
        if store.kind == "sqlite" and this_machine() != handed.machine:
            raise OperatorError(
                "the journal is SQLite, which processes of one machine alone may share. Run the nodes on one machine, or give the project "
                "PostgreSQL: url under [store] in freehold.toml."
            )
        at = self._open.enter_context(use(project))
        around = Scope(
            deadline_s=handed.deadline_s, plan=handed.plan, customer=handed.customer, tags=handed.tags, conversation=handed.conversation
        )
        with entered(around):
            self._part = Part(at, program, handed.job)
        if known_run(store, handed.tenant, self._part.id) is None:
            raise OperatorError(f"its journal has nothing of batch {self._part.id}: {handed.folder} here is another project than there.")
        self._at, self._following = at, at.submit(self._part.follow())

    def close(self) -> None:
        """Ends it, and writes down what it has heard."""
        atexit.unregister(self.close)
        if not self._unable:
            self._following.cancel()
        self._context.run(self._open.close)

    def __call__(self, table: Any) -> Any:
        """`table`: the rows, each as JSON in the column `row`. Gives what came of them, in the column `outcome`."""
        import pyarrow as pa

        if self._unable:
            outcomes: list[list[JSON]] = [["unable", self._unable]]
        else:
            rows = [Row(*json.loads(row)) for row in table["row"].to_pylist()]
            outcomes = self._context.copy().run(self._at.submit, self._part.answers(rows)).result()
        return pa.table({"outcome": pa.array([json.dumps(outcome).encode() for outcome in outcomes], pa.binary())})


def this_machine() -> str:
    """What tells this machine from others, whatever they are called."""
    try:
        return _MACHINE.read_text().strip()
    except OSError:
        return socket.gethostname()
