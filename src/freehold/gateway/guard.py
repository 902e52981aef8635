"""What is refused at the door, whatever it asks for: requests that are too large, ambiguous, or sent by somebody else's web page."""

from typing import NamedTuple
from urllib.parse import urlsplit

from freehold.gateway.reply import Headers

Refusal = tuple[int, bytes]
"""Status and reason."""


class Guard(NamedTuple):
    """What a request may be."""

    hosts: frozenset[bytes]
    """What its Host may say. A page of any other name that resolves to this machine is not us."""
    header_bytes: int = 32 * 1024
    """The most its first line and headers may be."""
    body_bytes: int = 32 * 2**20
    """The most its body may be."""
    slow_s: float = 30.0
    """The longest it may take to come in."""
    idle_s: float = 75.0
    """How long a connection may lie idle."""

    def why_not(self, headers: Headers, http_version: str) -> Refusal | None:
        """Why a request is refused before its body is read; None where it is not."""
        if sum(len(name) + len(value) for name, value in headers) > self.header_bytes:
            return 431, b"the headers are too large"
        hosts = [value.strip().lower() for name, value in headers if name == b"host"]
        if len(hosts) != 1 and (http_version == "1.1" or hosts):
            return 400, b"a request names one Host"
        if hosts and hosts[0] not in self.hosts:
            return 421, b"this address is not served here; ask for the one that 'freehold serve' listens on"
        for name, value in headers:
            if name == b"origin" and _authority(value) not in self.hosts:  # nor `null`, of a page without an address of its own
                return 403, b"web pages of other origins are not served"
        lengths = {value.strip() for name, value in headers if name == b"content-length"}
        if len(lengths) > 1 or (lengths and any(name == b"transfer-encoding" for name, _ in headers)):
            return 400, b"the length of the body is said twice"
        if any(not length.isdigit() or len(length) > 15 for length in lengths):
            return 400, b"the length of the body is no number"
        if any(int(length) > self.body_bytes for length in lengths):
            return 413, b"the body is too large"
        return None


def hosts_of(host: str, port: int) -> frozenset[bytes]:
    """The names under which an address is known to those who may use it."""
    names = {host.strip("[]")}
    if is_loopback(host):
        names |= {"localhost", "127.0.0.1", "::1"}
    written = {f"[{name}]" if ":" in name else name for name in names}
    return frozenset(f"{name}:{port}".encode() for name in written) | (
        frozenset(name.encode() for name in written) if port in (80, 443) else frozenset()
    )


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    from ipaddress import ip_address

    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _authority(origin: bytes) -> bytes:
    try:
        return urlsplit(origin.strip().lower()).netloc
    except ValueError:
        return b""
