"""Commands in processes that are forked from one that has imported everything already: a command's imports are most of its time.

`python -W error forked.py SOCKET` listens there. A request has the arguments, the folder and the environment as JSON, and the three standard
streams as descriptors; the answers are the process's number when it begins and its exit status when it has ended. Such a process is like one
that was started, but for what it has imported, and the seed of its hashes, which all of one run share.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import threading
import warnings
from typing import Any

_MOST = 2**20


def import_all() -> None:
    """Whatever a command may come to need."""
    import freehold.cli

    for module in pkgutil.iter_modules(freehold.cli.__path__, "freehold.cli."):
        importlib.import_module(module.name)
    for name in (
        "altair",
        "freehold.asker",
        "freehold.curate",
        "freehold.demo",
        "freehold.doctor",
        "freehold.evaluator.run",
        "freehold.improve",
        "freehold.journal.ingest",
        "freehold.monitor.watch",
        "freehold.pipelines.batch",
        "freehold.pipelines.check",
        "freehold.pipelines.judging",
        "freehold.pipelines.program",
        "freehold.store.migrate",
        "freehold.store.postgres",
        "freehold.training.embedder",
        "freehold.web.report",
        "pyarrow.parquet",
        "sklearn.linear_model",
    ):
        importlib.import_module(name)


def serve(path: str) -> list[str]:
    """Forks a process for each request. Comes back in that process alone, with its arguments."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("ready", flush=True)
        while True:
            connection = listening.accept()[0]
            if _fork() == 0:
                listening.close()
                return _watched(connection)
            connection.close()


def _watched(connection: socket.socket) -> list[str]:
    """Forks once more: who waits for a process's end is its parent."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, streams, _, _ = socket.recv_fds(connection, _MOST, 3)
    request: dict[str, Any] = json.loads(data)
    child = _fork()
    if child == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        return list(request["arguments"])
    for stream in streams:
        os.close(stream)
    connection.sendall(f"{child}\n".encode())
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.sendall(f"{status}\n".encode())
    os._exit(0)


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # libraries for arithmetic have threads, and expect forks
        return os.fork()


def end(status: int) -> None:
    """As the interpreter ends, but that it takes nothing apart: all that was imported is much to take apart."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads it any more
            stream.flush()
    os._exit(status)


def run() -> int:
    """The command; its exit status."""
    from freehold.cli.app import main

    try:
        main()
    except SystemExit as asked:
        if asked.code is None or isinstance(asked.code, int):
            return asked.code or 0
        print(asked.code, file=sys.stderr)
        return 1
    except BaseException:  # noqa: BLE001 as the interpreter does
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        return 1
    return 0


if __name__ == "__main__":
    sys.path[0] = ""  # as in `python -c`
    import_all()
    gc.freeze()
    sys.argv = ["-c", *serve(sys.argv[1])]
    end(run())
