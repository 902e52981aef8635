"""Somebody is asked for an answer, and somebody else where that fails: turns, retries, fallbacks, hedges, and who may still answer.

Callbacks, as `Exchange` has them: of one call, between what is to be asked and its answer or the word that there will be none.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol, TypeVarTuple

from freehold.chat import Cause, ChatAnswer, Chunk, Outcome, Usage
from freehold.errors import CallerError
from freehold.gateway.limits import LimitReached, Pass
from freehold.providers import pacing
from freehold.providers.asking import Asking, Failure
from freehold.providers.desk import Desk, Told
from freehold.providers.order import LONG_WAIT_S, fallbacks, wait_s
from freehold.providers.pace import Ending
from freehold.providers.provider import Target
from freehold.serving.attempts import Attempts
from freehold.serving.how import How
from freehold.serving.prices import Priced
from freehold.serving.resources import Resources
from freehold.serving.wanted import Wanted
from freehold.telemetry.trace import Trace

_NOT_SO = frozenset({400, 422})
"""Statuses by which a provider says that it does not take something of what was sent."""
_Ts = TypeVarTuple("_Ts")
_log = logging.getLogger("freehold.serve")


class Pursued(Protocol):
    """Whoever has a question answered; they hear how that goes."""

    id: str
    """Of the call."""
    variant: str
    """Who was asked last."""

    def safely(self, step: Callable[[*_Ts], None], *told: *_Ts) -> None:
        """Takes a step; whatever goes wrong, the caller hears of it."""

    def on_chunks(self, chunks: Sequence[Chunk]) -> None:
        """More of an answer; nobody else's pieces come between."""

    def on_answer(self, asking: Asking, answer: ChatAnswer, raw: bytes | None) -> None:
        """An answer, whole. `raw`: as of `Hearer.on_answer`."""

    def on_nobody(self, failure: Failure) -> None:
        """Nobody answers, and nobody is left to be asked. `failure`: the last one's."""

    def on_cut(self, failure: Failure) -> None:
        """An answer broke off of which pieces were told."""

    def on_broken(self) -> None:
        """As of `Hearer`."""


class _Live(NamedTuple):
    """What one who is being asked holds."""

    turn: Pass | None
    """Leave to be asked, to be given back."""
    span: str
    """The id of its span."""
    paced: pacing.Turn | None
    """Leave of a batch's own, likewise."""
    is_handed_over: bool = False
    """Whether it is asked together with others, at the price for that."""


class Pursuit:
    """One request's way to an answer. Of several who are asked at once, the first who says anything is the one."""

    def __init__(self, has: Resources, hearer: Pursued, attempts: Attempts) -> None:
        self.speaking: Asking | None = None
        """Whose pieces are told."""
        self.trace: Trace | None = None
        """What whoever is asked is told of."""
        self.upstream_s = 0.0
        """How long anybody was waited for."""
        self._has = has
        self._hearer = hearer
        self._attempts = attempts
        self._live: dict[Asking, _Live] = {}
        self._how: How | None = None
        self._left: deque[str] = deque()
        self._retries = 0
        self.ends_at: float | None = None
        """When nobody waits for the answer any longer, by the loop's clock; None until somebody is to be asked."""
        self._patience_s: float | None = None
        """How long the caller waits, where that is shorter than the model may take."""
        self._lines: dict[object, Callable[[], None]] = {}
        """How to leave each line that a model's turn is waited for in."""
        self._timer: asyncio.TimerHandle | None = None
        self._hedge: asyncio.TimerHandle | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self._asked_since = 0.0
        self._is_over = False
        self._id = ""
        """What a question is called at the desk that is asked at once, for a batch that hands others over."""
        self._said_less: set[str] = set()
        """Who was asked again with less."""

    @property
    def is_waiting(self) -> bool:
        """Whether anybody may still answer."""
        return bool(self._live)

    def begin(self, wanted: Wanted, how: How, model: str, ends_at: float | None = None) -> Target:
        """A model is to be asked what is wanted, or one of its fallbacks: who that is at first. `ends_at`: when the caller waits no longer, by the loop's
        clock; None for as long as `how` says. Raises CallerError."""
        self._wanted = wanted
        if self.ends_at is None:
            self._loop = asyncio.get_running_loop()
            now = self._loop.time()
            longest = now + how.deadlines.total_s
            self.ends_at = longest if ends_at is None else min(longest, ends_at)
            self._patience_s = None if self.ends_at == longest else self.ends_at - now
        if self._patience_s is not None:
            how = how._replace(deadlines=how.deadlines._replace(total_s=self._patience_s))
        self._how, self._retries = how, 0
        self._left = deque(fallbacks(how.fallbacks, self._wanted.session() if isinstance(how.fallbacks, dict) else ""))
        return self._wanted.target(self._left.popleft() if self._has.is_pool(model) else model)

    def ask(self, target: Target, cause: Cause) -> None:
        """Asks a model when its turn has come, unless it is known to fail. Raises CallerError where it cannot be asked this."""
        if not self._has.breakers.allows(target.health, time.time()):
            self._next(Failure("failed", 503, f"'{target.variant}' failed again and again, and is left alone for a while"), None)
            return
        desk = self._has.desk_of(self._wanted.session)
        if desk is not None and self._is_asked_at(desk, target, cause):
            return
        if self._has.pacing is None:
            self._ask_in_pace(target, cause, None)
            return
        line, since = object(), self._loop.time()

        def go(paced: pacing.Turn) -> None:
            self._lines.pop(line, None)
            if self._is_over or self.speaking is not None:
                self._give_back(target, None, paced)
                return
            if self._patience_s is None and self.ends_at is not None and not self._live:  # the model's time begins with its turn
                self.ends_at += self._loop.time() - since
            self._hearer.safely(self._ask_in_pace, target, cause, paced)

        leave = self._has.pacing.enter(target.health, self._wanted.tokens, go)
        if leave is not None:
            self._wait(line, partial(self._leave, leave, target, None))

    def _is_asked_at(self, desk: Desk, target: Target, cause: Cause) -> bool:
        """Whether the desk answers: one whom it takes, and whoever is asked at once and was before, when this call was first begun. Raises
        HandedOver where the answer comes later."""
        assert self._how is not None and self.ends_at is not None
        is_handed_over = desk.takes(target)
        if not is_handed_over and cause in ("retry", "hedge"):  # which are no questions of their own
            return False
        format, body = self._wanted.outgoing(target)
        if is_handed_over:
            self._has.breakers.unknown(target.health)
            known: Told | None = desk.find(self._wanted.session(), self._hearer.id, target, body)
            self._id = ""
        else:
            self._id, known = desk.look(self._wanted.session(), self._hearer.id, target, body)
        if known is None:
            return False
        if not is_handed_over:
            self._has.breakers.unknown(target.health)
        asking = Asking(target, format, self._how.deadlines, self.ends_at, self, self._attempts.number(), cause)
        self._hearer.variant, self._asked_since = target.variant, time.perf_counter()
        self._live[asking] = _Live(None, "", None, is_handed_over)
        asking.told(known)
        return True

    def _ask_in_pace(self, target: Target, cause: Cause, paced: pacing.Turn | None) -> None:
        limits = self._has.limits_of(target.variant)
        if not limits.is_any:
            self._send(target, cause, None, paced)
            return
        line = object()

        def go(turn: Pass) -> None:
            self._lines.pop(line, None)
            self._send_in_turn(target, cause, turn, paced)

        def refuse(full: LimitReached) -> None:
            self._lines.pop(line, None)
            self._give_back(target, None, paced)
            self._next(Failure("failed", 429, str(full), retry_after_s=full.retry_after_s), None)

        name, wanted = f"model '{target.variant}'", self._wanted
        leave = self._has.limits.enter(name, limits, wanted.tokens, wanted.caller, go, refuse)
        if leave is not None:
            self._wait(line, partial(self._leave, leave, target, paced))

    def _wait(self, line: object, leave: Callable[[], None]) -> None:
        """A turn is waited for, as long as anybody waits for the answer; in a batch as long as it takes, where nobody said how long."""
        self._lines[line] = leave
        assert self.ends_at is not None
        if self._overdue is None and (self._patience_s is not None or self._has.pacing is None):
            self._overdue = self._loop.call_at(self.ends_at, self._too_late)

    def _too_late(self) -> None:
        self._overdue = None
        is_waiting = bool(self._lines)
        self._leave_lines()
        if is_waiting and not self._live and not self._is_over:
            self._hearer.on_nobody(Failure("timed_out", 504, "its turn to be asked did not come in the time that there was"))

    def go_on_elsewhere(self, failure: Failure) -> bool:
        """Has somebody else go on with an answer that was cut, where there is anybody. Gives whether there is."""
        if not failure.may_fall_back or not self._left:
            return False
        self.speaking = None
        self._ask_later(self._wanted.target(self._left.popleft()), "fallback")
        return True

    def cancel(self, failure: Failure) -> None:
        """Whoever may still answer need not. Nobody knows what it cost."""
        for asking in list(self._live):
            self._let_go(asking, failure.outcome, asking.collected.usage if asking.collected is not None else None, failure)

    def stop(self) -> None:
        """Nothing more is asked."""
        self._is_over = True
        for timer in (self._timer, self._hedge, self._overdue):
            if timer is not None:
                timer.cancel()
        self._leave_lines()

    def make_room(self, has_room: bool) -> None:
        """The caller reads more slowly than the provider writes, or has caught up."""
        if self.speaking is not None and not self.speaking.is_over:
            (self.speaking.resume if has_room else self.speaking.pause)()

    # A request goes out.

    def _send_in_turn(self, target: Target, cause: Cause, turn: Pass, paced: pacing.Turn | None) -> None:
        if self._is_over or self.speaking is not None:  # nobody waits for it any more
            self._give_back(target, turn, paced)
            return

        self._hearer.safely(self._send, target, cause, turn, paced)

    def _give_back(self, target: Target, turn: Pass | None, paced: pacing.Turn | None) -> None:
        """A model is not asked after all that might have been."""
        self._has.breakers.unknown(target.health)
        if paced is not None:
            paced.lines.over(paced, "cancelled")
        if turn is not None:
            self._has.limits.leave(turn, 0)

    def _leave(self, leave: Callable[[], None], target: Target, paced: pacing.Turn | None) -> None:
        leave()
        self._give_back(target, None, paced)

    def _leave_lines(self) -> None:
        while self._lines:
            self._lines.popitem()[1]()

    def _send(self, target: Target, cause: Cause, turn: Pass | None, paced: pacing.Turn | None) -> None:
        assert self._how is not None and self.ends_at is not None
        try:
            format, body = self._wanted.outgoing(target)
        except CallerError:
            self._give_back(target, turn, paced)
            raise
        span, lines = self.trace.hop() if self.trace is not None else ("", b"")
        outgoing = target.provider.request(format.path, body, lines)
        asking = Asking(target, format, self._how.deadlines, self.ends_at, self, self._attempts.number(), cause)
        if not self._live:
            self._hearer.variant = target.variant
            self._asked_since = time.perf_counter()
        self._live[asking] = _Live(turn, span, paced)
        asking.send(outgoing)
        if self._how.hedge_after_s is not None and self._hedge is None and self.speaking is None:
            self._hedge = self._loop.call_later(self._how.hedge_after_s, self._ask_another, target)

    def _ask_another(self, target: Target) -> None:
        """Nothing has come for long: another one is asked beside."""
        if self._is_over or self.speaking is not None or len(self._live) != 1:
            return
        try:
            other, desk = self._wanted.target(self._left[0]) if self._left else target, self._has.desk_of(self._wanted.session)
            if desk is not None and desk.takes(other):  # whose answer comes in hours
                return
            if self._left:
                self._left.popleft()
            self.ask(other, "hedge")
        except CallerError as error:  # it cannot be told this request; the first is on its way
            _log.warning("hedge.failed: nobody is asked beside: %s", error, extra={"call": self._hearer.id})

    # A provider answers. `Asking` calls these.

    @property
    def answers(self) -> int:
        """As of `Hearer`."""
        return self._wanted.answers

    def on_chunks(self, asking: Asking, chunks: Sequence[Chunk]) -> None:
        """As of `Hearer`."""
        if self.speaking is None and self._wanted.may_stream:
            self.speaking, self._hearer.variant = asking, asking.target.variant
            self._cancel_others(asking)
        if asking is self.speaking:
            self._hearer.on_chunks(chunks)

    def on_answer(self, asking: Asking, answer: ChatAnswer, raw: bytes | None) -> None:
        """As of `Hearer`."""
        if self._is_over:
            return
        self._cancel_others(asking)
        self._ended(asking, self._wanted.outcome(answer), answer.usage, answer=answer)
        self._has.breakers.succeeded(asking.target.health, time.time())
        self._hearer.variant = asking.target.variant
        if self._id and raw is not None:
            self._tell(Told(200, raw))
        self._hearer.on_answer(asking, answer, raw)

    def on_failed(self, asking: Asking, failure: Failure) -> None:
        """As of `Hearer`."""
        if self._is_over:
            return
        try:
            usage = asking.collected.usage if asking.collected is not None else None
            self._ended(asking, failure.outcome, usage, failure)
            health = asking.target.health
            is_impatience = self._patience_s is not None and self._loop.time() >= (self.ends_at or 0.0)  # and no fault of who was asked
            if failure.status >= 500 and not is_impatience:
                assert self._how is not None
                self._has.breakers.failed(health, time.time(), failure.message, self._open_after())
            else:
                self._has.breakers.unknown(health)
            if self.speaking is asking:
                self._hearer.on_cut(failure)
            else:
                self._next(failure, asking.target)
        except Exception:  # noqa: BLE001 as in `on_broken`
            self.on_broken()

    def on_broken(self) -> None:
        """As of `Hearer`."""
        self._hearer.on_broken()

    def _next(self, failure: Failure, target: Target | None) -> None:
        """Has the same model asked again or the next one, where either may help. `target`: who failed, if they were asked."""
        if self._is_over or self._live:  # somebody may still answer
            return
        assert self._how is not None and self.ends_at is not None
        if target is not None and failure.status in _NOT_SO and self._may_say_less(target.variant, failure):
            self._ask_later(target, "retry")
            return
        if target is not None and failure.may_retry and self._retries < self._how.retries:
            wait = wait_s(self._retries, failure.retry_after_s, self._has.rng)
            if self._loop.time() + wait < self.ends_at and (wait <= LONG_WAIT_S or not self._left):
                self._retries += 1
                self._timer = self._loop.call_later(wait, self._ask_later, target, "retry")
                return
        if failure.may_fall_back and self._left:
            self._retries = 0
            self._tell(Told(failure.status, failure.message.encode()))
            self._ask_later(self._wanted.target(self._left.popleft()), "fallback")
            return
        self._hearer.on_nobody(failure)

    def _tell(self, told: Told) -> None:
        """What is asked at once is not asked again when its call is begun anew for something that was handed over."""
        if self._id and (desk := self._has.desk_of(self._wanted.session)) is not None:
            desk.tell(self._id, told)
            self._id = ""

    def _open_after(self) -> int:
        """As of `How`; never for a batch, whose pace and patience see to it."""
        assert self._how is not None
        return 0 if self._has.pacing is not None else self._how.open_after

    def _may_say_less(self, variant: str, failure: Failure) -> bool:
        """Whether one who refuses what was sent can be asked the same in another way, once."""
        if variant in self._said_less or not self._wanted.says_less(variant, failure.message):
            return False
        self._said_less.add(variant)
        return True

    def _ask_later(self, target: Target, cause: Cause) -> None:
        self._hearer.safely(self.ask, target, cause)

    def _cancel_others(self, asking: Asking) -> None:
        if self._hedge is not None:
            self._hedge.cancel()
        self._leave_lines()
        if len(self._live) > 1:
            faster = Failure("cancelled", 499, "another one was faster")
            for other in [each for each in self._live if each is not asking]:
                self._let_go(other, "cancelled", None, faster)

    def _let_go(self, asking: Asking, outcome: Outcome, usage: Usage | None, failure: Failure) -> None:
        asking.cancel()
        self._has.breakers.unknown(asking.target.health)
        self._ended(asking, outcome, usage, failure._replace(is_unbilled=False))

    def _ended(
        self, asking: Asking, outcome: Outcome, usage: Usage | None, failure: Failure | None = None, answer: ChatAnswer | None = None
    ) -> None:
        """Whoever was being asked is no longer: that is noted, and the next may take the turn."""
        turn, span, paced, is_handed_over = self._live.pop(asking)
        if not self._live:
            self.upstream_s += time.perf_counter() - self._asked_since
        if turn is not None:
            self._has.limits.leave(turn, None if usage is None else usage.input_tokens + usage.output_tokens)
        if paced is not None:
            _in_pace(paced, asking, outcome, usage, failure)
        is_free = failure is not None and failure.is_unbilled
        if is_free:
            priced: Priced = (0.0, None)
        elif is_handed_over:
            priced = self._has.prices.of_a_batch(asking.target.variant, usage, self._attempts.at, asking.target.provider.pool.origin.host)
        else:
            priced = self._has.prices.of(asking.target.variant, usage, self._attempts.at, answer.tier if answer is not None else "")
        self._attempts.asked(asking, outcome, usage, priced, failure, answer, span)


def _in_pace(turn: pacing.Turn, asking: Asking, outcome: Outcome, usage: Usage | None, failure: Failure | None) -> None:
    """A turn in a batch's pace is given back, with what it taught."""
    ending: Ending = "answered"
    if failure is not None:
        ending = "limited" if failure.status == 429 else "cancelled" if outcome == "cancelled" else "failed"
    tokens = None if usage is None else float(usage.input_tokens + usage.output_tokens)
    turn.lines.over(turn, ending, tokens, None if failure is None else failure.retry_after_s, asking.headers, time.time())
