"""What came in, and the way back to whoever asked: the same for the protocol-level server and for plain ASGI."""

import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Protocol, TypeAlias

import msgspec

from freehold.gateway.head import Head

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}


class Request(msgspec.Struct, frozen=True, gc=False):
    """A request whose body is whole."""

    method: bytes
    path: bytes
    """Without what comes after a question mark."""
    headers: Head
    """Names in lower case."""
    body: bytes
    peer: str = ""
    """The address that it came from; empty where nobody knows."""

    def header(self, name: bytes) -> bytes | None:
        """The first header of that name."""
        return self.headers.get(name)


class Reply(Protocol):
    """The way back. An answer is sent whole, or begun, written and ended. After the other side is gone nothing reaches it."""

    is_gone: bool
    """Whether the other side has left."""
    on_gone: Callable[[], None] | None
    """Called when it leaves before the answer is whole."""
    on_room: Callable[[bool], None] | None
    """Called with False when what was written piles up, and with True when there is room again."""

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole answer."""

    def begin(self, status: int, headers: Headers) -> None:
        """Status and headers of an answer that comes in pieces."""

    def write(self, data: bytes) -> None:
        """A piece."""

    def end(self) -> None:
        """That was all."""

    def abort(self) -> None:
        """Breaks off, so that nobody takes what was sent for a whole answer."""


class Nobody:
    """A way back that leads nowhere: what is asked for the journal alone."""

    is_gone = False

    def __init__(self) -> None:
        self.on_gone: Callable[[], None] | None = None
        self.on_room: Callable[[bool], None] | None = None

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        """As of `Reply`."""

    def begin(self, status: int, headers: Headers) -> None:
        """As of `Reply`."""

    def write(self, data: bytes) -> None:
        """As of `Reply`."""

    def end(self) -> None:
        """As of `Reply`."""

    def abort(self) -> None:
        """As of `Reply`."""


Handler: TypeAlias = Callable[[Request, Reply], None]
"""Answers one request, now or later."""


_LINE_ENDS = re.compile(rb"[\x00\r\n]")


def head_bytes(status: int, headers: Headers, length: int | None, keep_alive: bool) -> bytes:
    """Status line and headers; without a length it is for `headers` or the end of the connection to say where the body ends."""
    lines = [STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status, *map(b": ".join, headers)]
    if length is not None:
        lines.append(b"content-length: %d" % length)
    if not keep_alive:
        lines.append(b"connection: close")
    lines.append(b"\r\n")
    head = b"\r\n".join(lines)
    if head.count(b"\n") == head.count(b"\r") == len(lines) and b"\0" not in head:
        return head
    return head_bytes(status, in_one_line(headers), length, keep_alive)


def in_one_line(headers: Headers) -> Headers:
    """The headers without line ends in their values, which may be a caller's words and must not become headers of their own."""
    return [(name, _LINE_ENDS.sub(b"?", value)) for name, value in headers]
