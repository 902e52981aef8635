"""The same handlers behind plain ASGI: for servers other than ours, and for what our own protocol leaves to an application."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, TypeAlias

from freehold.gateway.guard import Guard
from freehold.gateway.head import Head
from freehold.gateway.refuse import FAILED, LONG_BODY, LONG_HEAD, NOT_FOUND, TOO_SLOW, Refusal, other_methods, told
from freehold.gateway.reply import Handler, Headers, Request, in_one_line

_MOST_QUEUED_BYTES = 256 * 1024
_NONE: Mapping[tuple[bytes, bytes], Handler] = MappingProxyType({})
_log = logging.getLogger("freehold.gateway")

Message: TypeAlias = MutableMapping[str, Any]
Application: TypeAlias = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]


class AsgiReply:
    """The way back of one request, as messages that a task sends on."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self.is_gone = False
        self.on_gone: Callable[[], None] | None = None
        self.on_room: Callable[[bool], None] | None = None
        self._queued = 0
        self._is_full = False

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        self._put(
            {"type": "http.response.start", "status": status, "headers": [*in_one_line(headers), (b"content-length", b"%d" % len(body))]}
        )
        self._put({"type": "http.response.body", "body": body, "more_body": False})
        self._put(None)

    def begin(self, status: int, headers: Headers) -> None:
        self._put({"type": "http.response.start", "status": status, "headers": in_one_line(headers)})

    def write(self, data: bytes) -> None:
        if data:
            self._put({"type": "http.response.body", "body": data, "more_body": True})

    def end(self) -> None:
        self._put({"type": "http.response.body", "body": b"", "more_body": False})
        self._put(None)

    def abort(self) -> None:
        self._put(None)

    def sent(self, message: Message) -> None:
        """A message has gone out."""
        self._queued -= len(message.get("body", b""))
        if self._is_full and self._queued < _MOST_QUEUED_BYTES // 2:
            self._is_full = False
            if self.on_room is not None:
                self.on_room(True)

    def left(self) -> None:
        """The other side is gone."""
        if not self.is_gone:
            self.is_gone = True
            if self.on_gone is not None:
                self.on_gone()
            self._put(None)

    def _put(self, message: Message | None) -> None:
        self.messages.put_nowait(message)
        self._queued += len(message.get("body", b"")) if message else 0
        if not self._is_full and self._queued > _MOST_QUEUED_BYTES:
            self._is_full = True
            if self.on_room is not None:
                self.on_room(False)


def application(
    routes: Mapping[tuple[bytes, bytes], Handler], guard: Guard, patterns: Mapping[tuple[bytes, bytes], Handler] = _NONE
) -> Application:
    """An ASGI application of these routes, and of those whose paths only begin so; what there is no route for is not found."""
    others = other_methods(routes)

    async def app(
        scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        reply = AsgiReply()
        method, path = scope["method"].encode(), scope["raw_path"] or scope["path"].encode()
        headers = Head.of(scope["headers"])
        handler = routes.get((method, path)) or others.get(path)
        if handler is None:
            handler = next((one for (by, begin), one in patterns.items() if by == method and path.startswith(begin)), None)
        body: bytes | Refusal | None = guard.why_not(headers, scope["http_version"], path=path)
        if headers.size() > guard.header_bytes:
            body = LONG_HEAD
        if body is None:
            body = await _body(receive, guard)
        if body is None:
            return  # who left before it was whole is not answered
        if isinstance(body, Refusal) or handler is None:
            reply.send(*told(body if isinstance(body, Refusal) else NOT_FOUND, path, method))
        else:
            try:
                handler(Request(method, path, headers, body, (scope.get("client") or ("",))[0]), reply)
            except Exception:  # noqa: BLE001 the caller hears of it
                _log.exception("request.failed: %s", path)
                reply.send(*told(FAILED, path, method))
        watching = asyncio.get_running_loop().create_task(_watch(receive, reply))
        try:
            while (message := await reply.messages.get()) is not None:
                await send(message)
                reply.sent(message)
        finally:
            watching.cancel()
            reply.left()

    return app


async def _body(receive: Callable[[], Awaitable[Message]], guard: Guard) -> bytes | Refusal | None:
    """The whole body, or why it is not taken; None where whoever sends it leaves."""
    pieces, size, more = [], 0, True
    try:
        async with asyncio.timeout(guard.slow_s):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                if size > guard.body_bytes:
                    return LONG_BODY
                more = message.get("more_body", False)
    except TimeoutError:
        return TOO_SLOW
    return b"".join(pieces)


async def _watch(receive: Callable[[], Awaitable[Message]], reply: AsgiReply) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reply.left()
