"""Replay: which rows of earlier data sets are learnt again, and that nothing is replayed which is gone."""

from collections import Counter
from dataclasses import replace

import numpy as np

from freehold.training.continual.replay import ranks, replayed
from freehold.training.lesson import Part, plain


def part(name: str, counts: dict[str, int]) -> Part:
    """Rows with these answers."""
    rows = [(f"{name} {answer} {n}", answer) for answer, most in counts.items() for n in range(most)]
    ids = tuple(id for id, _ in rows)
    return replace(plain(ids, [answer for _, answer in rows]), ids=ids)


FIRST, SECOND = part("first", {"cards": 60, "loans": 40}), part("second", {"loans": 20, "fraud": 3})


def test_every_answer_has_as_many_rows_over_all_data_sets_together() -> None:
    found = replayed([FIRST, SECOND], 10, 0)
    assert Counter(answer for each in found for answer in each.answers) == {"cards": 10, "loans": 10, "fraud": 3}
    assert all(id.startswith(name) for each, name in zip(found, ("first", "second"), strict=True) for id in each.ids)


def test_the_same_seed_draws_the_same_rows_and_another_one_others() -> None:
    assert replayed([FIRST], 10, 0) == replayed([FIRST], 10, 0)
    assert replayed([FIRST], 10, 0) != replayed([FIRST], 10, 1)


def test_every_row_is_as_likely_as_any_other() -> None:
    """Over 3,000 seeds each of 60 rows is in 10 of them with chance 1/6; the standard error of a count of 500 is 20."""
    counts = Counter(id for seed in range(3000) for id in replayed([part("x", {"cards": 60})], 10, seed)[0].ids)
    assert len(counts) == 60
    assert max(abs(n - 500) for n in counts.values()) < 90


def test_a_row_that_is_erased_is_gone_and_one_other_takes_its_place() -> None:
    before = set(replayed([FIRST], 10, 0)[0].ids)
    erased = next(iter(sorted(before)))
    left = FIRST.those(n for n, id in enumerate(FIRST.ids) if id != erased)
    after = set(replayed([left], 10, 0)[0].ids)
    assert erased not in after
    assert before - after == {erased}
    assert len(after) == len(before)


def test_another_data_set_only_ever_takes_places_of_the_reservoir() -> None:
    """What Vitter's reservoir does: rows that were out do not come in again."""
    before = set(replayed([FIRST], 10, 0)[0].ids)
    after = set(replayed([FIRST, SECOND], 10, 0)[0].ids)
    assert after <= before


def test_hard_cases_are_those_of_the_greatest_loss_and_the_rest_a_reservoir() -> None:
    loss = {id: float(n) for n, id in enumerate(FIRST.ids)}
    (found,) = replayed([FIRST], 10, 0, 0.4, lambda rows: np.array([loss[id] for id in rows.ids]))
    cards = [id for id in found.ids if "cards" in id]
    assert len(cards) == 10
    assert {f"first cards {n}" for n in range(56, 60)} <= set(cards)


def test_nothing_to_replay_is_no_error() -> None:
    assert replayed([], 10, 0) == []
    assert [len(each) for each in replayed([FIRST], 0, 0)] == [0]
    assert len(replayed([part("none", {})], 10, 0)[0]) == 0


def test_ranks_are_of_the_id_alone() -> None:
    assert ranks(["a", "b"], 0)[1] == ranks(["b"], 0)[0]
    assert ranks(["a"], 0) != ranks(["a"], 1)
