"""Programs of several steps: one episode, one scope, one word to stop; and the project at work in a process, however that ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import freehold
from at_work import TOML, Desk, at_work, said_of
from freehold.config import FILE_NAME
from freehold.context import prompts
from freehold.errors import CallerError, OperatorError
from freehold.pipelines import runs
from freehold.pipelines.failure import BudgetSpent, Cancelled, MalformedAnswer, StepFailed, TookTooLong
from freehold.pipelines.run import CircularPipeline, Run, Steps
from freehold.pipelines.scope import Scope, entered
from freehold.pipelines.signature import Misuse
from upstream import Said, Upstream, hangs, says, upstream


@freehold.task(reference="cheap")
def upper(text: str) -> str:
    """Write it in capitals."""


@freehold.task(reference="cheap")
def count(text: str) -> int:
    """Count its letters."""


@freehold.pipeline
def twice(text: str) -> list[str]:
    return [upper(text), upper(text + "!")]


@freehold.pipeline
async def at_once(text: str) -> list[str]:
    return list(await asyncio.gather(upper.acall(text), upper.acall(text + "!"), asyncio.to_thread(upper, text + "?")))


@freehold.pipeline
def outer(text: str) -> tuple[str | None, list[str]]:
    return freehold.episode(), twice(text)


@freehold.pipeline
def each(*texts: str) -> Iterator[str]:
    try:
        for text in texts:
            yield upper(text)
    finally:
        closed.append(freehold.episode())


@freehold.pipeline
async def each_later(*texts: str) -> AsyncIterator[str]:
    try:
        for text in texts:
            yield await upper.acall(text)
    finally:
        closed.append(freehold.episode())


closed: list[str | None] = []


@freehold.pipeline
def around(text: str) -> str:
    return back(text)


@freehold.pipeline
def back(text: str) -> str:
    return around(text)


@freehold.pipeline(deadline_s=0.3)
def hurried(text: str) -> str:
    return upper(text)


@freehold.pipeline(budget_usd=0.1)
def frugal(n: int) -> list[str]:
    return [upper(str(k)) for k in range(n)]


@freehold.pipeline
def careless(text: str) -> int:
    upper(text)
    return count(text)


@freehold.pipeline
async def first_of(*texts: str) -> str:
    racing = [asyncio.create_task(upper.acall(text)) for text in texts]
    done, others = await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    return done.pop().result()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with at_work(tmp_path) as found:
        found.up.answer = says(lambda said: said_of(said).upper())
        closed.clear()
        yield found


def episodes(desk: Desk) -> dict[str, str]:
    """By id, the names of those that the journal has."""
    with desk.at.project.store.reading() as connection:
        return dict(connection.exec_driver_sql("SELECT id, name FROM episodes").fetchall())


def until(holds: Callable[[], object], within_s: float = 8.0) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)


# One episode.


def test_all_calls_of_a_run_are_one_episode_and_those_of_the_next_are_another(desk: Desk) -> None:
    assert twice("a") == ["A", "A!"] and twice("a") == ["A", "A!"]
    first, second = (tuple(call.episode for call in desk.calls())[at : at + 2] for at in (0, 2))
    assert first[0] == first[1] != second[0] == second[1] and None not in first
    assert freehold.episode() is None
    until(lambda: episodes(desk) == {first[0]: "twice", second[0]: "twice"})


def test_what_is_gathered_and_what_runs_in_threads_is_part_of_it(desk: Desk) -> None:
    assert asyncio.run(at_once("a")) == ["A", "A!", "A?"]
    assert len({call.episode for call in desk.calls()}) == 1 and len(desk.calls()) == 3


def test_a_pipeline_within_one_joins_its_episode(desk: Desk) -> None:
    episode, _ = outer("a")
    assert {call.episode for call in desk.calls()} == {episode}
    until(lambda: episodes(desk) == {episode: "outer"})


def test_a_generator_is_one_run_and_its_scope_is_not_the_caller_s(desk: Desk) -> None:
    found = []
    for word in each("a", "b"):
        assert freehold.episode() is None
        found.append(word)
    upper("c")
    assert found == ["A", "B"]
    ids = [call.episode for call in desk.calls()]
    assert ids[0] == ids[1] == closed[0] and ids[2] is None


def test_who_stops_iterating_closes_what_is_iterated(desk: Desk) -> None:
    with closing(each("a", "b")) as words:
        assert next(words) == "A"

    async def one() -> str:
        stream = each_later("a", "b")
        found = await anext(stream)
        await stream.aclose()
        return found

    assert closed == [desk.calls()[0].episode] and closed[0] is not None
    assert asyncio.run(one()) == "A" and len(closed) == 2 and closed[1] == desk.calls()[1].episode
    until(lambda: set(episodes(desk)) == set(closed))


def test_a_run_that_is_awaited_within_another_is_the_run_it_was_begun_as(desk: Desk) -> None:
    async def both() -> None:
        begun = at_once("a")

        @freehold.pipeline
        async def waits() -> list[str]:
            return await begun

        await waits()

    asyncio.run(both())
    [id] = {call.episode for call in desk.calls()}
    until(lambda: episodes(desk).get(id) == "at_once")


def test_pipelines_that_call_each_other_in_a_circle_say_so(desk: Desk) -> None:
    with pytest.raises(CircularPipeline, match="around -> back -> around"):
        around("a")

    @freehold.pipeline
    def down(n: int) -> int:
        return 0 if n == 0 else down(n - 1) + 1

    assert down(5) == 5
    with pytest.raises(CircularPipeline):
        down(500)


class Thing:
    """Counts how often it is put in words."""

    times = 0

    def __repr__(self) -> str:
        Thing.times += 1
        return "said"


def test_arguments_are_looked_at_only_of_a_pipeline_within_itself(desk: Desk) -> None:
    """For they may be large, such as a document."""

    @freehold.pipeline
    def inner(thing: Thing) -> int:
        return 1

    @freehold.pipeline
    def whole(thing: Thing, again: bool = False) -> int:
        return whole(thing) if again else inner(thing)

    assert whole(Thing()) == 1 and Thing.times == 0
    assert whole(Thing(), again=True) == 1 and Thing.times == 1


def test_of_several_that_race_the_others_are_broken_off(desk: Desk) -> None:
    def answer(said: Said) -> Iterator[bytes]:
        if said_of(said) == "slow":
            return hangs(said)
        until(lambda: len(desk.up.asked) == 2)  # both are under way
        return says("FAST")(said)

    desk.up.answer = answer
    assert asyncio.run(first_of("slow", "fast")) == "FAST"
    until(lambda: sorted(call.outcome for call in desk.calls()) == ["answered", "cancelled"])
    assert len({call.episode for call in desk.calls()}) == 1


# How it fails.


def test_a_step_that_fails_holds_the_episode_with_what_was_done_before(desk: Desk) -> None:
    with pytest.raises(MalformedAnswer) as found:
        careless("many words")
    assert {call.episode for call in desk.calls()} == {found.value.episode}
    assert [call.outcome for call in desk.calls()] == ["answered", "malformed"]


def test_its_deadline_and_its_budget_hold_for_each_run(desk: Desk) -> None:
    desk.up.answer = hangs
    with pytest.raises(TookTooLong) as found:
        hurried("a")
    assert found.value.episode is not None
    desk.up.answer = says("A")
    for _ in range(2):
        before = len(desk.up.asked)
        with pytest.raises(BudgetSpent):
            frugal(1_000)
        assert len(desk.up.asked) - before > 20


def test_settings_that_cannot_be_are_refused_where_it_is_declared() -> None:
    for wrong in ({"deadline_s": 0}, {"deadline_s": float("nan")}, {"budget_usd": -1}):
        with pytest.raises(Misuse, match=r"test_pipelines.py:\d+: pipeline 'never'"):

            @freehold.pipeline(**wrong)  # type: ignore[arg-type]
            def never() -> None: ...


# Runs that last.


@freehold.pipeline
def long_one(n: int) -> int:
    for k in range(n):
        upper(str(k))
        time.sleep(0.02)
    return n


def test_a_run_that_lasts_is_listed_and_can_be_stopped_from_elsewhere(desk: Desk) -> None:
    store = desk.at.project.store
    ended: list[BaseException] = []

    def work() -> None:
        try:
            long_one(2_000)
        except Cancelled as error:
            ended.append(error)

    import contextvars

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
    thread.start()
    until(lambda: bool(runs.listed(store, "default", datetime.now(UTC))))
    [run] = runs.listed(store, "default", datetime.now(UTC))
    assert (run.kind, run.name, run.state, run.progress.pid) == ("pipeline", "long_one", "running", os.getpid())
    code = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path; from freehold.project import Project;"
        "from freehold.pipelines import runs; runs.cancel(Project.at(Path(sys.argv[1])).store, 'default', sys.argv[2], datetime.now(UTC))"
    )
    subprocess.run([sys.executable, "-c", code, str(desk.folder), run.id[:12]], check=True)
    thread.join(10)
    [error] = ended
    assert isinstance(error, Cancelled) and error.episode == run.id
    until(lambda: runs.find(store, "default", run.id, datetime.now(UTC)).state == "cancelled")
    over = runs.find(store, "default", run.id, datetime.now(UTC))
    assert over.progress.done == len([call for call in desk.calls() if call.outcome == "answered"])
    with pytest.raises(CallerError, match="is cancelled already"):
        runs.cancel(store, "default", run.id, datetime.now(UTC))


def test_a_call_that_is_broken_off_by_such_a_word_says_so_and_is_journalled(desk: Desk) -> None:
    desk.up.answer = hangs
    run = Run("pipeline", "stopped")

    def stop() -> None:
        until(lambda: bool(desk.up.asked))
        desk.at.soon(run.cancel)

    threading.Thread(target=stop).start()
    with pytest.raises(Cancelled) as found, entered(Scope(run=run)):
        upper("a")
    assert (found.value.task, found.value.episode) == ("upper", run.id)
    assert found.value.call is not None and found.value.call.outcome == "cancelled"
    with pytest.raises(Cancelled) as again, entered(Scope(run=run)):
        upper("b")
    assert again.value.task == "upper" and len(desk.up.asked) == 1


def test_a_run_that_is_under_way_when_its_project_is_closed_is_over_in_the_store(tmp_path: Path) -> None:
    with at_work(tmp_path) as desk:
        desk.up.answer = says("A")
        run = Run("pipeline", "unfinished")
        desk.at.begin(run)
        until(lambda: bool(runs.listed(desk.at.project.store, "default", datetime.now(UTC))))
    with at_work(tmp_path) as desk:
        assert runs.find(desk.at.project.store, "default", run.id, datetime.now(UTC)).state == "cancelled"


# Gone on with.


def test_steps_that_the_journal_has_are_not_asked_again(desk: Desk) -> None:
    """Each answer is taken once, in the order in which they were given; what it does not have is asked."""
    desk.up.answer = says(lambda said: f"{len(desk.up.asked)}")
    first = [upper(text) for text in ("a", "a", "b")]
    run = Run("pipeline", "resumed", steps=Steps(desk.calls()))
    with entered(Scope(run=run)):
        again = [upper(text) for text in ("b", "a", "a", "a")]
    assert (first, again) == (["1", "2", "3"], ["3", "1", "2", "4"])
    assert len(desk.up.asked) == 4


# A project at work.


def test_each_block_has_its_own_project(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with at_work(tmp_path / "a") as one, at_work(tmp_path / "b") as two:
        one.up.answer, two.up.answer = says("ONE"), says("TWO")
        assert upper("x") == "TWO"
        with freehold.use(one.folder):
            assert upper("x") == "ONE"
        assert upper("x") == "TWO"
        assert (len(one.calls()), len(two.calls())) == (1, 2)


PROGRAM = """
import freehold, os, signal, sys, threading, time

@freehold.task(reference="cheap")
def upper(text: str) -> str:
    \"\"\"Write it in capitals.\"\"\"

@freehold.task(reference="cheap", deadline_s=0.2)
def slow(text: str) -> str:
    \"\"\"Write it in capitals.\"\"\"
    time.sleep(60)
    return text

@freehold.pipeline
def steps(text: str) -> str:
    return upper(text)
"""


def program(folder: Path, up: Upstream, body: str, **environment: str) -> "subprocess.Popen[str]":
    (folder / FILE_NAME).write_text(TOML.replace("{url}", up.url))
    (folder / "program.py").write_text(f"{PROGRAM}\n{body}\n")
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(folder / "program.py")],
        cwd=folder.parent,
        env={**os.environ, "FREEHOLD_PROJECT": str(folder), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def calls_in(folder: Path) -> list[tuple[str, str]]:
    from freehold.journal import read
    from freehold.store.open import open_store

    with open_store("sqlite:///freehold.db", folder) as store:
        return [(call.task or "", call.outcome) for call in read.calls(store, "default")]


@pytest.fixture
def up() -> Iterator[Upstream]:
    with upstream() as found:
        found.answer = says("A")
        yield found


def test_a_program_that_ends_slowly_has_nothing_to_say_of_it(tmp_path: Path, up: Upstream) -> None:
    """What looks around now and then needs threads, and Python begins none once the program ends."""
    process = program(tmp_path, up, "import atexit, time\nprint(upper('a'))\natexit.register(time.sleep, 2.5)")
    assert process.communicate(timeout=60) == ("A\n", "")


def test_a_program_needs_nothing_but_the_name_of_its_project(tmp_path: Path, up: Upstream) -> None:
    """It is opened at the first call and closed when the program ends, with the episodes of short runs written down."""
    process = program(tmp_path, up, "print(upper('a'), steps('b'))")
    out, err = process.communicate(timeout=30)
    assert (out, err, process.returncode) == ("A A\n", "", 0)
    assert calls_in(tmp_path) == [("upper", "answered")] * 2
    import sqlite3

    assert sqlite3.connect(tmp_path / "freehold.db").execute("SELECT name FROM episodes").fetchall() == [("steps",)]


def test_where_there_is_no_project_the_error_says_what_to_do(tmp_path: Path, up: Upstream) -> None:
    process = program(tmp_path, up, "upper('a')", FREEHOLD_PROJECT=str(tmp_path.parent))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "OperatorError" in err and "freehold.toml" in err


def test_ctrl_c_breaks_off_and_journals_and_ends_at_once(tmp_path: Path, up: Upstream) -> None:
    up.answer = hangs
    process = program(tmp_path, up, "upper('a')")
    until(lambda: bool(up.asked), 20)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - began < 15 and "KeyboardInterrupt" in err
    assert calls_in(tmp_path) == [("upper", "cancelled")]
    assert up.broken_off == 1


def test_a_body_that_hangs_keeps_no_program_from_ending(tmp_path: Path, up: Upstream) -> None:
    began = time.monotonic()
    process = program(tmp_path, up, "print(slow('a'))")
    out, _ = process.communicate(timeout=30)
    assert (out, process.returncode) == ("A\n", 0) and time.monotonic() - began < 20
    assert calls_in(tmp_path) == [("slow", "answered")]


def test_a_child_that_was_forked_has_a_project_of_its_own(tmp_path: Path, up: Upstream) -> None:
    """Also within a block: it is the project of that block, not one that happens to be around."""
    body = """
with freehold.use(os.environ["HERE"]):
    upper('a')
    child = os.fork()
    if child == 0:
        print(upper('b'), flush=True)
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    print(upper('c'))
"""
    (tmp_path / "here").mkdir()
    process = program(tmp_path / "here", up, body, FREEHOLD_PROJECT="/nowhere", HERE=str(tmp_path / "here"))
    out, err = process.communicate(timeout=40)
    assert (out, process.returncode) == ("A\nA\n", 0), err
    assert calls_in(tmp_path / "here") == [("upper", "answered")] * 3


def test_closing_breaks_off_what_is_in_flight_and_whoever_waits_hears_of_it(tmp_path: Path) -> None:
    import contextvars

    heard: list[object] = []
    with at_work(tmp_path) as desk:
        desk.up.answer = hangs

        def wait() -> None:
            try:
                heard.append(upper("a"))
            except StepFailed as error:
                heard.append(error)

        threads = [threading.Thread(target=contextvars.copy_context().run, args=(wait,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(desk.up.asked) == 3)
    for thread in threads:
        thread.join(5)
    assert [type(one) for one in heard] == [Cancelled] * 3
    assert [call.outcome for call in desk.calls()] == ["cancelled"] * 3


# Labels of prompts.


def test_a_label_takes_over_within_seconds_and_a_call_names_the_prompt_it_was_put_in_words_by(desk: Desk) -> None:
    store, now = desk.at.project.store, datetime.now(UTC)
    own = upper.answer("a").call.prompt
    hash = prompts.keep(store, "default", "upper", "{% block system %}SHOUT{% endblock %}{% block user %}<{{ text }}>{% endblock %}", now)
    prompts.move(store, "default", "upper", "production", hash[:6], now)
    until(lambda: upper.answer("a").call.prompt == hash, 5)
    assert said_of(desk.up.asked[-1]) == "<a>" and desk.calls()[-1].prompt == hash
    prompts.roll_back(store, "default", "upper", "production", now)
    until(lambda: upper.answer("a").call.prompt == own, 5)
    assert json.dumps(desk.up.asked[-1].body["messages"]).count("Write it in capitals") == 1


def test_a_variant_may_name_a_prompt_by_its_hash_or_by_a_label(desk: Desk) -> None:
    template = "Loudly: {{ text }}"
    hash = prompts.hash_of(template)

    @freehold.task(reference=freehold.ask("cheap", prompt=hash, name="by_hash"), variants=["cheap"])
    def by_hash(text: str) -> str:
        """Write it in capitals."""

    @freehold.task(reference=freehold.ask("cheap", prompt="candidate", name="by_label"))
    def by_label(text: str) -> str:
        """Write it in capitals."""

    prompts.keep(desk.at.project.store, "default", "by_hash", template, datetime.now(UTC))
    assert (by_hash("a"), by_hash.answer("a").call.prompt) == ("LOUDLY: A", hash)
    with pytest.raises(StepFailed, match="'candidate' names no prompt of task 'by_label'"):
        by_label("a")


def test_the_prompt_that_a_call_names_is_that_of_whom_it_was_put_to(tmp_path: Path) -> None:
    """Not that of somebody who might have been asked next, whose costs were estimated."""
    template = "Loudly: {{ text }}"

    @freehold.task(reference="frontier", variants=[freehold.ask("cheap", prompt=prompts.hash_of(template), name="loud")])
    def chained(text: str) -> str:
        """Write it in capitals."""

    with at_work(tmp_path, chained="otherwise try loud accept answer_chars > 3 then frontier") as desk:
        prompts.keep(desk.at.project.store, "default", "chained", template, datetime.now(UTC))
        desk.up.answer = says(lambda said: said_of(said).upper())
        with freehold.scope(budget_usd=5):
            assert chained.answer("a").call.prompt == prompts.hash_of(template)


def test_no_project_at_all_is_an_operator_s_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_PROJECT", str(tmp_path))
    with pytest.raises(OperatorError, match=r"freehold\.toml"):
        upper("a")
