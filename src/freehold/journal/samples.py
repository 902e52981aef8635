"""Samples of a task's items that were put to variants: what was drawn for whom, in which order, and how far each has come with it.

A sample is kept before anybody is asked, among the draws, under a session of its own for each variant. It is asked in its order, and so its
beginning, as far as a variant has come, certifies as well: also where a budget made it stop there (docs/ask.md).
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import delete, insert, select

from freehold.store.open import Store
from freehold.store.schema import calls, draws
from freehold.store.times import microseconds, moment

_SESSION = "ask"
"""What the sessions of samples begin with; those of labels are called by their metric."""


class Sample(NamedTuple):
    """A simple random sample of a task's items."""

    seed: int
    """What it was drawn with."""
    items: tuple[str, ...]
    """In the order in which they are asked."""
    inclusion: float
    """The probability with which each of them was drawn."""
    at: datetime
    """When it, or the smaller one it goes on from, was drawn."""


def keep_sample(store: Store, tenant: str, task: str, variants: Iterable[str], sample: Sample) -> None:
    """Keeps what is to be put to these variants. Takes the place of what was drawn for them before."""
    named = {"tenant": tenant, "task": task, "inclusion": sample.inclusion, "at": microseconds(sample.at)}
    of_task = (draws.c.tenant == tenant) & (draws.c.task == task)
    with store.writing() as connection:
        sessions = list(connection.execute(select(draws.c.session).where(of_task).distinct()).scalars())
        for variant in variants:
            earlier = [session for session in sessions if (found := _read(session)) is not None and found[1] == variant]
            connection.execute(delete(draws).where(of_task, draws.c.session.in_(earlier)))
            session = f"{_SESSION}:{sample.seed}:{variant}"
            connection.execute(
                insert(draws), [{**named, "session": session, "position": n, "item": item} for n, item in enumerate(sample.items)]
            )


def samples_of(store: Store, tenant: str, task: str) -> dict[str, Sample]:
    """What was drawn for each variant."""
    d = draws.c
    wanted = (
        select(d.session, d.item, d.inclusion, d.at)
        .where(d.tenant == tenant, d.task == task, d.session.startswith(f"{_SESSION}:"))
        .order_by(d.session, d.position)
    )
    found: dict[str, Sample] = {}
    with store.reading() as connection:
        for session, rows in groupby(connection.execute(wanted).all(), key=lambda row: row.session):
            if (named := _read(session)) is not None:
                drawn = list(rows)
                items = tuple(row.item for row in drawn)
                found[named[1]] = Sample(named[0], items, drawn[0].inclusion, moment(drawn[0].at))
    return found


def reached(store: Store, tenant: str, task: str) -> dict[str, dict[str, float]]:
    """By variant the items of its sample that it has come through, and the probability with which each of those was drawn.

    It has come through all items before the first that it was not asked. An item on which it failed is one of them: to leave those out
    would keep the ones it is good at.
    """
    samples = samples_of(store, tenant, task)
    if not samples:
        return {}
    asked = _asked(store, tenant, task, list(samples))
    return {variant: _through(sample, asked.get(variant, set())) for variant, sample in samples.items()}


def _through(sample: Sample, asked: set[str]) -> dict[str, float]:
    through = next((n for n, item in enumerate(sample.items) if item not in asked), len(sample.items))
    return dict.fromkeys(sample.items[:through], sample.inclusion * through / len(sample.items))


def _asked(store: Store, tenant: str, task: str, variants: list[str]) -> dict[str, set[str]]:
    """The items of the task that each variant was asked, whatever came of it. What we broke off ourselves was not asked."""
    c = calls.c
    wanted = select(c.variant, c.item).where(c.tenant == tenant, c.task == task, c.variant.in_(variants), c.outcome != "cancelled")
    found: dict[str, set[str]] = defaultdict(set)
    with store.reading() as connection:
        for row in connection.execute(wanted.distinct()):
            found[row.variant].add(row.item)
    return found


def _read(session: str) -> tuple[int, str] | None:
    """Seed and variant of a sample's session; None for a session of labels."""
    kind, _, rest = session.partition(":")
    seed, colon, variant = rest.partition(":")
    return (int(seed), variant) if kind == _SESSION and colon and seed.isdecimal() else None
