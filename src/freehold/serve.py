"""The upper line of the loop: a request comes in by a door, a policy or a name says who answers, the call is journalled, the answer goes out.

`Gateway` is what a worker assembles once; `Exchange` is what happens to one request, top to bottom.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

import msgspec

from freehold.catalog import Catalog, Task
from freehold.chat import JSON, ChatAnswer, Choice, Chunk, Collected, Text, Usage, pieces_of, text_of
from freehold.config import Config
from freehold.errors import CallerError, DataError, FreeholdError, ProviderError, nearest
from freehold.feedback.receive import Receiver
from freehold.gateway.fields import json_object
from freehold.gateway.formats import ANTHROPIC, OPENAI, Format, StreamReader, StreamWriter, error_message
from freehold.gateway.reply import Handler, Reply, Request
from freehold.gateway.sse import EventReader, comment
from freehold.journal.build import RECORDED, Builder, new_call_id
from freehold.journal.call import Attempt, Call, Outcome
from freehold.journal.formats.openai import logged, question_of
from freehold.journal.read import calls
from freehold.journal.redact import redact
from freehold.journal.write import Writer
from freehold.promotion.served import Served
from freehold.providers.provider import Provider, Target, named
from freehold.providers.transport import Headers, Ticket
from freehold.routing.decide import Decision
from freehold.routing.online import Chosen, OnlinePolicy
from freehold.store.open import Store
from freehold.variants import head, outcome
from freehold.variants.recorded import Recordings

_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_MOST_ANSWER_BYTES = 64 * 2**20
_OURS = "Freehold failed at this call, and its log says how."
Priced: TypeAlias = tuple[float | None, str | None]
"""What an answer cost, and by which prices; None where either is unknown."""
TASK_PREFIX = "freehold/"
"""Before a task's name where a model's is asked for."""

_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("freehold.serve")


class UnknownModel(CallerError):
    """Nobody answers to this model name."""


class Gateway:
    """Everything that answering takes, assembled once for each worker."""

    def __init__(self, config: Config, store: Store, writer: Writer, tenant: str = "default") -> None:
        """Raises OperatorError for a provider that cannot be called."""
        self.catalog: Catalog = config.catalog()
        self.providers = {name: Provider(name, table) for name, table in config.providers.items() if table.kind != "recorded"}
        self.served = Served(store, tenant)
        self.in_flight: set[Exchange] = set()
        self.failed_decisions = 0
        """Calls that went to the reference because their policy could not decide."""
        self._tenant = tenant
        self._content = config.journal.content
        self._writer = writer
        self._builder = Builder(None, tenant, "found", self.catalog, config.price_book(), datetime.now(UTC))
        self._replayed = {name for name, model in config.models.items() if config.is_recorded(model)}
        self._recordings = self._record(store)
        self._receiver = Receiver(store, writer, self.catalog, self._content, tenant)
        self.look_for_policies()

    def look_for_policies(self) -> None:
        """Serves what was promoted or rolled back since, and says in the log what cannot be served. Raises OperatorError."""
        for task, error in self.served.refresh().items():
            _log.error("policy.failed: the active policy of task '%s' cannot be served: %s", task, error)

    def routes(self) -> dict[tuple[bytes, bytes], Handler]:
        """The hot routes."""
        return {
            (b"POST", b"/v1/chat/completions"): lambda request, reply: Exchange(self, OPENAI, reply).begin(request),
            (b"POST", b"/v1/messages"): lambda request, reply: Exchange(self, ANTHROPIC, reply).begin(request),
            (b"POST", b"/v1/feedback"): self._receiver.take,
            (b"GET", b"/v1/models"): self._list_models,
            (b"GET", b"/healthz"): lambda _, reply: reply.send(200, (_JSON,), b'{"status":"ok"}'),
        }

    def target(self, name: str, door: Format) -> Target:
        """Who answers to this model name. Raises UnknownModel, and CallerError for one that is not asked by its name."""
        model = self.catalog.models.get(name)
        if model is not None and model.provider in self.providers:
            return Target(name, self.providers[model.provider], model.name or model.id)
        if name in self._replayed:
            raise CallerError(f"'{name}' is replayed from recordings, which belong to tasks: ask for the model {TASK_PREFIX}TASK.")
        if not name:
            raise CallerError("the body names no model")
        prefix, slash, rest = name.partition("/")
        if slash and rest and prefix in self.providers:
            return Target(rest, self.providers[prefix], rest)
        of_this_kind = [provider for provider in self.providers.values() if provider.format is door]
        if len(of_this_kind) == 1:  # an unchanged client, and one provider that it can have meant
            return Target(name, of_this_kind[0], name)
        known = [*self._names(), *(f"{provider}/…" for provider in self.providers)]
        raise UnknownModel(f"There is no model '{name[:120]}'.{nearest(name, known)}")

    def task(self, name: str) -> Task:
        """The task of that name. Raises UnknownModel."""
        if name in self.catalog.tasks:
            return self.catalog.tasks[name]
        if name in self.served.policies:
            return Task(id=name)
        raise UnknownModel(f"There is no model '{TASK_PREFIX}{name[:120]}'.{nearest(TASK_PREFIX + name, self._names())}")

    def here(self, task: str, variant: str, text: str, policy: OnlinePolicy | None, chosen: Chosen | None) -> outcome.Outcome | None:
        """What a variant on this machine answers; None for one that is asked elsewhere. Raises CallerError for words nobody recorded.

        `chosen` is what `policy` said, which need not be the one that is active by now.
        """
        scorer = policy.scorer if policy is not None else None
        if scorer is not None and chosen is not None and chosen.scored is not None and variant == scorer.head_variant:
            model = self.catalog.models.get(variant)
            return head.run(scorer, chosen.scored, model.price.per_call if model and model.price else 0.0)
        if variant in self._replayed:
            found = self._recordings[task, variant].run(text) if (task, variant) in self._recordings else None
            if found is None:
                raise CallerError(
                    f"'{variant}' is a recording, and nobody ever asked it this of task '{task}'. Ask what is in the journal."
                )
            return found
        return None

    def append(self, call: Call, done: Callable[[FreeholdError | None], None]) -> None:
        """Journals a call, with as much of its content as is kept."""
        task = self.catalog.tasks.get(call.task or "")
        self._writer.submit(redact(call, (task.content if task else None) or self._content), (), done)

    def call(self, record: dict[str, JSON], variant: str, known: dict[str, Any]) -> Call:
        """The call of a request and its answer, the same that an import of their log would give, but for what is known better.

        One whose words cannot be read so was paid for all the same: the journal has it without them.
        """
        try:
            read = self._builder.entry(logged({**record, "variant": variant, "cost_usd": known["cost_usd"]})).call
        except DataError as error:
            _log.warning("call.without_content: call %s is journalled without its words: %s", known["id"], error)
            read = Call(id=known["id"], tenant=self._tenant, variant=variant, item=known["id"])
        return msgspec.structs.replace(read, source="gateway", **known)

    def price(self, variant: str, usage: Usage | None, at: datetime) -> Priced:
        """What an answer of a variant cost."""
        return self._builder.price(variant, usage, at)

    def close(self) -> None:
        """Breaks off what is in flight, journals it, and ends the connections."""
        for exchange in list(self.in_flight):
            exchange.give_up("the gateway is shutting down")
        for provider in self.providers.values():
            provider.pool.close()

    def _names(self) -> list[str]:
        asked = [name for name, model in self.catalog.models.items() if model.provider in self.providers]
        return [*asked, *(f"{TASK_PREFIX}{task}" for task in {*self.catalog.tasks, *self.served.policies})]

    def _list_models(self, _: Request, reply: Reply) -> None:
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "freehold"} for name in self._names()]
        reply.send(200, (_JSON,), _encode({"object": "list", "data": models}))

    def _record(self, store: Store) -> dict[tuple[str, str], Recordings]:
        """The recordings of every task that has a variant which is replayed."""
        found: dict[tuple[str, str], Recordings] = {}
        for name, task in self.catalog.tasks.items():
            if self._replayed.isdisjoint({*task.variants, task.reference}):
                continue
            for call in calls(store, self._tenant, name):
                if call.variant in self._replayed and call.source != "gateway" and call.outcome == "answered" and call.input is not None:
                    found.setdefault((name, call.variant), Recordings()).add(call.input, call.output, call.usage, call.cost_usd)
        return found


class _Asked(NamedTuple):
    """A request as its door read it."""

    body: dict[str, JSON]
    stream: bool
    wants_usage: bool
    as_openai: dict[str, JSON]
    """The same in OpenAI's words, as the journal keeps it."""


class Exchange:
    """One request: from the door to whoever answers, and back. Callbacks all the way; `_over` once it has ended, however it did."""

    def __init__(self, gateway: Gateway, door: Format, reply: Reply) -> None:
        self._gateway = gateway
        self._door = door
        self._reply = reply
        self.id = new_call_id()
        self._began = time.perf_counter()
        self._at = datetime.now(UTC)
        self._over = False
        self._variant = ""
        self._task: str | None = None
        self._policy: OnlinePolicy | None = None
        self._chosen: Chosen | None = None
        self._decision: Decision | None = None
        self._attempts: list[Attempt] = []
        self._asked_at: float | None = None
        self._price_id: str | None = None
        self._target: Target | None = None
        self._ticket: Ticket | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._writer: StreamWriter | None = None
        self._forget()

    def _forget(self) -> None:
        """Nothing of an answer has come yet."""
        self._status = self._size = 0
        self._body: list[bytes] = []
        self._events: EventReader | None = None
        self._reader: StreamReader | None = None
        self._collected = Collected()

    # A request has come in.

    def begin(self, request: Request) -> None:
        """Reads the request, finds who answers, and asks."""
        try:
            self._asked = self._read(request)
            self._gateway.in_flight.add(self)
            self._reply.on_gone, self._reply.on_room = self._gone, self._room
            model = str(self._asked.body.get("model") or "")
            if model.startswith(TASK_PREFIX):
                self._follow(self._decide(self._gateway.task(model.removeprefix(TASK_PREFIX))))
            else:
                self._ask(self._gateway.target(model, self._door))
        except CallerError as error:
            self._refuse(404 if isinstance(error, UnknownModel) else 400, str(error))
        except Exception:  # noqa: BLE001 as in `_broken`
            self._broken()

    def _read(self, request: Request) -> _Asked:
        body = json_object(request)
        stream = body.get("stream") is True
        if self._door is OPENAI:
            try:
                question_of(body)  # before anybody is paid for an answer to nothing
            except DataError as error:
                raise CallerError(str(error)) from None
            options = body.get("stream_options")
            return _Asked(body, stream, isinstance(options, dict) and options.get("include_usage") is True, body)
        return _Asked(body, stream, True, OPENAI.write_request(_sayable(ANTHROPIC.read_request(body))))

    def _decide(self, task: Task) -> Decision:
        """What the task's active policy says; its reference where there is none, or where it fails."""
        self._task = task.id
        self._policy = self._gateway.served.policies.get(task.id)
        self._text = text_of(self._asked.as_openai)
        if self._policy is not None:
            tags = self._asked.body.get("metadata")
            words = {key: value for key, value in tags.items() if isinstance(value, str)} if isinstance(tags, dict) else {}
            try:
                self._chosen = self._policy.choose(self._text, words)
                return self._chosen.decision
            except Exception:  # noqa: BLE001 our failure is not the product's: the reference answers, and it is counted
                count = self._gateway.failed_decisions = self._gateway.failed_decisions + 1
                _log.exception("decision.failed: %d since the start; call %s of task '%s' goes to the reference", count, self.id, task.id)
                self._policy = self._chosen = None
        if task.reference is None:
            raise CallerError(
                f"Task '{task.id}' has no active policy and no reference. Set reference under [tasks.{task.id}], or promote a policy."
            )
        return Decision(task.reference, -1)

    def _follow(self, decision: Decision) -> None:
        """Asks whom the decision names. What runs here answers at once, and where that will not do the next one is asked."""
        assert self._task is not None
        while True:
            self._decision = decision
            try:
                found = self._gateway.here(self._task, decision.variant, self._text, self._policy, self._chosen)
            except CallerError:
                self._door.read_request(self._asked.body)  # what is wrong with the request comes first
                raise
            if found is None:
                self._ask(self._gateway.target(decision.variant, self._door))
                return
            self._variant, self._asked_at = decision.variant, time.perf_counter()
            words = found.output if isinstance(found.output, str) else _encode(found.output).decode()
            self._note(found.usage, "answered", priced=(found.cost_usd, RECORDED))
            following = self._following({**found.known, "answer_chars": float(len(words))})
            if following is None:
                choice = Choice(parts=(Text(text=words),))
                answer = ChatAnswer(
                    id=f"call-{self.id}", model=decision.variant, choices=(choice,), usage=found.usage, created=int(self._at.timestamp())
                )
                self._deliver(answer, None)
                return
            decision = following

    def _following(self, known: dict[str, float]) -> Decision | None:
        """Who is asked next, where the answer that is known so will not do; None where it will."""
        decision = self._decision
        return decision.then if decision is not None and decision.accept is not None and not decision.accept(known) else None

    def _ask(self, target: Target) -> None:
        """Sends the request on."""
        self._forget()
        self._target, self._variant = target, target.variant
        outgoing = self._outgoing(target)
        self._loop = asyncio.get_running_loop()
        self._asked_at = time.perf_counter()
        self._ticket = target.provider.pool.send(target.provider.request(outgoing), self, target.provider.deadlines.connect_s)
        self._heard = self._loop.time()
        if self._timer is None:
            self._watch()

    def _outgoing(self, target: Target) -> bytes:
        """The body for the provider: the caller's own where both speak one format, else the same in the other's words.

        An answer that may not do is asked for whole, for nobody can take back a stream.
        """
        asked = self._asked
        stream = asked.stream and (self._decision is None or self._decision.accept is None)
        if target.provider.format is self._door:
            body = named(asked.body, target.model)
            if asked.stream and not stream:
                body = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
            elif stream and self._door is OPENAI and not asked.wants_usage:
                body = {**body, "stream_options": {"include_usage": True}}  # what it cost has to be known, whoever asked
            return _encode(body)
        request = msgspec.structs.replace(self._door.read_request(asked.body), model=target.model, stream=stream, usage_in_stream=True)
        return _encode(target.provider.format.write_request(request))

    # A provider answers.

    def on_head(self, status: int, headers: Headers) -> None:
        """As of `Receiver`."""
        assert self._target is not None
        self._status = status
        self._heard = self._loop.time()
        is_events = any(name == b"content-type" and value.lower().startswith(b"text/event-stream") for name, value in headers)
        if status == 200 and self._asked.stream and is_events:
            self._events, self._reader = EventReader(), self._target.provider.format.stream_reader()
            self._begin_stream()

    def on_data(self, data: bytes) -> None:
        """As of `Receiver`."""
        self._heard = self._loop.time()
        try:
            self._take(data)
        except ProviderError as error:
            self.on_failure(error)
        except Exception:  # noqa: BLE001 as in `_broken`
            self._broken()

    def on_end(self) -> None:
        """As of `Receiver`."""
        if self._over:
            return
        try:
            self._finish()
        except ProviderError as error:
            self.on_failure(error)
        except Exception:  # noqa: BLE001 as in `_broken`
            self._broken()

    def on_failure(self, error: ProviderError) -> None:
        """As of `Receiver`."""
        self._failed(502, str(error), "failed")

    def _take(self, data: bytes) -> None:
        """The next piece of the provider's answer."""
        if self._events is None or self._reader is None or self._writer is None:
            self._size += len(data)
            if self._size > _MOST_ANSWER_BYTES:
                self._failed(502, f"the provider's answer is larger than {_MOST_ANSWER_BYTES // 2**20} MiB", "failed")
            else:
                self._body.append(data)
            return
        self._pass_on([chunk for told in self._events.feed(data) for chunk in self._reader.read(told)], self._writer)

    def _finish(self) -> None:
        """The provider's answer is whole."""
        assert self._target is not None
        if self._events is not None and self._reader is not None and self._writer is not None:
            self._pass_on([chunk for told in self._events.end() for chunk in self._reader.read(told)], self._writer)
            if not self._reader.is_done:
                raise ProviderError("the provider's stream ended in the middle of its answer")
            answer = self._collected.answer()
            self._note(answer.usage, _outcome_of(answer))
            self._journal(_outcome_of(answer), answer, self._stream_ended)
            return
        body = b"".join(self._body)
        if self._status != 200:
            self._failed(self._status if self._status >= 400 else 502, error_message(body), "failed")
            return
        try:
            answer = self._target.provider.format.read_answer(msgspec.json.decode(body))
            raw = body if self._target.provider.format is self._door else None
            words = sum(len(part.text) for choice in answer.choices for part in choice.parts if isinstance(part, Text))
        except (DataError, msgspec.DecodeError, RecursionError) as error:
            self._failed(502, f"the provider's answer cannot be read: {error}", "malformed")
            return
        self._note(answer.usage, _outcome_of(answer))
        following = self._following({"answer_chars": float(words)})
        try:
            if following is None:
                self._deliver(answer, raw)
            else:
                self._follow(following)
        except CallerError as error:
            self._failed(502, str(error), "failed")

    # The caller hears.

    def _deliver(self, answer: ChatAnswer, raw: bytes | None) -> None:
        """Journals a whole answer, and then gives it to the caller, in pieces where those were asked for."""
        if self._asked.stream:
            self._begin_stream()
            assert self._writer is not None
            self._pass_on(list(pieces_of(answer)), self._writer)
            self._journal(_outcome_of(answer), answer, self._stream_ended)
            return
        told = raw if raw is not None else _encode(self._door.write_answer(answer))
        self._journal(_outcome_of(answer), answer, lambda call, error: self._whole_ended(call, error, told))

    def _begin_stream(self) -> None:
        self._writer = self._door.stream_writer(self._asked.wants_usage)
        self._reply.begin(200, (_EVENTS, (b"cache-control", b"no-cache"), *self._headers()))

    def _pass_on(self, chunks: Sequence[Chunk], writer: StreamWriter) -> None:
        for chunk in chunks:
            self._collected.add(chunk)
        self._reply.write(b"".join(map(writer.write, chunks)))

    def _whole_ended(self, call: Call, error: FreeholdError | None, told: bytes) -> None:
        if error is not None:
            self._send_error(503, f"the answer could not be journalled: {error}")
            return
        cost = () if call.cost_usd is None else ((b"x-freehold-cost-usd", b"%.9g" % call.cost_usd),)
        self._reply.send(200, (_JSON, *self._headers(), *cost), told)

    def _stream_ended(self, call: Call, error: FreeholdError | None) -> None:
        assert self._writer is not None
        if error is not None:
            self._reply.write(self._writer.broken("the answer could not be journalled", self._door.error_kind(503)))
        else:
            cost = b"" if call.cost_usd is None else comment(f"x-freehold-cost-usd {call.cost_usd:.9g}")
            self._reply.write(cost + self._writer.end())
        self._reply.end()

    def _headers(self) -> tuple[tuple[bytes, bytes], ...]:
        about = (b"x-freehold-call", self.id.encode()), (b"x-freehold-variant", self._variant.encode("ascii", "replace"))
        return about if self._policy is None else (*about, (b"x-freehold-policy", self._policy.hash.encode()))

    def _send_error(self, status: int, message: str) -> None:
        body = _encode(self._door.error(status, message, self.id))
        self._reply.send(status, (_JSON, (b"x-freehold-call", self.id.encode())), body)

    def _refuse(self, status: int, message: str) -> None:
        """Says no before anybody was asked: nothing happened, so nothing is journalled."""
        self._over = True
        self._gateway.in_flight.discard(self)
        self._send_error(status, message)

    # It ends otherwise.

    def _broken(self) -> None:
        """Something of ours failed: the log says what, the caller hears of it, and what was paid for is journalled."""
        _log.exception("exchange.failed: call %s", self.id)
        if self._attempts or self._asked_at is not None:
            self._failed(500, _OURS, "failed")
        elif not self._over:
            self._refuse(500, _OURS)

    def _failed(self, status: int, message: str, outcome: Outcome) -> None:
        """Ends with an error; what was paid for is journalled all the same."""
        if self._over:
            return
        if self._ticket is not None:
            self._ticket.cancel()
        begun, partial = self._writer, self._collected.answer() if self._writer is not None else None
        if self._asked_at is not None:
            self._note(partial.usage if partial is not None else None, outcome, message)

        def told(call: Call, error: FreeholdError | None) -> None:
            if begun is None:
                self._send_error(status, message)
            else:
                self._reply.write(begun.broken(message, self._door.error_kind(status)))
                self._reply.end()

        self._journal(outcome, partial, told, message)

    def give_up(self, why: str) -> None:
        """Breaks off from our side."""
        self._failed(503, why, "cancelled")

    def _gone(self) -> None:
        """The caller has left: the provider is told to stop, and what was made by then is journalled."""
        self._failed(499, "the caller left", "cancelled")

    def _room(self, has_room: bool) -> None:
        """The caller reads more slowly than the provider writes, or has caught up."""
        if not self._over and self._ticket is not None:
            (self._ticket.resume if has_room else self._ticket.pause)()

    def _watch(self) -> None:
        """Looks at the deadlines when the nearest of them may be due, and not for every piece."""
        if self._over or self._target is None:
            return
        provider, now = self._target.provider, self._loop.time()
        deadlines = provider.deadlines
        step, what = (deadlines.between_s, "the next piece of its answer") if self._status else (deadlines.first_byte_s, "an answer")
        elapsed = time.perf_counter() - self._began
        if elapsed >= deadlines.total_s:
            self._failed(504, f"'{provider.name}' took longer than {deadlines.total_s:g} s", "timed_out")
        elif now - self._heard >= step:
            self._failed(504, f"'{provider.name}' did not send {what} within {step:g} s", "timed_out")
        else:
            self._timer = self._loop.call_later(max(0.01, min(self._heard + step - now, deadlines.total_s - elapsed)), self._watch)

    # It is written down.

    def _note(self, usage: Usage | None, outcome: Outcome, error: str | None = None, priced: Priced | None = None) -> None:
        """Adds whoever was being asked to the attempts: nothing paid is hidden. `priced`: what it cost, where no price list says."""
        assert self._asked_at is not None
        n, asked_at, self._asked_at = len(self._attempts), self._asked_at, None
        cost_usd, self._price_id = priced or self._gateway.price(self._variant, usage, self._at)
        self._attempts.append(
            Attempt(
                n=n,
                variant=self._variant,
                cause="escalation" if n else "first",
                outcome=outcome,
                at=self._at + timedelta(seconds=asked_at - self._began),
                latency_s=time.perf_counter() - asked_at,
                usage=usage,
                cost_usd=cost_usd,
                error=error,
            )
        )

    def _journal(
        self, outcome: Outcome, answer: ChatAnswer | None, then: Callable[[Call, FreeholdError | None], None], why: str | None = None
    ) -> None:
        """Stores the call; `then` hears when it is durable. Nothing ends twice."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._gateway.in_flight.discard(self)
        record: dict[str, JSON] = {"request": self._asked.as_openai}
        if answer is not None and answer.choices:
            record["response"] = {**OPENAI.write_answer(answer), "model": answer.model or self._variant}
        else:
            record |= {"response": {"model": self._variant}, "error": {"message": why or outcome}}
        costs = [attempt.cost_usd for attempt in self._attempts]
        usages = [attempt.usage for attempt in self._attempts]
        total = None if None in costs else sum(cost for cost in costs if cost is not None)
        known: dict[str, Any] = {
            "id": self.id,
            "task": self._task,
            "outcome": outcome,
            "at": self._at,
            "usage": usages[0] if len(usages) == 1 else _sum_of(usages),
            "cost_usd": total,
            "price_id": None if total is None else self._price_id,
            "latency_s": time.perf_counter() - self._began,
            "policy": None if self._policy is None else self._policy.hash,
            "propensity": None if self._policy is None else 1.0,
            "delivered": not self._reply.is_gone,
            "attempts": tuple(self._attempts),
        }
        call = self._gateway.call(record, self._variant, known)
        self._gateway.append(call, lambda failed: then(call, failed))


def _outcome_of(answer: ChatAnswer) -> Outcome:
    return "refused" if answer.choices and all(choice.finish in ("refused", "filtered") for choice in answer.choices) else "answered"


def _sum_of(usages: Sequence[Usage | None]) -> Usage | None:
    """The usage of several attempts; None where any of them is unknown."""
    known = [usage for usage in usages if usage is not None]
    if len(known) != len(usages) or not known:
        return None
    names = ("input_tokens", "cached_read", "cached_write", "output_tokens", "reasoning_tokens")
    return Usage(**{name: sum(getattr(usage, name) for usage in known) for name in names})


def _sayable(request: JSON) -> JSON:
    """A request without what OpenAI's format has no words for, for the journal alone."""
    return msgspec.structs.replace(request, thinking_tokens=None, further={})
