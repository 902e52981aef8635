"""What is refused at the door, before a body is read."""

import pytest

from freehold.gateway.guard import Guard, hosts_of, is_loopback, parts_of
from freehold.gateway.head import Head

GUARD = Guard(hosts_of("127.0.0.1", 4141), header_bytes=200, body_bytes=100)
HOST = (b"host", b"localhost:4141")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([HOST], None), ([(b"host", b"127.0.0.1:4141")], None), ([(b"host", b"[::1]:4141")], None), ([(b"host", b"LocalHost:4141 ")], None),
        ([], 400), ([HOST, HOST], 400), ([(b"host", b"localhost")], 421), ([(b"host", b"localhost:80")], 421), ([(b"host", b"evil.example:4141")], 421),
        ([HOST, (b"origin", b"http://localhost:4141")], None), ([HOST, (b"origin", b"null")], 403), ([HOST, (b"origin", b"http://evil.example")], 403),
        ([HOST, (b"origin", b"http://[bad")], 403), ([HOST, (b"origin", b"http://localhost:4141.evil.example")], 403),
        ([HOST, (b"content-length", b"100")], None), ([HOST, (b"content-length", b"101")], 413), ([HOST, (b"content-length", b"-1")], 400),
        ([HOST, (b"content-length", b"+5")], 400), ([HOST, (b"content-length", b"9" * 40)], 400),
        ([HOST, (b"content-length", b"5"), (b"content-length", b"6")], 400), ([HOST, (b"content-length", b"5"), (b"transfer-encoding", b"chunked")], 400),
        ([HOST, (b"transfer-encoding", b"Chunked ")], None), ([HOST, (b"transfer-encoding", b"gzip")], 501), ([(b"host", b" ")], 400),
        ([HOST, (b"content-length", b"5"), (b"content-length", b"5")], 400), ([HOST, (b"content-length", b"")], 400),
        ([HOST, (b"origin", b"http://localhost:4141"), (b"origin", b"null")], 403),
    ],
)  # fmt: skip
def test_a_request_is_refused_for_what_its_headers_say(headers: list[tuple[bytes, bytes]], status: int | None) -> None:
    refusal = GUARD.why_not(Head.of(headers), "1.1")
    assert (refusal[0] if refusal else None) == status


def test_http_1_0_needs_no_host() -> None:
    assert GUARD.why_not(Head(b""), "1.0") is None


@pytest.mark.parametrize(
    ("authority", "headers", "status"),
    [
        (b"localhost:4141", [HOST], None), (b"127.0.0.1:4141", [HOST], 400), (b"evil", [HOST], 400), (b"localhost:4141", [], None), (b"evil", [], 421),
    ],
)  # fmt: skip
def test_a_whole_address_is_one_of_ours_and_the_hosts(authority: bytes, headers: list[tuple[bytes, bytes]], status: int | None) -> None:
    refusal = GUARD.why_not(Head.of(headers), "1.0", authority)
    assert (refusal.status if refusal else None) == status


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        (b"/v1/models?a=/b", (b"", b"/v1/models")), (b"HTTP://Here:80/v1?x", (b"here:80", b"/v1")), (b"http://here?x=/v1", (b"here", b"/")),
        (b"*", (b"", b"*")), (b"//here/v1", (b"", b"//here/v1")), (b"http://a@b/v1", (b"a@b", b"/v1")), (b"", (b"", b"")),
    ],
)  # fmt: skip
def test_a_target_has_an_authority_and_a_path(target: bytes, parts: tuple[bytes, bytes]) -> None:
    assert parts_of(target) == parts


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("example.com", False), ("localhost.evil.example", False),
    ],
)  # fmt: skip
def test_this_machines_own_addresses_are_known(host: str, here: bool) -> None:
    assert is_loopback(host) is here


def test_at_the_usual_ports_a_host_needs_none() -> None:
    assert b"localhost" in hosts_of("127.0.0.1", 80)
    assert b"localhost" not in hosts_of("127.0.0.1", 4141)


@pytest.mark.parametrize(
    ("host", "further", "known"),
    [
        ("127.0.0.1", [], {"localhost:4141", "127.0.0.1:4141", "[::1]:4141"}),
        ("10.0.0.5", [], {"10.0.0.5:4141"}),
        ("10.0.0.5", ["LLM.example.com"], {"10.0.0.5:4141", "llm.example.com", "llm.example.com:4141"}),
        ("0.0.0.0", ["llm.example.com:8443"], {"localhost:4141", "127.0.0.1:4141", "[::1]:4141", "llm.example.com:8443"}),
        ("::", ["2001:db8::1", "[2001:db8::2]:80"], {
            "localhost:4141", "127.0.0.1:4141", "[::1]:4141", "[2001:db8::1]", "[2001:db8::1]:4141", "[2001:db8::2]:80",
        }),
    ],
)  # fmt: skip
def test_an_operator_names_further_hosts(host: str, further: list[str], known: set[str]) -> None:
    """An address that stands for all of a machine's is no name, but this machine's own still are."""
    assert hosts_of(host, 4141, further) == {name.encode() for name in known}
