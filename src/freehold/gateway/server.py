"""The protocol-level server: hot routes are answered from the socket's own callbacks, everything else by an ordinary ASGI application.

It runs inside uvicorn's server, whose sockets, signals, TLS and workers it uses; uvicorn's version is pinned for that. One queue for each
connection keeps answers in the order of their requests, whoever gives them. What cannot be read as a request is refused in that order too,
and nothing after it counts.
"""

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from freehold.gateway.guard import Guard, parts_of
from freehold.gateway.head import Head
from freehold.gateway.refuse import (
    FAILED,
    LONG_BODY,
    LONG_CHUNK_LINES,
    LONG_HEAD,
    NO_UPGRADE,
    NOT_HTTP,
    TOO_SLOW,
    Refusal,
    other_methods,
    told,
)
from freehold.gateway.reply import Handler, Headers, Request, head_bytes

MOST_WAITING = 64
"""Requests that one connection may send ahead of their answers."""
MOST_WAITING_BYTES = 2**20
"""The most their bodies may be, before no more is read."""
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r")
_CHUNKED = (b"transfer-encoding", b"chunked")
_log = logging.getLogger("freehold.gateway")


class Incoming(msgspec.Struct, gc=False):
    """A request as it comes in. uvicorn asks it what it would ask its parser, which has gone on by then."""

    method: bytes
    url: bytes
    path: bytes
    http_version: str
    keep_alive: bool
    headers: Head
    refusal: Refusal | None = None
    body: list[bytes] = []
    size: int = 0

    def get_method(self) -> bytes:
        return self.method

    def get_http_version(self) -> str:
        return self.http_version

    def should_upgrade(self) -> bool:
        return False

    def should_keep_alive(self) -> bool:
        return self.keep_alive


class HotReply:
    """The way back of one hot request."""

    __slots__ = ("_is_chunked", "_is_over", "_protocol", "is_gone", "on_gone", "on_room")

    def __init__(self, protocol: "HotProtocol", is_chunked: bool) -> None:
        self._protocol = protocol
        self._is_chunked = is_chunked
        self._is_over = False
        self.is_gone = False
        self.on_gone: Callable[[], None] | None = None
        self.on_room: Callable[[bool], None] | None = None

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        if self.is_gone or self._is_over:
            return
        protocol = self._protocol
        protocol.transport.write(head_bytes(status, headers, len(body), not protocol.ends_here()) + body)
        self._is_over = True
        protocol.answered()

    def begin(self, status: int, headers: Headers) -> None:
        if not self.is_gone:
            framed = (*headers, _CHUNKED) if self._is_chunked else headers
            self._protocol.transport.write(head_bytes(status, framed, None, not self._protocol.ends_here()))

    def write(self, data: bytes) -> None:
        if data and not self.is_gone:
            self._protocol.transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._is_chunked else data)

    def end(self) -> None:
        if self.is_gone or self._is_over:
            return
        if self._is_chunked:
            self._protocol.transport.write(b"0\r\n\r\n")
        self._is_over = True
        self._protocol.answered()

    def abort(self) -> None:
        if not self.is_gone:
            self._is_over = True
            self._protocol.transport.abort()

    def left(self) -> None:
        """The connection is lost."""
        self.is_gone = True
        if not self._is_over and self.on_gone is not None:
            self.on_gone()


class HotProtocol(HttpToolsProtocol):
    """One connection. `routes`, `others` and `guard` are set on a subclass by `protocol_for`."""

    routes: Mapping[tuple[bytes, bytes], Handler] = {}
    others: Mapping[bytes, Handler] = {}
    guard = Guard(frozenset())

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._waiting: deque[Incoming] = deque()
        self._waiting_bytes = 0
        self._reply: HotReply | None = None
        self._is_draining = False
        # What is coming in: its bytes as far as nobody has accounted for them, and what is known of it.
        self._piece = b""
        self._cursor = 0
        self._incoming: Incoming | None = None
        self._is_ours = True
        self._extension_bytes = 0
        self._refusal: Refusal | None = None
        self._wants_to_go_on = False
        # How it ends.
        self._is_ending = False
        self._timer: asyncio.TimerHandle | None = None
        self.active_since: float | None = None
        """When the request that is coming in began; None between requests."""
        self._idle_since = 0.0
        self._stuck_since: float | None = None

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.active_since = self.loop.time()
        self._timer = self.loop.call_later(self.guard.slow_s, self._look_at_the_clock)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        reply, self._reply = self._reply, None
        self._waiting.clear()
        super().connection_lost(exc)
        if reply is not None:
            reply.left()

    def data_received(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if self._is_ending:
            return  # nothing counts after what could not be read, or after `connection: close`
        self._piece = self._piece[self._cursor :] + data if self._piece else data
        self._cursor = 0
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._is_ending:
                self._refuse(NO_UPGRADE if isinstance(error, httptools.HttpParserUpgrade) else self._refusal or NOT_HTTP)
        if self._cursor == len(self._piece) or self._is_ending:
            self._piece, self._cursor = b"", 0
        elif len(self._piece) - self._cursor > self.guard.header_bytes:
            self._refuse(LONG_HEAD if self._incoming is None else LONG_CHUNK_LINES)
        if self._is_too_far_ahead() and not self.transport.is_closing():
            self.flow.pause_reading()

    def _look_at_the_clock(self) -> None:
        """Once in a while, not for each request: whether something takes too long, or nothing has come for long."""
        now, guard = self.loop.time(), self.guard
        since, most = self._idle_since, guard.idle_s
        if self._stuck_since is not None:
            since = self._stuck_since
        elif self.active_since is not None:
            if self.flow.read_paused:
                self.active_since = now  # it is we who are slow
            since, most = self.active_since, guard.slow_s
        elif not self._is_free():
            since = now
        elif self._is_ending:
            most = guard.slow_s
        due = since + most - now
        if due <= 0:
            if self._stuck_since is not None or self._is_ending:
                self.transport.abort()
            elif self.active_since is not None:
                self._refuse(TOO_SLOW)
            else:
                self.transport.close()
        self._timer = self.loop.call_later(min(max(0.05, due), guard.slow_s), self._look_at_the_clock)

    def shutdown(self) -> None:
        """Ends the connection after the answer that is on its way; what has not begun by then is not answered."""
        self._waiting.clear()
        self._is_ending = self._is_ours  # what the application is being told of is told to its end
        if self._reply is None:
            super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck_since = self.loop.time()
        if self._reply is not None and self._reply.on_room is not None:
            self._reply.on_room(False)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stuck_since = None
        if self._reply is not None and self._reply.on_room is not None:
            self._reply.on_room(True)
        self._next()

    # A request comes in. httptools calls these; what they raise ends in `data_received`.

    def on_message_begin(self) -> None:
        if self._is_ending:
            raise ValueError("nothing after the last request is read")
        if self._piece.startswith((b"\r", b"\n"), self._cursor):  # empty lines before a request are passed over
            self._cursor = len(self._piece) - len(self._piece[self._cursor :].lstrip(b"\r\n"))
        self._extension_bytes = 0
        if self.active_since is None:
            self.active_since = self.loop.time()

    # The first line and the headers are taken from the bytes, once the parser has passed them; trailers are not taken at all.
    on_url = on_header = None  # type: ignore[assignment]

    def on_headers_complete(self) -> None:
        piece, begin = self._piece, self._cursor
        first, end = piece.index(b"\r\n", begin), piece.index(b"\r\n\r\n", begin)
        method, url, version = piece[begin:first].split(b" ")  # where there are more the parser was lenient
        self._cursor = end + 4
        parser = self.parser
        authority, path = (b"", url) if url in self.others else parts_of(url)
        http_version = "1.1" if version == b"HTTP/1.1" else version[5:].decode()
        incoming = self._incoming = Incoming(
            method, url, path, http_version, http_version == "1.1" and parser.should_keep_alive(), Head(piece[first : end + 2])
        )
        if self._cursor - begin > self.guard.header_bytes:
            self._stop(LONG_HEAD)
        if version[:5] != b"HTTP/":
            self._stop(NOT_HTTP)
        if parser.should_upgrade():
            self._stop(NO_UPGRADE)
        if (refusal := self.guard.why_not(incoming.headers, http_version, authority, path)) is not None:
            self._stop(refusal)
        if path not in self.others:
            httptools.parse_url(url).path.decode("ascii")  # what uvicorn will ask of it
            if self._is_free():
                self._hand_over(incoming)
                self._is_ours = False
                return
        if self._cursor == len(piece) and _EXPECTS.search(incoming.headers.lowered) and http_version == "1.1":
            self._wants_to_go_on = True
            self._say_go_on()

    def on_body(self, body: bytes) -> None:
        self._cursor += len(body)
        if not self._is_ours:
            super().on_body(body)
            return
        incoming = self._incoming
        assert incoming is not None
        incoming.size += len(body)
        if incoming.size > self.guard.body_bytes:
            self._stop(LONG_BODY)
        incoming.body.append(body)

    def on_chunk_header(self) -> None:
        line = self._piece[self._cursor : self._piece.index(b"\r\n", self._cursor)]
        self._cursor += len(line) + 2
        digits, separator, _ = line.partition(b";")
        self._extension_bytes += len(line) - len(separator) - len(digits.lstrip(b"0") or b"0")
        if self._extension_bytes > self.guard.extension_bytes:
            self._stop(LONG_CHUNK_LINES)
        if self._is_ours and self._incoming is not None and self._incoming.size + int(digits, 16) > self.guard.body_bytes:
            self._stop(LONG_BODY)

    def on_chunk_complete(self) -> None:
        if self._piece.startswith(b"\r\n", self._cursor):
            self._cursor += 2
            return
        end = self._piece.index(b"\r\n\r\n", self._cursor) + 4
        size, self._cursor = end - self._cursor, end
        if size > self.guard.header_bytes:
            self._stop(LONG_CHUNK_LINES)

    def on_message_complete(self) -> None:
        self.active_since = None
        self._wants_to_go_on = False
        incoming, self._incoming = self._incoming, None
        assert incoming is not None
        if not incoming.keep_alive:
            self._is_ending = True
        if not self._is_ours:
            self._is_ours = True
            super().on_message_complete()
        elif self._is_free():
            self._answer(incoming)
        else:
            self._wait(incoming)

    def _stop(self, refusal: Refusal) -> NoReturn:
        """Reads no further."""
        self._refusal = refusal
        raise ValueError(refusal.why)

    def _refuse(self, refusal: Refusal) -> None:
        """Says why, after the answers that are on their way, and ends the connection."""
        self._is_ending = True
        self._wants_to_go_on = False
        method, url, *_ = (*self._piece[self._cursor :].partition(b"\r\n")[0].split(b" "), b"")
        if (incoming := self._incoming) is not None:
            method, url = incoming.method, incoming.url
        refused = Incoming(method, url, parts_of(url)[1], "1.1", False, Head(b""), refusal)
        self.active_since = self._incoming = None
        if not self._is_ours:  # the application has it already, and has not heard all of it
            self.transport.close()
        elif self._is_free():
            self._answer(refused)
        else:
            self._wait(refused)

    def _say_go_on(self) -> None:
        """To a client that waits to hear that its body is wanted, once nothing comes before it."""
        if self._wants_to_go_on and self._is_free():
            self._wants_to_go_on = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # Answers go out, one after the other.

    def _is_free(self) -> bool:
        """Whether nothing before it is still to be answered, and what was answered is being read."""
        return self._reply is None and not self._waiting and self._is_between()

    def _is_between(self) -> bool:
        return (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused

    def _is_too_far_ahead(self) -> bool:
        return len(self._waiting) > MOST_WAITING or self._waiting_bytes > MOST_WAITING_BYTES

    def _wait(self, incoming: Incoming) -> None:
        self._waiting.append(incoming)
        self._waiting_bytes += incoming.size

    def _answer(self, incoming: Incoming) -> None:
        if incoming.refusal is not None:
            status, headers, body = told(incoming.refusal, incoming.path, incoming.method)
            self.transport.write(head_bytes(status, headers, len(body), keep_alive=False) + body)
            self._end()
            return
        handler = self.routes.get((incoming.method, incoming.path)) or self.others.get(incoming.path)
        if handler is None:
            self._hand_over(incoming)
            for piece in incoming.body:
                super().on_body(piece)
            super().on_message_complete()
            return
        reply = self._reply = HotReply(self, incoming.http_version == "1.1")
        body = incoming.body[0] if len(incoming.body) == 1 else b"".join(incoming.body)
        try:
            handler(Request(incoming.method, incoming.path, incoming.headers, body, self.client[0] if self.client else ""), reply)
        except Exception:  # noqa: BLE001 the caller hears of it, and the connection lives
            _log.exception("request.failed: %s", incoming.path)
            reply.send(*told(FAILED, incoming.path, incoming.method))

    def _hand_over(self, incoming: Incoming) -> None:
        """Gives a request to the application, as if uvicorn had read it now."""
        super().on_message_begin()
        super().on_url(incoming.url)
        for name, value in incoming.headers:
            super().on_header(name, value)
        parser, self.parser = self.parser, incoming  # type: ignore[assignment]  # all of it that uvicorn asks for
        try:
            super().on_headers_complete()
        finally:
            self.parser = parser

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # how long it may lie idle is for us to say
        self._over()

    def ends_here(self) -> bool:
        """Whether the answer at the front is the last of the connection."""
        return self._is_ending and not self._waiting

    def answered(self) -> None:
        """The hot request at the front has its answer."""
        self._reply = None
        self.server_state.total_requests += 1
        if self.ends_here():
            self.transport.close()
        else:
            self._over()

    def _over(self) -> None:
        self._idle_since = self.loop.time()
        if self._waiting or self._wants_to_go_on:
            self._next()

    def _next(self) -> None:
        """Answers what waits, until one takes its time. One that is answered at once comes back here, and is not to go deeper."""
        if self._is_draining:
            return
        self._is_draining = True
        try:
            while self._waiting and self._reply is None and self._is_between() and not self.transport.is_closing():
                incoming = self._waiting.popleft()
                self._waiting_bytes -= incoming.size
                self._answer(incoming)
        finally:
            self._is_draining = False
        if not self._is_too_far_ahead() and not self.transport.is_closing():
            self.flow.resume_reading()
        self._say_go_on()

    def _end(self) -> None:
        """Says no more, and waits for the other side to close: closing on one who is still sending would take the answer from it."""
        self._idle_since = self.loop.time()
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()


def protocol_for(routes: Mapping[tuple[bytes, bytes], Handler], guard: Guard) -> type[HotProtocol]:
    """The protocol that answers these routes, by method and path; what uvicorn takes as `http`."""
    return type("HotProtocol", (HotProtocol,), {"routes": dict(routes), "others": other_methods(routes), "guard": guard})
