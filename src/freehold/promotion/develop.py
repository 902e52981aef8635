"""Makes, from the training part alone, everything a policy decides with: a head, predictors, costs, regions, and the family to test."""

from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.datasets.pairs import Pairs
from freehold.errors import TrainingError
from freehold.promotion.family import Family, Rehearsal, choose_family
from freehold.promotion.fit import Fitted, Floats, Sample, centroids, fit_predictors, folds, pooled_loss
from freehold.routing.embed import Embedder
from freehold.routing.features import SURFACE, features
from freehold.routing.head import Head
from freehold.routing.predict import Constant, nearest_centroid
from freehold.routing.scorer import HeadScore, Scorer
from freehold.training.heads import fit_head, is_learnable
from freehold.training.project import fit_hashed_embedder

_TILT = 1e-3
"""How much predicted loss a whole unit of confidence is worth inside a step of the isotonic fit."""
_LEAST_REGION = 5
_MOST_REGIONS = 100
_LEAST_COSTED = 0.9
"""The share of items on which a cost has to be recorded for it to count as known: the rest is taken to cost the mean of these."""
_REGION_ITEMS = 40
"""About how many training items make a region."""


class Goal(NamedTuple):
    """What the policy is for."""

    epsilon: float
    """The floor."""
    delta: float
    """What may be spent."""
    units: int
    """Independent units in the calibration part."""
    is_exact: bool
    """Whether the binomial bound applies."""
    p95_s: float | None
    """The limit on latency."""
    seed: int
    """For folds and clusters."""


class Developed(NamedTuple):
    """What training made. `family` is None where nothing is expected to be provable."""

    scorer: Scorer
    family: Family | None
    rehearsal: Rehearsal
    fitted: dict[str, Fitted]
    candidates: tuple[int, ...]
    left_out: dict[str, str]
    unit: str
    """`cost`, or `calls` where costs are unknown."""


def add_trained(pairs: Pairs, train_N: NDArray[np.bool_], head: Head, name: str, cost_usd: float) -> tuple[Pairs, HeadScore, Floats]:
    """As `add_head`, with a head that was trained before, on none of these items."""
    probability_NC = head.probabilities(pairs.texts)
    with_head = head_column(pairs, head, np.argmax(probability_NC, axis=1), name, cost_usd)
    confidence_N = probability_NC.max(axis=1)
    score = HeadScore(head, *_falling(confidence_N[train_N], with_head.loss_NV[train_N, -1]))
    return with_head, score, confidence_N


def add_head(pairs: Pairs, train_N: NDArray[np.bool_], name: str, cost_usd: float, seed: int) -> tuple[Pairs, HeadScore, Floats]:
    """The pairs with a head's answers as a further column, the head, and its confidence for every item.

    It learns from the right answer where somebody recorded it, else from the reference's, on training items; training items get
    the answer of a head that was fitted without their fold. Its answer scores like an equal one: 1 if it is the right answer, what the
    variant that gave the same answer got, and otherwise 0, so that it is charged for what is not known and credited nothing.
    """
    taught_N = np.where(pairs.truth_N >= 0, pairs.truth_N, pairs.answer_NV[:, 0])
    learn = np.flatnonzero(train_N & (taught_N >= 0))
    labels = [pairs.answers[taught_N[i]] for i in learn]
    if not is_learnable(labels):
        raise TrainingError(
            f"A head for '{pairs.task}' has nothing to learn: it wants at least two distinct answers with three examples each on "
            f"average, and the training part has {len({canonical_json(label) for label in labels})} distinct among {len(labels)}."
        )
    head, oof_LC = fit_head([pairs.texts[i] for i in learn], labels, folds(pairs.group_codes[learn], seed), seed)
    probability_NC = head.probabilities(pairs.texts)
    probability_NC[learn] = oof_LC
    with_head = head_column(pairs, head, np.argmax(probability_NC, axis=1), name, cost_usd)
    confidence_N = probability_NC.max(axis=1)
    score = HeadScore(head, *_falling(confidence_N[learn], with_head.loss_NV[learn, -1]))
    return with_head, score, confidence_N


def head_column(pairs: Pairs, head: Head, class_N: NDArray[np.int64], name: str, cost_usd: float) -> Pairs:
    """The pairs with the head's answers, given as its classes, as a further column."""
    place = {canonical_json(answer): a for a, answer in enumerate(pairs.answers)}
    code_C = np.array([place.get(canonical_json(answer), -2) for answer in head.answers])
    return answer_column(pairs, code_C[class_N], name, cost_usd)


def answer_column(pairs: Pairs, answer_N: NDArray[np.int64], name: str, cost_usd: float) -> Pairs:
    """The pairs with a further column of these answers, by their places in `answers`, each of which scores like an equal one."""
    score_N = _score_like_an_equal_answer(pairs, answer_N)
    loss_N = np.nan_to_num(pairs.score_NV[:, 0], nan=1.0) - score_N
    if pairs.is_deterministic:
        loss_N = np.where(answer_N == pairs.answer_NV[:, 0], 0.0, loss_N)
    return pairs.with_column(name, answer_N, score_N, loss_N, cost_usd)


def _score_like_an_equal_answer(pairs: Pairs, answer_N: NDArray[np.int64]) -> Floats:
    score_N = np.zeros(len(answer_N))
    for v in reversed(range(len(pairs.variants))):
        same = (pairs.answer_NV[:, v] == answer_N) & ~np.isnan(pairs.score_NV[:, v])
        score_N[same] = pairs.score_NV[same, v]
    return np.where(pairs.truth_N >= 0, (answer_N == pairs.truth_N).astype(np.float64), score_N)


def _falling(confidence_N: Floats, loss_N: Floats) -> tuple[Floats, Floats]:
    """Knots of the falling function of confidence that fits the losses best (isotonic regression).

    Its flat steps are tilted a little: confidence orders items inside a step too, and a family of policies can stop between them.
    """
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(increasing=False, out_of_bounds="clip").fit(confidence_N, loss_N)
    knots_P = np.asarray(fitted.X_thresholds_, dtype=np.float64)
    return knots_P, np.asarray(fitted.y_thresholds_, dtype=np.float64) + _TILT * (1.0 - knots_P)


def develop(
    pairs: Pairs,
    recorded: Pairs,
    train_N: NDArray[np.bool_],
    goal: Goal,
    embedder: Embedder | None,
    head: tuple[HeadScore, Floats] | None,
) -> Developed:
    """Everything that is made from training items.

    `pairs` has the reference and the candidates, a head last where there is one; `recorded` the same items with every variant that was
    ever recorded, from which difficulty is learnt. `embedder` of one's own, or None to fit the download-free one.

    On one thread, so that the same data gives the same certificate on any number of cores: k-means adds up in the order in which its
    threads end. It is faster too, because the matrices are small (at 600 items a quarter of the CPU time on two busy cores).
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _develop(pairs, recorded, train_N, goal, embedder, head)


def _develop(
    pairs: Pairs,
    recorded: Pairs,
    train_N: NDArray[np.bool_],
    goal: Goal,
    embedder: Embedder | None,
    head: tuple[HeadScore, Floats] | None,
) -> Developed:
    train = pairs.rows(train_N)
    variants = len(pairs.variants)
    head_column = variants - 1 if head is not None else -1
    predicted = tuple(v for v in range(1, variants) if v != head_column)
    embedder = embedder or fit_hashed_embedder(train.texts, seed=goal.seed)
    cost_NV, unit = _costs(train)
    scorer = Scorer(
        variants=pairs.variants,
        embedder=embedder,
        predictor=None,
        predicted=predicted,
        head=head[0] if head else None,
        head_column=head_column,
        cost_V2=np.zeros((variants, 2)),
        cost_range_V2=np.zeros((variants, 2)),
        latency_V=np.full(variants, np.nan),
        centroid_KD=np.zeros((1, 1), dtype=np.float32),
        region_names=("all",),
    )
    surface_NS, x_NF = scorer.inputs(train.texts, [features(text) for text in train.texts])
    cost_V2, range_V2 = _cost_lines(cost_NV, surface_NS[:, SURFACE.index("chars")].astype(np.float64))
    drawn = draw_map(train, x_NF[:, len(SURFACE) :], goal.seed)
    scorer = replace(
        scorer,
        cost_V2=cost_V2,
        cost_range_V2=range_V2,
        latency_V=_p95(train.latency_NV),
        centroid_KD=drawn.centroid_KD,
        region_names=drawn.names,
        maps_answers=drawn.is_of_answers,
    )
    sample = Sample(
        x_NF=x_NF,
        start=len(SURFACE),
        loss_NV=train.loss_NV[:, predicted],
        pooled_N=pooled_loss(recorded.rows(train_N).score_NV),
        fold_N=folds(train.group_codes, goal.seed),
    )
    head_loss_N = head[0].predict(head[1][train_N]) if head else None
    fitted = {kind: _whole(f, variants, predicted, head_loss_N) for kind, f in _fit(sample, goal.seed).items()}
    candidates, left_out = _candidates(train, cost_NV, scorer.latency_V, goal.p95_s)
    rehearsal = Rehearsal(
        loss_NV=train.loss_NV,
        cost_NV=cost_NV,
        predicted_cost_NV=scorer.costs(surface_NS[:, SURFACE.index("chars")].astype(np.float64)),
        group_N=train.group_codes,
        epsilon=goal.epsilon,
        delta=goal.delta,
        units=goal.units,
        is_exact=goal.is_exact,
    )
    family = choose_family(rehearsal, candidates, fitted)
    if family is not None:
        scorer = replace(scorer, predictor=fitted[family.predictor].predictor if predicted else None)
    return Developed(scorer, family, rehearsal, fitted, candidates, left_out, unit)


def _fit(sample: Sample, seed: int) -> dict[str, Fitted]:
    if sample.loss_NV.shape[1] == 0:  # a head alone: its own confidence is all that predicts
        return {"confidence": Fitted(Constant(np.zeros(0)), sample.loss_NV)}
    return fit_predictors(sample, seed)


def _whole(fitted: Fitted, variants: int, predicted: tuple[int, ...], head_loss_N: Floats | None) -> Fitted:
    """The out-of-fold predictions with a column for every variant: 0 for the reference, the head's (the last) from its confidence."""
    oof = np.zeros((len(fitted.oof_NV), variants))
    oof[:, list(predicted)] = fitted.oof_NV
    if head_loss_N is not None:
        oof[:, -1] = head_loss_N
    return Fitted(fitted.predictor, oof)


def _costs(train: Pairs) -> tuple[Floats, str]:
    """Training costs and their unit: each variant's gaps filled by its mean, NaN throughout where too few are known; calls to the reference
    where its own are too few."""
    known_NV = ~np.isnan(train.cost_NV)
    cover_V = known_NV.mean(axis=0)
    if cover_V[0] < _LEAST_COSTED:
        calls = np.zeros_like(train.cost_NV)
        calls[:, 0] = 1.0
        return calls, "calls"
    mean_V = np.nansum(train.cost_NV, axis=0) / np.maximum(known_NV.sum(axis=0), 1)
    return np.where(cover_V < _LEAST_COSTED, np.nan, np.where(known_NV, train.cost_NV, mean_V)), "cost"


def _cost_lines(cost_NV: Floats, chars_N: Floats) -> tuple[Floats, Floats]:
    """Cost as a line over the input's length, by least squares, and the range it was seen in."""
    spread = chars_N - chars_N.mean()
    slope_V = np.maximum(spread @ (cost_NV - cost_NV.mean(axis=0)) / max(float(spread @ spread), 1e-9), 0.0)
    line_V2 = np.column_stack([cost_NV.mean(axis=0) - slope_V * chars_N.mean(), slope_V])
    return line_V2, np.column_stack([cost_NV.min(axis=0), cost_NV.max(axis=0)])


def _p95(latency_NV: Floats) -> Floats:
    out = np.full(latency_NV.shape[1], np.nan)
    for v in range(latency_NV.shape[1]):
        seen = latency_NV[~np.isnan(latency_NV[:, v]), v]
        if len(seen):
            out[v] = np.quantile(seen, 0.95)
    return out


def _candidates(train: Pairs, cost_NV: Floats, latency_V: Floats, p95_s: float | None) -> tuple[tuple[int, ...], dict[str, str]]:
    """The columns that may replace the reference, and why the others may not."""
    variants = train.variants
    mean_V = cost_NV.mean(axis=0)
    kept, left_out = [], {}
    for v in range(1, len(variants)):
        if np.isnan(mean_V[v]):
            cover = float((~np.isnan(train.cost_NV[:, v])).mean())
            known = f"known for {cover:.0%} of items" if cover else "unknown"
            left_out[variants[v]] = f'its cost is {known}; set [models."{variants[v]}"] price'
        elif mean_V[v] >= mean_V[0]:
            left_out[variants[v]] = "it costs no less than the reference"
        elif p95_s is not None and not latency_V[v] <= p95_s:
            seen = "unknown" if np.isnan(latency_V[v]) else f"{latency_V[v]:.2f} s"
            left_out[variants[v]] = f"its 95th percentile of latency is {seen}; the task allows {p95_s:g} s"
        else:
            kept.append(v)
    return tuple(kept), left_out


class Map(NamedTuple):
    """The regions of a task's traffic."""

    centroid_KD: NDArray[np.float32]
    """Their centres."""
    names: tuple[str, ...]
    """What they are called."""
    is_of_answers: bool
    """Whether each is what resembles the inputs of one answer."""


def draw_map(train: Pairs, embedding_ND: Floats, seed: int) -> Map:
    """The regions of a task's traffic.

    Where the reference's answers are few, a region is what resembles the inputs of one answer and is called by it; elsewhere regions are
    clusters, called by their telling words.
    """
    code_N = train.answer_NV[:, 0]
    counts = {a: int(n) for a, n in zip(*np.unique(code_N[code_N >= 0], return_counts=True), strict=True) if n >= _LEAST_REGION}
    if train.answers and 2 <= len(counts) <= _MOST_REGIONS and is_learnable([train.answers[a] for a in code_N if a >= 0]):
        centres = [embedding_ND[code_N == a].mean(axis=0) for a in counts]
        named = [_spoken(train.answers[a]) for a in counts]
        if len(set(named)) == len(named):
            return Map(np.asarray(centres, dtype=np.float32), tuple(named), True)
    centroid_KD = centroids(embedding_ND, max(2, min(24, len(train) // _REGION_ITEMS)), seed)
    return Map(centroid_KD, region_names(train.texts, nearest_centroid(embedding_ND, centroid_KD)[0], len(centroid_KD)), False)


def _spoken(answer: JSON) -> str:
    """An answer as the name of a region."""
    words = answer if isinstance(answer, str) else canonical_json(answer).decode()
    return " ".join(words.replace("_", " ").split())[:60] or "(empty)"


def region_names(texts: tuple[str, ...], region_N: NDArray[np.int64], count: int) -> tuple[str, ...]:
    """Two or three telling words for each region: those whose frequency there says most beyond their frequency everywhere. Distinct.

    A word is worth p·log(p/q), its term of the divergence between the region's share of texts with it, p, and everybody's, q; words
    that stand in a sixth of all texts or more tell nothing.
    """
    words_of = [set(_words(text)) for text in texts]
    everywhere = Counter(word for words in words_of for word in words)
    names: list[str] = []
    for k in range(count):
        members = [words_of[i] for i in np.flatnonzero(region_N == k)]
        here = Counter(word for words in members for word in words if everywhere[word] * 6 < len(texts) + 6)
        worth = {w: n / (len(members) + 2) * np.log((n / (len(members) + 2)) * len(texts) / everywhere[w]) for w, n in here.items()}
        telling = sorted(worth, key=lambda w: (-worth[w], w))[:3]
        name = next((n for n in (" ".join(telling[:2]), " ".join(telling)) if n and n not in names), f"region {k + 1}")
        names.append(name)
    return tuple(names)


def _words(text: str) -> list[str]:
    return [w for w in "".join(c.lower() if c.isalpha() else " " for c in text[:2000]).split() if 3 < len(w) <= 24]
