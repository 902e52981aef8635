"""The flat scripts beside the methods run, and learn what they say they learn."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from upstream import Said, says, upstream
from upstream_tuning import tunings

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"


def ran(name: str, *arguments: str, url: str = "") -> str:
    """What the script says. `url`: of the provider that it asks."""
    environment = dict(os.environ, OPENAI_API_KEY="none", OPENAI_BASE_URL=url)
    script = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    found = subprocess.run(script, capture_output=True, text=True, check=False, env=environment)
    assert found.returncode == 0, found.stderr
    return found.stdout


def is_right(said: str) -> bool:
    found = re.search(r"(\d+) of (\d+) answers are right", said)
    return found is not None and int(found[1]) >= 0.95 * int(found[2])


@pytest.mark.parametrize("name", ["tagger", "encoder", "code", "head", "continual", "distill"])
def test_the_script_runs_and_its_answers_are_right(name: str) -> None:
    assert is_right(ran(name))


def test_the_prompt_that_knows_the_rule_is_found_and_taken() -> None:
    def answers(said: Said) -> str:
        first, last = (said.body["messages"][n]["content"] for n in (0, -1))
        if said.body["model"] == "large":
            return f"Orders of Q are queued, others shipped. {'Right: queued' in last}"
        return "queued" if "Orders of Q" in first and last.startswith("Q") else "shipped"

    with upstream() as provider:
        provider.answer = says(answers)
        said = ran("prompt", "small", "large", url=provider.url)
    assert is_right(said) and ": taken" in said and "Orders of Q are queued" in said


def test_the_tuned_model_is_followed_and_asked() -> None:
    def answers(model: str, text: str) -> str:
        return ("cards" if "card" in text else "loans") if model.startswith("ft:") else "unsure"

    with tunings() as provider:
        provider.answers = answers
        said = ran("provider", "tiny", "0.01", url=provider.url)
    assert is_right(said) and "ft:tiny:ours::1: 12,000 tokens were learnt" in said and ": running" in said
    (rows,) = provider.files.values()
    assert len(rows) == 60 and rows[0]["messages"][2]["content"] in ("cards", "loans")
