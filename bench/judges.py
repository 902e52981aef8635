"""How far do people agree, how far off are judges, and do intervals from 100 labels and a judge hold what they promise?

    bench/judges.py [--quick] [--check]

On the part of PandaLM's test set that is here: pairs of answers with the verdicts of three people and of two recorded judges, each 0 where the
first answer is better, 1 where the second is, 0.5 for a tie. What is estimated is how often people prefer the second, by the mean of the three.
Intervals are drawn 500 times: 100 items at random get their people's verdicts, every item has the judge's, and it is counted how often the interval
holds the mean of all. `finite`: that of the items here, of which 100 are a seventh. `fresh`: items are drawn anew with replacement before, as from
traffic that goes on. `active`: labels are drawn where the two judges differ, four times as often as elsewhere, with their probabilities kept.
The recorded judges saw one order only, so nothing is said about what order does to them.
"""

import gzip
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import data
from freehold.evaluation import ppi
from freehold.evaluation.ppi import Estimate, Floats
from freehold.feedback.agreement import Estimate as Coefficient
from freehold.feedback.agreement import agreement
from harness import arguments, emit

LABELS = 100
_WORTH = {"0": 0.5, "1": 0.0, "2": 1.0, "tie": 0.5}
Label = Callable[[np.random.Generator, int], tuple[np.ndarray[Any, np.dtype[np.bool_]], Floats | None]]


class Verdicts(NamedTuple):
    """What people and judges said."""

    human_N3: Floats
    judge_N: dict[str, Floats]
    group_N: np.ndarray[Any, np.dtype[np.int64]]
    """Pairs of one instruction depend on each other."""
    unread: dict[str, int]
    """Verdicts of a judge that are none of the three, and so no score."""


def load() -> Verdicts:
    """All verdicts. NaN for one that is none of the three."""
    with gzip.open(data.need("pandalm_3annotators") / "pairs.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    said = {"gpt35": ("judge_gpt35", "gpt_result"), "pandalm7b": ("judge_pandalm7b", "pandalm_result")}
    judges = {name: np.array([_WORTH.get(str(row[of][what]).strip().lower(), np.nan) for row in rows]) for name, (of, what) in said.items()}
    human_N3 = np.array([[_WORTH[str(row[f"annotator{k}"])] for k in (1, 2, 3)] for row in rows])
    group_N = np.unique([f"{row['instruction']}|{row['input']}" for row in rows], return_inverse=True)[1]
    return Verdicts(human_N3, judges, group_N, {name: int(np.isnan(of).sum()) for name, of in judges.items()})


def people(found: Verdicts, draws: int) -> dict[str, object]:
    """How far the three agree."""
    made = agreement(found.human_N3, "nominal", np.random.default_rng(1), draws, values=(0.0, 0.5, 1.0), groups_N=found.group_N)
    named = {"raw": made.raw, "fleiss": made.fleiss, "alpha": made.alpha, "gwet": made.gwet}
    cohen = {f"{pair.first + 1}_{pair.second + 1}": _coefficient(pair.kappa) for pair in made.cohen}
    return {**{name: _coefficient(one) for name, one in named.items()}, "cohen": cohen}


def judged(found: Verdicts, draws: int) -> dict[str, object]:
    """Each judge against people, over all items."""
    human_N = found.human_N3.mean(axis=1)
    told: dict[str, object] = {}
    majority_N = np.array([max(set(row), key=list(row).count) for row in found.human_N3.tolist()])
    for name, judge_N in found.judge_N.items():
        whole = ppi.mean(human_N, judge_N, group_N=found.group_N)
        with_people = agreement(
            np.stack([majority_N, judge_N], axis=1),
            "nominal",
            np.random.default_rng(2),
            draws,
            values=(0.0, 0.5, 1.0),
            groups_N=found.group_N,
        )
        told[name] = {
            "bias": _rounded(whole.bias.value),
            "bias_interval": [_rounded(whole.bias.low), _rounded(whole.bias.high)],
            "agrees_with_majority": _coefficient(with_people.raw),
            "kappa_with_majority": _coefficient(with_people.cohen[0].kappa),
            "unread": found.unread[name],
        }
    return told


def coverage(human_N: Floats, judge_N: Floats, draws: int, label: Label, is_fresh: bool, seed: int) -> dict[str, float]:
    """How often intervals hold the mean of all, and how wide they are on average, with the judge and by labels alone."""
    rng, truth = np.random.default_rng(seed), human_N.mean()
    held, alone, widths, alone_widths, powers, labels = 0, 0, 0.0, 0.0, 0.0, 0
    for _ in range(draws):
        at = rng.integers(0, len(human_N), len(human_N)) if is_fresh else np.arange(len(human_N))
        is_asked_N, inclusion_N = label(rng, len(at))
        said_N = np.where(is_asked_N, human_N[at], np.nan)
        made: Estimate = ppi.mean(said_N, judge_N[at], inclusion_N=inclusion_N)
        held += made.powered.low <= truth <= made.powered.high
        alone += made.labels_only.low <= truth <= made.labels_only.high
        widths, alone_widths = widths + made.powered.width, alone_widths + made.labels_only.width
        powers, labels = powers + made.power, labels + made.labels
    return {
        "coverage": held / draws,
        "labels_only_coverage": alone / draws,
        "width": _rounded(widths / draws),
        "labels_only_width": _rounded(alone_widths / draws),
        "width_ratio": _rounded(widths / alone_widths),
        "labels_saved": _rounded(1.0 - (widths / alone_widths) ** 2),
        "power": _rounded(powers / draws),
        "labels": _rounded(labels / draws),
    }


def at_random(rng: np.random.Generator, count: int) -> tuple[np.ndarray[Any, np.dtype[np.bool_]], None]:
    """A simple random sample."""
    is_asked_N = np.zeros(count, dtype=bool)
    is_asked_N[rng.choice(count, LABELS, replace=False)] = True
    return is_asked_N, None


def where_judges_differ(found: Verdicts) -> Label:
    """Each item by itself, four times as likely where the judges differ; about as many as of a simple sample."""
    one, other = found.judge_N.values()
    weight_N = np.where(one != other, 4.0, 1.0)
    inclusion_N = np.minimum(1.0, LABELS * weight_N / weight_N.sum())
    return lambda rng, count: (rng.random(count) < inclusion_N, inclusion_N)


def main() -> None:
    args = arguments(__doc__)
    draws = 100 if args.quick else 500
    found = load()
    human_N = found.human_N3.mean(axis=1)
    judges = {**found.judge_N, "both": np.nanmean(list(found.judge_N.values()), axis=0)}
    active = where_judges_differ(found)
    intervals = {
        name: {
            "finite": coverage(human_N, judge_N, draws, at_random, False, 10),
            "fresh": coverage(human_N, judge_N, draws, at_random, True, 11),
            "active": coverage(human_N, judge_N, draws, active, False, 12),
        }
        for name, judge_N in judges.items()
    }
    every = [one for of in intervals.values() for one in of.values()]
    result = {
        "items": len(human_N),
        "instructions": int(found.group_N.max()) + 1,
        "labels": LABELS,
        "draws": draws,
        "prefer_second": _rounded(float(human_N.mean())),
        "people": people(found, 200 if args.quick else 1000),
        "judges": judged(found, 200 if args.quick else 1000),
        "intervals": intervals,
        "least_coverage": min(one["coverage"] for one in every),
        "best_width_ratio": min(of["finite"]["width_ratio"] for of in intervals.values()),
    }
    emit("judges", result, args.check)


def _coefficient(found: Coefficient) -> list[float | None]:
    return [None if one is None else _rounded(one) for one in (found.value, found.low, found.high)]


def _rounded(value: float) -> float:
    return round(float(value), 4)


if __name__ == "__main__":
    data.run("judges", main)
