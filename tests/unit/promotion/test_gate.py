"""The gate: nothing uncertified passes unless the task says so, and what was served can be served again."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freehold.catalog import Task
from freehold.errors import CallerError, OperatorError
from freehold.promotion.certify import Certification
from freehold.promotion.gate import GateClosed, active_hash, promote, rollback, served_stack, withdraw
from freehold.promotion.records import add_certificate, add_event, add_policy, events, find_certificate
from freehold.store.open import Store, open_store
from simulated import NOW

TASK = Task(id="triage", reference="frontier", metric="correct", max_loss=0.05)
Write = Callable[..., str]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Store]:
    """An empty journal."""
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        yield store


@pytest.fixture
def written(journal: Store, plain: Certification) -> Write:
    """Writes a policy with a certificate like the plain one but for these changes; gives its hash."""

    def write(hash: str = "aaaa", **changes: Any) -> str:
        known = {"id": f"c-{hash}", "dataset_hash": f"d-{hash}"}
        certificate = msgspec.structs.replace(plain.certificate, **known | changes)
        add_certificate(journal, certificate, f"spec {hash}")
        add_policy(journal, "default", "triage", hash, certificate.policy_source, None, certificate.id, "certify", NOW)
        return hash

    return write


def activate(journal: Store, hash: str | None = None, task: Task = TASK) -> str:
    """Promotes; gives what is active then."""
    promote(journal, "default", task, hash, "ann", NOW)
    active = active_hash(journal, "default", "triage")
    assert active is not None
    return active


def test_a_certified_policy_is_activated(journal: Store, written: Write) -> None:
    assert active_hash(journal, "default", "triage") is None
    assert activate(journal, written()) == "aaaa"
    assert [(e.hash, e.action, e.who) for e in events(journal, "default", "triage")] == [("aaaa", "activate", "ann")]


def test_without_a_hash_it_is_the_newest(journal: Store, written: Write) -> None:
    written("aaaa")
    written("bbbb")
    assert activate(journal) == "bbbb"


def test_activating_the_active_policy_again_writes_no_history(journal: Store, written: Write) -> None:
    activate(journal, written())
    activate(journal, "aaaa")
    assert len(events(journal, "default", "triage")) == 1


CLOSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing was certified": ({"certified": False}, "nothing could be certified"),
    "an estimate": ({"certified": False, "estimate": True}, "an estimate from found labels"),
    "another reference": ({"reference": "cheap"}, "against 'cheap', and the task's reference is 'frontier'"),
    "another metric": ({"metric": "grade"}, "by 'grade', and the task's metric is 'correct'"),
    "a looser floor": ({"max_loss": 0.06}, "at most 0.06, and the task allows 0.05"),
    "less confidence": ({"confidence": 0.9}, "confidence 0.9, and the task asks for 0.95"),
}


@pytest.mark.parametrize("why", CLOSED)
def test_the_gate_stays_closed_to_a_certificate_that_does_not_speak_for_the_task(journal: Store, written: Write, why: str) -> None:
    changes, message = CLOSED[why]
    written(**changes)
    with pytest.raises(GateClosed, match=message):
        promote(journal, "default", TASK, None, "ann", NOW)
    assert active_hash(journal, "default", "triage") is None


def test_a_policy_written_by_hand_has_no_certificate(journal: Store) -> None:
    add_policy(journal, "default", "triage", "hand", "task triage\notherwise use cheap\n", None, None, "person", NOW)
    with pytest.raises(GateClosed, match="it has no certificate"):
        promote(journal, "default", TASK, "hand", "ann", NOW)


def test_the_reference_may_always_be_given_everything_back(journal: Store) -> None:
    """It loses nothing against itself; a policy of another variant's does."""
    for hash, source in (("rrrr", "task triage\notherwise use frontier\n"), ("cccc", "task triage\notherwise use cheap\n")):
        add_policy(journal, "default", "triage", hash, source, None, None, "person", NOW)
    assert activate(journal, "rrrr") == "rrrr"
    with pytest.raises(GateClosed, match="it has no certificate"):
        activate(journal, "cccc")


def test_arrays_that_are_gone_decide_nothing(journal: Store) -> None:
    add_policy(journal, "default", "triage", "aaaa", "task triage\notherwise use frontier\n", "ab" * 20, None, "person", NOW)
    with pytest.raises(OperatorError, match="is missing"):
        activate(journal, "aaaa")


def test_what_is_asked_again_is_the_newest_again(journal: Store, written: Write) -> None:
    first, second = written("aaaa"), written("bbbb")
    add_policy(journal, "default", "triage", first, "", None, f"c-{first}", "certify", NOW)
    assert activate(journal) == first != second


@pytest.mark.parametrize("why", CLOSED)
def test_a_task_may_open_the_gate_to_all(journal: Store, written: Write, why: str) -> None:
    hash = written(**CLOSED[why][0])
    assert activate(journal, hash, msgspec.structs.replace(TASK, allow_uncertified=True)) == hash


def test_a_stricter_certificate_opens_the_gate(journal: Store, written: Write) -> None:
    assert activate(journal, written(max_loss=0.01, confidence=0.99)) == "aaaa"


def test_a_policy_that_any_of_its_certificates_speaks_for_may_pass(journal: Store, written: Write) -> None:
    """The same program may come of a stricter floor first and of a looser one later."""
    written("aaaa")
    written("aaaa", id="later", dataset_hash="other", max_loss=0.1)
    assert activate(journal, "aaaa") == "aaaa"


def test_a_task_that_names_no_reference_or_metric_takes_the_certificates(journal: Store, written: Write) -> None:
    assert activate(journal, written(reference="cheap", metric="grade"), Task(id="triage", max_loss=0.05)) == "aaaa"


# Rollback


def test_a_rollback_serves_what_was_served_before_and_edits_nothing(journal: Store, written: Write) -> None:
    for hash in ("aaaa", "bbbb"):
        activate(journal, written(hash))
    before = events(journal, "default", "triage")
    assert rollback(journal, "default", "triage", "bo", NOW) == "aaaa"
    assert active_hash(journal, "default", "triage") == "aaaa"
    after = events(journal, "default", "triage")
    assert after[:2] == before
    assert [(e.hash, e.action, e.who) for e in after[2:]] == [("aaaa", "rollback", "bo")]


def test_rollbacks_walk_back_one_by_one(journal: Store, written: Write) -> None:
    for hash in ("aaaa", "bbbb", "cccc"):
        activate(journal, written(hash))
    assert [rollback(journal, "default", "triage", "bo", NOW) for _ in range(2)] == ["bbbb", "aaaa"]


def test_what_was_rolled_back_can_be_activated_again_and_rolled_back_again(journal: Store, written: Write) -> None:
    for hash in ("aaaa", "bbbb"):
        activate(journal, written(hash))
    rollback(journal, "default", "triage", "bo", NOW)
    assert activate(journal, "bbbb") == "bbbb"
    assert served_stack(journal, "default", "triage") == ["aaaa", "bbbb"]
    assert rollback(journal, "default", "triage", "bo", NOW) == "aaaa"


def test_a_policy_may_stand_in_the_history_more_than_once(journal: Store, written: Write) -> None:
    for hash in ("aaaa", "bbbb"):
        activate(journal, written(hash))
    activate(journal, "aaaa")
    assert [rollback(journal, "default", "triage", "bo", NOW) for _ in range(2)] == ["bbbb", "aaaa"]


@pytest.mark.parametrize("served", [0, 1])
def test_there_has_to_be_something_to_go_back_to(journal: Store, written: Write, served: int) -> None:
    if served:
        activate(journal, written())
    with pytest.raises(CallerError, match="no earlier policy"):
        rollback(journal, "default", "triage", "bo", NOW)


def test_tasks_and_tenants_have_histories_of_their_own(journal: Store, written: Write) -> None:
    activate(journal, written())
    add_event(journal, "acme", "triage", "zzzz", "activate", "ann", NOW)
    add_event(journal, "default", "sort", "yyyy", "activate", "ann", NOW)
    assert active_hash(journal, "default", "triage") == "aaaa"


def test_what_is_withdrawn_is_served_no_longer_and_why_is_kept(journal: Store, written: Write) -> None:
    activate(journal, written())
    assert withdraw(journal, "default", "triage", "aaaa", "monitor", "it loses too much", NOW)
    assert active_hash(journal, "default", "triage") is None
    last = events(journal, "default", "triage")[-1]
    assert (last.action, last.who, last.why) == ("withdraw", "monitor", "it loses too much")
    assert not withdraw(journal, "default", "triage", "aaaa", "monitor", "again", NOW)


def test_a_rollback_does_not_go_back_to_what_was_withdrawn(journal: Store, written: Write) -> None:
    activate(journal, written("aaaa"))
    activate(journal, written("bbbb"))
    withdraw(journal, "default", "triage", "bbbb", "monitor", "it loses too much", NOW)
    assert served_stack(journal, "default", "triage") == ["aaaa", None]
    assert rollback(journal, "default", "triage", "ann", NOW) == "aaaa"
    assert served_stack(journal, "default", "triage") == ["aaaa"]


def test_a_withdrawn_policy_is_promoted_again_once_it_is_certified_anew(journal: Store, written: Write) -> None:
    activate(journal, written())
    withdraw(journal, "default", "triage", "aaaa", "monitor", "it loses too much", NOW)
    with pytest.raises(GateClosed, match="its certificate was withdrawn"):
        activate(journal, "aaaa")
    certificate = find_certificate(journal, "default", "c-aaaa")
    assert certificate is not None
    anew = msgspec.structs.replace(certificate, id="c-new", dataset_hash="d-new")
    add_certificate(journal, anew, "spec new")
    add_policy(journal, "default", "triage", "aaaa", anew.policy_source, None, anew.id, "certify", NOW + timedelta(days=1))
    assert activate(journal, "aaaa") == "aaaa"
