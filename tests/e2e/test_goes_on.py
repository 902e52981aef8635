"""A specialist goes on learning by the command: what forgets is refused, what does not goes on the shelf, and either says what it kept."""

import random
from pathlib import Path

import pytest

from command import freehold
from data_sets import a_call, journalled
from freehold.config import FILE_NAME
from freehold.project import Project
from freehold.variants import shelf

TOML = """
[data]
licence = "CC-BY-4.0"
consent = "terms"
[providers.recordings]
kind = "recorded"
[models.small]
provider = "recordings"
trains_others = "yes"
[tasks.triage]
reference = "small"
"""
SEASONS = (
    {"cards": "lost stolen block replacement wallet pocket", "loans": "mortgage valuation lender overpay interest deposit"},
    {"travel": "lisbon currency euros holiday exchange abroad", "app": "login screen update crash passcode locked"},
)
FILLERS = ["the", "my", "please", "to", "is", "it", "when", "for", "with", "and"]
HERE = ("train", "triage", "--method", "stream", "--json")
NAIVE = ("--set", "kind=net", "--set", "memory=0", "--set", "distil=0", "--set", "epochs=12", "--set", "rate=0.02")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / FILE_NAME).write_text(TOML)
    rng = random.Random(1)
    calls = []
    for season, desks in enumerate(SEASONS):
        for n in range(240):
            desk = rng.choice(sorted(desks))
            words = [*rng.sample(desks[desk].split(), 3), *rng.sample(FILLERS, 5), str(n)]
            rng.shuffle(words)
            calls.append(a_call(1_000 * season + n, input=" ".join(words), output=desk, tags={"season": str(season)}, item=f"{season} {n}"))
    with Project.at(tmp_path) as project:
        journalled(project, calls)
    for season in range(2):
        split = ("--train", "0.5", "--calibrate", "0.2")
        freehold("dataset", "build", f"season{season}", "--from", f"task=triage and tag.season={season}", *split, "--project", tmp_path)
    freehold(*HERE, "--dataset", "season0", "--name", "first", "--set", "buckets=256", "--project", tmp_path)
    return tmp_path


def names(folder: Path) -> list[str]:
    with Project.at(folder) as project:
        return [card.name for card in shelf.on_shelf(project.store, "default")]


def test_what_forgets_is_refused_and_leaves_nothing(home: Path) -> None:
    go_on = (
        *HERE,
        "--dataset",
        "season1",
        "--continue-from",
        "first",
        "--name",
        "naive",
        "--set",
        "buckets=256",
        "--project",
        home,
        *NAIVE,
    )
    blobs = len([path for path in home.rglob("*") if path.is_file() and "blobs" in str(path)])
    ended = freehold(*go_on, code=3)
    assert ended.json["refused"][0].startswith("all earlier rows: ")
    assert "it forgot more of what 'first' knows than task 'triage' allows" in ended.err and "--force" in ended.err
    assert names(home) == ["first"]
    assert len([path for path in home.rglob("*") if path.is_file() and "blobs" in str(path)]) == blobs
    forced = freehold(*go_on, "--force").json
    assert forced["made"]["forced"][0].startswith("all earlier rows: ")
    assert names(home) == ["first", "naive"]


def test_what_does_not_forget_goes_on_the_shelf_with_the_matrix_of_what_it_kept(home: Path) -> None:
    card = freehold(
        *HERE, "--dataset", "season1", "--continue-from", "first", "--name", "second", "--set", "buckets=256", "--project", home
    ).json
    everything = card["kept"][0]
    assert (everything["of"], everything["n"]) == ("all", 72)
    assert everything["after"] >= everything["before"] - 0.02 > 0.9
    assert len(card["taught"]) == 1
    candidates = card["made"]["candidates"]
    assert card["made"]["chosen"] in candidates and len(candidates) == 2
    shown = freehold("specialists", "show", "second", "--project", home).out
    assert "season0" in shown and "Average" in shown and "forgetting" in shown
    head = ("train", "triage", "--method", "head", "--json", "--dataset", "season1", "--continue-from", "first", "--project", home)
    again = freehold(*head, "--name", "again").json
    assert again["kept"][0]["after"] >= everything["before"] - 0.02 and again["rows"]["train"] == 120
    forgot = freehold(*head, "--name", "alone", "--set", "replay=0", code=3)
    assert "all earlier rows" in forgot.json["refused"][0]
    wrong = freehold(*HERE, "--continue-from", "nobody", "--project", home, code=2)
    assert "There is no specialist 'nobody'" in wrong.err
