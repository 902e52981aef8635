"""Where what is said belongs: to which tasks, and so how much of its words is kept, and whether what it is about is there yet."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from freehold.catalog import Catalog, Content
from freehold.errors import CallerError
from freehold.feedback.early import hold
from freehold.journal.call import Feedback
from freehold.journal.read import About, items_of, tasks_about
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
    """Where one saying belongs. `journal`: what the journal keeps where a task does not say. Raises CallerError for a preference between
    answers to different questions, OperatorError where the journal cannot be read."""
    return _places_of(store, catalog, journal, [said])[0]


def _places_of(store: Store, catalog: Catalog, journal: Content, sayings: Sequence[Sequence[Feedback]]) -> list[Place]:
    tenant = sayings[0][0].tenant
    known = tasks_about(store, tenant, list(dict.fromkeys(about(one) for said in sayings for one in said)))
    compared = {one.call for said in sayings for one in said if one.kind == "preference" and one.call is not None}
    items = items_of(store, tenant, sorted(compared)) if compared else {}
    places: list[Place] = []
    for said in sayings:
        asked = {items[one.call] for one in said if one.kind == "preference" and one.call in items}
        if len(asked) > 1:
            raise CallerError(
                f"preference compares calls that answer different questions ({', '.join(sorted(asked))}); expected two of one item"
            )
        early = tuple(one for one in said if about(one) not in known)
        tasks = {None, *catalog.tasks} if early else set().union(*(known[about(one)] for one in said))
        places.append(Place(strictest(catalog, journal, tasks), early))
    return places


def about(said: Feedback) -> About:
    """What it is said about."""
    return ("call", said.call) if said.call is not None else ("episode", said.episode or "")


def strictest(catalog: Catalog, journal: Content, tasks: Iterable[str | None]) -> Content:
    """What is kept of what may belong to any of these tasks."""

    def kept(name: str | None) -> Content:
        task = catalog.tasks.get(name or "")
        return (task.content if task else None) or journal

    return max(map(kept, tasks), key=_STRICTER.index)


def attach(
    store: Store, catalog: Catalog, journal: Content, rule: FeedbackTable, sayings: Sequence[Sequence[Feedback]], now: datetime
) -> tuple[Appended, int]:
    """Stores what the operator has to say, or brings from elsewhere, with as much of its words as may be kept. Gives also how many pieces
    wait for their calls, which has no limit here. Raises CallerError, OperatorError."""
    places = _places_of(store, catalog, journal, sayings)
    early = [one for place in places for one in place.early]
    if early:
        hold(store, early[0].tenant, early, rule, now, is_limited=False)
    kept = [redact_feedback(one, place.content) for said, place in zip(sayings, places, strict=True) for one in said]
    return append_feedback(store, kept), len(early)
