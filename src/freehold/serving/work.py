"""An answer that takes more than one question, or a function of the project's own: run beside the call it is for, as a task of the loop.

Whoever is asked is asked by a `Pursuit`, with its turns, retries and fallbacks, and is an attempt of that call.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVarTuple

import msgspec

from freehold.catalog import Variant
from freehold.chat import JSON, Cause, ChatAnswer, Chunk, Message, Part, Text, Usage
from freehold.errors import DataError, Deferred, FreeholdError, ProviderError
from freehold.gateway.budget import NANO, nano
from freehold.journal.build import RECORDED
from freehold.journal.redact import redact_json, redact_text
from freehold.providers.asking import Asking, Failure
from freehold.providers.desk import HandedOver
from freehold.routing.online import Chosen, OnlinePolicy
from freehold.serving.asked import Asked, Turn
from freehold.serving.attempts import Attempts
from freehold.serving.pursuit import Pursuit
from freehold.serving.resources import Elsewhere, Resources, Words
from freehold.serving.wanted import Wanted
from freehold.telemetry.trace import Trace
from freehold.variants.beside import ModelFailed
from freehold.variants.compose import COMPOSED, Given, NoAnswer, compose
from freehold.variants.expert import Beside, ExpertAsk, Shown
from freehold.variants.functions import FunctionFailed, Pass, Refuse, called
from freehold.variants.outcome import Outcome as Found

_log = logging.getLogger("freehold.serve")
_GONE = Failure("cancelled", 499, "nobody wants the answer any more")
_CHOOSE = frozenset({"vote", "best_of"})
_Ts = TypeVarTuple("_Ts")


class Unanswered(ProviderError):
    """Nobody who was asked gave an answer of the form that is asked for."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure
        """The last one's."""


class Case(NamedTuple):
    """What a work is about: one call's question, and what was decided about it."""

    has: Resources
    """Whom it may ask."""
    id: str
    """The call's."""
    task: str
    """Whose question it is."""
    asked: Asked
    """The question."""
    words: Words
    """The same, as policies see it."""
    attempts: Attempts
    """Where it is noted who was asked."""
    caller: str
    """Who asks, for turns."""
    ends_at: float | None
    """When nobody waits for it any longer, by the loop's clock; None for as long as each question may take."""
    trace: Trace | None
    """What whoever is asked is told of."""
    policy: OnlinePolicy | None
    """Who decided that this variant is asked; None for nobody."""
    chosen: Chosen | None
    """What it decided."""
    asks_person: Callable[[ExpertAsk], Beside | None] = lambda _: None
    """Told of a question to people before it is asked. Gives what has the call outlive this process; None where it does not."""
    run: str = ""
    """The run of a program that it is part of: when that is run again, what people answered it is not asked anew."""


class Work:
    """One variant's way to its answer."""

    def __init__(self, case: Case, variant: Variant, done: Callable[[Found | BaseException], None]) -> None:
        """`done` hears of the answer, or of why there is none: NoAnswer, Unanswered, TimeoutError, or an error of a function."""
        self._case = case
        self._done = done
        self._questions: set[_Question] = set()
        self._asks: Counter[tuple[str, int, int]] = Counter()
        """How often a person was asked the same."""
        self._waiting: set[str] = set()
        """Questions to people that are open."""
        self._task = asyncio.get_running_loop().create_task(self._run(variant), context=case.asked.context)

    @property
    def asked(self) -> Asked:
        """The question."""
        return self._case.asked

    def cancel(self, failure: Failure) -> None:
        """Nobody wants the answer any more. Whoever is being asked need not go on."""
        self._case.has.experts.withdraw_soon(self._waiting)
        self.leave(failure)

    def leave(self, failure: Failure) -> None:
        """As `cancel`, but that people are still waited for: not here."""
        for question in list(self._questions):
            question.cancel(failure)
        self._task.cancel()

    async def _run(self, variant: Variant) -> None:
        try:
            async with asyncio.timeout_at(self._case.ends_at):
                found: Found | BaseException = await self._found(variant, Turn())
        except asyncio.CancelledError:
            raise
        except Deferred:  # a question that one of its functions asks
            found = HandedOver()
        except Exception as error:  # noqa: BLE001 the call hears of it, and says what it was
            found = error
        self._case.has.experts.withdraw_soon(self._waiting)  # those whose answer is not needed any more
        self._done(found)

    async def _found(self, variant: Variant, turn: Turn) -> Found:
        case = self._case
        if variant.kind == "expert":
            return await self._person(variant, turn)
        if variant.kind == "specialist":
            return await self._specialist(variant)
        functions = case.has.functions_of(case.task, variant.id)
        if variant.kind in COMPOSED:
            return await compose(variant, functions, _Within(self, variant, turn))
        assert functions.body is not None
        given = await called(functions.body, case.asked.values, functions.deadline_s)
        if given is Pass:
            raise NoAnswer(f"'{variant.id}' passes this on")
        try:
            output = case.asked.written(given)
        except DataError as error:
            raise FunctionFailed(str(error)) from None
        case.attempts.here(variant.id, "answered", None, (0.0, RECORDED))
        return Found(output, 0.0, known={"confidence": 1.0})

    async def _specialist(self, variant: Variant) -> Found:
        """What a specialist answers that runs beside this process."""
        case = self._case
        try:
            found = await case.has.specialists.ask(variant.id, case.words.text, case.has.owner(case.task, case.words))
        except ModelFailed as error:  # our failure is not the product's: whoever comes next answers
            _log.warning("specialist.failed: '%s' of task '%s': %s", variant.id, case.task, error, extra={"call": case.id})
            raise NoAnswer(f"'{variant.id}' could not answer") from None
        if found is None:
            raise NoAnswer(f"'{variant.id}' has no answer to this")
        case.attempts.here(variant.id, "answered", found.usage, (found.cost_usd, RECORDED))
        return found

    async def _person(self, variant: Variant, turn: Turn) -> Found:
        """What a person answers, or where none does in time whoever is asked then."""
        case, why = self._case, "no expert answered in the time that there was"
        asked = self._ask_of(variant, turn)
        if asked.question is None:
            why = "nothing is kept of what is asked, so that no expert can be shown it"
        elif (over := await self._answered(asked)) is not None:
            if over.state == "answered":
                assert over.answered_at is not None
                seconds = (over.answered_at - over.at).total_seconds()
                case.attempts.person(variant.id, "answered", over.at, seconds, asked.price_nano / NANO)
                return Found(over.answer, None, Usage(), {"confidence": 1.0})
            case.attempts.person(variant.id, "timed_out", over.at, (datetime.now(UTC) - over.at).total_seconds(), 0.0)
        else:
            why = "the store cannot be written, so that no expert can be asked"
        if variant.fallback is None:
            raise Unanswered(Failure("timed_out", 504, why))
        given = await self.given(variant.fallback, "fallback", turn)
        return Found(given.output, None, given.usage, given.known)

    async def _answered(self, asked: ExpertAsk) -> ExpertAsk | None:
        """A question to people when it is over; None where it cannot be asked."""
        experts, beside = self._case.has.experts, self._case.asks_person(asked)
        self._waiting.add(asked.id)
        try:
            over = await experts.answer(asked, beside)
        except FreeholdError as error:
            _log.warning("expert.not_asked: %s", error, extra={"call": self._case.id})
            over = None
        self._waiting.discard(asked.id)
        return over

    def _ask_of(self, variant: Variant, turn: Turn) -> ExpertAsk:
        """The question as people are asked it, with an id that is the same when the call is begun anew."""
        case, now = self._case, datetime.now(UTC)
        content, question = case.has.content_of(case.task), case.asked.question
        what = variant.id, turn.number, len(turn.more)
        self._asks[what] += 1
        id = question_id(case.run, case.id, case.task, question.item, what, self._asks[what])
        shown = Shown(
            input=question.input,
            instruction=case.has.task(case.task).instruction,
            more=tuple(
                {"role": one.role, "content": "".join(part.text for part in one.parts if isinstance(part, Text))} for one in turn.more
            ),
            form=None if turn.is_free else case.asked.form,
        )
        if content == "redacted":
            more = tuple({"role": one["role"], "content": redact_text(one["content"])} for one in shown.more)
            shown = msgspec.structs.replace(shown, input=redact_json(shown.input), more=more)
        return ExpertAsk(
            tenant=case.has.tenant,
            id=id,
            call=case.id,
            task=case.task,
            variant=variant.id,
            expertise=variant.expertise,
            subject=question.subject,
            at=now,
            deadline=now + timedelta(seconds=variant.deadline_s),
            price_nano=nano(variant.price_usd),
            question=None if content == "none" else shown,
        )

    async def given(self, variant: str, cause: Cause, turn: Turn) -> Given:
        """What a variant answers that is asked for another one's sake. Raises as `Ask`."""
        case = self._case
        asked = case.has.variant(variant)
        if case.has.takes_time(case.task, asked):
            found = await self._found(asked, turn)
        else:
            here = case.has.here(case.task, variant, case.words, case.policy, case.chosen)
            if here is Elsewhere.ASKED:
                return await self._ask(asked, cause, turn)
            if isinstance(here, Elsewhere):
                raise NoAnswer(f"'{variant}' has no answer to this")
            found = here
            case.attempts.here(variant, "answered", found.usage, (found.cost_usd, RECORDED))
        return Given(found.output, case.asked.said(found.output), found.usage, found.known)

    async def _ask(self, variant: Variant, cause: Cause, turn: Turn) -> Given:
        self._case.has.prices.check(self._case.task, variant.id, self._case.attempts.at)
        question = _Question(self._case, variant, turn)
        self._questions.add(question)
        try:
            answer = await question.answer(cause)
        finally:
            question.cancel(_GONE)
            self._questions.discard(question)
        words = "".join(part.text for part in _parts(answer) if isinstance(part, Text))
        if turn.is_free:
            return Given(words, words, answer.usage)
        outcome = self._case.asked.outcome(answer)
        if outcome != "answered":
            what = "would not answer" if outcome == "refused" else "gave no answer of the form that is asked for"
            raise Unanswered(Failure(outcome, 502, f"'{variant.id}' {what}: {words[:200]!r}"))
        return Given(self._case.asked.output(answer), words, answer.usage)


class _Within:
    """How a variant asks others: what it was told itself is told them as well. As of `Ask`."""

    def __init__(self, work: Work, variant: Variant, turn: Turn) -> None:
        self._work = work
        self._turn = turn
        self._answers = variant.n if variant.kind in _CHOOSE else 1

    async def __call__(self, variant: str, cause: Cause, more: Sequence[Message] = (), number: int = 0) -> Given:
        own = self._turn
        turn = Turn((*own.more, *more), own.is_free or cause == "check", own.number * self._answers + number)
        return await self._work.given(variant, cause, turn)

    def value(self, output: JSON) -> Any:
        return self._work.asked.value(output)

    def values(self) -> Mapping[str, Any]:
        return self._work.asked.values


def failure_of(error: Unanswered | Refuse | TimeoutError) -> Failure:
    """Why a variant that took its time gives no answer."""
    if isinstance(error, Unanswered):
        return error.failure
    if isinstance(error, Refuse):
        return Failure("refused", 403, str(error))
    return Failure("timed_out", 504, "there was no answer in the time that there was for it")


def question_id(run: str, call: str, task: str, item: str, what: tuple[str, int, int], number: int = 1) -> str:
    """The id of a question to people: the same when its call is begun anew, or the run of a program that it is part of. `what`: the variant, which
    of several answers it is, and how much was said after the question. `number`: how often the same was asked."""
    of = (run, task, item) if run else (call,)
    return blake2b(repr((*of, *what, number)).encode(), digest_size=16).hexdigest()


def _parts(answer: ChatAnswer) -> tuple[Part, ...]:
    return answer.choices[0].parts if answer.choices else ()


class _Question:
    """One question to one model. `Pursuit` tells it how that goes."""

    def __init__(self, case: Case, variant: Variant, turn: Turn) -> None:
        self.id = case.id
        self.variant = variant.id
        self._case = case
        self._wanted = Wanted(case.has, case.asked, case.caller, case.asked.door, False, turn)
        self._answer: asyncio.Future[ChatAnswer] = asyncio.get_running_loop().create_future()
        self.pursuit = Pursuit(case.has, self, case.attempts)
        self.pursuit.trace = case.trace

    async def answer(self, cause: Cause) -> ChatAnswer:
        """What is answered. Raises Unanswered, and CallerError where it cannot be asked this."""
        how = self._case.has.how(self._case.task, self.variant)
        self.pursuit.ask(self.pursuit.begin(self._wanted, how, self.variant, self._case.ends_at), cause)
        return await self._answer

    def cancel(self, failure: Failure) -> None:
        """Whoever may still be asked need not go on."""
        self.pursuit.cancel(failure)
        self.pursuit.stop()

    # As of `Pursued`.

    def safely(self, step: Callable[[*_Ts], None], *told: *_Ts) -> None:
        """As of `Pursued`."""
        try:
            step(*told)
        except FreeholdError as error:
            self._raise(error)
        except Exception as error:  # noqa: BLE001 as in `Exchange.on_broken`
            self._raise(error)

    def on_chunks(self, chunks: Sequence[Chunk]) -> None:
        """As of `Pursued`."""

    def on_answer(self, asking: Asking, answer: ChatAnswer, raw: bytes | None) -> None:
        """As of `Pursued`."""
        if not self._answer.done():
            self._answer.set_result(answer)

    def on_nobody(self, failure: Failure) -> None:
        """As of `Pursued`."""
        self._raise(Unanswered(failure))

    def on_cut(self, failure: Failure) -> None:
        """As of `Pursued`."""
        self.on_nobody(failure)

    def on_broken(self) -> None:
        """As of `Pursued`."""
        self._raise(ProviderError("Freehold failed at this question, and its log says how."))

    def _raise(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)
