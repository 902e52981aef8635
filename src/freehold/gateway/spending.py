"""What calls cost and earned, by whom they were made or for what: sums over the ledger's rows, which add up to it exactly."""

from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec
from sqlalchemy import case, func, literal, select

from freehold.gateway.budget import DAY_US
from freehold.store.open import Store
from freehold.store.schema import ledger
from freehold.store.times import microseconds, moment

By: TypeAlias = Literal["customer", "plan", "task", "model", "key", "team", "day"]


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What calls of one kind cost and earned. USD are exact to the billionth."""

    name: str | None
    """The customer, plan, task, variant, key, team or day; None where calls had none."""
    calls: int = 0
    """How many there were."""
    unknown_costs: int = 0
    """How many of them nobody knows the cost of: it is not in `cost_usd`."""
    input_tokens: int = 0
    """As far as known."""
    output_tokens: int = 0
    """As far as known."""
    cost_usd: Decimal = Decimal(0)
    """What they cost, as far as known."""
    charged_usd: Decimal = Decimal(0)
    """What budgets were charged: the cost, and for those of unknown cost what was taken for it."""
    revenue_usd: Decimal = Decimal(0)
    """What customers pay for them, as far as known."""
    margin_usd: Decimal = Decimal(0)
    """Revenue minus cost."""


def spending(store: Store, tenant: str, by: By, since: datetime | None = None, until: datetime | None = None) -> list[Spending]:
    """One row for each name that has calls asked from `since` to before `until`, dearest first; days in their order."""
    c = ledger.c
    # A call whose reservation expired before it was settled has three rows, of which the third takes the first back.
    count = case((c.kind == "reversed", -1), else_=1)
    what = c.at // DAY_US if by == "day" else c.variant if by == "model" else c[by]
    rows = (
        select(
            what,
            func.sum(count),
            func.sum(case((c.cost_nano.is_(None), count), else_=0)),
            *(
                func.coalesce(func.sum(column), 0)
                for column in (c.input_tokens, c.output_tokens, c.cost_nano, c.charged_nano, c.revenue_nano)
            ),
        )
        .where(
            c.tenant == tenant,
            c.kind.in_(("settled", "expired", "reversed")),
            c.at >= microseconds(since) if since is not None else literal(True),
            c.at < microseconds(until) if until is not None else literal(True),
        )
        .group_by(what)
        .having(func.sum(count) != 0)
        .order_by(what if by == "day" else func.sum(c.charged_nano).desc(), what)
    )
    with store.reading() as connection:
        found = connection.execute(rows).all()
    return [_spending(f"{moment(name * DAY_US):%Y-%m-%d}" if by == "day" else name, *map(int, sums)) for name, *sums in found]


def total(rows: list[Spending]) -> Spending:
    """All of them together."""
    names = [name for name in Spending.__struct_fields__ if name != "name"]
    return Spending(
        name="total", **{name: sum((getattr(row, name) for row in rows), type(getattr(Spending(name=None), name))(0)) for name in names}
    )


def _spending(
    name: str | None, calls: int, unknown: int, input_tokens: int, output_tokens: int, cost: int, charged: int, revenue: int
) -> Spending:
    return Spending(
        name=name,
        calls=calls,
        unknown_costs=unknown,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost_usd=_usd(cost),
        charged_usd=_usd(charged),
        revenue_usd=_usd(revenue),
        margin_usd=_usd(revenue - cost),
    )


def _usd(amount_nano: int) -> Decimal:
    return Decimal(amount_nano).scaleb(-9)
