"""Taggers and encoders by the real command line: from a journal to a card, with a plan that gives the same bytes again."""

from pathlib import Path
from typing import Any

import pytest

from command import freehold
from data_sets import a_call, journalled, project_at
from freehold.journal.call import Call
from taught import as_fields, bookings, tiny_base


def asked(n: int, row: Any, output: Any) -> Call:
    return a_call(n, input=f"{row[0]} .", output=output, item=f"item {n}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project whose journal has bookings, answered with an object."""
    folder = tmp_path / "home"
    folder.mkdir()
    with project_at(folder) as project:
        journalled(project, [asked(n, row, as_fields(row)) for n, row in enumerate(bookings(400, 5))])
    freehold("dataset", "build", "triage", "--from", "task=triage", "--project", folder)
    return folder


def test_a_tagger_from_the_journal(home: Path) -> None:
    here = ("--project", home)
    estimate = freehold("train", "triage", "--method", "tagger", "--dry-run", "--json", "--save-plan", home / "plan.toml", *here).json
    assert estimate["estimate"]["seconds"] > 0
    first = freehold("train", "--plan", home / "plan.toml", "--name", "one", "--json", *here).json
    again = freehold("train", "--plan", home / "plan.toml", "--name", "two", "--json", *here).json
    assert first["files"] == again["files"]
    assert (first["format"], first["is_quick"]) == ("tagger", True)
    assert first["tested"]["measures"][0]["name"] == "set_f1"
    assert first["tested"]["measures"][0]["mean"] > 0.9
    said = freehold("specialists", "show", "one", *here)
    assert "set_f1" in said.out


def test_a_broken_base_ends_the_command_before_it_trains(home: Path, tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    ended = freehold("train", "triage", "--method", "tagger", "--base", base, "--project", home, code=None)
    assert ended.code != 0
    assert "pytorch_model.bin, a pickle" in ended.err
    assert not (home / "runs").exists()
