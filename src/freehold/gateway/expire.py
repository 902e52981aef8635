"""Reservations whose deadline has passed: whoever made them was killed, and what it held back is charged, for it may have been spent."""

from datetime import datetime

from sqlalchemy import select

from freehold.gateway.ledger import Books, expired
from freehold.store.open import Store
from freehold.store.schema import reservations
from freehold.store.times import microseconds

_MOST = 1_000


def expire(store: Store, tenant: str, now: datetime) -> int:
    """Settles at their estimates what is past its deadline, and says how many calls that were. One look where there is nothing to do.

    Whether it is done soon or late decides about no call: what is held back counts as much as what is settled.
    """
    due = select(reservations.c.call).where(reservations.c.tenant == tenant, reservations.c.deadline <= microseconds(now)).limit(_MOST)
    with store.reading() as connection:
        calls = connection.execute(due).scalars().all()
    if not calls:
        return 0
    with store.writing() as connection:
        made = store.rows_of(connection, "ledger", ("call", "key", "team"), tenant, "call", calls)
        books = Books(store, connection, tenant, ((key, team) for _, key, team in made))
        live = books.take(calls)  # some may have been settled meanwhile
        rows = [expired(row, *live[row[1]]) for row in books.rows(calls, "reserved") if row[1] in live]
        books.add(rows)
        books.save()
    return len(rows)
