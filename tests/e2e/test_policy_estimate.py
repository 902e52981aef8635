"""`freehold policy estimate`: what a policy would be worth, from a journal whose answers were drawn."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command import freehold
from freehold.journal.call import Call, Feedback
from freehold.journal.write import append_many
from freehold.project import Project
from freehold.promotion.gate import promote, withdraw
from freehold.promotion.records import add_policy

CONFIG = """
[metrics.correct]
kind = "binary"
[tasks.triage]
reference = "frontier"
variants = ["frontier", "cheap"]
metric = "correct"
explore = 0.2
"""
MakeCall = Callable[..., Call]
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MakeScore = Callable[..., Feedback]


def journal(folder: Path, a_call: MakeCall, a_score: MakeScore, count: int, labelled: bool = True) -> None:
    """The frontier answers all and is right; the cheap one is asked a fifth of it beside, and is wrong about long questions."""
    (folder / "freehold.toml").write_text(CONFIG)
    rng = random.Random(1)
    calls, said = [], []
    for n in range(count):
        is_long = n % 2 == 0
        text = f"Question {n}{' and much more to it' * 10 if is_long else ''}"
        at = NOON + timedelta(seconds=2 * n)
        main = a_call(n, input=text, at=at, policy="p" * 64, propensity=1.0, source="gateway", cost_usd=0.01)
        calls.append(main)
        said.append(a_score(main, 1.0))
        if rng.random() < 0.2:
            beside = a_call(
                count + n,
                item=main.item,
                input=text,
                at=at + timedelta(seconds=1),
                variant="cheap",
                propensity=0.2,
                source="explore",
                cost_usd=0.001,
            )
            calls.append(beside)
            said.append(a_score(beside, 0.0 if is_long else 1.0))
    with Project.at(folder) as project:
        append_many(project.store, calls, said if labelled else [])
    (folder / "short.policy").write_text("task triage\nwhen chars < 100 use cheap\notherwise use frontier\n")
    (folder / "cheap.policy").write_text("task triage\notherwise use cheap\n")


def test_quality_and_cost_of_a_policy_that_was_never_served(tmp_path: Path, a_call: MakeCall, a_score: MakeScore) -> None:
    journal(tmp_path, a_call, a_score, 2000)
    worth, cost = freehold("policy", "estimate", "triage", "short.policy", "--json", cwd=tmp_path).json["estimates"]
    assert worth["policy"]["dr"]["value"] == pytest.approx(1.0, abs=0.01)
    assert cost["policy"]["dr"]["low"] <= 0.0055 <= cost["policy"]["dr"]["high"]
    assert (worth["reference"]["dr"]["value"], worth["logged"]["value"], worth["decisions"]) == (1.0, 1.0, 2000)
    worse = freehold("policy", "estimate", "triage", "cheap.policy", "--json", cwd=tmp_path).json["estimates"][0]["policy"]["dr"]
    assert worse["low"] <= 0.5 <= worse["high"] and worse["high"] - worse["low"] < 0.15


def test_what_it_prints_says_what_it_rests_on(tmp_path: Path, a_call: MakeCall, a_score: MakeScore) -> None:
    journal(tmp_path, a_call, a_score, 1200)
    ended = freehold("policy", "estimate", "triage", "short.policy", cwd=tmp_path)
    assert "would ask cheap 50.0%, frontier 50.0%" in ended.out
    assert "as it was answered" in ended.out and "doubly robust" in ended.out
    assert "the labels of 1,200 of 1,200 decisions were found, not drawn" in ended.err


def test_too_small_a_log_gives_no_number_and_exit_3(tmp_path: Path, a_call: MakeCall, a_score: MakeScore) -> None:
    journal(tmp_path, a_call, a_score, 150)
    ended = freehold("policy", "estimate", "triage", "cheap.policy", "--json", cwd=tmp_path, code=3)
    worth = ended.json["estimates"][0]
    assert worth["policy"] is None and worth["effective"] < 100 and "an estimate takes 100" in worth["refused"]


def test_a_policy_that_goes_on_by_a_models_answer_is_not_estimated(tmp_path: Path, a_call: MakeCall, a_score: MakeScore) -> None:
    journal(tmp_path, a_call, a_score, 20)
    (tmp_path / "try.policy").write_text("task triage\notherwise try cheap accept answer_chars > 3 then frontier\n")
    assert "goes on by what 'cheap' answers" in freehold("policy", "estimate", "triage", "try.policy", cwd=tmp_path, code=2).err


def test_without_a_label_there_is_nothing_to_estimate(tmp_path: Path, a_call: MakeCall, a_score: MakeScore) -> None:
    journal(tmp_path, a_call, a_score, 20, labelled=False)
    assert "No decision has a label of correct" in freehold("policy", "estimate", "triage", "cheap.policy", cwd=tmp_path, code=3).err


def test_the_list_of_policies_says_which_was_withdrawn_and_why(tmp_path: Path, a_call: MakeCall, a_score: MakeScore) -> None:
    journal(tmp_path, a_call, a_score, 5)
    with Project.at(tmp_path) as project:
        add_policy(project.store, "default", "triage", "f" * 64, "task triage\notherwise use frontier\n", None, None, "person", NOON)
        promote(project.store, "default", project.task("triage"), None, "ann", NOON)
        withdraw(project.store, "default", "triage", "f" * 64, "monitor", "it loses too much", NOON)
    ended = freehold("policy", "list", "triage", cwd=tmp_path)
    assert "ffffffffffff was withdrawn: it loses too much" in ended.err
    assert freehold("policy", "list", "triage", "--json", cwd=tmp_path).json[0]["withdrawn"] == "it loses too much"
