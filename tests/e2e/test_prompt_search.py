"""Prompt search against a scripted model with a known best prompt: it is found by reflection, proved on rows that the search has not seen, and
asked as a variant of the task."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from command import freehold
from freehold.config import FILE_NAME
from freehold.context.prompts import versions
from freehold.journal.ingest import IngestOptions
from freehold.project import Project
from simulated import write_log
from upstream import Said, Upstream, says, upstream

RULE = "Orders that begin with Q are queued; all others are shipped."
TOML = """
[project]
name = "desk"
[providers.here]
kind = "openai"
base_url = "{url}"
[models.small]
provider = "here"
price = {{ input_per_mtok = 1.0, output_per_mtok = 2.0 }}
[models.teacher]
provider = "here"
price = {{ input_per_mtok = 10.0, output_per_mtok = 20.0 }}
[models.recorded]
trains_others = "yes"
[tasks.orders]
reference = "teacher"
variants = ["teacher", "small"]
instruction = "Say what becomes of the order."
"""


def scripted(said: Said) -> str:
    """The teacher sees the rule when it is asked to reflect. The small model follows it where it is told, and always ships where it is not."""
    messages = said.body["messages"]
    if said.body["model"] == "teacher":
        return f"<instruction>Say what becomes of the order. {RULE}</instruction>"
    order = messages[-1]["content"]
    return "queued" if RULE in messages[0]["content"] and order.startswith("Q") else "shipped"


@pytest.fixture
def provider() -> Iterator[Upstream]:
    with upstream() as server:
        server.answer = says(scripted)
        yield server


def project_at(folder: Path, provider: Upstream, answer: str = "") -> Path:
    (folder / FILE_NAME).write_text(TOML.format(url=provider.url))
    log = []
    for n in range(240):
        order = f"{'Q' if n % 3 == 0 else 'XYZ'[n % 3]}-{n:04d}"
        right = answer or ("queued" if order.startswith("Q") else "shipped")
        log.append({"task": "orders", "item": order, "input": order, "variant": "recorded", "output": right, "reference_output": right})
    with Project.at(folder) as project:
        project.ingest([str(write_log(folder / "log.jsonl", log))], IngestOptions(design="census"))
    freehold(
        "dataset",
        "build",
        "orders",
        "--from",
        "task=orders and kind=corrections",
        "--train",
        "0.5",
        "--calibrate",
        "0.3",
        "--near",
        "0",
        "--project",
        folder,
    )
    return folder


def trained(folder: Path, *more: str, code: int | None = 0):  # type: ignore[no-untyped-def]
    settings = ("--set", "model=small", "--set", "reflects=teacher", "--set", "choose_by=20", "--set", "most_questions=150")
    return freehold("train", "orders", "--method", "prompt", *settings, *more, "--json", "--project", folder, code=code)


def test_it_finds_the_prompt_that_is_known_to_be_best(tmp_path: Path, provider: Upstream) -> None:
    folder = project_at(tmp_path, provider)
    card = trained(folder, "--name", "better").json
    assert RULE in card["made"]["instruction"]
    assert re.match(r"better on \d+ and worse on 0 of \d+ calibration rows", card["made"]["accepted"])
    assert card["tested"]["measures"][0]["mean"] == 1.0
    assert card["training_usd"] > 0 and card["made"]["questions"] <= 400
    with Project.at(folder) as project:
        kept = {version.hash: version.text for version in versions(project.store, "default", "orders")}
    assert RULE in kept[card["variant"]["prompt"]]
    assert (card["variant"]["kind"], card["variant"]["model"]) == ("llm", "small")
    told = freehold("calls", "--task", "train:orders", "--json", "--project", folder).json
    assert {call["source"] for call in told} == {"train"}


def test_nothing_is_taken_that_does_no_better(tmp_path: Path, provider: Upstream) -> None:
    """Where the task's own instruction is right already, whatever is found cannot be better."""
    folder = project_at(tmp_path, provider)
    provider.answer = says(lambda said: f"<instruction>{RULE}</instruction>" if said.body["model"] == "teacher" else "lost")
    refused = trained(folder, code=1)
    assert "No better prompt was found" in refused.err and "Nothing is taken" in refused.err
    assert freehold("specialists", "list", "--json", "--project", folder).json == []


def test_a_budget_ends_it(tmp_path: Path, provider: Upstream) -> None:
    folder = project_at(tmp_path, provider)
    refused = trained(folder, "--budget-usd", "0.0001", code=1)
    assert "The budget of 0.0001 USD is spent" in refused.err
    assert len(provider.asked) < 40
