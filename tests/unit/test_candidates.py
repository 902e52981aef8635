"""What is to be asked of whom and about what that costs; and that a run never spends what it was not given."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.asker import Purse, alone, only_one
from freehold.candidates import AskRequest, Plan, body_of, plan
from freehold.chat import Usage
from freehold.config import parse
from freehold.errors import CallerError, OperatorError
from freehold.journal.call import Call
from freehold.journal.samples import keep_sample
from freehold.journal.write import append_many
from freehold.project import Project

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
TABLES: dict[str, Any] = {
    "providers": {"one": {"kind": "openai", "base_url": "http://127.0.0.1:1/v1"}, "tape": {"kind": "recorded"}},
    "models": {
        "cheap": {"provider": "one", "price": {"input_per_mtok": 1.0, "output_per_mtok": 10.0}},
        "free": {"provider": "one"},
        "frontier": {"price": {"input_per_mtok": 1.0, "output_per_mtok": 1.0}},
        "replayed": {"provider": "tape"},
        "pool": {"serving": {"fallbacks": ["cheap"]}},
    },
    "tasks": {"triage": {"reference": "frontier", "variants": ["frontier", "cheap", "replayed", "head"]}},
}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project(parse(TABLES, tmp_path)) as opened:
        yield opened


def tell(project: Project, count: int = 10, variant: str = "frontier", **fields: Any) -> None:
    """The journal has what a variant answered."""
    known: dict[str, Any] = {"task": "triage", "variant": variant, "input": "a" * 40, "output": "b" * 8, "at": NOON, "shape": "0"}
    append_many(project.store, [Call(**{"id": f"{variant} {n}", "item": f"i{n}"} | known | fields) for n in range(count)])


def planned(project: Project, *variants: str, **fields: Any) -> Plan:
    return plan(project, AskRequest("triage", variants or None, **fields), NOON).plan


def test_tokens_are_those_of_the_recorded_answer(project: Project) -> None:
    tell(project, usage=Usage(input_tokens=200, cached_read=100, output_tokens=30))
    (bill,) = planned(project).bills
    assert (bill.variant, bill.calls, bill.there, bill.input_tokens, bill.output_tokens) == ("cheap", 10, 0, 2000, 300)
    assert bill.cost_usd == pytest.approx((2000 * 1 + 300 * 10) / 1e6)


def test_where_nobody_counted_characters_are(project: Project) -> None:
    tell(project, 1)
    (bill,) = planned(project).bills
    assert bill.output_tokens == 2
    assert 10 <= bill.input_tokens <= 30


def test_an_unknown_price_is_unknown_and_keeps_no_budget(project: Project) -> None:
    tell(project)
    found = planned(project, "free", "cheap")
    assert (found.cost_usd, found.unpriced) == (None, ["free"])
    with pytest.raises(CallerError, match=r"price of 'free' is unknown. Set price under \[models.free\]"):
        planned(project, "free", budget_usd=5.0)


def test_what_nobody_can_ask_is_refused_by_name(project: Project) -> None:
    tell(project)
    for name in ("replayed", "pool", "head", "nobody"):
        with pytest.raises(CallerError, match=f"'{name}' cannot be asked"):
            planned(project, name)
    with pytest.raises(CallerError, match="Whom to ask"):
        planned(project, "frontier")
    with pytest.raises(CallerError, match="no task 'triagee'"):
        plan(project, AskRequest("triagee"), NOON)
    with pytest.raises(CallerError, match="from 1 up"):
        planned(project, size=0)
    with pytest.raises(CallerError, match="above 0"):
        planned(project, budget_usd=0.0)


def test_without_kept_questions_there_is_nothing_to_ask(project: Project) -> None:
    tell(project, input=None, output=None, output_digest="d")
    with pytest.raises(OperatorError, match="Asking needs content"):
        planned(project)


def test_a_reference_that_can_be_asked_is_asked_what_it_was_not(tmp_path: Path) -> None:
    tables = {**TABLES, "models": {**TABLES["models"], "frontier": {"provider": "one"}}}
    with Project(parse(tables, tmp_path)) as project:
        tell(project, 4)
        tell(project, 10, "cheap")
        found = planned(project)
        assert (found.frame, found.needs_reference) == (10, False)
        assert {bill.variant: (bill.calls, bill.there) for bill in found.bills} == {"frontier": (6, 4), "cheap": (0, 10)}


def test_one_that_cannot_be_asked_limits_what_can_be_drawn(project: Project) -> None:
    tell(project, 4)
    tell(project, 10, "cheap")
    found = planned(project)
    assert (found.frame, found.needs_reference, [bill.calls for bill in found.bills]) == (4, True, [0])


def test_a_sample_that_was_drawn_stays_while_the_task_grows(project: Project) -> None:
    tell(project, 40)
    first = plan(project, AskRequest("triage", size=10), NOON)
    keep_sample(project.store, "default", "triage", first.kept_for, first.sample)
    more = [Call(id=f"new {n}", task="triage", variant="frontier", item=f"n{n}", input="x", output="y", at=NOON) for n in range(400)]
    append_many(project.store, more)
    again = plan(project, AskRequest("triage", size=10), NOON + timedelta(days=1))
    assert again.sample == first.sample
    assert again.plan.frame == 40
    smaller = plan(project, AskRequest("triage", size=5), NOON + timedelta(days=1))
    assert (smaller.sample.items, smaller.plan.frame) == (first.sample.items[:5], 40)
    larger = plan(project, AskRequest("triage", size=20), NOON + timedelta(days=1))
    assert (larger.plan.frame, larger.sample.at) == (440, NOON)


def test_earlier_runs_of_a_sample_count_towards_its_budget(project: Project) -> None:
    tell(project)
    first = plan(project, AskRequest("triage", size=10), NOON)
    keep_sample(project.store, "default", "triage", first.kept_for, first.sample)
    later = NOON + timedelta(hours=1)
    tell(project, 3, "cheap", source="ask", cost_usd=0.5, at=later)
    append_many(project.store, [Call(id="gate", task="triage", variant="cheap", item="i7", input="x", output="y", cost_usd=9.0, at=later)])
    assert planned(project, size=10).spent_usd == 1.5


# How it is asked


def test_a_recorded_question_becomes_a_body_of_chat_completions() -> None:
    messages = [{"role": "user", "content": "hi"}]
    assert body_of("hi", "") == {"messages": messages}
    assert body_of("hi", "Sort.") == {"messages": [{"role": "system", "content": "Sort."}, *messages]}
    assert body_of(messages, "Sort.") == {"messages": messages}
    assert body_of({"messages": messages, "tools": [1]}, "Sort.") == {"messages": messages, "tools": [1]}
    assert body_of({"subject": "a"}, "")["messages"][0]["content"] == '{"subject":"a"}'


def test_nobody_answers_in_anothers_place(tmp_path: Path) -> None:
    serving = {"fallbacks": ["free"], "hedge_after_s": 1.0, "cache_s": 5.0, "retries": 1}
    tables = {**TABLES, "models": {**TABLES["models"], "cheap": {"provider": "one", "serving": serving}}}
    config = alone(parse(tables, tmp_path), "triage", ["cheap"])
    assert list(config.models) == ["cheap"]
    how = config.models["cheap"].serving
    assert (how.fallbacks, how.hedge_after_s, how.cache_s, how.open_after, how.retries) == ((), None, None, 0, 1)


def test_two_do_not_ask_at_once(project: Project) -> None:
    with only_one(project), pytest.raises(OperatorError, match="Another 'freehold ask' is under way"), only_one(project):
        pass


# The budget


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 3)), min_size=1, max_size=60),
    st.floats(0.01, 20),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
)
def test_a_budget_is_kept_whatever_calls_cost(calls: list[tuple[float, float]], budget: float, concurrency: int, random: Any) -> None:
    """Nothing is sent that does not fit. What is spent beyond the budget is what calls under way cost more than any before them."""
    purse = Purse(budget, 0.0)
    under_way: list[tuple[float, float, float]] = []
    beyond = 0.0

    def end() -> None:
        nonlocal beyond
        set_aside, estimate, cost = under_way.pop(random.randrange(len(under_way)))
        beyond += max(0.0, cost - set_aside)
        purse.settle("cheap", set_aside, estimate, cost)

    for estimate, factor in calls:
        while under_way and (len(under_way) >= concurrency or not purse.has(purse.expected("cheap", estimate))):
            end()
        expected = purse.expected("cheap", estimate)
        if not purse.has(expected):
            break
        purse.set_aside(expected)
        assert purse.spent_usd + purse.set_aside_usd <= budget + 1e-9
        under_way.append((expected, estimate, estimate * factor))
    while under_way:
        end()
    assert purse.set_aside_usd == pytest.approx(0.0, abs=1e-9)
    assert purse.spent_usd <= budget + beyond + 1e-9
    if all(factor <= 1 for _, factor in calls):
        assert purse.spent_usd <= budget + 1e-9


def test_what_nobody_says_counts_as_it_was_estimated() -> None:
    purse = Purse(1.0, 0.0)
    purse.set_aside(0.4)
    purse.settle("cheap", 0.4, 0.4, None)
    assert (purse.spent_usd, purse.has(0.6), purse.has(0.61)) == (0.4, True, False)


def test_a_variant_that_is_dearer_than_expected_is_expected_to_be() -> None:
    purse = Purse(1.0, 0.0)
    purse.set_aside(0.01)
    purse.settle("cheap", 0.01, 0.01, 0.05)
    assert purse.expected("cheap", 0.1) == pytest.approx(0.5)
    assert purse.expected("bold", 0.1) == 0.1
