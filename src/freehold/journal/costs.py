"""What calls of a task cost and used, without what was asked and answered in them; and what a task's labels and judges took."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import func, or_, select, tuple_

from freehold.chat import Usage
from freehold.journal.rows import tags_of
from freehold.store.open import Store
from freehold.store.schema import calls, contents, feedback

TRIALS = frozenset({"ask", "explore", "evaluate", "judge"})
"""Sources of calls that nobody waited for: they were made to learn something."""
JUDGES = "judge:"
"""What the tasks begin with that judges' calls belong to."""


class Costed(NamedTuple):
    """One call, as far as money goes."""

    id: str
    """The call's id."""
    item: str
    """What was asked, by name."""
    variant: str
    """Who answered."""
    source: str
    """How it came in."""
    at_us: int | None
    """When it was asked, microseconds since 1970 UTC."""
    episode: str | None
    """The run it is part of, else the group of items that depend on each other."""
    cost_usd: float | None
    """What it cost; None is unknown."""
    usage: Usage | None
    """What it used; None is unknown."""

    @property
    def is_trial(self) -> bool:
        """Whether nobody waited for it."""
        return self.source in TRIALS


class Cost(NamedTuple):
    """What some calls cost."""

    calls: int = 0
    """How many."""
    known_usd: float = 0.0
    """What those cost of which that is known."""
    unknown: int = 0
    """How many the others are."""

    def and_one(self, cost_usd: float | None) -> "Cost":
        """With another call."""
        return Cost(self.calls + 1, self.known_usd + (cost_usd or 0.0), self.unknown + (cost_usd is None))

    def __add__(self, other: tuple[Any, ...]) -> "Cost":
        """With other calls."""
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))


class _Body(msgspec.Struct, gc=False):
    usage: Usage | None = None
    source: str = "import"


_decode = msgspec.json.Decoder(_Body).decode


def costs(store: Store, tenant: str, task: str, page: int = 10_000) -> Iterator[Costed]:
    """The calls of a task, ordered by item, so many read at a time."""
    c, k = calls.c, contents.c
    wanted = (
        select(c.id, c.item, c.variant, c.at, c.episode, c.group, c.cost_usd, c.body, k.data, k.digest, c.seq)
        .outerjoin_from(calls, contents, (k.digest == c.body_digest) & (k.tenant == c.tenant))
        .where(c.tenant == tenant, c.task == task)
        .order_by(c.item, c.seq)
        .limit(page)
    )
    after: tuple[Any, ...] | None = None
    while True:
        with store.reading() as connection:
            rows = connection.execute(wanted if after is None else wanted.where(tuple_(c.item, c.seq) > after)).all()
        for row in rows:
            body = _decode(row.body or row.data or store.blobs.get(row.digest.hex()))
            yield Costed(row.id, row.item, row.variant, body.source, row.at, row.episode or row.group, row.cost_usd, body.usage)
        if len(rows) < page:
            return
        after = (rows[-1].item, rows[-1].seq)


def judging_costs(store: Store, tenant: str) -> dict[str, Cost]:
    """What judges' calls cost, by the call that was judged."""
    c = calls.c
    wanted = select(c.tags, c.cost_usd).where(c.tenant == tenant, c.task.startswith(JUDGES, autoescape=True), c.tags.is_not(None))
    found: dict[str, Cost] = {}
    with store.reading() as connection:
        for tags, cost_usd in connection.execute(wanted):
            if judged := tags_of(tags).get("judged"):
                found[judged] = found.get(judged, Cost()).and_one(cost_usd)
    return found


def trial_costs(store: Store, tenant: str, task: str) -> Cost:
    """What candidates' calls cost that evaluations made: they belong to a task of their own."""
    c = calls.c
    wanted = select(func.count(), func.count(c.cost_usd), func.sum(c.cost_usd)).where(c.tenant == tenant, c.task == f"{task}@candidates")
    with store.reading() as connection:
        count, priced, summed = connection.execute(wanted).one()
    return Cost(count, float(summed or 0.0), count - priced)


def labels_given(store: Store, tenant: str, task: str) -> dict[str, int]:
    """How many labels people gave to items of the task, by source: one for each person and item. What came by import counts where it was drawn."""
    c, f = calls.c, feedback.c
    is_labour = or_(f.source.startswith("person:", autoescape=True), (f.source == "import") & f.design.in_(("audit", "census")))
    given = (
        select(c.item, f.source)
        .join_from(calls, feedback, f.call == c.id)
        .where(c.tenant == tenant, c.task == task, f.tenant == tenant, f.kind != "comment", is_labour)
        .distinct()
        .subquery()
    )
    with store.reading() as connection:
        rows = connection.execute(select(given.c.source, func.count()).group_by(given.c.source).order_by(given.c.source)).all()
    return {str(source): int(count) for source, count in rows}
