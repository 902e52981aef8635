"""The commands about programs, as people run them: check, prompts, runs."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command import RUN, freehold

CONFIG = """
[project]
python = ["desk.py"]
[providers.up]
kind = "openai"
base_url = "URL"
[models.frontier]
provider = "up"
price = { input_per_mtok = 1.0, output_per_mtok = 1.0 }
"""
DESK = '''
import sys
from typing import Literal

from pydantic import BaseModel

import freehold


class Triage(BaseModel):
    queue: Literal["cards", "transfers"]


@freehold.task(reference="frontier", prompt="Sort: {{ message }}")
def triage(message: str) -> Triage:
    """Decide which queue should answer."""


@freehold.pipeline
def desk(message: str) -> str:
    for n in range(int(sys.argv[1])):
        triage(f"{message} {n}")
    return triage(message).queue


if __name__ == "__main__":
    print(desk("My card was swallowed"))
'''


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a program, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "freehold.toml").write_text(CONFIG.replace("URL", "http://127.0.0.1:1/v1"))
    (tmp_path / "desk.py").write_text(DESK)
    return tmp_path


def test_a_program_that_is_right_is_passed(home: Path) -> None:
    """Also by mypy, for which it has no settings of its own; nothing is left in the project but its store."""
    ended = freehold("check", cwd=home)
    assert (ended.out, ended.err) == ("", "Looked at 1 task and 1 pipeline: nothing is wrong.\n")
    assert freehold("check", "--no-types", "--json", cwd=home).json == {"tasks": ["triage"], "pipelines": ["desk"], "findings": []}
    assert not (home / ".mypy_cache").exists()


def test_a_program_that_is_wrong_closes_a_gate(home: Path) -> None:
    """Each error is a line that begins with its place as editors and people read it."""
    wrong = (
        DESK.replace("{{ message }}", "{{ mesage }}").replace('reference="frontier"', 'reference="frontir"').replace(").queue", ").queu")
    )
    (home / "desk.py").write_text(wrong)
    ended = freehold("check", "--no-types", cwd=home, code=3)
    lines = wrong.splitlines()
    task, call = (
        lines.index('@freehold.task(reference="frontir", prompt="Sort: {{ mesage }}")') + 1,
        lines.index("    return triage(message).queu") + 1,
    )
    assert [line.partition(".")[0] + line.partition(".")[2].partition(".")[0] for line in ended.out.splitlines()] == [
        f"desk.py:{task}: error: line 1 of the prompt says 'mesage', which the task does not have".replace("desk.", "desk"),
        f"desk.py:{task}: error: the reference of task 'triage' is 'frontir': there is no model 'frontir' in freehold".replace(
            "desk.", "desk"
        ),
        f"desk.py:{call}: error: Triage has no 'queu'".replace("desk.", "desk"),
    ]
    assert ended.err == "Looked at 1 task and 1 pipeline: 3 errors.\n"
    found = freehold("check", "desk.py:triage", "--no-types", "--json", cwd=home, code=3).json
    assert [one["where"] for one in found["findings"]] == [f"{home / 'desk.py'}:{task}"] * 2


def test_a_program_that_cannot_be_imported_closes_it_too(home: Path) -> None:
    (home / "desk.py").write_text("import freehold\n\n@freehold.task\ndef f(x) -> str: ...\n")
    assert freehold("check", cwd=home, code=3).out.startswith("desk.py:3: error: 'f' cannot be used so: parameter 'x' has no type.")


def test_a_name_that_is_not_there_is_misuse(home: Path) -> None:
    assert "'dsk' in desk.py is nothing" in freehold("check", "desk.py:dsk", cwd=home, code=2).err.replace(f"{home}/", "")


def test_prompts_are_labelled_shown_compared_and_rolled_back(home: Path) -> None:
    assert "No prompts yet" in freehold("prompts", "list", cwd=home).out
    assert "kept when its task is called for the first time" in freehold("prompts", "show", "triage", cwd=home, code=2).err
    (home / "freehold.toml").write_text((home / "freehold.toml").read_text() + '[tasks.triage]\nreference = "frontier"\n')
    for n in (1, 2):
        (home / f"{n}.txt").write_text(f"Sort:\n{{{{ message }}}}\nVersion {n}.\n")
    first, second = (freehold("prompts", "label", "triage", "candidate", f"@{n}.txt", "--json", cwd=home).json["hash"] for n in (1, 2))
    listed = {one["hash"]: one.get("labels", []) for one in freehold("prompts", "list", "triage", "--json", cwd=home).json}
    assert listed == {first: [], second: ["candidate"]}
    assert (
        freehold("prompts", "label", "triage", "production", first[:6], cwd=home).out
        == f"'production' names prompt {first} of task 'triage' now.\n"
    )
    assert freehold("prompts", "show", "triage", cwd=home).out == (home / "1.txt").read_text()
    assert freehold("prompts", "show", "triage", "candidate", "--json", cwd=home).json["text"] == (home / "2.txt").read_text()
    changed = freehold("prompts", "diff", "triage", "production", "candidate", cwd=home).out
    assert changed.splitlines()[:2] == [f"--- {first}", f"+++ {second}"] and changed.endswith("-Version 1.\n+Version 2.\n")
    assert freehold("prompts", "diff", "triage", "production", first, cwd=home).out == "They are the same.\n"
    assert freehold("prompts", "label", "triage", "candidate", "--back", "--json", cwd=home).json["hash"] == first
    assert (
        "'candidate' names no prompt of task 'triage' now." in freehold("prompts", "label", "triage", "candidate", "--remove", cwd=home).out
    )
    assert freehold("prompts", "label", "triage", "newest", "--json", cwd=home).json["hash"] == second
    table = freehold("prompts", "list", cwd=home).out
    assert first in table and "production" in table and "Sort: {{ message }} Version 1." in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "traige"), "There is no prompt of a task 'traige'. Did you mean 'triage'?"),
        (("show", "triage", "cadidate"), "'cadidate' names no prompt of task 'triage'. Did you mean 'candidate'?"),
        (("label", "triage", "Production"), "'Production' cannot be a label"),
        (("label", "triage", "candidate", "abc", "--back"), "Say one of HASH, --back and --remove."),
        (("label", "triage", "candidate", "@none.txt"), "none.txt cannot be read"),
        (("label", "triage", "never", "--back"), "Nothing was ever labelled 'never' in task 'triage'"),
    ],
)
def test_a_slip_of_the_pen_labels_nothing(home: Path, arguments: tuple[str, ...], said: str) -> None:
    (home / "freehold.toml").write_text((home / "freehold.toml").read_text() + '[tasks.triage]\nreference = "frontier"\n')
    (home / "1.txt").write_text("Sort: {{ message }}")
    freehold("prompts", "label", "triage", "candidate", "@1.txt", cwd=home)
    assert said in freehold("prompts", *arguments, cwd=home, code=2).err
    assert [one["labels"] for one in freehold("prompts", "list", "--json", cwd=home).json] == [["candidate"]]


def test_a_template_that_says_what_the_task_does_not_have_is_not_labelled(home: Path) -> None:
    """From a file it is not kept either; one that was kept for an earlier program is not asked again."""
    (home / "freehold.toml").write_text((home / "freehold.toml").read_text() + '[tasks.triage]\nreference = "frontier"\n')
    (home / "1.txt").write_text("Sort: {{ message }} of {{ tier }}")
    refused = freehold("prompts", "label", "triage", "production", "@1.txt", cwd=home, code=2).err
    assert "'tier', which the task does not have" in refused and "Known: input, instruction, message, schema" in refused
    assert freehold("prompts", "list", "--json", cwd=home).json == []
    (home / "desk.py").write_text(DESK.replace("(message: str) -> Triage", '(message: str, tier: str = "basic") -> Triage'))
    kept = freehold("prompts", "label", "triage", "candidate", "@1.txt", "--json", cwd=home).json["hash"]
    (home / "desk.py").write_text(DESK)
    assert (
        f"Prompt {kept} is no prompt of task 'triage'" in freehold("prompts", "label", "triage", "production", kept, cwd=home, code=2).err
    )
    assert [one["labels"] for one in freehold("prompts", "list", "--json", cwd=home).json] == [["candidate"]]


def test_a_template_that_is_none_is_not_kept(home: Path) -> None:
    (home / "freehold.toml").write_text((home / "freehold.toml").read_text() + '[tasks.triage]\nreference = "frontier"\n')
    (home / "1.txt").write_text("Sort: {{ message | shout }}")
    assert "there is no filter 'shout'" in freehold("prompts", "label", "triage", "candidate", "@1.txt", cwd=home, code=1).err
    assert freehold("prompts", "list", "--json", cwd=home).json == []


def test_a_run_is_listed_shown_and_cancelled(home: Path) -> None:
    """A program of its own process, seen and stopped from another; its calls name the prompt that they were asked by."""
    from tests.upstream import openai_answer, upstream, whole

    def answer(said: object) -> object:
        body = openai_answer("m")
        body["choices"][0]["message"]["content"] = json.dumps({"queue": "cards"})
        time.sleep(0.05)
        return whole(body)

    with upstream() as up:
        up.answer = answer  # type: ignore[assignment]
        (home / "freehold.toml").write_text(CONFIG.replace("URL", up.url))
        assert freehold("runs", "list", cwd=home).out.startswith("Nothing is under way.")
        program = subprocess.Popen(
            [sys.executable, "desk.py", "100000"], cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            deadline = time.monotonic() + 60
            while not (listed := freehold("runs", "list", "--json", cwd=home).json) and time.monotonic() < deadline:
                assert program.poll() is None, program.communicate()
            [run] = listed
            assert (run["name"], run["kind"], run["state"], run["progress"]["pid"]) == ("desk", "pipeline", "running", program.pid)
            assert run["id"][:12] in freehold("runs", "list", cwd=home).out
            shown = freehold("runs", "show", run["id"][:8], cwd=home).out
            assert f"run:        {run['id']}\n" in shown and f"process {program.pid}\n" in shown
            assert freehold("runs", "cancel", run["id"][:8], cwd=home).out == f"Run {run['id']} of 'desk' is told to stop.\n"
            _, errors = program.communicate(timeout=60)
        finally:
            if program.poll() is None:
                program.send_signal(signal.SIGKILL)
                program.communicate()
    assert program.returncode == 1 and f"Run {run['id']} of 'desk' was cancelled" in errors
    ended = freehold("runs", "show", run["id"], "--json", cwd=home).json
    assert ended["state"] == "cancelled" and ended["progress"]["done"] > 0
    assert "is cancelled already" in freehold("runs", "cancel", run["id"], cwd=home, code=2).err
    assert "No run begins with 'zzz'" in freehold("runs", "show", "zzz", cwd=home, code=2).err
    assert "desk" in freehold("runs", "list", "--all", cwd=home).out
    [call] = freehold("calls", "--limit", "1", "--json", cwd=home).json
    assert f"prompt:     {call['prompt']}\n" in freehold("calls", "show", call["id"], cwd=home).out
    assert freehold("prompts", "show", "triage", call["prompt"], cwd=home).out == "Sort: {{ message }}\n"


def test_help_of_these_commands_is_quick_to_come(home: Path) -> None:
    """They import nothing before they run."""
    heavy = ("jinja2", "sqlalchemy", "numpy", "mypy")
    run = RUN.replace("; ", "\n    ")
    told = f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    program = f"import sys\nsys.argv = ['freehold', 'check', '--help']\ntry:\n    {run}\nfinally:\n    {told}"
    ended = subprocess.run([sys.executable, "-c", program], cwd=home, capture_output=True, text=True, check=True)
    assert ended.stderr == "[]\n"
