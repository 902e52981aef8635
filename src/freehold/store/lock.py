"""A lock between processes that waits in the kernel: writers of one SQLite file queue here, never on SQLite's busy polling."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from freehold.errors import OperatorError, StoreBusy


class KernelLock:
    """An exclusive lock on a side file, between threads as well as processes: each holder opens the file for itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[int] = []
        """Descriptors that nobody holds the lock by, kept because opening one costs more than locking it."""
        self._process = os.getpid()

    @contextmanager
    def held(self, timeout_s: float) -> Iterator[None]:
        """Holds the lock for a block. Raises StoreBusy when it is not free within `timeout_s`. The kernel frees it when a holder dies."""
        descriptor = self._acquire(timeout_s)
        try:
            yield
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # not by closing alone: a child forked meanwhile may have the file open, too
            self._open.append(descriptor)

    def close(self) -> None:
        """Closes what is kept open. The lock can be held again afterwards."""
        while (descriptor := self._kept()) is not None:
            os.close(descriptor)

    def _kept(self) -> int | None:
        """One of those kept open, which is the caller's then; None where there is none. Threads may ask at once."""
        try:
            return self._open.pop()
        except IndexError:
            return None

    def _acquire(self, timeout_s: float) -> int:
        descriptor = self._descriptor()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if timeout_s > 0:
                return _Wait(descriptor, self.path).result(timeout_s)
            self._open.append(descriptor)
            raise _busy(self.path, timeout_s) from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _descriptor(self) -> int:
        """The file, opened by this process and for this holder alone."""
        if self._process != os.getpid():  # a child shares its parent's, and so would share the lock
            self._process, self._open = os.getpid(), []
        try:
            while (descriptor := self._kept()) is not None:
                if self._is_current(descriptor):
                    return descriptor
                os.close(descriptor)
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OperatorError(
                f"Cannot open '{self.path}', where writers queue: {error.strerror or error}. It has to be writable for this user."
            ) from error

    def _is_current(self, descriptor: int) -> bool:
        """Whether the file is still the one of that name."""
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except OSError:
            return False


class _Wait:
    """One blocking wait, in a thread of its own because flock knows no time-out. Whoever gives up leaves the thread to clean up."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._mutex = threading.Lock()
        self._done = threading.Event()
        self._given_up = False
        self._error: OSError | None = None
        threading.Thread(target=self._wait, name="freehold-lock", daemon=True).start()

    def result(self, timeout_s: float) -> int:
        try:
            self._done.wait(timeout_s)
        except BaseException:  # such as Ctrl-C: the lock must not stay ours
            if not self._give_up() and self._error is None:
                os.close(self._descriptor)
            raise
        if self._give_up():
            raise _busy(self._path, timeout_s)
        if self._error is not None:
            raise self._error
        return self._descriptor

    def _give_up(self) -> bool:
        """Leaves the lock to the thread to release; False when it is ours already."""
        with self._mutex:
            self._given_up = not self._done.is_set()
            return self._given_up

    def _wait(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except OSError as error:
            self._error = error
        with self._mutex:
            self._done.set()
            if self._given_up or self._error is not None:
                os.close(self._descriptor)


def _busy(path: Path, timeout_s: float) -> StoreBusy:
    return StoreBusy(
        f"The journal is locked: another process held '{path}' for more than {timeout_s:g} s. "
        f"Let its import, erasure or backup end (`fuser {path}` names it), then try again."
    )
