"""How much there is to learn from an item: what the rules of review queues choose by. Pure but for the head that one of them fits.

Whatever looks at labels looks at those of training items alone, so that for an item that is to prove something the probability of being drawn
was fixed before anything was known of its own label.
"""

from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.chat import canonical_json
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import TRAIN, Fractions, split
from freehold.errors import CallerError
from freehold.promotion.fit import folds
from freehold.routing.features import features, surface_scaled
from freehold.routing.online import OnlinePolicy
from freehold.training.heads import fit_head, is_learnable
from freehold.training.project import fit_hashed_embedder

Floats: TypeAlias = NDArray[np.float64]

CONFIDENCE = "confidence"
"""The tag by which a product's own confidence in an answer comes in."""
INSIDE, OUTSIDE = "inside", "outside"
"""Whom the two rules of a region's condition send an item to."""
LEAST_LABELLED = 40
"""Fewer labelled training items teach nothing of where losses vary; then it is where answers differ that they can."""
_LEAST_SPREAD = 0.02
"""The least mean square of a loss that is believed of any item."""
_ALPHA = 10.0


def disagreement(pairs: Pairs) -> Floats:
    """The share of an item's answers that are not the one most variants gave: 0 where all gave the same."""
    answered_NV = pairs.answer_NV >= 0
    most_N = np.zeros(len(pairs))
    for v in range(len(pairs.variants)):
        same_N = ((pairs.answer_NV == pairs.answer_NV[:, v : v + 1]) & answered_NV).sum(axis=1)
        most_N = np.maximum(most_N, np.where(answered_NV[:, v], same_N, 0))
    given_N = answered_NV.sum(axis=1)
    apart_N: Floats = 1.0 - most_N / np.maximum(given_N, 1)
    return np.where(given_N > 0, apart_N, 0.0)


def inside(pairs: Pairs, policy: OnlinePolicy) -> Floats:
    """1 for items that a policy of two rules sends to `INSIDE`, else 0."""
    chosen = [policy.choose(text, tags).decision.variant for text, tags in zip(pairs.texts, pairs.tags, strict=True)]
    return np.array([float(name == INSIDE) for name in chosen])


def unsure(pairs: Pairs, seed: int = 0) -> Floats:
    """1 less the confidence in the reference's answer: what the tag `confidence` says where items carry it, else a head's that was fitted
    to the answers of other items. Raises CallerError where there is neither."""
    tagged_N = np.array([_number(tags.get(CONFIDENCE)) for tags in pairs.tags])
    if not np.isnan(tagged_N).all():
        return 1.0 - np.clip(np.where(np.isnan(tagged_N), np.nanmean(tagged_N), tagged_N), 0.0, 1.0)
    known = np.flatnonzero(pairs.answer_NV[:, 0] >= 0)
    answers = [pairs.answers[a] for a in pairs.answer_NV[known, 0]] if pairs.answers else []
    if not is_learnable(answers):
        raise CallerError(
            f"Nobody says how sure the answers of '{pairs.reference}' are: no item has a tag '{CONFIDENCE}', and they are too many kinds, or "
            "too few of each, for a head to tell. Take --rule disagreement or interval."
        )
    head, told_LC = fit_head([pairs.texts[i] for i in known], answers, folds(pairs.group_codes[known], seed), seed)
    place = {canonical_json(answer): c for c, answer in enumerate(head.answers)}
    chosen = np.array([place[canonical_json(answer)] for answer in answers])
    unsure_N = np.zeros(len(pairs))
    unsure_N[known] = 1.0 - told_LC[np.arange(len(known)), chosen]
    return unsure_N


def spread(pairs: Pairs, tenant: str, fractions: Fractions) -> Floats:
    """The root of the mean square loss that is expected of each item, of the variant of which it is greatest.

    An estimate of the mean loss from items drawn with probability p has the variance Σ E[L²](1/p - 1), which for a given cost Σ c·p is least
    where p goes with the root of E[L²]/c (Neyman, JRSS 97 (1934) 558): there the interval is widest per unit of cost. E[L²] is learnt by
    ridge regression on labelled training items; while they are few it is the share of answers that differ, beyond which nothing is lost.
    """
    part_N = split(f"{tenant}/{pairs.task}", pairs.groups, pairs.at_N if bool((pairs.at_N >= 0).all()) else None, fractions)
    square_N = np.where(np.isnan(pairs.loss_NV[:, 1:]), -np.inf, pairs.loss_NV[:, 1:] ** 2).max(axis=1, initial=-np.inf)
    learn_N = (part_N == TRAIN) & (square_N >= 0)
    differs_N = disagreement(pairs)
    if learn_N.sum() < LEAST_LABELLED:
        return np.sqrt(np.maximum(differs_N, _LEAST_SPREAD))
    embedder = fit_hashed_embedder([text for text, learn in zip(pairs.texts, learn_N, strict=True) if learn], seed=0)
    hashed = [features(text) for text in pairs.texts]
    surface_NS = surface_scaled(np.stack([one.surface for one in hashed]))
    x_NF = np.hstack([surface_NS, embedder.embed_hashed(hashed), differs_N[:, None]]).astype(np.float64)
    x_NF = (x_NF - x_NF[learn_N].mean(axis=0)) / np.maximum(x_NF[learn_N].std(axis=0), 1e-6)
    mean = square_N[learn_N].mean()
    gram = x_NF[learn_N].T @ x_NF[learn_N] + _ALPHA * np.eye(x_NF.shape[1])
    coef_F = np.linalg.solve(gram, x_NF[learn_N].T @ (square_N[learn_N] - mean))
    expected_N: Floats = np.clip(mean + x_NF @ coef_F, _LEAST_SPREAD, 1.0)
    return np.sqrt(expected_N)


def per_cost(worth_N: Floats, chars_N: Floats, timed: list[tuple[float, float]]) -> Floats:
    """What an item is worth for what it takes: divided by the root of the seconds that a verdict on a text so long is expected to take.

    `timed`: characters and seconds of verdicts that were given; under thirty of them say nothing, and all items take the same.
    """
    if len(timed) < 30:
        return worth_N
    told = sorted(timed)
    bins = [told[round(begin) : round(end)] for begin, end in pairwise(np.linspace(0, len(told), 6))]
    length_B = np.array([np.mean([chars for chars, _ in part]) for part in bins])
    seconds_B = np.maximum.accumulate([max(0.5, float(np.median([seconds for _, seconds in part]))) for part in bins])
    return worth_N / np.sqrt(np.interp(chars_N, length_B, seconds_B))


def _number(said: str | None) -> float:
    try:
        return float(said) if said is not None else np.nan
    except ValueError:
        return np.nan
