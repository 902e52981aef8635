"""What one worker tells of itself: it hears of every call that has ended, counts it, and hands it to whoever watches.

The same counts go to Prometheus, by whichever worker is asked, and to OpenTelemetry, where that is switched on.
"""

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from freehold.tables import TelemetryTable
from freehold.telemetry import workers
from freehold.telemetry.counts import Counts, Samples
from freehold.telemetry.event import Finished
from freehold.telemetry.export import Exporter
from freehold.telemetry.exposition import text_of
from freehold.telemetry.names import CPU_TIME, DROPPED_EVENTS, LOOP_LAG, MEMORY, METRICS, WORKER, Metric
from freehold.telemetry.trace import Headers, Trace, of_request
from freehold.telemetry.workers import Snapshot

PUBLISH_S = 1.0
"""How often a worker writes down what it counted, and so the most that a kill takes from the counts."""
_STALE_S = 10.0
"""After so long without a word a worker counts as gone: what it counted stays, what it was doing does not."""
_CLOSE_S = 5.0
_TELL_EVERY_S = 60.0

_log = logging.getLogger("freehold.telemetry")


class Telemetry:
    """Everything that is watched of one worker. Nothing of it makes a call wait or fail."""

    def __init__(
        self, table: TelemetryTable, run_folder: Path | None = None, worker: int = 0, clock: Callable[[], float] = time.time
    ) -> None:
        """`run_folder`: where the workers of one run keep their counts for each other, which is there already; None for one that is alone.

        `worker`: its number among them, from 0, the same for whoever takes a dead one's place. Raises OperatorError for a collector that
        could never be told anything.
        """
        self.has_content = table.content and table.otlp_endpoint is not None
        """Whether `Finished` should bring what was asked and answered."""
        self._worker = str(worker)
        self._number = worker
        self._folder = run_folder
        self._clock = clock
        before = workers.read(run_folder, worker) if run_folder is not None else None
        self._instance = before.instance if before is not None else uuid4().hex
        self._since = before.since if before is not None else clock()
        self._counts = Counts(before.samples if before is not None else None)
        self._gauges: dict[str, Callable[[], float]] = {MEMORY.name: resident_bytes}
        self._sums: dict[str, Callable[[], float]] = {CPU_TIME.name: time.process_time}
        self._seen: dict[str, float] = {}
        self._lock = threading.Lock()
        self._told = float("-inf")
        self._tells_all = table.log_level == "debug"
        self._exporter = Exporter(table, self.snapshot) if table.otlp_endpoint is not None else None
        if self._exporter is not None:
            exporter = self._exporter
            self.watch(DROPPED_EVENTS, lambda: exporter.dropped)

    def trace(self, headers: Headers) -> Trace | None:
        """The place in a trace of a request with these headers. None where nobody traces."""
        is_recording = self._exporter is not None
        return of_request(headers, is_recording) if is_recording or headers.get(b"traceparent") is not None else None

    def finished(self, event: Finished) -> None:
        """Counts a call that has ended, and says so."""
        try:
            self._counts.finished(event)
            if self._exporter is not None and event.trace is not None:
                self._exporter.offer(event)
            if self._tells_all or event.outcome != "answered":
                _tell(event)
        except Exception:  # noqa: BLE001 our failure is not the product's
            _log.exception("telemetry.failed: a call is not counted", extra={"call": event.call})

    def refused(self, door: str, status: int) -> None:
        """Counts a request that was refused before anybody was asked."""
        self._counts.refused(door, status)

    def watch(self, metric: Metric, read: Callable[[], float]) -> None:
        """Asks `read` for a gauge's value, or for a counter's sum since this process began, whenever somebody looks."""
        (self._gauges if metric.kind == "gauge" else self._sums)[metric.name] = read

    async def run(self) -> None:
        """Measures the event loop, and publishes, every second until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PUBLISH_S
            await asyncio.sleep(PUBLISH_S)
            self._counts.observe(LOOP_LAG, (self._worker,), max(0.0, loop.time() - due))
            await asyncio.to_thread(self.publish)

    def publish(self) -> None:
        """Writes down what was counted, for the other workers to tell."""
        if self._folder is not None:
            with self._lock:
                self._publish(self._folder)

    def exposition(self) -> bytes:
        """The counts of all workers, as Prometheus reads them; its media type is `exposition.CONTENT_TYPE`."""
        with self._lock:
            own = workers.frozen(self._snapshot()) if self._folder is None else self._publish(self._folder)
            known = {} if self._folder is None else workers.read_all(self._folder)
        mine = workers.thawed(own)
        assert mine is not None
        known[self._number] = mine  # also where it could not be written down
        return text_of(workers.total(known.values()) | self._values(known))

    def snapshot(self) -> Snapshot:
        """The counts of this worker, whole and apart from those that go on."""
        with self._lock:
            found = workers.thawed(workers.frozen(self._snapshot()))
        assert found is not None
        return found

    def close(self) -> None:
        """Exports what was not exported yet, and publishes. May take a few seconds where the collector does not answer."""
        if self._exporter is not None:
            self._exporter.close(_CLOSE_S)
        self.publish()

    def _publish(self, folder: Path) -> bytes:
        data = workers.frozen(self._snapshot())
        try:
            workers.write(folder, self._number, data)
        except OSError as error:
            if self._clock() - self._told >= _TELL_EVERY_S:
                self._told = self._clock()
                _log.warning("telemetry.not_published: '%s' cannot be written: %s", folder, error.strerror or error)
        return data

    def _snapshot(self) -> Snapshot:
        """The counts as they are: the very lists, which go on growing."""
        for metric in METRICS:
            read = self._sums.get(metric.name)
            value = _read(read) if read is not None else None
            if value is not None:
                labels = (self._worker,) if WORKER in metric.labels else ()
                self._counts.cell(metric, labels)[0] += max(0.0, value - self._seen.get(metric.name, 0.0))
                self._seen[metric.name] = value
        values = {name: value for name, read in self._gauges.items() if (value := _read(read)) is not None}
        return Snapshot(self._instance, self._since, self._clock(), self._counts.samples, values)

    def _values(self, known: Mapping[int, Snapshot]) -> Samples:
        """The gauges: of every worker that lives, its own; those that are everybody's, as this one sees them."""
        alive = {number: snapshot for number, snapshot in known.items() if self._clock() - snapshot.at < _STALE_S}
        found: Samples = {}
        for metric in METRICS:
            if metric.kind == "gauge":
                seen = alive if WORKER in metric.labels else {self._number: known[self._number]}
                found[metric.name] = {
                    ((str(number),) if WORKER in metric.labels else ()): [snapshot.gauges[metric.name]]
                    for number, snapshot in seen.items()
                    if metric.name in snapshot.gauges
                }
        return found


def resident_bytes() -> float:
    """How much memory this process holds. Raises OSError where the system does not say."""
    with Path("/proc/self/statm").open("rb") as file:
        return float(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))


def _read(read: Callable[[], float]) -> float | None:
    """A value; None where it cannot be had, which is no reason to say nothing else."""
    with suppress(Exception):
        return float(read())
    return None


def _tell(event: Finished) -> None:
    """A line of the log: of every call at level `debug`, else of those that were not answered."""
    level = logging.DEBUG if event.outcome == "answered" else logging.INFO
    about = {
        "call": event.call,
        "door": event.door,
        "task": event.task,
        "variant": event.variant,
        "policy": event.policy,
        "outcome": event.outcome,
        "status": event.status,
        "seconds": round(event.seconds, 6),
        "cost_usd": event.cost_usd,
        "attempts": len(event.attempts),
        "trace": event.trace.id if event.trace is not None else None,
    }
    _log.log(level, "call.finished", extra=about)
