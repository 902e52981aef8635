"""Who answered a task, by what it was judged, and which of its items were drawn to be labelled."""

from sqlalchemy import select

from freehold.journal.call import TRUTH
from freehold.journal.rows import tags_of as decoded
from freehold.store.open import Store
from freehold.store.schema import calls, draws, feedback


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
    """Items of finished labelling draws and the probability with which each was drawn."""
    wanted = select(draws.c.item, draws.c.inclusion).where(draws.c.tenant == tenant, draws.c.task == task, draws.c.session == metric)
    with store.reading() as connection:
        return {row.item: row.inclusion for row in connection.execute(wanted)}


def items_of_subject(store: Store, tenant: str, subject: str) -> list[tuple[str, str]]:
    """Task and item of every call about a person that belongs to a task."""
    c = calls.c
    wanted = select(c.task, c.item).where(c.tenant == tenant, c.subject == subject, c.task.is_not(None)).distinct()
    with store.reading() as connection:
        return [(row.task, row.item) for row in connection.execute(wanted)]
