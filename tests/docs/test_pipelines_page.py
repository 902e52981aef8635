"""The page about pipelines does what it says: its program runs, its commands work, its policy fits its task."""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import freehold
from freehold.pipelines.plan import Plan
from freehold.routing.check import Scope, check
from freehold.routing.program import parse
from pages import DOCS, answering, blocks, in_project, run_command, run_program
from upstream import Said, Upstream, upstream, whole

PAGE = "pipelines.md"


def _goals(words: str) -> dict[str, Any]:
    goals = [
        {"goal": "find the order", "share": 1, "needs": []},
        {"goal": "write the reply", "share": 2, "needs": [0]},
    ]
    return {"value": goals if "depth: 0" in words else []}


def _heard(messages: int) -> str:
    return f"I heard {messages} message{'s' * (messages > 1)}."


ANSWERS = {
    "Decide which queue": lambda words: {"value": "cards"},
    "Write a reply": lambda words: "We have blocked it.",
    "Split the goal": _goals,
    "Do what the goal says": lambda words: "did: " + words.partition("goal: ")[2].splitlines()[0],
}
"""What the models of the page say, by how each task's instruction begins."""


def _answer(said: Said) -> Iterator[bytes]:
    messages = said.body["messages"]
    if "Say nothing" in str(messages[-1]["content"]) and messages[0]["content"].startswith("Write"):
        return whole({"error": {"message": "no"}}, status=403)
    heard = {"Talk to the customer": lambda _: _heard(len(messages) - 1)}
    return answering(ANSWERS | heard)(said)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Upstream]]:
    """The page's project, in which its program has run."""
    folder = tmp_path_factory.mktemp("desk")
    with upstream() as up:
        up.answer = _answer
        in_project(folder, up.url, PAGE)
        run_program(folder, PAGE)
        yield folder, up


def test_the_program_gives_what_the_page_says(desk: tuple[Path, Upstream]) -> None:
    """Every value, and every error."""


def test_the_commands_work_on_what_the_program_did(desk: tuple[Path, Upstream]) -> None:
    """The calls of the episode that failed are found, the one before included."""
    shown = [block.text for block in blocks(PAGE) if block.language == "sh"]
    printed = [run_command(text, desk[0]) for text in shown]
    assert re.search(r"queue +cheap +answered", printed[0])
    assert re.search(r"draft +frontier +failed", printed[0])


def test_the_policy_fits_its_task() -> None:
    """It looks at what a scope leaves."""
    (shown,) = [block.text for block in blocks(PAGE) if block.language == "policy"]
    check(parse(shown), Scope("draft", ("frontier", "cheap"), "frontier"))


def test_every_setting_of_a_scope_and_of_a_plan_is_on_the_page() -> None:
    """And every strategy."""
    page = (DOCS / PAGE).read_text()
    names = [*inspect.signature(freehold.scope).parameters, *Plan.__dataclass_fields__]
    assert [name for name in names if f"`{name}`" not in page] == []
    assert [name for name in ("Trim", "Summarise", "Retrieve") if f"`freehold.{name}(" not in page] == []
