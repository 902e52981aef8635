"""A call is let in: the limits of its key first, then what it may cost is held back, durably, before anybody is asked."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol, TypeVarTuple

from freehold.errors import CallerError, FreeholdError
from freehold.gateway.budget import BudgetExceeded
from freehold.gateway.caller import Caller
from freehold.gateway.ledger import Account, Reservation, Settlement
from freehold.gateway.limits import LimitReached, Pass
from freehold.gateway.tariff import released
from freehold.journal.call import Call
from freehold.serving.asked import Asked
from freehold.serving.attempts import Attempts
from freehold.serving.resources import Resources

SETTLING_S = 60.0
"""How long after a call's last moment it is settled at what was held back for it."""
_Ts = TypeVarTuple("_Ts")
_log = logging.getLogger("freehold.serve")


class Admitted(Protocol):
    """A call that is to be let in; it hears how that goes."""

    id: str
    """Its id."""
    at: datetime
    """When it came, UTC."""

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for it any more."""

    def safely(self, step: Callable[[*_Ts], None], *told: *_Ts) -> None:
        """Takes a step; whatever goes wrong, the caller hears of it."""

    def refuse(self, status: int, message: str) -> None:
        """It is not let in."""


class Entry(NamedTuple):
    """What is looked at of a call."""

    caller: Caller
    """Who asks."""
    asked: Asked
    """What."""
    task: str | None
    """The task it belongs to."""
    first: str
    """Who is asked first."""
    may_all: Callable[[], list[tuple[str, int]]]
    """Gives who may all have to be asked, as of `Resources.may_be_asked`."""
    hold: Callable[[int], None] | None = None
    """As of `Origin`."""


class Admission:
    """One call's way in, and what it holds until it is over."""

    __slots__ = ("_account", "_call", "_has", "_leave_line", "_pass", "reserved_nano")

    def __init__(self, has: Resources, call: Admitted) -> None:
        self.reserved_nano: int | None = None
        """What is held back for it; None for nothing."""
        self._has = has
        self._call = call
        self._account: Account | None = None
        self._pass: Pass | None = None
        self._leave_line: Callable[[], None] | None = None

    def enter(self, entry: Entry, begin: Callable[[], None]) -> None:
        """Goes on with `begin` when there is room for this caller, and money. Raises CallerError."""
        limits = entry.caller.limits
        if not limits.is_any:
            self._reserve(entry, begin)
            return
        call, name = self._call, f"key '{entry.caller.id}'"

        def go(given: Pass) -> None:
            self._leave_line, self._pass = None, given
            call.safely(self._reserve, entry, begin)

        def refuse(full: LimitReached) -> None:
            call.safely(_raise, full)

        self._leave_line = self._has.limits.enter(name, limits, entry.asked.tokens, entry.caller.id, go, refuse)

    def again(self, caller: Caller, asked: Asked, task: str, reserved_nano: int | None) -> None:
        """It was let in by another process, which held back so much."""
        self._account, self.reserved_nano = self._account_of(caller, asked, task), reserved_nano

    def _reserve(self, entry: Entry, begin: Callable[[], None]) -> None:
        """Holds back what the call may cost."""
        has, call = self._has, self._call
        has.prices.check(entry.task, entry.first, call.at)
        scopes = entry.caller.scopes
        estimate = has.prices.estimate(entry.task, entry.may_all(), entry.asked.said_to, call.at) if scopes or entry.hold is not None else 0
        if entry.hold is not None:
            entry.hold(estimate)
        if not scopes:
            begin()
            return
        total_s = has.how(entry.task, entry.first).deadlines.total_s
        total_s += sum(known.deadline_s for name, _ in entry.may_all() if (known := has.variant(name)).kind == "expert")
        account = self._account = self._account_of(entry.caller, entry.asked, entry.task)
        deadline = call.at + timedelta(seconds=total_s + SETTLING_S)
        reservation = Reservation(
            call=call.id, account=account, variant=entry.first, at=call.at, deadline=deadline, amount_nano=estimate, scopes=scopes
        )

        def done(error: FreeholdError | None) -> None:
            if error is None:
                self.reserved_nano = estimate
            if call.is_over:  # the caller has left
                self.release()
            elif error is None:
                call.safely(begin)
            elif isinstance(error, CallerError):
                if isinstance(error, BudgetExceeded):
                    _log.info("budget.refused: %s", error.why, extra={"call": call.id})
                call.safely(_raise, error)
            else:
                call.refuse(503, f"the call's budget could not be looked at: {error}")

        has.writer.reserve(reservation, done)

    def settled(self, call: Call, caller: Caller) -> Settlement:
        """What the ledger books for the call, which has ended."""
        return self._has.tariff.settlement(
            call.id,
            caller.account(self._has.tenant, call.task, call.customer),
            call.variant,
            self._call.at,
            call.usage,
            call.cost_usd,
            self.reserved_nano,
            is_answered=call.outcome in ("answered", "refused"),
        )

    def release(self) -> None:
        """Nobody was asked after all: what was held back is free again."""
        if self.reserved_nano is not None:
            assert self._account is not None
            self.reserved_nano = None
            self._has.writer.submit(None, (), _heard, released(self._call.id, self._account, self._call.at))

    def leave(self, attempts: Attempts) -> None:
        """Others of its key need not wait for it any longer."""
        if self._leave_line is not None:
            self._leave_line()
            self._leave_line = None
        if self._pass is not None:
            self._has.limits.leave(self._pass, attempts.tokens)
            self._pass = None

    def _account_of(self, caller: Caller, asked: Asked, task: str | None) -> Account:
        return caller.account(self._has.tenant, task, caller.billed(asked.tags))


def _raise(error: FreeholdError) -> None:
    raise error


def _heard(error: FreeholdError | None) -> None:
    """Nobody waits for it."""
    if error is not None:
        _log.warning("ledger.not_released: what was held back for a call is free when its deadline has passed: %s", error)
