"""What is left of a run."""

import pytest

from freehold.pipelines.progress import Progress


def test_a_steady_run_ends_when_it_says() -> None:
    progress = Progress(0.0, 1000)
    for second in range(1, 61):
        found = progress.at(float(second), 5 * second, 0, 0.01 * second)
    assert found.rate_per_s == pytest.approx(5)
    assert found.left_s == pytest.approx(140)
    assert found.cost_in_all_usd == pytest.approx(2.0)


def test_the_rate_follows_what_happens_now() -> None:
    """A minute at ten a second counts little after two at one."""
    progress = Progress(0.0, None)
    for second in range(1, 61):
        progress.at(float(second), 10 * second, 0, None)
    for second in range(61, 181):
        found = progress.at(float(second), 600 + second - 60, 0, None)
    assert found.rate_per_s == pytest.approx(1, rel=0.2)
    assert found.left_s is None


def test_how_often_one_looks_makes_no_difference() -> None:
    rough, fine = Progress(0.0, 100), Progress(0.0, 100)
    for tenth in range(1, 101):
        last = fine.at(tenth / 10, tenth // 2, 0, None)
    assert last.rate_per_s == pytest.approx(rough.at(10.0, 50, 0, None).rate_per_s, rel=0.05)


def test_before_the_first_row_nothing_is_known() -> None:
    found = Progress(0.0, 10).at(0.0, 0, 0, 0.0)
    assert (found.rate_per_s, found.left_s, found.cost_in_all_usd) == (None, None, None)


def test_rows_of_an_earlier_run_cost_and_take_nothing() -> None:
    found = Progress(0.0, 100, done_before=90).at(5.0, 95, 1, 1.0)
    assert found.left_s == pytest.approx(5.0)
    assert found.cost_in_all_usd == pytest.approx(2.0)


def test_a_run_that_is_over_has_nothing_left() -> None:
    assert Progress(0.0, 3, done_before=3).at(1.0, 3, 0, None).left_s == 0
