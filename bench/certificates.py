"""Do certificates hold, and what do they let through? Certification repeated on populations whose true losses are known.

    bench/certificates.py [--quick] [--check] [--out FILE]

The population is the data at hand, and the loss of any policy on it is known exactly. In five folds the product develops everything on
four fifths (predictors, family, thresholds, a head where there is one) and decides on the fifth, so that every item is decided by
policies that never saw it. A draw takes n calibration items with replacement, walks the product's fixed sequence over their losses and
keeps the policy that saves most among those that passed; it is a violation where that policy loses more than `max_loss` in the
population. `certified` is the mean saving in the population, 0 for a draw without a certificate.

Beside it stand ways that look alike and guarantee nothing: `plug_in` takes the policy that saves most among those whose calibration
mean is within the floor; `best_of_20_seeds` certifies with 20 seeds at full δ each and keeps the best; `per_item` treats dependent items
as independent. `edge` tests the first policy that is really above the floor and nothing before it: how near the bound itself comes to δ.
"""

import gzip
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data import need, run
from freehold.chat import Usage
from freehold.datasets.pairs import Pairs
from freehold.evaluation import bounds
from freehold.journal.call import LabelDesign
from freehold.pricing.book import PriceBook
from freehold.promotion.develop import Developed, Goal, add_head, develop
from freehold.promotion.family import STEPS, choices, choose_family
from freehold.promotion.fit import FOLDS, folds
from freehold.promotion.walk import Exam, Losses, walk
from freehold.routing.embed import Embedder
from freehold.routing.scorer import Scored
from harness import arguments, emit
from routing import minilm, routellm

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

DELTA = 0.05
FLOORS = (0.01, 0.02, 0.05)
ATTEMPTS = 20
REFERENCE = "gpt-4o-2024-08-06"


def _census(count: int) -> tuple[LabelDesign, ...]:
    """Every item labelled."""
    design: LabelDesign = "census"
    return (design,) * count


def pairs_of(task: str, texts: Sequence[str], variants: tuple[str, ...], score_NV: Floats, cost_NV: Floats) -> Pairs:
    """Paired items that are all labelled and all independent."""
    count = len(texts)
    return Pairs(
        task=task,
        reference=variants[0],
        metric="correct",
        is_deterministic=False,
        variants=variants,
        items=tuple(f"{task}:{i}" for i in range(count)),
        groups=tuple(f"{task}:{i}" for i in range(count)),
        texts=tuple(texts),
        tags=({},) * count,
        at_N=np.full(count, -1),
        score_NV=score_NV,
        loss_NV=score_NV[:, :1] - score_NV,
        cost_NV=cost_NV,
        latency_NV=np.full(score_NV.shape, np.nan),
        answer_NV=np.zeros(score_NV.shape, dtype=np.int64),
        answers=(),
        truth_N=np.full(count, -1),
        asked_N=np.ones(count, dtype=np.int64),
        designs=_census(count),
        inclusion_N=np.ones(count),
    )


def two_models(task: str, most: int | None) -> tuple[Pairs, Pairs]:
    """RouteLLM's two models; a call to the weak one costs nothing, so a saving is a share of calls."""
    recorded = routellm(task)
    keep = np.random.default_rng(0).permutation(len(recorded.texts))[:most]
    score_NV = np.column_stack([recorded.strong_N, recorded.weak_N])[keep]
    pairs = pairs_of(task, [recorded.texts[i] for i in keep], ("strong", "weak"), score_NV, np.tile([1.0, 0.0], (len(keep), 1)))
    return pairs, pairs


def intents(most: int | None) -> tuple[Pairs, Pairs]:
    """BANKING77 answered by a teacher that is always right; what may answer instead is a head."""
    with gzip.open(need("banking77") / "data.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))[:most]]
    ones = np.ones((len(rows), 1))
    pairs = pairs_of("banking77", [row["text"] for row in rows], ("teacher",), ones, ones)
    answers = sorted({row["label"] for row in rows})
    answer_N1 = np.array([[answers.index(row["label"])] for row in rows])
    pairs = replace(pairs, metric="agreement", is_deterministic=True, answers=tuple(answers), answer_NV=answer_N1)
    return pairs, pairs


def many_models() -> tuple[Pairs, Pairs]:
    """ZeroEval's GSM8K: the reference and every model with an exact price, and the same with all models that answered everything."""
    folder = need("zeroeval")
    prompts = {row["prompt_id"]: row for row in pq.read_table(folder / "prompts.parquet").to_pylist() if row["task"] == "gsm"}
    place = {prompt: n for n, prompt in enumerate(prompts)}
    records = [row for row in pq.read_table(folder / "records.parquet").to_pylist() if row["task"] == "gsm"]
    models = sorted({row["model"] for row in records} - {REFERENCE})
    book, variants = PriceBook(), (REFERENCE, *models)
    score_NV, cost_NV = np.full((2, len(prompts), len(variants)), np.nan)
    for row in records:
        where = place[row["prompt_id"]], variants.index(row["model"])
        usage = Usage(input_tokens=prompts[row["prompt_id"]]["est_in_tokens"], output_tokens=row["est_out_tokens"])
        cost = book.cost(row["model"], usage)
        score_NV[where], cost_NV[where] = row["correct"], np.nan if cost is None else cost
    recorded = pairs_of("zeroeval-gsm", [row["question"] for row in prompts.values()], variants, score_NV, cost_NV)
    priced = tuple(v for n, v in enumerate(variants) if not np.isnan(cost_NV[:, n]).any() and not np.isnan(score_NV[:, n]).any())
    return recorded.columns(priced), recorded


class Population:
    """Items with what the product, developed on four fifths of them, says of the other fifth."""

    def __init__(self, pairs: Pairs, recorded: Pairs, embedder: Embedder | None, head: str | None = None, seed: int = 0) -> None:
        self.fold_N = folds(np.arange(len(pairs)), seed)
        self.made: list[Developed] = []
        self.texts = pairs.texts
        losses, costs = [], []
        for fold in range(FOLDS):
            train_N = self.fold_N != fold
            its, scored_head = pairs, None
            if head is not None:
                its, score, confidence_N = add_head(pairs, train_N, head, 0.0, seed)
                scored_head = (score, confidence_N)
            goal = Goal(FLOORS[-1], DELTA, len(pairs), True, None, seed)
            self.made.append(develop(its, recorded, train_N, goal, embedder, scored_head))
            losses.append(its.loss_NV)
            costs.append(its.cost_NV)
        self.loss_NV = np.stack(losses)[self.fold_N, np.arange(len(pairs))]
        self.cost_NV = np.stack(costs)[self.fold_N, np.arange(len(pairs))]
        self._scored = cache(self._score)

    def _score(self, fold: int, kind: str) -> Scored:
        made = self.made[fold]
        predictor = made.fitted[kind].predictor if made.scorer.predicted else None
        return replace(made.scorer, predictor=predictor).score([self.texts[i] for i in np.flatnonzero(self.fold_N == fold)])

    def policies(self, epsilon: float, delta: float, units: int, is_exact: bool) -> "Policies":
        """The sequence to test: in each fold the family that the product chooses there for this goal, step by step of traffic."""
        choice_TN = np.zeros((STEPS, len(self.texts)), dtype=np.int64)
        bets: tuple[bounds.Bets, ...] = ()
        kinds = []
        for fold, made in enumerate(self.made):
            rehearsal = made.rehearsal._replace(epsilon=epsilon, delta=delta, units=units, is_exact=is_exact)
            family = choose_family(rehearsal, made.candidates, made.fitted)
            if family is None:
                continue
            kinds.append(family.predictor)
            step_T = np.ceil(np.arange(1, STEPS + 1) * len(family.threshold_T) / STEPS).astype(np.int64) - 1
            scored = self._scored(fold, family.predictor)
            choice_TN[:, self.fold_N == fold] = choices(scored.loss_NV, scored.cost_NV, family, self.loss_NV.shape[1])[step_T]
            if not is_exact and not bets:
                trained_TM = choices(made.fitted[family.predictor].oof_NV, rehearsal.predicted_cost_NV, family, self.loss_NV.shape[1])
                loss_TM = np.take_along_axis(rehearsal.loss_NV.T[None], trained_TM[step_T][:, None, :], axis=1)[:, 0, :]
                alone_M = np.arange(loss_TM.shape[1])
                bets = tuple(bounds.bets_from(bounds.units(loss_M, alone_M, 1, 0), epsilon) for loss_M in loss_TM)
        if not kinds:
            choice_TN = choice_TN[:0]
        rows = np.arange(len(self.texts))
        return Policies(self.loss_NV[rows, choice_TN], 1.0 - self.cost_NV[rows, choice_TN] / self.cost_NV[:, 0].mean(), bets, kinds)


class Policies(NamedTuple):
    """A sequence of policies on a population, from the reference outward."""

    loss_TN: Floats
    saved_TN: Floats
    """What each saves on an item, in mean costs of the reference."""
    bets_T: tuple[bounds.Bets, ...]
    kinds: list[str]
    """The predictor of each fold."""

    @property
    def risk_T(self) -> Floats:
        """True losses."""
        return np.asarray(self.loss_TN.mean(axis=1), dtype=np.float64)

    @property
    def saving_T(self) -> Floats:
        """True savings."""
        return np.asarray(self.saved_TN.mean(axis=1), dtype=np.float64)


Choose: TypeAlias = Callable[[Policies, Ints], int]
"""From the policies and the drawn items to the policy that is certified; -1 for none."""


def certify_exactly(policies: Policies, epsilon: float, delta: float, drawn_M: Ints) -> int:
    """The product's walk for single items."""
    exam = Exam(epsilon, True, 1, (), 0)
    return saves_most(policies, walk(Losses(policies.loss_TN[:, drawn_M], np.arange(len(drawn_M)), None), exam, delta).passed, drawn_M)


def certify_groups(policies: Policies, epsilon: float, delta: float, drawn_M: Ints, group_M: Ints, cap: int) -> int:
    """The product's walk for groups of at most so many items."""
    exam = Exam(epsilon, False, cap, policies.bets_T, 0)
    return saves_most(policies, walk(Losses(policies.loss_TN[:, drawn_M], group_M, None), exam, delta).passed, drawn_M)


def saves_most(policies: Policies, passed: int, drawn_M: Ints) -> int:
    """Of the policies that passed, the one that saves most on the drawn items, as `certify` picks it."""
    saving_T = policies.saved_TN[:passed, drawn_M].mean(axis=1)
    return int(np.argmax(saving_T)) if passed and saving_T.max() > 0 else -1


def plug_in(policies: Policies, epsilon: float, drawn_M: Ints) -> int:
    """The policy that saves most among those that seem good enough."""
    seems_T = policies.loss_TN[:, drawn_M].mean(axis=1) <= epsilon
    return int(np.argmax(np.where(seems_T, policies.saving_T, -1.0))) if seems_T.any() else -1


class Tally:
    """What became of the draws."""

    def __init__(self) -> None:
        self.saved: list[float] = []
        self.violations = 0
        self.issued = 0

    def add(self, policies: Policies, chosen: int, epsilon: float) -> None:
        self.saved.append(float(policies.saving_T[chosen]) if chosen >= 0 else 0.0)
        self.issued += chosen >= 0
        self.violations += chosen >= 0 and bool(policies.risk_T[chosen] > epsilon)

    def result(self) -> dict[str, object]:
        draws = len(self.saved)
        return {
            "certified": round(float(np.mean(self.saved)), 4),
            "issued": round(self.issued / draws, 4),
            "violations": round(self.violations / draws, 4),
            "interval": [round(x, 4) for x in bounds.binomial_interval(self.violations, draws)],
        }


def cell(population: Population, epsilon: float, n: int, draws: int) -> dict[str, object]:
    """Certification of single items at one floor and one size."""
    policies = population.policies(epsilon, DELTA, n, True)
    rng = np.random.default_rng([n, int(1000 * epsilon)])
    certified, plugged, edge = Tally(), Tally(), Tally()
    above = np.flatnonzero(policies.risk_T > epsilon)
    for _ in range(draws):
        drawn_M = rng.integers(0, len(population.texts), n)
        certified.add(policies, certify_exactly(policies, epsilon, DELTA, drawn_M), epsilon)
        plugged.add(policies, plug_in(policies, epsilon, drawn_M), epsilon)
        if len(above):
            first = Policies(policies.loss_TN[above[:1]], np.ones_like(policies.loss_TN[above[:1]]), (), [])
            edge.add(first, certify_exactly(first, epsilon, DELTA, drawn_M), epsilon)
    within_T = policies.risk_T <= epsilon
    return certified.result() | {
        "attainable": round(float(policies.saving_T[within_T].max(initial=0.0)), 4),
        "predictors": policies.kinds,
        "plug_in": plugged.result(),
        "edge": {"risk": round(float(policies.risk_T[above[0]]), 5), **edge.result()} if len(above) else None,
    }


def single_items(population: Population, sizes: tuple[int, ...], draws: int) -> dict[str, dict[str, object]]:
    """Every size and floor."""
    out: dict[str, dict[str, object]] = {}
    for n in sizes:
        cells = {f"{epsilon:g}": cell(population, epsilon, n, draws) for epsilon in FLOORS}
        out[f"n{n}"] = {"certified": cells[f"{FLOORS[-1]:g}"]["certified"], "floors": cells}
    return out


def groups(population: Population, size_N: Ints, count: int, draws: int) -> dict[str, object]:
    """Certification where every item comes `size_N` times, as near copies in one conversation would; `count` groups are drawn."""
    copy_C = np.repeat(np.arange(len(size_N)), size_N)
    start_N = np.cumsum(size_N) - size_N
    cells = {}
    for epsilon in FLOORS:
        each = population.policies(epsilon, DELTA, count, False)
        policies = each._replace(loss_TN=each.loss_TN[:, copy_C], saved_TN=each.saved_TN[:, copy_C])
        rng = np.random.default_rng([int(size_N.max()), int(size_N.sum()), int(1000 * epsilon)])
        certified, per_item = Tally(), Tally()
        for _ in range(draws):
            drawn_G = rng.integers(0, len(size_N), count)
            group_M = np.repeat(np.arange(count), size_N[drawn_G])
            drawn_M = (
                start_N[drawn_G][group_M]
                + np.arange(len(group_M))
                - np.repeat(np.cumsum(size_N[drawn_G]) - size_N[drawn_G], size_N[drawn_G])
            )
            certified.add(policies, certify_groups(policies, epsilon, DELTA, drawn_M, group_M, int(size_N.max())), epsilon)
            per_item.add(policies, certify_exactly(policies, epsilon, DELTA, drawn_M), epsilon)
        cells[f"{epsilon:g}"] = certified.result() | {"per_item": per_item.result()}
    return worst(cells) | {"groups": count, "mean_size": float(size_N.mean()), "floors": cells}


def larger_where_harder(population: Population) -> Ints:
    """Sizes 1 and 20: one item in ten of those on which the cheap model does harm comes twenty times, of the others one in fifty."""
    harmed_N = population.loss_NV[:, 1] > 0
    return np.where(np.random.default_rng(7).random(len(harmed_N)) < np.where(harmed_N, 0.1, 0.02), 20, 1)


def attempts(populations: Sequence[Population], n: int, draws: int) -> dict[str, object]:
    """Twenty attempts on the same calibration items, each with another seed: a violation is any false certificate among them."""
    cells = {}
    for epsilon in FLOORS:
        shares = [bounds.spend(DELTA, k + 1) for k in range(len(populations))]
        spent = [p.policies(epsilon, share, n, True) for p, share in zip(populations, shares, strict=True)]
        free = [p.policies(epsilon, DELTA, n, True) for p in populations]
        rng = np.random.default_rng([n, int(1000 * epsilon), len(populations)])
        issued, violated, violated_free, violated_best = 0, 0, 0, 0
        for _ in range(draws):
            drawn_M = rng.integers(0, len(populations[0].texts), n)
            each = [(p, certify_exactly(p, epsilon, share, drawn_M)) for p, share in zip(spent, shares, strict=True)]
            issued += any(chosen >= 0 for _, chosen in each)
            violated += any(chosen >= 0 and p.risk_T[chosen] > epsilon for p, chosen in each)
            at_will = [(p, chosen) for p in free if (chosen := certify_exactly(p, epsilon, DELTA, drawn_M)) >= 0]
            violated_free += any(p.risk_T[chosen] > epsilon for p, chosen in at_will)
            if at_will:
                p, chosen = max(at_will, key=lambda each: float(each[0].saved_TN[each[1], drawn_M].mean()))
                violated_best += bool(p.risk_T[chosen] > epsilon)
        cells[f"{epsilon:g}"] = {
            "issued": round(issued / draws, 4),
            "violations": round(violated / draws, 4),
            "interval": [round(x, 4) for x in bounds.binomial_interval(violated, draws)],
            "any_of_20_seeds": _rate(violated_free, draws),
            "best_of_20_seeds": _rate(violated_best, draws),
        }
    return worst(cells) | {"attempts": len(populations), "n": n, "floors": cells}


def _rate(count: int, draws: int) -> dict[str, object]:
    return {"violations": round(count / draws, 4), "interval": [round(x, 4) for x in bounds.binomial_interval(count, draws)]}


def worst(cells: dict[str, dict[str, object]]) -> dict[str, object]:
    """The most violations over the cells, and their interval."""
    most = max(cells.values(), key=lambda each: float(str(each["violations"])))
    return {"violations": most["violations"], "interval": most["interval"]}


def worst_of(*sizes: dict[str, dict[str, object]]) -> dict[str, object]:
    """The most violations over sizes and floors."""
    cells: dict[str, dict[str, object]] = {}
    for number, by_size in enumerate(sizes):
        for n, each in by_size.items():
            floors = each["floors"]
            assert isinstance(floors, dict)
            cells |= {f"{number} {n} {floor}": cell for floor, cell in floors.items()}
    return worst(cells)


def say(text: str) -> None:
    """Progress, for people who wait."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    args = arguments(__doc__)
    quick = args.quick
    draws, most = (100, 700) if quick else (500, None)
    sizes = (500, 1000) if quick else (1000, 2000)
    say("MMLU")
    pairs, recorded = two_models("mmlu", most)
    mmlu = Population(pairs, recorded, None)
    by_embedder = {"hashed": single_items(mmlu, sizes, draws)}
    embedder = None if quick else minilm()
    if embedder is not None:
        mmlu = Population(pairs, recorded, embedder)
        by_embedder["minilm"] = single_items(mmlu, sizes, draws)
    result: dict[str, object] = {"draws": draws, "delta": DELTA, "max_loss": FLOORS}
    result["mmlu"] = worst_of(*by_embedder.values()) | {"items": len(pairs)} | by_embedder
    say("groups")
    everyone = np.ones(len(pairs), dtype=np.int64)
    for size in (5, 20):
        result[f"groups_of_{size}"] = groups(mmlu, size * everyone, 200 if quick else 400, draws)
    result["groups_of_1_or_20"] = groups(mmlu, larger_where_harder(mmlu), 200 if quick else 400, draws)
    say("GSM8K, twenty attempts")
    pairs, recorded = two_models("gsm8k", most)
    seeds = [Population(pairs, recorded, None, seed=seed) for seed in range(2 if quick else ATTEMPTS)]
    gsm8k = single_items(seeds[0], sizes[-1:], draws)
    result["gsm8k"] = worst_of(gsm8k) | {"items": len(pairs)} | gsm8k
    result["attempts_20"] = attempts([seeds[k % len(seeds)] for k in range(ATTEMPTS)], 1000, draws) | {"seeds": len(seeds)}
    say("BANKING77")
    pairs, recorded = intents(most)
    banking = single_items(Population(pairs, recorded, None, "head"), sizes[-1:], draws)
    result["banking77"] = worst_of(banking) | {"items": len(pairs)} | banking
    say("ZeroEval")
    pairs, recorded = many_models()
    zeroeval = single_items(Population(pairs, recorded, None), sizes[-1:], draws)
    result["zeroeval"] = worst_of(zeroeval) | {"items": len(pairs), "priced_models": list(pairs.variants)} | zeroeval
    emit("certificates", result, args.check)


if __name__ == "__main__":
    run("certificates", main)
