"""What is refused at the door, whatever it asks for: requests that are too large, ambiguous, or sent by somebody else's web page."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from freehold.gateway.head import Head
from freehold.gateway.refuse import Refusal

_RULING = re.compile(rb"\r\n(host|origin|content-length|transfer-encoding):[ \t]*([^\r]*)")
_ABSOLUTE = re.compile(rb"https?://([^/?#]*)([^?#]*)", re.IGNORECASE)
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 they are known here in order not to be taken for names
_ELSEWHERE = Refusal(421, "this address is not served here; ask for the one that 'freehold serve' listens on")


class Guard(NamedTuple):
    """What a request may be."""

    hosts: frozenset[bytes]
    """What its Host may say. A page of any other name that resolves to this machine is not us."""
    header_bytes: int = 32 * 1024
    """The most its first line and headers may be."""
    body_bytes: int = 32 * 2**20
    """The most its body may be."""
    extension_bytes: int = 256
    """The most that may stand beside the sizes of its chunks, where nobody reads it."""
    slow_s: float = 30.0
    """The longest it may take to come in."""
    idle_s: float = 75.0
    """How long a connection may lie idle, or its client not read what it is sent."""
    origins: Mapping[bytes, frozenset[bytes]] = MappingProxyType({})
    """By path the web pages of other origins that may ask there, as browsers name them."""

    def why_not(self, headers: Head, http_version: str, authority: bytes = b"", path: bytes = b"") -> Refusal | None:
        """Why a request is refused before its body is read; None where it is not. `authority`: of a target that is a whole address."""
        if http_version not in ("1.1", "1.0"):
            return Refusal(505, "this server speaks HTTP/1.1 and HTTP/1.0")
        said = _RULING.findall(headers.lowered)
        if len(said) == 2 and not authority and said[0][0] == b"host" and said[0][1] in self.hosts and said[1][0] == b"content-length":
            length = said[1][1]  # as nearly always
            if length.isdigit() and len(length) <= 15 and int(length) <= self.body_bytes:
                return None
        hosts = [value.rstrip() for name, value in said if name == b"host"]
        if len(hosts) > 1 or b"" in hosts or (not hosts and http_version == "1.1"):
            return Refusal(400, "a request names one Host")
        if authority and hosts and authority != hosts[0]:
            return Refusal(400, "the address that is asked for and the Host are not the same")
        if (hosts and hosts[0] not in self.hosts) or (authority and authority not in self.hosts):
            return _ELSEWHERE
        if len(said) == 1:
            return None
        pages = [value.rstrip() for name, value in said if name == b"origin"]
        if any(_authority(page) not in self.hosts and page not in self.origins.get(path, ()) for page in pages):
            return Refusal(403, "web pages of other origins are not served")  # `null` is that of pages without an address of their own
        return self._why_not_so_long(said, http_version)

    def _why_not_so_long(self, said: list[tuple[bytes, bytes]], http_version: str) -> Refusal | None:
        lengths = [value.rstrip() for name, value in said if name == b"content-length"]
        codings = [value.rstrip() for name, value in said if name == b"transfer-encoding"]
        if len(lengths) + len(codings) > 1:
            return Refusal(400, "the length of the body is said twice")
        if codings and http_version == "1.0":
            return Refusal(400, "HTTP/1.0 has no chunks")
        if codings and codings[0] != b"chunked":
            return Refusal(501, "a body comes as it is or in chunks, and in no other transfer coding")
        if lengths and not (lengths[0].isdigit() and len(lengths[0]) <= 15):
            return Refusal(400, "the length of the body is no number")
        if lengths and int(lengths[0]) > self.body_bytes:
            return Refusal(413, f"the body has {int(lengths[0])} bytes; expected at most {self.body_bytes}")
        return None


def parts_of(target: bytes) -> tuple[bytes, bytes]:
    """The authority of a request's target, empty where it names none, and its path without what comes after a question mark."""
    if not target.startswith(b"/") and (whole := _ABSOLUTE.match(target)):
        return whole[1].lower(), whole[2] or b"/"
    return b"", target.partition(b"?")[0]


def hosts_of(host: str, port: int, further: Iterable[str] = ()) -> frozenset[bytes]:
    """The names under which an address is known to those who may use it.

    `further` are names that it has elsewhere, such as `llm.example.com`, or `llm.example.com:8443` for that port alone. An address that
    stands for all of a machine's, such as 0.0.0.0, is no name: its own are this machine's.
    """
    listens_on = host.strip("[]")
    own = {"localhost", "127.0.0.1", "::1"} if listens_on in _EVERYWHERE or is_loopback(host) else set()
    names = {_written(name) for name in own | ({listens_on} - _EVERYWHERE)}
    known = {f"{name}:{port}" for name in names} | (names if port in (80, 443) else set())
    for name in further:
        known |= {name} if _has_port(name) else {_written(name), f"{_written(name)}:{port}"}
    return frozenset(name.lower().encode() for name in known)


def _written(name: str) -> str:
    """A name as a Host says it: an IPv6 address in brackets."""
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


def _has_port(name: str) -> bool:
    return name.rpartition("]")[2].count(":") == 1


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
