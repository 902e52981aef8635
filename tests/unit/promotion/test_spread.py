"""What rules of review queues make of items."""

from dataclasses import replace

import numpy as np
import pytest

from freehold.datasets.split import TRAIN, Fractions, split
from freehold.errors import CallerError
from freehold.promotion.spread import INSIDE, OUTSIDE, disagreement, inside, per_cost, spread, unsure
from freehold.routing.online import OnlinePolicy
from freehold.routing.program import parse
from simulated import CHEAP, FRONTIER, HARD_FROM, Model, a_task

THREE = (FRONTIER, CHEAP, Model("small", 0.3, 0.6, 1e-5))


def test_disagreement_is_the_share_of_answers_beside_the_most_frequent_one() -> None:
    pairs = a_task(4, THREE)
    answers = np.array([[0, 0, 0], [0, 1, 1], [0, 1, 2], [-1, 1, 1]])
    assert disagreement(replace(pairs, answer_NV=answers)).tolist() == pytest.approx([0, 1 / 3, 2 / 3, 0])


def test_a_region_is_a_condition_of_the_policy_language() -> None:
    pairs = a_task(200)
    program = parse(f'task triage\nwhen tag.tier == "gold" and chars > 40\nuse {INSIDE}\notherwise use {OUTSIDE}\n')
    found_N = inside(pairs, OnlinePolicy("", program, None))
    expected = [float(tags["tier"] == "gold" and len(text) > 40) for tags, text in zip(pairs.tags, pairs.texts, strict=True)]
    assert found_N.tolist() == expected and 0 < found_N.sum() < 200


def test_confidence_is_what_the_product_says_or_a_head_of_ours() -> None:
    """A head that learnt from the answers to other items is less sure of the reference's answer where that is wrong."""
    pairs = a_task(900, (Model("frontier", 0.1, 0.1, 1e-3), CHEAP))
    tagged = replace(pairs, tags=tuple({"confidence": str(n % 10 / 10)} for n in range(900)))
    assert unsure(tagged)[:3].tolist() == pytest.approx([1.0, 0.9, 0.8])
    unsure_N, is_wrong_N = unsure(pairs), pairs.score_NV[:, 0] == 0
    assert unsure_N[is_wrong_N].mean() > unsure_N[~is_wrong_N].mean() + 0.2
    with pytest.raises(CallerError, match="Take --rule disagreement or interval"):
        unsure(replace(pairs, answers=(), tags=tuple({} for _ in range(900))))


def test_the_interval_rule_looks_where_training_labels_say_that_losses_are() -> None:
    """Where all answers differ, the topics on which the cheap model errs are worth more; before there are labels all are alike."""
    pairs = a_task(1500)
    apart = np.column_stack([np.zeros(1500, dtype=np.int64), np.ones(1500, dtype=np.int64)])
    pairs = replace(pairs, answer_NV=apart)
    worth_N = spread(pairs, "default", Fractions())
    is_hard_N = pairs.truth_N >= HARD_FROM
    assert worth_N[is_hard_N].mean() > 1.5 * worth_N[~is_hard_N].mean()
    unlabelled = replace(pairs, loss_NV=np.where([[True, False]], 0.0, np.nan) * np.ones((1500, 2)))
    assert np.ptp(spread(unlabelled, "default", Fractions())) == 0


def test_labels_that_may_prove_something_change_nothing_of_what_is_drawn() -> None:
    pairs = a_task(1200)
    part_N = split("default/triage", pairs.groups, None, Fractions())
    other = replace(pairs, loss_NV=np.where((part_N == TRAIN)[:, None], pairs.loss_NV, -pairs.loss_NV * 0.5))
    assert np.array_equal(spread(pairs, "default", Fractions()), spread(other, "default", Fractions()))


def test_what_takes_longer_to_read_is_worth_less_for_its_cost() -> None:
    timed = [(float(chars), 2.0 + chars / 50) for chars in range(0, 1000, 10)]
    worth_N = per_cost(np.ones(2), np.array([50.0, 900.0]), timed)
    assert worth_N[0] / worth_N[1] == pytest.approx(np.sqrt(20 / 4), rel=0.15)
    assert per_cost(np.ones(2), np.array([50.0, 900.0]), timed[:29]).tolist() == [1, 1]
