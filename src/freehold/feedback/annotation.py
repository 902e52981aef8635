"""How a task's answers were labelled: what reviewers were told, how items were drawn, who judged how well, how far they agree, what they got.

People are in it by pseudonym and number, never by name.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

import msgspec

from freehold.catalog import Catalog
from freehold.feedback.agreement import Agreement, Estimate
from freehold.feedback.credits import credits_of
from freehold.feedback.label import PERSON
from freehold.feedback.queues import queues_of
from freehold.feedback.review_status import ReviewStatus, status_of, tariff_of
from freehold.journal.answers import metrics_of, session_items
from freehold.journal.costs import labels_given
from freehold.store.open import Store
from freehold.tables import CreditsTable


class Rater(msgspec.Struct, frozen=True, kw_only=True):
    """One of those who judged a round."""

    name: str
    """The pseudonym."""
    is_senior: bool
    """Whether they decided where others disagreed."""
    given: int
    """Verdicts."""
    accepted: int
    """Those that agree with what their items came to."""
    gold: int
    """Items with known answers that they judged."""
    gold_missed: int
    """Those they got wrong."""
    accuracy: Estimate | None
    """How often a verdict on an answer is right, by what all say."""
    median_s: float | None
    """What a verdict takes them, in seconds."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """A queue of items that people judged."""

    metric: str
    """What was judged."""
    guidelines: str
    """What reviewers were told."""
    rule: str
    """By what items were chosen."""
    frame: int
    """How many could be drawn."""
    size: int
    """About how many were to be drawn."""
    explore: float
    """The share of the draw that looked at no rule."""
    least_inclusion: float | None
    """The least probability with which any item could be drawn; None where some could not be, so that labels certify nothing."""
    reviewers: int
    """How many judged each item."""
    is_unanimous: bool
    """Whether all of them had to agree; else more than half."""
    tags: tuple[str, ...]
    """What reviewers had to know about."""
    items: dict[str, int]
    """How many drawn items are in which state."""
    gold: int
    """Items with known answers among the others."""
    tariff_usd: float
    """What an accepted verdict earns."""
    by_worth: bool
    """Whether the tariff is weighed by what a verdict was worth."""
    agreement: Agreement | None
    """How far those agree who judged the same, with intervals; None where nobody did."""
    raters: tuple[Rater, ...]
    """Who judged it."""
    opened_at: datetime
    """When it was opened, UTC."""
    closed_at: datetime | None
    """When it was closed, UTC; None while it is open."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Items that one person labelled at a time, in one random order."""

    metric: str
    """What was judged."""
    items: int
    """How many were drawn, those that need nobody among them."""
    least_inclusion: float
    """The least probability with which one was drawn."""


class Annotation(msgspec.Struct, frozen=True, kw_only=True):
    """How a task's answers were labelled."""

    task: str
    """The task."""
    people: int
    """How many people gave labels."""
    labels: dict[str, int]
    """How many labels each gave, by pseudonym; those that came by import under `import`."""
    earned_usd: float
    """What was booked for verdicts altogether."""
    rounds: tuple[Round, ...]
    """The review queues, oldest first."""
    sessions: tuple[Session, ...]
    """What was drawn to be labelled outside of queues, by metric."""


class Told(NamedTuple):
    """The protocol, and by what people are told."""

    annotation: Annotation
    """The protocol."""
    pseudonyms: dict[str, str]
    """By name."""


def annotation_of(store: Store, tenant: str, task: str, catalog: Catalog, credits: CreditsTable, others: Iterable[str]) -> Told:
    """The protocol, and the pseudonym of everybody in it and of `others`, who are named elsewhere."""
    labels = labels_given(store, tenant, task)
    queues = queues_of(store, tenant, task)
    status = [status_of(store, queue, catalog.metric(queue.metric), credits) for queue in queues]
    people = {source.removeprefix(PERSON) for source in labels if source.startswith(PERSON)}
    people |= {rater.reviewer for one in status for rater in one.reviewers}
    names = pseudonyms(task, people | set(others))
    rows = [row for row in credits_of(store, tenant) if row.task == task and row.about.startswith("verdict ")]
    drawn = {metric: session_items(store, tenant, task, metric) for metric in metrics_of(store, tenant, task)}
    annotation = Annotation(
        task=task,
        people=len(people),
        labels={names[source.removeprefix(PERSON)] if source.startswith(PERSON) else source: count for source, count in labels.items()},
        earned_usd=sum(row.amount_nano for row in rows) / 1e9,
        rounds=tuple(_round(one, tariff_of(one.queue, credits), names) for one in status),
        sessions=tuple(
            Session(metric=metric, items=len(items), least_inclusion=min(items.values())) for metric, items in drawn.items() if items
        ),
    )
    return Told(annotation, names)


def pseudonyms(task: str, people: Iterable[str]) -> dict[str, str]:
    """A number for everybody, in an order that says nothing about them."""
    ordered = sorted(people, key=lambda name: sha256(f"{task}\0{name}".encode(errors="surrogatepass")).digest())
    return {name: f"rater-{n}" for n, name in enumerate(ordered, 1)}


def _round(one: ReviewStatus, tariff: CreditsTable, names: Mapping[str, str]) -> Round:
    queue = one.queue
    return Round(
        metric=queue.metric,
        guidelines=queue.guidelines,
        rule=queue.rule,
        frame=queue.frame,
        size=queue.size,
        explore=queue.explore,
        least_inclusion=queue.floor,
        reviewers=queue.reviewers,
        is_unanimous=queue.is_unanimous,
        tags=queue.tags,
        items=one.items,
        gold=one.gold,
        tariff_usd=tariff.tasks.get(queue.task, tariff.per_verdict_usd),
        by_worth=tariff.by == "worth",
        agreement=one.agreement,
        raters=tuple(
            Rater(
                name=names[rater.reviewer],
                is_senior=rater.is_senior,
                given=rater.given,
                accepted=rater.accepted,
                gold=rater.gold,
                gold_missed=rater.gold_missed,
                accuracy=rater.accuracy,
                median_s=rater.median_s,
            )
            for rater in sorted(one.reviewers, key=lambda rater: names[rater.reviewer])
        ),
        opened_at=queue.opened_at,
        closed_at=queue.closed_at,
    )
