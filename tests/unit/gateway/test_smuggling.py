"""Bytes that mean one thing to a proxy and another to a server: each is one request to us, or refused, and nothing of it is left over.

Every case says how many requests the handlers see and with which bodies, what is answered, and whether the connection lives on. All are put to
our protocol, whole and byte by byte, and those that uvicorn's own parser can tell apart to plain ASGI as well.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from serving import Heard, exchange, serving

from freehold.gateway.guard import Guard
from freehold.gateway.reply import Reply, Request

GUARD = Guard(frozenset({b"here"}), header_bytes=1_000, body_bytes=1_000, slow_s=20)
HOST = b"host: here\r\n"
FF = b"ff\r\n" + b"x" * 255 + b"\r\n"


class Case(NamedTuple):
    """Bytes and what becomes of them."""

    name: str
    sent: bytes
    statuses: list[int]
    asked: list[bytes]
    """The bodies of the requests that handlers saw."""
    closes: bool


class Server(NamedTuple):
    """A server and what its handlers were asked."""

    port: int
    asked: list[Request]


def post(body: bytes = b"x", headers: bytes = b"", line: bytes = b"POST /hot HTTP/1.1", host: bytes = HOST) -> bytes:
    return line + b"\r\n" + host + headers + b"content-length: %d\r\n\r\n" % len(body) + body


def get(path: bytes = b"/plain", headers: bytes = b"", host: bytes = HOST) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + host + headers + b"\r\n"


def framed(headers: bytes, after: bytes = b"x", line: bytes = b"POST /hot HTTP/1.1") -> bytes:
    """A request whose length is for `headers` to say."""
    return line + b"\r\n" + HOST + headers + b"\r\n" + after


def chunked(body: bytes, headers: bytes = b"") -> bytes:
    return framed(headers + b"transfer-encoding: chunked\r\n", body)


def passes(name: str, sent: bytes, *asked: bytes, closes: bool = False) -> Case:
    return Case(name, sent, [200] * len(asked), list(asked), closes)


def refused(name: str, sent: bytes, status: int = 400) -> Case:
    return Case(name, sent, [status], [], closes=True)


CHUNK = b"1\r\nx\r\n0\r\n\r\n"
BOTH = [
    # How long a body is.
    passes("a length", post(b"abc"), b"abc"),
    passes("no length is no body", framed(b"", b""), b""),
    passes("a length with zeros before it", framed(b"content-length: 0001\r\n"), b"x"),
    passes("a length between tabs", framed(b"content-length:\t1\t\r\n"), b"x"),
    passes("a name that is not the length's", framed(b"content_length: 5\r\n", b""), b""),
    passes("a body that reads like a request", post(get()), get()),
    passes("a body of GET", framed(b"content-length: 4\r\n", b"GET ", b"GET /plain HTTP/1.1"), b"GET "),
    *(
        refused(f"length {value!r}", framed(b"content-length: " + value + b"\r\n"))
        for value in (b"", b"+1", b"-1", b"0x1", b"1 1", b"1_0", b"1,1", b"1, 1", b"\x0b1", b"1\x00", b"1;1", b"9" * 23, b"18446744073709551617")
    ),
    refused("two lengths", framed(b"content-length: 1\r\ncontent-length: 2\r\n", b"xx")),
    refused("one length twice", framed(b"content-length: 1\r\nContent-Length: 1\r\n")),
    refused("a space before the colon of a length", framed(b"content-length : 1\r\n")),
    refused("length, then chunks", chunked(b"0\r\n\r\n", b"content-length: 5\r\n")),
    refused("chunks, then length", framed(b"transfer-encoding: chunked\r\ncontent-length: 5\r\n", b"0\r\n\r\n")),
    # Chunks.
    passes("chunks", chunked(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), b"abcde"),
    passes("chunks in capitals", framed(b"Transfer-Encoding: CHUNKED\r\n", b"A\r\n0123456789\r\n0\r\n\r\n"), b"0123456789"),
    passes("chunks without a space", framed(b"transfer-encoding:chunked\r\n", CHUNK), b"x"),
    passes("a size with zeros before it", chunked(b"0001\r\nx\r\n000\r\n\r\n"), b"x"),
    *(
        refused(f"coding {value!r}", framed(b"transfer-encoding: " + value + b"\r\n", CHUNK))
        for value in (b"chunked, gzip", b"chunked, chunked", b"chunked,", b"\x0bchunked", b"chunked\x00", b"")
    ),
    refused("a folded coding", framed(b"transfer-encoding:\r\n chunked\r\n", CHUNK)),
    refused("a space before the colon of a coding", framed(b"transfer-encoding : chunked\r\n", CHUNK)),
    refused("chunks said twice", chunked(CHUNK, b"transfer-encoding: chunked\r\n")),
    *(
        refused(f"size {size!r}", chunked(size + b"\r\nx\r\n0\r\n\r\n"))
        for size in (b"f" * 17, b"-1", b"+1", b"0x1", b"1 ", b" 1", b"", b"1_", b"g", b"2", b"1\x00", b"1\n", b"\xb9")
    ),
    refused("a chunk longer than its size", chunked(b"1\r\nxy\r\n0\r\n\r\n")),
    refused("a size that ends in LF", chunked(b"1\nx\r\n0\r\n\r\n")),
    refused("a size that ends in CR", chunked(b"1\rx\r\n0\r\n\r\n")),
    refused("a chunk that ends in LF", chunked(b"1\r\nx\n0\r\n\r\n")),
    refused("a last chunk that ends in LF", chunked(b"1\r\nx\r\n0\n\n")),
    passes("words beside a size", chunked(b'1;a=b;c="d e"\r\nx\r\n0;f\r\n\r\n'), b"x"),
    passes("256 bytes beside a size", chunked(b"1;" + b"a" * 256 + b"\r\nx\r\n0\r\n\r\n"), b"x"),
    refused("words beside a size that end in LF", chunked(b"1;a\nx\r\n0\r\n\r\n")),
    refused("words beside a size with a CR", chunked(b"1;a\rb\r\nx\r\n0\r\n\r\n")),
    refused("words beside a size with a NUL", chunked(b"1;a\x00\r\nx\r\n0\r\n\r\n")),
    refused("a line end in quotes beside a size", chunked(b'1;a="\r\nx\r\n0\r\n\r\n')),
    refused("a length among the trailers", chunked(b"1\r\nx\r\n0\r\ncontent-length: 5\r\n\r\n")),
    refused("a coding among the trailers", chunked(b"1\r\nx\r\n0\r\ntransfer-encoding: chunked\r\n\r\n")),
    refused("trailers that are none", chunked(b"1\r\nx\r\n0\r\nno trailer\r\n\r\n")),
    # Lines.
    passes("empty lines before a request", b"\r\n\r\n" + post(), b"x"),
    passes("an empty line between requests", post(b"a") + b"\r\n" + post(b"b"), b"a", b"b"),
    refused("a space before a request", b" " + post()),
    refused("a folded header", framed(b"x: a\r\n b\r\ncontent-length: 1\r\n")),
    refused("a header folded by a tab", framed(b"x: a\r\n\tb\r\ncontent-length: 1\r\n")),
    refused("a first header that is folded", b"POST /hot HTTP/1.1\r\n x: y\r\n" + HOST + b"\r\n"),
    refused("lines that end in LF", b"POST /hot HTTP/1.1\nhost: here\ncontent-length: 0\n\n"),
    refused("a header that ends in LF", framed(b"x: y\ncontent-length: 0\r\n", b"")),
    refused("headers that end in LF", b"POST /hot HTTP/1.1\r\n" + HOST + b"\n"),
    refused("a first line that ends in CR", b"POST /hot HTTP/1.1\r" + HOST + b"\r\n"),
    refused("a CR in a value", framed(b"x: a\rb\r\n", b"")),
    refused("a CR before the line's end", framed(b"x: a\r\r\n", b"")),
    *(refused(f"name {name!r}", framed(name + b": a\r\n", b"")) for name in (b"x\x00", b"", b"x y", b"x\xe4", b"x(", b"x\t", b'"x"')),
    refused("a header without a colon", framed(b"xy\r\n", b"")),
    *(refused(f"value {value!r}", framed(b"x: " + value + b"\r\n", b"")) for value in (b"a\x00b", b"a\x01", b"a\x7f")),
    passes("a value beyond ASCII", framed(b"x: \xe4\r\n", b""), b""),
    # First lines.
    passes("a query", post(line=b"POST /hot?a=1 HTTP/1.1"), b"x"),
    *(
        refused(f"line {line!r}", post(line=line))
        for line in (
            b"POST /hot x HTTP/1.1", b"POST\t/hot HTTP/1.1", b"POST /hot HTTP/1.1 ", b"POST /hot\x00 HTTP/1.1", b"POST hot HTTP/1.1", b"post /hot HTTP/1.1",
            b"BREW /hot HTTP/1.1", b"POST /hot HTTP/1.2", b"POST /hot HTTP/1.10", b"POST /hot http/1.1", b"POST /hot HTTP/3.0", b"POST /hot HTTP/1",
            b"POST /hot HTTP /1.1", b"POST http://here HTTP/1.1", b"POST", b"CONNECT here:443 HTTP/1.1",
        )
    ),
    refused("HTTP/2 by name", post(line=b"POST /hot HTTP/2.0"), 505),
    refused("HTTP/0.9 by name", post(line=b"POST /hot HTTP/0.9"), 505),
    refused("the beginning of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    refused("the beginning of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    *(
        Case(f"path {path!r}", post(line=b"POST " + path + b" HTTP/1.1"), [404], [], False)
        for path in (b"//hot", b"/x/../hot", b"/%68ot", b"/hot/", b"/HOT", b"//here/hot")
    ),
    Case("no path at all", get(b"*"), [404], [], False),
    # Methods.
    Case("another method", get(b"/hot"), [405], [], False),
    Case("OPTIONS", framed(b"", b"", b"OPTIONS /hot HTTP/1.1"), [405], [], False),
    Case("HEAD, whose answer has no body", framed(b"", b"", b"HEAD /hot HTTP/1.1") + post(), [405, 200], [b"x"], False),
    # Which server is meant.
    passes("a Host in capitals", post(host=b"Host: HERE\r\n"), b"x"),
    passes("a Host between spaces", post(host=b"host:   here  \r\n"), b"x"),
    passes("HTTP/1.0 without a Host", post(line=b"POST /hot HTTP/1.0", host=b""), b"x", closes=True),
    passes("a whole address", post(line=b"POST http://here/hot HTTP/1.1"), b"x"),
    passes("a whole address for the application", get(b"http://here/plain"), b""),
    # HTTP/1.0 and the ends of connections.
    passes("HTTP/1.0", post(line=b"POST /hot HTTP/1.0"), b"x", closes=True),
    passes("HTTP/1.0 that would go on", post(line=b"POST /hot HTTP/1.0", headers=b"connection: keep-alive\r\n") + post(b"evil"), b"x", closes=True),
    refused("HTTP/1.0 with chunks", framed(b"transfer-encoding: chunked\r\n", b"0\r\n\r\n", b"POST /hot HTTP/1.0")),
    *(
        passes(f"connection: {value.decode()}", post(headers=b"connection: " + value + b"\r\n") + post(b"evil"), b"x", closes=True)
        for value in (b"close", b"Close", b"te, close", b"keep-alive\r\nconnection: close")
    ),
    passes("the application's last answer", get(headers=b"connection: close\r\n") + post(b"evil"), b"", closes=True),
    passes("an upgrade that is not asked for", get(headers=b"upgrade: websocket\r\n"), b""),
    # One after the other.
    passes("hot, plain, hot", post(b"a") + get() + post(b"b"), b"a", b"", b"b"),
    passes("plain, hot, plain", get() + post(b"a") + get(), b"", b"a", b""),
    passes("slow, plain, hot", get(b"/slow") + post(b"p", line=b"POST /plain HTTP/1.1") + post(b"h"), b"", b"p", b"h"),
    passes("chunks, trailers, and another", chunked(b"1\r\nx\r\n0\r\na: b\r\n\r\n") + post(b"y"), b"x", b"y"),
    passes("chunks for the application", get(b"/slow") + framed(b"transfer-encoding: chunked\r\n", CHUNK, b"POST /plain HTTP/1.1"), b"", b"x"),
]  # fmt: skip
OURS = [
    *(
        refused(f"coding {value!r}", framed(b"transfer-encoding: " + value + b"\r\n", CHUNK), 501)
        for value in (b"gzip, chunked", b"identity", b"xchunked", b"chunked;q=1", b", chunked", b'"chunked"', b"c hunked")
    ),
    refused("two codings in two headers", chunked(CHUNK, b"transfer-encoding: identity\r\n")),
    *(refused(f"size {size!r}", chunked(size + b"\r\nx\r\n0\r\n\r\n"), 413) for size in (b"f" * 16, b"8" + b"0" * 15, b"3e9")),
    refused("a body larger than may be", post(b"x" * 1_001), 413),
    refused("chunks larger than may be together", chunked(FF * 4 + b"0\r\n\r\n"), 413),
    refused("257 bytes beside a size", chunked(b"1;" + b"a" * 257 + b"\r\nx\r\n0\r\n\r\n")),
    refused("257 bytes beside the last size", chunked(b"1\r\nx\r\n0;" + b"a" * 257 + b"\r\n\r\n")),
    refused("257 bytes beside sizes together", chunked((b"1;" + b"a" * 129 + b"\r\nx\r\n") * 2 + b"0\r\n\r\n")),
    refused("257 bytes beside a size, after empty lines", b"\r\n\r\n" + chunked(b"1;" + b"a" * 257 + b"\r\nx\r\n0\r\n\r\n")),
    Case("257 bytes beside a size of a second", post(b"a\r\n\r\nb") + chunked(b"1;" + b"a" * 257 + b"\r\n"), [200, 400], [b"a\r\n\r\nb"], True),
    refused("257 zeros before a size", chunked(b"0" * 257 + b"1\r\nx\r\n0\r\n\r\n")),
    refused("words beside a size without end", chunked(b"1;" + b"a" * 3_000)),
    refused("headers larger than may be", framed(b"x: " + b"y" * 1_000 + b"\r\n"), 431),
    refused("spaces larger than headers may be", framed(b"x:" + b" " * 1_000 + b"\r\n"), 431),
    refused("many small headers", framed(b"a: b\r\n" * 200), 431),
    refused("an address longer than may be", post(line=b"POST /" + b"x" * 1_000 + b" HTTP/1.1"), 431),
    refused("a first line without end", b"POST /" + b"x" * 1_100, 431),
    refused("trailers larger than may be", chunked(b"1\r\nx\r\n0\r\na: " + b"b" * 1_000 + b"\r\n\r\n")),
    refused("empty lines without end", b"\r\n" * 600, 431),
    refused("two spaces", post(line=b"POST  /hot HTTP/1.1")),
    refused("HTTP/0.9", b"GET /plain\r\n\r\n"),
    refused("another protocol", post(line=b"DESCRIBE /hot RTSP/1.0")),
    refused("a path beyond ASCII", get(b"/pl\xe4in")),
    refused("no Host", post(host=b"")),
    refused("one Host twice", post(host=HOST + HOST)),
    refused("two Hosts", post(host=HOST + b"host: evil\r\n")),
    refused("an empty Host", post(host=b"host:\r\n")),
    *(
        refused(f"Host {value!r}", post(host=b"host: " + value + b"\r\n"), 421)
        for value in (
            b"evil", b"here:80", b"here:0", b"user@here", b"here@evil", b"here, here", b"here/", b"here#", b"here.", b"here evil", b"[here]", b"http://here",
            b"evil\\here", b"here\xe4", b"here:", b"null",
        )
    ),
    refused("an address that is not the Host's", post(line=b"POST http://evil/hot HTTP/1.1")),
    refused("an address with a user", post(line=b"POST http://evil@here/hot HTTP/1.1")),
    refused("another address, and its Host", post(line=b"POST http://evil/hot HTTP/1.1", host=b"host: evil\r\n"), 421),
    refused("another address in HTTP/1.0", post(line=b"POST http://evil/hot HTTP/1.0", host=b""), 421),
    refused("an address of the application's that is not the Host's", get(b"http://evil/plain")),
    refused("a foreign Origin", post(headers=b"origin: http://evil\r\n"), 403),
    refused("no Origin in particular", post(headers=b"origin: null\r\n"), 403),
    refused("an upgrade", get(headers=b"connection: upgrade\r\nupgrade: websocket\r\n")),
    refused("an upgrade to HTTP/2, and what follows", framed(b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 1\r\n") + post(b"evil")),
    Case("an upgrade after a request", post() + get(headers=b"connection: upgrade\r\nupgrade: h2c\r\n") + post(b"evil"), [200, 400], [b"x"], True),
    # What is wrong later takes nothing from what was right before.
    Case("garbage behind a request", post() + b"\x00\x01", [200, 400], [b"x"], True),
    Case("garbage behind a slow request", get(b"/slow") + b"\x00\x01", [200, 400], [b""], True),
    Case("garbage behind the application's", get() + b"\x00\x01", [200, 400], [b""], True),
    Case("a bad path behind a slow request", get(b"/slow") + get(b"/pl\xe4in") + post(b"evil"), [200, 400], [b""], True),
    Case("another Host behind a slow request", get(b"/slow") + post(host=b"host: evil\r\n") + post(b"evil"), [200, 421], [b""], True),
    Case("refused, and what follows", post(host=b"host: evil\r\n") + post(b"evil"), [421], [], True),
    Case("HEAD that is refused", framed(b"origin: null\r\n", b"", b"HEAD /hot HTTP/1.1"), [403], [], True),
    passes("trailers that would be headers", chunked(b"1\r\nx\r\n0\r\nauthorization: evil\r\nhost: evil\r\norigin: null\r\n\r\n") + post(b"y"), b"x", b"y"),
    passes("the last of several", post(b"a") + get(b"/slow") + post(b"b", b"connection: close\r\n") + post(b"evil"), b"a", b"", b"b", closes=True),
    passes("thousands ahead", get(b"/slow") + post(b"q") * 3_000, b"", *[b"q"] * 3_000),
]  # fmt: skip


@pytest.fixture(scope="module", params=["our protocol", "plain ASGI"])
def both(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each server."""
    yield from server(request.param == "our protocol")


@pytest.fixture(scope="module")
def ours() -> Iterator[Server]:
    """Our protocol."""
    yield from server(True)


def server(by_our_protocol: bool) -> Iterator[Server]:
    asked: list[Request] = []

    def echo(request: Request, reply: Reply) -> None:
        asked.append(request)
        reply.send(200, ((b"x-seen", request.method),), request.body)

    def slow(request: Request, reply: Reply) -> None:
        asked.append(request)
        asyncio.get_running_loop().call_later(0.02, reply.send, 200, (), b"slow")

    hot = {(b"POST", b"/hot"): echo, (b"POST", b"/v1/messages"): echo, (b"GET", b"/slow"): slow}
    hot[b"GET", b"/probe"] = lambda _, reply: reply.send(200, (), b"probe")
    with serving(hot, {(b"GET", b"/plain"): echo, (b"POST", b"/plain"): echo}, GUARD, by_our_protocol) as port:
        yield Server(port, asked)


def heard(server: Server, case: Case, bytewise: bool = False) -> Heard:
    server.asked.clear()
    found = exchange(server.port, case.sent, len(case.statuses), bytewise)
    assert [answer.status for answer in found.answers] == case.statuses
    assert [request.body for request in server.asked] == case.asked
    assert found.closed is case.closes
    return found


def named(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


@pytest.mark.parametrize("case", BOTH, ids=named(BOTH))
def test_what_both_servers_make_of_it(both: Server, case: Case) -> None:
    heard(both, case)


@pytest.mark.parametrize("case", OURS, ids=named(OURS))
def test_what_our_protocol_makes_of_it(ours: Server, case: Case) -> None:
    found = heard(ours, case)
    for answer in found.answers:
        if answer.status >= 400 and not case.sent.startswith(b"HEAD"):
            assert json.loads(answer.body)["error"]["message"]
            assert answer.headers[b"content-type"] == b"application/json"
    assert (found.answers[-1].headers.get(b"connection") == b"close") is case.closes


@pytest.mark.parametrize("case", BOTH + OURS, ids=named(BOTH + OURS))
def test_byte_by_byte_it_is_the_same(ours: Server, case: Case) -> None:
    if len(case.sent) < 5_000:
        heard(ours, case, bytewise=True)


def test_a_trailer_is_no_header(ours: Server) -> None:
    heard(ours, passes("", chunked(b"1\r\nx\r\n0\r\nauthorization: evil\r\n\r\n"), b"x"))
    assert ours.asked[0].header(b"authorization") is None


def test_who_asks_by_another_method_hears_which_there_are(both: Server) -> None:
    (answer,) = heard(both, Case("", get(b"/hot"), [405], [], False)).answers
    assert answer.headers[b"allow"] == b"POST"
    assert json.loads(answer.body)["error"]["message"] == "/hot is asked for by POST"


@pytest.mark.parametrize(("path", "kind"), [(b"/v1/messages", "permission_error"), (b"/hot", "permission_error")])
def test_who_is_refused_hears_it_in_the_words_of_the_route(both: Server, path: bytes, kind: str) -> None:
    sent = post(line=b"POST " + path + b" HTTP/1.1", headers=b"origin: http://evil\r\n")
    answer = exchange(both.port, sent, 1).answers[0]
    body = json.loads(answer.body)
    assert (answer.status, body["error"]["type"], body.get("type")) == (403, kind, "error" if path == b"/v1/messages" else None)
