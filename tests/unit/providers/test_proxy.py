"""A proxy of the environment is asked for whoever lies behind it: for plain addresses by their whole name, for TLS by a tunnel."""

import asyncio
import ssl
from pathlib import Path

import pytest
import uvloop
from tests.unit.providers.test_transport import OK, Heard

from freehold.errors import OperatorError
from freehold.providers.transport import Origin, Pool, Proxy, proxy_for, request, request_head

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""A key and a certificate of `localhost` that nobody else trusts, valid until 2126."""
HIDDEN = Origin("hidden.example", 80, False, "/v1")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_environment_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for(HIDDEN) is None
    monkeypatch.setenv("HTTP_PROXY", "http://me:p%40ss@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    assert proxy_for(HIDDEN) == Proxy("proxy.example", 3128, "Basic bWU6cEBzcw==")
    assert proxy_for(HIDDEN._replace(host="inside.example")) is None
    assert proxy_for(HIDDEN._replace(is_tls=True)) is None
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example:1080")
    with pytest.raises(OperatorError, match="no address of an HTTP proxy") as refused:
        proxy_for(HIDDEN._replace(is_tls=True))
    assert "1080" not in str(refused.value)


def test_a_plain_address_is_asked_for_by_its_whole_name() -> None:
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"{}"))
        writer.write(OK)
        writer.close()

    async def run() -> Heard:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            proxy = Proxy("127.0.0.1", server.sockets[0].getsockname()[1], "Basic eA==")
            heard = Heard()
            Pool(HIDDEN, proxy).send(request(request_head(HIDDEN, "POST", "/x", [], proxy), b"{}"), heard, 5.0)
            await asyncio.wait_for(heard.over, 5)
            return heard

    assert asyncio.run(run()).body == b"ok"
    assert asked[0].startswith(b"POST http://hidden.example/v1/x HTTP/1.1\r\nhost: hidden.example\r\nproxy-authorization: Basic eA==\r\n")


async def tunnelled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A proxy that lets people through to this machine alone."""
    head = await reader.readuntil(b"\r\n\r\n")
    port = int(head.split(b" ")[1].rpartition(b":")[2])
    there, back = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            sink.write(data)
        sink.close()

    await asyncio.gather(pass_on(reader, back), pass_on(there, writer))


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_tls_goes_through_a_tunnel_and_is_verified(loop: object) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"{}")
            writer.write(OK)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    async def run() -> tuple[Heard, Heard]:
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ours.load_cert_chain(CERTIFICATE)
        async with (
            await asyncio.start_server(serve, "127.0.0.1", 0, ssl=ours) as server,
            await asyncio.start_server(tunnelled, "127.0.0.1", 0) as between,
        ):
            origin = Origin("localhost", server.sockets[0].getsockname()[1], True, "")
            proxy = Proxy("127.0.0.1", between.sockets[0].getsockname()[1], "")
            trusted, heard = ssl.create_default_context(cafile=str(CERTIFICATE)), []
            for context in (trusted, None):
                heard.append(one := Heard())
                pool = Pool(origin, proxy, context)
                pool.send(request(request_head(origin, "POST", "/x", [], proxy), b"{}"), one, 5.0)
                await asyncio.wait_for(one.over, 5)
                pool.close()
            async with asyncio.timeout(5):
                while len(asyncio.all_tasks()) > 1:  # both servers see that everybody has left
                    await asyncio.sleep(0.01)
            return heard[0], heard[1]

    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        through, strange = runner.run(run())
    assert through.body == b"ok"
    assert strange.error is not None and "takes no connection" in strange.error


@pytest.mark.parametrize("answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"", b"x" * 70_000])
def test_a_proxy_that_lets_nobody_through_is_a_failure(answer: bytes) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def run() -> Heard:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            proxy = Proxy("127.0.0.1", server.sockets[0].getsockname()[1], "")
            origin, heard = Origin("hidden.example", 443, True, ""), Heard()
            Pool(origin, proxy).send(b"", heard, 5.0)
            await asyncio.wait_for(heard.over, 5)
            return heard

    heard = asyncio.run(run())
    assert heard.error is not None and "hidden.example takes no connection: the proxy" in heard.error
