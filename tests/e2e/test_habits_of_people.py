"""Personal specialists: who has a habit is answered by it, who has none by everybody's, and nobody by somebody else's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from test_gateway import Served, running

from command import freehold
from freehold.config import FILE_NAME
from freehold.journal.ingest import IngestOptions
from freehold.journal.rows import digest_of
from freehold.project import Project
from freehold.variants.shelf import on_shelf, read_files
from simulated import a_task, write_log

PAIRS = a_task(1600)
TOML = """
[project]
name = "desk"
[data]
consent = "terms"
[models.frontier]
trains_others = "yes"
[metrics.correct]
kind = "binary"
deterministic = true
[tasks.triage]
reference = "frontier"
variants = ["frontier"]
metric = "correct"
allow_uncertified = true
scope = "subject"
"""
PEOPLE = ("ann", "ben", "cem", "dot")
HABITS = {"ann": {"topic 0": "urgent", "topic 1": "bank"}, "ben": {"topic 2": "travel"}}


def answer_of(person: str, topic: int) -> str:
    """What a person would say, by their habit."""
    return HABITS.get(person, {}).get(f"topic {topic}", f"topic {topic}")


def log() -> Iterator[dict[str, Any]]:
    """Everybody's calls with the answer as its owner wants it; those of `cem` without consent."""
    who_N = np.random.default_rng(0).integers(0, len(PEOPLE), len(PAIRS))
    for i, item in enumerate(PAIRS.items):
        person = PEOPLE[who_N[i]]
        right = answer_of(person, int(PAIRS.truth_N[i]))
        tags = {"subject": person} | ({"consent": "no"} if person == "cem" else {})
        yield {
            "task": "triage",
            "item": item,
            "input": PAIRS.texts[i],
            "variant": "frontier",
            "output": right,
            "reference_output": right,
            "tags": tags,
        }


class Desk(NamedTuple):
    """A project whose people were asked for their habits."""

    folder: Path
    found: dict[str, Any]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("personal")
    (folder / FILE_NAME).write_text(TOML)
    with Project.at(folder) as project:
        project.ingest([str(write_log(folder / "log.jsonl", log()))], IngestOptions(design="census"))
    parts = ("--train", "0.4", "--calibrate", "0.3", "--label-errors", "off")
    freehold("dataset", "build", "triage", "--from", "task=triage and kind=corrections", *parts, "--project", folder)
    trained = freehold("train", "triage", "--method", "head", "--name", "sorter", "--json", "--project", folder).json
    policy = folder / "own.policy"
    policy.write_text("task triage\notherwise use sorter\n")
    hash = freehold("policy", "add", policy, "--json", "--project", folder).json["hash"]
    freehold("promote", "triage", "--policy", hash[:12], "--project", folder)
    return Desk(folder, trained["personal"])


@pytest.fixture(scope="module")
def served(desk: Desk) -> Iterator[Served]:
    with running(desk.folder, [], TOML) as served:
        yield served


def owner(person: str) -> str:
    return digest_of(["default", person])


def test_those_with_a_habit_win_their_test_and_nobody_else_has_one(desk: Desk) -> None:
    assert desk.found["owners"] == 3  # cem did not consent
    assert sorted(desk.found["won"]) == sorted(f"sorter~{owner(person)[:16]}" for person in HABITS)


def test_each_is_answered_by_their_own_habit(served: Served) -> None:
    """Who renames answers hears their own names for them; Dot and a stranger hear what everybody hears."""
    said: dict[str, set[str]] = {}
    for person in (*PEOPLE, "stranger"):
        for text in PAIRS.texts[:40]:
            answer = served.openai().chat.completions.create(
                model="freehold/triage", messages=[{"role": "user", "content": text}], user=person
            )
            said.setdefault(person, set()).add(str(answer.choices[0].message.content))
    assert said["ann"] & {"urgent", "bank"} and "travel" in said["ben"]
    assert said["dot"] == said["stranger"]


def test_a_habit_holds_nothing_of_anybody_else(desk: Desk) -> None:
    """It answers with what its owner answers, beside what the shared specialist says, and there is not one word of a text in it."""
    with Project.at(desk.folder) as project:
        cards = {card.subject: card for card in on_shelf(project.store, project.tenant) if card.subject is not None}
        ann, ben = (read_files(project.store, cards[owner(person)])["habit.json"] for person in ("ann", "ben"))
    renamed = {
        person: {one["answer"] for one in json.loads(file)["own"] if one["answer"] != one["shared"]}
        for person, file in (("ann", ann), ("ben", ben))
    }
    assert renamed["ann"] and "travel" not in renamed["ann"]
    assert renamed["ben"] and not renamed["ben"] & {"urgent", "bank"}
    words = {word.encode() for text in PAIRS.texts for word in text.lower().split() if len(word) > 6}
    assert not any(word in ann + ben for word in words)


def test_what_is_taken_answers_elsewhere_as_it_did_here(desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "ann"
    taken = freehold("take", "ann", "--out", out, "--json", "--project", desk.folder).json
    assert len(taken["specialists"]) == 2 and taken["calls"] > 300
    assert (out / "memory" / "calls.jsonl").read_bytes().count(b"\n") == taken["calls"]
    text = next(text for text, topic in zip(PAIRS.texts, PAIRS.truth_N, strict=True) if topic == 0 and "card" in text and "wallet" in text)
    said = freehold("answer", out, text, "--json", cwd=tmp_path).json
    assert said[f"sorter~{owner('ann')[:16]}"]["output"] == "urgent" and said["sorter"]["output"] in ("topic 0", "urgent")
    changed = out / "specialists" / "sorter" / "head.safetensors"
    changed.write_bytes(changed.read_bytes()[:-1] + b"!")
    assert "is not what the card says" in freehold("answer", out, text, cwd=tmp_path, code=1).err


def test_whoever_is_erased_has_no_habit_any_more(desk: Desk) -> None:
    """Last, for it changes the project."""
    erased = freehold("erase", "ben", "--yes", "--json", "--project", desk.folder).json
    assert [label.split("@")[0] for label in erased["own"]] == [f"sorter~{owner('ben')[:16]}"]
    listed = freehold("specialists", "list", "--habits", "--json", "--project", desk.folder).json
    assert sorted(card["name"] for card in listed) == sorted(["sorter", f"sorter~{owner('ann')[:16]}"])
