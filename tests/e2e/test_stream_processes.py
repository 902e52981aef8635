"""`freehold stream` as processes: killed at any moment it goes on without paying or writing anything twice, and it waits for whoever reads it."""

import json
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from threading import Event

import pytest
from tests.streaming import Desk, desk, until


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Desk]:
    with desk(tmp_path) as made:
        yield made


def feed(here: Desk, *values: object) -> None:
    with (here.folder / "in.jsonl").open("a") as file:
        file.writelines(f"{json.dumps(value)}\n" for value in values)


def ended(process: "subprocess.Popen[str]", code: int = 0) -> str:
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    return err


ITEMS = 120


@pytest.mark.slow
def test_sigkill_loses_nothing_and_doubles_nothing(here: Desk) -> None:
    """Five kills at random moments: every item is in the output once, and no question that has an answer in the journal was put again."""
    rng, never = Random(7), Event()
    here.answer = lambda question: question if never.wait(0.03) else question.upper()
    feed(here, *(f"m{n}" for n in range(ITEMS)))
    for _ in range(5):
        process, before = here.start("--from", "in.jsonl", "--to", "out.jsonl", "--at-once", "4"), len(here.lines("out.jsonl"))
        until(lambda before=before: len(here.lines("out.jsonl")) > before + 2)
        never.wait(rng.uniform(0.0, 0.6))
        process.kill()
        process.communicate()
    process = here.start("--from", "in.jsonl", "--to", "out.jsonl", "--at-once", "4")
    until(lambda: len({line["key"] for line in here.lines("out.jsonl")}) == ITEMS)
    process.send_signal(signal.SIGTERM)
    ended(process)
    lines = here.lines("out.jsonl")
    assert Counter(line["input"] for line in lines) == Counter(f"m{n}" for n in range(ITEMS))
    assert sorted(line["n"] for line in lines) == list(range(ITEMS))
    with sqlite3.connect(here.folder / "freehold.db") as journal:
        paid = Counter(row[0] for row in journal.execute("select episode || task from calls where outcome = 'answered'"))
    journal.close()
    assert len(paid) == 2 * ITEMS and set(paid.values()) == {1}
    assert len(here.questions) <= 2 * ITEMS + 5 * 4  # but for what was on its way when it was killed


def test_a_first_sigterm_finishes_and_a_second_breaks_off(here: Desk) -> None:
    gate = Event()
    here.answer = lambda question: question if gate.wait(30) else ""
    feed(here, "a", "b", "c")
    arguments = ("--from", "in.jsonl", "--to", "out.jsonl", "--at-once", "2", "--json")
    process = here.start(*arguments, stdout=subprocess.PIPE)
    until(lambda: len(here.questions) == 2)
    process.send_signal(signal.SIGTERM)
    gate.set()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out) | {"seconds": 0, "id": "", "dead": ""} == {
        "id": "", "name": "desk", "ended": "stopped", "why": "", "done": 2, "repeated": 0, "failed": 0, "left": 0,
        "cost_usd": pytest.approx(4 * 120e-6), "known_usd": pytest.approx(4 * 120e-6), "seconds": 0, "out": "out.jsonl", "dead": "",
    }  # fmt: skip
    gate.clear()
    process = here.start(*arguments, stdout=subprocess.PIPE)
    until(lambda: "c" in here.questions)
    process.send_signal(signal.SIGINT)
    _twice(process)
    ended(process, 130)
    gate.set()
    assert {line["input"] for line in here.lines("out.jsonl")} == {"a", "b"}


def _twice(process: "subprocess.Popen[str]") -> None:
    """Once the first signal was heard: two of a kind at one time would be one."""
    assert process.stderr is not None
    while "Stopping" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)


def test_a_log_that_is_rotated_is_read_on(here: Desk) -> None:
    feed(here, "a", "b")
    process = here.start("--from", "in.jsonl", "--to", "out.jsonl")
    until(lambda: len(here.lines("out.jsonl")) == 2)
    (here.folder / "in.jsonl").rename(here.folder / "in.jsonl.1")
    with (here.folder / "in.jsonl.1").open("a") as file:
        file.write('"late"\n')
    feed(here, "new")
    until(lambda: len(here.lines("out.jsonl")) == 4)
    (here.folder / "in.jsonl").write_text('"after"\n')
    until(lambda: len(here.lines("out.jsonl")) == 5)
    process.send_signal(signal.SIGTERM)
    ended(process)
    assert {line["input"] for line in here.lines("out.jsonl")} == {"a", "b", "late", "new", "after"}


def test_a_slow_reader_of_its_output_holds_it_back(here: Desk) -> None:
    """With a full pipe nothing is asked beyond what may be under way, and nothing more is read."""
    long = "x" * 40_000
    feed(here, *(f"{n} {long}" for n in range(30)))
    process = here.start("--from", "in.jsonl", "--at-once", "3", stdout=subprocess.PIPE)
    assert process.stdout is not None
    first = process.stdout.readline()
    never, asked = Event(), -1
    while asked != len(here.questions):
        asked = len(here.questions)
        never.wait(1.5)
    assert asked < 2 * 12
    lines = [json.loads(first)]
    while len(lines) < 30:
        lines.append(json.loads(process.stdout.readline()))
    process.send_signal(signal.SIGTERM)
    ended(process)
    assert sorted(line["n"] for line in lines) == list(range(30))


def test_a_pipe_in_the_middle_of_others(here: Desk) -> None:
    process = here.start(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write('"a"\n')
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["output"] == ["A", "A!"]
    process.stdin.write('"b"\n"broken"')
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1  # one of them is dead
    assert json.loads(out)["output"] == ["B", "B!"]
    assert "2 done, 1 dead" in err
    (state,) = (here.folder / "streams").glob("*.state.json")
    assert state.stat().st_mode & 0o077 == 0


def test_dead_letters_are_done_again_by_the_command(here: Desk) -> None:
    feed(here, "broken")
    process = here.start("--from", "in.jsonl", "--to", "out.jsonl", "--dead", "dead.jsonl")
    until(lambda: len(here.lines("dead.jsonl")) == 1)
    process.send_signal(signal.SIGTERM)
    ended(process)
    program = here.folder / "desk.py"
    program.write_text(program.read_text().replace('"broken"', '"mended"'))
    ended(here.start("--from", "in.jsonl", "--to", "out.jsonl", "--dead", "dead.jsonl", "--retry-dead", stdout=subprocess.PIPE))
    assert [line["input"] for line in here.lines("out.jsonl")] == ["broken"]
    assert here.lines("dead.jsonl") == []
