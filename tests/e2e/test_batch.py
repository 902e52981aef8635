"""`freehold batch`: a task or a pipeline over the rows of a file, in order, each once, whatever happens meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from command import RUN, Ended, freehold
from upstream import Said, Upstream, openai_answer, upstream, whole

TOML = """
[project]
python = ["program.py"]
[providers.one]
kind = "openai"
base_url = "{url}"
[models.cheap]
provider = "one"
price = {{ input_per_mtok = 1.0, output_per_mtok = 2.0 }}
serving = {{ retries = 0 }}
"""
PROGRAM = '''
from typing import Literal

from pydantic import BaseModel

import freehold


class Sorted(BaseModel):
    queue: Literal["cards", "other"]
    sure: float


@freehold.task(reference=freehold.ask("cheap", sampling=freehold.Sampling(max_output_tokens=40), name="short"))
def sort(message: str) -> Sorted:
    """Sort it."""


@freehold.task(reference="cheap")
def reply(message: str, queue: str) -> str:
    """Answer it."""


@freehold.pipeline
async def desk(message: str) -> str:
    found = await sort.acall(message)
    return await reply.acall(message, found.queue)


@freehold.pipeline
def plain(message: str) -> str:
    if message == "row 3":
        raise ValueError("row 3 is not for this")
    return reply(message, sort(message).queue)
'''
ANSWER = {"queue": "cards", "sure": 0.5}


class Home(NamedTuple):
    """A project with a program, and the provider that it asks."""

    folder: Path
    provider: Upstream

    def batch(self, *arguments: str, code: int | None = 0) -> Ended:
        return freehold("batch", *arguments, cwd=self.folder, code=code)

    def write(self, count: int, name: str = "in.jsonl") -> Path:
        path = self.folder / name
        path.write_text("".join(json.dumps(f"row {n}") + "\n" for n in range(count)))
        return path

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    @property
    def asked(self) -> Counter[str]:
        """How often each message was put to the provider."""
        return Counter(said.body["messages"][-1]["content"] for said in self.provider.asked)


def says(said: Said) -> Iterator[bytes]:
    """Sorts what has a form, and answers what has none."""
    body = openai_answer(said.body["model"])
    words = said.body["messages"][-1]["content"]
    body["choices"][0]["message"]["content"] = json.dumps(ANSWER) if "response_format" in said.body else f"answered {words}"
    return whole(body)


@contextmanager
def at_home(folder: Path) -> Iterator[Home]:
    """The program's project, and its provider as long as it is asked."""
    with upstream() as provider:
        provider.answer = says
        (folder / "freehold.toml").write_text(TOML.format(url=provider.url))
        (folder / "program.py").write_text(PROGRAM)
        yield Home(folder, provider)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with at_home(tmp_path) as made:
        yield made


def test_each_row_has_its_answer_in_order(home: Home) -> None:
    """With what was asked and what was answered, and the report says how many and for how much."""
    home.write(40)
    report = home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--json").json
    assert home.lines("out.jsonl") == [{"row": n, "input": f"row {n}", "output": ANSWER} for n in range(40)]
    assert (report["ended"], report["done"], report["failed"], report["left"]) == ("done", 40, 0, 0)
    assert report["cost_usd"] == pytest.approx(40 * 140e-6)
    assert not (home.folder / "out.jsonl.part").exists()


def test_tables_keep_their_columns_and_get_those_of_the_answer(home: Home) -> None:
    """CSV in, Parquet out, and back; a cell keeps its commas and line ends."""
    (home.folder / "in.csv").write_text('message,id\n"one, two\nthree",7\nfour,8\n')
    program = PROGRAM + '\n\n@freehold.task(reference="cheap")\ndef both(message: str, id: int) -> Sorted:\n    """Sort it."""\n'
    (home.folder / "program.py").write_text(program)
    home.batch("both", "in.csv", "--out", "out.parquet")
    table = pq.read_table(home.folder / "out.parquet")
    assert table.to_pydict() == {
        "row": [0, 1], "message": ["one, two\nthree", "four"], "id": ["7", "8"], "queue": ["cards", "cards"], "sure": [0.5, 0.5]
    }  # fmt: skip


def test_a_run_that_was_killed_goes_on_and_asks_nothing_twice_that_was_answered(home: Home) -> None:
    """SIGKILL in the middle: with --resume the rest is done, a pipeline from the step it had reached; without it nothing is touched."""
    home.write(120)
    slow = [0.0]

    def answer(said: Said) -> Iterator[bytes]:
        time.sleep(slow[0])
        yield from says(said)

    home.provider.answer, slow[0] = answer, 0.02
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, "batch", "desk", "in.jsonl", "--out", "out.jsonl", "--concurrency", "8"], cwd=home.folder
    )
    while len(home.provider.asked) < 100:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    slow[0] = 0.0
    refused = home.batch("desk", "in.jsonl", "--out", "out.jsonl", code=2)
    assert "broken off" in refused.err and "--resume" in refused.err
    home.batch("desk", "in.jsonl", "--out", "out.jsonl", "--resume")
    assert [line["output"] for line in home.lines("out.jsonl")] == [f"answered message: row {n}\nqueue: cards" for n in range(120)]
    twice = sum(count - 1 for count in home.asked.values())
    assert len(home.asked) == 240 and twice <= 16  # those alone that were under way, or whose answer was


def test_rows_that_fail_stand_aside_and_can_be_tried_again(home: Home) -> None:
    """Each with its reason: a program's own error, a row of another type, a line that is none. --retry-failed asks for those alone."""
    home.write(6)
    with (home.folder / "in.jsonl").open("a") as file:
        file.write('{"message": 5}\nno json\n')
    ended = home.batch("plain", "in.jsonl", "--out", "out.jsonl", "--json", code=1)
    assert (ended.json["done"], ended.json["failed"]) == (5, 3)
    failed = home.lines("out.jsonl.failed.jsonl")
    assert [row["n"] for row in failed] == [3, 6, 7]
    assert "row 3 is not for this" in failed[0]["error"]
    (listed,) = [line for line in freehold("runs", "list", "--all", cwd=home.folder).out.splitlines() if "batch" in line]
    assert [cell.strip() for cell in listed.split("│")][7:9] == ["5 of 8", "3"]
    assert "message" in failed[1]["error"]
    assert "cannot be read" in failed[2]["error"]
    assert [line["row"] for line in home.lines("out.jsonl")] == [0, 1, 2, 4, 5]
    (home.folder / "program.py").write_text(PROGRAM.replace('message == "row 3"', "False"))
    before = len(home.provider.asked)
    again = home.batch("plain", "in.jsonl", "--out", "out.jsonl", "--json", "--retry-failed", code=1)
    assert (again.json["done"], again.json["failed"]) == (6, 2)
    assert len(home.provider.asked) - before == 2  # row 3, whose two steps were never asked
    assert [line["row"] for line in home.lines("out.jsonl")] == [0, 1, 2, 3, 4, 5]


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(home: Home) -> None:
    """A provider's fault is tried as often as --attempts says; what it refuses for good once."""
    home.write(4)
    faults = Counter[str]()

    def answer(said: Said) -> Iterator[bytes]:
        words = said.body["messages"][-1]["content"]
        faults[words] += 1
        if words == "row 1" and faults[words] <= 2:
            return whole({"error": {"message": "it broke"}}, 500)
        if words == "row 2":
            return whole({"error": {"message": "it is always broken"}}, 500)
        if words == "row 3":
            return whole({"error": {"message": "not this model"}}, 404)
        return says(said)

    home.provider.answer = answer
    ended = home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--json", "--attempts", "3", code=1)
    assert (ended.json["done"], ended.json["failed"]) == (2, 2)
    assert faults == {"row 0": 1, "row 1": 3, "row 2": 3, "row 3": 1}
    assert home.lines("out.jsonl.failed.jsonl")[0]["attempts"] == 3


def test_a_budget_that_runs_out_keeps_what_was_done_and_goes_on_with_a_larger_one(home: Home) -> None:
    """The rest says why. Earlier runs count."""
    home.write(60)
    ended = home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--budget-usd", "0.003", "--json", code=1)
    assert ended.json["ended"] == "budget" and ended.json["cost_usd"] <= 0.003
    assert 10 <= ended.json["done"] < 60 and ended.json["left"] == 60 - ended.json["done"]
    assert "budget" in ended.json["why"]
    asked = len(home.provider.asked)
    assert asked == ended.json["done"]
    more = home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--budget-usd", "1", "--resume", "--json").json
    assert more["done"] == 60 and len(home.provider.asked) == 60
    assert more["cost_usd"] == pytest.approx(60 * 140e-6)


def test_a_provider_that_answers_nobody_ends_it(home: Home) -> None:
    """After a hundred tries in a row, not after each of all rows; what was not answered is left for the next run."""
    home.write(500)
    home.provider.answer = lambda said: whole({"error": {"message": "the key is wrong"}}, 401)
    ended = home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--attempts", "1", "--json", code=1)
    assert ended.json["ended"] == "failing" and "the key is wrong" in ended.json["why"]
    assert len(home.provider.asked) < 200
    home.provider.answer = says
    again = home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--resume", "--json").json
    assert (again["done"], again["failed"]) == (500, 0)


def test_a_column_that_comes_late_in_lines_of_json_is_in_the_table(home: Home) -> None:
    rows = [{"message": f"m{n}", **({"late": "here"} if n == 299 else {})} for n in range(300)]
    (home.folder / "late.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    home.batch("sort", "late.jsonl", "--out", "late.csv")
    lines = (home.folder / "late.csv").read_text().splitlines()
    assert (lines[0], len(lines), sum("here" in line for line in lines)) == ("row,message,late,queue,sure", 301, 1)


def test_columns_that_are_no_parameters_come_along(home: Home) -> None:
    """As nearly every table has an id."""
    (home.folder / "in.csv").write_text("id,message\n7,one\n8,two\n")
    home.batch("sort", "in.csv", "--out", "out.csv")
    assert (home.folder / "out.csv").read_text().splitlines() == ["row,id,message,queue,sure", "0,7,one,cards,0.5", "1,8,two,cards,0.5"]


@pytest.mark.parametrize(
    ("program", "name", "said"),
    [
        ("sort", "in.csv", "'sort' needs a column message, and in.csv has: id, text."),
        ("reply", "in.csv", "'reply' needs a column message and a column queue, and in.csv has: id, text."),
        ("desk", "in.parquet", "'desk' needs a column message, and in.parquet has: id, text."),
    ],
)
def test_a_table_without_a_parameters_column_is_refused_once(home: Home, program: str, name: str, said: str) -> None:
    """Before anybody is asked, and not for each of its rows."""
    (home.folder / "in.csv").write_text("id,text\n7,one\n8,two\n")
    pq.write_table(pa.table({"id": [7, 8], "text": ["one", "two"]}), home.folder / "in.parquet")
    assert said in home.batch(program, name, "--out", "out.jsonl", code=2).err
    assert not home.provider.asked and not (home.folder / "out.jsonl.part").exists()


def test_a_line_without_the_parameter_says_what_it_has(home: Home) -> None:
    (home.folder / "in.jsonl").write_text('{"text": "one", "id": 7}\n"two"\n')
    home.batch("sort", "in.jsonl", "--out", "out.jsonl", code=1)
    [row] = home.lines("out.jsonl.failed.jsonl")
    assert row["error"] == "Task 'sort' needs message, and got an object without it. It has: text, id."


@pytest.mark.parametrize(
    "command", [("batch", "sort", "in.jsonl", "--out", "out.jsonl"), ("stream", "sort", "--from", "in.jsonl", "--to", "a.jsonl")]
)
def test_a_key_that_is_not_set_ends_it_with_one_line(home: Home, command: tuple[str, ...]) -> None:
    """Nothing is counted as failed, for nothing is wrong with it."""
    home.write(3)
    (home.folder / "freehold.toml").write_text(
        TOML.format(url=home.provider.url).replace('kind = "openai"', 'kind = "openai"\nkey_env = "NO_SUCH_KEY"')
    )
    ended = freehold(*command, cwd=home.folder, code=1)
    assert ended.err.strip().splitlines()[-1].count("the environment variable NO_SUCH_KEY is not set") == 1
    assert "Traceback" not in ended.err and not (home.folder / "out.jsonl.failed.jsonl").exists()
    (home.folder / "freehold.toml").write_text(TOML.format(url=home.provider.url))
    if command[0] == "batch":
        assert home.batch(*command[1:], "--resume", "--json").json["done"] == 3


def test_ctrl_c_ends_what_is_under_way_and_keeps_it(home: Home) -> None:
    """Exit 130; what was paid for is there for --resume."""
    home.write(200)

    def answer(said: Said) -> Iterator[bytes]:
        time.sleep(0.05)
        yield from says(said)

    home.provider.answer = answer
    command = [sys.executable, "-c", RUN, "batch", "sort", "in.jsonl", "--out", "out.jsonl", "--concurrency", "4"]
    process = subprocess.Popen(command, cwd=home.folder, stderr=subprocess.PIPE, text=True, env={**os.environ})
    while len(home.provider.asked) < 12:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "--resume" in said
    asked = len(home.provider.asked)
    home.provider.answer = says
    home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--resume")
    assert len(home.provider.asked) == 200 and asked < 200


def test_a_run_can_be_seen_and_cancelled_from_elsewhere(home: Home) -> None:
    """`freehold runs` shows how far it is; `cancel` ends it, and what was done is kept."""
    home.write(400)

    def answer(said: Said) -> Iterator[bytes]:
        time.sleep(0.1)
        yield from says(said)

    home.provider.answer = answer
    command = [sys.executable, "-c", RUN, "batch", "sort", "in.jsonl", "--out", "out.jsonl", "--concurrency", "2", "--json"]
    process = subprocess.Popen(command, cwd=home.folder, stdout=subprocess.PIPE, text=True)
    runs: list[dict[str, Any]] = []
    while not runs:
        runs = freehold("runs", "list", "--json", cwd=home.folder).json
    assert runs[0]["kind"] == "batch" and runs[0]["name"] == "sort" and runs[0]["progress"]["total"] == 400
    freehold("runs", "cancel", runs[0]["id"], cwd=home.folder)
    report = json.loads(process.communicate(timeout=30)[0])
    assert report["ended"] == "cancelled" and 0 < report["done"] < 400
    assert report["known_usd"] == pytest.approx(report["done"] * 140e-6)  # whoever was broken off says no price
    shown = freehold("runs", "show", runs[0]["id"], cwd=home.folder).out
    assert report["cost_usd"] is None and f"${report['known_usd']:.6f} or more" in shown


def test_what_is_known_of_the_cost_counts_towards_the_budget(home: Home) -> None:
    """Also where a call was broken off of which nobody knows what it cost."""
    home.write(40)
    broken = [True]

    def answer(said: Said) -> Iterator[bytes]:
        if broken[0] and said.body["messages"][-1]["content"] == "row 20":
            yield b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"
            yield b""  # the connection ends
            return
        yield from says(said)

    home.provider.answer = answer
    first = home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--attempts", "1", "--concurrency", "1", "--json", code=1).json
    assert (first["done"], first["failed"], first["cost_usd"]) == (39, 1, None)
    assert first["known_usd"] == pytest.approx(39 * 140e-6)
    broken[0] = False
    arguments = ("sort", "in.jsonl", "--out", "out.jsonl", "--retry-failed", "--budget-usd")
    spent = home.batch(*arguments, "0.0055", "--json", code=1).json
    assert spent["ended"] == "budget"
    assert "$0.0056 or more in all" in home.batch(*arguments, "1").out


def test_what_may_be_written_over_may_be_so_by_the_run_that_goes_on(home: Home) -> None:
    """It was said once: --resume alone goes on, over somebody else's file and over what the batch wrote itself."""
    (home.folder / "out.jsonl").write_text("mine\n")
    for turn in ("first", "second"):
        (home.folder / "in.jsonl").write_text("".join(f'"{turn} {n}"\n' for n in range(120)))
        home.provider.answer = lambda said: whole({"error": {"message": "the key is wrong"}}, 401)
        report = home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--overwrite", "--attempts", "1", "--json", code=1).json
        assert report["ended"] == "failing" and (home.folder / "out.jsonl.part").exists()
        home.provider.answer = says
        home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--resume")
        assert [line["input"] for line in home.lines("out.jsonl")] == [f"{turn} {n}" for n in range(120)]


def test_an_output_that_is_there_is_not_written_over(home: Home) -> None:
    """Neither somebody else's file, nor what the same batch wrote; --overwrite does it."""
    home.write(2)
    (home.folder / "out.jsonl").write_text("mine\n")
    refused = home.batch("sort", "in.jsonl", "--out", "out.jsonl", code=2)
    assert "out.jsonl is there already" in refused.err and (home.folder / "out.jsonl").read_text() == "mine\n"
    home.batch("sort", "in.jsonl", "--out", "out.jsonl", "--overwrite")
    assert len(home.lines("out.jsonl")) == 2
    again = home.batch("sort", "in.jsonl", "--out", "out.jsonl", code=2)
    assert "wrote already" in again.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nobody", "in.jsonl", "--out", "out.jsonl"), "Known: desk, plain, reply, sort"),
        (("sort", "none.jsonl", "--out", "out.jsonl"), "There is no file none.jsonl"),
        (("sort", "in.jsonl", "--out", "out.txt"), ".jsonl, .csv or .parquet"),
        (("sort", "in.jsonl", "--out", "in.jsonl"), "would be overwritten"),
        (("sort", "in.jsonl", "--out", "out.jsonl", "--concurrency", "many"), "expected 'auto' or a number"),
        (("sort", "in.jsonl", "--out", "out.jsonl", "--budget-usd", "0"), "a number of dollars above 0"),
        (("sort", "in.jsonl", "--out", "out.jsonl", "--budget-usd", "1", "--ray"), "budget under [budget]"),
    ],
)
def test_misuse_says_what_was_expected(home: Home, arguments: tuple[str, ...], said: str) -> None:
    """Nobody is asked."""
    home.write(1)
    assert said in home.batch(*arguments, code=2).err
    assert not home.provider.asked


def test_ray_is_asked_for_where_it_is_missing(home: Home) -> None:
    """By the name of what installs it, and before any file is made."""
    home.write(1)
    code = f"import sys; sys.modules['ray'] = None; {RUN}"
    command = [sys.executable, "-c", code, "batch", "sort", "in.jsonl", "--out", "out.jsonl", "--ray"]
    ended = subprocess.run(command, cwd=home.folder, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode == 2 and "pip install 'freehold[ray]'" in ended.stderr
    assert not home.provider.asked and not list(home.folder.glob("out.jsonl*"))


def test_two_batches_at_one_time_in_one_process_both_end(home: Home) -> None:
    """Each gives back its own turns, also when the other has ended."""
    home.write(30)
    (home.folder / "both.py").write_text(
        "import threading\n"
        "from pathlib import Path\n"
        "import freehold\n"
        "from program import reply, sort\n"
        "one = threading.Thread(target=lambda: sort.batch(freehold.Job(Path('in.jsonl'), Path('one.jsonl'))))\n"
        "one.start()\n"
        "sort.batch(freehold.Job(Path('in.jsonl'), Path('two.jsonl'), at_once=2))\n"
        "one.join(60)\n"
        "assert not one.is_alive()\n"
        "assert reply('a', 'b').startswith('answered')\n"
    )
    subprocess.run([sys.executable, "both.py"], cwd=home.folder, check=True, timeout=120)
    assert len(home.lines("one.jsonl")) == len(home.lines("two.jsonl")) == 30


def test_an_answer_that_the_table_has_no_place_for_is_a_row_that_failed(home: Home) -> None:
    """It is not lost: the report counts it, and the side file says why."""
    (home.folder / "in.jsonl").write_text('"a"\n"b"\n')
    program = '\n\n@freehold.task(reference="cheap")\ndef number(message: str) -> int:\n    """Give a number."""\n'
    (home.folder / "program.py").write_text(PROGRAM + program)

    def answer(said: Said) -> Iterator[bytes]:
        body = openai_answer(said.body["model"])
        body["choices"][0]["message"]["content"] = "12345678901234567890123" if said.body["messages"][-1]["content"] == "a" else "7"
        return whole(body)

    home.provider.answer = answer
    report = home.batch("number", "in.jsonl", "--out", "out.parquet", "--json", code=1).json
    assert (report["done"], report["failed"]) == (1, 1)
    assert home.lines("out.parquet.failed.jsonl")[0]["n"] == 0


def test_a_budget_of_the_programs_own_fails_its_row_alone(home: Home) -> None:
    """The batch goes on."""
    home.write(4)
    program = (
        "\n\n@freehold.pipeline\ndef poor(message: str) -> str:\n"
        "    with freehold.scope(budget_usd=0.0 if message == 'row 1' else 1.0):\n        return reply(message, 'x')\n"
    )
    (home.folder / "program.py").write_text(PROGRAM + program)
    report = home.batch("poor", "in.jsonl", "--out", "out.jsonl", "--json", code=1).json
    assert (report["ended"], report["done"], report["failed"]) == ("done", 3, 1)


def test_what_was_redacted_is_asked_again_and_not_given_as_an_answer(home: Home) -> None:
    """The journal has it with its placeholders; a row that goes on has the model's own words."""
    home.write(1)
    (home.folder / "freehold.toml").write_text(TOML.format(url=home.provider.url) + '[journal]\ncontent = "redacted"\n')
    tries = Counter[str]()

    def answer(said: Said) -> Iterator[bytes]:
        words = said.body["messages"][-1]["content"]
        tries[words] += 1
        body = openai_answer(said.body["model"])
        body["choices"][0]["message"]["content"] = "write to ann@example.com" if words == "row 0" else "second"
        return whole(body, 500 if words == "write to ann@example.com" and tries[words] == 1 else 200)

    home.provider.answer = answer
    program = (
        '\n\n@freehold.task(reference="cheap")\ndef first(message: str) -> str:\n    """Answer."""\n'
        '\n\n@freehold.task(reference="cheap")\ndef then(message: str) -> str:\n    """Answer again."""\n'
        "\n\n@freehold.pipeline\nasync def two(message: str) -> str:\n"
        "    said = await first.acall(message)\n    await then.acall(said)\n    return said\n"
    )
    (home.folder / "program.py").write_text(PROGRAM + program)
    home.batch("two", "in.jsonl", "--out", "out.jsonl")
    assert home.lines("out.jsonl")[0]["output"] == "write to ann@example.com"
    assert tries["row 0"] == 2
