"""What is refused at the door, before a body is read."""

import pytest

from freehold.gateway.guard import Guard, hosts_of, is_loopback

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
        ([HOST, (b"x", b"y" * 300)], 431),
    ],
)  # fmt: skip
def test_a_request_is_refused_for_what_its_headers_say(headers: list[tuple[bytes, bytes]], status: int | None) -> None:
    refusal = GUARD.why_not(headers, "1.1")
    assert (refusal[0] if refusal else None) == status


def test_http_1_0_needs_no_host() -> None:
    assert GUARD.why_not([], "1.0") is None


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
