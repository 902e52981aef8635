"""Every kind of variant stands beside the others under one policy; what is explored is asked beside the answer."""

import time
from pathlib import Path
from typing import Any

import pytest
from test_gateway import running

from freehold.config import FILE_NAME
from freehold.improve import add_program
from freehold.project import Project
from freehold.promotion.gate import promote
from simulated import NOW

TOML = """
[providers.one]
kind = "openai"
base_url = "{url}"
[models.frontier]
provider = "one"
name = "gpt-x"
[models.cheap]
provider = "one"
name = "small-x"
[models.faq]
rules = "faq.csv"
[tasks.triage]
reference = "frontier"
variants = ["frontier", "cheap", "faq", "cache"]
allow_uncertified = true
%s
"""
FAQ = "when,tag.tier,answer\n*opening hours*,,nine to five\nhello,gold,welcome back\n"
POLICY = """task triage
when chars > 200 try cheap accept answer_chars > 5 then frontier
otherwise try faq accept confidence >= 1 then try cache accept confidence >= 1 then frontier
"""


def ask(served: Any, text: str, **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": text}]
    return served.openai().chat.completions.with_raw_response.create(model="freehold/triage", messages=messages, **more)


def test_rules_cache_and_models_answer_under_one_policy(tmp_path: Path) -> None:
    toml = TOML % ""
    (tmp_path / FILE_NAME).write_text(toml)
    (tmp_path / "faq.csv").write_text(FAQ)
    (tmp_path / "p.policy").write_text(POLICY)
    with Project.at(tmp_path) as project:
        _, hash = add_program(project, tmp_path / "p.policy")
        promote(project.store, "default", project.task("triage"), hash, "ann", NOW)
    with running(tmp_path, [], toml) as served:
        answers = [
            ask(served, "What are your Opening Hours?"),
            ask(served, "hello", metadata={"tier": "gold"}),
            ask(served, "hello"),
            ask(served, "hello"),
            ask(served, "x" * 300),
        ]
        assert [raw.headers["x-freehold-variant"] for raw in answers] == ["faq", "faq", "frontier", "cache", "cheap"]
        said = [raw.parse().choices[0].message.content for raw in answers]
        assert said == ["nine to five", "welcome back", "Größe 😀", "Größe 😀", "Größe 😀"]
        assert [float(raw.headers["x-freehold-cost-usd"]) for raw in (answers[0], answers[3])] == [0, 0]
        assert len(served.provider.asked) == 2


def test_what_is_explored_is_asked_beside_the_answer(tmp_path: Path) -> None:
    with running(tmp_path, [], (TOML % "explore = 1.0").replace('rules = "faq.csv"', 'provider = "one"')) as served:
        raw = ask(served, "hello")
        assert raw.headers["x-freehold-variant"] == "frontier"
        until = time.monotonic() + 10
        while len(served.calls()) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        answered, explored = sorted(served.calls(), key=lambda call: call.source, reverse=True)
        assert (answered.source, answered.task, explored.source, explored.task) == ("gateway", "triage", "explore", "triage")
        assert explored.variant in ("cheap", "faq")
        assert (explored.item, explored.propensity) == (answered.item, 0.5)


def test_a_table_of_rules_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "faq.csv").write_text("when,answr\nhello,hi\n")
    with pytest.raises(AssertionError, match="Expected a column 'answer'"), running(tmp_path, [], TOML % ""):
        pass
