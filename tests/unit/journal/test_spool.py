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
from freehold.journal.spool import Entry, Spool

MakeCall = Callable[..., Call]
MakeScore = Callable[..., Feedback]


class Brought:
    """What was brought in. Once it has as many calls as it takes, it raises; entries about a call in `refuses` it never takes."""

    def __init__(self, error: Exception | None = None, takes: int = 0, refuses: str = "") -> None:
        self.calls: list[Call] = []
        self.feedback: list[Feedback] = []
        self.error = error
        self.takes = takes
        self.refuses = refuses

    def __call__(self, entries: Sequence[Entry]) -> list[DataError | None]:
        if self.error is not None and len(self.calls) >= self.takes:
            raise self.error
        ended = [DataError("says something else") if entry.call and entry.call.id == self.refuses else None for entry in entries]
        for entry, error in zip(entries, ended, strict=True):
            if error is None:
                self.calls += [entry.call] if entry.call is not None else []
                self.feedback += entry.feedback
        return ended


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    one = Spool(tmp_path)
    yield one
    one.close()


def test_what_waits_is_brought_in_once(spool: Spool, a_call: MakeCall, a_score: MakeScore) -> None:
    calls, brought = [a_call(n) for n in range(1_200)], Brought()
    spool.append([Entry(call, (a_score(call),)) for call in calls[:700]])
    spool.append([Entry(call) for call in calls[700:]])
    spool.append([Entry(None, (a_score(calls[900]),))])
    assert sum(spool.bring_in(brought)) == 1_200
    assert brought.calls == calls and len(brought.feedback) == 701
    assert list(spool.bring_in(brought)) == [] and not spool.files()


def test_it_is_readable_by_its_owner_only(spool: Spool, a_call: MakeCall) -> None:
    spool.append([Entry(a_call(1))])
    assert [path.stat().st_mode & 0o777 for path in spool.files()] == [0o600]


def test_what_is_not_taken_yet_goes_on_waiting(spool: Spool, a_call: MakeCall) -> None:
    calls = [a_call(n) for n in range(1_200)]
    spool.append([Entry(call) for call in calls])
    first = Brought(OperatorError("The disk is full."), takes=500)
    with pytest.raises(OperatorError, match="full"):
        list(spool.bring_in(first))
    spool.append([Entry(a_call(2_000))])
    second = Brought()
    assert sum(spool.bring_in(second)) == 1_201 == len(second.calls)
    assert {call.id for call in second.calls} == {call.id for call in [*calls, a_call(2_000)]}


def test_a_line_cut_off_by_a_kill_is_left_out(spool: Spool, a_call: MakeCall) -> None:
    spool.append([Entry(a_call(1)), Entry(a_call(2))])
    spool.close()
    (path,) = spool.files()
    path.write_bytes(path.read_bytes()[:-5])
    brought = Brought()
    assert list(spool.bring_in(brought)) == [1] and brought.calls == [a_call(1)]


def test_lines_that_can_never_be_brought_in_are_set_aside_each_for_itself(
    tmp_path: Path, spool: Spool, a_call: MakeCall, caplog: pytest.LogCaptureFixture
) -> None:
    """One that cannot be read, and one that the store refuses; the others are stored."""
    spool.append([Entry(a_call(n)) for n in range(4)])
    spool.close()
    (path,) = spool.files()
    whole = path.read_bytes().splitlines(keepends=True)
    whole[2] = b'{"call": 3}\n'
    path.write_bytes(b"".join(whole))
    brought = Brought(refuses=a_call(1).id)
    assert list(spool.bring_in(brought)) == [2] and brought.calls == [a_call(0), a_call(3)]
    (aside,) = tmp_path.iterdir()
    assert (aside.name, aside.stat().st_mode & 0o777) == (path.with_suffix(".refused").name, 0o600)
    assert sorted(aside.read_bytes().splitlines(keepends=True)) == sorted([whole[1], whole[2]])
    assert "2 lines cannot be brought in" in caplog.text


def _write_and_wait(folder: Path, call: Call, written: "multiprocessing.synchronize.Event") -> NoReturn:
    spool = Spool(folder)
    spool.append([Entry(call)])
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
        assert list(spool.bring_in(brought)) == [] and len(spool.files()) == 1
    finally:
        other.kill()
        other.join()
    assert list(spool.bring_in(brought)) == [1] and brought.calls == [a_call(1)]


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_what_was_kept_before_stays(spool: Spool, a_call: MakeCall) -> None:
    spool.append([Entry(a_call(1))])
    for _ in range(3):
        with _files_of_at_most(1_500), pytest.raises(OperatorError, match="Neither the store nor the spool"):
            spool.append([Entry(a_call(n)) for n in range(2, 50)])
    spool.append([Entry(a_call(60))])
    assert len(spool.files()) == 1
    brought = Brought()
    assert list(spool.bring_in(brought)) == [2]
    assert brought.calls == [a_call(1), a_call(60)]  # nobody was told that the others are kept


@contextmanager
def _one_more_file() -> Iterator[int]:
    """Lets one more file be open at a time, and gives its number."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (number + 1, before[1]))
    try:
        yield number
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_folder_that_cannot_be_synced_leaves_no_file_open_and_none_behind(spool: Spool, a_call: MakeCall) -> None:
    with _one_more_file() as number, pytest.raises(OperatorError, match="Too many open files") as caught:
        spool.append([Entry(a_call(1))])
    with pytest.raises(OSError):
        os.fstat(number)
    assert not spool.files()
    del caught
    spool.append([Entry(a_call(1))])
    assert list(spool.bring_in(Brought())) == [1]
