"""Calls that wait outside the store: nothing lost, nothing twice, and nobody's lines taken from under them."""

import multiprocessing
import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from freehold.errors import DataError, OperatorError
from freehold.journal.call import Call, Feedback
from freehold.journal.spool import Spool, Spooled

MakeCall = Callable[..., Call]
MakeScore = Callable[..., Feedback]


class Brought:
    """What was brought in; the error it raises instead once it has as many as it takes."""

    def __init__(self, error: Exception | None = None, takes: int = 1_000_000) -> None:
        self.calls: list[Call] = []
        self.feedback: list[Feedback] = []
        self.error = error
        self.takes = takes

    def __call__(self, calls: Sequence[Call], feedback: Sequence[Feedback]) -> None:
        if self.error is not None and len(self.calls) >= self.takes:
            raise self.error
        self.calls += calls
        self.feedback += feedback


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    one = Spool(tmp_path)
    yield one
    one.close()


def test_what_waits_is_brought_in_once(spool: Spool, a_call: MakeCall, a_score: MakeScore) -> None:
    calls, brought = [a_call(n) for n in range(1_200)], Brought()
    spool.append([Spooled(call, (a_score(call),)) for call in calls[:700]])
    spool.append([Spooled(call) for call in calls[700:]])
    spool.append([Spooled(None, (a_score(calls[900]),))])
    assert spool.bring_in(brought) == 1_200
    assert brought.calls == calls and len(brought.feedback) == 701
    assert spool.bring_in(brought) == 0 and not spool.files()


def test_it_is_readable_by_its_owner_only(spool: Spool, a_call: MakeCall) -> None:
    spool.append([Spooled(a_call(1))])
    assert [path.stat().st_mode & 0o777 for path in spool.files()] == [0o600]


def test_what_is_not_taken_yet_goes_on_waiting(spool: Spool, a_call: MakeCall) -> None:
    calls = [a_call(n) for n in range(1_200)]
    spool.append([Spooled(call) for call in calls])
    first = Brought(OperatorError("The disk is full."), takes=500)
    with pytest.raises(OperatorError, match="full"):
        spool.bring_in(first)
    spool.append([Spooled(a_call(2_000))])
    second = Brought()
    assert spool.bring_in(second) == 1_201
    assert {call.id for call in second.calls} == {call.id for call in [*calls, a_call(2_000)]}


def test_a_line_cut_off_by_a_kill_is_left_out(spool: Spool, a_call: MakeCall) -> None:
    spool.append([Spooled(a_call(1)), Spooled(a_call(2))])
    spool.close()
    (path,) = spool.files()
    path.write_bytes(path.read_bytes()[:-5])
    brought = Brought()
    assert spool.bring_in(brought) == 1 and brought.calls == [a_call(1)]


@pytest.mark.parametrize("error", [None, DataError("no such tenant")], ids=["unreadable", "refused for good"])
def test_what_cannot_be_brought_in_is_set_aside_and_holds_nothing_up(
    tmp_path: Path, spool: Spool, a_call: MakeCall, error: DataError | None, caplog: pytest.LogCaptureFixture
) -> None:
    spool.append([Spooled(a_call(1))])
    spool.close()
    (path,) = spool.files()
    if error is None:
        path.write_bytes(b'{"call": 3}\n')
    assert spool.bring_in(Brought(error, takes=0)) == 0
    assert not spool.files() and [kept.name for kept in tmp_path.iterdir()] == [path.with_suffix(".refused").name]
    assert "spool.refused" in caplog.text
    spool.append([Spooled(a_call(2))])
    assert spool.bring_in(Brought()) == 1


def _write_and_wait(folder: Path, call: Call, written: "multiprocessing.synchronize.Event") -> NoReturn:
    spool = Spool(folder)
    spool.append([Spooled(call)])
    written.set()
    while True:
        os.sched_yield()


def test_a_living_writers_lines_are_its_own_and_a_dead_ones_everybodys(tmp_path: Path, spool: Spool, a_call: MakeCall) -> None:
    context = multiprocessing.get_context("spawn")
    written = context.Event()
    other = context.Process(target=_write_and_wait, args=(tmp_path, a_call(1), written), daemon=True)
    other.start()
    try:
        assert written.wait(30)
        brought = Brought()
        assert spool.bring_in(brought) == 0 and len(spool.files()) == 1
    finally:
        other.kill()
        other.join()
    assert spool.bring_in(brought) == 1 and brought.calls == [a_call(1)]


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_what_was_kept_before_stays(spool: Spool, a_call: MakeCall) -> None:
    spool.append([Spooled(a_call(1))])
    with _files_of_at_most(1_500), pytest.raises(OperatorError, match="Neither the store nor the spool"):
        spool.append([Spooled(a_call(n)) for n in range(2, 50)])
    spool.append([Spooled(a_call(60))])
    brought = Brought()
    spool.bring_in(brought)
    assert {a_call(1).id, a_call(60).id} <= {call.id for call in brought.calls}
