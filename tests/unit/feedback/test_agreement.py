"""Agreement against published worked examples, and against the definitions written out pair by pair."""

import gzip
import json
from collections.abc import Callable
from functools import cache
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from bench import data
from numpy.typing import NDArray

from freehold.errors import DataError
from freehold.feedback.agreement import Agreement, Level, agreement

Floats = NDArray[np.float64]
_ = np.nan

KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
        [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
    ]
).T
"""Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), example C: four observers and twelve units."""
FLEISS = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 "
    "00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)
"""Fleiss (1971), table 1: of thirty patients, how many of six psychiatrists made each of five diagnoses."""


def measured(ratings_NR: Floats, level: Level = "nominal", draws: int = 200) -> Agreement:
    return agreement(ratings_NR, level, np.random.default_rng(7), draws)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_krippendorffs_own_example_has_his_values(level: Level, alpha: float) -> None:
    """Four observers, twelve units, missing ratings."""
    assert measured(KRIPPENDORFF, level).alpha.value == pytest.approx(alpha, abs=5e-4)


def test_fleiss_psychiatrists_agree_as_he_says() -> None:
    """Kappa is .430 (p. 381)."""
    rows = [[n for n, often in enumerate(map(int, row)) for _ in range(often)] for row in FLEISS.split()]
    found = measured(np.array(rows, dtype=float))
    assert found.fleiss.value == pytest.approx(0.430, abs=5e-4)
    assert found.raw.value == pytest.approx(0.5556, abs=5e-5)


def test_gwets_example_of_the_paradox() -> None:
    """118 yes-yes, 5 yes-no, 2 no-yes and no no-no of 125: kappa is below 0 although they agree on 94 %; AC1 says .94 (Gwet 2002)."""
    two = np.array([[1, 1]] * 118 + [[1, 0]] * 5 + [[0, 1]] * 2, dtype=float)
    found = measured(two)
    assert found.gwet.value == pytest.approx(0.9408, abs=5e-5)
    assert found.cohen[0].kappa.value == pytest.approx(-0.0234, abs=5e-4)


def test_gwets_coefficients_of_the_four_raters() -> None:
    """AC1 .77544 and Fleiss' kappa .76117 on the same four raters, as Gwet (2014) generalises both to missing ratings."""
    found = measured(KRIPPENDORFF)
    assert found.gwet.value == pytest.approx(0.77544, abs=5e-6)
    assert found.fleiss.value == pytest.approx(0.76117, abs=5e-6)


# The definitions, written out.


def pairs_of(row: Floats) -> list[tuple[float, float]]:
    said = row[~np.isnan(row)]
    return [(a, b) for i, a in enumerate(said) for j, b in enumerate(said) if i != j]


def alpha_by_pairs(ratings_NR: Floats, level: Level) -> float:
    """Observed over expected disagreement, every ordered pair of values by itself."""
    units = [row[~np.isnan(row)] for row in ratings_NR if (~np.isnan(row)).sum() >= 2]
    pooled = np.concatenate(units)
    n = len(pooled)

    @cache
    def apart(a: float, b: float) -> float:
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (a - b) ** 2
        low, high = min(a, b), max(a, b)
        between = ((pooled >= low) & (pooled <= high)).sum()
        return float(between - ((pooled == low).sum() + (pooled == high).sum()) / 2) ** 2 if low != high else 0.0

    observed = sum(apart(a, b) / (len(unit) - 1) for unit in units for a, b in pairs_of(unit)) / n
    expected = sum(apart(a, b) for a, b in pairs_of(pooled)) / (n * (n - 1))
    return 1 - observed / expected


def gwet_by_pairs(ratings_NR: Floats, apart: Callable[[float, float], float]) -> float:
    """AC1 or AC2 (Gwet 2014, ch. 5): agreement of pairs, and the weighted chance of a guess."""
    values = np.unique(ratings_NR[~np.isnan(ratings_NR)])
    alike = {(a, b): 1 - apart(a, b) for a in values for b in values}
    observed = [np.mean([alike[pair] for pair in pairs]) for row in ratings_NR if (pairs := pairs_of(row))]
    said = [row[~np.isnan(row)] for row in ratings_NR if (~np.isnan(row)).any()]
    shares = {a: float(np.mean([(row == a).mean() for row in said])) for a in values}
    q = len(values)
    chance = sum(alike.values()) / (q * (q - 1)) * sum(share * (1 - share) for share in shares.values())
    return float((np.mean(observed) - chance) / (1 - chance))


def kappa_by_table(a_N: Floats, b_N: Floats) -> float:
    """Cohen (1960), from the table of the two."""
    both = ~np.isnan(a_N) & ~np.isnan(b_N)
    a, b = a_N[both], b_N[both]
    same = (a == b).mean()
    chance = sum((a == value).mean() * (b == value).mean() for value in np.unique(np.concatenate([a, b])))
    return float((same - chance) / (1 - chance))


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("seed", range(8))
def test_every_coefficient_is_its_definition(level: Level, seed: int) -> None:
    """On 20 tables of 3 to 5 raters with a fifth of the ratings missing."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, size=(25, 1))
    ratings = np.where(rng.random((25, 3 + seed % 3)) < 0.6, truth, rng.integers(0, 5, size=(25, 3 + seed % 3))).astype(float) ** 1.5
    ratings[rng.random(ratings.shape) < 0.2] = np.nan
    found = measured(ratings, level, 10)
    places = {value: n for n, value in enumerate(np.unique(ratings[~np.isnan(ratings)]))}
    span = np.nanmax(ratings) - np.nanmin(ratings)
    apart: dict[str, Callable[[float, float], float]] = {
        "nominal": lambda a, b: float(a != b),
        "ordinal": lambda a, b: ((places[a] - places[b]) / (len(places) - 1)) ** 2,
        "interval": lambda a, b: ((a - b) / span) ** 2,
    }
    assert found.alpha.value == pytest.approx(alpha_by_pairs(ratings, level))
    assert found.gwet.value == pytest.approx(gwet_by_pairs(ratings, apart[level]))
    if level == "nominal":
        assert [pair.kappa.value for pair in found.cohen] == pytest.approx(
            [kappa_by_table(ratings[:, a], ratings[:, b]) for a, b in combinations(range(ratings.shape[1]), 2)]
        )


# Intervals.


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Three raters who are right with probability .8 of two values: over 200 tables of 80 items the 95 % interval of alpha holds the
    long-run value in at least 90 %."""
    rng = np.random.default_rng(3)

    def table(items: int) -> Floats:
        truth = rng.integers(0, 2, size=(items, 1))
        return np.where(rng.random((items, 3)) < 0.8, truth, 1 - truth).astype(float)

    long_run = 0.36  # (2·.8 - 1)², the correlation of two raters
    held = 0
    for _trial in range(200):
        found = agreement(table(80), "nominal", rng, 300).alpha
        assert found.low is not None
        assert found.high is not None
        held += found.low <= long_run <= found.high
    assert held >= 180


def test_items_that_depend_on_each_other_are_drawn_together() -> None:
    """Every item ten times over makes no interval narrower once the copies are one group."""
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 2, size=(40, 1))
    once = np.where(rng.random((40, 3)) < 0.8, truth, 1 - truth).astype(float)
    copied, groups = np.repeat(once, 10, axis=0), np.repeat(np.arange(40), 10)

    def width(ratings: Floats, groups_N: NDArray[np.int64] | None) -> float:
        found = agreement(ratings, "nominal", np.random.default_rng(1), 500, groups_N=groups_N).raw
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    assert width(copied, groups) == pytest.approx(width(once, None), rel=0.1)
    assert width(copied, None) < 0.5 * width(once, None)


def test_one_seed_gives_one_answer() -> None:
    """Who computes it again gets the same interval."""
    assert measured(KRIPPENDORFF) == measured(KRIPPENDORFF)


# What cannot be measured.


def test_where_only_one_value_was_said_chance_is_not_defined() -> None:
    """All agree, and nobody could tell whether by chance: raw agreement is 1, the others have no value. Gwet's has one when told what else
    could have been said."""
    same = np.ones((10, 2))
    found = measured(same)
    assert found.raw.value == 1
    assert (found.alpha.value, found.fleiss.value, found.cohen[0].kappa.value, found.gwet.value) == (None, None, None, None)
    assert agreement(same, "nominal", np.random.default_rng(0), 10, values=(0, 1)).gwet.value == 1


def test_measurements_have_no_categories() -> None:
    """2,000 different numbers have an interval alpha and no AC2, and are no names."""
    x = np.random.default_rng(0).normal(size=(1000, 1)) + np.random.default_rng(1).normal(scale=0.1, size=(1000, 2))
    found = measured(x, "interval", 20)
    assert found.gwet.value is None
    assert found.alpha.value == pytest.approx(alpha_by_moments(x))
    with pytest.raises(DataError, match="no nominal scale"):
        measured(x, "nominal")


def alpha_by_moments(x_NR: Floats) -> float:
    """Interval alpha of a full table: within-item over total variance, each with its own divisor."""
    within = x_NR.var(axis=1, ddof=1).mean()
    return float(1 - within / x_NR.reshape(-1).var(ddof=1))


@pytest.mark.parametrize(
    ("ratings", "level", "why"),
    [
        ([[1.0, _], [_, 2.0]], "nominal", "No item of 2 has two ratings"),
        ([[1.0, np.inf]], "interval", "infinite"),
        ([[1.0, 2.0]], "ratio", "'ratio' is no level"),
        ([1.0, 2.0], "nominal", "1 axes"),
    ],
)
def test_what_is_no_table_of_ratings_is_refused(ratings: list[list[float]], level: Level, why: str) -> None:
    """With what was expected."""
    with pytest.raises(DataError, match=why):
        measured(np.array(ratings), level)


def test_a_value_nobody_declared_is_refused() -> None:
    """A 3 on a scale of 0 and 1 is a slip."""
    with pytest.raises(DataError, match="A rating is 3"):
        agreement(np.array([[0.0, 3.0]]), "nominal", np.random.default_rng(0), 10, values=(0, 1))


# Recorded people.


def rows_of(name: str, file: str) -> list[dict[str, Any]]:
    try:
        path = data.need(name) / file
    except data.NoSharedData as missing:
        pytest.skip(str(missing))
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def test_three_people_of_pandalm_agree_as_its_source_says() -> None:
    """Cohen's kappa of the pairs is .85, .88 and .86 over all 999 items; over our part it is within the interval, and the definitions'."""
    rows = rows_of("pandalm_3annotators", "pairs.jsonl.gz")
    ratings = np.array([[row[f"annotator{n}"] for n in (1, 2, 3)] for row in rows], dtype=float)
    found = measured(ratings, draws=1000)
    for pair, stated in zip(found.cohen, (0.85, 0.88, 0.86), strict=True):
        assert pair.kappa.low is not None
        assert pair.kappa.high is not None
        assert pair.kappa.low < stated < pair.kappa.high
        assert pair.kappa.value == pytest.approx(kappa_by_table(ratings[:, pair.first], ratings[:, pair.second]))
    assert found.alpha.value == pytest.approx(alpha_by_pairs(ratings, "nominal"))


@pytest.mark.parametrize("level", ["ordinal", "interval"])
def test_squality_alpha_is_its_definition(level: Level) -> None:
    """Three workers of many rate each summary from 1 to 100: alpha over ratings by item, whoever gave them, pair by pair."""
    by_item: dict[tuple[str, str, str], list[float]] = {}
    for row in rows_of("squality_human_eval", "ratings.jsonl.gz"):
        by_item.setdefault((row["passage_id"], row["question"], row["system"]), []).append(row["overall"])
    ratings = np.array(list(by_item.values()), dtype=float)
    _names, groups = np.unique([f"{passage} {question}" for passage, question, _system in by_item], return_inverse=True)
    found = agreement(ratings, level, np.random.default_rng(0), 500, groups_N=groups).alpha
    assert found.value == pytest.approx(alpha_by_pairs(ratings, level))
    assert found.low is not None
    assert found.high is not None
    assert found.low < (found.value or 0) < found.high
