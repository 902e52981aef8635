"""The parts of a data set: decided by its name and the group, never by a draw."""

import numpy as np
import pytest

from freehold.datasets.split import CALIBRATE, TEST, TRAIN, Fractions, checked, place, split
from freehold.errors import CallerError


def test_a_place_is_the_same_in_every_run() -> None:
    assert place("default/triage", "customer 7") == pytest.approx(0.92205, abs=1e-5)


def test_another_data_set_puts_the_same_group_elsewhere() -> None:
    places = {place(name, "customer 7") for name in ("default/triage", "default/sort", "acme/triage")}
    assert len(places) == 3


def test_a_name_and_a_group_cannot_run_into_each_other() -> None:
    assert place("ab", "c") != place("a", "bc")


def test_a_group_whose_name_is_half_a_character_has_a_place_too() -> None:
    assert 0 <= place("d", "\ud83d") < 1


def test_places_are_spread_evenly() -> None:
    counts, _ = np.histogram([place("d", f"g{k}") for k in range(10_000)], bins=10, range=(0, 1))
    assert counts.min() > 900
    assert counts.max() < 1100


def test_without_times_the_test_part_is_by_place_too() -> None:
    groups = [f"g{k}" for k in range(500)]
    part_N = split("d", groups, None, Fractions(0.4, 0.4))
    expected = [TRAIN if (p := place("d", g)) < 0.4 else CALIBRATE if p < 0.8 else TEST for g in groups]
    assert part_N.tolist() == expected


def test_the_test_part_is_the_latest_in_time() -> None:
    part_N = split("d", [f"g{k}" for k in range(100)], np.arange(100), Fractions(0.4, 0.4))
    assert (part_N[80:] == TEST).all()
    assert not (part_N[:80] == TEST).any()


def test_a_group_counts_as_late_as_its_last_item() -> None:
    at_N = np.array([*range(10), 99])
    groups = [*(f"g{k}" for k in range(10)), "g0"]
    part_N = split("d", groups, at_N, Fractions(0.45, 0.45))
    assert part_N[0] == part_N[-1] == TEST


def test_fractions_of_one_leave_no_test_part() -> None:
    part_N = split("d", [f"g{k}" for k in range(50)], np.arange(50), Fractions(0.5, 0.5))
    assert not (part_N == TEST).any()


@pytest.mark.parametrize(("train", "calibrate"), [(0, 0.4), (0.4, 0), (0.7, 0.4), (-0.1, 0.5), (float("nan"), 0.4), (0.4, float("nan"))])
def test_fractions_that_leave_a_part_without_items_are_refused(train: float, calibrate: float) -> None:
    with pytest.raises(CallerError, match="--train"):
        checked(Fractions(train, calibrate))
