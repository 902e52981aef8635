"""The upper line of the loop: a request comes in by a door, a policy or a name says who answers, the call is journalled, the answer goes out.

`Gateway` says what there is at which address; `Exchange` is what happens to one request, top to bottom.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVarTuple

import msgspec

from freehold.asked import Asked, Turn
from freehold.attempts import Attempts
from freehold.catalog import Task
from freehold.chat import (
    ChatAnswer,
    Choice,
    Chunk,
    Collected,
    Message,
    Outcome,
    Text,
    Usage,
    pieces_of,
)
from freehold.errors import CallerError, DataError, FreeholdError
from freehold.feedback.answering import AnswerDesk
from freehold.feedback.public import PATH, Public
from freehold.feedback.receive import Receiver
from freehold.feedback.review_api import ReviewApi
from freehold.feedback.secret import secret_of
from freehold.gateway import openapi
from freehold.gateway.answers import key_of
from freehold.gateway.budget import BudgetExceeded
from freehold.gateway.caller import Caller, Forbidden
from freehold.gateway.fields import json_object
from freehold.gateway.formats import ANTHROPIC, EMBEDDINGS, OPENAI, Format, StreamWriter
from freehold.gateway.head import Head
from freehold.gateway.keys import Role, Unauthorized
from freehold.gateway.ledger import Account, Reservation
from freehold.gateway.limits import LimitReached, Pass
from freehold.gateway.reply import Handler, Headers, Nobody, Reply, Request
from freehold.gateway.seam import Seam
from freehold.gateway.sse import comment
from freehold.gateway.tariff import released
from freehold.journal.build import RECORDED, new_call_id
from freehold.journal.call import Call
from freehold.journal.formats.record import MAX_LEVELS, TOO_DEEP, is_deeper
from freehold.journal.pending import Going, KeptReply, PendingCall, PendingCalls, later
from freehold.journal.rows import digest_of
from freehold.journal.served import Question, outcome_of, unusual_end
from freehold.providers.asking import Asking, Failure
from freehold.providers.desk import HandedOver
from freehold.providers.provider import Target
from freehold.pursuit import Pursuit
from freehold.resources import CACHE, OWN, TASK_PREFIX, Elsewhere, How, NoKey, Resources, UnknownModel, Words
from freehold.routing.decide import Decision
from freehold.routing.online import Chosen, OnlinePolicy
from freehold.telemetry.event import Finished
from freehold.telemetry.exposition import CONTENT_TYPE
from freehold.telemetry.names import (
    DROPPED_CALLS,
    FAILED_DECISIONS,
    IN_FLIGHT,
    JOURNAL_QUEUE,
    OPEN_ALERTS,
    OPEN_BREAKERS,
    SPOOL_FILES,
    UNCHECKED_CALLS,
)
from freehold.telemetry.readiness import Readiness
from freehold.telemetry.telemetry import Telemetry
from freehold.telemetry.trace import Trace
from freehold.variants import terms
from freehold.variants.compose import NoAnswer
from freehold.variants.expert import Beside, ExpertAsk
from freehold.variants.functions import FunctionFailed, Refuse
from freehold.variants.outcome import Outcome as Found
from freehold.work import Case, Unanswered, Work, question_id

_JSON = (b"content-type", b"application/json")
_EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
_OURS = "Freehold failed at this call, and its log says how."
_OWN_HEADER = b"x-freehold-"
_NO_HEADERS = Head(b"")
_NOTHING: Mapping[str, float] = MappingProxyType({})
LATER = 202
"""The status of one that was handed over: nothing of it is journalled, for it is asked anew when its answer has come."""
_MOST_FETCH_S = 300.0
_SETTLING_S = 60.0
"""How long after a call's last moment it is settled at what was held back for it."""
_STATUSES: dict[type[CallerError], int] = {
    Unauthorized: 401,
    Forbidden: 403,
    UnknownModel: 404,
    NoKey: 424,
    BudgetExceeded: 429,
    LimitReached: 429,
}
_encode = msgspec.json.Encoder().encode
_Ts = TypeVarTuple("_Ts")
_log = logging.getLogger("freehold.serve")


class Gateway:
    """What is answered at which address, and what is under way."""

    def __init__(self, resources: Resources, telemetry: Telemetry) -> None:
        self.resources = resources
        self.telemetry = telemetry
        self.in_flight: set[Exchange] = set()
        self.is_stopping = False
        """Whether a signal said to stop."""
        self._scrapes: set[asyncio.Task[None]] = set()
        writer, served = resources.writer, resources.served
        on_failure = resources.config.journal.on_failure
        self._readiness = Readiness(
            lambda: writer.is_store_up,
            on_failure != "required",
            lambda: served.is_read,
            lambda: self.is_stopping,
            lambda: writer.has_spooled,
        )
        self.pending = PendingCalls(resources.store, resources.tenant)
        """Calls that wait for a person."""
        telemetry.watch(IN_FLIGHT, lambda: len(self.in_flight))
        telemetry.watch(JOURNAL_QUEUE, lambda: writer.waiting)
        telemetry.watch(SPOOL_FILES, lambda: writer.spool_files)
        telemetry.watch(OPEN_BREAKERS, lambda: len(resources.breakers.open(time.time())))
        telemetry.watch(OPEN_ALERTS, lambda: resources.open_alerts)
        telemetry.watch(FAILED_DECISIONS, lambda: resources.failed_decisions)
        telemetry.watch(DROPPED_CALLS, lambda: writer.dropped)
        telemetry.watch(UNCHECKED_CALLS, lambda: writer.unchecked)
        content = resources.config.journal.content
        rule = resources.config.feedback
        self.receiver = Receiver(resources.store, resources.writer, resources.catalog, content, resources.tenant, rule)
        """Who takes what is said about answers."""
        self.public: Public | None = None
        """What those without a key may do, where this is asked over HTTP."""
        self._reviews = ReviewApi(resources.store, resources.catalog, content, resources.tenant)
        self._answers = AnswerDesk(resources.store, resources.tenant, lambda request: resources.caller(request.headers, "expert", {}).key)

    def routes(self) -> dict[tuple[bytes, bytes], Handler]:
        """The hot routes. Raises OperatorError where public feedback has no secret."""
        has, rule = self.resources, self.resources.config.feedback
        secret = secret_of(has.config.folder, rule) if rule.public else None
        public = self.public = Public(self.receiver, has.store, has.catalog, has.tenant, rule, secret)
        return {
            (b"POST", b"/v1/chat/completions"): lambda request, reply: Exchange(self, OPENAI, reply).begin(request),
            (b"POST", b"/v1/messages"): lambda request, reply: Exchange(self, ANTHROPIC, reply).begin(request),
            (b"POST", b"/v1/embeddings"): lambda request, reply: Exchange(self, EMBEDDINGS, reply).begin(request),
            (b"POST", b"/v1/feedback"): self._asked_by("feedback", self.receiver.take),
            (b"POST", b"/v1/feedback/tokens"): self._asked_by("vouch", public.make),
            (b"POST", PATH): public.take,
            (b"OPTIONS", PATH): public.preflight,
            **self._reviews.routes(),
            (b"GET", b"/v1/expert/asks"): self._open_to("expert", self._answers.list_asks),
            (b"POST", b"/v1/expert/answers"): self._open_to("expert", self._answers.take),
            (b"GET", b"/v1/models"): self._open_to("call", self._list_models),
            (b"GET", b"/openapi.json"): lambda _, reply: reply.send(200, (_JSON,), openapi.document()),
            (b"GET", b"/metrics"): self._open_to("read", self._tell_metrics),
            (b"GET", b"/readyz"): lambda _, reply: _tell(reply, *self._readiness.ready()),
            (b"GET", b"/healthz"): lambda _, reply: _tell(reply, *self._readiness.health()),
        }

    def patterns(self) -> dict[tuple[bytes, bytes], Handler]:
        """Routes whose path goes on after what stands here."""
        return {(b"GET", b"/v1/calls/"): self._open_to("call", self._fetch)}

    async def look_after_pending(self) -> None:
        """Says which calls this worker goes on with that wait for a person, and takes up those of workers that ended. Raises OperatorError."""
        kept = [exchange for exchange in self.in_flight if exchange.is_kept]
        if self.is_stopping:
            for exchange in kept:
                exchange.give_up("the gateway is shutting down")
            return
        ids = [exchange.id for exchange in kept]
        for call in await asyncio.to_thread(self.pending.look, ids, datetime.now(UTC)):
            if call.going is None:
                continue
            reply = Nobody()
            reply.is_gone = not call.is_told  # who was told where it will be may come for it
            door = next((one for one in (OPENAI, ANTHROPIC) if one.path == call.going.door), OPENAI)
            _log.info("call.taken_up: it waits for a person, and its worker ended", extra={"call": call.id})
            Exchange(self, door, reply, pending=call).resume(call)

    def _fetch(self, request: Request, reply: Reply) -> None:
        """Gives the answer of a call that waited for a person."""
        caller = self.resources.caller(request.headers, "call", {})
        id = request.path.rpartition(b"/")[2].decode("ascii", "replace")
        said = request.header(b"x-freehold-wait-s") or b""
        wait_s = min(float(said), _MOST_FETCH_S) if said.isdigit() else 0.0

        async def fetch() -> None:
            try:
                call = await self.pending.fetched(id, caller.id or None, wait_s)
            except FreeholdError as error:
                _tell(reply, 503, _encode(OPENAI.error(503, str(error), id)))
                return
            if call is None:
                why = f"No call '{id[:64]}' of this key waits for a person, or its answer was here for longer than a day."
                _tell(reply, 404, _encode(OPENAI.error(404, why, "")))
            elif call.answered is None:
                reply.send(*later(id))
            else:
                told = call.answered
                headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told.headers]
                reply.send(told.status, headers, told.body.encode())

        self.soon(fetch())

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Has something done on the loop that nobody waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._scrapes.add(task)
        task.add_done_callback(self._scrapes.discard)

    def close(self) -> None:
        """Breaks off what is in flight, journals it, and ends the connections."""
        for exchange in list(self.in_flight):
            exchange.give_up("the gateway is shutting down")
        self.resources.close()

    def _open_to(self, role: Role, handler: Handler) -> Handler:
        """A route for keys of a role; for everybody where there are no keys."""
        return self._asked_by(role, lambda _, request, reply: handler(request, reply))

    def _asked_by(self, role: Role, handler: Callable[[Caller, Request, Reply], None]) -> Handler:
        """As `_open_to`, for a handler that wants to know who asks."""

        def answer(request: Request, reply: Reply) -> None:
            try:
                caller = self.resources.caller(request.headers, role, {})
            except CallerError as error:
                _tell(reply, _status_of(error), _encode(OPENAI.error(_status_of(error), str(error), "")))
            else:
                handler(caller, request, reply)

        return answer

    def _list_models(self, _: Request, reply: Reply) -> None:
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "freehold"} for name in self.resources.names()]
        reply.send(200, (_JSON,), _encode({"object": "list", "data": models}))

    def _tell_metrics(self, _: Request, reply: Reply) -> None:
        async def tell() -> None:
            told = await asyncio.to_thread(self.telemetry.exposition)
            reply.send(200, ((b"content-type", CONTENT_TYPE),), told)

        self.soon(tell())


def _tell(reply: Reply, status: int, told: bytes) -> None:
    reply.send(status, (_JSON,), told)


class Origin(NamedTuple):
    """Where a request comes from that came in by no door, and what the journal is to have of it instead of what it says itself."""

    source: str
    """As of `Call`."""
    task: str
    """The task whose settings hold for it."""
    question: Question | None = None
    """What is asked, as it was recorded; None for what it says itself."""
    group: str | None = None
    """As of `Call`."""
    customer: str | None = None
    """As of `Call`."""
    propensity: float | None = None
    """With which probability it was asked of this model, where that was drawn."""
    is_routed: bool = False
    """Whether its task's policy says who answers, as for one that comes in by a door."""
    ends_at: float | None = None
    """When nobody waits for the answer any longer, by the loop's clock."""
    known: Mapping[str, float] = _NOTHING
    """Further facts that a policy may look at, such as how much may still be spent."""
    hold: Callable[[int], None] | None = None
    """Told the most that it may cost, in billionths of a dollar, before anybody is asked. Raises CallerError where that is too much."""
    heard: Callable[[Call], None] | None = None
    """Told the call when it is durable, before the way back is."""
    waits: Callable[[bool], None] | None = None
    """Told when it begins to wait for a person, and when that is over, where it may be broken off meanwhile: whoever begins it anew finds the
    question, and what was answered to it. None where a question is withdrawn when nobody waits for it."""


class Exchange:
    """One request: from the door to whoever answers, and back. Callbacks all the way; `_over` once it has ended, however it did."""

    def __init__(
        self, gateway: Gateway, door: Format, reply: Reply, origin: Origin | None = None, pending: PendingCall | None = None
    ) -> None:
        """`pending`: a call that another process began."""
        going = None if pending is None else pending.going
        self._gateway = gateway
        self._has = gateway.resources
        self._door = door
        self._reply = reply
        self.id = new_call_id() if pending is None else pending.id
        self._at = datetime.now(UTC) if going is None else going.at
        self._began = time.perf_counter() - (0.0 if going is None else (datetime.now(UTC) - going.at).total_seconds())
        self._over = False
        self.variant = ""
        self._origin = origin
        self._task: str | None = None if origin is None else origin.task
        self._policy: OnlinePolicy | None = None
        self._chosen: Chosen | None = None
        self._decision: Decision | None = None
        self._policy_hash: str | None = None
        self._kept: KeptReply | None = None
        self._asks_people = False
        self._later: asyncio.TimerHandle | None = None
        self._attempts = Attempts(self._began, self._at, () if going is None else going.attempts)
        self._pursuit = Pursuit(self._has, self, self._attempts)
        self._how: How | None = None
        self._ends_at = None if origin is None else origin.ends_at
        """When nobody waits for the answer any longer, where that is known before a model is asked."""
        self._work: Work | None = None
        self._more: tuple[Message, ...] = ()
        self._leave_line: Callable[[], None] | None = None
        self._writer: StreamWriter | None = None
        self._said: Collected | None = None
        self._seam: Seam | None = None
        self._cache_key: bytes | None = None
        self._caller = self._has.callers.anybody
        self._pass: Pass | None = None
        self._reserved: int | None = None
        self._trace: Trace | None = None
        self._first_byte_s: float | None = None
        self.failure: Failure | None = None
        """Why there is no answer, where whoever was to be asked has none."""

    # A request has come in.

    def begin(self, request: Request) -> None:
        """Reads the request, finds who answers, and asks."""
        self.safely(self._read, request)

    def ask(self, make: Callable[[], Asked], caller: Caller | None = None) -> None:
        """As `begin`, for a request of our own, which no key comes with. `caller`: on whose behalf; None for nobody's."""
        if caller is not None:
            self._caller = caller
        self.safely(self._make, make)

    def resume(self, pending: PendingCall) -> None:
        """Goes on with a call that another process began, from where it waits for a person."""
        self.safely(self._resume, pending)

    def _resume(self, pending: PendingCall) -> None:
        going = pending.going
        assert going is not None
        about = {name.encode(): value for name, value in going.about.items()}
        self._caller = self._has.callers.again(pending.key, about.get(b"customer"), about.get(b"plan"))
        self._trace = self._pursuit.trace = self._gateway.telemetry.trace(_NO_HEADERS)
        body = going.body if isinstance(going.body, dict) else {}
        self._asked = Asked(self._door, body, len(_encode(body)), about)
        self._gateway.in_flight.add(self)
        self._task, self._policy_hash, self._reserved = going.task, going.policy, going.reserved_nano
        self._words = self._seen()
        self._follow(Decision(going.variant, -1))

    def _make(self, make: Callable[[], Asked]) -> None:
        self._take(make(), _NO_HEADERS)

    def _read(self, request: Request) -> None:
        headers = request.headers
        about = {name: value.decode("latin-1") for name, value in headers.starting(_OWN_HEADER).items()}
        self._caller = self._has.caller(headers, "call", about)
        self._take(Asked(self._door, json_object(request), len(request.body), about), headers)

    def _take(self, asked: Asked, headers: Head) -> None:
        self._trace = self._pursuit.trace = self._gateway.telemetry.trace(headers)
        self._asked = asked
        self._gateway.in_flight.add(self)
        self._reply.on_gone, self._reply.on_room = self._gone, self._room
        model = self._asked.model
        is_routed = self._origin is None or self._origin.is_routed
        task = self._task_of(model, headers) if is_routed and self._door is not EMBEDDINGS else None
        self._caller.check(model, task)
        if task is None:
            self._admit(model, lambda: [(model, 0)], lambda: self._ask(model))
        else:
            decision = self._decide(self._has.task(task))
            first, _ = next(self._has.may_be_asked(decision.variant))
            self._admit(first, lambda: self._may_all_be_asked(task, decision), lambda: self._begin_at(decision))

    def safely(self, step: Callable[[*_Ts], None], *told: *_Ts) -> None:
        """Takes a step; whatever goes wrong, the caller hears of it."""
        try:
            step(*told)
        except HandedOver:
            self._refuse(LATER, "the answer comes later")
        except CallerError as error:
            if self._over or self._pursuit.is_waiting:  # somebody may still answer
                _log.warning("step.failed: %s", error, extra={"call": self.id})
            elif self._attempts:
                self._fail(Failure("failed", 502, str(error)))
            else:
                again = error.retry_after_s if isinstance(error, LimitReached) else None
                self._refuse(_status_of(error), str(error), again, is_final=isinstance(error, BudgetExceeded))
        except Exception:  # noqa: BLE001 as in `on_broken`
            self.on_broken()

    # It is let in: the key's limits first, then budgets.

    def _admit(self, first: str, may_all: Callable[[], list[tuple[str, int]]], begin: Callable[[], None]) -> None:
        """Goes on with `begin` when there is room for this caller and money. `first`: who is asked first. `may_all`: gives who may all have to
        be asked, as of `Resources.may_be_asked`."""
        limits = self._caller.limits
        if not limits.is_any:
            self._reserve(first, may_all, begin)
            return

        def go(given: Pass) -> None:
            self._leave_line, self._pass = None, given
            self.safely(self._reserve, first, may_all, begin)

        self._leave_line = self._has.limits.enter(
            f"key '{self._caller.id}'", limits, self._asked.tokens, self._caller.id, go, lambda full: self.safely(_raise, full)
        )

    def _reserve(self, first: str, may_all: Callable[[], list[tuple[str, int]]], begin: Callable[[], None]) -> None:
        """Holds back what the call may cost, durably, before anybody is asked."""
        self._has.check_price(self._task, first, self._at)
        scopes = self._caller.scopes
        hold = None if self._origin is None else self._origin.hold
        estimate = self._has.estimate(self._task, may_all(), self._asked.said_to, self._at) if scopes or hold is not None else 0
        if hold is not None:
            hold(estimate)
        if not scopes:
            begin()
            return
        total_s = self._has.how(self._task, first).deadlines.total_s
        total_s += sum(known.deadline_s for name, _ in may_all() if (known := self._has.variant(name)).kind == "expert")
        account = self._account(self._customer())
        deadline = self._at + timedelta(seconds=total_s + _SETTLING_S)
        reservation = Reservation(
            call=self.id, account=account, variant=first, at=self._at, deadline=deadline, amount_nano=estimate, scopes=scopes
        )

        def done(error: FreeholdError | None) -> None:
            if error is None:
                self._reserved = estimate
            if self._over:  # the caller has left
                self._release()
            elif error is None:
                self.safely(begin)
            elif isinstance(error, CallerError):
                if isinstance(error, BudgetExceeded):
                    _log.info("budget.refused: %s", error.why, extra={"call": self.id})
                self.safely(_raise, error)
            else:
                self._refuse(503, f"the call's budget could not be looked at: {error}")

        self._has.writer.reserve(reservation, done)

    def _release(self) -> None:
        """Nobody was asked after all: what was held back is free again."""
        if self._reserved is not None:
            self._reserved = None
            self._has.writer.submit(None, (), _heard, released(self.id, self._account(self._customer()), self._at))

    def _account(self, customer: str | None) -> Account:
        return self._caller.account(self._has.tenant, self._task, customer)

    def _customer(self) -> str | None:
        return self._caller.customer or self._caller.tags.get("customer") or self._asked.tags.get("customer")

    def _task_of(self, model: str, headers: Head) -> str | None:
        """The task a request belongs to: the one it names, or the one by whose row of `[[match]]` it is known."""
        if model.startswith(TASK_PREFIX):
            return model.removeprefix(TASK_PREFIX)
        row = self._has.matcher.row_of(self._asked.body, headers, self._caller.names)
        return None if row is None else row.task

    def _seen(self) -> Words:
        """What policies see."""
        tags = self._caller.tags
        asked = self._asked
        return Words(asked.text, {**asked.tags, **tags} if tags else asked.tags, asked.key, asked.question.subject, self._customer())

    def _decide(self, task: Task) -> Decision:
        """What the task's active policy says; its reference where there is none, or where it fails."""
        self._task = task.id
        self._policy = self._promised(self._has.served.policies.get(task.id))
        self._words = self._seen()
        if self._policy is not None:
            try:
                self._chosen = self._policy.choose(
                    self._words.text, self._words.tags, self._origin.known if self._origin is not None else _NOTHING
                )
                self._policy_hash = self._policy.hash
                return self._chosen.decision
            except Exception:  # noqa: BLE001 our failure is not the product's: the reference answers, and it is counted
                count = self._has.failed_decisions = self._has.failed_decisions + 1
                _log.exception(
                    "decision.failed: %d since the start; task '%s' goes to its reference", count, task.id, extra={"call": self.id}
                )
                self._policy = self._chosen = None
        self._policy_hash = None
        return self._by_reference(task)

    def _promised(self, policy: OnlinePolicy | None) -> OnlinePolicy | None:
        """The policy, where it loses no more than the customer's plan allows; None where the reference has to answer."""
        plan = self._caller.plan
        if policy is None or plan is None or plan.max_loss is None:
            return None if plan is not None and plan.reference_only else policy
        return policy if policy.max_loss is not None and policy.max_loss <= plan.max_loss else None

    def _by_reference(self, task: Task) -> Decision:
        """The task's own function first, where it has one; then whom everybody is compared with."""
        plan = self._caller.plan
        is_promised = plan is not None and (plan.reference_only or plan.max_loss is not None)
        if self._has.functions_of(task.id, OWN).body is not None and not is_promised:
            return Decision(OWN, -1)
        if task.reference is None:
            raise CallerError(
                f"Task '{task.id}' has no active policy and no reference. Set reference under [tasks.{task.id}], or promote a policy."
            )
        return Decision(task.reference, -1)

    def _may_all_be_asked(self, task: str, decision: Decision) -> list[tuple[str, int]]:
        """Who may all have to be asked for a decision, as of `Resources.may_be_asked`: also the reference, where somebody may have no answer
        who answers here."""
        chain = list(_chain(decision))
        reference = self._has.task(task).reference
        may_pass = any(self._has.takes_time(task, self._has.variant(one)) or self._has.priced_name(one) is None for one in chain)
        if reference is not None and reference not in chain and may_pass:
            chain.append(reference)
        asked = [one for variant in chain for one in self._has.may_be_asked(variant)]
        return [*asked, *((model, earlier + 1) for model, earlier in asked)] if self._asked.may_ask_again else asked

    def _begin_at(self, decision: Decision) -> None:
        """As `_follow`; where an earlier run of the same had come as far as a person, from there: whoever comes before was asked then, and paid, and
        would not do."""
        origin, run = self._origin, self._asked.about.get(b"episode", "")
        people = [] if origin is None or origin.waits is None else [one for one in _steps(decision) if self._is_person(one)]
        if not people:
            self._follow(decision)
            return
        task, item = self._task or "", self._asked.question.item
        named = {question_id(run, self.id, task, item, (one.variant, 0, 0)): one for one in people}

        async def look() -> None:
            try:
                asked = await self._has.experts.earlier(list(named))
            except FreeholdError as error:
                _log.warning("expert.not_looked_up: %s", error, extra={"call": self.id})
                asked = set()
            if not self._over:
                self.safely(self._follow, next((one for id, one in named.items() if id in asked), decision))

        self._gateway.soon(look())

    def _is_person(self, decision: Decision) -> bool:
        return self._has.variant(decision.variant).kind == "expert"

    def _follow(self, decision: Decision) -> None:
        """Asks whom the decision names. What runs here answers at once, and where that will not do the next one is asked."""
        assert self._task is not None
        following: Decision | None = decision
        while following is not None:
            self._decision = decision = following
            variant = self._has.variant(decision.variant)
            if self._has.takes_time(self._task, variant):
                self._work = Work(self._case(), variant, self._worked)
                return
            try:
                found = self._has.here(self._task, decision.variant, self._words, self._policy, self._chosen)
            except CallerError:
                self._asked.check()  # what is wrong with the request comes first
                raise
            if found is Elsewhere.ASKED:
                self._ask(decision.variant)
                return
            following = self._after(decision, found)

    def _after(self, decision: Decision, found: Found | Elsewhere, why: str = "", is_noted: bool = False) -> Decision | None:
        """Gives the answer that was found where it will do, else who is asked next. `is_noted`: that it is an attempt already."""
        choices: tuple[Choice, ...] = ()
        if not isinstance(found, Elsewhere):
            try:
                choices = self._asked.choices(found, self.id)
            except terms.CannotGive as error:
                found, why = Elsewhere.PASS, f" as it is asked ({error})"
        if isinstance(found, Elsewhere):  # it has no answer: the next one, or else whom everybody is compared with
            reference = self._has.task(self._task or "").reference
            following = decision.then or (Decision(reference, -1) if reference is not None else None)
            if following is None or following.variant == decision.variant:
                raise CallerError(f"'{decision.variant}' of task '{self._task}' has no answer to this{why}, and nobody comes after it")
            return following
        self.variant = decision.variant
        words = self._asked.said(found.output)
        if not is_noted:
            self._attempts.here(self.variant, "answered", found.usage, (found.cost_usd, RECORDED))
        refused = self._following({**found.known, "answer_chars": float(len(words))})
        if refused is None:
            usage = found.usage if not is_noted else self._attempts.sums()[0]
            answer = ChatAnswer(
                id=f"call-{self.id}", model=decision.variant, choices=choices, usage=usage, created=int(self._at.timestamp())
            )
            self._deliver(answer, None)
        return refused

    def _case(self) -> Case:
        assert self._task is not None
        assert self._decision is not None
        if self._has.pacing is None:  # else it may wait for its turns as long as it takes, and each question has its own time
            began = self._ends_at if self._pursuit.ends_at is None else self._pursuit.ends_at  # a model's that was asked before
            longest = asyncio.get_running_loop().time() + self._has.how(self._task, self._decision.variant).deadlines.total_s
            if waits_s := self._has.waits_s(self._decision.variant):  # people take their own time, and models theirs after it
                longest += waits_s
                began = None if self._origin is None else self._origin.ends_at
                self._pursuit.ends_at = None
            self._ends_at = longest if began is None else min(longest, began)
        return Case(
            self._has, self.id, self._task, self._asked.for_one(), self._words, self._attempts, self._caller.id, self._ends_at, self._trace,
            self._policy, self._chosen, self._asks_person, self._asked.about.get(b"episode", "") if self._origin is not None else "",
        )  # fmt: skip

    # A person is asked: the call outlives its connection and this process.

    def _asks_person(self, ask: ExpertAsk) -> Beside | None:
        """What is written down with a question to people. Not of a program's call: it waits, and where it ends nobody does."""
        self._asks_people = True
        if self._origin is not None:
            waits = self._origin.waits
            return None if waits is None else Beside(None, lambda: waits(True), lambda: waits(False))
        if self._has.content_of(ask.task) != "full":  # what may not be kept is not written down for another
            return None
        if self._kept is None:
            self._reply = self._kept = KeptReply(self._reply, lambda answered: self._gateway.pending.answered(self.id, answered))
        said_s = self._asked.wait_s
        wait_s = self._has.variant(ask.variant).wait_s if said_s is None else said_s
        until = max(ask.deadline, self._at) + timedelta(seconds=_SETTLING_S)
        call = PendingCall(
            tenant=self._has.tenant, id=self.id, key=self._caller.id or None, subject=ask.subject, until=until, going=self._going()
        )
        return Beside(self._gateway.pending.kept(call), lambda: self._wait(wait_s))

    def _wait(self, wait_s: float) -> None:
        """The caller waits from now on, for so long at most."""
        if self._later is None and self.is_kept:
            self._later = asyncio.get_running_loop().call_later(wait_s, self._tell_later)

    def _going(self) -> Going:
        """All that goes on with it."""
        assert self._task is not None and self._decision is not None
        return Going(
            door=self._door.path,
            body=self._asked.body,
            about={name.decode("latin-1"): value for name, value in self._asked.about.items()},
            at=self._at,
            task=self._task,
            variant=self._decision.variant,
            policy=self._policy_hash,
            reserved_nano=self._reserved,
            attempts=self._attempts.in_order(),
        )

    @property
    def is_kept(self) -> bool:
        """Whether it is written down, and another process could go on with it."""
        return self._kept is not None and not self._over

    def _tell_later(self) -> None:
        """The caller need not wait any longer, and others of its key need not wait for it."""
        if self._kept is None or self._kept.is_told or self._writer is not None:
            return
        status, headers, body = later(self.id)
        self._kept.tell_later(status, headers, body)
        if self._kept.is_told:
            self._gateway.pending.told(self.id)
        if self._pass is not None:
            self._has.limits.leave(self._pass, self._attempts.tokens)
            self._pass = None

    def _let_go(self, failure: Failure) -> None:
        """This process ends; another goes on with it."""
        self._finished()
        if self._work is not None:
            self._work.leave(failure)
        self._pursuit.cancel(failure)
        self._gateway.pending.let_go(self.id, self._going())
        self._tell_later()

    def _worked(self, found: Found | BaseException) -> None:
        """A variant has answered that took its time, or has none."""
        self.safely(self._take_work, found)

    def _take_work(self, found: Found | BaseException) -> None:
        decision = self._decision
        assert decision is not None
        if self._over:
            return
        if isinstance(found, Found):
            following = self._after(decision, found, is_noted=True)
        elif isinstance(found, NoAnswer):
            following = self._after(decision, Elsewhere.PASS, f" ({found})")
        elif isinstance(found, FunctionFailed):
            why = type(found.__cause__ or found).__name__  # its words may be those of an answer
            _log.warning("function.failed: '%s' of task '%s': %s", decision.variant, self._task, why, extra={"call": self.id})
            try:
                following = self._after(decision, Elsewhere.PASS, f" ({found})")
            except CallerError as error:  # it is not the caller's
                self._fail(Failure("failed", 502, str(error)))
                return
        elif isinstance(found, Unanswered) and decision.then is not None:
            following = decision.then
        elif isinstance(found, Unanswered | Refuse | TimeoutError):
            self._fail(_failure_of(found))
            return
        else:
            raise found
        if following is not None:
            self._follow(following)

    def _following(self, known: dict[str, float]) -> Decision | None:
        """Who is asked next, where the answer that is known so will not do; None where it will."""
        decision = self._decision
        return decision.then if decision is not None and decision.accept is not None and not decision.accept(known) else None

    # A model is asked. `Pursuit` calls these.

    def _ask(self, model: str) -> None:
        """Has a model answer, or one of its fallbacks. Raises CallerError where nobody can be asked."""
        self._more = ()
        self._has.check_price(self._task, model, self._at)
        self._how = self._has.how(self._task, model)
        target = self._pursuit.begin(self._how, model, self._ends_at)
        if self._how.cache_s is None or not self._answer_from_memory(target):
            self._pursuit.ask(target, "escalation" if self._attempts else "first")

    def target(self, model: str) -> Target:
        """As of `Pursued`."""
        return self._has.target(model, OPENAI if self._door is EMBEDDINGS else self._door)

    def session(self) -> str:
        """As of `Pursued`."""
        return self._asked.session

    def caller_id(self) -> str:
        """As of `Pursued`."""
        return self._caller.id

    def tokens(self) -> int:
        """As of `Pursued`."""
        return self._asked.tokens

    @property
    def may_stream(self) -> bool:
        """As of `Pursued`: not of an answer that may not do, for nobody can take back a stream."""
        return self._asked.stream and (self._decision is None or self._decision.accept is None)

    @property
    def answers(self) -> int:
        """As of `Pursued`."""
        count = self._asked.body.get("n")
        return count if type(count) is int else 1

    def outgoing(self, target: Target) -> tuple[Format, bytes]:
        """As of `Pursued`."""
        seam = self._seam  # where another one broke off, and this one goes on
        more = self._more if seam is None else (Message(role="assistant", parts=(Text(text=seam.said.rstrip()),)),)
        return self._asked.outgoing(target, self._has.variant(target.variant), self.may_stream, Turn(more))

    def outcome(self, answer: ChatAnswer) -> Outcome:
        """As of `Pursued`."""
        return self._asked.outcome(answer)

    def on_chunks(self, chunks: Sequence[Chunk]) -> None:
        """As of `Pursued`."""
        if self._writer is None:
            assert self._pursuit.speaking is not None
            self._said = self._pursuit.speaking.collected
            self._begin_stream()
        assert self._writer is not None
        if self._seam is not None and self._said is not None:
            chunks = self._seam.joined(chunks)
            for chunk in chunks:
                self._said.add(chunk)
        self._reply.write(b"".join(map(self._writer.write, chunks)))

    def on_answer(self, asking: Asking, answer: ChatAnswer, raw: bytes | None) -> None:
        """As of `Pursued`."""
        if self._writer is not None:
            if self._pursuit.speaking is None:  # who goes on with it gave the rest in one piece
                self.on_chunks(list(pieces_of(answer)))
            if self._seam is not None:
                assert self._said is not None
                answer = self._said.answer()
            self._remember(answer, None)
            self._journal(self._asked.outcome(answer), answer, 200, self._stream_ended)
            return
        following = None
        if self._asked.outcome(answer) == "malformed":
            if self._ask_for_repair(asking, answer):
                return
            following = None if self._decision is None else self._decision.then
        elif self._decision is not None and self._decision.accept is not None:
            words = sum(len(part.text) for choice in answer.choices for part in choice.parts if isinstance(part, Text))
            following = self._following({"answer_chars": float(words)})
        if following is not None:
            self.safely(self._follow, following)
            return
        raw = raw if asking.format is self._door else None
        self._remember(answer, raw)
        self.safely(self._deliver, answer, raw)

    def on_nobody(self, failure: Failure) -> None:
        """As of `Pursued`."""
        self._fail(failure)

    def says_less(self, variant: str, why: str) -> bool:
        """As of `Pursued`."""
        return self._asked.says_less(variant, why)

    def _ask_for_repair(self, asking: Asking, answer: ChatAnswer) -> bool:
        """Whether the same is asked to give its answer again, in the form that was asked for, because the task says so."""
        if self._more or not (again := self._asked.again(answer)):
            return False
        self._more = again
        self.safely(
            lambda: self._pursuit.ask(
                self._pursuit.begin(self._has.how(self._task, asking.target.variant), asking.target.variant), "repair"
            )
        )
        return True

    def on_cut(self, failure: Failure) -> None:
        """As of `Pursued`. A task may say that somebody else goes on from there."""
        said = self._said.plain_text() if self._said is not None and self._how is not None and self._how.restartable else None
        if said is not None:
            self._seam = Seam(said)
        if said is None or not self._pursuit.go_on_elsewhere(failure):
            self._fail(failure)

    def on_broken(self) -> None:
        """Something of ours failed: the log says what, the caller hears of it, and what was paid for is journalled."""
        _log.exception("exchange.failed: a call ends with our own failure", extra={"call": self.id})
        if self._over:
            return
        if self._attempts or self._pursuit.is_waiting:
            self._fail(Failure("failed", 500, _OURS))
        else:
            self._refuse(500, _OURS)

    def _answer_from_memory(self, target: Target) -> bool:
        """Whether the same was asked before and is remembered; it is answered then."""
        told = self._asked.told_apart_by(self._has.variant(target.variant))
        self._cache_key = key_of({**told, "model": target.variant}, self._door.name, self._caller.id)
        known = self._has.answers.find(self._cache_key, time.time())
        if known is None:
            return False
        self.variant, self._cache_key = CACHE, None
        self._attempts.here(CACHE, outcome_of(known.answer), Usage(), (0.0, None))
        self._deliver(known.answer, known.raw)
        return True

    # The caller hears.

    def _deliver(self, answer: ChatAnswer, raw: bytes | None) -> None:
        """Journals a whole answer, and then gives it to the caller, in pieces where those were asked for."""
        if self._asked.stream:
            self._begin_stream()
            assert self._writer is not None
            self._reply.write(b"".join(map(self._writer.write, pieces_of(answer))))
            self._journal(self._asked.outcome(answer), answer, 200, self._stream_ended)
            return
        told = raw if raw is not None else _encode(self._door.write_answer(answer))
        self._journal(self._asked.outcome(answer), answer, 200, lambda call, error: self._whole_ended(call, error, told))

    def _begin_stream(self) -> None:
        self._writer = self._door.stream_writer(self._asked.wants_usage)
        self._first_byte_s = time.perf_counter() - self._began
        self._reply.begin(200, (_EVENTS, (b"cache-control", b"no-cache"), *self._headers()))

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

    def _headers(self) -> Headers:
        about: Headers = ((b"x-freehold-call", self.id.encode()), (b"x-freehold-variant", self.variant.encode("ascii", "replace")))
        if self._policy_hash is not None:
            about = (*about, (b"x-freehold-policy", self._policy_hash.encode()))
        public = self._gateway.public
        token = None if public is None else public.token(self.id, self._caller.id)
        return about if token is None else (*about, (b"x-freehold-feedback-token", token.encode()))

    def _send_error(self, status: int, message: str, retry_after_s: float | None = None, is_final: bool = False) -> None:
        body = _encode(self._door.error(status, message, self.id))
        again = () if retry_after_s is None else ((b"retry-after", b"%d" % max(1, round(retry_after_s))),)
        again = ((b"x-should-retry", b"false"),) if is_final else again
        self._reply.send(status, (_JSON, (b"x-freehold-call", self.id.encode()), *again), body)

    def _refuse(self, status: int, message: str, retry_after_s: float | None = None, is_final: bool = False) -> None:
        """Says no before anybody was asked: nothing happened, so nothing is journalled. `is_final`: that it helps nobody to try again."""
        self._finished()
        self._release()
        if self._asks_people:
            self._has.experts.free(self.id)
        self._gateway.telemetry.refused(self._door.name, status)
        self._send_error(status, message, retry_after_s, is_final)

    # It ends otherwise.

    def _fail(self, failure: Failure) -> None:
        """Ends with an error; what was paid for is journalled all the same."""
        if self._over:
            return
        self.failure = failure
        self._pursuit.cancel(failure)
        if self._work is not None and self._leaves_people(failure.outcome):
            self._work.leave(failure)
        elif self._work is not None:
            self._work.cancel(failure)
        if not self._attempts:
            self._refuse(failure.status, failure.message, failure.retry_after_s)
            return
        begun, partial = self._writer, self._said.answer() if self._said is not None else None

        def told(call: Call, error: FreeholdError | None) -> None:
            if begun is None:
                self._send_error(failure.status, failure.message, failure.retry_after_s)
            else:
                self._reply.write(begun.broken(failure.message, self._door.error_kind(failure.status)))
                self._reply.end()

        self._journal(failure.outcome, partial, failure.status, told)

    def _leaves_people(self, outcome: Outcome) -> bool:
        """Whether people are asked on, though it is broken off: whoever begins it anew has what they answer."""
        return outcome == "cancelled" and self._origin is not None and self._origin.waits is not None

    @property
    def cost_usd(self) -> float | None:
        """What was paid for it so far; None where that is unknown."""
        return self._attempts.sums()[1]

    @property
    def was_asked(self) -> bool:
        """Whether anybody was asked."""
        return bool(self._attempts)

    def give_up(self, why: str) -> None:
        """Breaks off from our side."""
        failure = Failure("cancelled", 503, why)
        if self.is_kept:
            self._let_go(failure)
        else:
            self._fail(failure)

    def _gone(self) -> None:
        """The caller has left: the provider is told to stop, and what was made by then is journalled. A person who is asked goes on."""
        if self.is_kept:
            return
        self._fail(Failure("cancelled", 499, "the caller left"))

    def _room(self, has_room: bool) -> None:
        """The caller reads more slowly than the provider writes, or has caught up."""
        self._pursuit.make_room(has_room)

    # It is written down.

    def _remember(self, answer: ChatAnswer, raw: bytes | None) -> None:
        cache_s = self._how.cache_s if self._how is not None else None
        if self._has.desk_of(self.session) is not None:  # as in `_learn`
            return
        if self._cache_key is not None and cache_s is not None and self._asked.outcome(answer) == "answered":
            self._has.answers.keep(self._cache_key, answer, raw, time.time() + cache_s)

    def _finished(self) -> None:
        """Nothing more is to happen to it but that its caller hears."""
        self._over = True
        self._gateway.in_flight.discard(self)
        self._pursuit.stop()
        if self._later is not None:
            self._later.cancel()
        if self._leave_line is not None:
            self._leave_line()
        if self._pass is not None:
            self._has.limits.leave(self._pass, self._attempts.tokens)

    def _journal(
        self, outcome: Outcome, answer: ChatAnswer | None, status: int, then: Callable[[Call, FreeholdError | None], None]
    ) -> None:
        """Stores the call; `then` hears when it is durable. Nothing ends twice."""
        self._finished()
        call = self._call(outcome, answer)

        heard = None if self._origin is None else self._origin.heard

        def durable(error: FreeholdError | None) -> None:
            if heard is not None and error is None:
                heard(call)
            if self._asks_people and self._leaves_people(outcome):
                self._has.experts.free(self.id)
            elif self._asks_people and error is None:
                self._has.experts.used_soon(self.id)
            then(call, error)
            self._tell(call, status if error is None else 503)

        settlement = self._has.tariff.settlement(
            self.id,
            self._account(call.customer),
            call.variant,
            self._at,
            call.usage,
            call.cost_usd,
            self._reserved,
            is_answered=outcome in ("answered", "refused"),
        )
        self._has.append(call, settlement, durable)
        if outcome == "answered" and self._task is not None and (self._origin is None or self._origin.is_routed):
            self._learn(call)

    def _tell(self, call: Call, status: int) -> None:
        """Whoever watches hears of the call."""
        telemetry, seconds = self._gateway.telemetry, time.perf_counter() - self._began
        has_content = telemetry.has_content
        telemetry.finished(
            Finished(
                call=self.id,
                door="anthropic" if self._door is ANTHROPIC else "openai",
                operation="embeddings" if self._door is EMBEDDINGS else "chat",
                route=f"/v1{self._door.path}",
                requested_model=str(self._asked.body.get("model")),
                variant=call.variant,
                outcome=call.outcome,
                status=status,
                stream=self._asked.stream,
                started=self._at.timestamp(),
                seconds=seconds,
                upstream_s=self._pursuit.upstream_s,
                attempts=tuple(self._attempts.told),
                first_byte_s=self._first_byte_s if self._asked.stream else seconds,
                task=call.task,
                policy=call.policy,
                cost_usd=call.cost_usd,
                trace=self._trace,
                asked=call.input if has_content else None,
                answered=call.output if has_content else None,
            )
        )

    def _learn(self, call: Call) -> None:
        """Remembers what the reference answered, and now and then asks another variant the same, for the journal alone."""
        task = self._has.catalog.tasks.get(call.task or "")
        if task is None:
            return
        if self._has.desk_of(self.session) is not None:  # another row may have handed over the same, and nobody comes for what is explored
            return
        if call.variant == task.reference and CACHE in task.variants and isinstance(call.output, str):
            self._has.memory.keep(task.id, self._words.key(), call.output, time.time())
        if self._origin is not None and self._origin.hold is not None:  # what is learnt would be paid from the caller's budget
            return
        share, others = self._has.others(task.id, call.variant)
        if share and self._has.rng.random() < share:
            other = self._has.rng.choice(others)
            origin = Origin("explore", task.id, propensity=share / len(others))
            Exchange(self._gateway, self._door, Nobody(), origin).ask(lambda: self._asked.elsewhere(other))

    def _call(self, outcome: Outcome, answer: ChatAnswer | None) -> Call:
        """The call, the same that an import of its log would give, but for what is known better.

        One whose words cannot be kept was paid for all the same: the journal has it without them.
        """
        try:
            origin = self._origin
            asked = origin.question if origin is not None and origin.question is not None else self._asked.question
            output = self._asked.output(answer) if answer is not None else None
            if isinstance(output, dict) and is_deeper(output, MAX_LEVELS):
                raise DataError(TOO_DEEP)
            digest = None if output is None else digest_of(output)
        except Exception as error:  # noqa: BLE001 such as half of a character, which a program's own body may give
            why = str(error) if isinstance(error, DataError) else type(error).__name__
            _log.warning("call.without_content: a call is journalled without its words: %s", why, extra={"call": self.id})
            asked, output, digest = Question(None, self.id, "", None, {}), None, None
        tags = {**asked.tags, **self._caller.tags} if self._caller.tags else asked.tags
        if answer is not None and (end := unusual_end(answer)):
            tags = {**tags, "finish_reason": end}
        usage, cost_usd = self._attempts.sums()
        return Call(
            id=self.id,
            tenant=self._has.tenant,
            task=self._task,
            variant=self.variant,
            item=asked.item,
            input=asked.input,
            output=output,
            output_digest=digest,
            outcome=outcome,
            usage=usage,
            cost_usd=cost_usd,
            price_id=None if cost_usd is None else self._attempts.price_id,
            latency_s=time.perf_counter() - self._began,
            at=self._at,
            group=None if origin is None else origin.group,
            customer=self._caller.customer or tags.get("customer") if origin is None else origin.customer,
            subject=asked.subject,
            tags=tags,
            episode=self._asked.about.get(b"episode"),
            policy=self._policy_hash,
            propensity=1.0 if self._policy_hash is not None else origin.propensity if origin is not None else None,
            source="gateway" if origin is None else origin.source,
            delivered=not self._reply.is_gone,
            attempts=self._attempts.in_order(),
            shape=asked.shape,
            prompt=self._asked.prompt or None,
        )


def _chain(decision: Decision | None) -> Iterator[str]:
    """Everybody whom a decision may have asked, one after the other."""
    return (one.variant for one in _steps(decision))


def _steps(decision: Decision | None) -> Iterator[Decision]:
    """A decision, and what follows where its answer will not do, one after the other."""
    while decision is not None:
        yield decision
        decision = decision.then


def _failure_of(error: Unanswered | Refuse | TimeoutError) -> Failure:
    """Why a variant that took its time gives no answer."""
    if isinstance(error, Unanswered):
        return error.failure
    if isinstance(error, Refuse):
        return Failure("refused", 403, str(error))
    return Failure("timed_out", 504, "there was no answer in the time that there was for it")


def _status_of(error: CallerError) -> int:
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return status
    return 400


def _raise(error: FreeholdError) -> None:
    raise error


def _heard(error: FreeholdError | None) -> None:
    """Nobody waits for it."""
    if error is not None:
        _log.warning("ledger.not_released: what was held back for a call is free when its deadline has passed: %s", error)
