"""How far the journal can be read in the order of arrival without missing what is still to come in before.

A row takes its place when it is inserted, and is seen when its transaction is committed. Where several transactions write at once, as on
PostgreSQL, one with an earlier place may be committed after a later one was read. So whoever reads on from a place takes note of the newest places
first, and reads up to them once every transaction that was adding to the journal then has ended.
"""

import asyncio
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import func, select

from freehold.store.open import Store
from freehold.store.schema import calls, draws, feedback

_LOOK_S = 0.02
_LONGEST = timedelta(hours=1)
"""After that a transaction that is still open is none that adds to a journal."""


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """The newest places of each table at one moment."""

    calls: int
    """Of calls."""
    feedback: int
    """Of feedback."""
    draws: int
    """Of draws for labels."""
    writers: tuple[str, ...] = ()
    """The transactions that were open then, in which rows may have earlier places."""
    at: datetime
    """When that was, UTC."""


def newest(store: Store, now: datetime) -> Reach:
    """The newest places there are now."""
    with store.reading() as connection:
        places = [int(connection.execute(select(func.max(table.c.seq))).scalar_one() or 0) for table in (calls, feedback, draws)]
    return Reach(calls=places[0], feedback=places[1], draws=places[2], writers=store.writers(), at=now)  # in this order


def is_final(store: Store, reach: Reach, now: datetime) -> bool:
    """Whether nothing can come in before its places any more."""
    return not reach.writers or store.are_over(reach.writers) or now - reach.at > _LONGEST


async def settled(store: Store, earlier: Reach | None, now: datetime, wait_s: float) -> tuple[Reach | None, Reach | None]:
    """How far can be read now, and what has to be waited for beyond that; None for nothing. `earlier`: what was waited for the last time.

    Who writes now has ended a moment later as a rule: that is waited for, `wait_s` at most. Raises OperatorError.
    """
    if earlier is not None and not await asyncio.to_thread(is_final, store, earlier, now):
        return None, earlier
    reach, loop = await asyncio.to_thread(newest, store, now), asyncio.get_running_loop()
    until = loop.time() + wait_s
    while not await asyncio.to_thread(is_final, store, reach, now):
        if loop.time() >= until:
            return earlier, reach
        await asyncio.sleep(_LOOK_S)
    return reach, None
