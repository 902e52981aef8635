"""A specialist among the variants of an evaluation answers here, for nothing, and nobody is asked what it learnt from."""

from pathlib import Path

import pytest
from test_specialist_beside import TOML

from command import freehold
from freehold.config import FILE_NAME
from freehold.journal.ingest import IngestOptions
from freehold.project import Project
from simulated import a_task, records, write_log

PAIRS = a_task(400)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated")
    (folder / FILE_NAME).write_text(TOML)
    with Project.at(folder) as project:
        project.ingest([str(write_log(folder / "log.jsonl", records(PAIRS)))], IngestOptions(design="census"))
    freehold("dataset", "build", "triage", "--from", "task=triage and variant=frontier", "--project", folder)
    for method in ("head", "stream"):
        freehold("train", "triage", "--method", method, "--name", method, "--project", folder)
    return folder


def test_it_is_asked_what_it_has_not_learnt_and_stands_beside_what_was_recorded(home: Path) -> None:
    card = freehold("specialists", "show", "head", "--json", "--project", home).json
    command = ("evaluate", "triage", "--variants", "head,stream,cheap", "--scorers", "agreement", "--json", "--yes", "--project", home)
    ended = freehold(*command)
    found = ended.json
    learnt = card["rows"]["train"] + card["rows"]["calibrate"]
    assert found["items"] == 400 - learnt
    assert f"'head' learnt from {learnt:,} of the items" in ended.err
    sides = {side["variant"]: side for side in found["sides"]}
    assert set(sides) == {"frontier", "head", "stream", "cheap"}
    assert sides["head"]["cost_usd"] == 0
    again = freehold(*command).json
    assert [side["means"] for side in again["sides"]] == [side["means"] for side in found["sides"]]


def test_a_name_that_nobody_has_is_said_to_be_none(home: Path) -> None:
    told = freehold("evaluate", "triage", "--variants", "heed", "--scorers", "agreement", "--yes", "--project", home, code=2)
    assert "no specialist" in told.err
