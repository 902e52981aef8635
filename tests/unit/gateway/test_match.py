"""Which row an unchanged client's request belongs to: the first whose every condition fits, at either door, and as the journal keeps it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.gateway.formats import ANTHROPIC, OPENAI
from freehold.gateway.match import Asked, Matcher, Rule, hash_of, system_prompt_of
from freehold.tables import MatchRow

SYSTEM = "You sort support messages.\nToday is 2026-03-04."
HEADERS = ((b"host", b"127.0.0.1"), (b"x-app", b"desk/2.1"), (b"x-app", b"other"))


def openai(**more: Any) -> dict[str, Any]:
    return {"model": "gpt-5", "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "Hi"}], **more}


def anthropic(**more: Any) -> dict[str, Any]:
    return {"model": "claude", "max_tokens": 9, "system": SYSTEM, "messages": [{"role": "user", "content": "Hi"}], **more}


def task_of(rows: list[MatchRow], body: dict[str, Any], headers: Any = HEADERS, key: tuple[str, ...] = ()) -> str | None:
    row = Matcher(rows).row_of(body, headers, key)
    return None if row is None else row.task


@pytest.mark.parametrize(
    ("row", "fits"),
    [
        (MatchRow(task="t", model="gpt-5"), True),
        (MatchRow(task="t", model="gpt"), False),
        (MatchRow(task="t", model="gpt-*"), True),
        (MatchRow(task="t", system_prompt="You sort support messages*"), True),
        (MatchRow(task="t", system_prompt="*support*2026-03-04."), True),
        (MatchRow(task="t", system_prompt="*SUPPORT*"), False),
        (MatchRow(task="t", system_prompt="You sort"), False),
        (MatchRow(task="t", system_prompt=""), False),
        (MatchRow(task="t", system_hash=hash_of(SYSTEM)[:12]), True),
        (MatchRow(task="t", system_hash=hash_of(SYSTEM + " ")), False),
        (MatchRow(task="t", header={"X-App": "desk/*"}), True),
        (MatchRow(task="t", header={"x-app": "desk/*", "x-other": "*"}), False),
        (MatchRow(task="t", tools=("lookup",)), False),
        (MatchRow(task="t", model="gpt-5", key="desk"), False),
    ],
)
def test_a_row_fits_where_each_of_its_conditions_does(row: MatchRow, fits: bool) -> None:
    assert task_of([row], openai()) == ("t" if fits else None)


def test_the_first_row_that_fits_wins() -> None:
    rows = [MatchRow(task="a", model="other"), MatchRow(task="b", model="gpt-*"), MatchRow(task="c", model="gpt-5")]
    assert task_of(rows, openai()) == "b"
    assert task_of(rows, openai(model="gemini")) is None
    assert task_of([], openai()) is None


def test_a_key_fits_by_its_id_or_its_owner() -> None:
    row = MatchRow(task="t", key="desk*")
    assert [task_of([row], openai(), key=key) for key in (("k1", "desk@x"), ("desk-1", ""), ("k1", "ann"), ())] == ["t", "t", None, None]


def test_tools_fit_where_all_of_them_are_offered_at_either_door() -> None:
    row = MatchRow(task="t", tools=("lookup", "refund"))
    functions = [{"type": "function", "function": {"name": name}} for name in ("refund", "lookup", "other")]
    assert task_of([row], openai(tools=functions)) == "t"
    assert task_of([row], openai(tools=functions[:1])) is None
    assert task_of([row], anthropic(tools=[{"name": name, "input_schema": {}} for name in ("lookup", "refund")])) == "t"


@pytest.mark.parametrize(
    "system", [SYSTEM, [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}], [{"type": "text", "text": "a"}] * 2, []]
)
def test_a_system_prompt_is_the_same_at_anthropic_s_door_and_in_the_journal(system: Any) -> None:
    """A pattern or a hash taken from the journal fits what comes in."""
    asked = anthropic(system=system)
    kept = OPENAI.write_request(ANTHROPIC.read_request(asked))
    assert system_prompt_of(asked) == system_prompt_of({"messages": kept["messages"]})


def test_a_request_without_a_system_prompt_fits_the_empty_pattern() -> None:
    rows = [MatchRow(task="t", system_prompt="")]
    assert task_of(rows, {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}) == "t"
    assert task_of(rows, openai()) is None


@pytest.mark.parametrize(
    "body", [{}, {"model": 5, "messages": 5, "tools": 5}, {"messages": [5, {"role": 5}], "system": 5, "tools": [5, {}]}]
)
def test_a_request_of_any_form_is_only_compared(body: dict[str, Any]) -> None:
    rows = [
        MatchRow(task="t", system_prompt="a*", tools=("x",)),
        MatchRow(task="t", tools=("x",)),
        MatchRow(task="t", system_hash="0" * 64),
    ]
    assert task_of(rows, body) is None


def test_what_is_unknown_is_neither_a_fit_nor_a_miss() -> None:
    recorded = Asked(("gpt-5",), openai(), None, None)
    assert Rule(MatchRow(task="t", model="gpt-5", header={"x-app": "*"})).verdict(recorded) == ("unknown", "header")
    assert Rule(MatchRow(task="t", model="gpt-4", header={"x-app": "*"})).verdict(recorded) == ("misses", "model")
    assert Rule(MatchRow(task="t", key="*", system_prompt="Not this*")).verdict(recorded) == ("misses", "system_prompt")
    assert Rule(MatchRow(task="t", system_prompt="a*")).verdict(Asked(None, None, None, None)) == ("unknown", "system_prompt")


@given(st.text("ab*", max_size=8), st.text("ab", max_size=12))
def test_a_pattern_is_what_fnmatch_says_of_stars_alone(pattern: str, text: str) -> None:
    from fnmatch import fnmatchcase

    assert (task_of([MatchRow(task="t", model=pattern)], openai(model=text)) == "t") == fnmatchcase(text, pattern)
