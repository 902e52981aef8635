"""Workers share a port, so whichever is asked tells of all; and what a dead one counted stays counted."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from watched import FINISHED, finished, read

from freehold.tables import TelemetryTable
from freehold.telemetry import workers
from freehold.telemetry.names import CALLS, FAILED_DECISIONS, IN_FLIGHT
from freehold.telemetry.telemetry import Telemetry

NOW = 1_750_000_000.0


def worker(folder: Path | None, number: int = 0, now: float = NOW) -> Telemetry:
    return Telemetry(TelemetryTable(), folder, number, lambda: now)


def calls(telemetry: Telemetry) -> float:
    """How many calls /metrics tells of."""
    return sum(value for (name, _), value in read(telemetry.exposition()).items() if name == CALLS.prometheus)


def test_whichever_is_asked_tells_of_all(tmp_path: Path) -> None:
    one, other = worker(tmp_path, 0), worker(tmp_path, 1)
    one.finished(FINISHED)
    other.finished(FINISHED)
    other.finished(finished(status=502, outcome="failed"))
    other.publish()
    assert calls(one) == 3
    assert calls(other) == 3


def test_of_what_each_does_there_is_a_series_each(tmp_path: Path) -> None:
    one, other = worker(tmp_path, 0), worker(tmp_path, 1)
    one.watch(IN_FLIGHT, lambda: 4.0)
    other.watch(IN_FLIGHT, lambda: 7.0)
    other.publish()
    samples = read(one.exposition())
    assert [samples[IN_FLIGHT.prometheus, frozenset({("worker", number)})] for number in "01"] == [4, 7]


def test_totals_never_go_back(tmp_path: Path) -> None:
    """Whoever takes a dead one's place goes on from what was told last, be it that a kill came right after."""
    dead, other = worker(tmp_path, 0), worker(tmp_path, 1)
    for _ in range(5):
        dead.finished(FINISHED)
    assert calls(dead) == 5  # and so it is written down
    dead.finished(FINISHED)  # was never told to anybody
    del dead
    assert calls(other) == 5
    successor = worker(tmp_path, 0)
    assert calls(successor) == calls(other) == 5
    successor.finished(FINISHED)
    assert calls(successor) == 6


def test_what_a_dead_one_was_doing_is_not_told(tmp_path: Path) -> None:
    dead = worker(tmp_path, 0)
    dead.watch(IN_FLIGHT, lambda: 4.0)
    dead.finished(FINISHED)
    dead.publish()
    later = worker(tmp_path, 1, NOW + 60)
    assert (IN_FLIGHT.prometheus, frozenset({("worker", "0")})) not in read(later.exposition())
    assert calls(later) == 1


def test_a_sum_that_begins_anew_with_its_process_goes_on(tmp_path: Path) -> None:
    def failed(telemetry: Telemetry) -> float:
        return read(telemetry.exposition())[FAILED_DECISIONS.prometheus, frozenset()]

    first = worker(tmp_path)
    first.watch(FAILED_DECISIONS, lambda: 3.0)
    assert failed(first) == 3
    assert failed(first) == 3  # asking again adds nothing
    second = worker(tmp_path)
    second.watch(FAILED_DECISIONS, lambda: 2.0)
    assert failed(second) == 5


def test_a_file_that_is_none_of_ours_is_no_reason_to_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "0.counts").write_bytes(b"\xc1 what")
    (tmp_path / "1.counts").write_bytes(workers.frozen(workers.Snapshot("x", NOW, NOW, {CALLS.name: {("a",): [1.0, 2.0]}}, {})))
    (tmp_path / "x.counts").write_bytes(b"")
    one = worker(tmp_path, 2)
    one.finished(FINISHED)
    assert calls(one) == 1


def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What this worker counted is told all the same, and the log says so once in a while."""
    one = worker(tmp_path / "gone")
    one.finished(FINISHED)
    assert calls(one) == 1
    assert calls(one) == 1
    assert len([line for line in caplog.messages if line.startswith("telemetry.not_published: ")]) == 1


def test_the_files_are_their_owner_s_alone(tmp_path: Path) -> None:
    worker(tmp_path).publish()
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


def test_one_that_is_alone_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    alone = worker(None)
    alone.finished(FINISHED)
    alone.close()
    assert calls(alone) == 1
    assert list(tmp_path.iterdir()) == []


def test_it_may_be_read_while_it_grows() -> None:
    """The event loop counts, and another thread writes down and tells."""
    one = worker(None)

    def counted() -> float:
        return sum(cell[0] for cell in one.snapshot().samples[CALLS.name].values())

    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(lambda: [counted() for _ in range(100)])
        count = 0
        while not seen.done():
            one.finished(finished(task=f"task-{count % 50}"))
            count += 1
    assert seen.result() == sorted(seen.result())
    assert counted() == count
