"""Where a stream's items come from: lines of a pipe, files of a folder, a file of JSON lines that grows. Each is asked for so many, and waits for nobody.

A source says at which place it would go on, so that a stream that was killed reads again what had not been finished. It opens files and
looks at them, and is to be called from one thread.
"""

import logging
import os
import re
import select
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec

from freehold.chat import JSON
from freehold.errors import CallerError, OperatorError
from freehold.journal.formats.lines import MAX_LINE_BYTES

LOOK_S = 1.0
"""How long a file has to be as it is to count as whole, and a rotated one quiet to count as ended."""
_READ_BYTES = 2**18
_PIPE_BYTES = 2**12
_TAIL_BYTES = 64
_SHOWN = 2_000
_DIGEST_BYTES = 6
_COUNTED_BYTES = 2**22
_ROTATED = r"[.-]\d[\d.-]*"
_HALF_WRITTEN = (".tmp", ".part", ".partial", ".crdownload", ".swp", "~")
_log = logging.getLogger("freehold.pipelines")


class Item(NamedTuple):
    """One thing to be done."""

    n: int
    """Its place among the items that were read, from 0."""
    key: str
    """The same each time it is read."""
    value: JSON
    """What the program is given; None where it cannot be read."""
    why: str = ""
    """Why it cannot be read; empty where it can."""
    text: str = ""
    """How it begins, where it cannot be read."""
    place: Any = None
    """Where its source would go on to read it again."""


class Source(Protocol):
    """Where items come from."""

    @property
    def name(self) -> str:
        """What it is, for people and for the stream's id."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will ever come."""

    @property
    def has_turned(self) -> bool:
        """Whether it goes on in another file, which the stream has to note before it reads on."""

    @property
    def repeats(self) -> bool:
        """Whether it gives again what had not been finished, with the same keys."""

    def read(self, most: int) -> list[Item]:
        """So many items at most, and none where none are there. Raises OperatorError."""

    def place(self, oldest: Item | None, done: Sequence[Item], is_end: bool) -> JSON:
        """Where to go on. `oldest`: the first that was read and is not finished. `done`: what was finished since the last time."""

    def waiting(self) -> int | None:
        """About how many items are there that were not read; None where nobody knows."""

    def stop(self) -> None:
        """Takes in nothing more; what it holds already that nobody else has, it gives."""

    def close(self) -> None:
        """Ends it."""


Decode = Callable[[int, str, bytes], Item]
"""The item in a line: its number, the key that it has where it names none itself, and its bytes."""


def decoder(field: str | None) -> Decode:
    """Reads a line of JSON. `field`: where an item names its own key; None for items that name none."""

    def decode(n: int, key: str, line: bytes) -> Item:
        try:
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Item(n, key, None, f"it is no JSON: {error}", shown(line))
        if field is None:
            return Item(n, key, value)
        own = value.get(field) if isinstance(value, dict) else None
        if not isinstance(own, (str, int)) or isinstance(own, bool) or own == "":
            return Item(n, key, None, f"its key is to stand in '{field}', as text or a whole number, and does not", shown(line))
        return Item(n, str(own), value)

    return decode


def shown(raw: bytes) -> str:
    """How it begins."""
    return raw[:_SHOWN].decode(errors="replace")


def digest_of(raw: bytes) -> str:
    """A short name of some bytes."""
    return blake2b(raw, digest_size=_DIGEST_BYTES).hexdigest()


class Lines:
    """JSON lines of a pipe. What was read from it cannot be had again: whoever writes to it may send it again, from the first line on.

    A session ends when a stream ends in order. Within one, a line has the same key each time it comes at the same place.
    """

    repeats = False
    has_turned = False

    def __init__(self, descriptor: int, place: JSON, decode: Decode) -> None:
        self.name = "stdin"
        self.is_over = False
        self._descriptor = descriptor
        self._decode = decode
        self._session = place["session"] if isinstance(place, dict) else 0
        self._n = 0
        self._buffer = bytearray()
        self._lines: deque[tuple[bytes, int]] = deque()
        self._too_long = 0
        self._has_ended = False

    def read(self, most: int) -> list[Item]:
        """As of `Source`."""
        items: list[Item] = []
        while len(items) < most:
            if not self._lines and not self._take():
                break
            while self._lines and len(items) < most:
                items += self._item(*self._lines.popleft())
        self.is_over = self._has_ended and not self._lines
        return items

    def _item(self, line: bytes, size: int) -> list[Item]:
        line = line.removeprefix(b"\xef\xbb\xbf") if self._n == 0 else line
        if not line.strip() and not size:
            return []
        n, self._n = self._n, self._n + 1
        key = f"{self._session}.{n}.{digest_of(line)}"
        return [Item(n, key, None, too_long(size), shown(line))] if size else [self._decode(n, key, line)]

    def _take(self) -> bool:
        """Whether anything came."""
        if self._has_ended:
            return False
        try:
            if not select.select([self._descriptor], [], [], 0)[0]:
                return False
            data = os.read(self._descriptor, _PIPE_BYTES)
        except OSError as error:
            raise OperatorError(f"standard input cannot be read on: {error.strerror}. Start again with what was not answered.") from error
        if not data:
            self._has_ended = True
            if self._buffer:
                self._add(b"")
            return bool(self._lines)
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._add(line)
        self._buffer += rest
        if len(self._buffer) > MAX_LINE_BYTES:
            self._too_long += len(self._buffer)
            self._buffer = self._buffer[:_SHOWN]
        return True

    def _add(self, end: bytes) -> None:
        self._buffer += end
        size = self._too_long + len(self._buffer) if self._too_long else 0
        self._lines.append((bytes(self._buffer[:_SHOWN] if size else self._buffer), size))
        self._buffer, self._too_long = bytearray(), 0

    def place(self, oldest: Item | None, done: Sequence[Item], is_end: bool) -> JSON:
        """As of `Source`."""
        return {"session": self._session + (1 if is_end and oldest is None else 0)}

    def waiting(self) -> int | None:
        """As of `Source`: of a pipe nobody knows."""
        return None

    def stop(self) -> None:
        """As of `Source`."""
        self._has_ended = True
        self.is_over = not self._lines

    def close(self) -> None:
        """As of `Source`."""


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


class Folder:
    """The files of a folder, each once: a `.json` is a JSON value, any other its text. One that is still being written to is waited for."""

    repeats = True
    has_turned = False

    def __init__(self, path: Path, place: JSON, field: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = str(path.absolute())
        self.is_over = False
        self._path = path
        self._field = field
        self._clock = clock
        self._looked_at = -float("inf")
        self._seen: dict[str, tuple[int, ...]] = {}
        self._half_written: set[int] = set()
        self._ready: deque[tuple[str, tuple[int, ...]]] = deque()
        self._begun: dict[str, tuple[int, ...]] = {}
        self._done: dict[str, tuple[int, int, str]] = {}
        self._n = 0
        if isinstance(place, dict):
            self._n = place["n"]
            self._done = {name: tuple(known) for name, known in place["done"].items()}

    def read(self, most: int) -> list[Item]:
        """As of `Source`."""
        if not self._ready and self._clock() - self._looked_at >= LOOK_S:
            self._look()
        items: list[Item] = []
        while self._ready and len(items) < most:
            name, about = self._ready.popleft()
            item = self._item(name, about)
            if item is not None:
                self._begun[name] = about
                items.append(item)
        return items

    def _look(self) -> None:
        """Finds files that are whole: as they were at the last look, or renamed from a name of one that is half written."""
        self._looked_at = self._clock()
        seen: dict[str, tuple[int, ...]] = {}
        half_written: set[int] = set()
        ready: list[tuple[int, str, tuple[int, ...]]] = []
        try:
            with os.scandir(self._path) as entries:
                for entry in entries:
                    try:
                        if not entry.is_file():
                            continue
                        about = entry.stat()
                    except FileNotFoundError:  # it went away since the folder was listed
                        continue
                    mark = (about.st_mtime_ns, about.st_size, about.st_ino)
                    if entry.name.startswith(".") or entry.name.endswith(_HALF_WRITTEN):
                        half_written.add(about.st_ino)
                        continue
                    seen[entry.name] = mark
                    if self._begun.get(entry.name) == mark or self._done.get(entry.name, ())[:2] == mark[:2]:
                        continue
                    if self._seen.get(entry.name) == mark or about.st_ino in self._half_written:
                        ready.append((about.st_mtime_ns, entry.name, mark))
        except FileNotFoundError:
            if not self._path.is_dir():
                raise CallerError(f"There is no folder {self._path}. Make it, or check the path.") from None
        except OSError as error:
            raise OperatorError(f"{self._path} cannot be read: {error.strerror}. Check its permissions.") from error
        self._seen, self._half_written = seen, half_written
        for gone in [name for name in self._done if name not in seen]:
            del self._done[gone]
        for gone in [name for name in self._begun if name not in seen]:
            del self._begun[gone]
        self._ready = deque((name, mark) for _, name, mark in sorted(ready))

    def _item(self, name: str, about: tuple[int, ...]) -> Item | None:
        """The item of a file; None for one that is gone, or holds what it held before."""
        try:
            with (self._path / name).open("rb") as file:
                raw = file.read(MAX_LINE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raw, why = b"", f"it cannot be read: {error.strerror}"
        else:
            why = too_long(about[1]) if len(raw) > MAX_LINE_BYTES else ""
        digest = digest_of(raw)
        if (known := self._done.get(name)) is not None and known[2] == digest:
            self._done[name] = (about[0], about[1], digest)
            return None
        n, self._n = self._n, self._n + 1
        item = _of_file(n, f"{name}.{digest}", name, raw, self._field) if not why else Item(n, f"{name}.{digest}", None, why, shown(raw))
        return item._replace(place=(name, about[0], about[1], digest))

    def place(self, oldest: Item | None, done: Sequence[Item], is_end: bool) -> JSON:
        """As of `Source`."""
        for item in done:
            name, *known = item.place
            self._done[name] = (known[0], known[1], known[2])
            if self._begun.get(name, ())[:2] == (known[0], known[1]):
                del self._begun[name]
        return {"n": self._n, "done": {name: list(known) for name, known in self._done.items()}}

    def waiting(self) -> int | None:
        """As of `Source`."""
        return len(self._ready)

    def stop(self) -> None:
        """As of `Source`."""
        self.is_over = True

    def close(self) -> None:
        """As of `Source`."""


def _of_file(n: int, key: str, name: str, raw: bytes, field: str | None) -> Item:
    if name.endswith(".json"):
        return decoder(field)(n, key, raw.removeprefix(b"\xef\xbb\xbf"))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Item(n, key, None, f"it is no text in UTF-8: {error.reason} at byte {error.start}", shown(raw))
    return Item(n, key, text[:-2] if text.endswith("\r\n") else text.removesuffix("\n"))  # the end of its last line is no part of it


def _identity(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino


def too_long(size: int) -> str:
    """What is said of what is larger than an item may be."""
    return f"it has {size / 2**20:.1f} MiB; an item has at most {MAX_LINE_BYTES // 2**20} MiB" if size else ""
