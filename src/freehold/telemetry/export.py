"""Calls on their way to OpenTelemetry: a queue that never makes anybody wait, and a thread that sends what is in it.

While the collector is away or busy the queue fills; what finds no place in it, or is refused, is dropped and counted. The messages' package is
an extra, and is imported on that thread alone, so that the first answer does not wait for it.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice
from threading import Event, Thread
from typing import TYPE_CHECKING
from urllib.parse import unquote

from freehold.errors import OperatorError
from freehold.tables import TelemetryTable
from freehold.telemetry.event import Finished
from freehold.telemetry.workers import Snapshot

if TYPE_CHECKING:
    from freehold.telemetry.otlp import Sender

MOST_WAITING = 4_096
"""The most calls that wait to be sent; each keeps some 2 KB, more with its content."""
_BATCH = 512
_SPANS_EVERY_S = 1.0
_METRICS_EVERY_S = 60.0
_TELL_EVERY_S = 60.0
"""How often it is said in the log that nothing can be sent, or not all of it."""
_LONGEST_WORDS = 500

_log = logging.getLogger("freehold.telemetry")


class Exporter:
    """Sends spans every second and metrics every minute, from a thread of its own."""

    def __init__(self, table: TelemetryTable, metrics: Callable[[], Snapshot]) -> None:
        """Raises OperatorError where it could never send: a package or the headers it names are missing."""
        if not _is_installed():
            raise OperatorError(
                "telemetry.otlp_endpoint is set and opentelemetry-proto is not installed. Run: pip install 'freehold[otel]'"
            )
        assert table.otlp_endpoint is not None
        self.dropped = 0
        """Calls whose spans nobody got."""
        self._endpoint = table.otlp_endpoint.rstrip("/")
        self._headers = headers_of(table.otlp_headers_env)
        self._has_content = table.content
        self._metrics = metrics
        self._waiting: deque[Finished] = deque()
        self._wake = Event()
        self._is_closed = False
        self._metrics_due = time.monotonic() + _METRICS_EVERY_S
        self._told = float("-inf")
        self._rejected: dict[str, tuple[int, float]] = {}
        """What a collector left out: of each kind how many since that was said, and when it was."""
        self._thread = Thread(target=self._run, name="freehold-otlp", daemon=True)
        self._thread.start()

    def offer(self, event: Finished) -> None:
        """Queues a call."""
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(event)
        if len(self._waiting) == _BATCH:
            self._wake.set()

    def close(self, timeout_s: float) -> None:
        """Sends what is left, as far as there is time."""
        self._is_closed = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            from freehold.telemetry.otlp import Sender

            sender = Sender(self._endpoint, self._headers, self._metrics().instance, self._has_content, self._tell_of_part)
        except Exception:  # noqa: BLE001 the thread's boundary: calls are answered and counted without it
            _log.exception("telemetry.export_failed: the messages cannot be made, and nothing is exported")
            return
        is_last = False
        while not is_last:
            self._wake.wait(_SPANS_EVERY_S)
            self._wake.clear()
            is_last = self._is_closed
            try:
                self._send(sender, is_last)
            except Exception:  # noqa: BLE001 as above
                _log.exception("telemetry.export_failed: what was to be sent is left out")
                self._drop(_BATCH)

    def _send(self, sender: Sender, is_last: bool) -> None:
        from freehold.telemetry.otlp import Sent

        while self._waiting:
            batch = list(islice(self._waiting, _BATCH))
            sent = sender.send_calls(batch)
            if sent is Sent.TAKEN:
                self._take(len(batch))
                continue
            self._tell_of_failure()
            if sent is Sent.NOT_NOW and not is_last:
                return  # until the next time
            self._drop(len(batch))
        if is_last or time.monotonic() >= self._metrics_due:
            self._metrics_due = time.monotonic() + _METRICS_EVERY_S
            if sender.send_metrics(self._metrics()) is not Sent.TAKEN:
                self._tell_of_failure()

    def _take(self, count: int) -> int:
        taken = min(count, len(self._waiting))
        for _ in range(taken):
            self._waiting.popleft()
        return taken

    def _drop(self, count: int) -> None:
        self.dropped += self._take(count)

    def _tell_of_failure(self) -> None:
        if time.monotonic() - self._told >= _TELL_EVERY_S:
            self._told = time.monotonic()
            _log.warning("telemetry.export_failed: the collector takes nothing; %d calls were not exported since the start", self.dropped)

    def _tell_of_part(self, what: str, count: int, message: str) -> None:
        """Of each kind once in a while: how many since the last time, and what the collector says now."""
        if not count and not message:
            return
        rejected, told = self._rejected.get(what, (0, float("-inf")))
        rejected += count
        if time.monotonic() - told >= _TELL_EVERY_S:
            _log.warning("telemetry.partly_exported: the collector left out %d %s: %s", rejected, what, message[:_LONGEST_WORDS])
            rejected, told = 0, time.monotonic()
        self._rejected[what] = rejected, told


def headers_of(variable: str | None) -> dict[str, str]:
    """The headers in an environment variable, written `name=value,name=value` with values percent-encoded. Raises OperatorError."""
    if variable is None:
        return {}
    written = os.environ.get(variable, "")
    pairs = [pair.partition("=") for pair in written.split(",") if pair.strip()]
    headers = {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}
    if not headers or not all(name and value and value.isprintable() for name, value in headers.items()):
        raise OperatorError(f"telemetry.otlp_headers_env: {variable} holds no headers. Set it to such as 'authorization=Bearer%20KEY'.")
    return headers


def _is_installed() -> bool:
    try:
        return find_spec("opentelemetry.proto") is not None
    except ModuleNotFoundError:
        return False
