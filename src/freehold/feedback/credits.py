"""The ledger of what reviewers earned, and what became of it: budgets that they may spend, or payments.

A verdict is worth what `worth.due` says now. Where what is booked for it is something else, the difference is booked: settling again adds
nothing, a correction is a row that takes back, and the rows of a verdict always sum to what is due. What a reviewer has is the sum of all of
theirs; it falls below 0 where something is corrected that was paid already, and later verdicts fill that first.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import msgspec
from sqlalchemy import Connection, func, select, text

from freehold.config import Config
from freehold.errors import CallerError, nearest
from freehold.feedback.worth import Verdict, due
from freehold.gateway.budget import usd
from freehold.gateway.keys import keys
from freehold.store.open import Store
from freehold.store.schema import credits
from freehold.store.times import microseconds, moment
from freehold.tables import CreditsTable

Kind: TypeAlias = Literal["earned", "reversed", "granted", "paid"]
_COLUMNS = ("tenant", "reviewer", "about", "n", "kind", "at", "amount_nano", "task", "scope", "why")
_ABOUT = 400
"""Names in one statement."""


class Credit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One movement."""

    tenant: str = "default"
    """Whose data this is."""
    reviewer: str
    """Whose it is."""
    about: str
    """What it is for: `verdict ID`, `answer ID`, `grant KEY` or `payment KEY REVIEWER`."""
    n: int = 0
    """Which row about that, from 0."""
    kind: Kind
    """`earned`: for a verdict or an answer. `reversed`: what an earlier row was wrong about. `granted`: it is usage of a budget now. `paid`: it
    was paid out."""
    at: datetime
    """When it was booked, UTC."""
    amount_nano: int
    """In billionths of a dollar: above 0 what the reviewer has from then on, below 0 what no more."""
    task: str | None = None
    """What task it was earned by."""
    scope: str | None = None
    """The budget that a grant raised."""
    why: str | None = None
    """Why, where somebody said."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where one reviewer stands."""

    reviewer: str
    """Who."""
    verdicts: int
    """For how many verdicts and answers there is something booked."""
    earned_nano: int
    """What those sum to, corrections included."""
    granted_nano: int
    """What of it is usage of a budget."""
    paid_nano: int
    """What of it was paid out."""

    @property
    def left_nano(self) -> int:
        """What is still to be had."""
        return self.earned_nano - self.granted_nano - self.paid_nano


def settle(store: Store, tenant: str, verdicts: Iterable[Verdict], table: CreditsTable, now: datetime) -> list[Credit]:
    """Books what is due for verdicts and is not booked yet, and takes back what is not due any more. Gives the new rows. Raises DataError."""
    wanted = {
        f"verdict {verdict.id}": Credit(
            tenant=tenant, reviewer=verdict.reviewer, about=f"verdict {verdict.id}", kind="earned", at=now,
            amount_nano=due(verdict, table), task=verdict.task,
        )
        for verdict in verdicts
    }  # fmt: skip
    with store.writing() as connection:
        _hold(store, connection)
        return _settled(store, connection, tenant, list(wanted.values()))


def earn(store: Store, connection: Connection, credit: Credit) -> list[Credit]:
    """As `settle`, for one thing whose price is known, within the connection's transaction."""
    _hold(store, connection)
    return _settled(store, connection, credit.tenant, [credit])


def grant(
    store: Store, tenant: str, config: Config, reviewer: str, scope: str, amount_nano: int | None, now: datetime, key: str | None = None
) -> Credit:
    """Makes what a reviewer has a budget's: the key or team may spend so much more altogether. `amount_nano`: all there is where it is None.

    `key` makes repeats one: the row that is there is given. Raises CallerError for a budget without a total, and for more than there is.
    """
    _refuse_unlimited(store, tenant, config, scope)
    wanted = Credit(
        tenant=tenant, reviewer=reviewer, about=f"grant {key or uuid4().hex}", kind="granted", at=now, amount_nano=0, scope=scope
    )
    with store.writing() as connection:
        _hold(store, connection)
        return _spent(store, connection, [wanted], amount_nano)[0]


def pay(store: Store, tenant: str, reviewers: Sequence[str] | None, now: datetime, key: str | None = None) -> list[Credit]:
    """Books all that reviewers have, or these, as paid out, each at once. Gives the rows: what is to be paid. `key`: as of `grant`.

    Raises CallerError for a reviewer who has nothing.
    """
    key = key or uuid4().hex
    with store.writing() as connection:
        _hold(store, connection)
        if again := _rows(connection, tenant, payment=key):
            return [row for row in again if row.kind == "paid"]
        names = reviewers if reviewers is not None else _with_credit(connection, tenant)
        wanted = [
            Credit(tenant=tenant, reviewer=name, about=f"payment {key} {name}", kind="paid", at=now, amount_nano=0)
            for name in dict.fromkeys(names)
        ]
        return _spent(store, connection, wanted, None)


def reverse(store: Store, tenant: str, about: str, now: datetime, why: str | None = None) -> Credit:
    """Takes back all that is booked about something: a verdict, a grant, a payment. Raises CallerError where nothing is."""
    with store.writing() as connection:
        _hold(store, connection)
        rows = _booked(connection, tenant, [about]).get(about, [])
        amount = sum(row.amount_nano for row in rows)
        if not amount:
            what = "all of it is taken back already" if rows else "nothing is booked about it"
            raise CallerError(f"'{about}' cannot be reversed: {what}. 'freehold credits list --rows' shows what there is.")
        back = msgspec.structs.replace(rows[0], n=len(rows), kind="reversed", at=now, amount_nano=-amount, why=why)
        _add(store, connection, [back])
        return back


def standings(store: Store, tenant: str) -> list[Standing]:
    """Where every reviewer stands who has a row, by name."""
    found: dict[str, list[int]] = {}
    with store.reading() as connection:
        c = credits.c
        sums = (
            select(c.reviewer, c.about, func.sum(c.amount_nano))
            .where(c.tenant == tenant)
            .group_by(c.reviewer, c.about)
            .order_by(c.reviewer)
        )
        for reviewer, about, amount in connection.execute(sums):
            sums_of = found.setdefault(reviewer, [0, 0, 0, 0])
            place = 2 if about.startswith("grant ") else 3 if about.startswith("payment ") else 1
            sums_of[place] += int(amount) if place == 1 else -int(amount)
            sums_of[0] += place == 1 and amount != 0
    return [
        Standing(reviewer=name, verdicts=verdicts, earned_nano=earned, granted_nano=granted, paid_nano=paid)
        for name, (verdicts, earned, granted, paid) in found.items()
    ]


def credits_of(store: Store, tenant: str, reviewer: str | None = None, payment: str | None = None) -> list[Credit]:
    """Every row, or those of one reviewer or payment, in order."""
    with store.reading() as connection:
        return _rows(connection, tenant, reviewer, payment)


def _rows(connection: Connection, tenant: str, reviewer: str | None = None, payment: str | None = None) -> list[Credit]:
    c = credits.c
    wanted = select(*(c[name] for name in _COLUMNS)).where(c.tenant == tenant).order_by(c.seq)
    if reviewer is not None:
        wanted = wanted.where(c.reviewer == reviewer)
    if payment is not None:
        wanted = wanted.where(c.about.startswith(f"payment {payment} ", autoescape=True))
    return [_credit(row) for row in connection.execute(wanted)]


def _with_credit(connection: Connection, tenant: str) -> list[str]:
    """Who has something left, by name."""
    c = credits.c
    left = select(c.reviewer).where(c.tenant == tenant).group_by(c.reviewer).having(func.sum(c.amount_nano) > 0).order_by(c.reviewer)
    return list(connection.execute(left).scalars())


def _settled(store: Store, connection: Connection, tenant: str, wanted: Sequence[Credit]) -> list[Credit]:
    booked = _booked(connection, tenant, [one.about for one in wanted])
    new = []
    for one in wanted:
        rows = booked.get(one.about, [])
        differs = one.amount_nano - sum(row.amount_nano for row in rows)
        if differs:
            kind: Kind = "earned" if differs > 0 else "reversed"
            whose = rows[0].reviewer if rows else one.reviewer  # whose name may have been erased since
            new.append(msgspec.structs.replace(one, reviewer=whose, n=len(rows), kind=kind, amount_nano=differs))
    _add(store, connection, new)
    return new


def _spent(store: Store, connection: Connection, wanted: Sequence[Credit], amount_nano: int | None) -> list[Credit]:
    """Books what goes out, all there is where no amount is said. What was booked under the same name before is given as it is."""
    done = []
    booked = _booked(connection, wanted[0].tenant, [one.about for one in wanted]) if wanted else {}
    for one in wanted:
        if rows := booked.get(one.about):
            done.append(rows[0])
            continue
        left = _left(connection, one.tenant, one.reviewer)
        amount = left if amount_nano is None else amount_nano
        if not 0 < amount <= left:
            raise CallerError(f"'{one.reviewer}' has {usd(left)} of credits, and {usd(amount)} cannot be taken of that.")
        done.append(msgspec.structs.replace(one, amount_nano=-amount))
        _add(store, connection, done[-1:])
    return done


def _refuse_unlimited(store: Store, tenant: str, config: Config, scope: str) -> None:
    kind, _, name = scope.partition(":")
    budgets = {f"team:{team}": table.budget for team, table in config.teams.items()}
    if kind == "key":
        budgets |= {f"key:{key.id}": key.grant.budget for key in keys(store, tenant) if key.revoked_at is None}
    if scope not in budgets:
        raise CallerError(f"There is no budget '{scope}'.{nearest(scope, list(budgets))} Expected key:ID or team:NAME.")
    if budgets[scope].total_usd is None:
        raise CallerError(
            f"The {kind} '{name}' has no limit on what it spends altogether, so there is nothing that credits could raise. Give it a total: a "
            "key by 'freehold keys create --total-usd 0', which then spends its credits and no more; a team by budget.total_usd."
        )


def _hold(store: Store, connection: Connection) -> None:
    """One at a time: what is booked is looked at before more is. On SQLite whoever writes is alone."""
    if store.kind == "postgresql":
        connection.execute(text("LOCK TABLE credits IN SHARE ROW EXCLUSIVE MODE"))


def _left(connection: Connection, tenant: str, reviewer: str) -> int:
    total = select(func.coalesce(func.sum(credits.c.amount_nano), 0)).where(credits.c.tenant == tenant, credits.c.reviewer == reviewer)
    return int(connection.execute(total).scalar_one())


def _booked(connection: Connection, tenant: str, about: Sequence[str]) -> dict[str, list[Credit]]:
    found: dict[str, list[Credit]] = {}
    c = credits.c
    for begin in range(0, len(about), _ABOUT):
        some = about[begin : begin + _ABOUT]
        rows = select(*(c[name] for name in _COLUMNS)).where(c.tenant == tenant, c.about.in_(some)).order_by(c.n)
        for row in connection.execute(rows):
            found.setdefault(row.about, []).append(_credit(row))
    return found


def _add(store: Store, connection: Connection, rows: Sequence[Credit]) -> None:
    values = [
        (one.tenant, one.reviewer, one.about, one.n, one.kind, microseconds(one.at), one.amount_nano, one.task, one.scope, one.why)
        for one in rows
    ]
    added = store.insert_new(connection, "credits", _COLUMNS, "tenant, about, n", values)
    assert added == len(values), "somebody else booked the same meanwhile"


def _credit(row: Any) -> Credit:
    tenant, reviewer, about, n, kind, at, amount, task, scope, why = row
    return Credit(
        tenant=tenant, reviewer=reviewer, about=about, n=n, kind=kind, at=moment(at), amount_nano=amount, task=task, scope=scope, why=why
    )
