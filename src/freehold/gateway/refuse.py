"""How somebody is turned away: the status, and why, in the words of the format that their client speaks."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from freehold.gateway.formats import ANTHROPIC, OPENAI
from freehold.gateway.reply import Handler, Headers, Reply, Request

_JSON = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode


class Refusal(NamedTuple):
    """No, before anybody has looked at what is asked for."""

    status: int
    """As of HTTP."""
    why: str
    """What is wrong, and what is expected."""


NOT_HTTP = Refusal(400, "this is not HTTP/1.1")
NO_UPGRADE = Refusal(400, "this server upgrades no connection")
LONG_HEAD = Refusal(431, "the first line and the headers are too large")
LONG_CHUNK_LINES = Refusal(400, "too much stands beside the chunks of the body")
LONG_BODY = Refusal(413, "the body is too large")
TOO_SLOW = Refusal(408, "the request took too long to come in")
FAILED = Refusal(500, "Freehold failed at this request, and its log says how")
NOT_FOUND = Refusal(404, "there is nothing here; the routes are under /v1")


def told(refusal: Refusal, path: bytes, method: bytes) -> tuple[int, Headers, bytes]:
    """Status, headers and body that say so to whoever calls this path. An answer to HEAD has no body."""
    door = ANTHROPIC if path.startswith(b"/v1/messages") else OPENAI
    return refusal.status, (_JSON,), b"" if method == b"HEAD" else _encode(door.error(refusal.status, refusal.why, ""))


def other_methods(routes: Iterable[tuple[bytes, bytes]]) -> dict[bytes, Handler]:
    """What answers, by path, those who ask by a method that a route does not have."""
    methods: dict[bytes, list[bytes]] = {}
    for method, path in routes:
        methods.setdefault(path, []).append(method)
    return {path: _not_allowed(b", ".join(sorted(known))) for path, known in methods.items()}


def _not_allowed(allowed: bytes) -> Handler:
    def answer(request: Request, reply: Reply) -> None:
        refusal = Refusal(405, f"{request.path.decode()} is asked for by {allowed.decode()}")
        status, headers, body = told(refusal, request.path, request.method)
        reply.send(status, (*headers, (b"allow", allowed)), body)

    return answer
