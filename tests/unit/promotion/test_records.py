"""What the store remembers of promotion: attempts, certificates, policies and what was served, only ever added to."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freehold.errors import CallerError, FreeholdError
from freehold.promotion.certify import Certification
from freehold.promotion.records import (
    add_certificate,
    add_event,
    add_policy,
    attempts,
    certificates_of,
    events,
    find_certificate,
    find_policy,
    policy_rows,
)
from freehold.store.open import Store, open_store
from simulated import NOW

REFERENCE_ONLY = "task triage\notherwise use frontier\n"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Store]:
    """An empty journal."""
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        yield store


def add(store: Store, hash: str, **fields: Any) -> None:
    """Adds a policy."""
    known = {"tenant": "default", "task": "triage", "source": REFERENCE_ONLY, "artefact": None, "certificate": None, "origin": "certify"}
    add_policy(store, **known | {"hash": hash, "now": NOW} | fields)


def test_a_certificate_comes_back_as_it_went_in(journal: Store, plain: Certification) -> None:
    add_certificate(journal, plain.certificate, "spec")
    assert find_certificate(journal, "default", plain.certificate.id) == plain.certificate
    assert certificates_of(journal, "default", "triage") == [plain.certificate]


def test_issuing_a_certificate_again_adds_nothing(journal: Store, plain: Certification) -> None:
    later = msgspec.structs.replace(plain.certificate, created_at=NOW + timedelta(days=1))
    add_certificate(journal, plain.certificate, "spec")
    add_certificate(journal, later, "spec")
    assert certificates_of(journal, "default", "triage") == [plain.certificate]
    assert len(attempts(journal, "default", "triage")) == 1


def test_attempts_are_told_in_order_with_what_was_asked(journal: Store, plain: Certification) -> None:
    for number in (1, 2):
        add_certificate(
            journal, msgspec.structs.replace(plain.certificate, id=f"c{number}", attempt=number, dataset_hash="d"), f"spec {number}"
        )
    assert attempts(journal, "default", "triage") == [(1, "d", "spec 1", "c1"), (2, "d", "spec 2", "c2")]


def test_one_attempt_on_a_data_set_cannot_be_spent_twice(journal: Store, plain: Certification) -> None:
    add_certificate(journal, msgspec.structs.replace(plain.certificate, id="c1"), "spec 1")
    with pytest.raises(FreeholdError):
        add_certificate(journal, msgspec.structs.replace(plain.certificate, id="c2"), "spec 2")


def test_tenants_do_not_see_each_others_certificates_and_policies(journal: Store, plain: Certification) -> None:
    add_certificate(journal, plain.certificate, "spec")
    add(journal, "aaaa")
    assert find_certificate(journal, "acme", plain.certificate.id) is None
    assert (certificates_of(journal, "acme", "triage"), attempts(journal, "acme", "triage"), policy_rows(journal, "acme", "triage")) == (
        [],
        [],
        [],
    )


def test_policies_are_listed_in_the_order_they_were_written(journal: Store) -> None:
    for hash in ("aaaa", "bbbb", "cccc"):
        add(journal, hash)
    assert [row.hash for row in policy_rows(journal, "default", "triage")] == ["aaaa", "bbbb", "cccc"]


def test_a_policy_of_one_hash_and_certificate_stands_once(journal: Store) -> None:
    add(journal, "aaaa")
    add(journal, "aaaa")
    add(journal, "aaaa", certificate="c1")
    add(journal, "aaaa", certificate="c1", now=NOW + timedelta(days=1))
    assert [(row.hash, row.certificate) for row in policy_rows(journal, "default", "triage")] == [("aaaa", None), ("aaaa", "c1")]


def test_a_policy_is_found_by_the_beginning_of_its_hash_and_without_one_it_is_the_newest(journal: Store) -> None:
    for hash in ("abcd1", "abce2", "ffff3"):
        add(journal, hash)
    assert find_policy(journal, "default", "triage", "abcd").hash == "abcd1"
    assert find_policy(journal, "default", "triage", None).hash == "ffff3"


def test_a_beginning_that_several_hashes_have_is_not_enough(journal: Store) -> None:
    for hash in ("abcd1", "abce2"):
        add(journal, hash)
    with pytest.raises(CallerError, match=r"2 policies.*Say more of it"):
        find_policy(journal, "default", "triage", "abc")


def test_an_unknown_policy_names_the_nearest(journal: Store) -> None:
    with pytest.raises(CallerError, match=r"no policy\. Write one"):
        find_policy(journal, "default", "triage", None)
    add(journal, "abcdef012345")
    with pytest.raises(CallerError, match="Did you mean 'abcdef012345'"):
        find_policy(journal, "default", "triage", "abcdef012346")


def test_events_are_added_and_never_changed(journal: Store) -> None:
    add_event(journal, "default", "triage", "aaaa", "activate", "ann", NOW)
    first = events(journal, "default", "triage")
    add_event(journal, "default", "triage", "bbbb", "activate", "bo", NOW)
    assert events(journal, "default", "triage")[:1] == first
    assert [(e.hash, e.action, e.who) for e in events(journal, "default", "triage")] == [
        ("aaaa", "activate", "ann"),
        ("bbbb", "activate", "bo"),
    ]
    assert events(journal, "default", "sort") == []
