"""One worker of the gateway: the project's store and providers behind a socket, from start to a graceful end."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import ExitStack, contextmanager
from typing import Any

import uvicorn

from freehold.errors import FreeholdError, OperatorError
from freehold.gateway.asgi import Application, application
from freehold.gateway.guard import Guard, hosts_of, is_loopback
from freehold.gateway.server import protocol_for
from freehold.journal.spool import Spool
from freehold.journal.write import Writer
from freehold.project import Project
from freehold.serve import Gateway
from freehold.store.open import open_store

REFRESH_S = 1.0
"""How often it is asked whether a policy was promoted or rolled back."""
BUSY_S = 2.0
"""How long an answer waits for a journal that another program has locked."""
WRITE_CACHE_KIB = 4_000
"""Groups of calls are small, and a worker is to stay below 100 MB."""
GRACE_S = 20
"""How long answers that are on their way may take after a signal to stop."""


def run(project: Project, host: str, port: int, plain_asgi: bool, tell: Callable[[str], None]) -> None:
    """Serves until a signal says to stop, and tells at which address. Raises OperatorError where that cannot be listened on."""
    if not is_loopback(host):
        raise OperatorError(
            f"'{host}' can be reached from other machines, and there are no keys yet to keep strangers out. Listen on 127.0.0.1."
        )
    try:
        listener = socket.create_server((host.strip("[]"), port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)
    except OSError as error:
        raise OperatorError(f"Cannot listen on {host}:{port}: {error.strerror}. Is it taken? Choose another --port.") from None
    with ExitStack() as resources:
        resources.enter_context(listener)
        store = resources.enter_context(
            open_store(project.config.store.url, project.folder, project.config.store.durability, BUSY_S, WRITE_CACHE_KIB)
        )
        on_failure = project.config.journal.on_failure
        writer = Writer(store, Spool(project.spool) if on_failure == "spool" else None, best_effort=on_failure == "best_effort")
        gateway = Gateway(project.config, store, writer, project.tenant)
        port = listener.getsockname()[1]
        routes, guard = gateway.routes(), Guard(hosts_of(host, port))
        config = uvicorn.Config(
            _with_ending(application(routes if plain_asgi else {}, guard), gateway, writer),
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
        tell(f"http://{host}:{port}")
        gc.collect()
        gc.freeze()  # what is there at the start stays, and is not looked through again
        _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, which having ended as it was told does not end once more by the signal that told it to."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)


def _with_ending(app: Application, gateway: Gateway, writer: Writer) -> Application:
    """The application, which closes the gateway and then the journal when the server ends."""

    async def look_for_policies() -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await asyncio.to_thread(gateway.look_for_policies)
            except FreeholdError as error:  # what is served goes on being served
                logging.getLogger("freehold.serve").warning("policies.refresh_failed: %s", error)

    async def with_ending(scope: MutableMapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                looking = asyncio.get_running_loop().create_task(look_for_policies())
                await send({"type": "lifespan.startup.complete"})
            else:
                looking.cancel()
                gateway.close()
                await asyncio.sleep(0)
                await writer.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    return with_ending
