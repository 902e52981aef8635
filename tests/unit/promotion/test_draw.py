"""The picture of a certification: what a person is shown is what the certificate says."""

import numpy as np
import pytest

from freehold.evaluation.bounds import least_units, spend
from freehold.promotion.certify import Certification
from freehold.promotion.draw import picture, shortened
from freehold.promotion.picture import Picture


@pytest.fixture(scope="module")
def drawn(with_head: Certification) -> Picture:
    """The picture of a certification with a head."""
    return picture("bank", with_head, with_head.certificate, notes=("simulated",))


def test_the_certificates_policy_stands_on_the_frontier_as_it_did_on_test_items(drawn: Picture, with_head: Certification) -> None:
    (point,) = [p for p in drawn.points if p.kind == "policy"]
    test = with_head.certificate.test
    assert (point.saving, point.loss, point.loss_ci) == (test.saving, test.loss, test.loss_ci)
    assert point.is_certified


def test_family_variants_and_controls_stand_beside(drawn: Picture, with_head: Certification) -> None:
    kinds = {kind: [p for p in drawn.points if p.kind == kind] for kind in ("family", "variant", "control")}
    assert len(kinds["family"]) == len(with_head.certificate.thresholds)
    assert [p.label for p in kinds["variant"]] == ["frontier", "cheap", "head"]
    assert (kinds["variant"][0].loss, kinds["variant"][0].saving) == (0, 0)
    assert [p.label for p in kinds["control"]] == ["all cheapest", "all reference", "shuffled", "oracle"]


def test_regions_hold_all_items_largest_first(drawn: Picture, with_head: Certification) -> None:
    assert sum(r.n for r in drawn.regions) == len(with_head.pairs)
    assert sum(r.share for r in drawn.regions) == pytest.approx(1)
    assert [r.n for r in drawn.regions] == sorted((r.n for r in drawn.regions), reverse=True)
    assert len({r.name for r in drawn.regions}) == len(drawn.regions)
    for region in drawn.regions:
        assert sum(region.share_by_variant.values()) == pytest.approx(1)
        assert region.example in {shortened(text) for text in with_head.pairs.texts}


def test_what_still_needs_the_reference_goes_there(plain: Certification) -> None:
    shown = picture("bank", plain, plain.certificate).still
    assert shown
    sent = {text for text, choice in zip(plain.pairs.texts, plain.choice_N.tolist(), strict=True) if choice == 0}
    assert {s.text for s in shown} <= sent
    assert len({s.region for s in shown}) == len(shown)


def test_labels_and_calls_are_counted(drawn: Picture, with_head: Certification) -> None:
    agree_N = with_head.pairs.answer_NV[:, 0] == with_head.pairs.answer_NV[:, 1]
    assert drawn.labels.n_labelled == 1200
    assert drawn.labels.n_free == agree_N.sum()
    assert drawn.labels.by_design == {"census": 1200}
    assert drawn.labels.n_asked == 1200 - agree_N.sum()
    next_attempt = spend(0.05, with_head.certificate.attempt + 1)
    assert drawn.labels.least_by_floor["0.05"] == least_units(0.05, with_head.certificate.delta, True)
    assert drawn.labels.least_by_floor["0.02"] == least_units(0.02, next_attempt, True), "another floor is another attempt"
    assert drawn.calls == 2400
    assert drawn.cost_usd == pytest.approx(with_head.pairs.cost_NV[:, :2].sum())


def test_project_notes_and_dates_are_told(drawn: Picture) -> None:
    assert (drawn.project, drawn.title, drawn.notes) == ("bank", "triage", ("simulated",))
    assert (drawn.since, drawn.until) == (None, None)


def test_where_nothing_is_certified_the_picture_says_so_too(hopeless: Certification) -> None:
    drawn = picture("bank", hopeless, hopeless.certificate)
    (point,) = [p for p in drawn.points if p.kind == "policy"]
    assert (point.loss, point.saving, point.is_certified) == (0, 0, False)
    assert all(set(r.share_by_variant) == {"frontier"} for r in drawn.regions)


def test_unknown_costs_stay_unknown(plain: Certification) -> None:
    cost_NV = plain.pairs.cost_NV
    kept = cost_NV[0, 0]
    cost_NV[0, 0] = np.nan
    try:
        assert picture("bank", plain, plain.certificate).cost_usd is None
    finally:
        cost_NV[0, 0] = kept


def test_a_long_text_is_cut_at_a_word_and_stands_on_one_line() -> None:
    long = shortened("one two\nthree " * 60)
    assert len(long) <= 282
    assert long.endswith(" …")
    assert "\n" not in long
    assert shortened("  short  text ") == "short text"
