"""Whatever is said, however calls interleave: words stay words, budgets hold, and a value comes back as it was."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.chat import Media, Text
from freehold.context.prompt import DEFAULT, Filling, Prompt
from freehold.pipelines.failure import BudgetSpent
from freehold.pipelines.scope import Held, Scope
from freehold.pipelines.signature import Signature

USUAL = Prompt(DEFAULT)
WITH_PICTURE = Prompt("{% block system %}{% endblock %}{% block user %}{{ text }}|{{ picture }}{% endblock %}")
PICTURE = Media(kind="image", url="https://example.com/a.png")


@given(st.text(min_size=1).filter(lambda text: text.strip("\n")))
def test_what_a_user_says_comes_out_as_it_went_in(text: str) -> None:
    found = USUAL.messages(Filling("", {"text": text}))
    assert [part.text for part in found[-1].parts if isinstance(part, Text)] == [text.strip("\n")]


@given(st.text())
def test_no_words_move_or_copy_a_picture(text: str) -> None:
    [message] = WITH_PICTURE.messages(Filling("", {"text": text, "picture": (PICTURE,)}))
    assert [part for part in message.parts if isinstance(part, Media)] == [PICTURE] and message.parts[-1] == PICTURE


@given(st.integers(0, 1_000), st.lists(st.tuples(st.integers(1, 400), st.integers(0, 100), st.booleans()), max_size=30))
def test_a_budget_is_never_overspent_where_no_call_costs_more_than_its_estimate(budget: int, calls: list[tuple[int, int, bool]]) -> None:
    """Calls of an estimate cost a share of it in percent, and end at once or only when all others have begun."""
    outer = Scope(budget_usd=budget / 1e9)
    inner = Scope(outer, budget_usd=1)
    open_: list[tuple[Held, int]] = []
    for estimate, percent, ends_at_once in calls:
        try:
            held = inner.hold(estimate)
        except BudgetSpent:
            assert outer.purses[0].spent_nano + outer.purses[0].held_nano + estimate > budget
            continue
        (inner.settle(held, estimate * percent // 100) if ends_at_once else open_.append((held, estimate * percent // 100)))
        assert outer.purses[0].spent_nano + outer.purses[0].held_nano <= budget
    for held, spent in open_:
        inner.settle(held, spent)
    assert outer.purses[0].held_nano == 0 and outer.purses[0].spent_nano <= budget


def any_value(text: str) -> str | int | float | bool | list[str] | None: ...


VALUES = Signature(any_value)


@settings(max_examples=200)
@given(
    st.one_of(
        st.text(),
        st.integers(-(2**53), 2**53),
        st.booleans(),
        st.none(),
        st.lists(st.text(), max_size=3),
        st.floats(allow_nan=False, allow_infinity=False),
    )
)
def test_a_value_that_is_kept_is_the_value_that_was(value: Any) -> None:
    found = VALUES.value_of(VALUES.output_json(value))
    assert (type(found), found) == (type(value), value)
