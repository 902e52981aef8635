"""A specialist that takes its time, behind the gateway: its answers come from a process beside the worker, and where that dies the reference
answers."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from test_gateway import Served, running

from command import freehold
from freehold.config import FILE_NAME
from freehold.journal.ingest import IngestOptions
from freehold.project import Project
from freehold.variants import shelf
from simulated import a_task, records, write_log

PAIRS = a_task(400)
TOML = """
[project]
name = "desk"
[providers.recordings]
kind = "recorded"
[models.frontier]
provider = "recordings"
trains_others = "yes"
[models.cheap]
provider = "recordings"
[metrics.correct]
kind = "binary"
deterministic = true
[tasks.triage]
reference = "frontier"
variants = ["frontier", "cheap"]
metric = "correct"
allow_uncertified = true
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("beside")
    (folder / FILE_NAME).write_text(TOML)
    here = ("--project", folder)
    with Project.at(folder) as project:
        project.ingest([str(write_log(folder / "log.jsonl", records(PAIRS)))], IngestOptions(design="census"))
    freehold("dataset", "build", "triage", "--from", "task=triage and variant=frontier", *here)
    freehold("train", "triage", "--method", "head", "--name", "quick", *here)
    with Project.at(folder) as project:  # the same model, as if it took its time
        card = shelf.find(project.store, "default", "quick")
        shelf.add(project.store, msgspec.structs.replace(card, name="slow", is_quick=False))
    (folder / "own.policy").write_text("task triage\notherwise use slow\n")
    hash = freehold("policy", "add", folder / "own.policy", "--json", *here).json["hash"]
    freehold("promote", "triage", "--policy", hash[:12], *here)
    with running(folder, [], TOML) as served:
        yield served


def ask(served: Served, text: str) -> tuple[str, str]:
    """Who answers, and what."""
    asked = served.openai().chat.completions.with_raw_response
    raw = asked.create(model="freehold/triage", messages=[{"role": "user", "content": text}])
    return str(raw.headers["x-freehold-variant"]), str(raw.parse().choices[0].message.content)


def beside(served: Served) -> list[int]:
    """The processes of models beside the worker."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if b"freehold.variants.beside" in path.read_bytes() and str(served.project).encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def test_it_answers_from_a_process_of_its_own(served: Served) -> None:
    with Project.at(served.project) as project:
        from freehold.variants.specialist import load

        quick = load(project.store, shelf.find(project.store, "default", "quick"))
        expected = [said.output for said in quick.answer(PAIRS.texts[:10]) if said is not None]
    assert [ask(served, text) for text in PAIRS.texts[:10]] == [("slow", output) for output in expected]
    assert len(beside(served)) == 1


def test_where_its_process_dies_nobody_hears_of_it(served: Served) -> None:
    """Whoever asks while it is dead is answered, by the reference or by the one that is started again."""
    ask(served, PAIRS.texts[0])
    (process,) = beside(served)
    os.kill(process, signal.SIGKILL)
    variants = [ask(served, text)[0] for text in PAIRS.texts[:6]]
    assert set(variants) <= {"slow", "frontier"} and variants[-1] == "slow"
    assert beside(served) != [process]
