"""Queues as their owner sees them: what there is, how far each is, everything in it handed out."""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
from sqlalchemy import select

from freehold.catalog import Metric
from freehold.chat import JSON
from freehold.feedback.queue import Queue, QueueItem, Verdict, missed
from freehold.feedback.settle import items_of, queue_of, verdicts_of
from freehold.store.open import Store
from freehold.store.schema import review_items, review_queues


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How far a queue is."""

    queue: Queue
    """The queue."""
    items: dict[str, int]
    """How many items are in which state."""
    gold: int
    """Gold items among them."""


def queues_of(store: Store, tenant: str, task: str | None = None) -> list[Queue]:
    """Every queue, or those of a task, the oldest first."""
    q = review_queues.c
    wanted = select(q.body).where(q.tenant == tenant).order_by(q.seq)
    with store.reading() as connection:
        rows = connection.execute(wanted if task is None else wanted.where(q.task == task)).scalars().all()
    return [msgspec.json.decode(body, type=Queue) for body in rows]


def find_queue(store: Store, tenant: str, id: str) -> Queue:
    """The queue of that id, or the only one whose id begins so. Raises CallerError."""
    with store.reading() as connection:
        return queue_of(connection, tenant, id)


def standings(store: Store, queues: Sequence[Queue]) -> list[Standing]:
    """How far each queue is."""
    i = review_items.c
    found = []
    with store.reading() as connection:
        for queue in queues:
            rows = connection.execute(select(i.state, i.is_gold).where(i.tenant == queue.tenant, i.queue == queue.id)).all()
            states = Counter(row.state for row in rows)
            found.append(Standing(queue=queue, items=dict(states), gold=sum(row.is_gold for row in rows)))
    return found


def contents(store: Store, queue: Queue) -> tuple[list[QueueItem], list[Verdict]]:
    """Everything that is in a queue."""
    with store.reading() as connection:
        return items_of(connection, queue), verdicts_of(connection, queue)


def export(store: Store, queue: Queue, metric: Metric) -> Iterator[dict[str, JSON]]:
    """Every verdict as a JSON object, and every item without one. Answers are named by their hashes."""
    items, verdicts = contents(store, queue)
    by_ticket: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        by_ticket.setdefault(verdict.ticket, []).append(verdict)
    for item in items:
        about: dict[str, JSON] = {
            "queue": queue.id,
            "task": queue.task,
            "metric": queue.metric,
            "item": item.item,
            "state": item.state,
            "is_drawn": item.is_drawn,
            "inclusion": item.inclusion,
            "is_gold": item.is_gold,
        }
        said = by_ticket.get(item.ticket, [])
        for verdict in said:
            yield about | _exported(queue, item, verdict, metric)
        if not said:
            yield about | {"reviewer": None}


def _exported(queue: Queue, item: QueueItem, verdict: Verdict, metric: Metric) -> dict[str, JSON]:
    scores: dict[str, JSON] = dict(verdict.said.scores)
    is_given = verdict.state == "given"
    return {
        "reviewer": verdict.reviewer,
        "role": verdict.said.role,
        "said": verdict.state,
        "scores": scores,
        "correction": verdict.said.correction,
        "comment": verdict.said.comment or None,
        "reason": verdict.said.reason or None,
        "seconds": verdict.said.seconds,
        "at": None if verdict.at is None else verdict.at.isoformat(),
        "is_excluded": verdict.reviewer in queue.excluded,
        "missed_gold": missed(item.expected, verdict.said.scores, metric) if item.expected is not None and is_given else None,
    }
