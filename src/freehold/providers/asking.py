"""One request to one provider: sent, listened to within its deadlines, and told as an answer, as pieces of one, or as a failure."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple, Protocol

from freehold.chat import Cause, ChatAnswer, Chunk, Collected, Outcome
from freehold.errors import DataError, ProviderError
from freehold.gateway.formats import Format, StreamReader, error_message
from freehold.gateway.sse import EventReader
from freehold.providers.desk import Told
from freehold.providers.provider import Target
from freehold.providers.transport import Headers, NotConnected, Ticket
from freehold.telemetry.names import PER_CHUNK

MOST_ANSWER_BYTES = 64 * 2**20
_MAY_HELP = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may be answered."""
_THE_CALLERS = frozenset({400, 413, 415, 422})
"""Statuses that say that the request itself is wrong, so that nobody else need be asked."""


class Deadlines(NamedTuple):
    """How long each step may take, in seconds."""

    connect_s: float = 5.0
    """Until a connection stands."""
    first_byte_s: float = 120.0
    """From the request's last byte to the answer's first."""
    between_s: float = 60.0
    """From one piece of an answer to the next."""
    total_s: float = 600.0
    """For the whole call, whatever is asked on its behalf."""


class Failure(NamedTuple):
    """Why there is no answer."""

    outcome: Outcome
    """How the attempt ended."""
    status: int
    """What the caller is to hear."""
    message: str
    """What happened, in words."""
    may_retry: bool = False
    """Whether the same request may be answered if it is sent again."""
    may_fall_back: bool = True
    """Whether somebody else may answer it."""
    retry_after_s: float | None = None
    """When the provider says that it may be asked again."""
    is_unbilled: bool = False
    """Whether it is certain that it cost nothing: no connection stood, or the provider refused."""

    @property
    def kind(self) -> str:
        """One word for what went wrong, of a few there are, or the provider's status."""
        if self.outcome != "failed":
            return {"timed_out": "timeout"}.get(self.outcome, self.outcome)
        if self.status != 502:
            return str(self.status)
        return "connect" if self.is_unbilled else "cut"


class Hearer(Protocol):
    """Who hears how an `Asking` goes. After `on_answer` or `on_failed` nothing more is said."""

    @property
    def answers(self) -> int:
        """How many answers were asked for."""

    def on_chunks(self, asking: "Asking", chunks: Sequence[Chunk]) -> None:
        """Pieces of a streamed answer, which are in `asking.collected` already."""

    def on_answer(self, asking: "Asking", answer: ChatAnswer, raw: bytes | None) -> None:
        """The answer is whole. `raw`: the body it came in; None for one that was streamed."""

    def on_failed(self, asking: "Asking", failure: Failure) -> None:
        """There is no answer, or no more of it."""

    def on_broken(self) -> None:
        """Something of ours failed; called in the `except` block."""


class Asking:
    """One request on its way. `is_over` once it has ended, however it did."""

    __slots__ = (
        "_body",
        "_deadlines",
        "_ends_at",
        "_events",
        "_heard",
        "_hearer",
        "_loop",
        "_may_retry",
        "_piece_at",
        "_reader",
        "_retry_after",
        "_size",
        "_status",
        "_ticket",
        "_timer",
        "asked_at",
        "cause",
        "collected",
        "first_byte_at",
        "format",
        "headers",
        "is_over",
        "n",
        "per_chunk",
        "target",
    )  # fmt: skip

    def __init__(self, target: Target, format: Format, deadlines: Deadlines, ends_at: float, hearer: Hearer, n: int, cause: Cause) -> None:
        """`format`: how it is spoken. `ends_at`: by the event loop's clock, when the call's time is up. `n`, `cause`: which of its attempts
        this is, and why."""
        self.target = target
        self.format = format
        """How it is spoken."""
        self.n = n
        self.cause = cause
        self.asked_at = 0.0
        """By `time.perf_counter`."""
        self.first_byte_at: float | None = None
        self.collected: Collected | None = None
        """What has come of a streamed answer; None where it is not streamed."""
        self.per_chunk: list[float] = []
        """How long each further piece of a streamed answer took, as a series of `PER_CHUNK` holds it."""
        self.is_over = False
        self.headers: Headers = ()
        """Of its answer."""
        self._deadlines = deadlines
        self._ends_at = ends_at
        self._hearer = hearer
        self._status = self._size = 0
        self._body: list[bytes] = []
        self._retry_after: float | None = None
        self._may_retry: bool | None = None
        self._events: EventReader | None = None
        self._reader: StreamReader | None = None
        self._ticket: Ticket
        self._timer: asyncio.TimerHandle | None = None
        self._piece_at = 0.0

    def send(self, request: bytes) -> None:
        """Sends the request and listens."""
        loop = self._loop = asyncio.get_running_loop()
        self.asked_at = time.perf_counter()
        self._heard = loop.time()
        self._ticket = self.target.provider.pool.send(request, self, self._deadlines.connect_s)
        soonest_s = min(self._deadlines.first_byte_s, self._deadlines.between_s)
        self._timer = loop.call_at(min(self._heard + soonest_s, self._ends_at), self._watch)

    def told(self, known: Told) -> None:
        """As `send`, where it is known already what came back."""
        self._loop = asyncio.get_running_loop()
        self.asked_at = time.perf_counter()
        self._ticket = Ticket(self)
        if known.status == 200:
            self.on_head(known.status, ())
            self.on_data(known.body)
            self.on_end()
        else:
            why, may_fall_back = known.body.decode(errors="replace"), known.status not in _THE_CALLERS
            self._fail(Failure("failed", known.status, why, may_fall_back=may_fall_back, is_unbilled=True))

    def cancel(self) -> None:
        """Listens no more; the provider is told by the connection's end. The hearer hears nothing of it."""
        if not self.is_over:
            self._end()
            self._ticket.cancel()

    def pause(self) -> None:
        """Reads nothing until `resume`."""
        self._ticket.pause()

    def resume(self) -> None:
        """Reads on."""
        self._ticket.resume()

    # The transport calls these.

    def on_head(self, status: int, headers: Headers) -> None:
        """As of `Receiver`."""
        self._status, self.headers = status, headers
        self._heard = self._loop.time()
        self.first_byte_at = time.perf_counter()
        if status == 200:
            if _is_events(headers):
                self.collected = Collected()
                self.per_chunk = [0.0] * PER_CHUNK.width
                self._events, self._reader = EventReader(), self.format.stream_reader(self._hearer.answers)
        else:
            self._retry_after, self._may_retry = retry_after_of(headers, time.time()), _should_retry(headers)

    def on_data(self, data: bytes) -> None:
        """As of `Receiver`."""
        self._heard = self._loop.time()
        if self._events is None or self._reader is None:
            self._size += len(data)
            self._body.append(data)
            if self._size > MOST_ANSWER_BYTES:
                self._fail(Failure("malformed", 502, f"the provider's answer is larger than {MOST_ANSWER_BYTES // 2**20} MiB"))
            return
        try:
            self._pass_on([chunk for told in self._events.feed(data) for chunk in self._reader.read(told)])
        except ProviderError as error:
            self.on_failure(error)
        except Exception:  # noqa: BLE001 our own failure: somebody has to hear of it
            self._hearer.on_broken()

    def on_end(self) -> None:
        """As of `Receiver`."""
        try:
            self._finish()
        except ProviderError as error:
            self.on_failure(error)
        except Exception:  # noqa: BLE001 as in `on_data`
            self._hearer.on_broken()

    def on_failure(self, error: ProviderError) -> None:
        """As of `Receiver`."""
        if isinstance(error, NotConnected):
            outcome: Outcome = "timed_out" if error.is_late else "failed"
            self._fail(Failure(outcome, 504 if error.is_late else 502, str(error), may_retry=True, is_unbilled=True))
        else:
            self._fail(Failure("failed", 502, str(error), may_retry=self._status == 0))

    def _pass_on(self, chunks: list[Chunk]) -> None:
        assert self.collected is not None
        for chunk in chunks:
            self.collected.add(chunk)
        if chunks:
            self._note_when(len(chunks))
            self._hearer.on_chunks(self, chunks)

    def _note_when(self, pieces: int) -> None:
        """So many have come, at one time."""
        now, before = time.perf_counter(), self._piece_at
        self._piece_at = now
        self.per_chunk[0] += pieces - 1
        if before:
            self.per_chunk[bisect_left(PER_CHUNK.bounds, now - before)] += 1
            self.per_chunk[-1] += now - before

    def _finish(self) -> None:
        """The provider's body is whole."""
        if self._events is not None and self._reader is not None and self.collected is not None:
            self._pass_on([chunk for told in self._events.end() for chunk in self._reader.read(told)])
            if not self._reader.is_done:
                raise ProviderError("the provider's stream ended in the middle of its answer")
            self._end()
            self._hearer.on_answer(self, self.collected.answer(), None)
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        if self._status != 200:
            self._fail(self._refused(body))
            return
        try:
            answer = self.format.read_answer(body)
        except DataError as error:
            self._fail(Failure("malformed", 502, f"the provider's answer cannot be read: {error}"))
            return
        self._end()
        self._hearer.on_answer(self, answer, body)

    def _refused(self, body: bytes) -> Failure:
        status = self._status if self._status >= 400 else 502
        may_retry = status in _MAY_HELP if self._may_retry is None else self._may_retry
        return Failure(
            "failed",
            status,
            error_message(body),
            may_retry=may_retry,
            may_fall_back=status not in _THE_CALLERS,
            retry_after_s=self._retry_after,
            is_unbilled=self._status >= 400,
        )

    def _fail(self, failure: Failure) -> None:
        if not self.is_over:
            self._end()
            self._ticket.cancel()
            self._hearer.on_failed(self, failure)

    def _end(self) -> None:
        self.is_over = True
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        """Looks at the deadlines when the nearest of them may be due, and not for every piece."""
        if self.is_over:
            return
        deadlines, now, name = self._deadlines, self._loop.time(), self.target.provider.name
        step, what = (deadlines.between_s, "the next piece of its answer") if self._status else (deadlines.first_byte_s, "an answer")
        if now >= self._ends_at:
            self._fail(Failure("timed_out", 504, f"'{name}' took longer than {deadlines.total_s:g} s", may_fall_back=False))
        elif now - self._heard >= step:
            self._fail(Failure("timed_out", 504, f"'{name}' did not send {what} within {step:g} s"))
        else:
            self._timer = self._loop.call_at(min(self._heard + step, self._ends_at), self._watch)


def retry_after_of(headers: Headers, now: float) -> float | None:
    """The seconds that a provider asks to be left alone: `retry-after-ms`, or `Retry-After` as seconds or a date; None for none it says."""
    said = dict(headers)
    try:
        if (exact := said.get(b"retry-after-ms")) is not None:
            return max(0.0, float(exact) / 1e3)
        if (told := said.get(b"retry-after")) is None:
            return None
        try:
            return max(0.0, float(told))
        except ValueError:
            at = parsedate_to_datetime(told.decode("latin-1"))
            return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _should_retry(headers: Headers) -> bool | None:
    """What the provider says of it; None where it says nothing."""
    said = dict(headers).get(b"x-should-retry")
    return None if said is None else said == b"true"


def _is_events(headers: Headers) -> bool:
    for name, value in headers:  # noqa: SIM110 on the way of every call, where `any` takes twice as long
        if name == b"content-type" and value[:17].lower() == b"text/event-stream":
            return True
    return False
