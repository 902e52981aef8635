"""What holds within a block holds beside what holds around it."""

import pytest

import freehold
from freehold.errors import CallerError
from freehold.gateway.budget import NANO
from freehold.pipelines.failure import BudgetSpent, TookTooLong
from freehold.pipelines.run import Run
from freehold.pipelines.scope import NOWHERE, Held, Scope, current


def test_the_earlier_deadline_holds() -> None:
    outer = Scope(deadline_s=10, now=100.0)
    assert (Scope(outer, deadline_s=20, now=100.0).ends_at, Scope(outer, deadline_s=2, now=100.0).ends_at) == (110.0, 102.0)
    assert Scope(outer).left_s(now=107.0) == 3.0 and NOWHERE.left_s(now=107.0) is None
    with pytest.raises(TookTooLong, match="nobody is asked any more"):
        outer.left_s(now=110.0)


def test_every_budget_around_has_to_hold_what_a_call_may_cost() -> None:
    outer = Scope(budget_usd=1)
    inner = Scope(outer, budget_usd=5)
    held = inner.hold(NANO * 3 // 5)
    with pytest.raises(BudgetSpent, match=r"up to \$0.6, and of the scope's \$1 there is \$0.4 left"):
        inner.hold(NANO * 3 // 5)
    assert [purse.held_nano for purse in inner.purses] == [NANO * 3 // 5] * 2
    inner.settle(held, NANO // 10)
    assert [(purse.held_nano, purse.spent_nano) for purse in inner.purses] == [(0, NANO // 10)] * 2
    assert inner.known(0.0) == {"budget_left_usd": 0.9}
    inner.settle(Held(), 0)
    inner.hold(NANO * 9 // 10)


def test_customer_plan_run_and_tags_are_inherited() -> None:
    run = Run("pipeline", "p")
    outer = Scope(customer="ann", plan="gold", tags={"a": "1", "b": "1"}, run=run)
    inner = Scope(outer, customer="bob", tags={"b": "2"})
    assert (inner.customer, inner.plan, inner.tags, inner.episode) == ("bob", "gold", {"a": "1", "b": "2"}, run.id)
    assert outer.tags == {"a": "1", "b": "1"}


def test_a_block_ends_with_its_block() -> None:
    with freehold.scope(customer="ann"), pytest.raises(ZeroDivisionError), freehold.scope(customer="bob"):
        raise ZeroDivisionError
    assert current() is NOWHERE


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"deadline_s": 0}, "deadline_s is 0"),
        ({"deadline_s": float("nan")}, "deadline_s is nan"),
        ({"budget_usd": -1}, "budget_usd is -1"),
        ({"budget_usd": "5"}, "budget_usd is '5'; expected a number of dollars"),
        ({"deadline_s": "5"}, "deadline_s is '5'; expected a number of seconds"),
        ({"deadline_s": True}, "deadline_s is True"),
        ({"tags": {"a": 1}}, "the tag 'a' is 1; expected a text"),
        ({"tags": "private"}, "tags is 'private'; expected texts by name"),
        ({"customer": 17}, "customer is 17; expected a text"),
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float], why: str) -> None:
    with pytest.raises(CallerError, match=why), freehold.scope(**wrong):  # type: ignore[arg-type]
        pass
