"""Runs in the store: who looks sees how far they are, and a word to stop is heard."""

from datetime import UTC, datetime, timedelta

import pytest

from freehold.errors import CallerError
from freehold.pipelines.run import Progress
from freehold.pipelines.runs import LOST_S, Recorded, State, cancel, find, listed, see
from freehold.store.open import Store

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def a_run(id: str = "a1", state: State = "running", seconds: float = 0.0, done: int = 0) -> Recorded:
    seen = NOON + timedelta(seconds=seconds)
    return Recorded(id=id, kind="pipeline", name="desk", state=state, begun=NOON, seen=seen, progress=Progress(done=done, pid=7))


def test_a_run_is_listed_as_it_was_last_seen(store: Store) -> None:
    assert see(store, "default", [a_run()]) == set()
    assert see(store, "default", [a_run(seconds=2, done=5), a_run("b1", seconds=3)]) == set()
    assert sorted(listed(store, "default", NOON), key=lambda run: run.id) == [a_run(seconds=2, done=5), a_run("b1", seconds=3)]
    assert listed(store, "another", NOON) == []


def test_a_word_to_stop_stays_until_the_run_has_ended(store: Store) -> None:
    see(store, "default", [a_run()])
    assert cancel(store, "default", "a", NOON).state == "cancelling"
    assert see(store, "default", [a_run(done=1), a_run("b1")]) == {"a1"}
    assert see(store, "default", [a_run(done=2), a_run("b1")]) == {"a1"}
    assert (find(store, "default", "a1", NOON).progress.done, find(store, "default", "b1", NOON).state) == (2, "running")
    see(store, "default", [a_run(state="cancelled")])
    assert find(store, "default", "a1", NOON).state == "cancelled"
    with pytest.raises(CallerError, match="is cancelled already"):
        cancel(store, "default", "a1", NOON)


def test_a_run_that_nobody_has_heard_of_for_a_minute_is_lost(store: Store) -> None:
    see(store, "default", [a_run()])
    assert find(store, "default", "a1", NOON + timedelta(seconds=LOST_S + 1)).state == "lost"
    see(store, "default", [a_run(state="done")])
    assert find(store, "default", "a1", NOON + timedelta(seconds=LOST_S + 1)).state == "done"


def test_a_run_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    for id in ("a1", "a12", "b1"):
        see(store, "default", [a_run(id)])
    assert [find(store, "default", id, NOON).id for id in ("b", "a1", "a12")] == ["b1", "a1", "a12"]
    for id, why in (("a", "Several runs begin with 'a'"), ("c", "No run begins with 'c'")):
        with pytest.raises(CallerError, match=why):
            find(store, "default", id, NOON)
