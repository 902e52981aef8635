"""What verdicts make of an item, in the store: after each of them its state and its feedback are what `queue.decide` says, and nothing else.

Called within the transaction that changes a verdict, so that feedback is never without its verdict nor a verdict without its feedback.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from freehold.errors import CallerError, nearest
from freehold.feedback.label import PERSON
from freehold.feedback.question import Ballot, feedback_rows
from freehold.feedback.queue import Queue, QueueItem, Said, Verdict, decide
from freehold.journal.build import feedback_id
from freehold.journal.call import Feedback
from freehold.journal.read import slices
from freehold.journal.rows import FEEDBACK_COLUMNS, feedback_values
from freehold.store.open import Store
from freehold.store.schema import feedback, review_items, review_queues, review_verdicts
from freehold.store.times import microseconds, moment

_REVIEWING = 0x726576696577
"""Key of the advisory lock that one change of the queues at a time holds on PostgreSQL: 'review'."""


class ItemBody(msgspec.Struct, frozen=True):
    """What an item's row holds beside its columns."""

    ballot: Ballot
    expected: dict[str, float] | None = None


def alone(store: Store, connection: Connection) -> None:
    """Nobody else changes queues until this transaction ends. SQLite has one writer anyway."""
    if store.kind == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_REVIEWING)))


def queue_of(connection: Connection, tenant: str, id: str) -> Queue:
    """The queue of that id, or the only one whose id begins so. Raises CallerError."""
    q = review_queues.c
    rows = connection.execute(select(q.id, q.body).where(q.tenant == tenant, q.id.startswith(id, autoescape=True)).limit(2)).all()
    if len(rows) == 1 and id:
        return msgspec.json.decode(rows[0].body, type=Queue)
    known = connection.execute(select(q.id).where(q.tenant == tenant)).scalars().all()
    raise CallerError(f"There is no review queue '{id}'.{nearest(id, list(known))} 'freehold review list' shows them.")


def put_queue(connection: Connection, queue: Queue, is_new: bool = False) -> None:
    """Keeps a queue as it is now."""
    values: dict[str, Any] = {"floor": queue.floor, "body": msgspec.json.encode(queue)}
    values["closed_at"] = None if queue.closed_at is None else microseconds(queue.closed_at)
    if is_new:
        named = {
            "tenant": queue.tenant,
            "id": queue.id,
            "task": queue.task,
            "metric": queue.metric,
            "at": microseconds(queue.opened_at),
            "frame": queue.frame,
        }
        connection.execute(insert(review_queues).values(**named, **values))
    else:
        connection.execute(update(review_queues).where(review_queues.c.id == queue.id).values(**values))


def items_of(connection: Connection, queue: Queue, tickets: Sequence[str] | None = None) -> list[QueueItem]:
    """A queue's items, or those of these tickets, in the order in which they were drawn."""
    i = review_items.c
    wanted = select(review_items).where(i.tenant == queue.tenant, i.queue == queue.id).order_by(i.seq)
    if tickets is None:
        return [_item(row) for row in connection.execute(wanted)]
    return [_item(row) for some in slices(tickets) for row in connection.execute(wanted.where(i.ticket.in_(some)))]


def verdicts_of(connection: Connection, queue: Queue, tickets: Sequence[str] | None = None, reviewer: str | None = None) -> list[Verdict]:
    """What reviewers were shown and said in a queue, of all items or of these, everybody or one of them, in the order in which it was
    first shown."""
    v = review_verdicts.c
    wanted = select(review_verdicts).where(v.tenant == queue.tenant, v.queue == queue.id).order_by(v.seq)
    if reviewer is not None:
        wanted = wanted.where(v.reviewer == reviewer)
    if tickets is None:
        return [_verdict(row) for row in connection.execute(wanted)]
    return [_verdict(row) for some in slices(tickets) for row in connection.execute(wanted.where(v.ticket.in_(some)))]


def settle(store: Store, connection: Connection, queue: Queue, tickets: Iterable[str]) -> None:
    """Makes states and feedback of these items what their verdicts say."""
    wanted = list(dict.fromkeys(tickets))
    by_ticket: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts_of(connection, queue, wanted):
        by_ticket[verdict.ticket].append(verdict)
    stale: list[str] = []
    said: list[Feedback] = []
    for item in items_of(connection, queue, wanted):
        decision = decide(queue, by_ticket[item.ticket])
        if item.state != "withdrawn" and decision.state != item.state:
            here = (review_items.c.queue == queue.id) & (review_items.c.ticket == item.ticket)
            connection.execute(update(review_items).where(here).values(state=decision.state))
        if item.is_drawn:
            stale += [id for verdict in by_ticket[item.ticket] for id in _ids(queue, item, verdict.reviewer)]
            said += [row for verdict in decision.accepted for row in rows_of(queue, item, verdict)]
    for some in slices(stale):
        connection.execute(delete(feedback).where(feedback.c.id.in_(some)))
    if said:
        store.insert_new(connection, "feedback", FEEDBACK_COLUMNS, "id", [feedback_values(one) for one in said])


def rows_of(queue: Queue, item: QueueItem, verdict: Verdict) -> list[Feedback]:
    """The feedback of an accepted verdict."""
    at, source = verdict.at or verdict.shown_at, PERSON + verdict.reviewer
    rows = feedback_rows(
        item.ballot, verdict.said.scores, verdict.said.correction, queue.metric, queue.tenant, source, item.inclusion, at, queue.id
    )
    if not verdict.said.comment:
        return rows
    comment = Feedback(
        id=feedback_id(item.ballot.reference, queue.metric, source, f"comment {queue.id}"),
        tenant=queue.tenant,
        call=item.ballot.reference,
        metric=queue.metric,
        kind="comment",
        content=verdict.said.comment,
        source=source,
        at=at,
    )
    return [*rows, comment]


def _ids(queue: Queue, item: QueueItem, reviewer: str) -> list[str]:
    """The ids of everything that a reviewer's verdict may have become."""
    source, ballot = PERSON + reviewer, item.ballot
    ids = [feedback_id(call, queue.metric, source, f"label {queue.id}") for calls in ballot.calls.values() for call in calls]
    return [*ids, *(feedback_id(ballot.reference, queue.metric, source, f"{kind} {queue.id}") for kind in ("correction", "comment"))]


def _item(row: Row[Any]) -> QueueItem:
    body = msgspec.json.decode(row.body, type=ItemBody)
    return QueueItem(
        ticket=row.ticket,
        item=row.item,
        state=row.state,
        is_gold=bool(row.is_gold),
        is_drawn=bool(row.is_drawn),
        inclusion=row.inclusion,
        ballot=body.ballot,
        expected=body.expected,
    )


def _verdict(row: Row[Any]) -> Verdict:
    return Verdict(
        ticket=row.ticket,
        reviewer=row.reviewer,
        state=row.state,
        shown_at=moment(row.shown_at),
        at=None if row.at is None else moment(row.at),
        said=msgspec.json.decode(row.body, type=Said),
    )
