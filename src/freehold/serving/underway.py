"""What is under way in this process: the calls that are being answered, those of them that people are waited for in, and whoever watches."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

from freehold.feedback.receive import Receiver
from freehold.journal.pending import PendingCall, PendingCalls
from freehold.serving.resources import Resources
from freehold.telemetry.names import (
    DROPPED_CALLS,
    FAILED_DECISIONS,
    IN_FLIGHT,
    JOURNAL_QUEUE,
    OPEN_ALERTS,
    OPEN_BREAKERS,
    SPOOL_FILES,
    UNCHECKED_CALLS,
)
from freehold.telemetry.telemetry import Telemetry

_log = logging.getLogger("freehold.serve")
_ENDING = "the gateway is shutting down"


class Live(Protocol):
    """A call that is being answered."""

    id: str
    """Its id."""

    @property
    def is_kept(self) -> bool:
        """Whether it is written down, and another process could go on with it."""

    def give_up(self, why: str) -> None:
        """Breaks off from our side."""


class Underway:
    """What the calls of one process share, and which there are."""

    def __init__(self, resources: Resources, telemetry: Telemetry) -> None:
        self.resources = resources
        self.telemetry = telemetry
        self.calls: set[Live] = set()
        """Those that are being answered."""
        self.is_stopping = False
        """Whether a signal said to stop."""
        self.pending = PendingCalls(resources.store, resources.tenant)
        """Calls that wait for a person."""
        config = resources.config
        self.receiver = Receiver(
            resources.store, resources.writer, resources.catalog, config.journal.content, resources.tenant, config.feedback
        )
        """Who takes what is said about answers."""
        self.token: Callable[[str, str], str | None] = lambda call, issuer: None
        """Gives a token with which somebody may speak of a call that a key made; None where answers carry none."""
        self._tasks: set[asyncio.Task[None]] = set()
        writer = resources.writer
        telemetry.watch(IN_FLIGHT, lambda: len(self.calls))
        telemetry.watch(JOURNAL_QUEUE, lambda: writer.waiting)
        telemetry.watch(SPOOL_FILES, lambda: writer.spool_files)
        telemetry.watch(OPEN_BREAKERS, lambda: len(resources.breakers.open(time.time())))
        telemetry.watch(OPEN_ALERTS, lambda: resources.open_alerts)
        telemetry.watch(FAILED_DECISIONS, lambda: resources.failed_decisions)
        telemetry.watch(DROPPED_CALLS, lambda: writer.dropped)
        telemetry.watch(UNCHECKED_CALLS, lambda: writer.unchecked)

    async def look_after_pending(self, resume: Callable[[PendingCall], None]) -> None:
        """Says which calls this worker goes on with that wait for a person, and has those taken up whose workers ended. Raises OperatorError."""
        kept = [call for call in self.calls if call.is_kept]
        if self.is_stopping:
            for call in kept:
                call.give_up(_ENDING)
            return
        for left in await asyncio.to_thread(self.pending.look, [call.id for call in kept], datetime.now(UTC)):
            if left.going is not None:
                _log.info("call.taken_up: it waits for a person, and its worker ended", extra={"call": left.id})
                resume(left)

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Has something done on the loop that nobody waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Breaks off what is in flight, journals it, and ends the connections."""
        for call in list(self.calls):
            call.give_up(_ENDING)
        self.resources.close()
