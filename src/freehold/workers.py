"""The gateway's processes: one worker in this one, or several that share a port, are watched, and are begun anew where one dies."""

import ctypes
import logging
import mmap
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from freehold.errors import OperatorError
from freehold.gateway.guard import is_loopback
from freehold.gateway.keys import Keyring
from freehold.gateway.shared import MEMORY_BYTES, MOST_WORKERS, Shared
from freehold.project import Project
from freehold.telemetry.logs import set_up_logs
from freehold.worker import Seat, opened, serve

_BACKLOG = 2_048
_LOOK_S = 0.05
_SHORT_LIFE_S = 2.0
_AGAIN_S = 1.0
_PR_SET_PDEATHSIG = 1

_log = logging.getLogger("freehold.serve")


def run(project: Project, host: str, port: int, workers: int, plain_asgi: bool, tell: Callable[[str], None]) -> None:
    """Serves until a signal says to stop, and tells at which address. Raises OperatorError where that cannot be listened on."""
    set_up_logs(project.config.telemetry)
    if not 1 <= workers <= MOST_WORKERS:
        raise OperatorError(f"{workers} workers are not possible; expected 1 to {MOST_WORKERS}, about one for each core")
    with opened(project) as store:  # migrated once, before the workers open it
        if not is_loopback(host) and Keyring(store, project.tenant).is_empty:
            raise OperatorError(
                f"'{host}' can be reached from other machines, and there are no keys to keep strangers out. Make one with 'freehold keys "
                "create', or listen on 127.0.0.1."
            )
    with _bound(host, port, workers > 1) as first:  # which keeps the port, whoever else is closed
        port = first.getsockname()[1]
        if workers == 1:
            first.listen(_BACKLOG)
            serve(project, Seat(0, first, Shared(), None), host, plain_asgi, lambda: tell(f"http://{host}:{port}"))
            return
        _Family(project, host, port, workers, plain_asgi).watch(lambda: tell(f"http://{host}:{port}"))


class _Family:
    """Workers by process id. Every one has a listening socket of its own, which outlives it: who connects meanwhile waits. Where a worker
    cannot begin, its socket is closed until it can, so that the others are asked."""

    def __init__(self, project: Project, host: str, port: int, workers: int, plain_asgi: bool) -> None:
        self._project = project
        self._host = host
        self._port = port
        self._plain_asgi = plain_asgi
        self._memory = mmap.mmap(-1, MEMORY_BYTES)
        self._listeners: list[socket.socket | None] = [_listening(host, port, True) for _ in range(workers)]
        self._born: dict[int, tuple[int, float]] = {}
        """By process id, which worker it is and since when."""
        self._due: dict[int, float] = {}
        """When those are to begin that could not."""
        self._has_served = False
        self._is_stopping = False

    def watch(self, started: Callable[[], None]) -> None:
        """Begins the workers, and those that die anew, until a signal says to stop. Raises OperatorError where none can begin."""
        with tempfile.TemporaryDirectory(prefix="freehold-") as folder, (Path(folder) / "lock").open("wb") as lock:
            self._folder, self._lock = Path(folder), lock
            for sig in (signal.SIGINT, signal.SIGTERM):
                signal.signal(sig, self._stop)
            for worker in range(len(self._listeners)):
                self._begin(worker)
            started()
            while self._born or (self._due and not self._is_stopping):
                self._bury()
                now = time.monotonic()
                self._has_served = self._has_served or any(now - since > _SHORT_LIFE_S for _, since in self._born.values())
                for worker in [worker for worker, due in self._due.items() if due <= now and not self._is_stopping]:
                    del self._due[worker]
                    self._begin(worker)
                time.sleep(_LOOK_S)

    def _bury(self) -> None:
        """Sees who has died."""
        for pid, (worker, since) in list(self._born.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            del self._born[pid]
            if self._is_stopping:
                continue
            lived_s, code = time.monotonic() - since, os.waitstatus_to_exitcode(status)
            _log.error("worker.died: worker %d ended with %d after %.1f s", worker, code, lived_s)
            if lived_s > _SHORT_LIFE_S or code < 0:  # somebody killed it
                self._begin(worker)
            elif self._has_served:
                self._close(worker)
                self._due[worker] = time.monotonic() + _AGAIN_S
            else:
                self._stop(signal.SIGTERM, None)
                raise OperatorError("A worker ended as soon as it had begun; the log above says why.")

    def _begin(self, worker: int) -> None:
        if self._listeners[worker] is None:
            self._listeners[worker] = _listening(self._host, self._port, True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            pid = os.fork()
            if pid == 0:
                self._live(worker)
            self._born[pid] = worker, time.monotonic()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _close(self, worker: int) -> None:
        listener, self._listeners[worker] = self._listeners[worker], None
        if listener is not None:
            listener.close()

    def _live(self, worker: int) -> NoReturn:
        """A worker's whole life, in its own process."""
        code = 1
        try:
            os.setsid()  # a terminal's Ctrl-C is for the family's head, who tells the others
            for sig in (signal.SIGINT, signal.SIGTERM):
                signal.signal(sig, signal.SIG_DFL)
            _end_with_parent()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
            for other in range(len(self._listeners)):
                if other != worker:
                    self._close(other)
            listener = self._listeners[worker]
            assert listener is not None
            seat = Seat(worker, listener, Shared(self._memory, worker, self._lock), self._folder)
            serve(self._project, seat, self._host, self._plain_asgi, lambda: None)
            code = 0
        except BaseException as error:  # noqa: BLE001 the process's boundary
            _log.error("worker.failed: %s: %s", type(error).__name__, error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _stop(self, _: int, __: FrameType | None) -> None:
        self._is_stopping = True
        for pid in self._born:
            os.kill(pid, signal.SIGTERM)


def _listening(host: str, port: int, is_shared: bool) -> socket.socket:
    listener = _bound(host, port, is_shared)
    listener.listen(_BACKLOG)
    return listener


def _bound(host: str, port: int, is_shared: bool) -> socket.socket:
    """A socket at an address. Where several that are shared listen, the kernel spreads connections over them."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise OperatorError(f"Cannot listen on {host}:{port}: {error.strerror}. Is it taken? Choose another --port.") from None
    return listener


def _end_with_parent() -> None:
    """A worker whose head was killed is told to stop, on Linux, which alone has a word for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
