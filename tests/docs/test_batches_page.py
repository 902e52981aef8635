"""The page about batches does what it says: its commands write what it shows."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from freehold.cli import batching
from freehold.cli.app import app
from freehold.pipelines.job import Job
from pages import DOCS, answering, blocks, in_project, run_command, run_program
from upstream import Said, Upstream, upstream, whole

PAGE = "batches.md"


def _triage(words: str) -> dict[str, Any]:
    return {"queue": "transfers" if "transfer" in words else "cards", "urgent": "swallowed" in words}


def _answer(said: Said) -> Iterator[bytes]:
    if said.body["messages"][-1]["content"] == "Say nothing":
        return whole({"error": {"message": "no"}}, status=403)
    return answering({"Decide which queue": _triage})(said)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Upstream]]:
    """The page's project. What commands are to write is not there yet."""
    folder = tmp_path_factory.mktemp("desk")
    with upstream() as up:
        up.answer = _answer
        in_project(folder, up.url, PAGE)
        for name in ("sorted.jsonl", "sorted.csv"):
            (folder / name).unlink()
        yield folder, up


def test_the_commands_write_what_the_page_shows(desk: tuple[Path, Upstream]) -> None:
    """In the order of the rows, as lines and as a table; what fails says why."""
    folder, _ = desk
    known = {command.name or (command.callback.__name__ if command.callback else "") for command in app.registered_commands}
    for block in blocks(PAGE):
        if block.language == "sh" and ("freehold stream" not in block.text or "stream" in known):
            for line in block.text.splitlines():
                run_command(line, folder, int(block.name.removeprefix("exit=") or 0))
    for block in blocks(PAGE):
        if block.name.startswith("sorted"):
            assert (folder / block.name).read_text() == block.text
    assert '"input":"Say nothing"' in (folder / "hard.csv.failed.jsonl").read_text()


def test_the_program_gives_what_the_page_says(desk: tuple[Path, Upstream]) -> None:
    """A batch from Python."""
    run_program(desk[0], PAGE)


def test_every_option_and_every_ending_is_on_the_page() -> None:
    """As the command has them."""
    page = (DOCS / PAGE).read_text()
    renamed = {
        "to": "--out",
        "rows": "freehold batch",
        "program": "freehold batch",
        "project": "freehold batch",
        "as_json": "freehold batch",
    }
    options = [renamed.get(name, f"--{name.replace('_', '-')}") for name in inspect.signature(batching.batch).parameters]
    assert [option for option in options if option not in page] == []
    assert set(Job._fields) >= {"at_once", "budget_usd"}
