"""Where calls wait while the store cannot take them: a file of lines, synced before anybody is told, brought in exactly once afterwards.

Each writer has a file of its own and holds a lock on it while it lives. A file whose lock is free belongs to nobody any more: whoever finds it
brings it in. Bringing in is appending, which adds nothing where a call is there already, so that a kill at any point loses and doubles nothing.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO
from uuid import uuid4

import msgspec

from freehold.errors import DataError, OperatorError
from freehold.journal.call import Call, Feedback

_BATCH = 500
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("freehold.journal")


class Spooled(msgspec.Struct, frozen=True):
    """A call and what was said about it, as one line. A call is None where only something was said."""

    call: Call | None
    feedback: tuple[Feedback, ...] = ()


Bring = Callable[[Sequence[Call], Sequence[Feedback]], object]
"""Stores calls and feedback, as `append_many` does."""


class Spool:
    """The lines of one writer, and those that dead ones left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None

    def append(self, entries: Sequence[Spooled]) -> None:
        """Writes and syncs; after that a kill or a loss of power loses none of them. Raises OperatorError."""
        try:
            if self._file is None:
                self._file = self._opened()
            data = b"".join(_encode(entry) + b"\n" for entry in entries)
            if self._file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError as error:
            self.close()  # so that what stands cut off at its end is the last line of its file
            raise OperatorError(f"Neither the store nor the spool '{self._folder}' can be written: {error.strerror or error}.") from error

    def bring_in(self, bring: Bring) -> int:
        """Appends everything that waits, this writer's own lines and those of writers that are gone, and gives how many calls those were.

        A file that cannot be read, or holds what the store refuses for good, is set aside as `.refused`. Raises OperatorError where the
        store does not take them yet; they go on waiting then.
        """
        self.close()
        count = 0
        for path in self.files():
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                if not _is_locked_alone(file, path):
                    continue  # somebody else writes it, or has just brought it in
                try:
                    count += _brought_in(file, bring)
                except (DataError, msgspec.MsgspecError, UnicodeDecodeError) as error:
                    _log.error("spool.refused: '%s' holds what cannot be brought in and is set aside: %s", path, error)
                    path.rename(path.with_suffix(".refused"))
                else:
                    path.unlink()
        return count

    def files(self) -> list[Path]:
        """Those with lines that wait, whoever wrote them."""
        return sorted(self._folder.glob("*.jsonl"))

    def close(self) -> None:
        """Lets go of the file; what it holds waits for the next who looks."""
        if self._file is not None:
            file, self._file = self._file, None
            file.close()

    def _opened(self) -> IO[bytes]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            path = self._folder / f"{uuid4().hex}.jsonl"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            file = os.fdopen(descriptor, "wb", buffering=0)
            if _is_locked_alone(file, path):
                break
            file.close()  # somebody who looked took the empty file for one left behind, and removed it
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return file


def _is_locked_alone(file: IO[bytes], path: Path) -> bool:
    """Takes the file's lock where it is free and the file still stands at its place."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _brought_in(file: IO[bytes], bring: Bring) -> int:
    count, entries = 0, _entries(file)
    while batch := list(islice(entries, _BATCH)):
        calls = [entry.call for entry in batch if entry.call is not None]
        bring(calls, [said for entry in batch for said in entry.feedback])
        count += len(calls)
    return count


def _entries(file: IO[bytes]) -> Iterator[Spooled]:
    decode = msgspec.json.Decoder(Spooled).decode
    for line in file:
        if line.endswith(b"\n"):  # a line cut off by a kill is the last, and nobody was told that it is kept
            yield decode(line)
