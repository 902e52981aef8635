"""Reviewing 200 items by script through the real command: three people at once, one of them careless, gold hidden among the items."""

import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from command import RUN, freehold
from freehold.feedback.credits import standings
from freehold.journal.call import Call
from freehold.journal.write import append_many
from freehold.store.open import open_store
from freehold.store.schema import feedback, review_items

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
"""
ITEMS, GOLD = 300, 25
ERRS = {"ann": 0.02, "bea": 0.08, "carl": 0.4}
"""How often each marks the wrong one; carl is careless."""
TARIFF_USD = 0.2


def truth_of(n: int) -> str:
    return f"queue {n % 5}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A task on which one of two variants is right each time, and a file with the right answers of 25 items."""
    (tmp_path / "freehold.toml").write_text(TOML)
    rng = random.Random(0)
    calls = []
    for n in range(ITEMS):
        answers = [truth_of(n), f"queue {(n + 1) % 5}"]
        rng.shuffle(answers)
        for variant, output in zip(("frontier", "cheap"), answers, strict=True):
            fields: dict[str, Any] = {"task": "triage", "item": f"i{n}", "input": f"message {n}"}
            calls.append(Call(id=f"i{n}/{variant}", variant=variant, output=output, **fields))
    gold = [json.dumps({"item": f"i{n}", "answer": truth_of(n)}) for n in range(100, 100 + GOLD)]
    (tmp_path / "gold.jsonl").write_text("\n".join(gold))
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        append_many(store, calls)
    return tmp_path


def review(project: Path, name: str, limit: int | None = None) -> int:
    """A person who reads each question and answers it, wrongly as often as they err; how many they answered."""
    command = [sys.executable, "-W", "error", "-c", RUN, "review", "triage", "--as", name, "--json", "--project", str(project)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    count = 0
    for line in process.stdout:
        question = json.loads(line)
        assert "frontier" not in line and "cheap" not in line and "gold" not in line
        right = [letter for letter, answer in question["answers"].items() if answer == truth_of(int(question["asked"].split()[1]))]
        if random.Random(f"{name} {question['asked']}").random() < ERRS[name]:
            right = [letter for letter in question["answers"] if letter not in right]
        if count == limit:
            break
        process.stdin.write(json.dumps({"right": right}) + "\n")
        process.stdin.flush()
        count += 1
    process.stdin.close()
    process.stdout.close()
    assert process.wait(60) == 0
    return count


def labels(project: Path) -> dict[str, set[tuple[str, float]]]:
    """By call, who labelled it and how."""
    found: dict[str, set[tuple[str, float]]] = {}
    with open_store("sqlite:///freehold.db", project) as store, store.reading() as connection:
        for row in connection.execute(select(feedback).where(feedback.c.kind == "label")):
            found.setdefault(row.call, set()).add((row.source, row.value))
    return found


def test_three_people_review_two_hundred_items_and_the_careless_one_is_found_out(project: Path) -> None:
    """Reliability ranks them as they err, gold catches the careless one, credits add up to the tariff, and labels follow an exclusion."""
    opened = freehold(
        "review", "open", "triage", "--size", "200", "--reviewers", "3", "--gold-file", "gold.jsonl", "--json", cwd=project
    ).json
    queue = opened["queue"]["id"]
    assert opened["drawn"] == 200 and opened["gold"] == GOLD
    with ThreadPoolExecutor(3) as pool:
        counts = dict(zip(ERRS, pool.map(lambda name: review(project, name), ERRS), strict=True))
    assert all(200 <= count <= opened["questions"] for count in counts.values())

    (status,) = freehold("review", "status", "triage", "--json", cwd=project).json
    assert [one["reviewer"] for one in status["reviewers"]] == ["ann", "bea", "carl"]
    accuracy = {one["reviewer"]: one["accuracy"] for one in status["reviewers"]}
    for name, err in ERRS.items():
        assert accuracy[name]["low"] - 0.02 <= 1 - err <= accuracy[name]["high"] + 0.02
    missed = {one["reviewer"]: one["gold_missed"] / one["gold"] for one in status["reviewers"]}
    assert missed["carl"] > 0.2 > max(missed["ann"], missed["bea"])
    assert status["items"] == {"decided": 200}
    assert 0.2 < status["agreement"]["alpha"]["low"] < status["agreement"]["alpha"]["high"] < 0.6

    due = {one["reviewer"]: one["earned_usd"] for one in status["reviewers"]}
    lines = [json.loads(line) for line in freehold("review", "export", queue, cwd=project).out.splitlines()]
    assert len(lines) == sum(counts.values())
    freehold("review", "close", queue, cwd=project)
    with open_store("sqlite:///freehold.db", project) as store:
        booked = {one.reviewer: one for one in standings(store, "default")}
        with store.reading() as connection:
            decided = connection.execute(select(review_items.c.ticket).where(review_items.c.state == "decided")).all()
    assert len(decided) >= 200
    by_reviewer = {one["reviewer"]: one for one in status["reviewers"]}
    for name, told in by_reviewer.items():
        assert booked[name].earned_nano == round(due[name] * 1e9)
        accepted_gold = told["gold"] - told["gold_missed"]
        assert accepted_gold * TARIFF_USD <= due[name] <= told["given"] * TARIFF_USD
    assert sum(one.earned_nano for one in booked.values()) == round(status["due_usd"] * 1e9)
    paid = sum(one.earned_nano for one in booked.values()) / 1e9 / TARIFF_USD
    assert abs(paid - sum(one["accepted"] for one in status["reviewers"])) < 1e-6

    said_by_carl = sum(("person:carl", value) in said for said in labels(project).values() for value in (0.0, 1.0))
    assert said_by_carl > 0
    freehold("review", "exclude", queue, "carl", cwd=project)
    after = labels(project)
    assert not any(source == "person:carl" for said in after.values() for source, _ in said)
    right = {call: max(value for _, value in said) for call, said in after.items()}
    assert sum(right.values()) >= 170  # two who agree decide; where they do not, a senior is waited for
    with open_store("sqlite:///freehold.db", project) as store:
        assert {one.reviewer: one.earned_nano for one in standings(store, "default")}["carl"] == 0
    certified = freehold("certify", "triage", "--variants", "cheap", "--max-loss", "0.9", "--json", cwd=project)
    assert certified.json["label_design"] == "audit"
