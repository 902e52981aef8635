"""What an evaluation says of a table of scores: nothing without a score counts, no small group of people is shown, targets come first."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from freehold.catalog import Metric
from freehold.errors import CallerError
from freehold.evaluation import gate
from freehold.evaluation.result import Asked, Evaluation, Targets
from freehold.evaluation.scorecard import choose, confirm
from freehold.evaluation.summary import differences, mean_of, overall, parts, people
from freehold.evaluation.table import Table, groups_of, selects

CORRECT, HARM = Metric(id="correct", kind="binary"), Metric(id="harm", better="lower", range=(0.0, 10.0))
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def a_table(
    scores: Mapping[str, Sequence[float]],
    metric: Metric = CORRECT,
    groups: Sequence[str] | None = None,
    tags: Sequence[dict[str, str]] | None = None,
    why: str = "nobody scored it",
    **fields: Any,
) -> Table:
    """A table of one scorer."""
    score_NV = np.array(list(scores.values()), dtype=float).T
    count = len(score_NV)
    names = list(groups) if groups is not None else [f"g{n}" for n in range(count)]
    known = ~np.isnan(score_NV)
    plain: dict[str, Any] = {
        "task": "triage",
        "variants": tuple(scores),
        "metrics": (metric,),
        "items": tuple(f"i{n:04}" for n in range(count)),
        "group_N": groups_of(names),
        "selects_N": selects("triage", names),
        "tags": tuple(tags) if tags is not None else ({},) * count,
        "score_SNV": score_NV[None],
        "why_SNV": np.where(known, "", why).astype(object)[None],
        "silent_NV": np.zeros_like(known),
        "answered_NV": known,
        "cost_NV": np.where(known, 0.001, np.nan),
        "latency_NV": np.where(known, 0.5, np.nan),
    }
    return Table(**plain | fields)


def test_what_has_no_score_is_in_no_mean_and_is_counted_with_its_reason() -> None:
    """Eight of ten scored, six right: the mean is that of eight, and could be anything from 0.6 to 0.8."""
    table = a_table({"cheap": [1.0] * 6 + [0.0] * 2 + [np.nan] * 2}, why="the judge did not answer")
    mean = mean_of(table, 0, 0, np.ones(10, dtype=bool), 0.95)
    assert (mean.mean, mean.n, mean.unscored, mean.reasons) == (0.75, 8, 2, {"the judge did not answer": 2})
    assert (mean.worst, mean.best) == (pytest.approx(0.6), pytest.approx(0.8))


def test_of_a_metric_where_less_is_better_the_worst_is_the_most() -> None:
    table = a_table({"cheap": [1.0, 3.0, np.nan, np.nan]}, HARM)
    mean = mean_of(table, 0, 0, np.ones(4, dtype=bool), 0.95)
    assert mean.mean == pytest.approx(2.0)
    assert (mean.worst, mean.best) == (pytest.approx(6.0), pytest.approx(1.0))
    assert mean.low is not None and mean.high is not None and 0 <= mean.low < 2 < mean.high <= 10


def test_without_any_score_there_is_no_mean() -> None:
    mean = mean_of(a_table({"cheap": [np.nan] * 3}), 0, 0, np.ones(3, dtype=bool), 0.95)
    assert (mean.mean, mean.low, mean.worst, mean.best, mean.unscored) == (None, None, 0.0, 1.0, 3)


def test_cost_and_latency_stand_beside_quality_and_unknown_is_not_nothing() -> None:
    table = a_table(
        {"cheap": [1.0, 1.0, 0.0, 1.0]}, cost_NV=np.array([[0.1], [0.3], [np.nan], [0.2]]), latency_NV=np.array([[1.0], [2], [3], [np.nan]])
    )
    (side,) = overall(table, 0.95)
    assert (side.cost_usd, side.unpriced, side.cost_usd_per_1k) == (None, 1, pytest.approx(200.0))
    assert (side.p50_s, side.p95_s, side.timed) == (2.0, pytest.approx(2.9), 3)


def test_a_part_has_the_items_of_its_value_alone() -> None:
    tags = [{"tier": "gold"}] * 3 + [{"tier": "plain"}] * 5 + [{}] * 2
    table = a_table({"cheap": [1.0] * 3 + [0.0] * 5 + [1.0] * 2}, tags=tags)
    found = {part.value: part.sides[0].means[0].mean for part in parts(table, "tier", [tag.get("tier") for tag in tags], 0.95)}
    assert found == {"plain": 0.0, "gold": 1.0}


def test_small_groups_of_people_are_not_shown_nor_what_would_tell_of_one() -> None:
    """Of 40, 25 and 3 the last is too small, and with it goes the smaller of the others: else the whole less the two would be the three."""
    tags = [{"age": "a"}] * 40 + [{"age": "b"}] * 25 + [{"age": "c"}] * 3
    table = a_table({"cheap": [1.0] * 34 + [0.0] * 34}, tags=tags)
    found = people(table, ["age"], 20, 0.95)
    assert [part.value for part in found.parts] == ["a"]
    assert [(left.by, left.groups) for left in found.suppressed] == [("age", 2)]
    assert found.gaps == []


def test_people_are_counted_by_group_not_by_item() -> None:
    """Thirty calls of two people are two people."""
    tags = [{"age": "a"}] * 30 + [{"age": "b"}] * 30
    table = a_table({"cheap": [1.0] * 60}, groups=[f"p{n // 15}" for n in range(60)], tags=tags)
    assert people(table, ["age"], 20, 0.95).parts == []


def test_the_gap_between_groups_of_people_is_told() -> None:
    tags = [{"age": "a"}] * 30 + [{"age": "b"}] * 30
    table = a_table({"cheap": [1.0] * 30 + [1.0] * 15 + [0.0] * 15}, tags=tags)
    (gap,) = people(table, ["age"], 20, 0.95).gaps
    assert (gap.lowest, gap.highest, gap.gap) == ("b", "a", 0.5)


def test_variants_are_compared_with_the_reference_on_items_that_both_have() -> None:
    table = a_table({"frontier": [1.0] * 30 + [np.nan] * 5, "cheap": [0.0] * 20 + [1.0] * 15})
    (found,) = differences(table, "frontier", False, 0.95, 0.02)
    assert (found.first, found.second, found.n, found.verdict) == ("cheap", "frontier", 30, "worse")
    assert found.difference == pytest.approx(-20 / 30)


def test_where_less_is_better_less_is_better() -> None:
    rng = np.random.default_rng(0)
    table = a_table({"frontier": 5 + rng.random(60), "cheap": 1 + rng.random(60)}, HARM)
    (found,) = differences(table, "frontier", False, 0.95, 0.02)
    assert (found.verdict, round(found.difference)) == ("better", -4)


# The scorecard.


def a_mixed_table(n: int = 600, seed: int = 0) -> Table:
    """The small model is as good on easy items, and much worse on hard ones."""
    rng = np.random.default_rng(seed)
    is_easy = rng.random(n) < 0.5
    frontier = np.where(rng.random(n) < 0.9, 1.0, 0.0)
    small = np.where(is_easy, np.where(rng.random(n) < 0.99, 1.0, 0.0), np.where(rng.random(n) < 0.4, 1.0, 0.0))
    return a_table({"frontier": frontier, "small": small}, tags=[{"kind": "easy" if one else "hard"} for one in is_easy])


def fixed(table: Table, chosen: Any) -> Targets:
    return Targets(scorer="correct", reference="frontier", margin=0.05, confidence=0.95, data=table.data, chosen=chosen)


def test_where_the_small_model_beats_the_frontier_is_chosen_on_one_half_and_confirmed_on_the_other() -> None:
    table = a_mixed_table()
    values = {"kind": [tag["kind"] for tag in table.tags]}
    chosen = choose(table, "frontier", values, 0.95, 0.05)
    assert [(target.value, target.claim) for target in chosen] == [("easy", "better")]
    (line,) = confirm(table, fixed(table, chosen), values, 1)
    assert line.is_confirmed
    assert line.difference is not None and 0.03 < line.difference < 0.2
    assert line.n + chosen[0].n == sum(tag["kind"] == "easy" for tag in table.tags)


def test_choosing_looks_at_its_own_half_alone() -> None:
    """Whatever the scores of the other half are, the targets are the same: they are not scored yet."""
    table = a_mixed_table()
    values = {"kind": [tag["kind"] for tag in table.tags]}
    unseen = table.score_SNV.copy()
    unseen[:, ~table.selects_N, :] = np.nan
    blind = a_table({"frontier": unseen[0, :, 0], "small": unseen[0, :, 1]}, tags=table.tags)  # type: ignore[arg-type]
    assert choose(blind, "frontier", values, 0.95, 0.05) == choose(table, "frontier", values, 0.95, 0.05)


def test_what_only_looked_good_where_it_was_chosen_is_hardly_ever_confirmed() -> None:
    """Twenty parts in which two variants are alike, 200 draws: a false confirmation in at most 5 % of them (and chance)."""
    rng, false = np.random.default_rng(3), 0
    for _ in range(200):
        n = 800
        tags = [{"kind": f"k{code}"} for code in rng.integers(0, 20, n)]
        table = a_table({"frontier": (rng.random(n) < 0.8).astype(float), "small": (rng.random(n) < 0.8).astype(float)}, tags=tags)
        values = {"kind": [tag["kind"] for tag in tags]}
        chosen = [target for target in choose(table, "frontier", values, 0.95, 0.0) if target.claim == "better"]
        false += any(line.is_confirmed for line in confirm(table, fixed(table, tuple(chosen)), values, 1))
    assert false / 200 <= 0.05 + 0.03


def test_asking_the_same_half_about_another_list_takes_more() -> None:
    table = a_mixed_table(90, 2)
    values: dict[str, Sequence[str | None]] = {"kind": [tag["kind"] for tag in table.tags]}
    chosen = choose(table, "frontier", values, 0.95, 0.05)
    lines = [confirm(table, fixed(table, chosen), values, attempt) for attempt in (1, 40)]
    assert lines[0][0].p_adjusted == lines[1][0].p_adjusted
    assert lines[0][0].is_confirmed and not lines[1][0].is_confirmed


# The gate.


def an_evaluation(table: Table, reference: str | None = "frontier") -> Evaluation:
    asked = Asked(
        task="triage", variants=table.variants, reference=reference, scorers=("correct",), dataset=None, limit=None, seed=0, margin=0.02
    )
    return Evaluation(
        id="e1", asked=asked, metrics=table.metrics, begun=NOON, ended=NOON, items=len(table), frame=len(table), groups=len(table),
        data=table.data, sides=overall(table, 0.95), differences=tuple(differences(table, reference, False, 0.95, 0.02)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "is_met"),
    [
        ("correct>=0.75", True),
        ("correct >= 0.9", False),
        ("correct.low>=0.75", False),
        ("correct.worst>=0.7", True),
        ("correct.unscored<=0", True),
        ("frontier:correct>=0.95", True),
        ("cost_usd<=0.05", True),
        ("cost_usd_per_1k<1", False),
        ("p95_s<=0.5", True),
        ("answered>=1", True),
        ("difference(cheap,frontier)>=-0.25", True),
        ("difference(cheap, frontier).low >= -0.1", False),
        ("difference(frontier,cheap).high<=0.5", True),
    ],
)
def test_requirements(said: str, is_met: bool) -> None:
    table = a_table({"frontier": [1.0] * 40, "cheap": [1.0] * 32 + [0.0] * 8})
    found = an_evaluation(table)
    (required,) = gate.judge(found, [gate.read(said, table.variants, ["correct"])])
    assert required.is_met is is_met
    assert required.measured is not None


def test_a_requirement_is_of_every_candidate_and_of_a_reference_alone() -> None:
    table = a_table({"frontier": [1.0] * 4, "one": [1.0] * 4, "two": [0.0] * 4})
    found = gate.judge(an_evaluation(table), [gate.read("correct>=0.5", table.variants, ["correct"])])
    assert [(one.variant, one.is_met) for one in found] == [("one", True), ("two", False)]
    alone = a_table({"frontier": [1.0] * 4})
    (required,) = gate.judge(an_evaluation(alone), [gate.read("correct>=0.5", alone.variants, ["correct"])])
    assert (required.variant, required.is_met) == ("frontier", True)


def test_what_could_not_be_measured_does_not_hold() -> None:
    table = a_table({"frontier": [1.0, np.nan], "cheap": [np.nan, np.nan]})
    found = gate.judge(an_evaluation(table), [gate.read(said, table.variants, ["correct"]) for said in ("correct<=1", "cost_usd<=9")])
    assert [(one.is_met, one.why != "") for one in found] == [(False, True), (False, True)]


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ("correct", "is no requirement"),
        ("corect>=0.9", r"no scorer.*Did you mean 'correct'\?"),
        ("correct.lo>=0.9", r"no 'lo' of it.*'low'"),
        ("difference(cheep,frontier)>=0", r"'cheep' is not evaluated.*'cheap'"),
        ("correct>=1.2.3", "'1.2.3' is no number"),
    ],
)
def test_what_is_no_requirement_is_refused_with_what_there_is(said: str, match: str) -> None:
    with pytest.raises(CallerError, match=match):
        gate.read(said, ("frontier", "cheap"), ["correct"])


def test_names_of_scorers_may_hold_colons_and_dots() -> None:
    found = gate.read("cheap:numeric:0.01.low>=0.5", ("frontier", "cheap"), ["numeric:0.01", "numeric"])
    assert (found.variant, found.name, found.field) == ("cheap", "numeric:0.01", "low")
