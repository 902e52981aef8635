"""A model writes a guard, a scorer and a pipeline: mended by what they get wrong, refused where they reach beyond, and used as they stand."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import freehold
from data_sets import a_call, journalled
from freehold.config import FILE_NAME
from freehold.project import Project
from upstream import Said, Upstream, says, upstream

TOML = """
[providers.one]
kind = "openai"
base_url = "{url}"
[models.frontier]
provider = "one"
[models.cheap]
provider = "one"
[models.writer]
provider = "one"
price = { input_per_mtok = 1.0, output_per_mtok = 2.0 }
[metrics.correct]
kind = "binary"
deterministic = true
[tasks.triage]
reference = "frontier"
variants = ["frontier", "cheap"]
metric = "correct"
"""
ALWAYS = "```python\ndef answer(text):\n    return 'right'\n```"
GUARD = "```python\ndef answer(text):\n    return 'wrong' if 'hard' in text else 'right'\n```"
SCORER = "```python\ndef answer(text):\n    return 'wrong' if text.endswith('loans') and 'hard' in text else 'right'\n```"
BAD = "```python\nimport os\n\ndef answer(text):\n    return os.environ.get('HOME', 'right')\n```"
PIPELINE = '''```python
import freehold

@freehold.task(name="triage", reference="frontier")
def queue(message: str) -> str:
    """Say which queue answers."""

@freehold.pipeline
async def desk(message: str) -> str:
    return await queue.acall(message)
```'''
UNTYPED = PIPELINE.replace("message: str) -> str:\n    return", "message):\n    return").replace("freehold.pipeline", "freehold.pipelin")


class Scripted:
    """Says one thing after the other, and the last again and again."""

    def __init__(self, *said: str) -> None:
        self.said = list(said)
        self.asked: list[Said] = []

    def __call__(self, said: Said) -> str:
        self.asked.append(said)
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]


@pytest.fixture
def provider() -> Iterator[Upstream]:
    with upstream() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, provider: Upstream) -> Path:
    (tmp_path / FILE_NAME).write_text(TOML.replace("{url}", provider.url))
    calls = []
    for n in range(160):
        kind = "hard" if n % 3 == 0 else "plain"
        asked: Any = {"item": f"item {n}", "input": f"a {kind} one, number {n}", "reference_output": "cards"}
        calls.append(a_call(2 * n, variant="frontier", output="cards", **asked))
        calls.append(a_call(2 * n + 1, variant="cheap", output="loans" if kind == "hard" else "cards", **asked))
    with Project.at(tmp_path) as project:
        journalled(project, calls)
    return tmp_path


def imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_guard_is_mended_and_says_how_good_it_is(home: Path, provider: Upstream) -> None:
    script = Scripted(ALWAYS, GUARD)
    provider.answer = says(script)
    out = home / "guard.py"
    command = ("write", "guard", "triage", "--model", "writer", "--variant", "cheap", "--out", out, "--project", home)
    dry = freehold(*command, "--dry-run", "--json").json
    assert (dry["rows"], script.asked, out.exists()) == (160, [], False)
    assert 0.01 < dry["cost_usd"] < 0.1
    report = freehold(*command, "--json").json
    assert (report["held_out"], report["answered"], report["right"], report["rounds"]) == (64, 64, 64, 2)
    assert report["cost_usd"] > 0 and report["low"] > 0.95
    assert "Its counterexamples" in script.asked[1].body["messages"][-1]["content"]
    guard = imported(out).guard
    assert [guard("a hard one"), guard("a plain one")] == [False, True]
    assert "is there already" in freehold(*command, code=2).err
    assert "runs in the sandbox, wherever it is used" in " ".join(freehold(*command, "--force").out.split())
    text = out.read_text()
    assert "freehold.sandboxed(r'''" in text and "\ndef answer(text)" in text  # people read it, and Monty runs it


def test_a_scorer_scores_in_an_evaluation(home: Path, provider: Upstream) -> None:
    provider.answer = says(Scripted(SCORER))
    out = home / "scorer.py"
    freehold("write", "scorer", "triage", "--model", "writer", "--out", out, "--project", home)
    toml = (home / FILE_NAME).read_text()
    (home / FILE_NAME).write_text('[project]\nname = "desk"\npython = ["scorer.py"]\n' + toml)
    assert "triage_written" in freehold("scorers", "--project", home).out
    found = freehold("evaluate", "triage", "--scorers", "triage_written", "--variants", "cheap", "--json", "--project", home).json
    told = str(found)
    assert "triage_written" in told and "0.66" in told


def test_what_reaches_beyond_or_is_wrong_too_often_is_not_given(home: Path, provider: Upstream) -> None:
    out = home / "guard.py"
    command = ("write", "guard", "triage", "--model", "writer", "--variant", "cheap", "--rounds", "2", "--out", out, "--project", home)
    provider.answer = says(Scripted(BAD))
    assert "of 64 answers that it was not written from, the best guard decided 0" in freehold(*command, code=None).err
    assert "at least 98 answers to questions" in freehold(*command, "--precision", "0.99", code=2).err
    provider.answer = says(Scripted(ALWAYS))
    assert "90% have to be" in freehold(*command, code=None).err
    assert "name a variant that was" in freehold(*command, "--variant", "nobody", code=None).err
    assert not out.exists()


def test_a_pipeline_is_looked_at_and_not_run(home: Path, provider: Upstream) -> None:
    script = Scripted(BAD, UNTYPED, PIPELINE)
    provider.answer = says(script)
    out = home / "desk.py"
    command = ("write", "pipeline", "triage", "--model", "writer", "--out", out, "--project", home)
    assert "--about" in freehold(*command, "--about", "", code=None).err
    report = freehold(*command, "--about", "sorts messages", "--json").json
    assert report["rounds"] == 3
    assert "imports os" in script.asked[1].body["messages"][-1]["content"]
    last = script.asked[2].body["messages"][-1]["content"]
    assert "names freehold.pipelin" in last and "lacks the type" in last
    assert "1 task and 1 pipeline: nothing is wrong" in freehold("check", out, "--project", home).err
