"""The upper line of the loop: a request comes in by a door, a policy or a name says who answers, the call is journalled, the answer goes out.

`Exchange` is what happens to one request, top to bottom. Around it: `choosing.py` says whom a task's call is put to, `admission.py` lets it in,
`pursuit.py` and `work.py` ask, `waiting.py` has it outlive its connection where a person is asked, `telling.py` is what its caller hears, and
`ended.py` what the journal has of it. `doors.py` says what there is at which address.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVarTuple

import msgspec

from freehold.chat import ChatAnswer, Choice, Chunk, Collected, Message, Outcome, Text, Usage, pieces_of
from freehold.errors import CallerError, FreeholdError
from freehold.gateway.budget import BudgetExceeded
from freehold.gateway.caller import Caller
from freehold.gateway.fields import json_object
from freehold.gateway.formats import EMBEDDINGS, OPENAI, Format
from freehold.gateway.head import Head
from freehold.gateway.limits import LimitReached
from freehold.gateway.reply import Headers, Nobody, Reply, Request
from freehold.gateway.seam import Seam
from freehold.journal.build import RECORDED, new_call_id
from freehold.journal.call import Call
from freehold.journal.pending import Going, PendingCall
from freehold.journal.served import outcome_of
from freehold.providers.asking import Asking, Failure
from freehold.providers.desk import HandedOver
from freehold.providers.provider import Target
from freehold.routing.decide import Decision
from freehold.serving.admission import SETTLING_S, Admission, Entry
from freehold.serving.asked import AS_IT_IS, Asked, Turn
from freehold.serving.attempts import Attempts
from freehold.serving.choosing import Whom, asked_beside, choose, may_all_be_asked, policy_of, steps, task_of, words_of
from freehold.serving.ended import Ended, call_of, event_of
from freehold.serving.how import How
from freehold.serving.origin import NOTHING, Origin
from freehold.serving.pursuit import Pursuit
from freehold.serving.recall import Recall, learn
from freehold.serving.resources import CACHE, Elsewhere, Words
from freehold.serving.telling import Telling, headers_of, status_of
from freehold.serving.underway import Underway
from freehold.serving.waiting import Waiting
from freehold.serving.wanted import Wanted
from freehold.serving.work import Case, Unanswered, Work, failure_of, question_id
from freehold.telemetry.trace import Trace
from freehold.variants import terms
from freehold.variants.compose import NoAnswer
from freehold.variants.expert import Beside, ExpertAsk
from freehold.variants.functions import FunctionFailed, Refuse
from freehold.variants.outcome import Outcome as Found

_OURS = "Freehold failed at this call, and its log says how."
_OWN_HEADER = b"x-freehold-"
_NO_HEADERS = Head(b"")
LATER = 202
"""The status of one that was handed over: nothing of it is journalled, for it is asked anew when its answer has come."""
_encode = msgspec.json.Encoder().encode
_Ts = TypeVarTuple("_Ts")
_log = logging.getLogger("freehold.serve")


class Exchange:
    """One request: from the door to whoever answers, and back. Callbacks all the way; `is_over` once it has ended, however it did."""

    def __init__(
        self, underway: Underway, door: Format, reply: Reply, origin: Origin | None = None, pending: PendingCall | None = None
    ) -> None:
        """`pending`: a call that another process began."""
        going = None if pending is None else pending.going
        self.id = new_call_id() if pending is None else pending.id
        self.at = datetime.now(UTC) if going is None else going.at
        self.variant = ""
        """Who was asked last."""
        self.is_over = False
        self.failure: Failure | None = None
        """Why there is no answer, where whoever was to be asked has none."""
        self._underway = underway
        self._has = underway.resources
        self._door = door
        self._origin = origin
        self._began = time.perf_counter() - (0.0 if going is None else (datetime.now(UTC) - going.at).total_seconds())
        self._caller = self._has.callers.anybody
        self._task: str | None = None if origin is None else origin.task
        self._whom: Whom | None = None
        self._decision: Decision | None = None
        """Who is asked at present, of those who may have to be."""
        self._admission = Admission(self._has, self)
        self._attempts = Attempts(self._began, self.at, () if going is None else going.attempts)
        self._pursuit = Pursuit(self._has, self, self._attempts)
        self._waiting: Waiting | None = None
        """Its wait for people, where any are asked."""
        self._telling = Telling(door, reply, self.id)
        self._how: How | None = None
        self._ends_at = None if origin is None else origin.ends_at
        """When nobody waits for the answer any longer, where that is known before a model is asked."""
        self._work: Work | None = None
        self._said: Collected | None = None
        self._confidence: float | None = None
        self._seam: Seam | None = None
        self._wanted: Wanted | None = None
        """What is asked of models, where any are asked."""
        self._recall: Recall | None = None
        """Where an answer is remembered, where it is to be."""
        self._trace: Trace | None = None

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

    def _read(self, request: Request) -> None:
        headers = request.headers
        about = {name: value.decode("latin-1") for name, value in headers.starting(_OWN_HEADER).items()}
        self._caller = self._has.caller(headers, "call", about)
        self._take(Asked(self._door, json_object(request), len(request.body), about), headers)

    def _make(self, make: Callable[[], Asked]) -> None:
        self._take(make(), _NO_HEADERS)

    def _take(self, asked: Asked, headers: Head) -> None:
        self._come_in(asked, headers)
        reply = self._telling.reply
        reply.on_gone, reply.on_room = self._gone, self._pursuit.make_room
        has, caller, origin, model = self._has, self._caller, self._origin, asked.model
        is_routed = origin is None or origin.is_routed
        task = task_of(has, asked, headers, caller) if is_routed and self._door is not EMBEDDINGS else None
        caller.check(model, task)
        hold = None if origin is None else origin.hold
        if task is None:
            self._admission.enter(Entry(caller, asked, self._task, model, lambda: [(model, 0)], hold), lambda: self._ask(model))
            return
        known = has.task(task)
        self._task = task
        policy = policy_of(has, known, caller)
        decide = partial(choose, has, known, policy, asked, caller, NOTHING if origin is None else origin.known, self.id)
        if policy is None or policy.is_quick:
            self._enter(task, decide, hold)
        else:
            self._underway.soon(self._enter_later(task, decide, hold))

    async def _enter_later(self, task: str, decide: Callable[[], Whom], hold: Callable[[int], None] | None) -> None:
        """As `_enter`, where deciding takes its time: in a thread beside the loop."""
        decided: Future[Whom] = self._has.deciding.submit(decide)
        await asyncio.wait([asyncio.wrap_future(decided)])
        if not self.is_over:  # the caller may have left meanwhile
            self.safely(self._enter, task, decided.result, hold)

    def _enter(self, task: str, decide: Callable[[], Whom], hold: Callable[[int], None] | None) -> None:
        """Finds who answers, and goes on when there is room and money for that."""
        has, asked = self._has, self._asked
        self._whom = decide()
        decision = self._whom.decision
        first, _ = next(has.may_be_asked(decision.variant))
        entry = Entry(self._caller, asked, task, first, lambda: may_all_be_asked(has, task, decision, asked), hold)
        self._admission.enter(entry, lambda: self._begin_at(decision))

    def _resume(self, pending: PendingCall) -> None:
        going = pending.going
        assert going is not None
        about = {name.encode(): value for name, value in going.about.items()}
        self._caller = self._has.callers.again(pending.key, about.get(b"customer"), about.get(b"plan"))
        body = going.body if isinstance(going.body, dict) else {}
        asked = Asked(self._door, body, len(_encode(body)), about)
        self._come_in(asked, _NO_HEADERS)
        self._task = going.task
        self._admission.again(self._caller, asked, going.task, going.reserved_nano)
        self._whom = Whom(Decision(going.variant, -1), words_of(asked, self._caller), hash=going.policy)
        self._follow(self._whom.decision)

    def _come_in(self, asked: Asked, headers: Head) -> None:
        self._trace = self._pursuit.trace = self._underway.telemetry.trace(headers)
        self._asked = asked
        self._underway.calls.add(self)

    def safely(self, step: Callable[[*_Ts], None], *told: *_Ts) -> None:
        """Takes a step; whatever goes wrong, the caller hears of it."""
        try:
            step(*told)
        except HandedOver:
            self.refuse(LATER, "the answer comes later")
        except CallerError as error:
            if self.is_over or self._pursuit.is_waiting:  # somebody may still answer
                _log.warning("step.failed: %s", error, extra={"call": self.id})
            elif self._attempts:
                self._fail(Failure("failed", 502, str(error)))
            else:
                again = error.retry_after_s if isinstance(error, LimitReached) else None
                self.refuse(status_of(error), str(error), again, is_final=isinstance(error, BudgetExceeded))
        except Exception:  # noqa: BLE001 as in `on_broken`
            self.on_broken()

    # Whoever was decided on is asked, one after the other.

    def _begin_at(self, decision: Decision) -> None:
        """As `_follow`; where an earlier run of the same had come as far as a person, from there: whoever comes before was asked then, and paid, and
        would not do."""
        origin, run = self._origin, self._asked.about.get(b"episode", "")
        people = [] if origin is None or origin.waits is None else [one for one in steps(decision) if self._is_person(one)]
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
            if not self.is_over:
                self.safely(self._follow, next((one for id, one in named.items() if id in asked), decision))

        self._underway.soon(look())

    def _is_person(self, decision: Decision) -> bool:
        return self._has.variant(decision.variant).kind == "expert"

    def _follow(self, decision: Decision) -> None:
        """Asks whom the decision names. What runs here answers at once, and where that will not do the next one is asked."""
        assert self._task is not None and self._whom is not None
        following: Decision | None = decision
        while following is not None:
            self._decision = decision = following
            variant = self._has.variant(decision.variant)
            if self._has.takes_time(self._task, variant):
                self._work = Work(self._case(), variant, self._worked)
                return
            try:
                found = self._has.here(self._task, decision.variant, self._whom.words, self._whom.policy, self._whom.chosen)
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
            self._confidence = found.known.get("confidence")
            usage = found.usage if not is_noted else self._attempts.sums()[0]
            answer = ChatAnswer(
                id=f"call-{self.id}", model=decision.variant, choices=choices, usage=usage, created=int(self.at.timestamp())
            )
            self._deliver(answer, None)
        return refused

    def _following(self, known: dict[str, float]) -> Decision | None:
        """Who is asked next, where the answer that is known so will not do; None where it will."""
        decision = self._decision
        return decision.then if decision is not None and decision.accept is not None and not decision.accept(known) else None

    def _case(self) -> Case:
        assert self._task is not None and self._whom is not None and self._decision is not None
        if self._has.pacing is None:  # else it may wait for its turns as long as it takes, and each question has its own time
            began = self._ends_at if self._pursuit.ends_at is None else self._pursuit.ends_at  # a model's that was asked before
            longest = asyncio.get_running_loop().time() + self._has.how(self._task, self._decision.variant).deadlines.total_s
            if waits_s := self._has.waits_s(self._decision.variant):  # people take their own time, and models theirs after it
                longest += waits_s
                began = None if self._origin is None else self._origin.ends_at
                self._pursuit.ends_at = None
            self._ends_at = longest if began is None else min(longest, began)
        return Case(
            has=self._has,
            id=self.id,
            task=self._task,
            asked=self._asked.for_one(),
            words=self._whom.words,
            attempts=self._attempts,
            caller=self._caller.id,
            ends_at=self._ends_at,
            trace=self._trace,
            policy=self._whom.policy,
            chosen=self._whom.chosen,
            asks_person=self._asks_person,
            run=self._asked.about.get(b"episode", "") if self._origin is not None else "",
        )

    def _worked(self, found: Found | BaseException) -> None:
        """A variant has answered that took its time, or has none."""
        self.safely(self._take_work, found)

    def _take_work(self, found: Found | BaseException) -> None:
        decision = self._decision
        assert decision is not None
        if self.is_over:
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
            self._fail(failure_of(found))
            return
        else:
            raise found
        if following is not None:
            self._follow(following)

    # A person is asked: the call outlives its connection and this process.

    def _asks_person(self, ask: ExpertAsk) -> Beside | None:
        """What is written down with a question to people. Not of a program's call: it waits, and where it ends nobody does."""
        if self._waiting is None:
            self._waiting = Waiting(self._underway.pending, self.id, self._left_alone)
        if self._origin is not None:
            waits = self._origin.waits
            return None if waits is None else Beside(None, lambda: waits(True), lambda: waits(False))
        if self._has.content_of(ask.task) != "full":  # what may not be kept is not written down for another
            return None
        self._telling.reply = self._waiting.keep(self._telling.reply)
        said_s = self._asked.wait_s
        until = max(ask.deadline, self.at) + timedelta(seconds=SETTLING_S)
        call = PendingCall(
            tenant=self._has.tenant, id=self.id, key=self._caller.id or None, subject=ask.subject, until=until, going=self._going()
        )
        return self._waiting.beside(call, self._has.variant(ask.variant).wait_s if said_s is None else said_s)

    def _going(self) -> Going:
        """All that goes on with it."""
        assert self._task is not None and self._whom is not None and self._decision is not None
        return Going(
            door=self._door.path,
            body=self._asked.body,
            about={name.decode("latin-1"): value for name, value in self._asked.about.items()},
            at=self.at,
            task=self._task,
            variant=self._decision.variant,
            policy=self._whom.hash,
            reserved_nano=self._admission.reserved_nano,
            attempts=self._attempts.in_order(),
        )

    @property
    def is_kept(self) -> bool:
        """As of `Live`."""
        return self._waiting is not None and self._waiting.reply is not None and not self.is_over

    def _left_alone(self) -> None:
        """Its caller has been told to come again, and others of its key need not wait for it."""
        self._admission.leave(self._attempts)

    def _let_go(self, failure: Failure) -> None:
        """This process ends; another goes on with it."""
        assert self._waiting is not None
        self._finished()
        if self._work is not None:
            self._work.leave(failure)
        self._pursuit.cancel(failure)
        self._waiting.let_go(self._going())

    # A model is asked. `Pursuit` calls these.

    def _ask(self, model: str) -> None:
        """Has a model answer, or one of its fallbacks. Raises CallerError where nobody can be asked."""
        self._has.prices.check(self._task, model, self.at)
        how = self._how = self._has.how(self._task, model)
        may_stream = self._asked.stream and (self._decision is None or self._decision.accept is None)  # nobody can take back a stream
        door = OPENAI if self._door is EMBEDDINGS else self._door
        wanted = self._wanted = Wanted(self._has, self._asked, self._caller.id, door, may_stream)
        target = self._pursuit.begin(wanted, how, model, self._ends_at)
        self._recall = None if how.cache_s is None else Recall(self._has, wanted, self._door.name, how.cache_s)
        if self._recall is None or not self._answer_from_memory(self._recall, target):
            self._pursuit.ask(target, "escalation" if self._attempts else "first")

    def _answer_from_memory(self, recall: Recall, target: Target) -> bool:
        """Whether the same was asked before and is remembered; it is answered then."""
        known = recall.find(target)
        if known is None:
            return False
        self._recall, self.variant = None, CACHE
        self._attempts.here(CACHE, outcome_of(known.answer), Usage(), (0.0, None))
        self._deliver(known.answer, known.raw)
        return True

    def on_chunks(self, chunks: Sequence[Chunk]) -> None:
        """As of `Pursued`."""
        if not self._telling.has_begun:
            assert self._pursuit.speaking is not None
            self._said = self._pursuit.speaking.collected
            self._telling.begin(self._asked.wants_usage, self._headers())
        if self._seam is not None and self._said is not None:
            chunks = self._seam.joined(chunks)
            for chunk in chunks:
                self._said.add(chunk)
        self._telling.tell(chunks)

    def on_answer(self, asking: Asking, answer: ChatAnswer, raw: bytes | None) -> None:
        """As of `Pursued`."""
        if self._telling.has_begun:
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

    def _ask_for_repair(self, asking: Asking, answer: ChatAnswer) -> bool:
        """Whether the same is asked to give its answer again, in the form that was asked for, because the task says so."""
        wanted, variant = self._wanted, asking.target.variant
        assert wanted is not None
        if wanted.turn is not AS_IT_IS or not (again := self._asked.again(answer)):
            return False
        wanted.turn = Turn(again)
        self.safely(lambda: self._pursuit.ask(self._pursuit.begin(wanted, self._has.how(self._task, variant), variant), "repair"))
        return True

    def on_nobody(self, failure: Failure) -> None:
        """As of `Pursued`."""
        self._fail(failure)

    def on_cut(self, failure: Failure) -> None:
        """As of `Pursued`. A task may say that somebody else goes on from there."""
        said = self._said.plain_text() if self._said is not None and self._how is not None and self._how.restartable else None
        if said is not None:
            self._seam = Seam(said)
            assert self._wanted is not None
            self._wanted.turn = Turn((Message(role="assistant", parts=(Text(text=said.rstrip()),)),))  # whoever goes on, goes on from there
        if said is None or not self._pursuit.go_on_elsewhere(failure):
            self._fail(failure)

    def on_broken(self) -> None:
        """Something of ours failed: the log says what, the caller hears of it, and what was paid for is journalled."""
        _log.exception("exchange.failed: a call ends with our own failure", extra={"call": self.id})
        if self.is_over:
            return
        if self._attempts or self._pursuit.is_waiting:
            self._fail(Failure("failed", 500, _OURS))
        else:
            self.refuse(500, _OURS)

    # There is an answer: it is journalled, and then the caller hears it.

    def _deliver(self, answer: ChatAnswer, raw: bytes | None) -> None:
        """Journals a whole answer, and then gives it to the caller, in pieces where those were asked for."""
        outcome = self._asked.outcome(answer)
        if self._asked.stream:
            self._telling.begin(self._asked.wants_usage, self._headers())
            self._telling.tell(pieces_of(answer))
            self._journal(outcome, answer, 200, self._stream_ended)
            return
        body = raw if raw is not None else self._telling.written(answer)
        self._journal(outcome, answer, 200, lambda call, error: self._whole_ended(call, error, body))

    def _whole_ended(self, call: Call, error: FreeholdError | None, body: bytes) -> None:
        if error is not None:
            self._telling.not_kept(error)
        else:
            self._telling.send(body, call.cost_usd, self._headers())

    def _stream_ended(self, call: Call, error: FreeholdError | None) -> None:
        self._telling.end(call.cost_usd, is_kept=error is None)

    def _headers(self) -> Headers:
        token = self._underway.token(self.id, self._caller.id)
        return headers_of(self.id, self.variant, None if self._whom is None else self._whom.hash, token)

    # There is none.

    def refuse(self, status: int, message: str, retry_after_s: float | None = None, is_final: bool = False) -> None:
        """Says no before anybody was asked: nothing happened, so nothing is journalled. `is_final`: that it helps nobody to try again."""
        self._finished()
        self._admission.release()
        if self._waiting is not None:
            self._has.experts.free(self.id)
        self._underway.telemetry.refused(self._door.name, status)
        self._telling.error(status, message, retry_after_s, is_final)

    def _fail(self, failure: Failure) -> None:
        """Ends with an error; what was paid for is journalled all the same."""
        if self.is_over:
            return
        self.failure = failure
        self._pursuit.cancel(failure)
        if self._work is not None and self._leaves_people(failure.outcome):
            self._work.leave(failure)
        elif self._work is not None:
            self._work.cancel(failure)
        if not self._attempts:
            self.refuse(failure.status, failure.message, failure.retry_after_s)
            return
        has_begun, partial = self._telling.has_begun, self._said.answer() if self._said is not None else None

        def told(call: Call, error: FreeholdError | None) -> None:
            if has_begun:
                self._telling.break_off(failure.message, failure.status)
            else:
                self._telling.error(failure.status, failure.message, failure.retry_after_s)

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
        """As of `Live`."""
        failure = Failure("cancelled", 503, why)
        if self.is_kept:
            self._let_go(failure)
        else:
            self._fail(failure)

    def _gone(self) -> None:
        """The caller has left: the provider is told to stop, and what was made by then is journalled. A person who is asked goes on."""
        if not self.is_kept:
            self._fail(Failure("cancelled", 499, "the caller left"))

    # It is written down.

    def _finished(self) -> None:
        """Nothing more is to happen to it but that its caller hears."""
        self.is_over = True
        self._underway.calls.discard(self)
        self._pursuit.stop()
        if self._waiting is not None:
            self._waiting.stop()
        self._admission.leave(self._attempts)

    def _journal(
        self, outcome: Outcome, answer: ChatAnswer | None, status: int, then: Callable[[Call, FreeholdError | None], None]
    ) -> None:
        """Stores the call; `then` hears when it is durable. Nothing ends twice."""
        self._finished()
        origin, telemetry = self._origin, self._underway.telemetry
        ended = Ended(
            id=self.id,
            tenant=self._has.tenant,
            at=self.at,
            began=self._began,
            door=self._door,
            origin=origin,
            caller=self._caller,
            asked=self._asked,
            task=self._task,
            policy=None if self._whom is None else self._whom.hash,
            variant=self.variant,
            attempts=self._attempts,
            is_delivered=not self._telling.reply.is_gone,
            confidence=self._confidence,
        )
        call = call_of(ended, outcome, answer)

        def durable(error: FreeholdError | None) -> None:
            if origin is not None and origin.heard is not None and error is None:
                origin.heard(call)
            if self._waiting is not None and self._leaves_people(outcome):
                self._has.experts.free(self.id)
            elif self._waiting is not None and error is None:
                self._has.experts.used_soon(self.id)
            then(call, error)
            told, begun_at, has_content = status if error is None else 503, self._telling.first_byte_at, telemetry.has_content
            telemetry.finished(event_of(ended, call, told, self._pursuit.upstream_s, begun_at, self._trace, has_content))

        self._has.append(call, self._admission.settled(call, self._caller), durable)
        if outcome == "answered" and self._whom is not None:
            self._learn(call, self._whom.words)

    @property
    def _is_of_a_batch(self) -> bool:
        """Whether another row may have handed over the same question, and nobody would come for what is explored."""
        return self._has.desk is not None and self._has.desk_of(lambda: self._asked.session) is not None

    def _remember(self, answer: ChatAnswer, raw: bytes | None) -> None:
        if self._recall is not None and not self._is_of_a_batch:
            self._recall.keep(answer, raw)

    def _learn(self, call: Call, words: Words) -> None:
        """What was answered is of use to later calls, and now and then another variant is asked the same, for the journal alone."""
        if self._is_of_a_batch:
            return
        learn(self._has, call, words)
        if (beside := asked_beside(self._has, call, self._origin)) is not None:
            other, origin = beside
            Exchange(self._underway, self._door, Nobody(), origin).ask(lambda: self._asked.elsewhere(other))
