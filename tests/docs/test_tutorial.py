"""The tutorial and the README's program are run as they stand there, on a fresh demo."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from freehold import demo
from pages import DOCS, blocks, run_command

PAGE = "tutorial.md"
EXAMPLES = DOCS.parent / "examples"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's project, its policy served."""
    folder = tmp_path_factory.mktemp("tutorial") / "freehold-demo"
    demo.run(folder)
    for name in ("desk.py", "desk.csv"):
        (folder / name).write_bytes((EXAMPLES / name).read_bytes())
    (block, *_) = [block.text for block in blocks(PAGE) if block.language == "sh"]
    assert block.splitlines()[:2] == ["freehold demo --out freehold-demo", "cd freehold-demo"]
    for line in block.splitlines()[2:]:
        run_command(line, folder)
    return folder


def test_the_parts_are_the_program() -> None:
    """What the page shows, in its order, is examples/desk.py, and the table is the table."""
    shown = [block.text for block in blocks(PAGE) if block.language == "python"]
    said = (EXAMPLES / "desk.py").read_text()
    places = [said.find(text.strip()) for text in shown]
    assert -1 not in places and places == sorted(places)
    together = re.sub(r"\s+", "", "".join(shown))
    assert re.sub(r"\s+", "", said).endswith(together)
    assert [block.text for block in blocks(PAGE) if block.language == "csv"] == [(EXAMPLES / "desk.csv").read_text()]


def test_the_commands_run_and_print_what_the_page_shows(project: Path) -> None:
    """One after the other; the first that prints is the program."""
    (printed,) = [block.text for block in blocks(PAGE) if block.language == "text"]
    shown = [block.text for block in blocks(PAGE) if block.language == "sh"][1:]
    outputs = [run_command(line, project) for text in shown for line in text.splitlines()]
    assert outputs[0] == printed
    assert (project / "replies.jsonl").read_text().count('"goes_to":"customer"') == 1


def test_a_model_of_ones_own_is_named_by_the_file_alone(project: Path) -> None:
    """The body still drafts where it knows."""
    (added,) = [block.text for block in blocks(PAGE) if block.language == "toml"]
    before = (project / "freehold.toml").read_text()
    (project / "freehold.toml").write_text(before + added)
    try:
        assert "'draft' has no reference" not in run_command("OPENAI_API_KEY=none freehold check desk.py", project)
        printed = run_command("OPENAI_API_KEY=none python desk.py", project)
    finally:
        (project / "freehold.toml").write_text(before)
    assert "card_swallowed -> customer: Thank you for writing." in printed


def test_the_readmes_program_runs(project: Path) -> None:
    """Beside the demo's folder."""
    text = (DOCS.parent / "README.md").read_text().split("\n## Call it from Python\n")[1].split("\n## ")[0]
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (project.parent / "readme.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-W", "error", "readme.py"], cwd=project.parent, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [line.split("# ")[1] for line in program.splitlines() if "print(" in line] == done.stdout.splitlines()
