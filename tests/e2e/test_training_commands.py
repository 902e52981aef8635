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


def test_taggers_and_encoders_go_on_with_what_comes_later(home: Path, tmp_path: Path) -> None:
    """Wishes of a kind that the first specialist never saw are learnt, and what it knew is kept."""
    here = ("--project", home)
    later = bookings(500, 6)
    with project_at(home) as project:
        journalled(
            project,
            [
                a_call(
                    1_000 + n, task="wish", input=f"{row[0]} {n} .", output=row[1], item=f"wish {n}", tags={"later": str(row[1] == "ask")}
                )
                for n, row in enumerate(later)
            ]
            + [a_call(10_000 + n, input=f"{row[0]} now .", output=as_fields(row), item=f"late {n}") for n, row in enumerate(later[:150])],
        )
    for name, rows in (("early", "task=wish and tag.later=False"), ("late", "task=wish and tag.later=True")):
        freehold("dataset", "build", name, "--from", rows, "--train", "0.6", "--calibrate", "0.2", *here)
    base = tiny_base(tmp_path / "base")
    tuned = ("train", "wish", "--method", "encoder", "--base", base, "--set", "epochs=8", "--set", "rate=0.002", "--json", *here)
    tuned = (*tuned, "--set", "keep_weights=true")
    first = freehold(*tuned, "--dataset", "early", "--name", "first").json
    second = freehold(*tuned, "--dataset", "late", "--continue-from", "first", "--name", "second").json
    assert first["tested"]["measures"][0]["mean"] > 0.9 and second["tested"]["measures"][0]["mean"] > 0.9
    assert second["kept"][0]["after"] > 0.9 and len(second["taught"]) == 1
    assert second["made"]["began with"] == first["label"] and "kept.safetensors" in {file["name"] for file in second["files"]}
    alone = freehold(*tuned, "--dataset", "late", "--continue-from", "first", "--set", "replay=0", code=None)
    assert alone.code != 0 and "there is nothing to tell apart" in alone.err

    tagged = ("train", "triage", "--method", "tagger", "--json", *here)
    freehold(*tagged, "--name", "tags")
    freehold("dataset", "build", "newer", "--from", "task=triage", *here)
    on = freehold(*tagged, "--dataset", "newer", "--continue-from", "tags", "--name", "more").json
    assert on["kept"][0]["after"] > 0.9 and len(on["taught"]) == 1


def test_a_broken_base_ends_the_command_before_it_trains(home: Path, tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")
    (base / "model.safetensors").rename(base / "pytorch_model.bin")
    ended = freehold("train", "triage", "--method", "tagger", "--base", base, "--project", home, code=None)
    assert ended.code != 0
    assert "pytorch_model.bin, a pickle" in ended.err
    assert not (home / "runs").exists()
