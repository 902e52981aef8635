"""Queues whose items a rule chose, through to what rests on them: certificates that weigh by probabilities, and pay by worth."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import RUN, freehold
from freehold.datasets.split import TEST, Fractions, split
from freehold.journal.answers import drawn_items
from freehold.journal.call import Call
from freehold.journal.write import append_many
from freehold.store.open import open_store

TOML = """\
[project]
name = "bank"
[metrics.correct]
kind = "binary"
deterministic = true
[tasks.triage]
reference = "frontier"
metric = "correct"
[credits]
per_verdict_usd = 0.2
by = "worth"
"""
ITEMS = 1200
SURE_USD, CHEAP_USD = 0.01, 0.001


def is_hard(n: int) -> bool:
    return n % 10 == 0


def cheap_is_right(n: int) -> bool:
    """Of what is hard half, of the rest all but one in fifty."""
    return random.Random(f"cheap {n}").random() < (0.5 if is_hard(n) else 0.98)


def frontier_is_right(n: int) -> bool:
    return random.Random(f"frontier {n}").random() < 0.95


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A task with a kind of item on which alone the cheap variant is often wrong. No two answers are one, so that people are asked of all."""
    return filled(tmp_path, ", says {name}")


def filled(tmp_path: Path, says: str) -> Path:
    """The same, with what right answers end in."""
    (tmp_path / "freehold.toml").write_text(TOML)
    calls = []
    for n in range(ITEMS):
        asked = f"{'a disputed transfer' if is_hard(n) else 'opening hours'} number {n}"
        for name, right, usd in (("frontier", frontier_is_right(n), SURE_USD), ("cheap", cheap_is_right(n), CHEAP_USD)):
            output = f"answer {n}{says.format(name=name)}" if right else f"no answer, says {name}"
            tags = {"kind": "hard" if is_hard(n) else "easy"}
            calls.append(
                Call(id=f"i{n}/{name}", task="triage", variant=name, item=f"i{n}", input=asked, output=output, cost_usd=usd, tags=tags)
            )
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        append_many(store, calls)
    return tmp_path


def knows(name: str, errs: float = 0.0) -> Callable[[dict[str, Any]], list[str]]:
    """Somebody who knows the right answers, and marks the others as often as they err."""

    def right(question: dict[str, Any]) -> list[str]:
        n = int(question["asked"].rpartition(" ")[2])
        found = [letter for letter, answer in question["answers"].items() if answer.startswith(f"answer {n},")]
        if random.Random(f"{name} {n}").random() < errs:
            found = [letter for letter in question["answers"] if letter not in found]
        return found

    return right


def review(project: Path, queue: str, name: str, errs: float = 0.0) -> int:
    """A person answers all that a queue has for them; how much that was."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        RUN,
        "review",
        "triage",
        "--as",
        name,
        "--queue",
        queue,
        "--json",
        "--project",
        str(project),
    ]
    process, right, count = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True), knows(name, errs), 0
    assert process.stdin is not None and process.stdout is not None
    for line in process.stdout:
        process.stdin.write(json.dumps({"right": right(json.loads(line))}) + "\n")
        process.stdin.flush()
        count += 1
    process.stdin.close()
    process.stdout.close()
    assert process.wait(60) == 0
    return count


def opened(project: Path, *options: str) -> dict[str, Any]:
    made: dict[str, Any] = freehold("review", "open", "triage", *options, "--json", cwd=project).json
    return made


def test_labels_that_interval_chose_enter_the_certificate_by_inverse_probability(project: Path) -> None:
    """Hard items are likelier to be drawn, and count for less. What the certificate says of test items is what the weights make of the labels,
    added up here by hand; labels that forget how they were drawn would say that the cheap variant is far worse than it is."""
    first = opened(project, "--size", "120")["queue"]["id"]
    review(project, first, "ann")
    freehold("review", "close", first, cwd=project)
    made = opened(project, "--rule", "interval", "--size", "240")
    queue = made["queue"]["id"]
    assert made["queue"]["floor"] > 0
    assert review(project, queue, "ann") > 0
    freehold("review", "close", queue, cwd=project)

    said = freehold("certify", "triage", "--variants", "cheap", "--max-loss", "0.1", "--json", cwd=project).json
    assert said["label_design"] == "audit" and said["method"] == "betting" and said["certified"]
    assert any("drawn with known, unequal chances" in words for words in said["conditions"])
    with open_store("sqlite:///freehold.db", project) as store:
        chance = drawn_items(store, "default", "triage", "correct")
    assert len(set(chance.values())) > 2
    items = sorted(chance)
    groups = tuple(f"item:{item}" for item in items)  # each is a group of its own
    part = dict(zip(items, split("default/triage", groups, None, Fractions()), strict=True))
    test = [(1 / chance[item], frontier_is_right(n) - cheap_is_right(n)) for item in items if part[item] == TEST for n in [int(item[1:])]]
    weighted = sum(weight * loss for weight, loss in test) / sum(weight for weight, _ in test)
    plain = sum(loss for _, loss in test) / len(test)
    assert said["controls"]["all_cheapest"]["loss"] == pytest.approx(weighted, abs=1e-9)
    assert abs(plain - weighted) > 0.02
    assert freehold("verify", said["certificate"], cwd=project).code == 0


def test_credits_by_worth_pay_for_skill_and_for_what_narrowed_the_interval(project: Path) -> None:
    """Somebody who errs often earns less for each verdict that was accepted, nobody earns more than by tariff together, and what is booked when the
    queue is closed is what the status says is due."""
    queue = opened(project, "--rule", "disagreement", "--size", "60", "--reviewers", "3", "--gold", "0")["queue"]["id"]
    for name, errs in (("ann", 0.02), ("bea", 0.05), ("carl", 0.35)):
        review(project, queue, name, errs)
    (status,) = freehold("review", "status", "triage", "--json", cwd=project).json
    told = {one["reviewer"]: one for one in status["reviewers"]}
    per_verdict = {name: one["earned_usd"] / one["accepted"] for name, one in told.items()}
    assert 0 < per_verdict["carl"] < 0.8 * min(per_verdict["ann"], per_verdict["bea"])
    accepted = sum(one["accepted"] for one in told.values())
    assert 0 < status["due_usd"] <= 0.2 * accepted
    assert freehold("credits", "list", "--json", cwd=project).json == []
    freehold("review", "close", queue, cwd=project)
    booked = {one["reviewer"]: one["earned_nano"] for one in freehold("credits", "list", "--json", cwd=project).json}
    assert booked == {name: round(one["earned_usd"] * 1e9) for name, one in told.items()}


@pytest.mark.parametrize(
    ("region", "why"),
    [
        ("hard ones", "character 6: found 'ones', expected the end of the condition."),
        ('tag.kind = "hard"', "character 10: found '=', which the language does not use. Write '=='."),
        ('tag.knid == "hard"', "character 1: no call carries a tag 'knid'. Did you mean 'kind'?"),
        ('region == "disputes"', "task 'triage' has no map yet. 'freehold certify triage' draws one."),
        ('tag.kind == "odd"', "holds for none of the 1,200 items of task 'triage'"),
    ],
)
def test_a_region_that_cannot_be_looked_for_is_named_at_its_own_place(project: Path, region: str, why: str) -> None:
    """Not at lines of a program that nobody wrote."""
    told = freehold("review", "open", "triage", "--rule", "region", "--region", region, cwd=project, code=2).err
    assert f"--region '{region}'" in told and why in told and "line" not in told


def test_regions_of_the_map_are_named_where_one_is_not_there(tmp_path: Path) -> None:
    project = filled(tmp_path, "")
    freehold("certify", "triage", "--metric", "agreement", "--max-loss", "0.3", cwd=project)
    wrong = ("review", "open", "triage", "--rule", "region", "--region")
    told = freehold(*wrong, 'region == "nowhere"', cwd=project, code=2).err
    assert "there is no 'region' \"nowhere\"." in told
    known = told.partition("Known: ")[2].strip().rstrip(".").split(", ")
    assert known and f"Say --region 'region == \"{known[0]}\"'." in freehold(*wrong, known[0], cwd=project, code=2).err
    made = opened(project, "--rule", "region", "--region", f'region == "{known[0]}"', "--size", "40")
    assert made["questions"] > 0
