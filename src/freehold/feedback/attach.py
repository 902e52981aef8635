"""Where what is said belongs: to which tasks, and so how much of its words is kept, and whether what it is about is there yet."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from freehold.catalog import Catalog, Content
from freehold.errors import CallerError
from freehold.feedback.early import hold
from freehold.journal.call import Feedback
from freehold.journal.read import items_of, tasks_about
from freehold.journal.redact import redact_feedback
from freehold.journal.write import Appended, append_feedback
from freehold.store.open import Store
from freehold.tables import FeedbackTable

_STRICTER: tuple[Content, ...] = ("full", "redacted", "none")


class Place(NamedTuple):
    """What is known of what something is said about."""

    content: Content
    """What is kept of it: as little as the strictest of its tasks keeps, or of all tasks where nobody knows whose it is."""
    early: tuple[Feedback, ...]
    """What is about a call or an episode that the journal does not have."""


def place_of(store: Store, catalog: Catalog, journal: Content, said: Sequence[Feedback]) -> Place:
    """Where it belongs. `journal`: what the journal keeps where a task does not say. Raises CallerError for a preference between answers to
    different questions, OperatorError where the journal cannot be read."""
    tasks: set[str | None] = set()
    early: list[Feedback] = []
    for one in said:
        found = tasks_about(store, one)
        tasks |= found
        if not found:
            early.append(one)
    compared = sorted({one.call for one in said if one.kind == "preference" and one.call is not None})
    if len(compared) > 1 and len(asked := set(items_of(store, said[0].tenant, compared).values())) > 1:
        raise CallerError(
            f"preference compares calls that answer different questions ({', '.join(sorted(asked))}); expected two of one item"
        )
    return Place(strictest(catalog, journal, [None, *catalog.tasks] if early else tasks), tuple(early))


def strictest(catalog: Catalog, journal: Content, tasks: Sequence[str | None] | set[str | None]) -> Content:
    """What is kept of what may belong to any of these tasks."""

    def kept(name: str | None) -> Content:
        task = catalog.tasks.get(name or "")
        return (task.content if task else None) or journal

    return max(map(kept, tasks), key=_STRICTER.index)


def attach(
    store: Store, catalog: Catalog, journal: Content, rule: FeedbackTable, said: Sequence[Feedback], now: datetime
) -> tuple[Appended, Place]:
    """Stores what somebody said at once, with as much of its words as may be kept. Raises CallerError, NoRoom among them."""
    place = place_of(store, catalog, journal, said)
    if place.early:
        hold(store, said[0].tenant, place.early, rule, now)
    return append_feedback(store, [redact_feedback(one, place.content) for one in said]), place
