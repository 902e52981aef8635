"""Versions of a prompt are kept once, labels name them, and what a label named before is never lost."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from freehold.context import prompts
from freehold.context.prompt import Prompt, hash_of
from freehold.errors import CallerError, OperatorError
from freehold.store.open import Store

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)

A, B = "A {{ text }}", "B {{ text }}"


def keep(store: Store, text: str, task: str = "triage") -> str:
    return prompts.keep(store, "default", task, text, NOON)


def test_a_version_is_kept_once_by_its_hash(store: Store) -> None:
    assert keep(store, A) == keep(store, A) == hash_of(A)
    keep(store, B)
    keep(store, A, "write")
    assert [(one.hash, one.text, one.at) for one in prompts.versions(store, "default", "triage")] == [
        (hash_of(A), A, NOON), (hash_of(B), B, NOON)
    ]  # fmt: skip
    assert prompts.tasks(store, "default") == ["triage", "write"]
    assert prompts.versions(store, "another", "triage") == []


def test_many_may_keep_the_same_at_one_time(store: Store) -> None:
    """As the first rows of a batch do, and its workers elsewhere."""
    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(lambda _: keep(store, A), range(64))) == {hash_of(A)}
    assert len(prompts.versions(store, "default", "triage")) == 1


def test_what_is_no_template_is_not_kept(store: Store) -> None:
    with pytest.raises(OperatorError, match="line 1"):
        keep(store, "{% set x = 1 %}")
    assert prompts.tasks(store, "default") == []


def test_a_label_names_a_version_by_its_hash_its_beginning_or_another_label(store: Store) -> None:
    keep(store, A)
    keep(store, B)
    for name in (hash_of(A), hash_of(A)[:8]):
        assert prompts.move(store, "default", "triage", "production", name, NOON) == hash_of(A)
    assert prompts.move(store, "default", "triage", "candidate", "production", NOON) == hash_of(A)
    assert prompts.labels(store, "default") == {"triage": {"production": hash_of(A), "candidate": hash_of(A)}}
    assert prompts.versions(store, "default", "triage")[0].labels == ("production", "candidate")


@pytest.mark.parametrize("label", ["", "Production", "9", "0123456789abcdef", "a b", "x" * 65])
def test_what_could_be_taken_for_something_else_is_no_label(store: Store, label: str) -> None:
    keep(store, A)
    with pytest.raises(CallerError, match="cannot be a label"):
        prompts.move(store, "default", "triage", label, hash_of(A), NOON)


def test_what_names_nothing_or_several_is_said_with_what_there_is(store: Store) -> None:
    keep(store, A)
    with pytest.raises(CallerError, match=rf"'ffff' names no prompt of task 'triage'.*Known: {hash_of(A)}"):
        prompts.move(store, "default", "triage", "production", "ffff", NOON)
    keep(store, B)
    with pytest.raises(CallerError, match="names several"):
        prompts.move(store, "default", "triage", "production", "", NOON)


def test_a_label_goes_back_to_what_it_named_before(store: Store) -> None:
    keep(store, A)
    keep(store, B)
    with pytest.raises(CallerError, match="Nothing was ever labelled 'production' in task 'triage'"):
        prompts.roll_back(store, "default", "triage", "production", NOON)
    for text in (A, B):
        prompts.move(store, "default", "triage", "production", hash_of(text), NOON + timedelta(seconds=1))
    assert prompts.roll_back(store, "default", "triage", "production", NOON) == hash_of(A)
    assert [moved.hash for moved in prompts.history(store, "default", "triage")] == [hash_of(A), hash_of(B), hash_of(A)]


def test_what_named_nothing_before_names_nothing_again(store: Store) -> None:
    keep(store, A)
    prompts.move(store, "default", "triage", "production", hash_of(A), NOON)
    assert prompts.roll_back(store, "default", "triage", "production", NOON) is None
    assert prompts.labels(store, "default") == {"triage": {}}


def test_a_shelf_gives_the_program_s_own_prompt_until_another_is_labelled(store: Store) -> None:
    own, shelf = Prompt(A), prompts.Shelf(store, "default")
    keep(store, A)
    keep(store, B)
    assert shelf.prompt("triage", "production", own) is own and shelf.prompt("triage", own.hash, own) is own
    prompts.move(store, "default", "triage", "production", hash_of(B), NOON)
    assert shelf.prompt("triage", "production", own) is own
    shelf.refresh()
    assert shelf.prompt("triage", "production", own).text == B
    assert shelf.prompt("triage", hash_of(B)[:6], own).text == B
    with pytest.raises(CallerError, match="'candidate' names no prompt"):
        shelf.prompt("triage", "candidate", own)


def test_one_version_is_shown_the_one_in_production_where_nobody_says(store: Store) -> None:
    for text in (A, B):
        keep(store, text)
    known = prompts.known_versions(store, "default", "triage")
    assert (prompts.shown(known, "triage").text, prompts.shown(known, "triage", hash_of(A)).text) == (B, A)
    prompts.move(store, "default", "triage", "production", hash_of(A), NOON)
    assert prompts.shown(prompts.known_versions(store, "default", "triage"), "triage").text == A


def test_a_task_without_prompts_is_told_the_nearest_that_has_some(store: Store) -> None:
    with pytest.raises(CallerError, match="A program's prompt is kept when its task is called for the first time"):
        prompts.known_versions(store, "default", "triage")
    keep(store, A)
    with pytest.raises(CallerError, match="There is no prompt of a task 'traige'. Did you mean 'triage'"):
        prompts.known_versions(store, "default", "traige")


def test_two_versions_are_compared_line_by_line(store: Store) -> None:
    for text in (A, B):
        keep(store, text)
    first, second = prompts.versions(store, "default", "triage")
    assert prompts.compared(first, second) == f"--- {hash_of(A)}\n+++ {hash_of(B)}\n@@ -1 +1 @@\n-A {{{{ text }}}}\n+B {{{{ text }}}}\n"
    assert prompts.compared(first, first) == ""
