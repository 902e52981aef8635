"""An answer that takes more than one question, or a function of the project's own: run beside the call it is for, as a task of the loop.

Whoever is asked is asked by a `Pursuit`, with its turns, retries and fallbacks, and is an attempt of that call.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVarTuple

from freehold.asked import Asked, Turn
from freehold.attempts import Attempts
from freehold.catalog import Variant
from freehold.chat import Cause, ChatAnswer, Chunk, Message, Outcome, Part, Text
from freehold.errors import DataError, FreeholdError, ProviderError
from freehold.gateway.formats import Format
from freehold.journal.build import RECORDED
from freehold.providers.asking import Asking, Failure
from freehold.providers.provider import Target
from freehold.pursuit import Pursuit
from freehold.resources import Elsewhere, Resources, Words
from freehold.routing.online import Chosen, OnlinePolicy
from freehold.telemetry.trace import Trace
from freehold.variants.compose import COMPOSED, Given, NoAnswer, compose
from freehold.variants.functions import Pass, called
from freehold.variants.outcome import Outcome as Found

_Ts = TypeVarTuple("_Ts")


class Unanswered(ProviderError):
    """Nobody who was asked gave an answer."""

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
    """As of `Pursuit.begin`."""
    trace: Trace | None
    """What whoever is asked is told of."""
    policy: OnlinePolicy | None
    """Who decided that this variant is asked; None for nobody."""
    chosen: Chosen | None
    """What it decided."""


class Work:
    """One variant's way to its answer."""

    def __init__(self, case: Case, variant: Variant, done: Callable[[Found | BaseException], None]) -> None:
        """`done` hears of the answer, or of why there is none: NoAnswer, Unanswered, or an error of a function."""
        self._case = case
        self._done = done
        self._questions: set[_Question] = set()
        self._task = asyncio.get_running_loop().create_task(self._run(variant), context=case.asked.context)

    @property
    def is_waiting(self) -> bool:
        """Whether it may still answer."""
        return not self._task.done()

    def cancel(self, failure: Failure) -> None:
        """Nobody wants the answer any more. Whoever is being asked need not go on."""
        for question in list(self._questions):
            question.pursuit.cancel(failure)
            question.pursuit.stop()
        self._task.cancel()

    async def _run(self, variant: Variant) -> None:
        try:
            found: Found | BaseException = await self._found(variant)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 the call hears of it, and says what it was
            found = error
        self._done(found)

    async def _found(self, variant: Variant) -> Found:
        case = self._case
        functions = case.has.functions_of(case.task, variant.id)
        if variant.kind in COMPOSED:
            return await compose(variant, functions, self)
        assert functions.body is not None
        given = await called(functions.body, self.values(), functions.deadline_s)
        if given is Pass:
            raise NoAnswer(f"'{variant.id}' passes this on")
        output = case.asked.written(given)
        case.attempts.here(variant.id, "answered", None, (0.0, RECORDED))
        return Found(output, 0.0, known={"confidence": 1.0})

    # As of `Ask`.

    async def __call__(self, variant: str, cause: Cause, more: Sequence[Message] = (), number: int = 0) -> Given:
        case = self._case
        asked = case.has.variant(variant)
        if case.has.takes_time(case.task, asked):
            found = await self._found(asked)
        else:
            here = case.has.here(case.task, variant, case.words, case.policy, case.chosen)
            if here is Elsewhere.ASKED:
                return await self._ask(asked, cause, Turn(tuple(more), cause == "check", number))
            if isinstance(here, Elsewhere):
                raise NoAnswer(f"'{variant}' has no answer to this")
            found = here
            case.attempts.here(variant, "answered", found.usage, (found.cost_usd, RECORDED))
        return Given(found.output, case.asked.said(found.output), found.known)

    def value(self, output: Any) -> Any:
        """As of `Ask`."""
        return self._case.asked.value(output)

    def values(self) -> Mapping[str, Any]:
        """As of `Ask`."""
        return self._case.asked.values

    async def _ask(self, variant: Variant, cause: Cause, turn: Turn) -> Given:
        question = _Question(self._case, variant, turn)
        self._questions.add(question)
        try:
            answer = await question.answer(cause)
        finally:
            self._questions.discard(question)
        words = "".join(part.text for part in _parts(answer) if isinstance(part, Text))
        if turn.is_free:
            return Given(words, words)
        if self._case.asked.outcome(answer) == "malformed":
            raise DataError(f"'{variant.id}' gave no answer of the form that is asked for: {words[:200]!r}")
        return Given(self._case.asked.output(answer), words)


def _parts(answer: ChatAnswer) -> tuple[Part, ...]:
    return answer.choices[0].parts if answer.choices else ()


class _Question:
    """One question to one model. `Pursuit` tells it how that goes."""

    may_stream = False
    answers = 1

    def __init__(self, case: Case, variant: Variant, turn: Turn) -> None:
        self.id = case.id
        self.variant = variant.id
        self._case = case
        self._turn = turn
        self._answer: asyncio.Future[ChatAnswer] = asyncio.get_running_loop().create_future()
        self.pursuit = Pursuit(case.has, self, case.attempts)
        self.pursuit.trace = case.trace

    async def answer(self, cause: Cause) -> ChatAnswer:
        """What is answered. Raises Unanswered, and CallerError where it cannot be asked this."""
        how = self._case.has.how(self._case.task, self.variant)
        self.pursuit.ask(self.pursuit.begin(how, self.variant, self._case.ends_at), cause)
        try:
            return await self._answer
        finally:
            self.pursuit.stop()

    # As of `Pursued`.

    def caller_id(self) -> str:
        """As of `Pursued`."""
        return self._case.caller

    def tokens(self) -> int:
        """As of `Pursued`."""
        return self._case.asked.tokens

    def session(self) -> str:
        """As of `Pursued`."""
        return self._case.asked.session

    def target(self, model: str) -> Target:
        """As of `Pursued`."""
        return self._case.has.target(model, self._case.asked.door)

    def outgoing(self, target: Target) -> tuple[Format, bytes]:
        """As of `Pursued`."""
        return self._case.asked.outgoing(target, self._case.has.variant(target.variant), False, self._turn)

    def outcome(self, answer: ChatAnswer) -> Outcome:
        """As of `Pursued`."""
        return "answered" if self._turn.is_free else self._case.asked.outcome(answer)

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
