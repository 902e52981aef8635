"""From an input to facts: predicted loss, cost and latency of each variant, its region and surface, and a head's answer."""

from dataclasses import replace

import numpy as np
import pytest

from freehold.promotion.certify import Certification
from freehold.routing.features import SURFACE
from freehold.routing.head import Head, softmax
from freehold.routing.predict import Linear
from freehold.routing.scorer import HeadScore, Scorer, known
from simulated import a_task, certified


@pytest.fixture(scope="module")
def made() -> Certification:
    """A certification with a head."""
    return certified(a_task(600), head="head", head_cost_usd=1e-5)


@pytest.fixture(scope="module")
def scorer(made: Certification) -> Scorer:
    """Its scorer."""
    return made.developed.scorer


def test_the_reference_loses_nothing_against_itself(scorer: Scorer, made: Certification) -> None:
    assert (scorer.score(made.pairs.texts).loss_NV[:, 0] == 0).all()


def test_facts_are_what_was_scored(scorer: Scorer, made: Certification) -> None:
    scored = scorer.score(made.pairs.texts[:5])
    facts = scorer.facts("triage", scored, 3, {"tier": "gold"})
    assert facts.values["task"] == "triage"
    assert facts.values["region"] in scorer.region_names
    assert facts.values["chars"] == len(made.pairs.texts[3])
    assert {name: facts.values[name] for name in SURFACE} == dict(zip(SURFACE, scored.surface_NS[3].tolist(), strict=True))
    assert facts.tags == {"tier": "gold"}
    assert list(facts.scores) == ["frontier", "cheap", "head"]
    assert facts.scores["cheap"].predicted_loss == scored.loss_NV[3, 1]
    assert facts.scores["head"].predicted_cost == pytest.approx(1e-5)


def test_unknown_numbers_are_none_in_facts_never_zero(scorer: Scorer) -> None:
    unknown = replace(scorer, latency_V=np.full(3, np.nan), cost_V2=np.full((3, 2), np.nan))
    facts = unknown.facts("triage", unknown.score(["a card"]), 0, {})
    assert (facts.scores["cheap"].predicted_cost, facts.scores["cheap"].predicted_latency_s) == (None, None)
    assert (known(float("nan")), known(0.0)) == (None, 0.0)


def test_cost_is_a_line_over_length_within_what_was_seen(scorer: Scorer) -> None:
    line = replace(scorer, cost_V2=np.array([[1, 0.1]] * 3), cost_range_V2=np.array([[2.0, 5.0]] * 3))
    assert line.costs(np.array([0.0, 20, 1000]))[:, 0].tolist() == [2, 3, 5]


def test_costs_are_predicted_as_they_were_recorded(scorer: Scorer, made: Certification) -> None:
    error = scorer.score(made.pairs.texts).cost_NV[:, :2] / made.pairs.cost_NV[:, :2] - 1
    assert np.abs(error).mean() < 0.01


def test_the_latency_is_the_95th_percentile_of_training(scorer: Scorer, made: Certification) -> None:
    train_N = made.part_N == 0
    assert scorer.latency_V[:2].tolist() == np.quantile(made.pairs.latency_NV[train_N, :2], 0.95, axis=0).tolist()


def test_no_texts_are_no_rows(scorer: Scorer) -> None:
    scored = scorer.score([])
    assert scored.loss_NV.shape == (0, 3)
    assert scored.surface_NS.shape == (0, len(SURFACE))


def test_a_heads_predicted_loss_falls_with_its_confidence(scorer: Scorer) -> None:
    assert scorer.head is not None
    loss_N = scorer.head.predict(np.linspace(0, 1, 50))
    assert (np.diff(loss_N) <= 1e-12).all()


def test_between_knots_the_predicted_loss_is_on_the_line_and_beyond_them_stays(scorer: Scorer) -> None:
    assert scorer.head is not None
    score = HeadScore(scorer.head.head, np.array([0.2, 0.6]), np.array([0.8, 0.4]))
    assert score.predict(np.array([0.0, 0.2, 0.4, 0.6, 1.0])) == pytest.approx([0.8, 0.8, 0.6, 0.4, 0.4])


def test_a_head_answers_with_its_likeliest_class_one_by_one_as_together(scorer: Scorer, made: Certification) -> None:
    assert scorer.head is not None
    head: Head = scorer.head.head
    scored = scorer.score(made.pairs.texts[:40])
    for i, text in enumerate(made.pairs.texts[:40]):
        answer, confidence = head.answer(text)
        assert answer == scorer.head_answer(scored, i)
        assert confidence == pytest.approx(scored.confidence_N[i])


def test_probabilities_sum_to_one_even_of_nothing(scorer: Scorer) -> None:
    assert scorer.head is not None
    assert scorer.head.head.probabilities(["", "a card", "x" * 5000]).sum(axis=1) == pytest.approx([1, 1, 1])
    assert scorer.head.head.probabilities([]).shape == (0, 6)


def test_softmax_of_great_numbers_does_not_overflow() -> None:
    assert softmax(np.array([[1e4, 0.0, -1e4]])) == pytest.approx(np.array([[1, 0, 0]]))


def test_a_line_reads_standardised_features() -> None:
    line = Linear(np.array([1.0, 2]), np.array([2.0, 4]), np.array([[1.0], [10]]), np.array([0.5]))
    assert line.predict(np.array([[3.0, 6]])).tolist() == [[1 + 10 + 0.5]]
