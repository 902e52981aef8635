"""Keeps SQLite's write-ahead log short, in a thread beside the writer, so that no commit waits for a checkpoint."""

import os
import sqlite3
import struct
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from freehold.errors import OperatorError
from freehold.store.lock import KernelLock

SOFT_BYTES = 16 << 20
"""From so much in the log on it is written back in the background."""
HARD_BYTES = 40 << 20
"""From so much on the writer waits for one round of that, so that the log stays under 64 MB with one batch more."""
_LOG_HEADER = struct.Struct(">8xI4x8s8x")
"""Page size and salts, as SQLite's write-ahead log begins (https://sqlite.org/fileformat2.html, section 4.1)."""
_FRAME_HEADER_BYTES, _FRAME_SALTS_AT = 24, 8
_AGAIN_S = 1.0
"""After a round that could not cut the log, commits are left alone for so long."""
_LOOK_S = 0.02
"""How often the log is looked at: small commits come faster, and a look costs more than one of them."""
_PASSES = 2
"""The first takes its time, in which the writer adds to the log; the second leaves little for the turn."""
_READERS_MS = 50
_TURN_S = 2.0
_ROUND_S = 30.0


class Checkpointer:
    """Writes the log back into the database file: most of it beside the writer, the rest in a turn of its own, so that the next commit
    begins the log anew.

    The log keeps its size on disk then: cutting it to zero takes a turn of 50 to 100 ms instead of some 10 (ext4, 2026), so it is only cut
    when it has grown large. A reader in the middle of a snapshot keeps the log from being begun anew; nobody is made to wait for it, and a
    commit a second later tries again.
    """

    def __init__(self, path: Path, lock: KernelLock, connect: Callable[[], sqlite3.Connection]) -> None:
        self._wal = path.with_name(path.name + "-wal")
        self._lock = lock
        self._connect = connect
        self._state = threading.Condition()
        self.is_behind = False
        """Whether the log is so long that the next commit is to be one that may wait."""
        self._wanted = False
        self._rounds = 0
        self._again_at = self._look_at = 0.0
        self._closed = False
        self._thread: threading.Thread | None = None

    def committed(self, may_wait: bool = True) -> None:
        """Looks at the log after a commit. One that may not wait leaves that to the next."""
        now = time.monotonic()
        if now < self._again_at or now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        used = self._used()
        if used < SOFT_BYTES:
            return
        with self._state:
            if self._closed:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="freehold-checkpoint", daemon=True)
                self._thread.start()
            self._wanted = True
            self._state.notify_all()
            self.is_behind = used >= HARD_BYTES and not may_wait
            if used >= HARD_BYTES and may_wait:
                seen = self._rounds
                self._state.wait_for(lambda: self._rounds > seen or self._closed, _ROUND_S)

    def close(self) -> None:
        """Ends the thread after the round it is in."""
        with self._state:
            self._closed = True
            self._state.notify_all()
        if self._thread is not None:
            self._thread.join(_ROUND_S)

    def _used(self) -> int:
        """How many bytes of the log hold something: its frames begin with those that carry the log's own salts.

        Read from the log, and never from the index beside it: a process that closes any file descriptor of the index gives up SQLite's locks
        on it (POSIX has them so), and the next process to open the journal cuts it off under our feet.
        """
        try:
            descriptor = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            header = os.pread(descriptor, _LOG_HEADER.size, 0)
            if len(header) < _LOG_HEADER.size:
                return 0
            page_bytes: int
            page_bytes, salts = _LOG_HEADER.unpack(header)
            frame_bytes = page_bytes + _FRAME_HEADER_BYTES
            used, unused = 0, (os.fstat(descriptor).st_size - len(header)) // frame_bytes
            while used < unused:
                middle = (used + unused) // 2
                if os.pread(descriptor, len(salts), len(header) + middle * frame_bytes + _FRAME_SALTS_AT) == salts:
                    used = middle + 1
                else:
                    unused = middle
            return used * frame_bytes
        except OSError:
            return 0
        finally:
            os.close(descriptor)

    def _size(self) -> int:
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    def _run(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._wanted or self._closed)
                if self._closed:
                    return
            try:
                is_held = self._is_held_after_a_round()
            except (sqlite3.Error, OperatorError, OSError):
                is_held = False  # a full disk or a busy writer: the writer will say so, and a later commit tries again
            with self._state:
                self._again_at = time.monotonic() + _AGAIN_S if is_held else 0.0
                self._wanted = self.is_behind = False  # only now, for the commits in between asked for this round
                self._rounds += 1
                self._state.notify_all()

    def _is_held_after_a_round(self) -> bool:
        """Whether a reader kept the log from being begun anew."""
        with closing(self._connect()) as connection:
            connection.execute(f"PRAGMA busy_timeout = {_READERS_MS}")
            for _ in range(_PASSES):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            if self._used() < SOFT_BYTES:  # another process has done it meanwhile
                return False
            mode = "TRUNCATE" if self._size() >= HARD_BYTES else "RESTART"
            with self._lock.held(_TURN_S):
                (busy, _, _) = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
            return bool(busy)
