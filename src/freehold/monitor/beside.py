"""The monitor beside the gateway: a process of its own, begun with it, begun again where it dies, ended with it. Its libraries are no worker's."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

_RUN = "from freehold.monitor.beside import follow; follow({}); from freehold.cli.app import main; main()"
_AGAIN_S = 5.0
_ENDS_S = 30.0
_PR_SET_PDEATHSIG = 1
_log = logging.getLogger("freehold.monitor")


@contextmanager
def beside(folder: Path) -> Iterator[None]:
    """Watches the project in `folder` while the block lasts. What it says goes to stderr, as the gateway's log does."""
    stop, begun = Event(), list[subprocess.Popen[bytes]]()
    keeper = Thread(target=_keep, args=(folder, stop, begun), name="monitor", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        for process in begun:
            process.terminate()
        keeper.join(_ENDS_S)
        for process in begun:
            process.kill()


def _keep(folder: Path, stop: Event, begun: list[subprocess.Popen[bytes]]) -> None:
    command = [sys.executable, "-c", _RUN.format(os.getpid()), "monitor", "--project", str(folder)]
    while not stop.is_set():
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), start_new_session=True)
        begun[:] = [process]
        if stop.is_set():
            process.terminate()
        code = process.wait()
        if not stop.is_set():
            _log.error("monitor.died: the monitor ended with %d, and is begun again", code)
            stop.wait(_AGAIN_S)


def follow(gateway: int) -> None:
    """In the new process: it is told to stop where the gateway is killed, on Linux, which alone has a word for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != gateway:  # which was killed before that was said
            sys.exit(0)
