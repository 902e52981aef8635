"""Every kind of variant stands beside the others under one policy; what is explored is asked beside the answer."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from test_gateway import Served, running

from command import freehold
from freehold.config import FILE_NAME
from freehold.gateway.ledger import balances_of
from freehold.gateway.recount import recount
from freehold.improve import add_program
from freehold.project import Project
from freehold.promotion.gate import promote
from freehold.store.open import open_store
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


SCHEMA: Any = {"type": "json_schema", "json_schema": {"name": "queue", "schema": {"type": "object", "required": ["queue"]}}}
TOOLS: Any = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
FORMS = FAQ + '"as json",,"{""queue"": ""cards""}"\n'


def test_what_answers_here_needs_no_price_of_whoever_comes_after(tmp_path: Path) -> None:
    """Whether with a budget or without one: a model whose price nobody knows is refused when it would be asked."""
    (tmp_path / FILE_NAME).write_text(toml := TOML % '[gateway]\nunpriced = "refuse"')
    (tmp_path / "faq.csv").write_text(FAQ)
    (tmp_path / "p.policy").write_text("task triage\notherwise use faq\n")
    with Project.at(tmp_path) as project:
        _, hash = add_program(project, tmp_path / "p.policy")
        promote(project.store, "default", project.task("triage"), hash, "ann", NOW)
    for options in ((), ("--day-usd", "5")):
        secret = freehold("keys", "create", *options, "--json", "--project", tmp_path).json["secret"]
        with running(tmp_path, [], toml) as served, served.openai().with_options(api_key=secret) as client:
            asked: Any = {"model": "freehold/triage", "messages": [{"role": "user", "content": "opening hours"}]}
            assert client.chat.completions.create(**asked).choices[0].message.content == "nine to five"
            asked["messages"][0]["content"] = "hello"
            with pytest.raises(openai.BadRequestError, match="Nobody knows what 'gpt-x' costs"):
                client.chat.completions.create(**asked)
            assert served.provider.asked == []
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        assert recount(store, "default") == []
        assert balances_of(store, "default", ["project"])["project"].reserved == 0


@pytest.fixture(scope="module")
def faq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway whose rules are asked first, and where they have no answer the reference."""
    folder = tmp_path_factory.mktemp("faq")
    (folder / FILE_NAME).write_text(TOML % "")
    (folder / "faq.csv").write_text(FORMS)
    (folder / "p.policy").write_text("task triage\notherwise use faq\n")
    with Project.at(folder) as project:
        _, hash = add_program(project, folder / "p.policy")
        promote(project.store, "default", project.task("triage"), hash, "ann", NOW)
    with running(folder, [], TOML % "") as served:
        yield served


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("opening hours", {"max_tokens": 4}),
        ("opening hours", {"max_completion_tokens": 100, "temperature": 0.2, "seed": 7, "logprobs": False}),
        ("opening hours", {"tools": TOOLS}),
        ("opening hours", {"tools": TOOLS, "tool_choice": "none"}),
        ("opening hours", {"response_format": {"type": "text"}, "stop": ["never said"]}),
        ("as json", {"response_format": {"type": "json_object"}}),
        ("as json", {"response_format": SCHEMA}),
    ],
)
def test_what_answers_here_answers_as_it_is_asked(faq: Served, text: str, asked: dict[str, Any]) -> None:
    raw = ask(faq, text, **asked)
    assert raw.headers["x-freehold-variant"] == "faq"
    choice = raw.parse().choices[0]
    assert (choice.message.content, choice.finish_reason) == ({"opening hours": "nine to five"}.get(text, '{"queue": "cards"}'), "stop")


@pytest.mark.parametrize(
    "asked",
    [
        {"logprobs": True},
        {"max_tokens": 2},
        {"tools": TOOLS, "tool_choice": "required"},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "look_up"}}},
        {"response_format": {"type": "json_object"}},
        {"response_format": SCHEMA},
    ],
)
def test_whoever_cannot_answer_as_it_is_asked_leaves_it_to_the_reference(faq: Served, asked: dict[str, Any]) -> None:
    """Who is asked exactly that, and paid for it alone."""
    raw = ask(faq, "opening hours", **asked)
    assert raw.headers["x-freehold-variant"] == "frontier"
    said = faq.provider.asked[-1].body
    assert {name: said[name] for name in asked} == asked
    assert [attempt.variant for attempt in faq.call(raw.headers["x-freehold-call"]).attempts] == ["frontier"]


def test_several_answers_are_the_same_several_times_whole_and_streamed(faq: Served) -> None:
    raw = ask(faq, "opening hours", n=3)
    assert [(choice.index, choice.message.content) for choice in raw.parse().choices] == [(n, "nine to five") for n in range(3)]
    assert float(raw.headers["x-freehold-cost-usd"]) == 0
    messages: Any = [{"role": "user", "content": "opening hours"}]
    chunks = faq.openai().chat.completions.create(model="freehold/triage", messages=messages, n=3, stream=True)
    told = ["", "", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            told[choice.index] += choice.delta.content or ""
    assert told == ["nine to five"] * 3


def test_it_stops_where_the_request_says_so(faq: Served) -> None:
    assert ask(faq, "opening hours", stop=["five", " to"]).parse().choices[0].message.content == "nine"
    told = faq.anthropic().messages.create(
        model="freehold/triage", max_tokens=9, stop_sequences=[" to"], messages=[{"role": "user", "content": "opening hours"}]
    )
    assert (told.content[0].text, told.stop_reason, told.stop_sequence) == ("nine", "stop_sequence", " to")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"n": 0}, "n: expected a whole number from 1"),
        ({"n": 129}, "n is 129; expected at most 128"),
        ({"max_tokens": "9"}, "max_tokens: expected a whole number"),
        ({"stop": [7]}, "stop: expected a text, or a list of texts"),
    ],
)
def test_a_request_that_is_wrong_whoever_answers_is_refused(faq: Served, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(openai.BadRequestError, match=message):
        ask(faq, "opening hours", **asked)


def test_what_may_have_no_answer_here_is_let_in_for_what_the_reference_costs(tmp_path: Path) -> None:
    """Rules that know nothing of it hand on to the reference, which is paid for: a budget that has no room for it says so beforehand."""
    priced = 'name = "gpt-x"\nprice = { input_per_mtok = 1.0, output_per_mtok = 1e6 }'
    toml = TOML.replace('name = "gpt-x"', priced) % "[budget]\nday_usd = 1.0\n"
    (tmp_path / FILE_NAME).write_text(toml)
    (tmp_path / "faq.csv").write_text(FAQ)
    (tmp_path / "p.policy").write_text("task triage\notherwise use faq\n")
    with Project.at(tmp_path) as project:
        _, hash = add_program(project, tmp_path / "p.policy")
        promote(project.store, "default", project.task("triage"), hash, "ann", NOW)
    with running(tmp_path, [], toml) as served:
        with pytest.raises(openai.RateLimitError, match="daily budget of this project is \\$1.00"):
            ask(served, "Where is my card?")
        assert not served.provider.asked
