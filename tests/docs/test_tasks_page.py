"""The page about tasks does what it says: its program runs, its commands work, its policy fits its task."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import freehold
from freehold.pipelines import failure
from freehold.routing.check import Scope, check
from freehold.routing.program import parse
from pages import DOCS, answering, blocks, in_project, run_command, run_program
from upstream import Upstream, upstream

PAGE = "tasks.md"


def _triage(words: str) -> dict[str, Any]:
    return {"queue": "cards", "urgent": "swallowed" in words}


ANSWERS = {
    "Decide which queue should answer this customer and": _triage,
    "Decide which queue should answer, ": _triage,
    "Decide which queue should answer.": lambda words: {"value": "other"},
    "Say in one sentence": lambda words: "It is about a card.",
    "Name the language": lambda words: {"value": "en"},
    "Say when": lambda words: {"value": "now" if words == "Customer of tier private: My card was swallowed" else "later"},
    "Say how pressing": lambda words: {"value": "now" if "swallowed" in words else "later"},
    "Answer like a model": lambda words: "Sure:\n```json\n{'queue': 'Cards', 'urgent': True,}\n```",
    "Answer a question about a receipt": lambda words: "Twelve pounds.",
}
"""What the model of the page says, by how each task's instruction begins."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Upstream]]:
    """The page's project, in which its program has run."""
    folder = tmp_path_factory.mktemp("desk")
    with upstream() as up:
        up.answer = answering(ANSWERS)
        in_project(folder, up.url, PAGE)
        run_program(folder, PAGE)
        yield folder, up


def test_the_program_gives_what_the_page_says(desk: tuple[Path, Upstream]) -> None:
    """Every value, and every error."""


def test_the_commands_work_on_what_the_program_asked(desk: tuple[Path, Upstream]) -> None:
    """A label is moved by a file, compared, and moved back."""
    (shown,) = [block.text for block in blocks(PAGE) if block.language == "sh"]
    printed = [run_command(line, desk[0]) for line in shown.splitlines()]
    assert "+{% block user %}{{ message }} ({{ tier }}){% endblock %}" in printed[3]
    assert "names no prompt" in printed[4]


def test_the_policy_fits_its_task() -> None:
    """It names variants that the page declares, and what they tell."""
    (shown,) = [block.text for block in blocks(PAGE) if block.language == "policy"]
    check(parse(shown), Scope("sorted", ("frontier", "cheap", "cheap-vote5", "cheap-verified"), "frontier"))


def test_every_argument_and_every_error_is_on_the_page() -> None:
    """And every way to think harder, with the built-ins that errors are."""
    page = (DOCS / PAGE).read_text()
    arguments = inspect.signature(freehold.task).parameters
    assert [name for name in arguments if name != "function" and f"`{name}`" not in page] == []
    kinds = [kind for kind in vars(failure).values() if isinstance(kind, type) and issubclass(kind, failure.StepFailed)]
    rows = dict(re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)? *\|", page, re.MULTILINE))
    for kind in kinds[1:]:
        builtin = next(one.__name__ for one in kind.__mro__ if one.__module__ == "builtins")
        assert rows[kind.__name__] == ("" if builtin == "Exception" else builtin), kind
        assert getattr(freehold, kind.__name__) is kind
    assert [name for name in ("ask", "think", "vote", "best_of", "verify", "guard") if f"`freehold.{name}(" not in page] == []
