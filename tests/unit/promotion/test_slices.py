"""Slices: parts of the traffic by tag, region or feature, each with the condition a policy asks."""

import numpy as np
import pytest

from freehold.errors import CallerError
from freehold.promotion.certify import Certification
from freehold.promotion.slices import Cut, cut
from freehold.routing.decide import compile_program
from freehold.routing.program import Program, Rule, Use, show_condition


def cuts_of(made: Certification, by: str) -> list[Cut]:
    """The slices of a certification's items."""
    return cut(by, made.pairs, made.scored, made.developed.scorer, made.part_N == 0)


@pytest.mark.parametrize("by", ["tier", "tag.tier"])
def test_a_tag_makes_a_slice_for_each_of_its_values(sliced: Certification, by: str) -> None:
    cuts = cuts_of(sliced, by)
    assert [c.name for c in cuts] == ["tier = gold", "tier = plain", "tier = vip"]
    assert [show_condition(c.condition) for c in cuts] == ['tag.tier == "gold"', 'tag.tier == "plain"', 'tag.tier == "vip"']
    assert sum(c.holds_N.sum() for c in cuts) == len(sliced.pairs)


def test_items_without_the_tag_are_in_no_slice(sliced: Certification) -> None:
    pairs = sliced.pairs.rows(np.arange(20) < 20)
    del pairs.tags[3]["tier"]
    cuts = cut("tier", pairs, sliced.scored, sliced.developed.scorer, np.ones(20, dtype=bool))
    pairs.tags[3]["tier"] = "plain"
    assert sum(c.holds_N.sum() for c in cuts) == 19


def test_a_region_makes_a_slice_of_its_own(plain: Certification) -> None:
    cuts = cuts_of(plain, "region")
    assert [c.name.removeprefix("region = ") for c in cuts] == list(plain.developed.scorer.region_names)
    assert sum(c.holds_N.sum() for c in cuts) == len(plain.pairs)


def test_a_feature_is_cut_at_the_quartiles_of_training(plain: Certification) -> None:
    cuts = cuts_of(plain, "chars")
    assert len(cuts) == 4
    assert sum(c.holds_N for c in cuts).tolist() == [1] * len(plain.pairs)
    train_N = plain.part_N == 0
    assert [(c.holds_N & train_N).sum() / train_N.sum() for c in cuts] == pytest.approx([0.25] * 4, abs=0.04)
    assert cuts[1].name.startswith("chars > ")
    assert " and chars <= " in cuts[1].name


def test_a_feature_that_hardly_varies_makes_fewer_slices(plain: Certification) -> None:
    assert [c.name for c in cuts_of(plain, "lines")] == ["lines <= 1"]


@pytest.mark.parametrize("by", ["tier", "region", "chars", "questions"])
def test_what_a_slice_holds_is_what_its_condition_says(sliced: Certification, by: str) -> None:
    scorer = sliced.developed.scorer
    for one in cuts_of(sliced, by):
        decide = compile_program(Program("triage", (Rule(one.condition, Use("cheap")), Rule(None, Use("frontier")))))
        for i in range(0, len(sliced.pairs), 7):
            facts = scorer.facts("triage", sliced.scored, i, sliced.pairs.tags[i])
            assert (decide(facts).variant == "cheap") == one.holds_N[i]


@pytest.mark.parametrize(("by", "hint"), [("teir", "Did you mean 'tag.tier'"), ("char", "Did you mean 'chars'"), ("confidence", "Known: ")])
def test_an_unknown_tag_or_feature_names_the_nearest(sliced: Certification, by: str, hint: str) -> None:
    with pytest.raises(CallerError, match=f"tag '{by}'.*{hint}"):
        cuts_of(sliced, by)


def test_slices_never_overlap(sliced: Certification) -> None:
    for by in ("tier", "region", "chars", "mean_word_length"):
        assert (sum(c.holds_N.astype(int) for c in cuts_of(sliced, by)) <= 1).all()
