"""The demo's specialist given to another project, and what it costs and saves, by the command line alone."""

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from command import freehold

TERMS = """
[data]
licence = "Apache-2.0"
consent = "written-for-it"
[economics]
machine_usd_per_hour = 0.5
label_usd = 0.001
"""


class Made(NamedTuple):
    """The demo's project with a specialist, and where that was released."""

    project: Path
    released: Path
    told: dict[str, object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("demo")
    freehold("demo", "--out", folder / "demo", "--json")
    refused = folder / "refused"
    freehold("train", "triage", "--method", "head", "--name", "untold", "--project", folder / "demo", "--json")
    ended = freehold("release", "untold", "--level", "full", "--out", refused, "--project", folder / "demo", code=2)
    assert "no licence: 1,083" in ended.err and "--level statistics" in ended.err and not refused.exists()
    with (folder / "demo/freehold.toml").open("a") as file:
        file.write(TERMS)
    source = ("--from", "task=triage and kind=corrections")
    freehold("dataset", "build", "told", *source, "--label-errors", "off", "--project", folder / "demo", "--json")
    freehold("train", "triage", "--method", "head", "--dataset", "told", "--name", "sorter", "--project", folder / "demo", "--json")
    told = freehold("release", "sorter", "--level", "full", "--out", folder / "out", "--project", folder / "demo", "--json").json
    return Made(folder / "demo", folder / "out", told)


def test_the_folder_is_whole_and_says_what_it_is(made: Made) -> None:
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=made.released, check=False)
    assert done.returncode == 0
    assert made.told["level"] == "full" and made.told["left_out"] == {}
    page = (made.released / "README.md").read_text()
    assert "license: apache-2.0" in page and "sorter" in page and "freehold specialists add" in page


def test_another_project_takes_it_in_with_its_card_and_refuses_it_tampered_with(made: Made, tmp_path: Path) -> None:
    freehold("init", tmp_path / "theirs")
    project = ("--project", tmp_path / "theirs")
    added = freehold("specialists", "add", made.released, "--name", "bought", *project, "--json")
    assert "There is no task 'triage' here" in added.err
    mine = freehold("specialists", "show", "sorter", "--project", made.project, "--json").json
    theirs = freehold("specialists", "show", "bought", *project, "--json").json
    assert theirs["label"].removeprefix("bought") == mine["label"].removeprefix("sorter")
    assert theirs["tested"]["measures"] == mine["tested"]["measures"]
    subprocess.run(["cp", "-r", str(made.released), str(tmp_path / "bad")], check=True)
    weights = tmp_path / "bad/head.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    refused = freehold("specialists", "add", tmp_path / "bad", "--name", "worse", *project, code=1)
    assert "head.safetensors is missing or is not what SHA256SUMS says" in refused.err
    assert [one["name"] for one in freehold("specialists", "list", *project, "--json").json] == ["bought"]


def test_economics_say_when_it_has_paid_for_itself(made: Made, tmp_path: Path) -> None:
    """2,400 questions in 60 days at $1.20 a thousand; 2,400 labels at a tenth of a cent are most of what it cost."""
    asked = ("economics", "triage", "--specialist", "sorter", "--share", "0.5", "--project", made.project)
    found = freehold(*asked, "--out", tmp_path, "--json").json
    assert found["questions"] == pytest.approx(2_400 / 60 * 30.44, rel=0.02)
    assert [(one["variant"], one["unknown"]) for one in found["variants"]] == [("frontier", 0.0), ("cheap", 0.0)]
    (case,) = found["cases"]
    assert case["unknown"] == [] and case["fixed_usd"] == pytest.approx(2.40, abs=0.05)
    saving = case["saving_usd"]["value"]
    assert saving == pytest.approx(found["variants"][0]["usd"] / 2, rel=0.01)
    assert case["break_even_months"]["value"] == pytest.approx(case["fixed_usd"] / saving)
    low, high = case["break_even_months"]["interval"]
    assert low < case["break_even_months"]["value"] < high
    assert (tmp_path / "economics.html").stat().st_size > 500_000
    for name in ("months", "paid-1", "sensitivity-1"):
        assert (tmp_path / f"economics-{name}.png").read_bytes().startswith(b"\x89PNG")
    said = freehold(*asked, "--price-decline", "4", "--growth", "2").out
    assert (
        "It has paid for itself:" in said
        and "Prices ÷ 4" in said
        and "by the year: questions × 2, rented prices ÷ 4" in " ".join(said.split())
    )


def test_what_makes_no_sense_is_misuse(made: Made) -> None:
    ended = freehold("economics", "triage", "--growth", "0", "--project", made.project, code=2)
    assert "--growth 0 is no factor" in ended.err
    ended = freehold("release", "nobody", "--out", made.project / "x", "--project", made.project, code=2)
    assert "no specialist 'nobody'" in ended.err
