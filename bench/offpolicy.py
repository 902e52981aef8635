"""Do intervals of off-policy estimates cover, and are estimates refused that cannot be made?

    bench/offpolicy.py [--quick] [--check] [--out FILE]

RouteLLM's two models on MMLU and GSM8K: both answers to every question are known, so that the value of any policy on the questions at hand is
known exactly. A router (ridge on hashed features, out of fold) says on which questions the strong model gains most. A log draws n questions
independently, answers each by a policy that draws one of the models, and keeps the outcome of that one alone with its propensity. Targets send
the fifth, or the half, of the questions to the strong model on which it is expected to gain most. `coverage` is the share of simulated logs
whose 95 % interval holds the target's true value.

Log policies: `uniform` draws either model; `random` the strong one with .6; `softmax_05` follows the router and sends four fifths to the strong
model, with a floor of .05, so that most of what the targets choose was seen rarely; `softmax_01` is the same with a floor of .01, where
intervals are known to fail; `shadow_05` is Freehold's own exploration: the strong model answers four fifths of the questions and the weak one
the rest, and after one call in twenty the other is asked, too.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from data import run
from freehold.evaluation.offpolicy import LEAST_UNITS, Interval, Log, Refused, Value, mean_of, value_of
from freehold.routing.embed import unfitted
from harness import arguments, emit
from routing import routellm

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

LOGS, QUICK_LOGS = 200, 4
SHARES = (0.2, 0.5)
WEAK, STRONG = 0, 1


class Questions(NamedTuple):
    """Questions whose outcomes are known for both models, and what a router that never saw them says of each."""

    x_NF: Floats
    score_NV: Floats
    gap_N: Floats
    """Expected gain of the strong model."""


def questions(task: str) -> Questions:
    """A benchmark, scored out of fold."""
    recorded = routellm(task)
    x_NF = unfitted(128).embed(recorded.texts).astype(np.float64)
    score_NV = np.column_stack([recorded.weak_N, recorded.strong_N])
    gap_N, expected_N = score_NV[:, STRONG] - score_NV[:, WEAK], np.zeros(len(x_NF))
    fold_N = np.random.default_rng(0).permutation(len(x_NF)) % 5
    for fold in range(5):
        learn_N = fold_N != fold
        centre = x_NF[learn_N].mean(axis=0)
        centred, gap = x_NF[learn_N] - centre, gap_N[learn_N]
        coefficients = np.linalg.solve(centred.T @ centred + 3.0 * np.eye(x_NF.shape[1]), centred.T @ (gap - gap.mean()))
        expected_N[~learn_N] = (x_NF[~learn_N] - centre) @ coefficients
    return Questions(x_NF, score_NV, expected_N)


def chances(policy: str, gap_N: Floats) -> Floats:
    """The probability with which a log's policy asks the strong model."""
    if policy in ("uniform", "random"):
        return np.full(len(gap_N), {"uniform": 0.5, "random": 0.6}[policy])
    above_N = gap_N - np.quantile(gap_N, 0.2)
    if policy == "shadow_05":
        return np.asarray((above_N > 0).astype(np.float64))
    floor = 0.01 if policy == "softmax_01" else 0.05
    return np.asarray(np.clip(1.0 / (1.0 + np.exp(-5.0 * above_N / gap_N.std())), floor, 1.0 - floor))


def simulate(at_hand: Questions, policy: str, count: int, rng: np.random.Generator) -> tuple[Log, Ints, Floats]:
    """A log, the question of each decision, and what was answered live."""
    drawn_N = rng.integers(0, len(at_hand.gap_N), count)
    place = np.arange(count)
    if policy == "shadow_05":
        answered_N = chances(policy, at_hand.gap_N)[drawn_N].astype(np.int64)
        explored = np.flatnonzero(rng.random(count) < 0.05)
        decision_M = np.r_[place, explored]
        variant_M = np.r_[answered_N, 1 - answered_N[explored]]
        propensity_M = np.r_[np.ones(count), np.full(len(explored), 0.05)]
    else:
        chance_N = chances(policy, at_hand.gap_N)[drawn_N]
        answered_N = (rng.random(count) < chance_N).astype(np.int64)
        decision_M, variant_M, propensity_M = place, answered_N, np.where(answered_N == STRONG, chance_N, 1.0 - chance_N)
    value_M = at_hand.score_NV[drawn_N[decision_M], variant_M]
    log = Log(place, np.ones(count), at_hand.x_NF[drawn_N], decision_M, variant_M, propensity_M, value_M)
    return log, drawn_N, value_M[: len(place)]


def measure(at_hand: Questions, policy: str, count: int, logs: int) -> dict[str, object]:
    """Coverage, error and width of each estimator, over targets and simulated logs."""
    estimates: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in ("ips", "snips", "dr", "logged")}
    effective, overlap, refused = [], [], 0
    by_chance = chances(policy, at_hand.gap_N)
    logged = float((at_hand.score_NV[:, STRONG] * by_chance + at_hand.score_NV[:, WEAK] * (1 - by_chance)).mean())
    for share in SHARES:
        chosen = (at_hand.gap_N >= np.quantile(at_hand.gap_N, 1.0 - share)).astype(np.int64)
        truth = float(at_hand.score_NV[np.arange(len(chosen)), chosen].mean())
        for seed in range(logs):
            log, drawn_N, answered = simulate(at_hand, policy, count, np.random.default_rng([seed, count, int(100 * share)]))
            estimates["logged"].append((*_told(mean_of(answered, log.unit_N, log.weight_N)), logged))
            try:
                value: Value = value_of(log, chosen[drawn_N], 2, seed)
            except Refused:
                refused += 1
                continue
            effective.append(value.effective)
            overlap.append(value.overlap)
            for name in ("ips", "snips", "dr"):
                estimates[name].append((*_told(getattr(value, name)), truth))
    return {
        "refused": refused,
        "effective": round(float(np.median(effective))) if effective else None,
        "overlap": round(float(np.mean(overlap)), 4) if overlap else None,
        **{name: _summary(np.array(rows)) for name, rows in estimates.items() if rows},
    }


def _told(interval: Interval) -> tuple[float, float, float]:
    return interval.value, interval.low, interval.high


def _summary(row_K4: Floats) -> dict[str, float]:
    value_K, low_K, high_K, truth_K = row_K4.T
    return {
        "coverage": round(float(((low_K <= truth_K) & (truth_K <= high_K)).mean()), 4),
        "rmse_points": round(100.0 * float(np.sqrt(((value_K - truth_K) ** 2).mean())), 3),
        "bias_points": round(100.0 * float((value_K - truth_K).mean()), 3),
        "half_width_points": round(50.0 * float((high_K - low_K).mean()), 3),
    }


def main() -> None:
    """Every log policy on both benchmarks."""
    args = arguments(__doc__)
    quick = args.quick
    logs = QUICK_LOGS if quick else LOGS
    result: dict[str, object] = {"logs": logs * len(SHARES), "logs_each": logs, "least_units": LEAST_UNITS}
    lowest, small = 1.0, 0
    for task, count in (("mmlu", 4000), ("mmlu", 2000), ("mmlu", 1000), ("gsm8k", 900)):
        at_hand = questions(task)
        found = {policy: measure(at_hand, policy, count, logs) for policy in ("uniform", "random", "softmax_05", "softmax_01", "shadow_05")}
        result[f"{task}_{count}"] = found
        safe = [each["dr"] for policy, each in found.items() if policy != "softmax_01" and "dr" in each]
        lowest = min([lowest, *(each["coverage"] for each in safe if isinstance(each, dict))])
    result["lowest_dr_coverage"] = lowest
    tiny = questions("gsm8k")
    for seed in range(logs):
        log, drawn_N, _ = simulate(tiny, "softmax_05", 60, np.random.default_rng([seed, 1]))
        try:
            value_of(log, (tiny.gap_N[drawn_N] > 0).astype(np.int64), 2)
        except Refused as refusal:
            small += refusal.effective < LEAST_UNITS
    result["refused_of_60"] = small / logs
    emit("offpolicy", result, args.check)


if __name__ == "__main__":
    run("offpolicy", main)
