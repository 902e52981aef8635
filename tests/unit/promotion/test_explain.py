"""Why a call went where it went is worked out from its policy and its question, and comes to what serving decided."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from freehold.journal.call import Call
from freehold.promotion.certify import Certification
from freehold.promotion.explain import Explained, explain
from freehold.promotion.records import add_policy, find_policy
from freehold.promotion.served import load
from freehold.routing.artefact import dump
from freehold.routing.features import SURFACE
from freehold.store.open import Store, open_store
from simulated import NOW

HASH = "a" * 64
SOURCE = """task triage
when tag.tier == "gold" and questions > 0 use frontier
when chars > 20 try cheap accept answer_chars > 5 then frontier
when region == "cards" use head
otherwise use frontier
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store("sqlite:///freehold.db", tmp_path) as opened:
        add_policy(opened, "default", "triage", HASH, SOURCE, None, None, "person", NOW)
        yield opened


def a_call(input: Any, **fields: Any) -> Call:
    return Call(**{"id": "c", "task": "triage", "variant": "x", "item": "i", "input": input, "policy": HASH, "source": "gateway"} | fields)


def explained(store: Store, call: Call) -> Explained:
    found = explain(store, "default", call)
    assert found is not None
    return found


def test_the_rule_that_fired_and_what_it_and_those_before_it_name(store: Store) -> None:
    why = explained(store, a_call("My card was swallowed by it.", tags={"tier": "plain"}))
    assert (why.rule, why.rules, why.line, why.variant) == (2, 4, 3, "cheap")
    assert why.text == "when chars > 20 try cheap accept answer_chars > 5 then frontier"
    assert why.named == {"tag.tier": "plain", "questions": 0.0, "chars": 28.0}
    assert why.facts.keys() == {*SURFACE, "task"} and why.scores == {} and why.unknown is None


def test_what_a_rule_names_and_the_call_does_not_have_is_absent(store: Store) -> None:
    why = explained(store, a_call("Short."))
    assert (why.rule, why.named) == (4, {"tag.tier": None, "questions": 0.0, "chars": 6.0, "region": None})


def test_messages_are_decided_by_their_words_and_not_by_the_systems(store: Store) -> None:
    messages = [{"role": "system", "content": "Sort this message " * 9}, {"role": "user", "content": "Short."}]
    assert explained(store, a_call({"messages": messages, "tools": []})).facts["chars"] == 6.0


def test_how_the_answer_ended_was_not_known(store: Store) -> None:
    assert explained(store, a_call("Short.", tags={"finish_reason": "length", "tier": "gold"})).tags == {"tier": "gold"}


def test_what_is_not_known_says_why(store: Store) -> None:
    assert explained(store, a_call(None)) == Explained(policy=HASH, unknown="the input was not kept")
    assert "has no policy 'bbbb" in str(explained(store, a_call("Short.", policy="b" * 64)).unknown)
    assert explained(store, a_call("Short.", task=None)).unknown == "the call belongs to no task"
    add_policy(store, "default", "triage", "c" * 64, SOURCE, "d" * 64, None, "certify", NOW)
    assert explained(store, a_call("Short.", policy="c" * 64)).unknown is not None


def test_where_no_policy_decided_there_is_nothing_to_explain(store: Store) -> None:
    assert explain(store, "default", a_call("Short.", policy=None)) is None


def test_placeholders_for_what_the_policy_saw_are_pointed_out(store: Store) -> None:
    assert explained(store, a_call("Write to [EMAIL]")).is_redacted
    assert explained(store, a_call("Short.", tags={"from": "[IP]"})).is_redacted
    assert not explained(store, a_call("Short [sic].")).is_redacted


def test_a_certified_policy_is_explained_as_it_decides(store: Store, with_head: Certification) -> None:
    """Every text of a task with a head: the variant that serving picks, and the losses predicted of whom the rule chose among."""
    made = with_head
    assert made.scorer is not None
    artefact = store.blobs.put(dump(made.scorer))
    add_policy(store, "default", "triage", "e" * 64, made.certificate.policy_source, artefact, None, "certify", NOW)
    served = load(store, "default", find_policy(store, "default", "triage", "e" * 64))
    seen = set()
    for i in range(0, 200, 10):
        why = explained(store, a_call(made.pairs.texts[i], policy="e" * 64))
        chosen = served.choose(made.pairs.texts[i], {})
        assert (why.variant, why.rule) == (chosen.decision.variant, chosen.decision.rule + 1)
        assert why.named["head.predicted_loss"] == why.scores["head"].predicted_loss == pytest.approx(made.scored.loss_NV[i, -1])
        assert "region" in why.facts
        seen.add(why.variant)
    assert len(seen) > 1
