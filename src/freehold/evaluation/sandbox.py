"""Runs Python that nobody trusts, and says which of its checks passed: in a process without network, other files, environment or children.

What it cannot do is keep an answer from cheating within its own process: code that looks for how it is tested may find it.
"""

import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from freehold.errors import OperatorError
from freehold.evaluation import confined

Ended: TypeAlias = Literal["done", "timed_out", "wrote_too_much", "died"]
_LOOK_S = 0.05
_MOST_ENTRIES = 2_000


class NoSandbox(OperatorError):
    """This machine cannot keep code in: nothing was run."""


class Bounds(NamedTuple):
    """What code may use."""

    time_s: float = 10.0
    """Seconds on the clock, those in which Python starts among them; on the processor likewise."""
    memory_mb: int = 512
    """Memory, of addresses."""
    files_mb: int = 16
    """What it leaves in its folder, and the largest file."""
    output_kb: int = 256
    """What it prints."""
    threads: int = 32
    """Threads, where it runs as anybody but root; memory bounds them in any case."""


class Ran(NamedTuple):
    """What became of it."""

    ended: Ended
    """How it ended."""
    passed: tuple[bool, ...]
    """Which checks passed; none of them where the code itself did not come to its end."""
    why: str
    """Why the code or the first check failed; empty where none did."""
    printed: str
    """The beginning of what it printed."""
    seconds: float
    """How long it took."""


def run(code: str, checks: Sequence[str] = (), bounds: Bounds = Bounds()) -> Ran:  # noqa: B008 frozen
    """Runs code, and after it each check: a statement that raises where something is wrong. Standard library alone.

    Raises NoSandbox where the machine cannot keep it in, before any of it has run.
    """
    if not sys.platform.startswith("linux"):
        raise NoSandbox(f"Code is run in a sandbox of Linux only, and this is {sys.platform}. Use unit_tests:monty, or score on Linux.")
    folder = tempfile.mkdtemp(prefix="freehold-")
    token = secrets.token_hex(16)
    told, tell = os.pipe()
    try:
        with subprocess.Popen(
            [sys.executable, "-sSPB", "-X", "utf8", confined.__file__, str(tell)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={"PYTHONHASHSEED": "0", "HOME": folder, "TMPDIR": folder},
            pass_fds=(tell,),
            start_new_session=True,
        ) as process:
            os.close(tell)
            tell = -1
            try:
                plan = {"token": token, "code": code, "checks": list(checks), "bounds": _rlimits(bounds)}
                watch = _Watch(process, told, Path(folder), bounds)
                ended = watch.through(msgspec.json.encode(plan))
            finally:
                _kill(process)
        return _ran(ended, watch, token, len(checks))
    finally:
        os.close(told)
        if tell >= 0:
            os.close(tell)
        shutil.rmtree(folder, ignore_errors=True)


def _rlimits(bounds: Bounds) -> dict[str, int]:
    return {
        "CPU": int(bounds.time_s) + 1,
        "AS": bounds.memory_mb * 2**20,
        "FSIZE": bounds.files_mb * 2**20,
        "NOFILE": 64,
        "NPROC": bounds.threads,
        "CORE": 0,
    }


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Ends it and whatever it may have started: they are one group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


class _Watch:
    """Feeds a process, hears it, and sees that it keeps within its bounds."""

    def __init__(self, process: "subprocess.Popen[bytes]", told: int, folder: Path, bounds: Bounds) -> None:
        self.printed = bytearray()
        self.told = bytearray()
        self.seconds = 0.0
        self._process = process
        self._told = told
        self._folder = folder
        self._bounds = bounds

    def through(self, plan: bytes) -> Ended:
        """From what it is to do to how it ended."""
        began = time.monotonic()
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        os.set_blocking(stdin.fileno(), False)
        left = memoryview(plan)
        with selectors.DefaultSelector() as several:
            several.register(stdout, selectors.EVENT_READ)
            several.register(self._told, selectors.EVENT_READ)
            several.register(stdin, selectors.EVENT_WRITE)
            while len(several.get_map()):
                for key, _ in several.select(_LOOK_S):
                    if key.fileobj is stdin:
                        try:
                            left = left[os.write(key.fd, left) :]
                        except BrokenPipeError:
                            left = left[:0]
                        if not left:
                            several.unregister(stdin)
                            stdin.close()
                        continue
                    heard = os.read(key.fd, 65_536)
                    if not heard:
                        several.unregister(key.fileobj)
                    (self.told if key.fd == self._told else self.printed).extend(heard)
                self.seconds = time.monotonic() - began
                if self.seconds > self._bounds.time_s:
                    return "timed_out"
                if len(self.printed) > self._bounds.output_kb * 1024 or len(self.told) > 65_536 or self._fills_folder():
                    return "wrote_too_much"
        return "done"

    def _fills_folder(self) -> bool:
        entries = size = 0
        for at, folders, files in os.walk(self._folder):
            entries += len(folders) + len(files)
            if entries > _MOST_ENTRIES:
                return True
            for file in files:
                with suppress(FileNotFoundError):
                    size += (Path(at) / file).lstat().st_size
        return size > self._bounds.files_mb * 2**20


def _ran(ended: Ended, watch: _Watch, token: str, checks: int) -> Ran:
    printed = watch.printed[:4_000].decode("utf-8", "replace")
    none = (False,) * checks
    if ended != "done":
        why = f"it took longer than {watch.seconds:.1f} s" if ended == "timed_out" else "it wrote more than it may"
        return Ran(ended, none, why, printed, watch.seconds)
    try:
        said = msgspec.json.decode(bytes(watch.told), type=_Told)
    except msgspec.DecodeError:
        said = _Told()
    if said.token != token:
        return Ran("died", none, "it ended before its checks did", printed, watch.seconds)
    if said.unconfined:
        raise NoSandbox(f"This machine cannot keep code in, and none was run: {said.unconfined}. Use unit_tests:monty, or another machine.")
    return Ran("done", said.passed, said.why, printed, watch.seconds)


class _Told(msgspec.Struct):
    """What the process tells, as far as it comes to that."""

    token: str = ""
    unconfined: str = ""
    passed: tuple[bool, ...] = ()
    why: str = ""
