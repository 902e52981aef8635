"""The ledger: what calls may cost is held back before they are made, and settled once they have ended.

A call is refused only if what is settled, what is held back and its own estimate exceed a limit of its key, team or project in the day,
the month or altogether. Each movement is a row of `ledger`, and each row adds to two sums of each scope the call is in: `charged_nano` to
what is settled, `reserved_nano` to what is held back. Whoever books holds the project's balance first, so that all movements of a tenant
come one after the other, in the order of their rows, over threads, processes and machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from freehold.errors import DataError
from freehold.gateway.budget import DAY_US, PROJECT, BudgetExceeded, Refused, Scope, month_of, scope_names
from freehold.store.times import microseconds

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from freehold.store.open import Store

COLUMNS = (
    "tenant", "call", "kind", "at", "key", "team", "customer", "plan", "task", "variant", "input_tokens", "output_tokens", "cost_nano",
    "charged_nano", "reserved_nano", "revenue_nano",
)  # fmt: skip
BALANCE_COLUMNS = (
    "scope", "day", "day_settled", "day_reserved", "month", "month_settled", "month_reserved", "settled", "reserved",
)  # fmt: skip
_LIVE_COLUMNS = ("tenant", "call", "at", "deadline", "amount_nano")


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Whom a call is booked to, and what for."""

    tenant: str = "default"
    """Whose data this is."""
    key: str | None = None
    """The id of the key it came with."""
    team: str | None = None
    """The key's team."""
    customer: str | None = None
    """Whom the product bills for it."""
    plan: str | None = None
    """What that customer pays by."""
    task: str | None = None
    """The task it belongs to."""


class Reservation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a call may cost, held back before anybody is asked."""

    call: str
    """The call's id. A call has one reservation, for everything that may be asked for it."""
    account: Account
    """Whom it is booked to."""
    variant: str | None = None
    """Who is asked first."""
    at: datetime
    """When it was asked, UTC."""
    deadline: datetime
    """When it has surely ended: from then on whoever looks settles it at the estimate."""
    amount_nano: int
    """The most it may cost, as far as one can tell."""
    scopes: tuple[Scope, ...]
    """The limits that hold for it."""


class Settlement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a call did cost, booked in the transaction of its row."""

    call: str
    """The call's id: it is settled once."""
    account: Account
    """Whom it is booked to."""
    variant: str | None = None
    """Who answered."""
    at: datetime
    """When it was asked, UTC: the day and month it counts in, unless a reservation says."""
    input_tokens: int | None = None
    """What it used, over all attempts; None is unknown."""
    output_tokens: int | None = None
    """As `input_tokens`."""
    cost_nano: int | None = None
    """What it cost; None is unknown, never 0."""
    charged_nano: int = 0
    """What budgets are charged: the cost; where it is unknown, what was held back for it."""
    revenue_nano: int | None = None
    """What the customer pays, by the plan's price at the time; None is unknown."""
    is_reserved: bool = False
    """Whether something was held back for it, or may have been."""
    kind: Literal["settled", "released"] = "settled"
    """`released`: it came to nothing, nobody was asked, and what was held back is free again. It counts as no call."""


class Balance:
    """The two sums of a scope, altogether and in the newest day and month there is something of."""

    __slots__ = (*BALANCE_COLUMNS, "is_changed")

    def __init__(
        self,
        scope: str,
        day: int = 0,
        day_settled: int = 0,
        day_reserved: int = 0,
        month: int = 0,
        month_settled: int = 0,
        month_reserved: int = 0,
        settled: int = 0,
        reserved: int = 0,
    ) -> None:
        self.scope = scope
        self.day, self.day_settled, self.day_reserved = day, day_settled, day_reserved
        self.month, self.month_settled, self.month_reserved = month, month_settled, month_reserved
        self.settled, self.reserved = settled, reserved
        self.is_changed = False

    def add(self, day: int, charged: int, reserved: int) -> None:
        """Adds a movement of a call of that day. A new day begins at nothing; what comes late for an old one counts in the total alone."""
        self.is_changed = True
        month = month_of(day)
        if day > self.day:
            self.day, self.day_settled, self.day_reserved = day, 0, 0
        if month > self.month:
            self.month, self.month_settled, self.month_reserved = month, 0, 0
        if day == self.day:
            self.day_settled += charged
            self.day_reserved += reserved
        if month == self.month:
            self.month_settled += charged
            self.month_reserved += reserved
        self.settled += charged
        self.reserved += reserved

    def over(self, scope: Scope, day: int, asked: int) -> Refused | None:
        """The first limit of the scope that a call of that day, which is no older than the newest, would exceed."""
        if scope.day_nano is not None:
            settled, reserved = (self.day_settled, self.day_reserved) if day == self.day else (0, 0)
            if settled + reserved + asked > scope.day_nano:
                return Refused(scope.name, "day", day, scope.day_nano, settled, reserved, asked)
        if scope.month_nano is not None:
            settled, reserved = (self.month_settled, self.month_reserved) if month_of(day) == self.month else (0, 0)
            if settled + reserved + asked > scope.month_nano:
                return Refused(scope.name, "month", day, scope.month_nano, settled, reserved, asked)
        if scope.total_nano is not None and self.settled + self.reserved + asked > scope.total_nano:
            return Refused(scope.name, "total", day, scope.total_nano, self.settled, self.reserved, asked)
        return None

    def values(self) -> tuple[Any, ...]:
        """By `BALANCE_COLUMNS`."""
        return (
            self.scope, self.day, self.day_settled, self.day_reserved, self.month, self.month_settled, self.month_reserved, self.settled,
            self.reserved,
        )  # fmt: skip


class Books:
    """A tenant's balances of some scopes, held until the transaction ends. Whoever holds them alone adds rows to the tenant's ledger."""

    def __init__(self, store: Store, connection: Connection, tenant: str, accounts: Iterable[tuple[str | None, str | None]]) -> None:
        """`accounts`: keys and teams."""
        self._store, self._connection, self._tenant = store, connection, tenant
        names = {name for account in set(accounts) for name in scope_names(*account)} | {PROJECT}
        found = self._held(sorted(names))
        if PROJECT not in found:  # its row comes before every other of the tenant, and so is the first that everybody takes
            store.insert_new(connection, "balances", ("tenant", *BALANCE_COLUMNS), "tenant, scope", [(tenant, *Balance(PROJECT).values())])
        if len(found) < len(names):  # PostgreSQL does not show what came in while we waited for the first
            found = self._held(sorted(names))
        self._balances = {name: found.get(name) or Balance(name) for name in names}

    def _held(self, names: list[str]) -> dict[str, Balance]:
        rows = self._store.rows_of(self._connection, "balances", BALANCE_COLUMNS, self._tenant, "scope", names, is_held=True)
        return {row[0]: Balance(*row) for row in rows}

    @property
    def began(self) -> int:
        """When the newest day there is something of began: nothing new is booked before it."""
        return self._balances[PROJECT].day * DAY_US

    def add(self, rows: Sequence[Sequence[Any]]) -> set[str]:
        """Adds those rows of the ledger whose call has none of that kind yet, which are to be of one kind; gives their calls."""
        new = self._store.insert_told(self._connection, "ledger", COLUMNS, "call, kind", rows, "call")
        self._move([row for row in rows if row[1] in new])
        return new

    def _move(self, rows: Iterable[Sequence[Any]]) -> None:
        """Adds rows to the balances: all of one account and day at once."""
        sums: dict[tuple[str | None, str | None, int], tuple[int, int]] = {}
        for row in rows:
            what = (row[4], row[5], row[3] // DAY_US)
            charged, reserved = sums.get(what, (0, 0))
            sums[what] = (charged + row[13], reserved + row[14])
        for (key, team, day), (charged, reserved) in sums.items():
            for name in scope_names(key, team):
                self._balances[name].add(day, charged, reserved)

    def take(self, calls: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Ends what is held back for calls: of each that has something, the time it counts at and the amount."""
        live = self._store.take(self._connection, "reservations", ("call", "at", "amount_nano"), self._tenant, "call", calls)
        return {call: (at, amount) for call, at, amount in live}

    def rows(self, calls: Sequence[str], kind: str) -> list[list[Any]]:
        """The rows of a kind that calls have, by COLUMNS."""
        found = self._store.rows_of(self._connection, "ledger", COLUMNS, self._tenant, "call", calls)
        return [list(row) for row in found if row[2] == kind]

    def reserve(self, reservations: Sequence[Reservation]) -> dict[str, BudgetExceeded]:
        """Holds back what is within every limit, one after the other, and gives those calls that are not."""
        refused: dict[str, tuple[Refused, int]] = {}
        kept = self._all_of(reservations)
        if self._are_within(kept):
            self._move([row for _, row in kept])
        else:
            kept = []
            for one in reservations:
                row = _reserved(one, self.began)
                if why := self._over(one, row[3] // DAY_US):
                    refused[one.call] = (why, len(kept))
                else:
                    self._move([row])
                    kept.append((one, row))
        newest = self._newest() if refused else 0
        self._hold(kept)
        if not refused:
            return {}
        found = self._store.rows_of(
            self._connection, "ledger", ("call", "kind", "seq"), self._tenant, "call", [one.call for one, _ in kept]
        )
        places = {call: seq for call, kind, seq in found if kind == "reserved"}
        came = [newest, *(places[one.call] for one, _ in kept)]
        return {call: BudgetExceeded(why._replace(after=came[before])) for call, (why, before) in refused.items()}

    def _all_of(self, reservations: Sequence[Reservation]) -> list[tuple[Reservation, Sequence[Any]]]:
        """Their rows, were all of them kept: none counts in a day before that of another before it."""
        began, found = self.began, []
        for one in reservations:
            row = _reserved(one, began)
            began = row[3] - row[3] % DAY_US
            found.append((one, row))
        return found

    def _are_within(self, kept: Sequence[tuple[Reservation, Sequence[Any]]]) -> bool:
        """Whether all of them together are, which is nearly always so, and then each of them is."""
        asked = dict.fromkeys(self._balances, 0)
        limits: dict[int, tuple[Scope, ...]] = {}
        for one, _ in kept:
            limits[id(one.scopes)] = one.scopes
            for name in scope_names(one.account.key, one.account.team):
                asked[name] += one.amount_nano
        days = {row[3] // DAY_US for _, row in kept}
        scopes = {scope for some in limits.values() for scope in some}
        return not any(self._balances[scope.name].over(scope, day, asked[scope.name]) for scope in scopes for day in days)

    def _over(self, one: Reservation, day: int) -> Refused | None:
        for scope in one.scopes:
            if why := self._balances[scope.name].over(scope, day, one.amount_nano):
                return why
        return None

    def _hold(self, kept: Sequence[tuple[Reservation, Sequence[Any]]]) -> None:
        if self._store.insert_new(self._connection, "ledger", COLUMNS, "call, kind", [row for _, row in kept]) < len(kept):
            raise DataError("something was held back for this call before; a call has one reservation, for everything that may be asked")
        live = [(self._tenant, one.call, row[3], microseconds(one.deadline), one.amount_nano) for one, row in kept]
        self._store.insert_new(self._connection, "reservations", _LIVE_COLUMNS, "call", live)

    def save(self) -> None:
        """Writes the balances down."""
        changed = [(self._tenant, *balance.values()) for balance in self._balances.values() if balance.is_changed]
        self._store.put(self._connection, "balances", ("tenant", *BALANCE_COLUMNS), ("tenant", "scope"), changed)

    def _newest(self) -> int:
        return int(self._connection.exec_driver_sql("SELECT coalesce(max(seq), 0) FROM ledger").scalar_one())


def book(
    store: Store, connection: Connection, settlements: Sequence[Settlement], reservations: Sequence[Reservation] = ()
) -> dict[str, BudgetExceeded]:
    """Books settlements, then reservations, within the connection's transaction; gives the calls whose reservation is refused.

    Settling again adds nothing. Where a reservation has expired before its call was settled, what it was charged then is taken back.
    Raises DataError for a second reservation of a call.
    """
    refused: dict[str, BudgetExceeded] = {}
    tenants = {one.account.tenant for one in settlements} | {one.account.tenant for one in reservations}
    for tenant in sorted(tenants):  # in one order, so that two never block each other
        settled = {one.call: one for one in reversed(settlements) if one.account.tenant == tenant}
        reserved = [one for one in reservations if one.account.tenant == tenant]
        accounts = [one.account for one in settled.values()] + [one.account for one in reserved]
        books = Books(store, connection, tenant, ((account.key, account.team) for account in accounts))
        for kind in ("settled", "released"):
            _settle(books, kind, [one for one in settled.values() if one.kind == kind])
        refused |= books.reserve(reserved)
        books.save()
    return refused


def balances_of(store: Store, tenant: str, scopes: Sequence[str]) -> dict[str, Balance]:
    """The balances of scopes now; without those that nothing was ever booked to."""
    with store.reading() as connection:
        rows = store.rows_of(connection, "balances", BALANCE_COLUMNS, tenant, "scope", scopes)
    return {row[0]: Balance(*row) for row in rows}


def _settle(books: Books, kind: str, settlements: Sequence[Settlement]) -> None:
    if not settlements:
        return
    held = books.take([one.call for one in settlements if one.is_reserved])
    late = {row[1]: row for row in books.rows([one.call for one in settlements if one.is_reserved and one.call not in held], "expired")}
    held |= {
        call: (row[3], 0) for call, row in late.items()
    }  # it counts where its estimate did, or that period's budget could be overspent
    rows = []
    for one in settlements:
        at, amount = held.get(one.call) or (microseconds(one.at), 0)
        rows.append(
            _row(
                one.account, one.call, kind, at, one.variant, one.input_tokens, one.output_tokens, one.cost_nano, one.charged_nano, -amount,
                one.revenue_nano,
            )
        )  # fmt: skip
    new = books.add(rows)
    books.add([_reversed(row) for call, row in late.items() if call in new])


def _reserved(one: Reservation, began: int) -> Sequence[Any]:
    """The row that holds something back, in no day before the one that has begun."""
    at = max(microseconds(one.at), began)
    return _row(one.account, one.call, "reserved", at, one.variant, None, None, None, 0, one.amount_nano, None)


def _row(
    account: Account,
    call: str,
    kind: str,
    at: int,
    variant: str | None,
    input_tokens: int | None,
    output_tokens: int | None,
    cost: int | None,
    charged: int,
    reserved: int,
    revenue: int | None,
) -> Sequence[Any]:
    """A row by COLUMNS."""
    return (
        account.tenant, call, kind, at, account.key, account.team, account.customer, account.plan, account.task, variant, input_tokens,
        output_tokens, cost, charged, reserved, revenue,
    )  # fmt: skip


def _reversed(row: list[Any]) -> list[Any]:
    """What takes an expired reservation's charge back."""
    return [*row[:2], "reversed", *row[3:13], -row[13], 0, None]


def expired(row: Sequence[Any], at: int, amount: int) -> Sequence[Any]:
    """What charges a reservation, given its row, that nobody settled: the amount, for a cost that is unknown."""
    return [*row[:2], "expired", at, *row[4:13], amount, -amount, None]
