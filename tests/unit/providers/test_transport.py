"""Connections to providers: kept and used again, never sent on twice, and every way in which they fail says so."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from freehold.errors import OperatorError, ProviderError
from freehold.providers.transport import Headers, Origin, Pool, origin_of, request, request_head


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("https://api.openai.com/v1", Origin("api.openai.com", 443, True, "/v1"), "api.openai.com"),
        ("http://127.0.0.1:8000/", Origin("127.0.0.1", 8000, False, ""), "127.0.0.1:8000"),
        ("http://[::1]:8000/a/b/", Origin("::1", 8000, False, "/a/b"), "[::1]:8000"),
    ],
)
def test_a_base_url_names_an_origin(url: str, origin: Origin, authority: str) -> None:
    assert origin_of(url) == origin
    assert origin.authority == authority


@pytest.mark.parametrize("url", ["", "api.openai.com", "ftp://a/b", "http://", "http://a:port", "http://a/?b", "http://a/#b"])
def test_what_is_no_address_says_so(url: str) -> None:
    with pytest.raises(OperatorError, match="is no address"):
        origin_of(url)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(OperatorError, match="key_env") as refused:
        origin_of("https://me:secret@example.com/v1")
    assert "secret" not in str(refused.value)


def test_a_key_with_a_line_end_cannot_smuggle_a_header() -> None:
    with pytest.raises(OperatorError, match="line end") as refused:
        request_head(Origin("a", 80, False, ""), "POST", "/x", [("authorization", "Bearer secret\r\nx: y")])
    assert "secret" not in str(refused.value)


class Heard:
    """A receiver that remembers."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.error: str | None = None
        self.over = asyncio.get_running_loop().create_future()

    def on_head(self, status: int, headers: Headers) -> None:
        self.status = status

    def on_data(self, data: bytes) -> None:
        self.body += data

    def on_end(self) -> None:
        self.over.set_result(None)

    def on_failure(self, error: ProviderError) -> None:
        self.error = str(error)
        self.over.set_result(None)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def asked(serve: Serve, times: int = 1, together: bool = False) -> tuple[list[Heard], int]:
    """What is heard when `serve` answers, and how many connections that took."""
    connections = 0

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    async def ask() -> list[Heard]:
        server = await asyncio.start_server(counted, "127.0.0.1", 0)
        async with server:
            origin = Origin("127.0.0.1", server.sockets[0].getsockname()[1], False, "")
            pool, found = Pool(origin), []
            head = request_head(origin, "POST", "/x", [])
            for _ in range(times):
                found.append(heard := Heard())
                pool.send(request(head, b"{}"), heard, 5.0)
                if not together:
                    await asyncio.wait_for(heard.over, 5)
            await asyncio.wait_for(asyncio.gather(*(heard.over for heard in found)), 5)
            pool.close()
            await asyncio.sleep(0.01)
            return found

    return asyncio.run(ask()), connections


def saying(answer: bytes, close: bool = False) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (await reader.read(65_536)) != b"":
            writer.write(answer)
            if close:
                return

    return serve


def test_a_connection_is_used_again() -> None:
    found, connections = asked(saying(OK), times=5)
    assert ([heard.body for heard in found], connections) == ([b"ok"] * 5, 1)


@pytest.mark.parametrize("more", [OK, OK[:20], b"what?\r\n\r\n", OK.replace(b"ok", b"no") * 3], ids=["answer", "half", "no HTTP", "three"])
def test_what_comes_after_an_answer_is_nobodys(more: bytes) -> None:
    """Else the next caller would get somebody else's answer."""
    found, connections = asked(saying(OK + more), times=3)
    assert ([(heard.body, heard.error) for heard in found], connections) == ([(b"ok", None)] * 3, 3)


def test_requests_at_one_time_have_connections_of_their_own() -> None:
    found, connections = asked(saying(OK), times=4, together=True)
    assert ([heard.status for heard in found], connections) == ([200] * 4, 4)


def test_a_connection_the_other_side_closes_is_not_used_again() -> None:
    found, connections = asked(saying(OK, close=True), times=3)
    assert ([heard.body for heard in found], connections) == ([b"ok"] * 3, 3)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "without an answer"), (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", "in the middle of its answer"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", "in the middle of its answer"), (b"what?\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", "is not HTTP"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_a_failure_with_its_reason(answer: bytes, error: str) -> None:
    (heard,), _ = asked(saying(answer, close=True))
    assert heard.error is not None and error in heard.error


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    (heard,), _ = asked(saying(b"HTTP/1.1 200 OK\r\n\r\nall of it", close=True))
    assert (heard.body, heard.error) == (b"all of it", None)


def test_what_comes_before_the_answer_is_passed_over() -> None:
    (heard,), _ = asked(saying(b"HTTP/1.1 100 Continue\r\n\r\n" + OK))
    assert (heard.status, heard.body) == (200, b"ok")


def test_nobody_who_listens_is_a_failure() -> None:
    async def ask() -> Heard:
        heard = Heard()
        Pool(Origin("127.0.0.1", 1, False, "")).send(b"", heard, 5.0)
        await heard.over
        return heard

    assert "takes no connection" in (asyncio.run(ask()).error or "")
