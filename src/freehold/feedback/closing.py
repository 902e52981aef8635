"""Ending a queue, and having a reviewer count no more: labels follow in the same transaction, and what is due after it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, update

from freehold.catalog import Catalog
from freehold.errors import CallerError, nearest
from freehold.feedback.queue import Queue, QueueItem
from freehold.feedback.review_status import book
from freehold.feedback.settle import alone, items_of, put_queue, queue_of, settle, verdicts_of
from freehold.journal.read import slices
from freehold.store.open import Store
from freehold.store.schema import draws, review_items, review_verdicts
from freehold.tables import CreditsTable


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """What closing a queue left."""

    queue: Queue
    """The queue."""
    decided: int
    """Drawn items with a label."""
    undecided: int
    """Drawn items that somebody was shown and that have none: they count as wrong."""
    withdrawn: int
    """Drawn items that nobody was shown: they are drawn no more, and the probabilities of the others are smaller by that share."""


def close(store: Store, tenant: str, id: str, catalog: Catalog, table: CreditsTable, now: datetime) -> Closed:
    """Ends a queue, and books what its verdicts are due.

    Nothing that was shown to anybody is let go: whether it got a label may have to do with what it is, so that an item without one counts as
    wrong. What nobody was shown is a random part of what was drawn, for everybody has a random order; it is withdrawn. Raises CallerError for a
    queue that is closed already.
    """
    with store.writing() as connection:
        alone(store, connection)
        queue = queue_of(connection, tenant, id)
        if queue.closed_at is not None:
            raise CallerError(f"Queue '{queue.id}' was closed already, at {queue.closed_at:%Y-%m-%d %H:%M} UTC.")
        items = [item for item in items_of(connection, queue) if item.is_drawn]
        shown = {verdict.ticket for verdict in verdicts_of(connection, queue)}
        unseen = [item for item in items if item.ticket not in shown and not item.is_gold]
        share = 1.0 - len(unseen) / max(1, len(unseen) + sum(not item.is_gold for item in items if item.ticket in shown))
        queue = msgspec.structs.replace(queue, closed_at=now, floor=None if queue.floor is None else queue.floor * share or None)
        if unseen:
            _withdraw(store, connection, queue, items, unseen, share)
        put_queue(connection, queue)
    book(store, tenant, queue.task, catalog, table, now)
    decided = sum(item.state == "decided" for item in items)
    return Closed(queue=queue, decided=decided, undecided=len(items) - len(unseen) - decided, withdrawn=len(unseen))


def _withdraw(
    store: Store, connection: Connection, queue: Queue, items: Sequence[QueueItem], unseen: Sequence[QueueItem], share: float
) -> None:
    """Takes out what nobody was shown; of the rest that could have been, the probability of being drawn and shown is the product."""
    i, d = review_items.c, draws.c
    gone = {item.ticket for item in unseen}
    for some in slices(sorted(gone)):
        connection.execute(update(review_items).where(i.queue == queue.id, i.ticket.in_(some)).values(state="withdrawn", inclusion=None))
    for names in slices([item.item for item in unseen]):
        connection.execute(
            delete(draws).where(d.tenant == queue.tenant, d.task == queue.task, d.session == queue.session, d.item.in_(names))
        )
    kept = [item for item in items if item.ticket not in gone and not item.is_gold and item.inclusion is not None]
    if not kept:  # and what needs nobody would, alone, say that nothing is ever lost
        connection.execute(delete(draws).where(d.tenant == queue.tenant, d.task == queue.task, d.session == queue.session))
        return
    smaller: list[dict[str, Any]] = [
        {"the_ticket": item.ticket, "the_item": item.item, "less": (item.inclusion or 0.0) * share} for item in kept
    ]
    here = update(review_items).where(i.queue == queue.id, i.ticket == bindparam("the_ticket"))
    connection.execute(here.values(inclusion=bindparam("less")), smaller)
    there = update(draws).where(d.tenant == queue.tenant, d.task == queue.task, d.session == queue.session, d.item == bindparam("the_item"))
    connection.execute(there.values(inclusion=bindparam("less")), smaller)
    settle(store, connection, queue, [item.ticket for item in kept])


def exclude(
    store: Store, tenant: str, id: str, reviewer: str, catalog: Catalog, table: CreditsTable, now: datetime, is_excluded: bool = True
) -> int:
    """Has a reviewer's verdicts of a queue count no more, or again; how many those are. Labels follow: what they alone decided is open again;
    and so does what is due, where the queue is closed.

    Raises CallerError for somebody who judged nothing there.
    """
    with store.writing() as connection:
        alone(store, connection)
        queue = queue_of(connection, tenant, id)
        theirs = verdicts_of(connection, queue, reviewer=reviewer)
        if not theirs:
            v = review_verdicts.c
            known = connection.execute(select(v.reviewer).where(v.tenant == tenant, v.queue == queue.id).distinct()).scalars().all()
            raise CallerError(f"'{reviewer}' has judged nothing in queue '{queue.id}'.{nearest(reviewer, list(known))}")
        others = [name for name in queue.excluded if name != reviewer]
        queue = msgspec.structs.replace(queue, excluded=(*others, reviewer) if is_excluded else tuple(others))
        put_queue(connection, queue)
        settle(store, connection, queue, [verdict.ticket for verdict in theirs])
    book(store, tenant, queue.task, catalog, table, now)
    return sum(verdict.state == "given" for verdict in theirs)
