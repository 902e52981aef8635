"""What the caller of a call hears, in the words of its door: an answer whole or in pieces, or why there is none."""

import time
from collections.abc import Iterable

import msgspec

from freehold.chat import ChatAnswer, Chunk
from freehold.errors import CallerError
from freehold.gateway.budget import BudgetExceeded
from freehold.gateway.caller import Forbidden
from freehold.gateway.formats import Format, StreamWriter
from freehold.gateway.keys import Unauthorized
from freehold.gateway.limits import LimitReached
from freehold.gateway.reply import Headers, Reply
from freehold.gateway.sse import comment
from freehold.serving.resources import NoKey, UnknownModel

JSON_TYPE = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_NO_CACHE = (b"cache-control", b"no-cache")
_STATUSES: dict[type[CallerError], int] = {
    Unauthorized: 401,
    Forbidden: 403,
    UnknownModel: 404,
    NoKey: 424,
    BudgetExceeded: 429,
    LimitReached: 429,
}
_NOT_KEPT = "the answer could not be journalled"
_encode = msgspec.json.Encoder().encode


class Telling:
    """The way back of one call. An answer is begun, told and ended, or sent whole; otherwise there is an error."""

    __slots__ = ("_call", "_door", "_writer", "first_byte_at", "reply")

    def __init__(self, door: Format, reply: Reply, call: str) -> None:
        self.reply = reply
        """Where it goes."""
        self.first_byte_at: float | None = None
        """When a stream was begun, by `time.perf_counter`; None for no stream."""
        self._door = door
        self._call = call
        self._writer: StreamWriter | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a stream was begun."""
        return self._writer is not None

    def begin(self, wants_usage: bool, about: Headers) -> None:
        """A stream begins."""
        self._writer = self._door.stream_writer(wants_usage)
        self.first_byte_at = time.perf_counter()
        self.reply.begin(200, (_EVENTS, _NO_CACHE, *about))

    def tell(self, chunks: Iterable[Chunk]) -> None:
        """More of a stream."""
        assert self._writer is not None
        self.reply.write(b"".join(map(self._writer.write, chunks)))

    def end(self, cost_usd: float | None, is_kept: bool) -> None:
        """That was all of a stream. `is_kept`: whether the journal has it."""
        assert self._writer is not None
        if not is_kept:
            self.break_off(_NOT_KEPT, 503)
            return
        cost = b"" if cost_usd is None else comment(f"x-freehold-cost-usd {cost_usd:.9g}")
        self.reply.write(cost + self._writer.end())
        self.reply.end()

    def break_off(self, why: str, status: int) -> None:
        """A stream ends here because something failed."""
        assert self._writer is not None
        self.reply.write(self._writer.broken(why, self._door.error_kind(status)))
        self.reply.end()

    def written(self, answer: ChatAnswer) -> bytes:
        """The body that holds an answer. Raises CallerError for what this door has no words for."""
        return _encode(self._door.write_answer(answer))

    def send(self, body: bytes, cost_usd: float | None, about: Headers) -> None:
        """An answer, whole."""
        cost = () if cost_usd is None else ((b"x-freehold-cost-usd", b"%.9g" % cost_usd),)
        self.reply.send(200, (JSON_TYPE, *about, *cost), body)

    def not_kept(self, why: object) -> None:
        """An answer that the journal does not have is none."""
        self.error(503, f"{_NOT_KEPT}: {why}")

    def error(self, status: int, message: str, retry_after_s: float | None = None, is_final: bool = False) -> None:
        """Why there is no answer. `is_final`: that it helps nobody to try again."""
        body = _encode(self._door.error(status, message, self._call))
        again = () if retry_after_s is None else ((b"retry-after", b"%d" % max(1, round(retry_after_s))),)
        again = ((b"x-should-retry", b"false"),) if is_final else again
        self.reply.send(status, (JSON_TYPE, (b"x-freehold-call", self._call.encode()), *again), body)


def headers_of(call: str, variant: str, policy: str | None, token: str | None) -> Headers:
    """What stands above an answer: the call, who answered, by which policy, and the token with which its reader may speak of it."""
    about: Headers = ((b"x-freehold-call", call.encode()), (b"x-freehold-variant", variant.encode("ascii", "replace")))
    if policy is not None:
        about = (*about, (b"x-freehold-policy", policy.encode()))
    return about if token is None else (*about, (b"x-freehold-feedback-token", token.encode()))


def status_of(error: CallerError) -> int:
    """The status by which a caller is told of its mistake."""
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return status
    return 400
