"""A source of a stream: a file of JSON lines that grows, through rotation and truncation, each line once and under the same key."""

import logging
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from freehold.chat import JSON
from freehold.errors import CallerError, OperatorError
from freehold.journal.formats.lines import MAX_LINE_BYTES
from freehold.pipelines.sources import LOOK_S, Decode, Item, digest_of, shown, too_long

_READ_BYTES = 2**18
_TAIL_BYTES = 64
_COUNTED_BYTES = 2**22
_ROTATED = r"[.-]\d[\d.-]*"
_log = logging.getLogger("freehold.pipelines")


class GrowingFile:
    """JSON lines of a file that others write to. Where it is rotated it is read to its end, and then the next; where it is truncated, from the start.

    Each file that it goes on in is a generation, and a line's key is its generation, where it begins, and a digest of it.
    """

    repeats = True

    def __init__(self, path: Path, place: JSON, decode: Decode, ends: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        """`ends`: whether it is over at its end."""
        if path.is_dir():
            raise CallerError(f"{path} is a folder; the files in it are read where it is named as one.")
        self.name = str(path.absolute())
        self.is_over = self.has_turned = False
        self._path = path
        self._decode = decode
        self._ends = ends
        self._clock = clock
        self._descriptor: int | None = None
        self._generation = self._n = self._offset = 0
        self._before = b""
        self._buffer, self._at, self._end, self._tail = b"", 0, 0, b""
        self._too_long = 0
        self._has_no_end = False
        self._quiet_since: float | None = None
        self._files: dict[int, tuple[int, int]] = {}
        self._mean_bytes = 0.0
        if isinstance(place, dict):
            self._go_on(place)

    def _go_on(self, place: dict[str, Any]) -> None:
        """Goes on where an earlier run was."""
        self._files = {int(generation): tuple(file) for generation, file in place["files"].items()}
        self._generation, self._n = place["generation"], place["n"]
        if not self._files:
            return
        offset, before = place["offset"], bytes.fromhex(place["before"])
        while (file := self._files.get(self._generation)) is not None:
            is_truncated = self._files.get(self._generation + 1) == file
            found = None if is_truncated else next((path for path, about in self._siblings() if _identity(about) == file), None)
            if found is not None:
                self._open(found)
                self._offset = self._end = offset
                self._before = self._tail = before
                return
            if not is_truncated:
                _log.warning("stream.lost: %s was rotated and is gone, and with it what stood after byte %d", self._path, offset)
            self._generation, offset, before = self._generation + 1, 0, b""

    def _siblings(self) -> list[tuple[Path, os.stat_result]]:
        """The files beside it; none that goes away meanwhile, such as one that is packed after it was rotated."""
        found: list[tuple[Path, os.stat_result]] = []
        with suppress(OSError), os.scandir(self._path.parent) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.is_file():
                        found.append((Path(entry.path), entry.stat()))
        return found

    def _open(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise OperatorError(f"{path} cannot be read: {error.strerror}. Check its permissions.") from error
        self._files[self._generation] = _identity(os.fstat(self._descriptor))
        self._offset = self._end = self._at = self._too_long = 0
        self._buffer = self._tail = self._before = b""
        self._quiet_since = None

    def read(self, most: int) -> list[Item]:
        """As of `Source`."""
        self.has_turned = False
        if self._descriptor is None:
            if not self._path.exists():
                self.is_over = self.is_over or self._ends
                return []
            self._open(self._path)
            self.has_turned = True  # which file it is has to be noted before anything of it
            return []
        items: list[Item] = []
        while len(items) < most and not self.has_turned and not self.is_over:
            line = self._line()
            if line is None:
                break
            items += self._item(line)
        return items

    def _item(self, line: bytes) -> list[Item]:
        size, self._too_long = self._too_long, 0
        start, before = self._offset, self._before
        end, self._has_no_end = b"" if self._has_no_end else b"\n", False
        length = (size or len(line)) + len(end)
        self._offset += length
        self._before = (before + line + end)[-_TAIL_BYTES:] if not size else self._last_bytes()
        self._mean_bytes = length if not self._mean_bytes else 0.98 * self._mean_bytes + 0.02 * length
        if start == 0:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip() and not size:
            return []
        n, self._n = self._n, self._n + 1
        key = f"{self._generation}.{start}.{digest_of(line)}"
        item = Item(n, key, None, too_long(size), shown(line)) if size else self._decode(n, key, line)
        return [item._replace(place=(self._generation, start, n, before))]

    def _last_bytes(self) -> bytes:
        """What stands before the next line."""
        begin = max(0, self._offset - _TAIL_BYTES)
        assert self._descriptor is not None
        return os.pread(self._descriptor, self._offset - begin, begin)

    def _line(self) -> bytes | None:
        """The next line without its end; None where there is none that is whole."""
        while True:
            found = self._buffer.find(b"\n", self._at)
            if found >= 0:
                line, self._at = self._buffer[self._at : found], found + 1
                if self._too_long:
                    self._too_long += len(line)
                    line = b""
                return line
            if len(self._buffer) - self._at > MAX_LINE_BYTES:
                self._too_long += len(self._buffer) - self._at
                self._buffer, self._at = b"", 0
            if not self._fill():
                return self._at_the_end()

    def _fill(self) -> bool:
        """Whether there was more to read."""
        assert self._descriptor is not None
        try:
            data = os.pread(self._descriptor, len(self._tail) + _READ_BYTES, self._end - len(self._tail))
        except OSError as error:
            raise OperatorError(f"{self._path} cannot be read on: {error.strerror}. Check the disk, then start again.") from error
        if not data.startswith(self._tail):
            self._truncated()
            return False
        fresh = data[len(self._tail) :]
        if not fresh:
            return False
        self._buffer, self._at = self._buffer[self._at :] + fresh, 0
        self._end += len(fresh)
        self._tail = (self._tail + fresh)[-_TAIL_BYTES:]
        self._quiet_since = None
        return True

    def _truncated(self) -> None:
        """The file is no longer what was read of it: it begins anew."""
        _log.warning("stream.truncated: %s was truncated after byte %d, and is read from its start", self._path, self._offset)
        self._generation += 1
        descriptor = self._descriptor
        assert descriptor is not None
        self._files[self._generation] = _identity(os.fstat(descriptor))
        self._offset = self._end = self._at = self._too_long = 0
        self._buffer = self._tail = self._before = b""
        self.has_turned = True

    def _at_the_end(self) -> bytes | None:
        """The last line of a file that has ended; None where more may come."""
        if self.has_turned:
            return None
        if self._ends:
            self.is_over = self._at >= len(self._buffer)
            return None if self.is_over else self._rest()
        following = self._following()
        if following is None:
            self._quiet_since = None
            return None
        now = self._clock()
        if self._quiet_since is None:
            self._quiet_since = now
        if now - self._quiet_since < LOOK_S:  # whoever writes may not have noticed yet
            return None
        if self._at < len(self._buffer):
            return self._rest()
        assert self._descriptor is not None
        os.close(self._descriptor)
        self._generation += 1
        self._open(following)
        self.has_turned = True
        return None

    def _rest(self) -> bytes:
        line, self._buffer, self._at = self._buffer[self._at :], b"", 0
        self._has_no_end = True
        return line

    def _following(self) -> Path | None:
        """The file that comes after this one: the oldest of those that it was rotated to since, or the one of its name; None for none."""
        assert self._descriptor is not None
        mine = os.fstat(self._descriptor)
        try:
            current = self._path.stat()
        except OSError:
            return None
        if _identity(current) == _identity(mine):
            return None
        rotated = re.compile(re.escape(self._path.name) + _ROTATED)
        known = set(self._files.values())
        between = []
        for path, about in self._siblings():
            if (
                rotated.fullmatch(path.name)
                and _identity(about) not in known
                and mine.st_mtime_ns < about.st_mtime_ns <= current.st_mtime_ns
            ):
                between.append((about.st_mtime_ns, path))
        return min(between)[1] if between else self._path

    def place(self, oldest: Item | None, done: Sequence[Item], is_end: bool) -> JSON:
        """As of `Source`."""
        generation, offset, n, before = (self._generation, self._offset, self._n, self._before) if oldest is None else oldest.place
        for old in [known for known in self._files if known < generation]:
            del self._files[old]
        return {
            "generation": generation,
            "offset": offset,
            "n": n,
            "before": before.hex(),
            "files": {str(known): list(file) for known, file in self._files.items()},
        }

    def waiting(self) -> int | None:
        """As of `Source`: counted where that is quick, else by how long lines were so far."""
        if self._descriptor is None:
            return 0
        left = os.fstat(self._descriptor).st_size - self._offset
        if 0 <= left <= _COUNTED_BYTES:
            return os.pread(self._descriptor, left, self._offset).count(b"\n")
        return round(left / self._mean_bytes) if self._mean_bytes and left > 0 else None

    def stop(self) -> None:
        """As of `Source`: what was not begun stands in the file."""
        self.is_over = True

    def close(self) -> None:
        """As of `Source`."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _identity(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino
