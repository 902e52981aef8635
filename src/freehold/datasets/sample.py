"""A random sample of a task's recorded items, and which answers to them are there already.

The unit is the item, a question that was asked once or often: it is what certificates average over. They test by groups, which take what the
sample has of each; items that are drawn from everywhere spread over more groups than whole groups would for the same money.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from heapq import nsmallest
from itertools import chain, groupby
from typing import NamedTuple

from freehold.journal.call import Call
from freehold.journal.read import Answer, answers, calls_by_id
from freehold.journal.samples import Sample
from freehold.store.open import Store
from freehold.store.times import microseconds

RESPONDED = frozenset({"answered", "refused", "malformed"})
"""How a call ended to which its variant said something, whatever it was: to ask again until it pleases would flatter it."""


class Drawn(NamedTuple):
    """A sample and what it was drawn from."""

    sample: Sample
    frame: int
    """How many items could be drawn."""


class Item(NamedTuple):
    """One item of a sample."""

    asked: Call
    """A call that holds its question: the reference's, where it has one."""
    calls: tuple[Call, ...]
    """What the journal has of the reference and the variants, in order of arrival: of each the last that responded, and all since the sample
    was drawn that no policy chose."""

    def responded(self, variant: str) -> bool:
        """Whether a variant has said something to it."""
        return any(call.variant == variant and call.outcome in RESPONDED for call in self.calls)


def draw(store: Store, tenant: str, task: str, answered_by: str | None, size: int, seed: int, now: datetime) -> Drawn:
    """Draws `size` of the task's items whose question is kept and, where `answered_by` is given, that it answered; all of them where they
    are fewer.

    Those whose hash is least: the same seed draws the same items in the same order, and a larger sample goes on from a smaller one.
    """
    frame = 0

    def items() -> Iterator[str]:
        nonlocal frame
        for item, rows in by_item(store, tenant, task):
            if any(row.input is not None for row in rows) and (answered_by is None or any(_is_answer(row, answered_by) for row in rows)):
                frame += 1
                yield item

    drawn = nsmallest(size, items(), key=lambda item: (drawn_at(seed, tenant, task, item), item))
    return Drawn(Sample(seed, tuple(drawn), len(drawn) / frame if frame else 0.0, now), frame)


def items_of(store: Store, tenant: str, task: str, sample: Sample, reference: str, variants: Sequence[str]) -> list[Item]:
    """The items of a sample, in its order. One that was erased since, or whose question was, is left out."""
    wanted, since_us = set(sample.items), microseconds(sample.at)
    needed: dict[str, tuple[str, list[str]]] = {}
    for item, rows in by_item(store, tenant, task):
        if item in wanted and (with_question := [row for row in rows if row.input is not None]):
            asked = next((row for row in reversed(with_question) if row.variant == reference), with_question[-1])
            ours = [row for row in rows if row.variant in (reference, *variants)]
            last = {row.variant: row.call for row in ours if row.outcome in RESPONDED}
            kept = [row for row in ours if row.call == last.get(row.variant) or (row.policy is None and (row.at_us or 0) >= since_us)]
            needed[item] = asked.call, [row.call for row in kept]
    with store.reading() as connection:
        found = calls_by_id(store, connection, sorted({id for asked, ours in needed.values() for id in (asked, *ours)}))
    return [
        Item(found[asked], tuple(found[call] for call in ours if call in found))
        for asked, ours in (needed[item] for item in sample.items if item in needed)
        if asked in found
    ]


def by_item(store: Store, tenant: str, task: str) -> Iterator[tuple[str, list[Answer]]]:
    """The columns of a task's calls, item by item."""
    rows = chain.from_iterable(answers(store, tenant, task))
    return ((item, list(of_item)) for item, of_item in groupby(rows, key=lambda row: row.item))


def _is_answer(row: Answer, variant: str) -> bool:
    return row.variant == variant and row.outcome == "answered"


def drawn_at(seed: int, tenant: str, task: str, item: str) -> bytes:
    """Where an item stands in the random order of a seed. It is none of the orders of labels, nor what parts a data set."""
    return blake2b("\x00".join((str(seed), tenant, task, item)).encode(errors="surrogatepass"), digest_size=16, person=b"ask").digest()
