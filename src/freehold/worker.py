"""One worker of the gateway: the project's store and providers behind a socket, from start to a graceful end."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import uvicorn

from freehold.doors import Doors
from freehold.errors import FreeholdError
from freehold.feedback.public import PATH, origins_of
from freehold.gateway.asgi import Application, application
from freehold.gateway.guard import Guard, hosts_of
from freehold.gateway.server import protocol_for
from freehold.gateway.shared import Shared
from freehold.journal.spool import Spool
from freehold.journal.write import Writer
from freehold.project import Project
from freehold.serving.resources import Resources
from freehold.serving.underway import Underway
from freehold.store.open import Store, open_store
from freehold.telemetry.logs import set_up_logs
from freehold.telemetry.telemetry import Telemetry

REFRESH_S = 1.0
"""How often it is asked whether a policy was promoted or rolled back, and what other workers know."""
BUSY_S = 2.0
"""How long an answer waits for a journal that another program has locked."""
WRITE_CACHE_KIB = 4_000
"""Groups of calls are small, and a worker is to stay below 100 MB."""
GRACE_S = 20
"""How long answers that are on their way may take after a signal to stop."""


class Seat(NamedTuple):
    """A worker's place among the others, which another takes when it dies."""

    number: int
    """From 0."""
    listener: socket.socket
    """Where it is asked."""
    shared: Shared
    """What all of them count."""
    run_folder: Path | None
    """Where they keep their counts for each other; None for one that is alone."""


def serve(project: Project, seat: Seat, host: str, plain_asgi: bool, started: Callable[[], None]) -> None:
    """Serves on a socket until a signal says to stop. `started` is called when everything stands. Raises OperatorError."""
    set_up_logs(project.config.telemetry)
    with ExitStack() as resources:
        store = resources.enter_context(opened(project))
        on_failure = project.config.journal.on_failure
        writer = Writer(store, Spool(project.spool) if on_failure == "spool" else None, best_effort=on_failure == "best_effort")
        telemetry = Telemetry(project.config.telemetry, seat.run_folder, seat.number)
        underway = Underway(Resources(project.config, store, writer, project.tenant, seat.shared), telemetry)
        doors = Doors(underway)
        hosts = hosts_of(host, seat.listener.getsockname()[1], project.config.gateway.hosts)
        routes, guard = doors.routes(), Guard(hosts, origins={PATH: origins_of(project.config.feedback)})
        config = uvicorn.Config(
            _with_ending(application(routes if plain_asgi else {}, guard, doors.patterns()), underway, doors, writer),
            http="httptools" if plain_asgi else protocol_for(routes, guard),
            loop="uvloop",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=GRACE_S,
            ws="none",
        )
        started()
        gc.collect()
        gc.freeze()  # what is there at the start stays, and is not looked through again
        _Server(config, underway).run(sockets=[seat.listener])


def opened(project: Project) -> Store:
    """The project's store, as a worker opens it."""
    return open_store(project.config.store.url, project.folder, project.config.store.durability, BUSY_S, WRITE_CACHE_KIB)


class _Server(uvicorn.Server):
    """uvicorn's server, which having ended as it was told does not end once more by the signal that told it to."""

    def __init__(self, config: uvicorn.Config, underway: Underway) -> None:
        super().__init__(config)
        self._underway = underway

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._underway.is_stopping = True
        super().handle_exit(sig, frame)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def _with_ending(app: Application, underway: Underway, doors: Doors, writer: Writer) -> Application:
    """The application, which ends what is under way and then the journal when the server ends."""

    async def look_around() -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await underway.resources.look_around()
                await underway.look_after_pending(doors.resume)
            except FreeholdError as error:  # what is served goes on being served
                logging.getLogger("freehold.serve").warning("refresh.failed: %s", error)

    async def with_ending(scope: MutableMapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                loop = asyncio.get_running_loop()
                tasks = [loop.create_task(look_around()), loop.create_task(underway.telemetry.run())]
                await send({"type": "lifespan.startup.complete"})
            else:
                for task in tasks:
                    task.cancel()
                underway.close()
                await asyncio.sleep(0)
                await writer.close()
                await asyncio.to_thread(underway.telemetry.close)
                await send({"type": "lifespan.shutdown.complete"})
                return

    return with_ending
