"""Requests at leisure: from disk and to disk, through a proxy where there is one, within their deadlines and bounds, and never with a word of the key."""

import asyncio
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from threading import Thread

import pytest

from freehold.errors import ProviderError
from freehold.providers.plain import Ask, NothingSent, Told, ask
from freehold.providers.provider import Provider
from freehold.tables import ProviderTable

CERTIFICATE = Path(__file__).with_name("localhost.pem")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("KEY", "sk-secret")


@contextmanager
def answering(answer: bytes, context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """A server that reads a request, gives an answer and closes; an empty answer is none, until the other side leaves."""
    heard: list[bytes] = []
    with create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                try:
                    talking = context.wrap_socket(connection, server_side=True) if context else connection
                    said = b""
                    while not (b"\r\n\r\n" in said and len(said.partition(b"\r\n\r\n")[2]) >= _length(said)):
                        said += talking.recv(2**20)
                    heard.append(said)
                    if answer:
                        talking.sendall(answer)
                    else:
                        talking.recv(1)
                    talking.close()
                except OSError:
                    pass

        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], heard
        thread.join(10)


def _length(said: bytes) -> int:
    lines = said.lower().partition(b"\r\n\r\n")[0].split(b"\r\n")
    return next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)


def provider(port: int, host: str = "127.0.0.1", scheme: str = "http") -> Provider:
    return Provider("up", ProviderTable(kind="openai", base_url=f"{scheme}://{host}:{port}/v1", key_env="KEY"))


def told(of: Provider, asked: Ask) -> Told:
    return asyncio.run(ask(of, asked))


def test_a_body_of_pieces_and_files_is_sent_whole(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 3_000_000)
    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") as (port, heard):
        assert told(provider(port), Ask("POST", "/files", (b"<", tmp_path / "big", b">"), "text/plain")) == Told(200, b"ok", None)
    head, _, body = heard[0].partition(b"\r\n\r\n")
    assert body == b"<" + b"x" * 3_000_000 + b">"
    assert head.startswith(b"POST /v1/files HTTP/1.1\r\n") and b"Bearer sk-secret" in head and b"text/plain" in head


def test_an_answer_goes_to_a_file(tmp_path: Path) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with tempfile.TemporaryFile() as file, answering(chunked) as (port, _):
        assert told(provider(port), Ask("GET", "/x", into=file)) == Told(200, b"", None)
        file.seek(0)
        assert file.read() == b"abcde"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", "not whole"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab", "not whole"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2000000\r\n\r\n" + b"x" * 2_000_000, "more than 1 MiB"),
        (b"what?", "broke off"),
        (b"", "longer than|silent"),
    ],
)
def test_what_is_no_answer_says_so_and_names_no_key(answer: bytes, why: str) -> None:
    with answering(answer) as (port, _), pytest.raises(ProviderError, match=why) as failed:
        told(provider(port), Ask("GET", "/x", most_bytes=2**20, total_s=1.0))
    assert "secret" not in str(failed.value)


def test_nobody_there_is_nothing_sent() -> None:
    with create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(NothingSent, match="takes no connection"):
        told(provider(port), Ask("GET", "/x"))


def test_a_plain_address_behind_a_proxy_is_asked_for_by_its_whole_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") as (port, heard):
        monkeypatch.setenv("HTTP_PROXY", f"http://me:pass@127.0.0.1:{port}")
        assert told(provider(80, "hidden.example"), Ask("GET", "/x")).body == b"ok"
    assert heard[0].startswith(b"GET http://hidden.example/v1/x HTTP/1.1\r\nhost: hidden.example\r\n")
    assert b"proxy-authorization: Basic" in heard[0]


def test_a_certificate_that_nobody_trusts_is_not_trusted() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", context) as (port, heard), pytest.raises(NothingSent):
        told(provider(port, "localhost", "https"), Ask("GET", "/x"))
    assert not heard


def test_whoever_is_cancelled_waits_for_nothing() -> None:
    async def cancelled(port: int) -> float:
        began = time.monotonic()
        task = asyncio.create_task(ask(provider(port), Ask("GET", "/x")))
        while not heard:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        return time.monotonic() - began

    with answering(b"") as (port, heard):
        assert asyncio.run(cancelled(port)) < 10


def test_an_answer_that_comes_before_all_was_sent_is_heard(tmp_path: Path) -> None:
    """A provider that refuses a body for its size need not read it."""
    (tmp_path / "big").write_bytes(b"x" * 30_000_000)
    with create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(64)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig")

        thread = Thread(target=serve, daemon=True)
        thread.start()
        found = told(provider(listening.getsockname()[1]), Ask("POST", "/files", (tmp_path / "big",)))
        thread.join(10)
    assert found == Told(413, b"big", None)
