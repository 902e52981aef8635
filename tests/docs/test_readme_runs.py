"""The README's commands, run as they stand there: a log becomes a certified policy that is served."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulated import CHEAP, FRONTIER, a_task, records, write_log

README = Path(__file__).parents[2] / "README.md"
MODELS = (FRONTIER._replace(name="gpt-4o-2024-08-06"), CHEAP._replace(name="gpt-4o-mini-2024-07-18"))
ANSWERS = "*\n" * 60
"""What a rater types who finds all answers right."""


def blocks(section: str, language: str) -> list[str]:
    """The code blocks of a section."""
    text = README.read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def run(line: str, cwd: Path) -> str:
    """A line of the README in a shell that finds this environment's programs."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "200"}
    done = subprocess.run(["bash", "-c", line], cwd=cwd, env=environment, input=ANSWERS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{line}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_a_log_becomes_a_policy_by_the_readmes_commands(tmp_path: Path) -> None:
    unnamed = {"task": None, "scores": None}
    write_log(tmp_path / "calls.jsonl", (record | unnamed for record in records(a_task(900, MODELS))))
    desk = tmp_path / "desk"
    first, then = blocks("On your own logs", "sh")
    said = ""
    for line in first.splitlines()[1:]:  # it is installed already
        group = re.search(r"│ ([0-9a-f]{10}) +│", said)
        said = run(line.replace("GROUP", group[1] if group else "GROUP"), tmp_path if "init desk" in line else desk)
    toml = (desk / "freehold.toml").read_text()
    (desk / "freehold.toml").write_text(toml[: toml.index("\n[tasks.triage]") + 1] + blocks("On your own logs", "toml")[0])
    for line in then.splitlines():
        said = run(line, desk)
    assert "is now served by policy" in said
    assert (desk / "report" / "report.html").stat().st_size > 100_000


def test_the_line_of_traffic_is_a_record(tmp_path: Path) -> None:
    (line,) = blocks("On your own logs", "json")
    json.loads(line)
    (tmp_path / "freehold.toml").touch()
    (tmp_path / "one.jsonl").write_text(line)
    assert "1 calls added" in run("freehold import one.jsonl", tmp_path)
