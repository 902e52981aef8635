"""The real command line as tests run it: a process of its own, warnings as errors."""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

RUN = "from freehold.cli.app import main; main()"
_FORKED = Path(__file__).with_name("forked.py")
_LONGEST_S = 300


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


def freehold(*arguments: str | Path, cwd: Path | None = None, stdin: str = "", code: int | None = 0) -> Ended:
    """Runs `freehold ARGUMENTS`, and wants this exit status unless it is None. The process is forked from one that has done the imports."""
    request = {"arguments": [*map(str, arguments)], "folder": str(cwd or Path.cwd()), "environment": dict(os.environ)}
    (in_read, in_write), (out_read, out_write), (err_read, err_write) = os.pipe(), os.pipe(), os.pipe()
    with socket.socket(socket.AF_UNIX) as connection, ThreadPoolExecutor(3) as pool:
        connection.connect(_forking())
        connection.settimeout(_LONGEST_S)
        socket.send_fds(connection, [json.dumps(request).encode()], [in_read, out_write, err_write])
        for theirs in (in_read, out_write, err_write):
            os.close(theirs)
        pool.submit(_write, in_write, stdin)
        out, err = pool.submit(_read, out_read), pool.submit(_read, err_read)
        with connection.makefile() as told:
            process = int(told.readline())
            try:
                status = int(told.readline())
            except TimeoutError:
                os.kill(process, signal.SIGKILL)
                raise
        ended = Ended(status, out.result(), err.result())
    assert code is None or ended.code == code, f"{arguments} ended with {ended.code}:\n{ended.out}{ended.err}"
    return ended


@cache
def _forking() -> str:
    """The address of this test run's process that forks; it ends when the run does."""
    folder = tempfile.TemporaryDirectory(prefix="forked")
    path = f"{folder.name}/socket"
    process = subprocess.Popen([sys.executable, "-W", "error", str(_FORKED), path], stdout=subprocess.PIPE)
    atexit.register(folder.cleanup)
    atexit.register(process.kill)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n", "the process that forks commands did not start"
    return path


def _write(descriptor: int, text: str) -> None:
    with suppress(BrokenPipeError), os.fdopen(descriptor, "w", encoding="utf-8") as stream:  # a command need not read all of it
        stream.write(text)


def _read(descriptor: int) -> str:
    with os.fdopen(descriptor, encoding="utf-8") as stream:
        return stream.read()
