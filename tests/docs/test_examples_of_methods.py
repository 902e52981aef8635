"""The flat scripts beside the methods run, and learn what they say they learn."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["tagger", "encoder", "code", "head", "continual", "distill"])
def test_the_script_runs_and_its_answers_are_right(name: str) -> None:
    ran = subprocess.run([sys.executable, EXAMPLES / f"{name}.py"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = re.search(r"(\d+) of (\d+) answers are right", ran.stdout)
    assert found and int(found[1]) >= 0.95 * int(found[2])
