"""Rows of a batch that meet a person: the others go on, what people answer is there whenever the batch is gone on with, and nothing is paid twice."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from at_work import CHEAP_USD, TOML, activate
from command import RUN, freehold
from e2e.test_experts import until
from freehold.feedback.credits import standings
from freehold.gateway.budget import nano
from freehold.journal import read
from freehold.pipelines.runtime import use
from freehold.project import Project
from freehold.store.schema import expert_asks
from freehold.store.times import microseconds
from upstream import Upstream, says, upstream

PROGRAM = '''
import freehold


@freehold.task(
    reference="frontier",
    variants=["frontier", "cheap", freehold.expert("cards", deadline_s=3600, price_usd=0.25, fallback="frontier", name="ann")],
)
def desk(message: str) -> str:
    """Say which desk a message is for."""
'''
POLICY = "when chars > 12 try cheap accept answer_chars > 20 then ann\notherwise use cheap"
HARD, PLAIN = 40, 30
COMMAND = ("batch", "desk", "in.jsonl", "--out", "out.jsonl", "--concurrency", "4")


@contextmanager
def project(folder: Path) -> Iterator[Upstream]:
    """A program whose hard rows go to a person, those first, and a provider whose answers are short."""
    with upstream() as up:
        up.answer = says("a short one")
        (folder / "freehold.toml").write_text(
            TOML.replace("{url}", up.url).replace('name = "desk"', 'name = "desk"\npython = ["program.py"]')
        )
        (folder / "program.py").write_text(PROGRAM)
        with use(folder) as at:
            activate(at, "desk", POLICY)
        rows = [f"a hard one, number {n}" for n in range(HARD)] + [f"row {n}" for n in range(PLAIN)]
        (folder / "in.jsonl").write_text("".join(json.dumps({"message": row}) + "\n" for row in rows))
        yield up


@contextmanager
def batch(folder: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", RUN, *COMMAND, *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def asks(folder: Path) -> list[Any]:
    found: list[Any] = freehold("expert", "list", "--json", "--project", folder).json
    return found


def answer(folder: Path, *answers: str) -> None:
    freehold("expert", "answer", "desk", "--expert", "ann", "--project", folder, stdin="".join(f"{one}\n" for one in answers))


def part(folder: Path) -> int:
    path = folder / "out.jsonl.part"
    return len(path.read_bytes().splitlines()) - 1 if path.exists() else 0


def test_rows_that_wait_for_a_person_hold_up_no_others_and_outlive_the_batch(tmp_path: Path) -> None:
    """Ctrl-C ends it at once; people answer while nothing runs; gone on with, nobody is asked twice, no model either, and each is paid once."""
    with project(tmp_path) as up:
        with batch(tmp_path) as first:
            waiting = until(lambda: found if len(found := asks(tmp_path)) == HARD else None)
            until(lambda: len(up.asked) == HARD + PLAIN)  # four at one time, of which the first forty wait for a person
            first.send_signal(signal.SIGINT)
            _, told = first.communicate(timeout=60)
            assert first.returncode == 130
            assert f"{HARD} of its rows wait for people" in told and "--resume" in told
        assert {one["id"] for one in asks(tmp_path)} == {one["id"] for one in waiting}
        answer(tmp_path, *(f"desk {n}" for n in range(HARD - 3)))
        with batch(tmp_path, "--resume") as second:
            until(lambda: part(tmp_path) == HARD + PLAIN - 3)
            assert len(asks(tmp_path)) == 3
            answer(tmp_path, *(f"desk {n}" for n in range(HARD - 3, HARD)))
            assert second.wait(60) == 0
        assert len(up.asked) == HARD + PLAIN
        said = Counter(line["output"] for line in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines()))
        assert said == Counter({"a short one": PLAIN, **{f"desk {n}": 1 for n in range(HARD)}})
        with Project.at(tmp_path) as home:
            (ann,) = standings(home.store, "default")
            calls = list(read.calls(home.store, "default", "desk"))
        assert (ann.verdicts, ann.earned_nano) == (HARD, HARD * nano(0.25))
        assert Counter(call.outcome for call in calls) == {"answered": HARD + PLAIN, "cancelled": HARD}
        spent = sum(call.cost_usd or 0.0 for call in calls)
        assert spent == pytest.approx((HARD + PLAIN) * CHEAP_USD + HARD * 0.25)


def test_a_deadline_that_passed_while_nothing_ran_has_the_fallback_answer(tmp_path: Path) -> None:
    with project(tmp_path) as up:
        with batch(tmp_path) as first:
            until(lambda: len(asks(tmp_path)) == HARD and part(tmp_path) == PLAIN)
            os.kill(first.pid, signal.SIGKILL)
        answer(tmp_path, "desk 0")
        with Project.at(tmp_path) as home, home.store.writing() as connection:
            past = microseconds(datetime.now(UTC) - timedelta(minutes=1))
            connection.execute(update(expert_asks).where(expert_asks.c.state == "waiting").values(deadline=past))
        assert asks(tmp_path) == []
        up.asked.clear()
        freehold(*COMMAND, "--resume", cwd=tmp_path)
        assert [said.body["model"] for said in up.asked] == ["gpt-x"] * (HARD - 1)
        with Project.at(tmp_path) as home:
            (ann,) = standings(home.store, "default")
            late = [call for call in read.calls(home.store, "default", "desk") if call.variant == "ann" and len(call.attempts) > 1]
        assert ann.earned_nano == nano(0.25)
        assert {tuple((each.variant, each.outcome) for each in call.attempts) for call in late} == {
            (("ann", "timed_out"), ("frontier", "answered"))
        }


def test_a_budget_that_is_spent_ends_the_batch_and_leaves_the_rest_to_people(tmp_path: Path) -> None:
    """What waits is set aside for; where nothing more fits the batch ends, and does not wait for hours."""
    with project(tmp_path):
        budget = 10 * 0.25 + (HARD + PLAIN) * CHEAP_USD
        ended = freehold(*COMMAND, "--budget-usd", f"{budget:.4f}", "--json", cwd=tmp_path, code=1).json
        assert ended["ended"] == "budget" and "wait for people" in ended["why"]
        waiting = len(asks(tmp_path))
        assert 0 < waiting <= 10
        assert f"{waiting} of its rows wait for people" in ended["why"]
