"""What is served follows promotions; a policy that cannot be served keeps nobody else's from it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.promotion.records import add_event, add_policy
from freehold.promotion.served import Served
from freehold.store.open import Store, open_store
from simulated import NOW


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store("sqlite:///freehold.db", tmp_path) as opened:
        yield opened


def promoted(store: Store, task: str, hash: str, variant: str, artefact: str | None = None) -> None:
    add_policy(store, "default", task, hash, f"task {task} otherwise use {variant}", artefact, None, "person", NOW)
    add_event(store, "default", task, hash, "promote", "ann", NOW)


def served_by(served: Served) -> dict[str, str]:
    return {task: policy.choose("a text", {}).decision.variant for task, policy in served.policies.items()}


def test_a_promotion_is_served_at_the_next_look(store: Store) -> None:
    served = Served(store, "default")
    assert (served.refresh(), served.policies) == ({}, {})
    promoted(store, "triage", "a" * 64, "cheap")
    assert served.refresh() == {} and served_by(served) == {"triage": "cheap"}
    before = served.policies["triage"]
    promoted(store, "sort", "b" * 64, "dear")
    assert served.refresh() == {} and served_by(served) == {"triage": "cheap", "sort": "dear"}
    assert served.policies["triage"] is before  # what did not change is not loaded again


def test_a_policy_that_cannot_be_served_leaves_the_one_before_and_all_others(store: Store) -> None:
    served = Served(store, "default")
    promoted(store, "triage", "a" * 64, "cheap")
    served.refresh()
    promoted(store, "triage", "c" * 64, "dear", artefact="d" * 64)
    promoted(store, "rank", "e" * 64, "dear", artefact="f" * 64)
    promoted(store, "sort", "b" * 64, "dear")
    assert served.refresh().keys() == {"triage", "rank"}
    assert served_by(served) == {"triage": "cheap", "sort": "dear"}
    assert served.refresh() == {}  # until something is promoted again
