"""Where a stream's items come from: what every source is, how a line is read, and the lines of a pipe. A source waits for nobody.

A source says at which place it would go on, so that a stream that was killed reads again what had not been finished. It opens files and
looks at them, and is to be called from one thread. Files that grow are in `growing.py`, folders in `folder.py`.
"""

import os
import select
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, Protocol

import msgspec

from freehold.chat import JSON
from freehold.errors import OperatorError
from freehold.journal.formats.lines import MAX_LINE_BYTES

LOOK_S = 1.0
"""How long a file has to be as it is to count as whole, and a rotated one quiet to count as ended."""
_PIPE_BYTES = 2**12
_SHOWN = 2_000
_DIGEST_BYTES = 6


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


def too_long(size: int) -> str:
    """What is said of what is larger than an item may be."""
    return f"it has {size / 2**20:.1f} MiB; an item has at most {MAX_LINE_BYTES // 2**20} MiB" if size else ""


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
