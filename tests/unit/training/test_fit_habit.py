"""Habits: what one owner answers where everybody's specialist says something, counted on their own rows."""

from hypothesis import given
from hypothesis import strategies as st

from freehold.training.habits import fit_habit
from freehold.variants.habit import Own


def test_an_owner_who_always_renames_an_answer_has_it_renamed() -> None:
    habit = fit_habit(["card", "card", "card", "loan"], ["urgent", "urgent", "urgent", "loan"])
    assert habit.own == (Own("card", "urgent", 0.75), Own("loan", "loan", 1.0))


def test_a_single_odd_row_changes_nothing() -> None:
    """One row of one against the belief, worth a row, that owners answer as everybody does: the shared answer stays."""
    assert fit_habit(["card"], ["urgent"]).own == (Own("card", "card", 0.5),)


def test_an_answer_without_rows_is_as_sure_as_the_owner_is_like_everybody() -> None:
    assert fit_habit(["card"] * 3, ["card", "card", "urgent"]).unseen == 0.75


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_shares_are_probabilities_and_no_other_answer_has_more_rows(rows: list[tuple[str, str]]) -> None:
    habit = fit_habit([shared for shared, _ in rows], [own for _, own in rows])
    for one in habit.own:
        assert 0 < one.share <= 1
        mine = [own for shared, own in rows if shared == one.shared]
        assert all(mine.count(other) <= mine.count(str(one.answer)) + (one.answer == one.shared) for other in set(mine))
