"""Who answers to a model's name."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from freehold.chat import JSON
from freehold.config import parse
from freehold.errors import CallerError, OperatorError
from freehold.gateway.formats import ANTHROPIC, OPENAI
from freehold.journal.write import Writer
from freehold.monitor.alerts import What, raise_alert
from freehold.serving.asked import Asked
from freehold.serving.resources import Resources
from freehold.store.open import Store, open_store
from simulated import NOW

ONE = {"kind": "openai", "base_url": "http://127.0.0.1:1/v1"}
NOWHERE = cast(Writer, None)
"""Nothing is journalled here."""


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty journal, in which nothing is served."""
    with open_store("sqlite:///freehold.db", tmp_path) as one:
        journals.append(one)
        yield one
        journals.clear()


journals: list[Store] = []


def gateway(**tables: object) -> Resources:
    return Resources(parse(tables, Path()), journals[0], NOWHERE)


def test_a_configured_model_is_asked_of_its_provider_by_its_own_name() -> None:
    target = gateway(providers={"one": ONE}, models={"frontier": {"provider": "one", "name": "gpt-x"}}).target("frontier", ANTHROPIC)
    assert (target.variant, target.provider.name, target.model) == ("frontier", "one", "gpt-x")


def test_a_name_may_say_its_provider() -> None:
    target = gateway(providers={"one": ONE, "other": ONE}).target("other/a/b", OPENAI)
    assert (target.provider.name, target.model) == ("other", "a/b")


def test_a_name_that_could_be_anybodys_is_nobodys() -> None:
    both = gateway(providers={"one": ONE, "other": ONE}, models={"frontier": {"provider": "one"}, "recorded": {}})
    with pytest.raises(CallerError, match="no model 'fronteir'. Did you mean 'frontier'"):
        both.target("fronteir", OPENAI)
    with pytest.raises(CallerError, match="no model 'recorded'"):
        both.target("recorded", OPENAI)
    with pytest.raises(CallerError, match="no model 'gpt'"):
        gateway(providers={"one": ONE}).target("gpt", ANTHROPIC)


def test_what_a_variant_may_cost_is_by_the_length_that_it_may_answer_in() -> None:
    model = {"provider": "one", "price": {"input_per_mtok": 0.0, "output_per_mtok": 100.0}}
    has = gateway(
        providers={"one": ONE},
        models={"frontier": model},
        variants={"long": {"model": "frontier", "sampling": {"max_output_tokens": 30_000}}},
    )
    body: dict[str, JSON] = {"model": "freehold/x", "messages": [{"role": "user", "content": "x"}], "max_tokens": 10}
    asked = Asked(OPENAI, body, 100, {})
    assert has.prices.estimate(None, [("frontier", 0)], asked.said_to, NOW) == 10 * 100_000
    assert has.prices.estimate(None, [("long", 0)], asked.said_to, NOW) == 30_000 * 100_000


def test_who_may_all_be_asked_is_told_which_answers_came_before() -> None:
    has = gateway(
        providers={"one": ONE},
        models={"a": {"provider": "one"}, "b": {"provider": "one"}},
        variants={"votes": {"kind": "vote", "of": "a", "n": 2}, "looked": {"kind": "verify", "of": "votes", "by": "b", "n": 1}},
    )
    assert list(has.may_be_asked("looked")) == [("a", 0), ("a", 0), ("b", 1), ("a", 1), ("a", 1), ("b", 1)]


def test_a_provider_that_cannot_be_called_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(OperatorError, match="NO_SUCH_KEY is not set"):
        gateway(providers={"one": {**ONE, "key_env": "NO_SUCH_KEY"}})
    with pytest.raises(OperatorError, match="nothing calls providers of kind 'gemini' yet"):
        gateway(providers={"one": {"kind": "gemini"}})


def test_a_look_around_counts_the_alerts_that_are_open() -> None:
    has = gateway()
    with journals[0].writing() as connection:
        raise_alert(connection, "default", "triage", "inputs", What(kind="inputs", text="They have changed."), (), NOW)
    assert has.open_alerts == 0
    asyncio.run(has.look_around())
    assert has.open_alerts == 1
