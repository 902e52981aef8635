"""An exported folder is read by Hugging Face's datasets and by mlcroissant, in an environment of their own."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.data_sets import a_call, journalled, project_at, recipe

from freehold.curate import build_dataset, export_dataset
from freehold.datasets.card import write_card
from freehold.datasets.export import FULL, PART_NAMES, REDACTED, Wanted
from freehold.release import Asked, release
from freehold.specialise import Wanted as Task
from freehold.specialise import plan_of, prepare, train

PEER = Path(__file__).parents[2] / ".peers" / "croissant"
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
pytestmark = pytest.mark.skipif(not (PEER / "installed").exists(), reason="mlcroissant is not installed: scripts/setup-peers.sh croissant")


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | OFFLINE
    return subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(("openness", "columns"), [("redacted", REDACTED), ("full", FULL)])
def test_the_folder_loads_and_its_description_holds(tmp_path: Path, openness: str, columns: tuple[str, ...]) -> None:
    with project_at(tmp_path) as project:
        journalled(project, [a_call(n) for n in range(50)])
        parts = build_dataset(project, recipe()).manifest.parts
        export_dataset(project, "triage", Wanted("huggingface", openness), tmp_path / "out")  # type: ignore[arg-type]
    ended = run(PEER / "bin/python", Path(__file__).with_name("dataset_peer.py"), tmp_path / "out")
    assert ended.returncode == 0, ended.stderr[-4_000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["rows"] == told["records"] == {PART_NAMES[part]: n for part, n in parts.items()}
    assert told["columns"] == list(columns)
    assert (told["conforms_to"], told["errors"], told["warnings"]) == ("http://mlcommons.org/croissant/1.1", [], [])


@pytest.mark.parametrize("level", ["redacted", "full"])
def test_the_data_of_a_released_specialist_loads_and_its_description_holds(tmp_path: Path, level: str) -> None:
    with project_at(tmp_path) as project:
        journalled(project, [a_call(n) for n in range(90)])
        build_dataset(project, recipe())
        train(project, prepare(project, plan_of(project, Task("triage", "head"))), "sorter")
        released = release(project, Asked(name="sorter", level=level), tmp_path / "out")  # type: ignore[arg-type]
    ended = run(PEER / "bin/python", Path(__file__).with_name("dataset_peer.py"), tmp_path / "out/data")
    assert ended.returncode == 0, ended.stderr[-4_000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["rows"] == told["records"] == released.rows
    assert (told["conforms_to"], told["errors"], told["warnings"]) == ("http://mlcommons.org/croissant/1.1", [], [])


def test_a_card_without_rows_is_valid(tmp_path: Path) -> None:
    with project_at(tmp_path) as project:
        journalled(project, [a_call(n) for n in range(10)])
        write_card(build_dataset(project, recipe()).manifest, "statistics", tmp_path / "card")
    ended = run(PEER / "bin/mlcroissant", "validate", "--jsonld", tmp_path / "card/croissant.json")
    assert ended.returncode == 0 and "Done" in ended.stderr, ended.stderr[-4_000:]
