"""Where a stream's answers go, and what it notes of how far it is: standard output, a file of JSON lines, or a folder with a file for each.

What is noted is on the disk only after the answers before it are.
"""

import os
import re
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import msgspec

from freehold.chat import JSON
from freehold.errors import CallerError, DataError, OperatorError, StoreBusy
from freehold.pipelines.sources import digest_of
from freehold.store.lock import KernelLock

_PIECE_BYTES = 4_096  # what a pipe takes whole once it takes anything
_LOOK_S = 0.2
_READ_BYTES = 2**20
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One answer."""

    n: int
    """The item's place among those that were read."""
    key: str
    """The item's key: of two lines of one key, either may be dropped."""
    episode: str
    """The run that it came about by: `freehold calls --episode ID`."""
    input: JSON
    """What was given."""
    output: JSON
    """The answer."""


class Dead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item that failed for good."""

    n: int
    """As of `Line`."""
    key: str
    """As of `Line`."""
    episode: str
    """As of `Line`."""
    why: str
    """What was wrong."""
    attempts: int
    """How often it was tried; 0 for what cannot be read."""
    at: str
    """When it was given up."""
    input: JSON = None
    """What was given."""
    text: str | None = None
    """How it begins, where it cannot be read."""


class Sink(Protocol):
    """Where answers go."""

    @property
    def size(self) -> int:
        """How much stands there already."""

    def put(self, key: str, line: bytes) -> None:
        """Writes an answer. Raises OperatorError."""

    def recall(self, size: int) -> None:
        """Remembers the keys of what was written after so much stood there."""

    def knows(self, key: str) -> bool:
        """Whether that answer stands there, as far as it remembers."""

    def forget(self) -> None:
        """Remembers no longer."""

    def sync(self) -> None:
        """Returns when everything is on the disk."""

    def close(self) -> None:
        """Ends it."""


class LinesFile:
    """A file of JSON lines that is added to. A line that was cut off by a kill is taken out."""

    def __init__(self, path: Path) -> None:
        """Raises OperatorError."""
        self._path = path
        self._keys: set[str] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self.size = os.fstat(self._descriptor).st_size
            self._mend()
        except OSError as error:
            raise _unwritable(path, error) from error

    def _mend(self) -> None:
        """Takes out a line that is not whole; one that lacks nothing but its end gets that."""
        end, rest = self.size, b""
        while end and b"\n" not in rest:
            begin = max(0, end - _READ_BYTES)
            rest, end = os.pread(self._descriptor, end - begin, begin) + rest, begin
        if not rest or rest.endswith(b"\n"):
            return
        last = rest.rpartition(b"\n")[2]
        try:
            msgspec.json.decode(last)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.size -= len(last)
            os.ftruncate(self._descriptor, self.size)
        else:
            self._write(b"\n")

    def put(self, key: str, line: bytes) -> None:
        """As of `Sink`."""
        try:
            self._write(line + b"\n")
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self.size)
            raise _unwritable(self._path, error) from error

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]
        self.size += len(data)

    def recall(self, size: int) -> None:
        """As of `Sink`."""
        at = size if size <= self.size else 0
        buffer = b""
        while data := os.pread(self._descriptor, _READ_BYTES, at):
            at += len(data)
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                with suppress(msgspec.DecodeError, UnicodeDecodeError):
                    self._keys.add(_KEYED.decode(line).key)

    def knows(self, key: str) -> bool:
        """As of `Sink`."""
        return key in self._keys

    def forget(self) -> None:
        """As of `Sink`."""
        self._keys = set()

    def sync(self) -> None:
        """As of `Sink`."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise _unwritable(self._path, error) from error

    def close(self) -> None:
        """As of `Sink`."""
        os.close(self._descriptor)


class _Keyed(msgspec.Struct, frozen=True):
    key: str


_KEYED = msgspec.json.Decoder(_Keyed)


class FilesFolder:
    """A folder with a file for each answer, named by its key, whole or not there at all."""

    def __init__(self, path: Path) -> None:
        """Raises OperatorError."""
        self.size = 0
        self._path = path
        self._remembers = False
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(path, error) from error

    def put(self, key: str, line: bytes) -> None:
        """As of `Sink`."""
        replace(self._path / _file_name(key), line + b"\n")

    def recall(self, size: int) -> None:
        """As of `Sink`."""
        self._remembers = True

    def knows(self, key: str) -> bool:
        """As of `Sink`."""
        return self._remembers and (self._path / _file_name(key)).exists()

    def forget(self) -> None:
        """As of `Sink`."""
        self._remembers = False

    def sync(self) -> None:
        """As of `Sink`: each file was synced when it was written, and their names are now."""
        _sync_folder(self._path)

    def close(self) -> None:
        """As of `Sink`."""


class Pipe:
    """Standard output, or another pipe. Who reads it slowly is waited for, and whoever wants the stream to end need not be."""

    def __init__(self, descriptor: int, is_over: Callable[[], bool]) -> None:
        """`is_over`: whether nobody waits any longer for what cannot be written."""
        self.size = 0
        self._descriptor = descriptor
        self._is_over = is_over

    def put(self, key: str, line: bytes) -> None:
        """As of `Sink`. Raises BrokenPipeError where nobody reads any more."""
        left = memoryview(line + b"\n")
        while left:
            if select.select([], [self._descriptor], [], _LOOK_S)[1]:
                left = left[os.write(self._descriptor, left[:_PIECE_BYTES]) :]
            elif self._is_over():
                raise OperatorError("The stream was broken off while nobody read what it wrote; its last line is not whole.")

    def recall(self, size: int) -> None:
        """As of `Sink`: what went through a pipe is gone."""

    def knows(self, key: str) -> bool:
        """As of `Sink`."""
        return False

    def forget(self) -> None:
        """As of `Sink`."""

    def sync(self) -> None:
        """As of `Sink`."""

    def close(self) -> None:
        """As of `Sink`."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far a stream is."""

    id: str
    """The stream's id."""
    program: str
    """What is run."""
    source: str
    """Over what."""
    place: JSON
    """Where its source goes on."""
    out_bytes: int
    """How much stood in the output when the oldest item was read that was not finished."""
    dead_bytes: int
    """The same of the dead letters."""
    is_clean: bool
    """Whether everything that was read is finished."""


def read_state(path: Path) -> State | None:
    """What was noted; None where nothing was. Raises DataError for a file that is something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}. It says how far the stream is.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} says how far the stream is, and cannot be read: {error}. Delete it to begin from the start.") from None


def write_state(path: Path, state: State) -> None:
    """Notes it: whole or not at all, and on the disk when this returns. Raises OperatorError."""
    replace(path, msgspec.json.encode(state) + b"\n")
    _sync_folder(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Writes a file that nobody else writes: whole or not at all, and synced. Raises OperatorError."""
    draft = path.with_name(f".{digest_of(path.name.encode())}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise _unwritable(path, error) from error


@contextmanager
def only_one(path: Path, what: str) -> Iterator[None]:
    """Nobody else writes there meanwhile. Raises CallerError where somebody does, OperatorError."""
    lock = KernelLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with lock.held(0.0):
            yield
    except StoreBusy:
        raise CallerError(f"Another stream writes to {what}. Let it end ('freehold runs' shows it), or choose another --to.") from None
    finally:
        lock.close()


def _sync_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _file_name(key: str) -> str:
    name = key if _PLAIN.fullmatch(key) else quote(key, safe="")
    if name.startswith(".") or len(name) > 200:
        name = f"{name[:100].lstrip('.')}.{digest_of(key.encode('utf-8', 'surrogatepass'))}"
    return f"{name}.json"


def _unwritable(path: Path, error: OSError) -> OperatorError:
    return OperatorError(f"{path} cannot be written: {error.strerror or error}. Check its folder, its permissions and the disk.")
