"""Certification: what may be claimed from which labels, and that the claim is what the data says."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from freehold.catalog import AGREEMENT, Metric
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import CALIBRATE, TEST, TRAIN, Fractions
from freehold.errors import CallerError, TrainingError
from freehold.evaluation import bounds
from freehold.promotion.certificate import identity
from freehold.promotion.certify import Certification, certify, parts
from freehold.promotion.develop import add_head
from freehold.promotion.judge import weights
from freehold.promotion.settings import Settings
from simulated import ALL_PAIRED, CHEAP, CORRECT, FRONTIER, GRADE, NOW, Model, a_task, certified

AGREES = Metric(id=AGREEMENT, kind="binary", deterministic=True)


def picked(made: Certification, part: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The items of a part and what the policy picks for them."""
    keep_N = made.part_N == part
    return keep_N, made.choice_N[keep_N]


# A certificate


def test_a_policy_that_saves_within_the_floor_is_certified(plain: Certification) -> None:
    c = plain.certificate
    assert (c.certified, c.estimate, c.method, c.label_design, c.attempt) == (True, False, "clopper-pearson", "census", 1)
    assert 0 < c.loss_upper_bound <= c.max_loss == 0.05
    assert c.saving > 0.4
    assert plain.program.task == "triage"
    assert "use cheapest of cheap where predicted_loss <=" in c.policy_source
    assert c.policy_source.endswith("otherwise use frontier\n")
    assert "at most 0.05" in c.claim
    assert f"saves {c.saving:.1%}" in c.claim
    assert "confidence 0.95" in c.claim
    assert (c.labels_needed, c.labels_at_least) == (0, 71)


def test_hard_messages_stay_with_the_reference(plain: Certification) -> None:
    hard_N = plain.pairs.truth_N >= 4
    assert (plain.choice_N[~hard_N] == 1).mean() > 2 * (plain.choice_N[hard_N] == 1).mean()


def test_parts_and_groups_are_counted(grouped: Certification) -> None:
    c = grouped.certificate
    assert c.n_train + c.n_calibrate + c.n_test == c.n_items == 1800
    assert c.n_groups == 600
    assert c.n_calibrate_groups == c.n_calibrate / 3
    assert (c.train_fraction, c.calibrate_fraction) == (0.4, 0.4)


def test_the_bound_is_the_named_one_of_the_calibration_losses(plain: Certification) -> None:
    keep_N, choice_N = picked(plain, CALIBRATE)
    loss_N = plain.pairs.loss_NV[keep_N, choice_N]
    upper = bounds.paired_binomial_upper((loss_N > 0).sum(), (loss_N < 0).sum(), len(loss_N), bounds.spend(0.05, 1))
    assert plain.certificate.loss_upper_bound == pytest.approx(float(upper))
    assert plain.certificate.loss_calibrate == pytest.approx(loss_N.mean())


@pytest.mark.parametrize("made", ["plain", "grouped", "with_head", "sliced"])
def test_saving_shares_quality_and_cost_are_those_of_the_calibration_items(made: str, request: pytest.FixtureRequest) -> None:
    certification: Certification = request.getfixturevalue(made)
    c, pairs = certification.certificate, certification.pairs
    keep_N, choice_N = picked(certification, CALIBRATE)
    paid, before = pairs.cost_NV[keep_N, choice_N].sum(), pairs.cost_NV[keep_N, 0].sum()
    assert c.saving == pytest.approx(1 - paid / before)
    assert c.cost_usd_per_1k.policy == pytest.approx(1000 * paid / keep_N.sum())
    assert c.cost_usd_per_1k.reference == pytest.approx(1000 * before / keep_N.sum())
    assert c.share == {v: (choice_N == k).mean() for k, v in enumerate(pairs.variants) if (choice_N == k).any()}
    assert c.quality.policy == pytest.approx(pairs.score_NV[keep_N, choice_N].mean())
    assert c.quality.reference == pytest.approx(pairs.score_NV[keep_N, 0].mean())


def test_the_test_part_is_looked_at_once_and_told_with_an_interval(plain: Certification) -> None:
    keep_N, choice_N = picked(plain, TEST)
    test = plain.certificate.test
    assert test.n == keep_N.sum()
    assert test.loss == pytest.approx(plain.pairs.loss_NV[keep_N, choice_N].mean())
    assert test.loss_ci is not None
    assert test.loss_ci[0] <= test.loss <= test.loss_ci[1]


def test_the_controls_stand_beside(plain: Certification) -> None:
    controls, test = plain.certificate.controls, plain.certificate.test
    assert (controls.all_reference.loss, controls.all_reference.saving) == (0, 0)
    assert controls.all_cheapest.saving == pytest.approx(0.9, abs=0.01)
    assert controls.all_cheapest.loss > 0.08
    assert controls.shuffled.saving == pytest.approx(test.saving, abs=0.05)
    assert controls.shuffled.loss > test.loss
    assert controls.oracle.loss <= 0
    assert controls.oracle.saving > test.saving


def test_the_same_data_and_settings_give_the_same_certificate(plain: Certification) -> None:
    again = certify(a_task(), ("cheap",), CORRECT, Settings(max_loss=0.05), ALL_PAIRED, NOW + timedelta(days=1))
    assert again.certificate.id == plain.certificate.id == identity(plain.certificate)


def test_a_later_attempt_may_spend_less_and_so_claims_less(plain: Certification) -> None:
    later = certified(a_task(), attempt=20).certificate
    assert later.delta == pytest.approx(plain.certificate.delta / 400)
    assert later.saving < plain.certificate.saving
    assert later.labels_at_least > plain.certificate.labels_at_least


def test_the_seed_orders_and_never_splits(plain: Certification) -> None:
    assert (certified(a_task(), seed=7).part_N == plain.part_N).all()


# What each part may be used for


def flipped(pairs: Pairs, keep_N: NDArray[np.bool_]) -> Pairs:
    """The cheap model is wrong on all these items."""
    loss_NV, score_NV = pairs.loss_NV.copy(), pairs.score_NV.copy()
    score_NV[keep_N, 1] = 0
    loss_NV[keep_N, 1] = score_NV[keep_N, 0]
    return replace(pairs, loss_NV=loss_NV, score_NV=score_NV)


def test_what_is_tested_comes_from_training_items_alone(plain: Certification) -> None:
    made = certified(flipped(a_task(), plain.part_N != TRAIN))
    assert made.certificate.thresholds == plain.certificate.thresholds
    assert (made.certificate.predictor, made.certificate.family) == (plain.certificate.predictor, plain.certificate.family)
    assert (made.scored.cost_NV == plain.scored.cost_NV).all()
    assert made.certificate.saving < 0.1 < plain.certificate.saving


def test_test_items_change_nothing_but_what_is_told_of_them(plain: Certification) -> None:
    made = certified(flipped(a_task(), plain.part_N == TEST))
    assert made.certificate.policy_source == plain.certificate.policy_source
    assert made.certificate.loss_upper_bound == plain.certificate.loss_upper_bound
    assert made.certificate.test.loss > plain.certificate.test.loss


# Nothing to certify


def test_where_nothing_can_be_certified_the_reference_answers_all(hopeless: Certification) -> None:
    c = hopeless.certificate
    assert c.policy_source == "task triage\notherwise use frontier\n"
    assert (c.certified, c.estimate, c.saving, c.loss_upper_bound) == (False, False, 0, 0)
    assert c.share == {"frontier": 1.0}
    assert hopeless.scorer is None
    assert c.claim.startswith("Nothing cheaper than 'frontier'")


def test_no_number_of_labels_is_told_where_none_is_expected_to_do(hopeless: Certification) -> None:
    assert hopeless.certificate.labels_needed is None


def test_with_too_few_labels_it_says_how_many_are_missing() -> None:
    c = certified(a_task(300), max_loss=0.02).certificate
    assert not c.certified
    assert c.labels_at_least == 179
    assert c.labels_needed is not None
    assert 200 < c.labels_needed < 5000
    enough = certified(a_task(300 + c.labels_needed * 2), max_loss=0.02).certificate
    assert enough.certified


def test_a_policy_that_saves_nothing_is_no_certificate() -> None:
    c = certified(a_task(400, (FRONTIER, CHEAP._replace(usd=2e-3)))).certificate
    assert not c.certified
    assert c.left_out == {"cheap": "it costs no less than the reference"}


@pytest.mark.parametrize(("count", "group_size"), [(30, 1), (8, 1), (400, 400), (400, 150)])
def test_too_few_items_or_groups_are_refused_with_their_number(count: int, group_size: int) -> None:
    with pytest.raises(CallerError, match=f"{count} usable paired items"):
        certified(a_task(count, group_size=group_size))


# Where labels came from decides what may be claimed


def with_designs(pairs: Pairs, *kinds: tuple[NDArray[np.bool_], str, float]) -> Pairs:
    """The pairs with other label designs."""
    designs, inclusion_N = np.array(pairs.designs, dtype=object), pairs.inclusion_N.copy()
    for keep_N, design, inclusion in kinds:
        designs[keep_N], inclusion_N[keep_N] = design, inclusion
    return replace(pairs, designs=tuple(designs), inclusion_N=inclusion_N)


def test_found_labels_give_an_estimate_and_no_certificate() -> None:
    pairs = a_task()
    c = certified(with_designs(pairs, (np.ones(len(pairs), dtype=bool), "found", np.nan))).certificate
    assert (c.certified, c.estimate, c.label_design) == (False, True, "found")
    assert c.claim.startswith("An estimate, not a certificate")
    assert c.saving > 0.4


def test_found_labels_may_train_and_are_left_out_of_the_proof() -> None:
    pairs = a_task()
    found_N = np.arange(len(pairs)) % 2 == 0
    made = certified(with_designs(pairs, (found_N, "found", np.nan)))
    c = made.certificate
    assert (c.certified, c.label_design) == (True, "census")
    assert c.n_items == len(made.pairs) < 1200
    assert {d for d, part in zip(made.pairs.designs, made.part_N, strict=True) if part != TRAIN} == {"census"}
    assert "found" in {d for d, part in zip(made.pairs.designs, made.part_N, strict=True) if part == TRAIN}


def test_audit_and_census_together_are_mixed() -> None:
    pairs = a_task()
    c = certified(with_designs(pairs, (np.arange(len(pairs)) % 3 == 0, "audit", 1.0))).certificate
    assert (c.certified, c.label_design, c.method) == (True, "mixed", "clopper-pearson")


def test_labels_drawn_with_unequal_chances_are_weighed_and_bet_on() -> None:
    pairs = a_task(1600)
    rare_N = pairs.truth_N >= 4
    c = certified(with_designs(pairs, (rare_N, "audit", 0.9), (~rare_N, "audit", 0.5))).certificate
    assert (c.certified, c.label_design, c.method) == (True, "audit", "betting")
    assert any("unequal chances" in condition for condition in c.conditions)


def test_labels_drawn_with_one_chance_weigh_the_same() -> None:
    pairs = a_task()
    c = certified(with_designs(pairs, (np.ones(len(pairs), dtype=bool), "audit", 0.25))).certificate
    assert (c.certified, c.label_design, c.method) == (True, "audit", "clopper-pearson")


def test_a_stratum_that_the_calibration_part_misses_still_sets_the_scale_of_weights() -> None:
    pairs, part_N, _ = parts(a_task(400), "default", Fractions())
    rare_N = np.zeros(400, dtype=bool)
    rare_N[np.flatnonzero(part_N == TRAIN)[:3]] = True
    weight_N = weights(with_designs(pairs, (rare_N, "audit", 0.01)), part_N == CALIBRATE, "audit")
    assert weight_N is not None
    assert weight_N == pytest.approx(np.full((part_N == CALIBRATE).sum(), 0.01))


def test_weights_are_inverse_to_the_chance_and_at_most_one() -> None:
    pairs = a_task(3)
    weight_N = weights(replace(pairs, inclusion_N=np.array([0.1, 0.5, 1.0])), np.ones(3, dtype=bool), "audit")
    assert weight_N == pytest.approx([1, 0.2, 0.1])


# Methods


def test_groups_are_bet_on_with_a_cap_from_training(grouped: Certification) -> None:
    c = grouped.certificate
    assert (c.certified, c.method, c.group_cap) == (True, "betting", 3)
    assert len(c.pilot_bets) == len(c.thresholds)
    assert any("within one may depend" in condition for condition in c.conditions)


def test_a_metric_that_is_not_declared_binary_is_bet_on() -> None:
    c = certified(a_task(), GRADE).certificate
    assert (c.certified, c.method, c.metric_kind, c.group_cap) == (True, "betting", "bounded", 1)


def test_groups_above_the_cap_count_as_much_as_it_allows() -> None:
    """One group of 300 among single items cannot carry a claim."""
    pairs = a_task(900)
    groups = tuple("big" if i < 300 else g for i, g in enumerate(pairs.groups))
    c = certified(replace(pairs, groups=groups)).certificate
    assert (c.method, c.group_cap) in (("betting", 1), ("clopper-pearson", 1))
    assert c.n_groups == 601


# Prices, latencies


def test_a_variant_without_a_price_is_left_out_and_named() -> None:
    nameless = Model("nameless", 0.02, 0.4, float("nan"))
    c = certified(a_task(600, (FRONTIER, CHEAP, nameless))).certificate
    assert c.certified
    assert "nameless" not in c.policy_source
    assert c.unpriced == ("nameless",)
    assert "cost is unknown" in c.left_out["nameless"]


def test_where_no_cost_is_known_a_saving_is_a_share_of_calls_and_says_so() -> None:
    c = certified(a_task(800, (FRONTIER._replace(usd=float("nan")), CHEAP._replace(usd=float("nan"))))).certificate
    assert (c.certified, c.saving_unit) == (True, "calls")
    assert c.saving == pytest.approx(1 - c.share["frontier"])
    assert (c.cost_usd_per_1k.policy, c.cost_usd_per_1k.reference) == (None, None)
    assert any("Costs are unknown" in condition for condition in c.conditions)
    assert "of calls to the reference" in c.claim


def test_a_variant_too_slow_for_the_task_is_left_out() -> None:
    slow, quick = CHEAP._replace(name="slow", usd=1e-5, seconds=3.0), CHEAP
    c = certified(a_task(800, (FRONTIER, slow, quick)), p95_s=1.0).certificate
    assert c.certified
    assert set(c.share) == {"frontier", "cheap"}
    assert "95th percentile of latency" in c.left_out["slow"]
    assert "predicted_latency_s <= 1" in c.policy_source


def test_a_variant_of_unknown_latency_is_left_out_where_the_task_has_a_limit() -> None:
    c = certified(a_task(600, (FRONTIER, CHEAP._replace(seconds=float("nan")))), p95_s=5.0).certificate
    assert "is unknown" in c.left_out["cheap"]
    assert c.unpriced == ()


# Heads


def test_a_head_is_a_variant_like_any_other(with_head: Certification) -> None:
    c = with_head.certificate
    assert c.certified
    assert c.variants == ("frontier", "cheap", "head")
    assert c.share["head"] > 0.3
    assert with_head.scorer is not None
    assert with_head.scorer.head is not None


def of_one_model(n: int = 900) -> Pairs:
    """A log of one model whose answers nobody judged, as agreement takes it: they are right by definition."""
    pairs = a_task(n, (FRONTIER,))
    return replace(pairs, metric=AGREEMENT, score_NV=np.ones((n, 1)), loss_NV=np.zeros((n, 1)), truth_N=np.full(n, -1))


def test_a_log_of_one_model_is_enough_for_a_head_that_agrees_with_it() -> None:
    c = certified(of_one_model(), AGREES, head="head").certificate
    assert (c.certified, c.method, c.family) == (True, "clopper-pearson", ("head",))
    assert "agree" in c.claim
    assert any("not that those are right" in condition for condition in c.conditions)


def test_a_head_is_charged_one_for_a_disagreement_and_credited_nothing() -> None:
    pairs, _, _ = add_head(of_one_model(400), np.arange(400) < 200, "head", 0.0, 0)
    differs_N = pairs.answer_NV[:, 1] != pairs.answer_NV[:, 0]
    assert 0 < differs_N.sum() < 200
    assert pairs.loss_NV[:, 1].tolist() == differs_N.astype(float).tolist()


def test_a_head_gets_what_is_known_of_its_answer_and_otherwise_nothing() -> None:
    """The right answer where it is recorded; what an equal answer got; 0 for what nobody judged."""
    known = a_task(400)
    unknown_N = np.arange(400) >= 200
    pairs, _, _ = add_head(replace(known, truth_N=np.where(unknown_N, -1, known.truth_N)), ~unknown_N, "head", 0.0, 0)
    answer_N, score_N = pairs.answer_NV[:, 2], pairs.score_NV[:, 2]
    assert score_N[~unknown_N].tolist() == (answer_N == known.truth_N)[~unknown_N].astype(float).tolist()
    like_cheap_N = unknown_N & (answer_N == pairs.answer_NV[:, 1]) & (answer_N != pairs.answer_NV[:, 0])
    assert like_cheap_N.any()
    assert (score_N[like_cheap_N] == pairs.score_NV[like_cheap_N, 1]).all()
    alone_N = unknown_N & (answer_N != pairs.answer_NV[:, 1]) & (answer_N != pairs.answer_NV[:, 0])
    assert (score_N[alone_N] == 0).all()


def test_a_head_that_has_nothing_to_learn_says_so() -> None:
    pairs = of_one_model(200)
    essays = replace(pairs, answers=tuple(f"essay {i}" for i in range(200)), answer_NV=np.arange(200)[:, None])
    with pytest.raises(TrainingError, match="nothing to learn"):
        certified(essays, AGREES, head="head")


# Slices


def test_each_slice_has_its_own_bound_and_the_worst_is_named(sliced: Certification) -> None:
    c = sliced.certificate
    by_name = {s.name: s for s in c.slices}
    assert set(by_name) == {"tier = gold", "tier = plain", "tier = vip"}
    assert c.certified
    assert c.worst_slice is not None
    assert c.loss_upper_bound == max(s.loss_upper_bound or 0 for s in c.slices) == by_name[c.worst_slice].loss_upper_bound
    assert sum(s.n_calibrate for s in c.slices) == c.n_calibrate


def test_a_slice_with_too_few_labels_goes_to_the_reference_and_says_why(sliced: Certification) -> None:
    (vip,) = [s for s in sliced.certificate.slices if s.name == "tier = vip"]
    assert (vip.certified, vip.saving, vip.loss_upper_bound) == (False, 0, 0)
    assert f"{vip.n_groups} calibration groups; at least 71 are needed" in vip.reason
    assert not any(sliced.choice_N[i] for i, tags in enumerate(sliced.pairs.tags) if tags["tier"] == "vip")
    assert "vip" not in sliced.certificate.policy_source
    assert 'when tag.tier == "plain" use cheapest of cheap' in sliced.certificate.policy_source


# Odd data


def test_items_whose_words_are_not_kept_can_still_be_certified_by_the_mean() -> None:
    same = (Model("frontier", 0.01, 0.01, 1e-3), Model("cheap", 0.01, 0.01, 1e-4))
    c = certified(replace(a_task(800, same), texts=("",) * 800)).certificate
    assert c.certified
    assert c.share == {"cheap": 1.0}


def test_variants_that_are_not_candidates_teach_and_are_never_chosen() -> None:
    more = tuple(Model(f"other{k}", 0.05, 0.5, 1e-5) for k in range(5))
    made = certified(a_task(600, (FRONTIER, CHEAP, *more)), candidates=("cheap",))
    assert made.certificate.variants == ("frontier", "cheap")
    assert "difficulty" in made.developed.fitted


def test_fractions_may_leave_no_test_part() -> None:
    c = certified(a_task(600), fractions=Fractions(0.5, 0.5)).certificate
    assert (c.n_test, c.test.loss, c.test.loss_ci, c.test.saving) == (0, None, None, None)
    assert c.controls.oracle.loss is None
