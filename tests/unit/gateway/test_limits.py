"""Limits let in what they say, in turn, over all workers, and refuse with word of when to come again."""

import asyncio
import mmap
import tempfile
from pathlib import Path

import pytest

from freehold.gateway.limits import LimitReached, Limits, Pass
from freehold.gateway.shared import MEMORY_BYTES, Shared
from freehold.tables import LimitsTable


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def limits(clock: Clock, shared: Shared | None = None, wait_s: float = 0.0, most: int = 100) -> Limits:
    return Limits(shared or Shared(), wait_s, most, clock)


def enter(door: Limits, how: LimitsTable, tokens: int = 0, caller: str = "") -> Pass | LimitReached | None:
    """What is said at once; None for a place in the line."""
    told: list[Pass | LimitReached] = []
    door.enter("model 'm'", how, tokens, caller, told.append, told.append)
    return told[0] if told else None


def test_a_bucket_of_requests_fills_evenly() -> None:
    clock = Clock()
    door, how = limits(clock), LimitsTable(requests_per_min=60)
    assert all(isinstance(enter(door, how), Pass) for _ in range(60))
    full = enter(door, how)
    assert isinstance(full, LimitReached)
    assert full.retry_after_s == pytest.approx(1.0)
    assert "60 requests_per_min" in str(full)
    clock.now += 1.0
    assert isinstance(enter(door, how), Pass)
    assert isinstance(enter(door, how), LimitReached)
    clock.now += 600
    assert sum(isinstance(enter(door, how), Pass) for _ in range(100)) == 60


def test_tokens_are_corrected_by_what_was_used() -> None:
    clock = Clock()
    door, how = limits(clock), LimitsTable(tokens_per_min=1_000)
    given = enter(door, how, 900)
    assert isinstance(given, Pass)
    assert isinstance(enter(door, how, 500), LimitReached)
    door.leave(given, 100)
    assert isinstance(enter(door, how, 500), Pass)
    more = enter(door, how, 400)
    assert isinstance(more, Pass)
    door.leave(more, 1_400)  # it answered at more length than was thought
    clock.now += 59
    assert isinstance(enter(door, how, 100), LimitReached)
    clock.now += 61
    assert isinstance(enter(door, how, 5_000), Pass)  # more than the bucket holds takes all of it


def test_workers_count_together_and_a_dead_one_is_forgotten() -> None:
    clock, how = Clock(), LimitsTable(concurrent=2, requests_per_min=100)
    memory = mmap.mmap(-1, MEMORY_BYTES)
    with tempfile.TemporaryFile() as lock:
        one, two = (limits(clock, Shared(memory, worker, lock)) for worker in (0, 1))
        first = enter(one, how)
        assert isinstance(first, Pass)
        assert isinstance(enter(two, how), Pass)
        assert isinstance(enter(one, how), LimitReached)
        one.leave(first, None)
        assert isinstance(enter(two, how), Pass)
        assert isinstance(enter(one, how), LimitReached)
        Shared(memory, 1, lock)  # another takes the place of the second
        assert isinstance(enter(one, how), Pass)


def test_callers_take_turns() -> None:
    async def run() -> list[str]:
        door, how, order = Limits(Shared(), 30.0, 100), LimitsTable(concurrent=1), []
        held: list[Pass] = []
        door.enter("m", how, 0, "a", held.append, held.append)  # type: ignore[arg-type]
        done = asyncio.Event()

        def go(who: str, given: Pass) -> None:
            order.append(who)
            if len(order) == 6:
                done.set()
            door.leave(given, None)

        for who in ("a1", "a2", "a3", "a4", "b1", "c1"):
            door.enter("m", how, 0, who[0], lambda given, who=who: go(who, given), order.append)  # type: ignore[misc, arg-type]
        assert door.waiting == 6
        door.leave(held[0], None)
        await asyncio.wait_for(done.wait(), 10)
        return order

    assert asyncio.run(run()) == ["a1", "b1", "c1", "a2", "a3", "a4"]


def test_who_waits_too_long_is_refused_and_who_leaves_is_not_called() -> None:
    async def run() -> list[object]:
        door, how, told = Limits(Shared(), 0.05, 2), LimitsTable(concurrent=1), []
        held: list[Pass] = []
        door.enter("m", how, 0, "", held.append, told.append)
        leave = door.enter("m", how, 0, "", told.append, told.append)
        door.enter("m", how, 0, "", told.append, told.append)
        door.enter("m", how, 0, "", told.append, told.append)  # the line holds two
        assert len(told) == 1 and leave is not None
        leave()
        while len(told) < 2:
            await asyncio.sleep(0.01)
        assert door.waiting == 0
        return list(told)

    told = asyncio.run(run())
    assert len(told) == 2
    assert all(isinstance(each, LimitReached) for each in told)


def test_names_beyond_the_table_are_refused(tmp_path: Path) -> None:
    shared = Shared()
    for n in range(4_096):
        shared.place(str(n))
    with pytest.raises(RuntimeError, match="More than 4,096"):
        shared.place("one more")
    assert shared.place("17") == shared.place("17")
