"""The upper line of the loop: a request comes in by a door, a provider is asked, the call is journalled, and the answer goes out."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

import msgspec

from freehold.catalog import Catalog
from freehold.chat import JSON, ChatAnswer, Chunk, Collected
from freehold.config import Config
from freehold.errors import CallerError, DataError, FreeholdError, ProviderError, nearest
from freehold.gateway.formats import ANTHROPIC, OPENAI, Format, StreamReader, StreamWriter, error_message
from freehold.gateway.reply import Handler, Reply, Request
from freehold.gateway.sse import EventReader, comment
from freehold.journal.build import Builder
from freehold.journal.call import Attempt, Call, Outcome
from freehold.journal.formats.openai import logged
from freehold.journal.redact import redact
from freehold.journal.write import Writer
from freehold.providers.provider import Provider, Target, named
from freehold.providers.transport import Headers

_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_MOST_ANSWER_BYTES = 64 * 2**20
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, JSON]).decode

Append = Callable[[Call, Callable[[FreeholdError | None], None]], None]
"""Stores a call, and says when it is durable, or why it is not."""


class Gateway:
    """Everything that answering takes, assembled once for each worker."""

    def __init__(self, config: Config, writer: Writer) -> None:
        """Raises OperatorError for a provider that cannot be called."""
        self.catalog: Catalog = config.catalog()
        self.providers = {name: Provider(name, table) for name, table in config.providers.items() if table.kind != "recorded"}
        self._content = config.journal.content
        self._writer = writer
        self._builder = Builder(None, "default", "found", self.catalog, config.price_book(), datetime.now(UTC))
        self.in_flight: set[Exchange] = set()

    def routes(self) -> dict[tuple[bytes, bytes], Handler]:
        """The hot routes."""
        return {
            (b"POST", b"/v1/chat/completions"): lambda request, reply: Exchange(self, OPENAI, reply).begin(request),
            (b"POST", b"/v1/messages"): lambda request, reply: Exchange(self, ANTHROPIC, reply).begin(request),
            (b"GET", b"/v1/models"): self._list_models,
            (b"GET", b"/healthz"): lambda _, reply: reply.send(200, (_JSON,), b'{"status":"ok"}'),
        }

    def target(self, name: str, door: Format) -> Target:
        """Who answers to this model name. Raises CallerError."""
        model = self.catalog.models.get(name)
        if model is not None and model.provider in self.providers:
            return Target(name, self.providers[model.provider], model.name or model.id)
        prefix, slash, rest = name.partition("/")
        if slash and rest and prefix in self.providers:
            return Target(rest, self.providers[prefix], rest)
        of_this_kind = [provider for provider in self.providers.values() if provider.format is door]
        if len(of_this_kind) == 1:  # an unchanged client, and one provider that it can have meant
            return Target(name, of_this_kind[0], name)
        known = [*self.catalog.models, *(f"{provider}/…" for provider in self.providers)]
        raise CallerError(f"There is no model '{name[:120]}'.{nearest(name, known)}")

    def append(self, call: Call, done: Callable[[FreeholdError | None], None]) -> None:
        """Journals a call, with as much of its content as is kept."""
        self._writer.submit(redact(call, self._content), (), done)

    def call(self, record: dict[str, JSON], **fields: JSON) -> Call:
        """The call of a request and its answer, the same that an import of their log would give, but for these fields."""
        return msgspec.structs.replace(self._builder.entry(logged(record)).call, source="gateway", **fields)

    def _list_models(self, _: Request, reply: Reply) -> None:
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": model.provider or ""} for name, model in self.catalog.models.items()
        ]
        reply.send(200, (_JSON,), _encode({"object": "list", "data": models}))

    def close(self) -> None:
        """Breaks off what is in flight, journals it, and ends the connections."""
        for exchange in list(self.in_flight):
            exchange.give_up("the gateway is shutting down")
        for provider in self.providers.values():
            provider.pool.close()


class _Asked(NamedTuple):
    """A request as its door read it."""

    body: dict[str, JSON]
    stream: bool
    wants_usage: bool
    as_openai: dict[str, JSON]
    """The same in OpenAI's words, as the journal keeps it."""


class Exchange:
    """One request: from the door to a provider and back. Callbacks all the way; `_over` once it has ended, however it did."""

    def __init__(self, gateway: Gateway, door: Format, reply: Reply) -> None:
        self._gateway = gateway
        self._door = door
        self._reply = reply
        self.id = uuid4().hex
        self._began = time.perf_counter()
        self._at = datetime.now(UTC)
        self._over = False
        self._status = 0
        self._body: list[bytes] = []
        self._size = 0
        self._events: EventReader | None = None
        self._reader: StreamReader | None = None
        self._stream_writer: StreamWriter | None = None
        self._collected = Collected()
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0

    def begin(self, request: Request) -> None:
        """Reads the request, finds who answers, and asks."""
        try:
            self._asked = self._read(request)
            self._target = self._gateway.target(str(self._asked.body.get("model") or ""), self._door)
            outgoing = self._outgoing()
        except CallerError as error:
            self._refuse(404 if str(error).startswith("There is no model") else 400, str(error))
            return
        self._gateway.in_flight.add(self)
        self._reply.on_gone, self._reply.on_room = self._gone, self._room
        provider = self._target.provider
        self._loop = asyncio.get_running_loop()
        self._ticket = provider.pool.send(provider.request(outgoing), self, provider.deadlines.connect_s)
        self._heard = self._loop.time()
        self._watch()

    def _read(self, request: Request) -> _Asked:
        kind = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise CallerError("the body has to be application/json: a web page of another origin could send anything else")
        try:
            body = _decode(request.body)
        except (msgspec.DecodeError, RecursionError) as error:
            raise CallerError(f"the body is no JSON object: {error}") from None
        stream = body.get("stream") is True
        if self._door is OPENAI:
            options = body.get("stream_options")
            return _Asked(body, stream, isinstance(options, dict) and options.get("include_usage") is True, body)
        return _Asked(body, stream, True, OPENAI.write_request(_sayable(ANTHROPIC.read_request(body))))

    def _outgoing(self) -> bytes:
        """The body for the provider: the caller's own where both speak one format, else the same in the other's words."""
        target, asked = self._target, self._asked
        if target.provider.format is self._door:
            body = named(asked.body, target.model)
            if asked.stream and self._door is OPENAI and not asked.wants_usage:
                body = {**body, "stream_options": {"include_usage": True}}  # what it cost has to be known, whoever asked
            return _encode(body)
        request = msgspec.structs.replace(self._door.read_request(asked.body), model=target.model, usage_in_stream=True)
        return _encode(target.provider.format.write_request(request))

    # The provider answers.

    def on_head(self, status: int, headers: Headers) -> None:
        """As of `Receiver`."""
        self._status = status
        self._heard = self._loop.time()
        is_events = any(name == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in headers)
        if status == 200 and self._asked.stream and is_events:
            self._events, self._reader = EventReader(), self._target.provider.format.stream_reader()
            self._stream_writer = self._door.stream_writer(self._asked.wants_usage)
            self._reply.begin(200, (_EVENTS, (b"cache-control", b"no-cache"), *self._headers()))

    def on_data(self, data: bytes) -> None:
        """As of `Receiver`."""
        self._heard = self._loop.time()
        if self._events is None or self._reader is None or self._stream_writer is None:
            self._size += len(data)
            if self._size > _MOST_ANSWER_BYTES:
                self.give_up(f"the provider's answer is larger than {_MOST_ANSWER_BYTES // 2**20} MiB")
                return
            self._body.append(data)
            return
        try:
            chunks = [chunk for told in self._events.feed(data) for chunk in self._reader.read(told)]
        except ProviderError as error:
            self.on_failure(error)
            return
        self._pass_on(chunks, self._stream_writer)

    def _pass_on(self, chunks: Sequence[Chunk], writer: StreamWriter) -> None:
        for chunk in chunks:
            self._collected.add(chunk)
        self._reply.write(b"".join(map(writer.write, chunks)))

    def on_end(self) -> None:
        """As of `Receiver`."""
        if self._over:
            return
        if self._events is not None and self._reader is not None and self._stream_writer is not None:
            try:
                self._pass_on([chunk for told in self._events.end() for chunk in self._reader.read(told)], self._stream_writer)
            except ProviderError as error:
                self.on_failure(error)
                return
            if not self._reader.is_done:
                self.on_failure(ProviderError("the provider's stream ended in the middle of its answer"))
                return
            self._journal("answered", self._collected.answer(), self._stream_ended)
            return
        body = b"".join(self._body)
        if self._status != 200:
            self._failed(self._status if self._status >= 400 else 502, error_message(body), "failed")
            return
        try:
            answer = self._target.provider.format.read_answer(msgspec.json.decode(body))
            same = self._target.provider.format is self._door
            told = body if same else _encode(self._door.write_answer(answer))
        except (DataError, msgspec.DecodeError, RecursionError) as error:
            self._failed(502, f"the provider's answer cannot be read: {error}", "malformed")
            return
        self._journal("answered", answer, lambda call, error: self._whole_ended(call, error, told))

    def on_failure(self, error: ProviderError) -> None:
        """As of `Receiver`."""
        self._failed(502, str(error), "failed")

    # The caller hears.

    def _whole_ended(self, call: Call, error: FreeholdError | None, told: bytes) -> None:
        if error is not None:
            self._send_error(503, f"the answer could not be journalled: {error}")
            return
        cost = () if call.cost_usd is None else ((b"x-freehold-cost-usd", b"%.9g" % call.cost_usd),)
        self._reply.send(200, (_JSON, *self._headers(), *cost), told)

    def _stream_ended(self, call: Call, error: FreeholdError | None) -> None:
        assert self._stream_writer is not None
        if error is not None:
            self._reply.write(self._stream_writer.broken("the answer could not be journalled", self._door.error_kind(503)))
        else:
            cost = b"" if call.cost_usd is None else comment(f"x-freehold-cost-usd {call.cost_usd:.9g}")
            self._reply.write(cost + self._stream_writer.end())
        self._reply.end()

    def _headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return (b"x-freehold-call", self.id.encode()), (b"x-freehold-variant", self._target.variant.encode("ascii", "replace"))

    def _send_error(self, status: int, message: str) -> None:
        body = _encode(self._door.error(status, message, self.id))
        self._reply.send(status, (_JSON, (b"x-freehold-call", self.id.encode())), body)

    def _refuse(self, status: int, message: str) -> None:
        """Says no before anybody was asked: nothing happened, so nothing is journalled."""
        self._over = True
        self._send_error(status, message)

    # It ends otherwise.

    def _failed(self, status: int, message: str, outcome: Outcome) -> None:
        """Ends with an error; what was paid for is journalled all the same."""
        if self._over:
            return
        self._ticket.cancel()
        begun = self._stream_writer

        def told(call: Call, error: FreeholdError | None) -> None:
            if begun is None:
                self._send_error(status, message)
            else:
                self._reply.write(begun.broken(message, self._door.error_kind(status)))
                self._reply.end()

        self._journal(outcome, self._collected.answer() if begun is not None else None, told, message)

    def give_up(self, why: str) -> None:
        """Breaks off from our side."""
        self._failed(503, why, "cancelled")

    def _gone(self) -> None:
        """The caller has left: the provider is told to stop, and what was made by then is journalled."""
        if not self._over:
            self._ticket.cancel()
            self._journal("cancelled", self._collected.answer() if self._stream_writer is not None else None, lambda *_: None)

    def _room(self, has_room: bool) -> None:
        """The caller reads more slowly than the provider writes, or has caught up."""
        if not self._over:
            (self._ticket.resume if has_room else self._ticket.pause)()

    def _watch(self) -> None:
        """Looks at the deadlines when the nearest of them may be due, and not for every piece."""
        if self._over:
            return
        deadlines, now = self._target.provider.deadlines, self._loop.time()
        step, what = (deadlines.between_s, "the next piece of its answer") if self._status else (deadlines.first_byte_s, "an answer")
        elapsed = time.perf_counter() - self._began
        if elapsed >= deadlines.total_s:
            self._failed(504, f"'{self._target.provider.name}' took longer than {deadlines.total_s:g} s", "timed_out")
        elif now - self._heard >= step:
            self._failed(504, f"'{self._target.provider.name}' did not send {what} within {step:g} s", "timed_out")
        else:
            self._timer = self._loop.call_later(max(0.01, min(self._heard + step - now, deadlines.total_s - elapsed)), self._watch)

    def _journal(
        self, outcome: Outcome, answer: ChatAnswer | None, then: Callable[[Call, FreeholdError | None], None], why: str | None = None
    ) -> None:
        """Stores the call; `then` hears when it is durable. Nothing ends twice."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._gateway.in_flight.discard(self)
        seconds, target = time.perf_counter() - self._began, self._target
        record: dict[str, JSON] = {"request": self._asked.as_openai, "variant": target.variant}
        if answer is not None and answer.choices:
            record["response"] = {**OPENAI.write_answer(answer), "model": answer.model or target.model}
        else:
            record |= {"response": {"model": target.model}, "error": {"message": why or outcome}}
        call = self._gateway.call(
            record,
            id=self.id,
            outcome=outcome if outcome != "answered" or answer is None else _outcome_of(answer),
            at=self._at,
            latency_s=seconds,
            delivered=not self._reply.is_gone,
            attempts=(),
        )
        attempt = Attempt(
            n=0,
            variant=target.variant,
            cause="first",
            outcome=call.outcome,
            at=self._at,
            latency_s=seconds,
            usage=call.usage,
            cost_usd=call.cost_usd,
            error=why,
        )
        call = msgspec.structs.replace(call, attempts=(attempt,))
        self._gateway.append(call, lambda failed: then(call, failed))


def _outcome_of(answer: ChatAnswer) -> Outcome:
    return "refused" if all(choice.finish in ("refused", "filtered") for choice in answer.choices) else "answered"


def _sayable(request: JSON) -> JSON:
    """A request without what OpenAI's format has no words for, for the journal alone."""
    return msgspec.structs.replace(request, thinking_tokens=None, further={})
