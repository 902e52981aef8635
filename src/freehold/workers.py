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
from contextlib import ExitStack
from types import FrameType
from typing import NoReturn

from freehold.errors import OperatorError
from freehold.gateway.guard import is_loopback
from freehold.gateway.shared import MEMORY_BYTES, MOST_WORKERS, Shared
from freehold.project import Project
from freehold.worker import opened, serve

_BACKLOG = 2_048
_SHORT_LIFE_S = 2.0
_MOST_SHORT_LIVES = 5
_PR_SET_PDEATHSIG = 1

_log = logging.getLogger("freehold.serve")


def run(project: Project, host: str, port: int, workers: int, plain_asgi: bool, tell: Callable[[str], None]) -> None:
    """Serves until a signal says to stop, and tells at which address. Raises OperatorError where that cannot be listened on."""
    if not is_loopback(host):
        raise OperatorError(
            f"'{host}' can be reached from other machines, and there are no keys yet to keep strangers out. Listen on 127.0.0.1."
        )
    if not 1 <= workers <= MOST_WORKERS:
        raise OperatorError(f"{workers} workers are not possible; expected 1 to {MOST_WORKERS}, about one for each core")
    with ExitStack() as stack:
        listeners = [stack.enter_context(_listening(host, port, workers > 1))]
        port = listeners[0].getsockname()[1]
        listeners += [stack.enter_context(_listening(host, port, True)) for _ in range(workers - 1)]
        address = f"http://{host}:{port}"
        if workers == 1:
            serve(project, listeners[0], host, plain_asgi, Shared(), lambda: tell(address))
            return
        with opened(project):
            pass  # migrated once, before the workers open it
        _Family(project, listeners, host, plain_asgi).watch(lambda: tell(address))


class _Family:
    """Workers by process id. Every one has a listening socket of its own, which outlives it: who connects meanwhile waits."""

    def __init__(self, project: Project, listeners: list[socket.socket], host: str, plain_asgi: bool) -> None:
        self._project = project
        self._listeners = listeners
        self._host = host
        self._plain_asgi = plain_asgi
        self._memory = mmap.mmap(-1, MEMORY_BYTES)
        self._born: dict[int, tuple[int, float]] = {}
        """By process id, which worker it is and since when."""
        self._short_lives = 0
        self._is_stopping = False

    def watch(self, started: Callable[[], None]) -> None:
        """Begins the workers, and those that die anew, until a signal says to stop. Raises OperatorError where they cannot stay."""
        with tempfile.TemporaryFile() as lock:
            self._lock = lock
            for sig in (signal.SIGINT, signal.SIGTERM):
                signal.signal(sig, self._stop)
            for worker in range(len(self._listeners)):
                self._begin(worker)
            started()
            while self._born:
                pid, status = os.wait()
                if pid not in self._born:
                    continue
                worker, since = self._born.pop(pid)
                if not self._is_stopping:
                    self._died(worker, time.monotonic() - since, os.waitstatus_to_exitcode(status))
        if self._short_lives >= _MOST_SHORT_LIVES:
            raise OperatorError("The workers end as soon as they have begun; the log above says why.")

    def _died(self, worker: int, lived_s: float, code: int) -> None:
        _log.error("worker.died: worker %d ended with %d after %.1f s", worker, code, lived_s)
        self._short_lives = self._short_lives + 1 if lived_s < _SHORT_LIFE_S else 0
        if self._short_lives >= _MOST_SHORT_LIVES:
            self._stop(signal.SIGTERM, None)
        else:
            self._begin(worker)

    def _begin(self, worker: int) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            pid = os.fork()
            if pid == 0:
                self._live(worker)
            self._born[pid] = worker, time.monotonic()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _live(self, worker: int) -> NoReturn:
        """A worker's whole life, in its own process."""
        code = 1
        try:
            os.setsid()  # a terminal's Ctrl-C is for the family's head, who tells the others
            for sig in (signal.SIGINT, signal.SIGTERM):
                signal.signal(sig, signal.SIG_DFL)
            _end_with_parent()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
            for other, listener in enumerate(self._listeners):
                if other != worker:
                    listener.close()
            shared = Shared(self._memory, worker, self._lock)
            serve(self._project, self._listeners[worker], self._host, self._plain_asgi, shared, lambda: None)
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
    """A socket that listens. Several that are shared have one port, and the kernel spreads connections over them."""
    try:
        return socket.create_server(
            (host.strip("[]"), port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_BACKLOG, reuse_port=is_shared
        )
    except OSError as error:
        raise OperatorError(f"Cannot listen on {host}:{port}: {error.strerror}. Is it taken? Choose another --port.") from None


def _end_with_parent() -> None:
    """A worker whose head was killed is told to stop, on Linux, which alone has a word for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
