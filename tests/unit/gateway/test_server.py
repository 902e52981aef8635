"""The protocol-level server on real sockets: slow and idle connections, limits, order, back-pressure."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvicorn

from freehold.gateway.asgi import application
from freehold.gateway.guard import Guard
from freehold.gateway.reply import Reply, Request
from freehold.gateway.server import protocol_for

HOST = b"host: here\r\n"
CHUNK = b"ff\r\n" + b"x" * 255 + b"\r\n"
GUARD = Guard(frozenset({b"here"}), header_bytes=1_000, body_bytes=1_000, slow_s=0.2, idle_s=0.4)
Client = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def echoes(request: Request, reply: Reply) -> None:
    reply.send(200, ((b"x-path", request.path),), request.body)


def served(client: Client, handler: Callable[[Request, Reply], None] = echoes, guard: Guard = GUARD) -> None:
    """Runs a client against a server of one hot route."""

    async def run() -> None:
        config = uvicorn.Config(
            application({}, guard), http=protocol_for({(b"POST", b"/hot"): handler}, guard), log_config=None, lifespan="off", port=0
        )
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1])
            try:
                await asyncio.wait_for(client(reader, writer), 10)
            finally:
                writer.close()
                await writer.wait_closed()
        finally:
            server.force_exit = True
            await server.shutdown()

    asyncio.run(run())


def post(body: bytes) -> bytes:
    return b"POST /hot HTTP/1.1\r\n" + HOST + b"content-length: %d\r\n\r\n" % len(body) + body


async def answer(reader: asyncio.StreamReader) -> bytes:
    """The body of the next answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


def test_a_connection_carries_many_requests() -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for n in range(5):
            writer.write(post(b"%d" % n))
            assert await answer(reader) == b"%d" % n

    served(client)


def test_what_was_sent_ahead_waits_for_its_turn() -> None:
    """The first is answered late, the second at once: the client hears them in order."""

    def late_first(request: Request, reply: Reply) -> None:
        if request.body == b"first":
            asyncio.get_running_loop().call_later(0.1, echoes, request, reply)
        else:
            echoes(request, reply)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(b"first") + post(b"second") + b"GET /plain HTTP/1.1\r\n" + HOST + b"\r\n" + post(b"third"))
        assert [await answer(reader) for _ in range(2)] == [b"first", b"second"]
        assert b"there is nothing here" in await answer(reader)
        assert await answer(reader) == b"third"

    served(client, late_first)


@pytest.mark.parametrize("sent", [b"", b"POST /hot HTTP/1.1\r\n", b"POST /hot HTTP/1.1\r\n" + HOST + b"content-length: 5\r\n\r\nab"])
def test_who_sends_too_slowly_is_cut_off(sent: bytes) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")

    served(client)


def test_an_idle_connection_is_closed_and_a_busy_one_is_not() -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(4):
            writer.write(post(b"x"))
            assert await answer(reader) == b"x"
            await asyncio.sleep(0.15)
        assert await reader.read() == b""

    served(client)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post(b"x" * 1_001), 413), (b"POST /hot HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n" + CHUNK * 5 + b"0\r\n\r\n", 413),
        (b"POST /hot HTTP/1.1\r\n" + HOST + b"x: " + b"y" * 2_000 + b"\r\n\r\n", 431), (b"\x00\x01", 400), (b"POST /hot HTTP/1.1\r\n\r\n", 400),
        (b"POST /hot HTTP/1.1\r\n" + HOST + b"content-length: 2\r\ncontent-length: 3\r\n\r\nabc", 400),
        (b"POST /hot HTTP/1.1\r\n" + HOST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /hot HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 400),
        (b"POST /hot HTTP/1.1\nhost: here\n\n", 400), (b"POST /hot HTTP/1.1\r\n" + HOST + b" folded: x\r\n\r\n", 400),
        (b"GET /hot HTTP/1.1\r\n" + HOST + b"connection: upgrade\r\nupgrade: websocket\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_what_is_too_large_or_two_things_at_once_is_refused(sent: bytes, status: int) -> None:
    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        assert (await reader.read()).startswith(b"HTTP/1.1 %d " % status)

    served(client)


def test_nothing_after_the_last_request_counts() -> None:
    """What follows `connection: close` is not a request."""
    asked = []

    def counts(request: Request, reply: Reply) -> None:
        asked.append(request)
        echoes(request, reply)

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        last = b"POST /hot HTTP/1.1\r\n" + HOST + b"connection: close\r\ncontent-length: 1\r\n\r\nx"
        writer.write(last + post(b"smuggled"))
        assert (await reader.read()).endswith(b"\r\n\r\nx")

    served(client, counts)
    assert len(asked) == 1


def test_a_slow_reader_is_told_of_and_memory_does_not_grow() -> None:
    rooms: list[bool] = []
    written = 0

    def floods(request: Request, reply: Reply) -> None:
        nonlocal written
        has_room = True

        def room(free: bool) -> None:
            nonlocal has_room
            has_room = free
            rooms.append(free)

        reply.on_room = room
        reply.begin(200, ())

        def more() -> None:
            nonlocal written
            if reply.is_gone:
                return
            if has_room:
                reply.write(b"x" * 65_536)
                written += 65_536
            if written < 2**25:
                asyncio.get_running_loop().call_soon(more) if has_room else asyncio.get_running_loop().call_later(0.01, more)
            else:
                reply.end()

        more()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(b""))
        await asyncio.sleep(0.3)
        assert written < 2**24, "it stops when nobody reads"
        assert (await reader.read(2**26)) != b""
        end = b""
        while piece := await reader.read(2**20):
            end = (end + piece)[-5:]
            if end == b"0\r\n\r\n":
                break
        assert end == b"0\r\n\r\n"

    served(client, floods)
    assert rooms[0] is False and True in rooms


def test_a_caller_who_leaves_is_noticed() -> None:
    gone = asyncio.Event()

    def waits(request: Request, reply: Reply) -> None:
        reply.on_gone = gone.set

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(post(b"x"))
        await asyncio.sleep(0.05)
        writer.close()
        await asyncio.wait_for(gone.wait(), 5)

    served(client, waits)
