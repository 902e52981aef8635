"""Which item a reviewer is shown next. Pure.

Everybody has a random order of their own. An item that enough others have, or had within the lease, is passed over; gold is asked of
everybody. A senior gets what waits for one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple

from freehold.feedback.queue import ItemState, Queue, Role, VerdictState

MOST_SKIPS = 1
"""How often an item may be put off to the end; after that it is left out."""


class Place(NamedTuple):
    """An item of a queue, as far as assigning looks."""

    ticket: str
    state: ItemState
    is_gold: bool


class Row(NamedTuple):
    """A reviewer's row for an item, as far as assigning looks."""

    ticket: str
    reviewer: str
    state: VerdictState
    shown_at: datetime
    skips: int


class Waiting(NamedTuple):
    """What there is for a reviewer."""

    next: str | None
    """The ticket to show; None where there is nothing."""
    left: int
    """How many there are for them, that one among them."""


def waiting(queue: Queue, places: Sequence[Place], rows: Iterable[Row], reviewer: str, role: Role, now: datetime) -> Waiting:
    """What there is for a reviewer: what they were shown and have not answered, then what is new to them, then what they put off."""
    mine: dict[str, Row] = {}
    others: Mapping[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.reviewer == reviewer:
            mine[row.ticket] = row
        elif row.reviewer not in queue.excluded:
            others[row.ticket].append(row)
    turn: str | None
    in_hand = [place.ticket for place in places if place.state != "withdrawn" and _is_shown(mine.get(place.ticket))]
    wanted = [place for place in places if place.ticket not in mine and _is_open(queue, place, others[place.ticket], role, now)]
    wanted = wanted if any(not place.is_gold for place in wanted) else []  # gold alone would be known for what it is
    put_off = [row.ticket for row in mine.values() if row.state == "skipped" and row.skips <= MOST_SKIPS]
    if in_hand:
        turn = in_hand[0]
    elif wanted:
        turn = min((place.ticket for place in wanted), key=lambda ticket: order(queue.id, reviewer, ticket))
    else:
        turn = next(iter(put_off), None)
    return Waiting(turn, len(in_hand) + len(wanted) + len(put_off))


def order(queue: str, reviewer: str, ticket: str) -> bytes:
    """Where an item stands in a reviewer's own order."""
    return blake2b("\0".join((queue, reviewer, ticket)).encode(errors="surrogatepass"), digest_size=8, person=b"turn").digest()


def _is_shown(row: Row | None) -> bool:
    return row is not None and row.state == "shown"


def _is_open(queue: Queue, place: Place, others: Sequence[Row], role: Role, now: datetime) -> bool:
    if place.state == "withdrawn":
        return False
    if role == "senior":
        return place.state == "disputed"
    if place.is_gold:
        return True
    since = now - timedelta(seconds=queue.lease_s)
    taken = sum(row.state in ("given", "flagged") or (row.state == "shown" and row.shown_at > since) for row in others)
    return taken < queue.reviewers
