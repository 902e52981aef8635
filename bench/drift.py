"""Does the quality alarm find a real fall, after how many labels, and how often does it cry wolf?

    bench/drift.py [--quick] [--check] [--out FILE]

llmdrift: the same API name answered the same questions in March and in June 2023. `falls`: GPT-4's answers on primes and on happy numbers, right
or wrong, fed in order of time, March before June, within a month in an order drawn anew for each of the streams (as they stand, primes come
before composites). The alarm learns its level from the first 100 labels and has the product's defaults. `labels` counts from the first of June.
`steady`: March and June shuffled into one, so that nothing changes: false alarms, per 4,000 items, with the exact Poisson interval.
`rises`: GPT-3.5, which got better: no fall is to be found.

`harm` stands beside what a fixed threshold needed before (in bench/targets.toml): a stream of harms at the floor of 2 %, then 10 or 5 points more.
`sequence`: how often a confidence sequence misses the mean of a stream at any of its moments, at 5 %, and how wide it is beside the usual
interval, which is right at one moment only. `inputs`: looks of 100 questions at OpinionQA's, steady and then GSM8K's.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.stats import chi2

from data import need, run
from freehold.evaluation.alarm import Alarm, Rule
from freehold.evaluation.bounds import binomial_interval
from freehold.evaluation.drift import carried, compare
from freehold.evaluation.sequence import Detector, Mean
from freehold.monitor.inputs import CHUNK, MOST_BEFORE, RUN_LENGTH
from freehold.routing.embed import unfitted
from harness import arguments, emit
from routing import routellm

STREAMS, QUICK_STREAMS = 500, 20
PER = 4_000
MARCH, JUNE = "0314", "0613"
TASKS = {"primes": "prime_full", "happy_numbers": "countahappynumber"}


class Months(NamedTuple):
    """Right and wrong answers, in March and in June."""

    march: NDArray[np.float64]
    june: NDArray[np.float64]


def months(task: str, model: str) -> Months:
    """A model's answers to one of the tasks that have right ones."""
    rows = pq.read_table(need("llmdrift") / "records.parquet", columns=["task", "model", "id", "correct"]).to_pylist()
    found: dict[str, list[tuple[str, float]]] = {
        row["model"].split("-")[-1]: [] for row in rows if row["task"] == task and row["model"].startswith(model)
    }
    for row in rows:
        if row["task"] == task and row["model"].startswith(model):
            found[row["model"].split("-")[-1]].append((row["id"], float(row["correct"])))
    early, late = sorted(found)
    return Months(*(np.array([correct for _, correct in sorted(found[each])]) for each in (early, late)))


def falls(known: Months, streams: int) -> dict[str, float | None]:
    """In order of time: how often it goes off in June, and after how many labels; how often in March already."""
    labels, early = [], 0
    for seed in range(streams):
        rng = np.random.default_rng(seed)
        _, changes = Alarm().with_scores([*rng.permutation(known.march), *rng.permutation(known.june)])
        first = changes[0].n if changes else None
        early += first is not None and first <= len(known.march)
        if first is not None and first > len(known.march):
            labels.append(first - len(known.march))
    return {
        "march": round(float(known.march.mean()), 4),
        "june": round(float(known.june.mean()), 4),
        "fired": len(labels) / streams,
        "early": early / streams,
        "labels_median": float(np.median(labels)) if labels else None,
        "labels_90": float(np.quantile(labels, 0.9)) if labels else None,
    }


def steady(known: Months, streams: int) -> dict[str, object]:
    """Shuffled: how often it goes off though nothing changes."""
    both = np.r_[known.march, known.june]
    alarms = 0
    for seed in range(streams):
        _, changes = Alarm().with_scores(np.random.default_rng([seed, 1]).permutation(both).tolist())
        alarms += sum(change.phase == "raised" for change in changes)
    return {"streams": streams, "items": streams * len(both), "alarms": alarms, **_rate(alarms, streams * len(both))}


def _rate(alarms: int, items: int) -> dict[str, object]:
    low = float(chi2.ppf(0.025, 2 * alarms)) / 2 if alarms else 0.0
    high = float(chi2.ppf(0.975, 2 * alarms + 2)) / 2
    return {
        "per_4000": round(alarms / items * PER, 5),
        "per_4000_low": round(low / items * PER, 5),
        "per_4000_high": round(high / items * PER, 5),
    }


def harm(points: float, run_length: float, streams: int) -> dict[str, float]:
    """Labels until harm of 2 % that grows by so much is found, and alarms in 4,000 items at the floor itself and at a third of it."""
    delays = []
    for seed in range(streams):
        rng = np.random.default_rng([seed, int(1000 * points)])
        delays.append(_first(rng.random(PER) >= 0.02 + points, run_length) or PER)
    quiet = {
        rate: sum(_first(np.random.default_rng([s, 9]).random(PER) >= rate, run_length) is not None for s in range(streams))
        for rate in (0.02, 0.02 / 3)
    }
    return {
        "median": float(np.median(delays)),
        "labels_90": float(np.quantile(delays, 0.9)),
        "false_at_the_floor": quiet[0.02] / streams,
        "false_at_a_third": quiet[0.02 / 3] / streams,
    }


def _first(good: NDArray[np.bool_], run_length: float) -> int | None:
    detector = Detector(level=0.98, finds="fall")
    for n, each in enumerate(good, start=1):
        detector = detector.with_score(float(each))
        if detector.evidence >= run_length:
            return n
    return None


def sequences(streams: int) -> dict[str, object]:
    """Coverage at every moment of 1,000 scores, and widths."""
    told: dict[str, object] = {}
    for mean in (0.5, 0.9):
        missed, widths = 0, []
        for seed in range(streams):
            scores = (np.random.default_rng([seed, int(100 * mean)]).random(1000) < mean).astype(float)
            state, outside = Mean(alpha=0.05), False
            for some in np.split(scores, 100):
                state = state.with_scores(some)
                low, high = state.interval()
                outside = outside or not low <= mean <= high
            missed += outside
            widths.append(high - low)
        usual = 2 * 1.96 * np.sqrt(mean * (1 - mean) / 1000)
        low, high = binomial_interval(missed, streams)
        told[f"mean_{round(100 * mean)}"] = {
            "missed": missed / streams,
            "missed_low": round(low, 4),
            "missed_high": round(high, 4),
            "width_1000": round(float(np.mean(widths)), 4),
            "times_usual_width": round(float(np.mean(widths)) / usual, 2),
        }
    return told


def inputs(streams: int) -> dict[str, float]:
    """Looks at questions of one kind, and then of another."""
    rows = pq.read_table(need("llmdrift") / "records.parquet", columns=["task", "model", "query"]).to_pylist()
    usual = sorted({row["query"] for row in rows if row["task"] == "opinionqa"})
    other = list(routellm("gsm8k").texts)
    embedder = unfitted(128)
    usual_ND, other_ND = embedder.embed(usual), embedder.embed(other)
    false, delays, mixed = 0, [], []
    for seed in range(streams):
        rng = np.random.default_rng(seed)
        order = usual_ND[rng.permutation(len(usual))]
        false += _looks([order[i : i + CHUNK] for i in range(0, 1000, CHUNK)], rng) is not None
        new = other_ND[rng.permutation(len(other))]
        delays.append(
            _looks([*(order[i : i + CHUNK] for i in range(0, 500, CHUNK)), *(new[i : i + CHUNK] for i in range(0, 500, CHUNK))], rng, 5)
        )
        some = [np.vstack([order[500 + i : 500 + i + 70], new[i : i + 30]]) for i in range(0, 350, 70)]
        mixed.append(_looks([*(order[i : i + CHUNK] for i in range(0, 500, CHUNK)), *some], rng, 5))
    return {
        "streams": streams,
        "looks": 9,
        "false": false / streams,
        "found": sum(each is not None and each > 0 for each in delays) / streams,
        "looks_until": float(np.median([each or 99 for each in delays])),
        "found_of_30_percent": sum(each is not None and each > 0 for each in mixed) / streams,
        "looks_until_of_30_percent": float(np.median([each or 99 for each in mixed])),
    }


def _looks(chunks: Sequence[NDArray[np.float32]], rng: np.random.Generator, after: int = 0) -> int | None:
    """The look, counted from `after` chunks, at which it goes off."""
    evidence = 0.0
    for n in range(1, len(chunks)):
        before = np.vstack(chunks[:n])
        sample = before[rng.permutation(len(before))[:MOST_BEFORE]]
        evidence = carried(evidence, compare(sample, chunks[n], int(rng.integers(2**31))).p)
        if evidence >= RUN_LENGTH:
            return n + 1 - after
    return None


def main() -> None:
    """Everything."""
    args = arguments(__doc__)
    streams = QUICK_STREAMS if args.quick else STREAMS
    gpt4 = {name: months(task, "openaichat/gpt-4") for name, task in TASKS.items()}
    gpt35 = {name: months(task, "openaichat/gpt-3.5") for name, task in TASKS.items()}
    still = {name: steady(known, streams) for name, known in gpt4.items()}
    alarms, items = (sum(int(str(each[key])) for each in still.values()) for key in ("alarms", "items"))
    few = max(20, streams // 5)
    result = {
        "streams": streams,
        "rule": {"run_length": Rule().run_length, "over": Rule().over, "learn": Rule().learn},
        "falls": {name: falls(known, streams) for name, known in gpt4.items()},
        "rises": {name: falls(known, streams) for name, known in gpt35.items()},
        "steady": {**still, "all": {"alarms": alarms, "items": items, **_rate(alarms, items)}},
        "harm": {
            f"{name}_{run_length}": harm(points, run_length, few)
            for name, points in (("ten", 0.1), ("five", 0.05))
            for run_length in (1000, 10000)
        },
        "sequence": sequences(few),
        "inputs": inputs(max(5, streams // 10)),
    }
    emit("drift", result, args.check)


if __name__ == "__main__":
    run("drift", main)
