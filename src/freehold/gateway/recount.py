"""Whether what is kept beside the ledger agrees with it: every balance and every live reservation made again from its rows."""

from typing import NamedTuple

from sqlalchemy import func, select

from freehold.gateway.budget import DAY_US, PROJECT, scope_names
from freehold.gateway.ledger import BALANCE_COLUMNS, Balance
from freehold.store.open import Store
from freehold.store.schema import balances, ledger, reservations


class Difference(NamedTuple):
    """Something that is kept otherwise than the ledger's rows say."""

    scope: str
    """Whose balance it is."""
    what: str
    """Which sum, as the table calls it."""
    in_rows: int
    """What the rows add up to."""
    kept: int
    """What is kept."""


def recount(store: Store, tenant: str) -> list[Difference]:
    """Everything that does not agree; nothing where all is well. Looks at every row of the ledger, at one moment."""
    day = ledger.c.at // DAY_US
    sums = (
        select(ledger.c.key, ledger.c.team, day, func.sum(ledger.c.charged_nano), func.sum(ledger.c.reserved_nano))
        .where(ledger.c.tenant == tenant)
        .group_by(ledger.c.key, ledger.c.team, day)
        .order_by(day)
    )
    held = select(func.coalesce(func.sum(reservations.c.amount_nano), 0)).where(reservations.c.tenant == tenant)
    made: dict[str, Balance] = {}
    with store.reading() as connection:
        for key, team, of_day, charged, reserved in connection.execute(sums):
            for scope in scope_names(key, team):
                made.setdefault(scope, Balance(scope)).add(of_day, int(charged), int(reserved))
        kept = connection.execute(select(*(balances.c[name] for name in BALANCE_COLUMNS)).where(balances.c.tenant == tenant)).all()
        live = int(connection.execute(held).scalar_one())
    found = {row[0]: Balance(*row) for row in kept}
    differences = [
        Difference(scope, what, in_rows, is_kept)
        for scope in sorted({*made, *found})
        for what, in_rows, is_kept in zip(
            BALANCE_COLUMNS, made.get(scope, Balance(scope)).values(), found.get(scope, Balance(scope)).values(), strict=True
        )
        if in_rows != is_kept
    ]
    in_rows = made[PROJECT].reserved if PROJECT in made else 0
    return differences + ([Difference(PROJECT, "reservations", in_rows, live)] if in_rows != live else [])
