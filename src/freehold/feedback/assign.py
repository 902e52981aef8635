"""Which item a reviewer is shown next, found by the database.

What they were shown and have not answered comes first, then what is new to them, then what they put off. Everybody goes through the new items
in a random order of their own: the next one is the first that is open to them from a random place on, in the order of tickets, which are
hashes. An item that enough others have, or had within the lease, is passed over; gold is asked of everybody. A senior gets what waits for one.
"""

from datetime import datetime, timedelta
from hashlib import blake2b
from statistics import median_high
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, exists, func, select

from freehold.feedback.queue import Queue
from freehold.feedback.reviewers import Reviewer
from freehold.store.schema import review_items, review_verdicts
from freehold.store.times import microseconds

MOST_SKIPS = 1
"""How often an item may be put off to the end; after that it is left out."""
_PACE_OF = 100
"""How many of a reviewer's last verdicts their pace is told from."""


class Far(NamedTuple):
    """How far a reviewer is."""

    left: int
    """Items there are for them, the next one among them."""
    answered: int
    """Items they judged or flagged."""
    skipped: int
    """Items they put off."""
    median_s: float | None
    """What a verdict takes them of late, in seconds; None before the first."""


def next_for(connection: Connection, queue: Queue, reviewer: Reviewer, now: datetime) -> str | None:
    """The ticket to show a reviewer; None where there is nothing for them now."""
    in_hand = _in_hand(connection, queue, reviewer)
    if in_hand:
        return in_hand[0]
    i = review_items.c
    new = select(i.ticket, i.is_gold).where(_is_new(queue, reviewer, now)).order_by(i.ticket).limit(1)
    found = connection.execute(new.where(i.ticket >= _place(connection, queue, reviewer))).first() or connection.execute(new).first()
    if found is not None and found.is_gold and connection.execute(new.where(i.is_gold == 0)).first() is None:
        found = None  # gold alone would be known for what it is
    if found is not None:
        ticket: str = found.ticket
        return ticket
    return next((ticket for ticket, skips in _skipped(connection, queue, reviewer) if skips <= MOST_SKIPS), None)


def far(connection: Connection, queue: Queue, reviewer: Reviewer, now: datetime) -> Far:
    """How far a reviewer is."""
    i, v = review_items.c, review_verdicts.c
    counted = select(i.is_gold, func.count().label("items")).where(_is_new(queue, reviewer, now)).group_by(i.is_gold)
    new = {bool(row.is_gold): int(row.items) for row in connection.execute(counted)}
    answered = _mine(queue, reviewer) & v.state.in_(("given", "flagged"))
    bodies = connection.execute(select(v.body).where(answered).order_by(v.seq.desc()).limit(_PACE_OF)).scalars()
    paces = [said.seconds for said in map(_decode, bodies) if said.seconds is not None]
    skips = [skips for _, skips in _skipped(connection, queue, reviewer)]
    come_again = len(_in_hand(connection, queue, reviewer)) + sum(often <= MOST_SKIPS for often in skips)
    return Far(
        left=come_again + (sum(new.values()) if False in new else 0),  # gold alone is not shown
        answered=connection.execute(select(func.count()).where(answered)).scalar_one(),
        skipped=sum(map(bool, skips)),
        median_s=median_high(paces) if paces else None,
    )


def _is_new(queue: Queue, reviewer: Reviewer, now: datetime) -> ColumnElement[bool]:
    """Whether an item is open to a reviewer who was never shown it."""
    i, v = review_items.c, review_verdicts.c
    here = (i.tenant == queue.tenant) & (i.queue == queue.id)
    about = (v.tenant == queue.tenant) & (v.queue == queue.id) & (v.ticket == i.ticket)
    is_new = here & ~exists().where(about, v.reviewer == reviewer.name)
    if reviewer.role == "senior":
        return is_new & (i.state == "disputed")
    since = microseconds(now - timedelta(seconds=queue.lease_s))
    has_it = v.state.in_(("given", "flagged")) | ((v.state == "shown") & (v.shown_at > since))
    counts = has_it & (v.reviewer != reviewer.name) & v.reviewer.not_in(queue.excluded)
    taken = select(func.count()).where(about, counts).scalar_subquery()
    return is_new & (i.state != "withdrawn") & ((i.is_gold == 1) | (taken < queue.reviewers))


def _in_hand(connection: Connection, queue: Queue, reviewer: Reviewer) -> list[str]:
    """What a reviewer was shown and has not answered."""
    i, v = review_items.c, review_verdicts.c
    same = (i.tenant == v.tenant) & (i.queue == v.queue) & (i.ticket == v.ticket)
    shown = select(i.ticket).join(review_verdicts, same).where(_mine(queue, reviewer), v.state == "shown", i.state != "withdrawn")
    return list(connection.execute(shown.order_by(i.seq)).scalars())


def _skipped(connection: Connection, queue: Queue, reviewer: Reviewer) -> list[tuple[str, int]]:
    """What a reviewer has not answered that they were shown before, and how often they put it off; not at all where it was taken from them."""
    v = review_verdicts.c
    skipped = select(v.ticket, v.body).where(_mine(queue, reviewer), v.state == "skipped").order_by(v.seq)
    return [(ticket, _decode(body).skips) for ticket, body in connection.execute(skipped)]


def _place(connection: Connection, queue: Queue, reviewer: Reviewer) -> str:
    """From where on a reviewer's next item is looked for: elsewhere after each that they were shown."""
    shown = connection.execute(select(func.count()).where(_mine(queue, reviewer))).scalar_one()
    return blake2b(f"{queue.id}\0{reviewer.name}\0{shown}".encode(errors="surrogatepass"), digest_size=12, person=b"turn").hexdigest()


def _mine(queue: Queue, reviewer: Reviewer) -> ColumnElement[bool]:
    v = review_verdicts.c
    return (v.tenant == queue.tenant) & (v.queue == queue.id) & (v.reviewer == reviewer.name)


class _Part(msgspec.Struct):
    """What is looked at of `Said`."""

    seconds: float | None = None
    skips: int = 0


_decode = msgspec.json.Decoder(_Part).decode
