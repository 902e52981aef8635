"""A server of a few routes, in a thread of its own, and a client that sends bytes and reads what comes back as strictly as a proxy would."""

import asyncio
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import uvicorn
import uvloop

from freehold.gateway.asgi import application
from freehold.gateway.guard import Guard
from freehold.gateway.reply import Handler
from freehold.gateway.server import protocol_for

Routes = Mapping[tuple[bytes, bytes], Handler]


class Answer(NamedTuple):
    """One answer of a connection."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Heard(NamedTuple):
    """What came back on a connection."""

    answers: list[Answer]
    closed: bool
    """Whether the server has ended it."""


@contextmanager
def serving(hot: Routes, plain: Routes, guard: Guard, by_our_protocol: bool) -> Iterator[int]:
    """The port of a server while the block lasts: `hot` by our protocol or, as `plain` always is, by plain ASGI."""
    ready, port = threading.Event(), 0
    stop: list[asyncio.Event] = []

    async def run() -> None:
        nonlocal port
        config = uvicorn.Config(
            application(plain if by_our_protocol else {**hot, **plain}, guard),
            http=protocol_for(hot, guard) if by_our_protocol else "httptools",
            log_config=None,
            lifespan="off",
            port=0,
            ws="none",
        )
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        port = server.servers[0].sockets[0].getsockname()[1]
        stop.append(asyncio.Event())
        ready.set()
        await stop[0].wait()
        server.force_exit = True
        await server.shutdown()

    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(30)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop[0].set)
        thread.join()
        loop.close()


def exchange(port: int, sent: bytes, answers: int, bytewise: bool = False) -> Heard:
    """Sends bytes, whole or each by itself, and reads until there are so many answers and the server has ended the connection; or, where it
    does not, until it has answered one request more, which shows that nothing of the first was left over."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = one.makefile("rb")
        try:
            for piece in (sent[n : n + 1] for n in range(len(sent))) if bytewise else (sent,):
                one.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        found = [read_answer(reader) for _ in range(answers)]
        try:
            one.sendall(b"GET /probe HTTP/1.1\r\nhost: here\r\n\r\n")
            probe = read_answer(reader)
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return Heard(found, closed=True)
        assert (probe.status, probe.body) == (200, b"probe"), probe
        return Heard(found, closed=False)


def read_answer(reader: "socket.SocketIO | object") -> Answer:
    """The next answer. Raises EOFError where the connection has ended."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = reader.readline()  # type: ignore[attr-defined]
        if not line:
            raise EOFError(head)
        head += line
    first, *lines = head[:-4].split(b"\r\n")
    told = re.fullmatch(rb"HTTP/1\.1 (\d{3}) [ -~]*", first)
    assert told, first
    headers = dict(line.split(b": ", 1) for line in lines)
    assert len(headers) == len(lines), "a header is said twice"
    if b"content-length" in headers:
        body = reader.read(int(headers[b"content-length"]))  # type: ignore[attr-defined]
    elif headers.get(b"transfer-encoding") == b"chunked":
        body = b""
        while size := int(reader.readline(), 16):  # type: ignore[attr-defined]
            body += reader.read(size)  # type: ignore[attr-defined]
            assert reader.readline() == b"\r\n"  # type: ignore[attr-defined]
        assert reader.readline() == b"\r\n"  # type: ignore[attr-defined]
    else:
        body = b"" if told[1].startswith(b"1") else reader.read()  # type: ignore[attr-defined]
    return Answer(int(told[1]), headers, body)
