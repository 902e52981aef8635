"""Inspect AI, in an environment of its own: its tasks run against a gateway's task, and it reads what `freehold evaluate export` writes."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_evaluate import a_log, evaluated, sides
from tests.e2e.test_gateway import TOML, running

from command import freehold
from upstream import Said, openai_answer, whole

PEER = Path(__file__).parents[2] / ".peers" / "inspect"
pytestmark = pytest.mark.skipif(not (PEER / "installed").exists(), reason="Inspect AI is not installed: scripts/setup-peers.sh inspect")


def inspect(*arguments: str | Path) -> list[dict[str, Any]]:
    """What Inspect's own Python makes of it."""
    command = [str(PEER / "bin" / "python"), str(Path(__file__).with_name("inspect_client.py")), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr[-4_000:]
    found: list[dict[str, Any]] = json.loads(ended.stdout.splitlines()[-1])
    return found


def sums(said: Said) -> Iterator[bytes]:
    """Adds, but for the last, which it gets wrong."""
    content = said.body["messages"][-1]["content"]
    words = content if isinstance(content, str) else content[0]["text"]
    a, b = map(int, re.findall(r"\d+", words))
    told = openai_answer(said.body["model"])
    told["choices"][0]["message"]["content"] = f"It is {a + b if a < 5 else 0}."
    return whole(told)


def test_a_task_of_inspects_runs_against_a_task_and_a_model(tmp_path: Path) -> None:
    """Through the OpenAI door, so that every call is answered by whom the task says, and journalled under it."""
    with running(tmp_path, [], TOML + '[tasks.sums]\nreference = "frontier"\n') as served:
        served.provider.answer = sums
        found = inspect("eval", f"http://127.0.0.1:{served.port}/v1", tmp_path / "logs")
        assert [(log["status"], log["model"], log["samples"]) for log in found] == [
            ("success", "freehold/sums", 3), ("success", "freehold/frontier", 3),
        ]  # fmt: skip
        assert [score["includes"] for score in found[0]["scores"]] == ["C", "C", "I"]
        assert [(call.task, call.variant) for call in served.calls()] == [("sums", "frontier")] * 3 + [(None, "frontier")] * 3


def test_inspect_reads_an_exported_evaluation(tmp_path: Path) -> None:
    """A log for each variant: questions, answers, tokens, every score, and the same means."""
    a_log(tmp_path, 60)
    found = evaluated(tmp_path, "--scorers", "correct,exact")
    paths = freehold("evaluate", "export", found["id"], "--to", "inspect", "--out", tmp_path / "logs", "--project", tmp_path, "--json").json
    assert all(Path(path).stat().st_mode & 0o077 == 0 for path in paths)
    logs = {log["model"]: log for log in inspect("read", *paths)}
    assert list(logs) == ["freehold/frontier", "freehold/cheap"]
    for name, side in sides(found).items():
        log = logs[f"freehold/{name}"]
        assert (log["status"], log["task"], log["samples"], log["unscored"]) == ("success", "triage", 60, 0)
        assert log["metrics"]["correct"]["mean"] == side["means"][0]["mean"]
        assert sum(scores["exact"] for scores in log["scores"]) / 60 == pytest.approx(side["means"][1]["mean"])
        assert log["input"] and log["target"].startswith("topic ")
        assert all(answer.startswith("topic ") for answer in log["answers"])


def test_an_item_without_a_score_has_none_in_the_log(tmp_path: Path) -> None:
    a_log(tmp_path, 10)
    found = evaluated(tmp_path, "--scorers", "numeric", "--variants", "cheap", "--reference", "cheap")
    unscored = sides(found)["cheap"]["means"][0]["unscored"]
    paths = freehold("evaluate", "export", found["id"], "--to", "inspect", "--out", tmp_path / "logs", "--project", tmp_path, "--json").json
    (log,) = inspect("read", *paths)
    assert sum("numeric" not in scores for scores in log["scores"]) == unscored == log["unscored"]
