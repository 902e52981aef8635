"""Who answered a task, by what it was judged, and which of its items were drawn to be labelled."""

from sqlalchemy import Connection, func, select

from freehold.journal.call import TRUTH
from freehold.journal.rows import tags_of as decoded
from freehold.store.open import Store
from freehold.store.schema import calls, draws, feedback, review_queues

REVIEW = "review"
"""What the sessions of review queues begin with among the draws; those of labels are called by their metric."""


def variants_of(store: Store, tenant: str, task: str) -> list[str]:
    """The variants that answered calls of the task, by name."""
    wanted = select(calls.c.variant).where(calls.c.tenant == tenant, calls.c.task == task).distinct().order_by(calls.c.variant)
    with store.reading() as connection:
        return list(connection.execute(wanted).scalars())


def tags_of(store: Store, tenant: str, task: str) -> tuple[str, ...]:
    """The names of tags that calls of the task carry."""
    wanted = select(calls.c.tags).where(calls.c.tenant == tenant, calls.c.task == task, calls.c.tags.is_not(None)).distinct()
    with store.reading() as connection:
        return tuple(sorted({name for (tags,) in connection.execute(wanted) for name in decoded(tags)}))


def metrics_of(store: Store, tenant: str, task: str) -> list[str]:
    """The metrics that calls of the task have scores of, by name."""
    wanted = (
        select(feedback.c.metric)
        .join(calls, calls.c.id == feedback.c.call)
        .where(calls.c.tenant == tenant, calls.c.task == task, feedback.c.value.is_not(None), feedback.c.metric != TRUTH)
        .distinct()
        .order_by(feedback.c.metric)
    )
    with store.reading() as connection:
        return list(connection.execute(wanted).scalars())


def drawn_items(store: Store, tenant: str, task: str, metric: str) -> dict[str, float]:
    """Items that were drawn to be labelled and the probability with which each was.

    Draws of labels and of review queues share one random order, so that an item that several could have drawn is in one of them with the
    greatest of its probabilities (`feedback/chance.py`).
    """
    found = session_items(store, tenant, task, metric)
    with store.reading() as connection:
        for item, inclusion in reviewed_items(connection, tenant, task, metric).items():
            found[item] = max(inclusion, found.get(item, 0.0))
    return found


def session_items(store: Store, tenant: str, task: str, metric: str) -> dict[str, float]:
    """Those of them that labelling sessions drew."""
    wanted = select(draws.c.item, draws.c.inclusion).where(draws.c.tenant == tenant, draws.c.task == task, draws.c.session == metric)
    with store.reading() as connection:
        return {row.item: row.inclusion for row in connection.execute(wanted)}


def reviewed_items(connection: Connection, tenant: str, task: str, metric: str) -> dict[str, float]:
    """Those of them that review queues drew, within a transaction of the caller's."""
    d, begins = draws.c, f"{REVIEW}:{metric}:"
    wanted = select(d.session, d.item, d.inclusion).where(d.tenant == tenant, d.task == task, d.session.startswith(begins, autoescape=True))
    found: dict[str, float] = {}
    for row in connection.execute(wanted):
        if ":" not in row.session[len(begins) :]:  # a metric's name may begin another's
            found[row.item] = max(row.inclusion, found.get(row.item, 0.0))
    return found


def least_inclusion(store: Store, tenant: str, task: str, metric: str) -> float | None:
    """The least probability with which any item could be drawn, where review queues drew some; None where they drew none.

    Every item that the newest draw could reach had at least that draw's floor, and at least the greatest floor of all draws from as many
    items: a task's items only become more, so that those were the same ones.
    """
    q, d = review_queues.c, draws.c
    queues = select(q.at, q.frame, q.floor).where(q.tenant == tenant, q.task == task, q.metric == metric, q.floor.isnot(None))
    ours = (d.tenant == tenant) & (d.task == task) & (d.session == metric)
    session = select(func.max(d.at), func.count(), func.min(d.inclusion)).where(ours)
    with store.reading() as connection:
        drawn = [(row.at, row.frame, row.floor) for row in connection.execute(queues)]
        at, count, inclusion = connection.execute(session).one()
    if not drawn:
        return None
    if count:
        drawn.append((at, round(count / inclusion), inclusion))
    newest = max(drawn)
    floors: list[float] = [floor for _, frame, floor in drawn if frame == newest[1]]
    return max(floors)


def items_of_subject(store: Store, tenant: str, subject: str) -> list[tuple[str, str]]:
    """Task and item of every call about a person that belongs to a task."""
    c = calls.c
    wanted = select(c.task, c.item).where(c.tenant == tenant, c.subject == subject, c.task.is_not(None)).distinct()
    with store.reading() as connection:
        return [(row.task, row.item) for row in connection.execute(wanted)]
