"""The protocol-level server: hot routes are answered from the socket's own callbacks, everything else by an ordinary ASGI application.

It runs inside uvicorn's server, whose sockets, signals, TLS and workers it uses; uvicorn's version is pinned for that. One queue for each
connection keeps answers in the order of their requests, whoever gives them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from freehold.gateway.guard import Guard, Refusal
from freehold.gateway.reply import Handler, Headers, Request, head_bytes

MOST_WAITING = 64
"""Requests that one connection may send ahead of their answers."""


class _Told(NamedTuple):
    """What the parser knew of a request when its headers were complete: uvicorn asks for it when its turn comes."""

    method: bytes
    http_version: str
    keep_alive: bool

    def get_method(self) -> bytes:
        return self.method

    def get_http_version(self) -> str:
        return self.http_version

    def should_upgrade(self) -> bool:
        return False

    def should_keep_alive(self) -> bool:
        return self.keep_alive


class _Waiting(NamedTuple):
    """A request that came before the one ahead of it was answered."""

    told: _Told
    url: bytes
    headers: list[tuple[bytes, bytes]]
    body: list[bytes]
    refusal: Refusal | None


class HotReply:
    """The way back of one hot request."""

    __slots__ = ("_chunked", "_is_over", "_keep_alive", "_protocol", "is_gone", "on_gone", "on_room")

    def __init__(self, protocol: "HotProtocol", keep_alive: bool) -> None:
        self._protocol = protocol
        self._keep_alive = keep_alive
        self._is_over = False
        self._chunked = True
        self.is_gone = False
        self.on_gone: Callable[[], None] | None = None
        self.on_room: Callable[[bool], None] | None = None

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        if self.is_gone or self._is_over:
            return
        self._protocol.transport.write(head_bytes(status, headers, len(body), self._keep_alive) + body)
        self._finish()

    def begin(self, status: int, headers: Headers) -> None:
        if not self.is_gone:
            self._protocol.transport.write(head_bytes(status, headers, None, self._keep_alive))

    def write(self, data: bytes) -> None:
        if data and not self.is_gone:
            self._protocol.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        if self.is_gone or self._is_over:
            return
        self._protocol.transport.write(b"0\r\n\r\n")
        self._finish()

    def abort(self) -> None:
        if not self.is_gone:
            self._is_over = True
            self._protocol.transport.abort()

    def left(self) -> None:
        """The connection is lost."""
        self.is_gone = True
        if not self._is_over and self.on_gone is not None:
            self.on_gone()

    def _finish(self) -> None:
        self._is_over = True
        self._protocol.answered(self._keep_alive)


class HotProtocol(HttpToolsProtocol):
    """One connection. `routes` and `guard` are set on a subclass by `protocol_for`."""

    routes: Mapping[tuple[bytes, bytes], Handler] = {}
    guard = Guard(frozenset())

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.real_parser = self.parser
        self._waiting: deque[_Waiting] = deque()
        self._reply: HotReply | None = None
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._told: _Told | None = None
        self._is_ours = True
        self._refusal: Refusal | None = None
        self._is_ending = False
        self._timer: asyncio.TimerHandle | None = None
        self.active_since: float | None = None
        """When the request that is coming in began; None between requests."""
        self._idle_since = 0.0

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.active_since = self.loop.time()
        self._timer = self.loop.call_later(self.guard.slow_s, self._look_for_slowness)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        reply, self._reply = self._reply, None
        self._waiting.clear()
        super().connection_lost(exc)
        if reply is not None:
            reply.left()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._is_ending:
            return  # bytes after what could not be read, or after `connection: close`
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, b"this server upgrades no connection")
        except httptools.HttpParserError:
            if self._header_bytes > self.guard.header_bytes:
                self._refuse(431, b"the headers are too large")
            else:
                self._refuse(400, b"this is not HTTP")
        if len(self._waiting) > MOST_WAITING:
            self.flow.pause_reading()

    def _look_for_slowness(self) -> None:
        """Once in a while, not for each request: whether the one that is coming in takes too long, or none has come for long."""
        now, guard = self.loop.time(), self.guard
        due = guard.slow_s
        if self.active_since is not None:
            due = self.active_since + guard.slow_s - now
            if due <= 0:
                self._refuse(408, b"the request took too long to come in")
                return
        elif self._is_free():
            due = self._idle_since + guard.idle_s - now
            if due <= 0:
                self.transport.close()
                return
        self._timer = self.loop.call_later(max(0.05, due), self._look_for_slowness)

    def shutdown(self) -> None:
        """Ends the connection after the answers that are on their way."""
        if self._reply is None and not self._waiting:
            super().shutdown()
            self._is_ending = self.cycle is None or self.cycle.response_complete
        else:
            self._is_ending = True

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reply is not None and self._reply.on_room is not None:
            self._reply.on_room(False)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reply is not None and self._reply.on_room is not None:
            self._reply.on_room(True)

    # A request comes in. httptools calls these.

    def on_message_begin(self) -> None:
        self._url, self._headers, self._header_bytes = b"", [], 0
        self._body, self._body_bytes, self._refusal, self._told = [], 0, None, None
        self._is_ours = True
        if self.active_since is None:
            self.active_since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))
        self._count_header(len(name) + len(value))

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self.guard.header_bytes:
            raise ValueError("headers beyond the limit")

    def on_headers_complete(self) -> None:
        parser = self.parser
        self._told = _Told(parser.get_method(), parser.get_http_version(), parser.should_keep_alive())
        self._refusal = self.guard.why_not(self._headers, self._told.http_version)
        if self._refusal is None and parser.should_upgrade():
            self._refusal = 400, b"this server upgrades no connection"
        path = self._url.partition(b"?")[0]
        is_hot = (self._told.method, path) in self.routes or self._refusal is not None
        if not is_hot and self._is_free():
            self._is_ours = False
            self._hand_over(self._told, self._url, self._headers)
        elif is_hot and (b"expect", b"100-continue") in self._headers and self._is_free():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if not self._is_ours:
            super().on_body(body)
            return
        self._body_bytes += len(body)
        if self._body_bytes > self.guard.body_bytes:
            self._refusal = 413, b"the body is too large"
            self._body = []
        elif self._refusal is None:
            self._body.append(body)

    def on_message_complete(self) -> None:
        self.active_since = None
        if not self._is_ours:
            super().on_message_complete()
            return
        assert self._told is not None
        request = _Waiting(self._told, self._url, self._headers, self._body, self._refusal)
        if self._is_free():
            self._answer(request)
        else:
            self._waiting.append(request)

    # Answers go out, one after the other.

    def _is_free(self) -> bool:
        """Whether nothing before it is still to be answered."""
        return self._reply is None and not self._waiting and (self.cycle is None or self.cycle.response_complete)

    def _answer(self, request: _Waiting) -> None:
        told, path = request.told, request.url.partition(b"?")[0]
        if request.refusal is not None:
            self._refuse(*request.refusal)
            return
        handler = self.routes.get((told.method, path))
        if handler is None:
            self._hand_over(told, request.url, request.headers)
            for piece in request.body:
                super().on_body(piece)
            super().on_message_complete()
            return
        reply = HotReply(self, told.keep_alive and not self._is_ending)
        self._reply = reply
        body = request.body[0] if len(request.body) == 1 else b"".join(request.body)
        handler(Request(told.method, path, request.headers, body), reply)

    def _hand_over(self, told: _Told, url: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Gives a request to the application, as if uvicorn had read it now."""
        super().on_message_begin()
        super().on_url(url)
        for name, value in headers:
            super().on_header(name, value)
        parser, self.parser = self.parser, told  # type: ignore[assignment]  # all of it that uvicorn asks for
        try:
            super().on_headers_complete()
        finally:
            self.parser = parser

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._next()

    def answered(self, keep_alive: bool) -> None:
        """The hot request at the front has its answer."""
        self._reply = None
        self._idle_since = self.loop.time()
        self.server_state.total_requests += 1
        if not keep_alive or (self._is_ending and not self._waiting):
            self._is_ending = True
            self.transport.close()
            return
        self._next()

    def _next(self) -> None:
        while self._waiting and self._reply is None and (self.cycle is None or self.cycle.response_complete):
            self._answer(self._waiting.popleft())
        if len(self._waiting) <= MOST_WAITING:
            self.flow.resume_reading()

    def _refuse(self, status: int, why: bytes) -> None:
        """Says why and ends the connection; where an answer is on its way, after it."""
        self._is_ending = True
        if self.transport.is_closing():
            return
        if self._reply is None and (self.cycle is None or self.cycle.response_complete):
            headers = ((b"content-type", b"text/plain; charset=utf-8"),)
            self.transport.write(head_bytes(status, headers, len(why), False) + why)
        self.transport.close()


def protocol_for(routes: Mapping[tuple[bytes, bytes], Handler], guard: Guard) -> type[HotProtocol]:
    """The protocol that answers these routes, by method and path; what uvicorn takes as `http`."""
    return type("HotProtocol", (HotProtocol,), {"routes": dict(routes), "guard": guard})
