"""The servers on real sockets: slow and idle connections, limits, order, back-pressure both ways."""

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable

import pytest
import uvicorn
from serving import exchange, read_answer, serving

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


# Over both servers, in a thread.

FLOOD = 200 * 2**20
AHEAD = 32 * 2**20
"""More than the sockets between a server and a client hold, and much less than what is sent."""
PIECE = 2**16
both = pytest.mark.parametrize("by_our_protocol", [True, False], ids=["our protocol", "plain ASGI"])


class Flood:
    """A handler that sends FLOOD bytes as fast as it is let."""

    def __init__(self) -> None:
        self.written = self.read = self.most_ahead = 0
        self.is_held = threading.Event()
        self.is_gone = threading.Event()
        self._has_room = True

    def __call__(self, request: Request, reply: Reply) -> None:
        self._reply = reply
        reply.on_room, reply.on_gone = self._room, self.is_gone.set
        reply.begin(200, ())
        self._more()

    def _room(self, has_room: bool) -> None:
        self._has_room = has_room
        if has_room:
            asyncio.get_running_loop().call_soon(self._more)
        else:
            self.is_held.set()

    def _more(self) -> None:
        while self._has_room and self.written < FLOOD and not self._reply.is_gone:
            self.written += PIECE
            self.most_ahead = max(self.most_ahead, self.written - self.read)
            self._reply.write(b"x" * PIECE)
            if self.written == FLOOD:
                self._reply.end()


@both
def test_a_slow_reader_does_not_grow_memory(by_our_protocol: bool) -> None:
    """A stream of 200 MiB through a client that stops reading: what is held is what sockets hold, and all of it arrives in the end."""
    flood = Flood()
    hot = {(b"POST", b"/hot"): flood}
    with (
        serving(hot, {}, GUARD._replace(idle_s=60), by_our_protocol) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as one,
    ):
        one.sendall(post(b""))
        assert flood.is_held.wait(30)
        assert flood.written < AHEAD, "it stops when nobody reads"
        end = b""
        while not end.endswith(b"\r\n0\r\n\r\n"):
            piece = one.recv(2**20)
            assert piece
            flood.read += len(piece)
            end = (end + piece)[-7:]
    assert FLOOD < flood.read < FLOOD * 1.01
    assert flood.most_ahead < AHEAD


def test_a_reader_who_has_stopped_is_cut_off() -> None:
    flood = Flood()
    with serving({(b"POST", b"/hot"): flood}, {}, GUARD, True) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as one:
        one.sendall(post(b""))
        assert flood.is_gone.wait(30)


def test_answers_that_nobody_reads_hold_requests_back() -> None:
    """Somebody who asks and asks and never reads is not read either; nothing of it is lost once they do."""
    asked = 0

    def much(request: Request, reply: Reply) -> None:
        nonlocal asked
        asked += 1
        reply.send(200, (), b"x" * PIECE)

    request = post(b"x" * 900)
    with serving({(b"POST", b"/hot"): much}, {}, GUARD._replace(idle_s=60), True) as port, socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PIECE)
        one.connect(("127.0.0.1", port))
        one.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < FLOOD:
                sent += one.send(request[sent % len(request) :])
        assert asked * PIECE < AHEAD
        one.settimeout(30)
        reader = one.makefile("rb")
        for _ in range(sent // len(request)):
            assert len(read_answer(reader).body) == PIECE


@pytest.mark.parametrize("path", [b"/hot", b"/plain"])
def test_a_body_is_asked_for_where_its_sender_waits_to_hear_that_it_is_wanted(path: bytes) -> None:
    """Also behind a request that is still being answered."""

    def late(request: Request, reply: Reply) -> None:
        asyncio.get_running_loop().call_later(0.02, reply.send, 200, (), b"late")

    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Expect: 100-Continue\r\ncontent-length: 4\r\n\r\n"
    routes = {(b"POST", b"/hot"): echoes, (b"POST", b"/late"): late}
    with serving(routes, {(b"POST", b"/plain"): echoes}, GUARD, True) as port:
        for before in (b"", post(b"").replace(b"/hot", b"/late")):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
                reader = one.makefile("rb")
                one.sendall(before + head)
                assert not before or read_answer(reader).body == b"late"
                assert read_answer(reader).status == 100
                one.sendall(b"body")
                answer = read_answer(reader)
                while answer.status == 100:  # uvicorn says it once more
                    answer = read_answer(reader)
                assert answer.body == b"body"


def test_who_is_refused_is_not_asked_for_a_body() -> None:
    head = b"POST /hot HTTP/1.1\r\n" + HOST + b"origin: null\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n"
    with serving({(b"POST", b"/hot"): echoes}, {}, GUARD, True) as port:
        heard = exchange(port, head, 1)
    assert ([answer.status for answer in heard.answers], heard.closed) == ([403], True)


def test_who_is_refused_while_sending_hears_it() -> None:
    """Closing at once would reset the connection and take the answer away."""
    with serving({(b"POST", b"/hot"): echoes}, {}, GUARD._replace(slow_s=30), True) as port:
        assert exchange(port, post(b"x" * 2**23), 1).answers[0].status == 413


@both
def test_words_of_a_caller_make_no_header(by_our_protocol: bool) -> None:
    def says(request: Request, reply: Reply) -> None:
        if request.body:
            reply.begin(200, ((b"x-said", request.body),))
            reply.end()
        else:
            reply.send(200, ((b"x-said", b"a\r\nx-evil: 1\r\n\r\nHTTP/1.1 200 OK"),), b"")

    with serving({(b"POST", b"/hot"): says}, {}, GUARD, by_our_protocol) as port:
        for body in (b"", b"a\r\nb", b"a\nb", b"a\rb", b"a\0b"):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
                one.sendall(post(body))
                answer = read_answer(one.makefile("rb"))
            assert b"x-evil" not in answer.headers and answer.headers[b"x-said"].startswith(b"a?")


@both
def test_a_route_that_fails_says_so_and_the_next_is_answered(by_our_protocol: bool, caplog: pytest.LogCaptureFixture) -> None:
    def fails(request: Request, reply: Reply) -> None:
        raise RuntimeError(request.body)

    hot = {(b"POST", b"/v1/messages"): fails, (b"POST", b"/hot"): echoes}
    with serving(hot, {}, GUARD, by_our_protocol) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as one:
        reader = one.makefile("rb")
        one.sendall(post(b"x").replace(b"/hot", b"/v1/messages") + post(b"y"))
        failed, answered = read_answer(reader), read_answer(reader)
    assert (failed.status, json.loads(failed.body)["type"], answered.body) == (500, "error", b"y")
    assert "request.failed" in caplog.text


def test_a_stream_for_http_1_0_ends_with_its_connection() -> None:
    def streams(request: Request, reply: Reply) -> None:
        reply.begin(200, ())
        reply.write(b"a")
        reply.write(b"b")
        reply.end()

    with serving({(b"POST", b"/hot"): streams}, {}, GUARD, True) as port, socket.create_connection(("127.0.0.1", port), timeout=30) as one:
        one.sendall(post(b"").replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = read_answer(one.makefile("rb"))
    assert (answer.body, b"transfer-encoding" in answer.headers) == (b"ab", False)
