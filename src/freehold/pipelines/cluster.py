"""A batch on a Ray cluster: Ray Data hands its rows to workers, one on each node, and this process writes what came of them.

Ray is imported here, and nowhere else. It hands the rows of a worker that died to another; the journal knows which of them have their answer.
"""

import asyncio
import json
import logging
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from freehold.errors import CallerError, OperatorError
from freehold.journal.read import spent_on
from freehold.pipelines.batch import CHECKPOINT_S, CHUNK, MOST_ROWS, Batch
from freehold.pipelines.job import Ended, Job
from freehold.pipelines.output import FailedRow
from freehold.pipelines.rows import BadRow, Row
from freehold.pipelines.run import Progress, spent_before
from freehold.pipelines.runtime import Runtime
from freehold.pipelines.step import Program
from freehold.pipelines.worker import Handed, Worker, this_machine

Table: TypeAlias = Any
"""Ray's reference to a table of rows."""
ADDRESS = "RAY_ADDRESS"
"""The environment variable, Ray's own, that says where the cluster is."""
_TOKEN = Path.home() / ".ray" / "auth_token"
_TABLES = 4
"""Tables of rows that one worker has at one time: while the slowest rows of one end, those of the next begin."""
_MOST_TABLE_ROWS = MOST_ROWS // _TABLES
_MOST_TABLE_BYTES = 2**23
_TABLES_EACH = 16
"""So many tables for each worker, where there are rows enough, so that all end at about the same time."""
_HOST_PORT = re.compile(r"([\w.-]+):(\d{1,5})")
_REACH_S = 10.0
_CPUS = 0.5
"""Of a node's for its worker, so that another's finds room there when its own node has died."""


class ClusterBatch(Batch):
    """A batch that the nodes of a Ray cluster ask for."""

    def __init__(self, at: Runtime, program: Program, job: Job, tell: Callable[[Progress], None] = lambda _: None) -> None:
        """Raises as `Batch`, and CallerError for a budget."""
        super().__init__(at, program, job, tell)
        if self._scope.purses:
            raise CallerError(
                "A batch's or a scope's own budget is kept by one process, and with --ray several ask. Leave --budget-usd out and give the "
                "project a budget under [budget] in freehold.toml, which holds over all processes; or leave --ray out."
            )
        self._broken_off = asyncio.Event()
        self._handed_out = self._most_under_way = 0

    def stop(self) -> int:
        """As of `Batch`. Gives how many rows are under way at most."""
        if self._ended == "interrupted":
            self._broken_off.set()
        super().stop()
        return min(self._handed_out, self._most_under_way)

    def _open(self) -> None:
        """As of `Batch`, once there is a cluster."""
        self._cluster = Cluster()
        try:
            super()._open()
        except BaseException:
            self._cluster.close()
            raise

    async def _all_rows(self) -> None:
        try:
            await asyncio.to_thread(self._at.note, self._run, self._begun, "running")  # as the workers look for it
            await self._through(self._cluster)
        except BaseException:
            self._at.note(self._run, self._begun, "failed")
            raise
        finally:
            await asyncio.to_thread(self._cluster.close)
        await asyncio.to_thread(self._look_at_cost)
        if self._ended != "done":
            await asyncio.to_thread(self._at.note, self._run, self._begun, "cancelled", self._ended)
        if self._broken is not None:
            raise self._broken

    async def _through(self, cluster: "Cluster") -> None:
        workers = min(cluster.workers, self._job.at_once or cluster.workers)
        self._most_under_way = workers * MOST_ROWS
        tables = await self._tables(cluster, workers)
        if not tables or self._ended != "done":
            return
        outcomes = cluster.answers(tables, workers, self._handed(workers))
        checkpoint = time.monotonic() + CHECKPOINT_S
        broken_off = asyncio.create_task(self._broken_off.wait())
        try:
            while not broken_off.done():
                some = asyncio.create_task(asyncio.to_thread(next, outcomes, None))
                await asyncio.wait({some, broken_off}, return_when=asyncio.FIRST_COMPLETED)
                if not some.done():
                    some.cancel()
                    return
                if (told := some.result()) is None:
                    break
                for outcome in told:
                    self._take(json.loads(outcome))
                self._handed_out -= len(told)
                self._is_over()
                if time.monotonic() >= checkpoint:
                    checkpoint = time.monotonic() + CHECKPOINT_S
                    await asyncio.to_thread(self._writer.checkpoint)
                    await asyncio.to_thread(self._look_at_cost)
        finally:
            broken_off.cancel()
        if self._handed_out:
            self._end("failing", f"{self._handed_out:,} rows did not come back from the workers")  # no further end where there is one

    async def _tables(self, cluster: "Cluster", workers: int) -> list[Table]:
        """The rows that have no answer yet, as Ray has them: it keeps on disk what its memory does not hold."""
        most = max(1, min(_MOST_TABLE_ROWS, (self._run.progress.total or 0) // (_TABLES_EACH * workers)))
        tables: list[Table] = []
        rows: list[bytes] = []
        size = 0
        some: list[Row | BadRow] = self._first
        while self._ended == "done" and some:
            for row in self._without_answer(some):
                if isinstance(row, BadRow):
                    await self._row(row, None)
                    continue
                rows.append(json.dumps(row).encode())
                self._handed_out += 1
                size += len(rows[-1])
                if len(rows) >= most or size >= _MOST_TABLE_BYTES:
                    tables.append(await asyncio.to_thread(cluster.put, rows))
                    rows, size = [], 0
            some = await asyncio.to_thread(lambda: list(islice(self._input, CHUNK)))
        if rows:
            tables.append(await asyncio.to_thread(cluster.put, rows))
        return tables

    def _handed(self, workers: int) -> Handed:
        job, around = self._job, self._scope
        share = None if job.at_once is None else job.at_once // workers
        return Handed(
            folder=self._at.project.folder.resolve(),
            tenant=self._at.project.tenant,
            file=Path(self._step.program.where.rpartition(":")[0]).resolve(),
            name=self._step.name,
            job=job._replace(input=job.input.absolute(), out=job.out.absolute(), at_once=share),
            machine=this_machine(),
            plan=around.plan,
            customer=around.customer,
            tags=around.tags,
            conversation=around.conversation,
            deadline_s=around.left_s(time.monotonic()),
        )

    def _take(self, outcome: list[Any]) -> None:
        """What a worker tells. Raises OperatorError for one that cannot begin."""
        match outcome:
            case ["answered", n, value, key, output, attempts]:
                self._put(Row(n, value, key), output, attempts)
            case ["failed", n, value, key, error, attempts]:
                self._fails(FailedRow(n=n, key=key, input=value, error=error, attempts=attempts))
            case ["ended", ended, why]:
                self._end(ended, why)
            case ["unable", why]:
                raise OperatorError(
                    f"{why} Each node needs Freehold, the project's folder and its program under the same paths, and its providers' keys in "
                    "the environment of 'ray start'."
                )

    def _end(self, ended: Ended, why: str) -> None:
        """As of `Batch`. The workers hear of it from the store, and begin no further rows."""
        if self._ended == "done":
            super()._end(ended, why)
            self._at.end(self._run, "cancelled", ended)
            self._saying = asyncio.create_task(asyncio.to_thread(self._at.note, self._run, self._begun, "cancelled", ended))

    def _look_at_cost(self) -> None:
        """What the journal says: a worker that died cannot tell what it spent."""
        spent = spent_before(spent_on(self._at.project.store, self._at.project.tenant, self.id))
        self._run.progress = msgspec.structs.replace(self._run.progress, cost_usd=spent.cost_usd, known_usd=spent.known_usd)


class Cluster:
    """Ray, for as long as a batch lasts: the cluster that RAY_ADDRESS names, or else the one that runs on this machine."""

    def __init__(self) -> None:
        """Raises CallerError where Ray is not installed, OperatorError where no cluster answers."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what ends the batch is raised as well
        os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # a thread that waits when the batch is broken off would connect anew
        if _TOKEN.exists():
            os.environ.setdefault("RAY_AUTH_MODE", "token")  # as 'ray start' does then, and who is given an address does not (2.60)
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise CallerError(f"--ray needs Ray Data, which cannot be imported here: {error}. Run: pip install 'freehold[ray]'") from None
        self._ray = ray
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            try:
                _reach(os.environ.get(ADDRESS, ""))
                ray.init(address="auto", log_to_driver=False, logging_level=logging.ERROR)
            except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
                raise OperatorError(
                    f"No Ray cluster answers at {os.environ.get(ADDRESS, 'this machine')}: {_first_line(error)}. Start one with "
                    f"'ray start --head', and name it by {ADDRESS}=HOST:PORT where it is elsewhere."
                ) from error
            logging.getLogger("ray.data").setLevel(logging.ERROR)
        self.workers = sum(1 for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= _CPUS)
        """How many can ask: one on each node."""
        if not self.workers:
            self.close()
            raise OperatorError("No node of the Ray cluster has a CPU to offer. Start one: ray start --address=HOST:PORT --num-cpus=1")

    def put(self, rows: list[bytes]) -> Table:
        """Hands rows to Ray."""
        import pyarrow as pa

        return self._ray.put(pa.table({"row": pa.array(rows, pa.binary())}))

    def answers(self, tables: list[Table], workers: int, handed: Handed) -> Iterator[list[bytes]]:
        """What came of the rows, as `Worker` tells it, in any order. Raises OperatorError where the cluster fails."""
        data = self._ray.data
        context = data.DataContext.get_current().copy()
        context.enable_progress_bars = context.print_on_execution_start = context.enable_auto_log_stats = False
        try:
            with data.DataContext.current(context):
                pool = data.ActorPoolStrategy(
                    size=min(workers, len(tables)),
                    max_tasks_in_flight_per_actor=_TABLES,
                    max_concurrent_calls_per_actor=_TABLES,
                    enable_true_multi_threading=True,
                )
                answered = data.from_arrow_refs(tables).map_batches(
                    Worker, fn_constructor_args=(handed,), compute=pool, batch_size=None, batch_format="pyarrow", num_cpus=_CPUS
                )
            for table in answered.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                yield table["outcome"].to_pylist()
        except Exception as error:
            raise OperatorError(
                f"The Ray cluster failed: {_first_line(error)}. What was answered is in the journal: --resume goes on with it."
            ) from error

    def close(self) -> None:
        """Leaves the cluster; what still runs for the batch there ends."""
        if self._is_ours:
            self._ray.shutdown()


def _reach(address: str) -> None:
    """Raises OSError where nobody listens, of which Ray (2.60) is sure after minutes."""
    if found := _HOST_PORT.fullmatch(address):
        socket.create_connection((found[1], int(found[2])), _REACH_S).close()


def _first_line(error: BaseException) -> str:
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)
