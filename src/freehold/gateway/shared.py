"""Numbers that all workers of one gateway see: how full each limit is. They lie in memory that the workers share, and are gone with the last.

One slot of 64-bit numbers for each name: its hash, until when the buckets of requests and tokens are filled, and how many requests each worker
has under way. A worker that dies leaves its own count behind, which is cleared when another takes its place.
"""

import fcntl
import mmap
import threading
from contextlib import AbstractContextManager
from hashlib import blake2b
from types import TracebackType
from typing import BinaryIO

from freehold.errors import OperatorError

MOST_WORKERS = 64
_SLOTS = 4_096
_WIDTH = 3 + MOST_WORKERS
_HASH, REQUESTS, TOKENS, _UNDER_WAY = 0, 1, 2, 3
MEMORY_BYTES = _SLOTS * _WIDTH * 8


class _Held:
    """A file's lock, for as long as it is entered."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __enter__(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_EX)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)


class Shared:
    """The numbers as one worker sees them."""

    def __init__(self, memory: mmap.mmap | None = None, worker: int = 0, lock: BinaryIO | None = None) -> None:
        """`memory`: of MEMORY_BYTES, one's own where there is none. `lock`: a file that each worker has opened for itself."""
        view = memoryview(memory if memory is not None else mmap.mmap(-1, MEMORY_BYTES))
        self._whole = view.cast("q")
        self.filled = view.cast("d")
        """At a place and REQUESTS or TOKENS: until when, by the monotonic clock, that bucket is filled."""
        self._worker = worker
        self.locked: AbstractContextManager[object] = threading.Lock() if lock is None else _Held(lock)
        """While it is entered, nobody else reads or writes."""
        self._workers = 1 if lock is None else MOST_WORKERS
        self._places: dict[str, int] = {}
        with self.locked:
            for place in range(_UNDER_WAY + worker, len(self._whole), _WIDTH):
                self._whole[place] = 0

    def place(self, name: str) -> int:
        """Where the numbers of a name are; taken on first use, with the lock held. Raises OperatorError where all are taken."""
        known = self._places.get(name)
        if known is not None:
            return known
        hash = int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), signed=True) or 1
        for step in range(_SLOTS):
            place = (hash + step) % _SLOTS * _WIDTH
            if self._whole[place + _HASH] in (0, hash):
                self._whole[place + _HASH] = hash
                self._places[name] = place
                return place
        raise OperatorError(f"More than {_SLOTS:,} keys and models have limits; nothing more can be counted.")

    def under_way(self, place: int) -> int:
        """Requests of all workers."""
        begin = place + _UNDER_WAY
        return sum(self._whole[begin : begin + self._workers]) if self._workers > 1 else self._whole[begin + self._worker]

    def begin(self, place: int) -> None:
        """One more here."""
        self._whole[place + _UNDER_WAY + self._worker] += 1

    def end(self, place: int) -> None:
        """One fewer."""
        self._whole[place + _UNDER_WAY + self._worker] -= 1
