"""A source of a stream: the files of a folder, each once, when it is whole."""

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from freehold.chat import JSON
from freehold.errors import CallerError, OperatorError
from freehold.journal.formats.lines import MAX_LINE_BYTES
from freehold.pipelines.sources import LOOK_S, Item, decoder, digest_of, shown, too_long

_HALF_WRITTEN = (".tmp", ".part", ".partial", ".crdownload", ".swp", "~")


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
