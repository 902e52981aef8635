"""W3C trace context: which trace a request is part of, and what is told to whoever is asked for it.

Source: https://www.w3.org/TR/trace-context/. A parent that is malformed counts as none; a state that is malformed is dropped alone.
"""

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x20-\x7e]{0,256})?")
_MEMBER = re.compile(rb"([a-z0-9][a-z0-9_\-*/@]{0,255})=([\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e])")
_MOST_STATE_BYTES = 512
_MOST_MEMBERS = 32


class Headers(Protocol):
    """Those of a request, names in lower case."""

    def get(self, name: bytes) -> bytes | None:
        """The value of the first of that name."""

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """All of them."""


class Hop(NamedTuple):
    """A request to whoever is asked, as part of a trace."""

    span: str
    """The id of its span; empty where spans are not recorded here."""
    lines: bytes
    """The header lines to send with it, each with its line end."""


class Trace(NamedTuple):
    """A request's place in a trace."""

    id: str
    """The trace, 32 hex digits."""
    parent: str
    """The caller's span; empty where the trace begins here."""
    span: str
    """Our own span; empty where spans are not recorded here."""
    flags: str
    """Two hex digits, of which the last bit says that the trace is recorded."""
    state: bytes = b""
    """What other systems add to it, passed on as it came."""

    @property
    def is_recorded(self) -> bool:
        """Whether whoever began the trace records it."""
        return int(self.flags, 16) & 1 == 1

    def hop(self) -> Hop:
        """For the next request to whoever is asked: a span of its own where spans are recorded here, else the caller's."""
        span = new_span() if self.span else ""
        lines = f"traceparent: 00-{self.id}-{span or self.parent}-{self.flags}\r\n".encode()
        return Hop(span, lines + b"tracestate: %b\r\n" % self.state if self.state else lines)


def of_request(headers: Iterable[tuple[bytes, bytes]], is_recording: bool) -> Trace | None:
    """The place that a request's headers name (names in lower case). Without one, None, or a new trace where spans are recorded here."""
    parents = [value for name, value in headers if name == b"traceparent"]
    found = _PARENT.fullmatch(parents[0].strip()) if len(parents) == 1 else None
    if found is not None:
        version, trace, parent, flags, further = found.groups()
        is_valid = version != b"ff" and not (version == b"00" and further) and trace.strip(b"0") and parent.strip(b"0")
        if is_valid:
            return Trace(trace.decode(), parent.decode(), new_span() if is_recording else "", flags.decode(), _state(headers))
    return Trace(os.urandom(16).hex(), "", new_span(), "01") if is_recording else None


def new_span() -> str:
    """The id of a new span."""
    return os.urandom(8).hex()


def _state(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """What they say of state, as one line; empty where it is malformed, or too long to pass on."""
    members = [member.strip() for name, value in headers if name == b"tracestate" for member in value.split(b",")]
    members = [member for member in members if member]
    keys = {found[1] for member in members if (found := _MEMBER.fullmatch(member))}
    state = b",".join(members)
    return state if len(keys) == len(members) <= _MOST_MEMBERS and len(state) <= _MOST_STATE_BYTES else b""
