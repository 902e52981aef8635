"""Several models vote on one question, and a policy hands on where they do not agree."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import freehold
from freehold.improve import add_program
from freehold.project import Project
from freehold.promotion.gate import promote
from upstream import Said, openai_answer, upstream, whole

TOML = """
[providers.one]
kind = "openai"
base_url = "{url}"
{models}
[variants.panel]
kind = "vote"
of = ["a", "b", "c"]
[tasks.votes_configured]
reference = "dear"
variants = ["dear", "panel"]
allow_uncertified = true
"""
MODEL = '[models.{name}]\nprovider = "one"\nprice = {{ input_per_mtok = {price}, output_per_mtok = {price} }}\n'
ANSWERS = {
    "What is 1 + 1?": {"a": 3, "b": 2, "c": 2, "dear": 2},
    "What is 2 + 2?": {"a": 3, "b": 4, "c": 5, "dear": 4},
}


@freehold.task(name="votes_declared", reference=freehold.vote(of=("a", "b", "c")))
def add(question: str) -> int:
    """Answer the question."""


@freehold.task(name="votes_configured")
def add_or_ask(question: str) -> int:
    """Answer the question."""


def replayed(said: Said) -> Iterator[bytes]:
    body = openai_answer("m")
    body["choices"][0]["message"]["content"] = json.dumps({"value": ANSWERS[said.body["messages"][-1]["content"]][said.body["model"]]})
    return whole(body)


def test_models_vote_and_where_they_disagree_the_dear_one_is_asked(tmp_path: Path) -> None:
    """Each question that was paid for is an attempt of the one call."""
    with upstream() as provider:
        provider.answer = replayed
        models = "".join(MODEL.format(name=name, price=price) for name, price in (("a", 1.0), ("b", 1.0), ("c", 1.0), ("dear", 10.0)))
        (tmp_path / "freehold.toml").write_text(TOML.format(url=provider.url, models=models))
        (tmp_path / "p.policy").write_text("task votes_configured\notherwise try panel accept confidence >= 0.6 then dear\n")
        with Project.at(tmp_path) as project:
            _, digest = add_program(project, tmp_path / "p.policy")
            promote(project.store, "default", project.task("votes_configured"), digest, "ann", datetime.now(UTC))
        with freehold.use(tmp_path):
            found = add.answer("What is 1 + 1?")
            assert (found.value, found.call.variant) == (2, "vote-a-b-c")
            assert sorted((one.variant, one.cause) for one in found.call.attempts) == [("a", "sample"), ("b", "sample"), ("c", "sample")]
            agreed, split = (add_or_ask.answer(question) for question in ANSWERS)
    assert (agreed.value, agreed.call.variant, len(agreed.call.attempts)) == (2, "panel", 3)
    assert list(agreed.call.probabilities.values()) == [pytest.approx(2 / 3)]
    assert split.call.probabilities == {}
    assert (split.value, split.call.variant) == (4, "dear")
    assert split.call.attempts[-1].cause == "escalation"
    assert split.call.cost_usd is not None
    assert agreed.call.cost_usd is not None
    assert split.call.cost_usd / agreed.call.cost_usd == pytest.approx(13 / 3)
