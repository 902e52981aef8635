"""What holds for every call made within a block of a program: until when, for how much, on whose behalf, and as part of which run.

Scopes nest, and what is inside inherits: the earlier deadline holds, and every call is paid from all budgets around it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import ceil
from typing import Final, NamedTuple

from freehold.errors import CallerError
from freehold.gateway.budget import NANO, nano
from freehold.pipelines.failure import BudgetSpent, TookTooLong
from freehold.pipelines.run import Run

_ENOUGH = 20
"""After so many calls the dearest of them says what the next may cost."""
_MARGIN = 1.5


def is_number(value: object) -> bool:
    """Whether what somebody gave as a number is one; a text that says one is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


class Purse:
    """What may be spent in a scope, what was, and what is set aside for calls that are under way; in billionths of a dollar."""

    def __init__(self, budget_usd: float, spent_nano: int = 0, learns: bool = False) -> None:
        """`learns`: whether a call is held to cost what the dearest so far did of its estimate, and half as much again, rather than the most that
        it can cost: for many calls alike, of which the worst case of each would leave most of the budget idle. It may then be overspent by
        what those under way cost more than that."""
        self.budget_nano = nano(budget_usd)
        self.spent_nano = spent_nano
        self.held_nano = 0
        self._learns = learns
        self._seen = 0
        self._dearest = 0.0

    @property
    def left_usd(self) -> float:
        """What is neither spent nor set aside."""
        return max(0, self.budget_nano - self.spent_nano - self.held_nano) / NANO

    def expected(self, most_nano: int) -> int:
        """What to set aside for a call that can cost so much."""
        if not self._learns or self._seen < _ENOUGH:
            return most_nano
        return min(most_nano, ceil(most_nano * self._dearest * _MARGIN))

    def settle(self, held_nano: int, most_nano: int, spent_nano: int) -> None:
        """A call for which something was set aside has ended."""
        self.held_nano -= held_nano
        self.spent_nano += spent_nano
        if most_nano and spent_nano:
            self._seen += 1
            self._dearest = max(self._dearest, spent_nano / most_nano)


class Held(NamedTuple):
    """What is set aside for one call."""

    most_nano: int = 0
    """The most that it can cost."""
    by_purse: tuple[int, ...] = ()
    """What each budget has set aside for it."""


class Scope:
    """One block: its own settings, and those around it."""

    def __init__(
        self,
        outer: "Scope | None" = None,
        *,
        deadline_s: float | None = None,
        budget_usd: float | None = None,
        purse: Purse | None = None,
        plan: str | None = None,
        customer: str | None = None,
        tags: dict[str, str] | None = None,
        conversation: str | None = None,
        run: Run | None = None,
        frame: tuple[str, str] | None = None,
        now: float | None = None,
    ) -> None:
        """`purse`: a budget of its own, in place of `budget_usd`. `now`: by the monotonic clock. Raises CallerError for settings that are none."""
        if deadline_s is not None and not (is_number(deadline_s) and 0 < deadline_s < float("inf")):
            raise CallerError(f"scope: deadline_s is {deadline_s!r}; expected a number of seconds above 0, such as 5")
        if budget_usd is not None and not (is_number(budget_usd) and 0 <= budget_usd < 1e9):
            raise CallerError(f"scope: budget_usd is {budget_usd!r}; expected a number of dollars from 0 up, such as 0.5")
        for said, text in (("plan", plan), ("customer", customer), ("conversation", conversation)):
            if text is not None and not isinstance(text, str):
                raise CallerError(f"scope: {said} is {text!r}; expected a text")
        if tags is not None and not isinstance(tags, dict):
            raise CallerError(f"scope: tags is {tags!r}; expected texts by name, such as {{'tier': 'private'}}")
        for name, value in (tags or {}).items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise CallerError(f"scope: the tag {name!r} is {value!r}; expected a text")
        if budget_usd is not None:
            purse = Purse(budget_usd)
        ends_at = None if deadline_s is None else (time.monotonic() if now is None else now) + deadline_s
        ends = [at for at in (ends_at, None if outer is None else outer.ends_at) if at is not None]
        self.ends_at: float | None = min(ends, default=None)
        """When nobody waits any longer, by the monotonic clock; None for no deadline."""
        own = () if purse is None else (purse,)
        self.purses: tuple[Purse, ...] = (*own, *(() if outer is None else outer.purses))
        """The budgets that every call is paid from, the innermost first."""
        self.plan: str | None = plan or (None if outer is None else outer.plan)
        """The plan of whoever it is done for."""
        self.customer: str | None = customer or (None if outer is None else outer.customer)
        """Whom the product bills for it."""
        self.tags: dict[str, str] = {**({} if outer is None else outer.tags), **(tags or {})}
        """What policies may look at."""
        self.conversation: str | None = conversation or (None if outer is None else outer.conversation)
        """The conversation that tasks with a history take part in."""
        self.run: Run | None = run or (None if outer is None else outer.run)
        """The run its calls are part of."""
        self.frames: tuple[tuple[str, str], ...] = (*(() if outer is None else outer.frames), *(() if frame is None else (frame,)))
        """The pipelines around it, each with what it was called with, where it is within itself."""

    @property
    def episode(self) -> str | None:
        """The id of the run its calls are part of."""
        return None if self.run is None else self.run.id

    def left_s(self, now: float) -> float | None:
        """Seconds until the deadline; None where there is none. Raises TookTooLong where it has passed."""
        if self.ends_at is None:
            return None
        left = self.ends_at - now
        if left <= 0:
            raise TookTooLong("The deadline of the scope has passed; nobody is asked any more.", episode=self.episode)
        return left

    def known(self, now: float) -> dict[str, float]:
        """What a policy may look at: how much time and money is left."""
        known: dict[str, float] = {}
        if (left := self.left_s(now)) is not None:
            known["deadline_left_s"] = left
        if self.purses:
            known["budget_left_usd"] = min(purse.left_usd for purse in self.purses)
        return known

    def hold(self, most_nano: int) -> Held:
        """Sets aside what a call may cost. Raises BudgetSpent where a budget has less."""
        expected = tuple(purse.expected(most_nano) for purse in self.purses)
        for purse, amount in zip(self.purses, expected, strict=True):
            if purse.spent_nano + purse.held_nano + amount > purse.budget_nano:
                raise BudgetSpent(
                    f"This may cost up to ${amount / NANO:.6g}, and of the scope's ${purse.budget_nano / NANO:g} there is "
                    f"${purse.left_usd:.6g} left. Give the scope a larger budget_usd, or ask for less.",
                    episode=self.episode,
                    purse=purse,
                )
        for purse, amount in zip(self.purses, expected, strict=True):
            purse.held_nano += amount
        return Held(most_nano, expected)

    def settle(self, held: Held, spent_nano: int) -> None:
        """A call for which something was set aside has ended."""
        for purse, amount in zip(self.purses, held.by_purse, strict=False):
            purse.settle(amount, held.most_nano, spent_nano)


NOWHERE: Final = Scope()
"""Around everything: no deadline, no budget."""
_current: ContextVar[Scope] = ContextVar("freehold_scope", default=NOWHERE)


def current() -> Scope:
    """The innermost scope around the caller."""
    return _current.get()


@contextmanager
def entered(scope: Scope) -> Iterator[Scope]:
    """Makes a scope the current one for as long as the block runs."""
    token = _current.set(scope)
    try:
        yield scope
    finally:
        _current.reset(token)


@contextmanager
def scope(
    *,
    deadline_s: float | None = None,
    budget_usd: float | None = None,
    plan: str | None = None,
    customer: str | None = None,
    tags: dict[str, str] | None = None,
    conversation: str | None = None,
) -> Iterator[Scope]:
    """What holds for every call within the block, beside what holds around it.

    What begins in it inherits it: tasks of asyncio, and `asyncio.to_thread`. Python hands nothing on to other threads; one that is to inherit
    it runs its work by `contextvars.copy_context().run`.

    `deadline_s`: from now; calls that have no answer by then raise TookTooLong. `budget_usd`: calls that may cost more than what is left of
    it raise BudgetSpent before anybody is asked. `plan`, `customer`: on whose behalf. `tags`: what policies may look at. `conversation`: the id of the
    conversation that tasks with a `history` take part in. Raises CallerError.
    """
    inner = Scope(
        _current.get(), deadline_s=deadline_s, budget_usd=budget_usd, plan=plan, customer=customer, tags=tags, conversation=conversation
    )
    with entered(inner):
        yield inner
