"""Splits never leak: whatever the groups and times, a group is in one part, and stays there while data is added."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.datasets.split import CALIBRATE, TEST, TRAIN, Fractions, split

few = settings(max_examples=80, deadline=None)

group_names = st.lists(st.text(max_size=4) | st.integers(0, 30).map(lambda g: f"customer {g}"), min_size=1, max_size=120)
fractions = st.tuples(st.floats(0.05, 0.5), st.floats(0.05, 0.5)).map(lambda pair: Fractions(*pair))
moments = st.integers(0, 2**60)


def parts_of(groups: list[str], part_N: np.ndarray) -> dict[str, set[int]]:
    """The parts in which each group stands."""
    found: dict[str, set[int]] = {}
    for group, part in zip(groups, part_N.tolist(), strict=True):
        found.setdefault(group, set()).add(part)
    return found


@given(st.text(max_size=10), group_names, fractions)
@few
def test_a_group_never_straddles(name: str, groups: list[str], shares: Fractions) -> None:
    assert all(len(parts) == 1 for parts in parts_of(groups, split(name, groups, None, shares)).values())


@given(group_names, fractions, st.data())
@few
def test_a_group_never_straddles_in_time_either(groups: list[str], shares: Fractions, data: st.DataObject) -> None:
    at_N = np.array(data.draw(st.lists(moments, min_size=len(groups), max_size=len(groups))))
    part_N = split("d", groups, at_N, shares)
    assert all(len(parts) == 1 for parts in parts_of(groups, part_N).values())
    last = {g: max(at for at, other in zip(at_N.tolist(), groups, strict=True) if other == g) for g in groups}
    ended = {part: [last[g] for g, parts in parts_of(groups, part_N).items() if part in parts] for part in (TRAIN, CALIBRATE, TEST)}
    assert not ended[TEST] or max([*ended[TRAIN], *ended[CALIBRATE], -1]) <= min(ended[TEST])
    assert abs(len(ended[TEST]) - shares.test * len(last)) <= 0.5


@given(group_names, group_names, fractions)
@few
def test_a_group_stays_in_its_part_while_the_data_grows(groups: list[str], more: list[str], shares: Fractions) -> None:
    before = parts_of(groups, split("d", groups, None, shares))
    after = parts_of(groups + more, split("d", groups + more, None, shares))
    assert {group: after[group] for group in before} == before


@given(st.lists(st.uuids().map(str), min_size=1, max_size=60, unique=True), fractions, st.integers(1, 40))
@few
def test_with_time_an_earlier_group_never_moves_between_training_and_calibration(groups: list[str], shares: Fractions, more: int) -> None:
    """Later data may make room in the test part; what was trained on is never calibrated on."""
    grown = groups + [f"later {k}" for k in range(more)]
    before = split("d", groups, np.arange(len(groups)), shares)
    after = split("d", grown, np.arange(len(grown)), shares)[: len(groups)]
    assert not ((before == TRAIN) & (after == CALIBRATE)).any()
    assert not ((before == CALIBRATE) & (after == TRAIN)).any()
    assert not ((before != TEST) & (after == TEST)).any() or shares.test * more < 1


@given(st.permutations(range(60)), fractions)
@few
def test_the_order_of_items_decides_nothing(order: list[int], shares: Fractions) -> None:
    groups = [f"g{k % 17}" for k in range(60)]
    straight = split("d", groups, None, shares)
    assert split("d", [groups[k] for k in order], None, shares).tolist() == straight[list(order)].tolist()


@given(fractions, st.integers(0, 10_000), st.booleans())
@few
def test_parts_have_about_their_fractions(shares: Fractions, salt: int, has_times: bool) -> None:
    groups = [f"{salt} {k}" for k in range(2000)]
    part_N = split("d", groups, np.arange(2000) if has_times else None, shares)
    for part, share in ((TRAIN, shares.train), (CALIBRATE, shares.calibrate), (TEST, shares.test)):
        assert abs((part_N == part).mean() - share) < 0.06  # five standard errors of 2,000 groups
