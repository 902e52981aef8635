"""`freehold batch --provider-batch`: questions are handed over together, at half the price, and each is paid once whatever happens meanwhile."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.upstream_batches import Batches, batch_upstream

from command import RUN, Ended, freehold

TOML = """
[project]
python = ["program.py"]
[providers.one]
kind = "{kind}"
base_url = "{url}"
[providers.here]
kind = "openai"
base_url = "{url}"
[models.cheap]
provider = "one"
price = {{ input_per_mtok = 1.0, output_per_mtok = 2.0 }}
serving = {{ retries = 0 }}
[models.in-a-batch]
provider = "one"
name = "cheap (batch)"
price = {{ input_per_mtok = 0.5, output_per_mtok = 1.0 }}
[models.small]
provider = "here"
serving = {{ retries = 0 }}
[tasks.remembered.serving]
cache_s = 600.0
"""
PROGRAM = '''
import asyncio
from typing import Literal

from pydantic import BaseModel

import freehold


class Sorted(BaseModel):
    queue: Literal["cards", "other"]


@freehold.task(reference="cheap")
def sort(message: str) -> Sorted:
    """Sort it."""
    if message == "row 0":
        return Sorted(queue="other")
    return freehold.Pass


@freehold.task(reference="cheap")
def reply(message: str, queue: str) -> str:
    """Answer it."""


@freehold.task(reference=freehold.vote(3, "cheap"))
def voted(message: str) -> str:
    """Answer it."""


@freehold.task(reference="small")
def alone(message: str) -> str:
    """Answer it."""


@freehold.pipeline
async def desk(message: str) -> str:
    try:
        found = await sort.acall(message)
        one, two = await asyncio.gather(reply.acall(message, found.queue), reply.acall(message, found.queue))
    except Exception:
        return "it failed"
    return f"{one} / {two}"


@freehold.pipeline
def plain(message: str) -> str:
    return reply(message, sort(message).queue)


@freehold.task(reference=freehold.vote(of=("small", "cheap")))
def mixed(message: str) -> str:
    """Answer it."""


@freehold.task(reference="cheap")
def remembered(message: str) -> str:
    """Answer it."""


@freehold.task(reference="cheap")
def by_another(message: str) -> str:
    """Answer it."""
    return reply(message, "another")


@freehold.pipeline
async def careful(message: str) -> list[str]:
    found = await asyncio.gather(reply.acall(message, "one"), reply.acall(message, "two"), return_exceptions=True)
    return [each if isinstance(each, str) else "it failed" for each in found]


@freehold.pipeline
async def hasty(message: str) -> list[str]:
    async def later() -> str:
        await asyncio.sleep(0.3)
        return await reply.acall(message, "later")

    return await asyncio.gather(reply.acall(message, "now"), later())


@freehold.pipeline
def mapped(message: str) -> list[str]:
    return reply.map([(message, str(n)) for n in range(40)])


@freehold.pipeline
async def grouped(message: str) -> list[str]:
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(one.acall(message)) for one in (alone, voted)]
    return [one.result() for one in asked]


@freehold.task(reference=freehold.expert("desks", deadline_s=600, price_usd=0.25))
def told(message: str) -> str:
    """Say which desk it is for."""


@freehold.pipeline
def some_by_people(message: str) -> str:
    return reply(message, told(message) if message in ("row 0", "row 1") else "cards")


@freehold.pipeline
def restless(message: str) -> str:
    import uuid
    return reply(message, uuid.uuid4().hex)
'''
KINDS = pytest.mark.parametrize("home", ["openai", "anthropic"], indirect=True)


class Home(NamedTuple):
    """A project with a program, and the provider that takes its batches and answers nothing at once."""

    folder: Path
    provider: Batches

    def batch(self, *arguments: str, code: int | None = 0) -> Ended:
        return freehold("batch", *arguments, "--provider-batch", cwd=self.folder, code=code)

    def write(self, count: int) -> None:
        (self.folder / "in.jsonl").write_text("".join(json.dumps(f"row {n}") + "\n" for n in range(count)))

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def calls(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = freehold("calls", "--json", cwd=self.folder).json
        return found

    @contextmanager
    def waiting(self) -> Iterator["subprocess.Popen[str]"]:
        """A batch of `plain` that waits for its provider."""
        command = [sys.executable, "-c", RUN, "batch", "plain", "in.jsonl", "--out", "out.jsonl", "--provider-batch"]
        with subprocess.Popen(command, cwd=self.folder, stderr=subprocess.PIPE, text=True) as process:
            until = time.monotonic() + 60
            while not any(route.startswith("GET") and "ID" in route for route in self.provider.asked):
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.05)
            yield process

    @property
    def asked(self) -> list[int]:
        """How many questions each batch had."""
        return [len(batch["requests"]) for batch in self.provider.batches]


def said(body: dict[str, Any]) -> str:
    """What a question says."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def words(body: dict[str, Any]) -> str:
    """Sorts what has a form, and answers what has none; rows 5 and 6 of many have no answer."""
    asked = said(body)
    if "row 5" in asked or "row 6" in asked:
        return "failing" if "row 5" in asked else "expired"
    return json.dumps({"queue": "cards"}) if "queue" not in asked and "Sort" in json.dumps(body) else f"answered {asked}"


@pytest.fixture
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Home]:
    with batch_upstream() as provider:
        provider.words, provider.ends_when_looked_at = words, True
        (tmp_path / "freehold.toml").write_text(TOML.format(url=provider.url, kind=getattr(request, "param", "openai")))
        (tmp_path / "program.py").write_text(PROGRAM)
        yield Home(tmp_path, provider)


@KINDS
def test_rows_are_answered_at_the_price_of_a_batch_and_what_answers_here_is_not_handed_over(home: Home) -> None:
    home.write(5)
    told = json.loads(home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--json").out)
    assert (told["done"], told["failed"]) == (5, 0)
    assert [line["output"]["queue"] for line in home.lines("out.jsonl")] == ["other", *["cards"] * 4]
    assert home.asked == [4]
    calls = home.calls()
    assert len(calls) == 5 and sum(call["variant"] == "cheap" for call in calls) == 4
    one = 40 * 0.5 + 60 * 0.5 + 20 * 1.0
    assert told["cost_usd"] == pytest.approx(4 * one / 1e6)
    assert not list(home.folder.glob("out.jsonl.*"))


@KINDS
def test_what_has_no_answer_fails_with_the_providers_reason_and_can_be_handed_over_again(home: Home) -> None:
    home.write(8)
    home.batch("sort", "in.jsonl", "--out", "out.jsonl", code=1)
    failed = home.lines("out.jsonl.failed.jsonl")
    assert [row["n"] for row in failed] == [5, 6]
    assert "not so" in failed[0]["error"] and "expired" in failed[1]["error"].replace("not begun in time", "expired")
    assert home.asked == [7]
    home.provider.words = lambda body: json.dumps({"queue": "cards"})
    home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--retry-failed")
    assert home.asked == [7, 2]
    assert len(home.lines("out.jsonl")) == 8


@pytest.mark.parametrize(("program", "rounds"), [("plain", [4, 3]), ("desk", [5, 6]), ("voted", [12])])
def test_a_program_of_several_steps_takes_a_round_for_each_that_waits(home: Home, program: str, rounds: list[int]) -> None:
    """Equal questions of one row are answered each by itself, and no step is asked twice."""
    home.write(4)
    told = json.loads(home.batch(program, "in.jsonl", "--out", "out.jsonl", "--json").out)
    assert told["done"] == 4
    assert home.asked == rounds
    outputs = [line["output"] for line in home.lines("out.jsonl")]
    assert all("answered" in output and f"row {n}" in output for n, output in enumerate(outputs))
    assert told["cost_usd"] == pytest.approx(sum(rounds) * 70 / 1e6)
    ids = [request["custom_id"] for batch in home.provider.batches for request in batch["requests"]]
    assert len(set(ids)) == len(ids) == sum(rounds)


@KINDS
def test_a_batch_that_was_handed_over_is_gone_on_with(home: Home) -> None:
    """After Ctrl-C while it is under way; and no other way of running it pays for it again."""
    home.write(4)
    home.provider.ends_when_looked_at = False
    with home.waiting() as process:
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 130
    assert "'one' has 4 of its questions" in told
    assert "paid twice" in freehold("batch", "plain", "in.jsonl", "--out", "out.jsonl", "--resume", cwd=home.folder, code=2).err
    home.provider.ends_when_looked_at = True
    home.batch("plain", "in.jsonl", "--out", "out.jsonl", "--resume")
    assert home.asked == [4, 3]
    assert len(home.lines("out.jsonl")) == 4


def test_a_run_that_is_cancelled_is_cancelled_at_its_provider(home: Home) -> None:
    """What it answered by then is there when the batch is gone on with."""
    home.write(4)
    home.provider.ends_when_looked_at = False
    with home.waiting() as process:
        (run,) = [run for run in freehold("runs", "list", "--json", cwd=home.folder).json if run["kind"] == "batch"]
        freehold("runs", "cancel", run["id"], cwd=home.folder)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 1 and "cancelled" in told
    assert home.provider.asked["POST /batches/ID/cancel"] == 1
    home.provider.ends_when_looked_at = True
    home.batch("plain", "in.jsonl", "--out", "out.jsonl", "--resume")
    assert home.asked == [4, 3]


@KINDS
def test_what_was_cancelled_before_it_was_begun_is_handed_over_anew(home: Home) -> None:
    """When the batch is gone on with: it fails no row, for nothing was asked."""
    home.write(2)
    home.provider.ends_when_looked_at = False
    with home.waiting() as process:
        (run,) = [run for run in freehold("runs", "list", "--json", cwd=home.folder).json if run["kind"] == "batch"]
        freehold("runs", "cancel", run["id"], cwd=home.folder)
        process.communicate(timeout=60)
    home.provider.words = lambda body: "canceled"
    home.provider.finish("cancelled")
    home.provider.words, home.provider.ends_when_looked_at = words, True
    home.batch("plain", "in.jsonl", "--out", "out.jsonl", "--resume")
    assert home.asked == [2, 2, 1]
    assert len(home.lines("out.jsonl")) == 2


def test_a_kill_at_any_moment_hands_nothing_over_twice(home: Home) -> None:
    home.write(4)
    command = [sys.executable, "-c", RUN, "batch", "plain", "in.jsonl", "--out", "out.jsonl", "--provider-batch", "--resume"]
    for route in ("POST /files", "POST /batches", "GET /batches/ID", "GET /files/ID/content"):
        before = home.provider.asked[route]
        with subprocess.Popen(command, cwd=home.folder, stderr=subprocess.DEVNULL) as process:
            until = time.monotonic() + 60
            while home.provider.asked[route] == before and process.poll() is None:
                assert time.monotonic() < until
                time.sleep(0.002)
            process.kill()
    home.batch("plain", "in.jsonl", "--out", "out.jsonl", "--resume")
    assert home.asked == [4, 3]
    assert len(home.lines("out.jsonl")) == 4


def test_what_cannot_be_handed_over_is_said_before_anything_is_asked(home: Home) -> None:
    home.write(2)
    assert "no model has one" in home.batch("alone", "in.jsonl", "--out", "out.jsonl", code=2).err
    assert "--budget-usd" in home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--budget-usd", "1", code=2).err
    assert not home.provider.batches
    assert "something else each time" in home.batch("restless", "in.jsonl", "--out", "other.jsonl", code=2).err
    assert home.asked == [2]


def test_what_is_asked_at_once_is_not_asked_again_for_what_is_handed_over_beside_it(home: Home) -> None:
    """Be it of the same call, or of another one that is broken off with the run."""
    home.write(3)
    told = json.loads(home.batch("mixed", "in.jsonl", "--out", "out.jsonl", "--json").out)
    assert home.asked == [3] and home.provider.asked["POST /chat/completions"] == 3
    assert told["done"] == 3
    assert [len(call["attempts"]) for call in home.calls()] == [2, 2, 2]
    home.batch("grouped", "in.jsonl", "--out", "grouped.jsonl")
    assert home.asked == [3, 9] and home.provider.asked["POST /chat/completions"] == 6


@pytest.mark.parametrize(("program", "rounds"), [("careful", [6]), ("hasty", [3, 3]), ("mapped", [120]), ("by_another", [3])])
def test_a_row_whose_question_was_handed_over_waits_for_it_whatever_its_program_does_meanwhile(
    home: Home, program: str, rounds: list[int]
) -> None:
    """Catches what comes of it, goes on beside, or asks from within a function that answers."""
    home.write(3)
    home.batch(program, "in.jsonl", "--out", "out.jsonl")
    assert home.asked == rounds
    for n, line in enumerate(home.lines("out.jsonl")):
        each = [line["output"]] if isinstance(line["output"], str) else line["output"]
        assert all("answered" in text and f"row {n}" in text for text in each)


def test_what_is_remembered_meanwhile_takes_the_place_of_nothing_that_was_handed_over(home: Home) -> None:
    (home.folder / "in.jsonl").write_text('"the same"\n' * 3)
    told = json.loads(home.batch("remembered", "in.jsonl", "--out", "out.jsonl", "--json").out)
    assert home.asked == [3]
    assert told["cost_usd"] == pytest.approx(3 * 70 / 1e6)


def test_a_later_round_that_its_provider_refused_is_gone_on_with(home: Home) -> None:
    """The first one's answers are in the journal by then, and answer nothing any more."""
    home.write(4)

    def once(body: dict[str, Any]) -> str:
        home.provider.words, home.provider.fails["POST /batches"] = words, [401]
        return words(body)

    home.provider.words = once
    assert "401" in home.batch("plain", "in.jsonl", "--out", "out.jsonl", code=1).err
    home.batch("plain", "in.jsonl", "--out", "out.jsonl", "--resume")
    assert home.asked == [4, 3]
    assert len(home.lines("out.jsonl")) == 4


def test_calls_of_the_same_process_that_are_of_no_row_are_answered_at_once(home: Home) -> None:
    home.write(2)
    home.provider.ends_when_looked_at = False
    script = """
import os, stat, sys, threading, time
from pathlib import Path
import freehold
from freehold.pipelines.job import Job
import program
job = Job(Path("in.jsonl"), Path("out.jsonl"), provider_batch=True)
threading.Thread(target=lambda: program.plain.batch(job), daemon=True).start()
asked = Path("out.jsonl.part.asked")
until = time.monotonic() + 30
while not asked.exists() and time.monotonic() < until:
    time.sleep(0.01)
assert stat.S_IMODE(asked.stat().st_mode) == 0o600
print(program.reply("hello", "now"))
sys.stdout.flush()
os._exit(0)
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=home.folder, capture_output=True, text=True, timeout=60, check=False)
    assert "answered" in ended.stdout, ended.stderr


def test_rows_that_wait_for_a_person_are_not_waited_for_before_others_are_handed_over(home: Home) -> None:
    """What the others asked comes back meanwhile; what a row asks after a person has answered is handed over in a batch of its own."""
    home.write(4)
    command = [sys.executable, "-c", RUN, "batch", "some_by_people", "in.jsonl", "--out", "out.jsonl", "--provider-batch"]
    with subprocess.Popen(command, cwd=home.folder, stderr=subprocess.PIPE, text=True) as process:
        until, part = time.monotonic() + 60, home.folder / "out.jsonl.part"
        while not part.exists() or part.read_text().count('"type":"row"') < 2:
            assert time.monotonic() < until and process.poll() is None
            time.sleep(0.05)
        assert home.asked == [2]
        freehold("expert", "answer", "told", "--expert", "ann", "--project", home.folder, stdin="loans\nfraud\n")
        assert process.wait(60) == 0
    assert sum(home.asked) == 4
    assert ["loans" in line["output"] or "fraud" in line["output"] for line in home.lines("out.jsonl")] == [True, True, False, False]
