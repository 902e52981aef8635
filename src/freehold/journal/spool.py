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

from freehold.errors import FreeholdError, OperatorError
from freehold.gateway.ledger import Settlement
from freehold.journal.call import Call, Feedback
from freehold.store.files import private_file, sync_folder

_BATCH = 500
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("freehold.journal")


class Entry(msgspec.Struct, frozen=True):
    """What is stored together: a call, what was said about it, and what it cost; as one line where it waits."""

    call: Call | None
    """None where something was said later, or a reservation came to nothing."""
    feedback: tuple[Feedback, ...] = ()
    """What was said."""
    settlement: Settlement | None = None
    """What the ledger books for it."""


_decode = msgspec.json.Decoder(Entry).decode
Bring = Callable[[Sequence[Entry]], Sequence[FreeholdError | None]]
"""Stores entries and says how each ended, as `append_each` does."""


class Spool:
    """The lines of one writer, and those that dead ones left."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None

    def append(self, entries: Sequence[Entry]) -> None:
        """Writes and syncs. After that neither a kill nor a loss of power loses one, until it is brought in: then it is as durable as the
        store. Raises OperatorError, and keeps none of them then."""
        try:
            if self._file is None:
                self._file = self._opened()
            file, size = self._file, os.fstat(self._file.fileno()).st_size
            data = b"".join(_encode(entry) + b"\n" for entry in entries)
            try:
                if file.write(data) < len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                os.ftruncate(file.fileno(), size)  # nobody is told that they are kept
                raise
        except OSError as error:
            raise OperatorError(f"Neither the store nor the spool '{self._folder}' can be written: {error.strerror or error}.") from error

    def bring_in(self, bring: Bring) -> Iterator[int]:
        """Appends everything that waits, this writer's own lines and those of writers that are gone, a batch a step, and gives how many
        calls those were.

        Lines that cannot be read, or that the store refuses for good, are set aside in a file `.refused`, each for itself. Raises
        OperatorError where the store does not take them yet; they go on waiting then.
        """
        self.close()
        for path in self.files():
            try:
                file = path.open("rb")
            except FileNotFoundError:
                continue
            with file:
                if not _is_locked_alone(file, path):
                    continue  # somebody else writes it, or has just brought it in
                refused: list[bytes] = []
                while lines := list(islice(_whole_lines(file), _BATCH)):
                    yield _brought_in(lines, bring, refused)
                if refused:
                    aside = path.with_suffix(".refused")
                    _log.error("spool.refused: %d lines cannot be brought in and are set aside in '%s'", len(refused), aside)
                    with private_file(aside) as kept:
                        kept.writelines(refused)
                path.unlink()

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
        try:
            sync_folder(self._folder)
        except OSError:
            path.unlink(missing_ok=True)  # nothing waits in it
            file.close()
            raise
        return file


def _is_locked_alone(file: IO[bytes], path: Path) -> bool:
    """Takes the file's lock where it is free and the file still stands at its place."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _whole_lines(file: IO[bytes]) -> Iterator[bytes]:
    """A line cut off by a kill is the last, and nobody was told that it is kept."""
    return (line for line in file if line.endswith(b"\n"))


def _brought_in(lines: Sequence[bytes], bring: Bring, refused: list[bytes]) -> int:
    """How many calls of these lines are stored now; the lines that never can be go to `refused`."""
    entries: list[Entry] = []
    read: list[bytes] = []
    for line in lines:
        try:
            entries.append(_decode(line))
            read.append(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            _log.error("spool.unreadable: %s", error)
            refused.append(line)
    count = 0
    for entry, line, why in zip(entries, read, bring(entries) if entries else (), strict=True):
        if why is not None:
            _log.error("spool.refused: %s", why)
            refused.append(line)
        elif entry.call is not None:
            count += 1
    return count
