"""Recorded traffic through the rows of [[match]]: every call is counted in one place, and what nothing matches gets a row that fits it."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.chat import JSON
from freehold.gateway.match import Matcher, hash_of
from freehold.journal.call import Call
from freehold.journal.matched import Matched, try_rows
from freehold.tables import MatchRow

SORTS = "You sort support messages of our bank. Answer with one word. Today is 2026-03-04."


def call(n: int, system: str | None = SORTS, variant: str = "gpt-5", tools: tuple[str, ...] = (), **known: Any) -> Call:
    said: list[JSON] = [] if system is None else [{"role": "system", "content": system}]
    asked: JSON = [*said, {"role": "user", "content": f"question {n}"}]
    if tools:
        asked = {"messages": asked, "tools": [{"type": "function", "function": {"name": name}} for name in tools]}
    return Call(**{"id": f"call-{n}", "variant": variant, "item": f"i{n}", "input": asked, "source": "gateway"} | known)


def tried(rows: list[MatchRow], *calls: Call, tasks: tuple[str, ...] = ()) -> Matched:
    return try_rows(calls, Matcher(rows), ["one"], tasks, 5)


def test_each_call_is_counted_at_the_first_row_that_fits() -> None:
    rows = [MatchRow(task="a", model="other"), MatchRow(task="b", system_prompt="You sort*"), MatchRow(task="c", model="gpt-5")]
    found = tried(rows, call(1), call(2), call(3, "Else"), call(4, "Else", "gpt-4"))
    assert [(one.n, one.calls, one.could, one.example) for one in found.rows] == [(1, 0, 0, None), (2, 2, 0, "call-2"), (3, 1, 0, "call-3")]
    assert (found.calls, found.undecided, found.named, found.unmatched) == (4, 0, 0, 1)


def test_what_the_journal_does_not_keep_makes_a_row_possible() -> None:
    rows = [MatchRow(task="a", model="gpt-5", header={"x-app": "desk"}), MatchRow(task="b", key="ann"), MatchRow(task="c", model="gpt-5")]
    found = tried(rows, call(1), call(2, variant="gpt-4"))
    assert [(one.calls, one.could) for one in found.rows] == [(0, 1), (0, 2), (1, 0)]
    assert (found.undecided, found.unmatched) == (1, 0)


@pytest.mark.parametrize(
    ("known", "where"),
    [
        ({}, "calls"),
        ({"input": None}, "could"),
        ({"input": "a text"}, "could"),
        ({"input": {"question": "an object"}}, "could"),
        ({"task": "triage"}, "could"),
        ({"task": "triage", "source": "import"}, "calls"),
        ({"variant": "gpt-5-2025-08-07", "source": "import"}, "calls"),
        ({"variant": "gpt-5-2025-08-07"}, "misses"),
        ({"variant": "gpt-4"}, "misses"),
    ],
)
def test_what_is_known_of_a_call(known: dict[str, Any], where: str) -> None:
    """A log names the dated model that answered; a task's call does not say which model was asked for; a text has no system prompt."""
    (row,) = tried([MatchRow(task="t", model="gpt-5", system_prompt="You*")], call(1, **known)).rows
    assert (row.calls, row.could) == {"calls": (1, 0), "could": (0, 1), "misses": (0, 0)}[where]


def test_a_name_that_says_its_provider_may_have_been_asked_for() -> None:
    assert tried([MatchRow(task="t", model="one/gpt-5")], call(1)).rows[0].calls == 1


def test_calls_of_a_task_that_no_row_fits_need_none() -> None:
    assert tried([MatchRow(task="t", system_prompt="Else*")], call(1, task="triage")).named == 1


def test_what_matches_nothing_is_shown_by_kind_the_largest_first() -> None:
    """Of one kind are those that differ in numbers alone, or after the beginning."""
    calls = [call(n, SORTS.replace("03-04", f"03-{n + 10}")) for n in range(3)]
    found = tried(
        [], *calls, call(8, None), call(9, "Be brief.", "gpt-4", ("lookup", "find")), call(10, "Be brief.", "gpt-4", ("find", "lookup"))
    )
    assert [(one.calls, one.model, one.system_prompt, one.tools) for one in found.groups] == [
        (3, "gpt-5", "You sort support messages of our bank. Answer with one*", ()),
        (2, "gpt-4", "Be brief.", ("find", "lookup")),
        (1, "gpt-5", "", ()),
    ]
    assert [one.system_hash for one in found.groups] == [None, hash_of("Be brief."), hash_of("")]
    assert [one.example for one in found.groups] == ["call-2", "call-10", "call-8"]


def test_a_kind_that_is_suggested_names_a_task_of_its_own() -> None:
    found = tried([], call(1), call(2, variant="gpt-4"), call(3, "Write poems."), tasks=("write-poems",))
    rows = [tomllib.loads(one.rows) for one in found.groups]
    assert [row["match"][0]["task"] for row in rows] == ["sort-support-messages", "sort-support-messages-2", "write-poems"]
    assert [row.get("tasks") for row in rows] == [
        {"sort-support-messages": {"reference": "gpt-5"}}, {"sort-support-messages-2": {"reference": "gpt-4"}}, None,
    ]  # fmt: skip


@given(
    st.lists(
        st.tuples(st.text(max_size=90), st.sampled_from(["a", 'b"\\', "\x7f\x85\u202e😀"]), st.sets(st.sampled_from(["x", "y"]))),
        max_size=6,
    )
)
def test_the_rows_that_are_suggested_fit(kinds: list[tuple[str, str, set[str]]]) -> None:
    """Whatever stands in a prompt or a name: put into the file, every call of the kinds shown hits a row, and nothing is shown raw."""
    calls = [call(n, system, variant, tuple(tools)) for n, (system, variant, tools) in enumerate(kinds)]
    found = try_rows(calls, Matcher([]), [], (), len(kinds))
    text = "".join(one.rows for one in found.groups)
    assert all(character.isprintable() or character == "\n" for character in text)
    rows = [MatchRow(**row | {"tools": tuple(row.get("tools", ()))}) for row in tomllib.loads(text).get("match", [])]
    again = try_rows(calls, Matcher(rows), [], (), len(kinds))
    assert (sum(row.calls for row in again.rows), again.unmatched) == (len(calls), 0)
