"""A stream in this process: bounded, in order of completion, one answer for each key, and whatever fails for good is a dead letter that can be tried again."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from tests.streaming import Desk, desk, until

from freehold.errors import CallerError
from freehold.pipelines.program import load_program
from freehold.pipelines.run import Progress
from freehold.pipelines.runs import cancel, listed
from freehold.pipelines.runtime import use
from freehold.pipelines.stream import Stream
from freehold.pipelines.stream_job import Job, Report
from freehold.store.open import open_store


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


class Running:
    """A stream in a thread of its own."""

    def __init__(
        self, here: Desk, job: Job, program: str = "desk", tell: Callable[[Progress], None] = lambda _: None, pipes: Any = (0, 1)
    ) -> None:
        self.report: Report | None = None
        self.error: BaseException | None = None
        self.stream: Stream | None = None
        self.project: Any = None

        def run() -> None:
            try:
                with use(here.folder) as at:
                    self.project = at.project
                    self.stream = Stream(at, load_program([f"desk.py:{program}"], here.folder).find(program), job, tell, pipes)
                    self.report = at.run(self.stream.through())
            except BaseException as error:  # noqa: BLE001 it is looked at by the test
                self.error = error

        self._thread = Thread(target=run, daemon=True)
        self._thread.start()

    def stop(self, times: int = 1) -> "Running":
        until(lambda: self.stream is not None)
        assert self.stream is not None
        for _ in range(times):
            self.stream.stop()
        return self

    def ended(self) -> Report:
        self._thread.join(60)
        if self.error is not None:
            raise self.error
        assert self.report is not None, "it goes on"
        return self.report


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Each test has a program of its own."""
    import sys

    from freehold.pipelines import task

    sys.modules.pop("desk", None)
    task._declared.clear()
    yield
    sys.modules.pop("desk", None)
    task._declared.clear()


def job(here: Desk, **more: Any) -> Job:
    return Job(**{"source": here.folder / "in.jsonl", "to": here.folder / "out.jsonl"} | more)


def feed(here: Desk, *values: Any) -> None:
    with (here.folder / "in.jsonl").open("a") as file:
        file.writelines(f"{json.dumps(value)}\n" for value in values)


def outputs(here: Desk) -> dict[Any, Any]:
    lines = here.lines("out.jsonl")
    assert len({line["key"] for line in lines}) == len(lines)
    return {line["input"]: line["output"] for line in lines}


def test_items_are_answered_as_they_come(here: Desk) -> None:
    feed(here, "a", "b")
    running = Running(here, job(here))
    until(lambda: len(outputs(here)) == 2)
    feed(here, "c")
    until(lambda: len(outputs(here)) == 3)
    report = running.stop().ended()
    assert outputs(here) == {"a": ["A", "A!"], "b": ["B", "B!"], "c": ["C", "C!"]}
    assert (report.ended, report.done, report.failed, report.left) == ("stopped", 3, 0, 0)
    assert report.cost_usd == pytest.approx(6 * 120e-6)


def test_no_more_are_under_way_than_are_allowed_and_the_first_that_is_done_is_written_first(here: Desk) -> None:
    gate, most, under_way = Event(), 0, 0

    def answer(question: str) -> str:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        if question == "0":
            gate.wait(30)
        under_way -= 1
        return question

    here.answer = answer
    feed(here, *(str(n) for n in range(9)))
    told: list[Progress] = []
    running = Running(here, job(here, at_once=2, most_lag_s=0.2), tell=told.append)
    until(lambda: len(outputs(here)) == 8)
    until(lambda: any((one.lag_s or 0) > 0.2 for one in told))
    assert "0" not in outputs(here) and most <= 2
    gate.set()
    until(lambda: len(outputs(here)) == 9)
    assert running.stop().ended().done == 9
    assert here.lines("out.jsonl")[-1]["n"] == 0
    assert max(one.under_way for one in told) <= 2


def test_lag_is_warned_of_once(here: Desk, caplog: pytest.LogCaptureFixture) -> None:
    gate = Event()
    here.answer = lambda question: str(gate.wait(30))
    feed(here, "a", "b", "c")
    with caplog.at_level(logging.WARNING):
        running = Running(here, job(here, at_once=1, most_lag_s=0.1))
        until(lambda: "stream.lags" in caplog.text)
        gate.set()
        until(lambda: len(outputs(here)) == 3 and "stream.caught_up" in caplog.text)
        running.stop().ended()
    assert caplog.text.count("stream.lags") == 1


def test_a_first_stop_finishes_what_is_under_way_and_a_second_breaks_it_off(here: Desk) -> None:
    gate = Event()
    here.answer = lambda question: question if gate.wait(30) else ""
    feed(here, "a", "b", "c")
    running = Running(here, job(here, at_once=1))
    until(lambda: here.questions == ["a"])
    running.stop()
    gate.set()
    assert running.ended().done == 1 and outputs(here) == {"a": ["a", "a!"]}
    gate.clear()
    running = Running(here, job(here, at_once=1))
    until(lambda: here.questions[-1] == "b")
    report = running.stop(2).ended()
    assert (report.ended, report.left) == ("broken off", 1)
    gate.set()
    running = Running(here, job(here))
    until(lambda: len(outputs(here)) == 3)
    running.stop().ended()
    assert sorted(line["n"] for line in here.lines("out.jsonl")) == [0, 1, 2]


def test_what_was_finished_before_it_was_broken_off_is_not_asked_again(here: Desk) -> None:
    gate = Event()
    here.answer = lambda question: question if "!" not in question or gate.wait(30) else ""
    feed(here, "a", "b")
    running = Running(here, job(here))
    until(lambda: sorted(here.questions) == ["a", "a!", "b", "b!"])
    assert running.stop(2).ended().left == 2
    gate.set()
    running = Running(here, job(here))
    until(lambda: len(outputs(here)) == 2)
    running.stop().ended()
    assert sorted(here.questions) == ["a", "a!", "a!", "b", "b!", "b!"]


def test_what_fails_for_good_is_a_dead_letter_and_can_be_done_again(here: Desk) -> None:
    with (here.folder / "in.jsonl").open("w") as file:
        file.write('"broken"\n{"no": "such"}\nnot json\n"fine"\n')
    running = Running(here, job(here))
    until(lambda: len(here.lines("out.jsonl.dead.jsonl")) == 3 and len(outputs(here)) == 1)
    assert running.stop().ended().failed == 3
    letters = {letter["n"]: letter for letter in here.lines("out.jsonl.dead.jsonl")}
    assert (letters[0]["why"], letters[0]["attempts"], letters[0]["input"]) == ("KeyError: 'no such card'", 1, "broken")
    assert len(letters[0]["episode"]) == 36
    assert (letters[2]["attempts"], letters[2]["text"]) == (0, "not json")
    program = here.folder / "desk.py"
    program.write_text(program.read_text().replace('message == "broken"', 'message == "no longer"'))
    import sys

    from freehold.pipelines import task

    sys.modules.pop("desk", None)
    task._declared.clear()
    report = Running(here, job(here, retry_dead=True)).ended()
    assert (report.ended, report.done, report.failed) == ("done", 1, 2)
    assert outputs(here)["broken"] == ["BROKEN", "BROKEN!"]
    assert here.lines("out.jsonl")[-1]["key"] == letters[0]["key"]
    assert {letter["n"]: (letter["key"], letter["why"]) for letter in here.lines("out.jsonl.dead.jsonl")} == {
        n: (letters[n]["key"], letters[n]["why"]) for n in (1, 2)
    }
    assert not (here.folder / "out.jsonl.dead.jsonl.retried").exists()


@pytest.mark.parametrize(("status", "attempts"), [(500, 2), (400, 1), (401, 1), (403, 1), (404, 1)])
def test_a_failure_that_may_pass_is_tried_again(here: Desk, status: int, attempts: int) -> None:
    """What the provider refuses for good is not."""
    here.status = status
    feed(here, "a")
    running = Running(here, job(here, attempts=2))
    until(lambda: len(here.lines("out.jsonl.dead.jsonl")) == 1)
    assert here.lines("out.jsonl.dead.jsonl")[0]["attempts"] == attempts
    assert running.stop().ended().failed == 1
    here.status = 200
    assert Running(here, job(here, retry_dead=True)).ended().done == 1


def test_an_answer_that_cannot_be_read_is_not_paid_for_again(here: Desk) -> None:
    """As in a batch: whoever wants that says repair="ask"."""
    (here.folder / "desk.py").write_text(
        (here.folder / "desk.py").read_text().replace("def first(message: str) -> str", "def first(message: str) -> int")
    )
    here.answer = lambda question: "many"
    feed(here, "a")
    running = Running(here, job(here, attempts=3), program="first")
    until(lambda: len(here.lines("out.jsonl.dead.jsonl")) == 1)
    assert running.stop().ended().failed == 1
    assert here.lines("out.jsonl.dead.jsonl")[0]["attempts"] == 1 and len(here.questions) == 1


def test_a_run_that_fails_is_written_down_without_anybodys_words(here: Desk) -> None:
    """Its error may quote an answer, or a path; whoever runs it hears it all."""
    from datetime import UTC, datetime

    (here.folder / "letters").mkdir()
    running = Running(here, job(here, source=here.folder / "letters", to=here.folder / "answers"))
    until(lambda: running.project is not None and running.stream is not None)
    store, tenant = running.project.store, running.project.tenant
    until(lambda: any(run.kind == "stream" for run in listed(store, tenant, datetime.now(UTC))))
    (here.folder / "letters").rmdir()
    with pytest.raises(CallerError, match="There is no folder"):
        running.ended()
    with open_store("sqlite:///freehold.db", here.folder) as again:
        (run,) = [run for run in listed(again, "default", datetime.now(UTC)) if run.kind == "stream"]
    assert (run.state, run.progress.why) == ("failed", "CallerError")


def test_a_budget_ends_it_and_what_did_not_fit_is_left(here: Desk) -> None:
    feed(here, *(str(n) for n in range(20)))
    report = Running(here, job(here, at_once=1, budget_usd=0.0052)).ended()
    assert report.ended == "budget" and report.left == 1 and "budget_usd" in report.why
    assert report.cost_usd is not None and report.cost_usd <= 0.0052
    again = Running(here, job(here, budget_usd=1.0))
    until(lambda: len(outputs(here)) == 20)
    assert again.stop().ended().failed == 0


def test_it_is_listed_and_cancelled_as_a_run(here: Desk) -> None:
    from datetime import UTC, datetime

    gate = Event()
    here.answer = lambda question: str(gate.wait(30))
    feed(here, "a", "b", "c")
    running = Running(here, job(here, at_once=2))
    until(lambda: running.project is not None and running.stream is not None)
    store, tenant = running.project.store, running.project.tenant
    until(lambda: any(run.progress.under_way == 2 for run in listed(store, tenant, datetime.now(UTC))))
    (run,) = [run for run in listed(store, tenant, datetime.now(UTC)) if run.kind == "stream"]
    assert (run.name, run.state) == ("desk", "running")
    assert run.progress.waiting == 1
    cancel(store, tenant, run.id[:6], datetime.now(UTC))
    report = running.ended()
    gate.set()
    assert (report.ended, report.left) == ("cancelled", 2)


def test_a_pipe_is_read_to_its_end_and_answers_go_through_another(here: Desk) -> None:
    (read, feeding), (reading, write) = os.pipe(), os.pipe()
    os.write(feeding, b'{"id": 7, "message": "a"}\n{"message": "b"}\n')
    os.close(feeding)
    report = Running(here, Job(source=None, to=None, key="id", at_once=4), pipes=(read, write), program="first").ended()
    os.close(write)
    with os.fdopen(reading) as told:
        (line,) = [json.loads(line) for line in told]
    assert (report.ended, report.done, report.failed) == ("done", 1, 1)
    assert (line["key"], line["input"], line["output"]) == ("7", {"id": 7, "message": "a"}, "A")
    os.close(read)


def test_files_of_a_folder_become_files_of_another(here: Desk) -> None:
    (here.folder / "letters").mkdir()
    (here.folder / "letters" / "a.txt").write_text("a")
    (here.folder / "letters" / "b.json").write_text('"b"')
    running = Running(here, job(here, source=here.folder / "letters", to=here.folder / "answers"))
    until(lambda: (here.folder / "answers").is_dir() and len(list((here.folder / "answers").glob("*.json"))) == 2)
    running.stop().ended()
    assert sorted(json.loads(path.read_text())["output"][0] for path in (here.folder / "answers").glob("*.json")) == ["A", "B"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"at_once": 0}, "--at-once"),
        ({"deadline_s": -1.0}, "--deadline-s"),
        ({"attempts": 0}, "--attempts"),
        ({"budget_usd": 0.0}, "--budget-usd"),
        ({"to": "in.jsonl"}, "where the items come from"),
        ({"source": "", "to": "out.jsonl"}, "taken for an item"),
        ({"retry_dead": True}, "no dead letters"),
    ],
)
def test_what_cannot_be_done_is_said_first(here: Desk, more: dict[str, Any], why: str) -> None:
    more = {name: here.folder / value if name in ("source", "to") else value for name, value in more.items()}
    with pytest.raises(CallerError, match=why):
        Running(here, job(here, **more)).ended()


def test_a_place_that_another_stream_writes_to_is_refused(here: Desk) -> None:
    feed(here, "a")
    running = Running(here, job(here))
    until(lambda: len(outputs(here)) == 1)
    with pytest.raises(CallerError, match="Another stream"):
        Running(here, job(here)).ended()
    running.stop().ended()
    with pytest.raises(CallerError, match="stream of 'desk'"):
        Running(here, job(here), program="first").ended()
