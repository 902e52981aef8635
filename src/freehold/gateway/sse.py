"""Server-sent events: bytes as they come into events, and events into bytes (WHATWG HTML, section 9.2)."""

from typing import NamedTuple

from freehold.errors import ProviderError

MOST_EVENT_BYTES = 16 * 2**20
DONE = b"[DONE]"
"""The data that ends an OpenAI stream."""


class Event(NamedTuple):
    """One event."""

    name: bytes
    """Its type; empty where none was said."""
    data: bytes
    """Its data, lines joined."""


class EventReader:
    """Puts events together from pieces of a stream, wherever they were cut. What is held is one event at most."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._held_size = 0
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes. Raises ProviderError for one beyond all bounds."""
        if self._held:
            self._held.append(piece)
        found: list[Event] = []
        if b"\n" in piece:
            *lines, rest = (b"".join(self._held) if self._held else piece).split(b"\n")
            self._held, self._held_size = [rest] if rest else [], len(rest)
            for line in lines:
                if line := line.removesuffix(b"\r"):
                    self._take(line)
                elif self._data:
                    found.append(Event(self._name, b"\n".join(self._data) if len(self._data) > 1 else self._data[0]))
                    self._name, self._data, self._size = b"", [], 0
        else:
            self._held = self._held or [piece]
            self._held_size += len(piece)
        if self._held_size + self._size > MOST_EVENT_BYTES:
            raise ProviderError(f"the provider sent an event of more than {MOST_EVENT_BYTES // 2**20} MiB")
        return found

    def end(self) -> list[Event]:
        """The last event, where the stream ended without the empty line after it."""
        return self.feed(b"\n\n") if self._held_size or self._data else []

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value)
        elif field == b"event":
            self._name = value


def event(data: bytes, name: str = "") -> bytes:
    """An event as bytes. Data has no line ends: JSON escapes them."""
    return (b"event: %s\n" % name.encode() if name else b"") + b"data: %s\n\n" % data


def comment(text: str) -> bytes:
    """A line that readers of events pass over."""
    return b": %s\n\n" % text.encode()
