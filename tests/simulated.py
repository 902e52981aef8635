"""Simulated tasks for tests: paired items whose difficulty shows in their words, answered by models of known error rates.

Messages are about one of six topics; the last two are hard, and one message in eight speaks of a second one too. A model's answer is right or
wrong at its topic's rate, independently given the topic, so that a predictor can learn where it errs and a test knows what it should
have learnt.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from freehold.catalog import Metric
from freehold.datasets.pairs import Pairs
from freehold.journal.call import LabelDesign
from freehold.promotion.certificate import Unpaired
from freehold.promotion.certify import Certification, certify
from freehold.promotion.settings import Settings
from freehold.routing.scorer import known

CORRECT = Metric(id="correct", kind="binary", deterministic=True)
GRADE = Metric(id="grade")
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
ALL_PAIRED = Unpaired(n=0, by_reason={}, differences={})

_TOPICS = (
    "card lost stolen block replacement wallet pocket street",
    "transfer pending arrived landlord account friday payment rent",
    "exchange rate abroad lisbon currency euros holiday cash",
    "passcode locked phone login forgot update screen code",
    "mortgage remortgage fixed valuation solicitor deposit lender overpay",
    "dispute refund merchant chargeback receipt faulty complaint ombudsman",
)
_COMMON = ["the", "my", "a", "to", "i", "please", "help", "with", "and", "is", "it", "on", "was", "for", "can", "you"]
HARD_FROM = 4
"""The first of the hard topics."""


class Model(NamedTuple):
    """Who answers, and how well."""

    name: str
    easy: float
    """P(wrong) on easy topics."""
    hard: float
    """P(wrong) on hard topics."""
    usd: float
    """Cost of an answer to a message of no length. NaN is unknown."""
    seconds: float = 1.0
    """Median latency; NaN is unknown."""
    per_char: float = 0.005
    """By how much of that each character makes it dearer."""


FRONTIER = Model("frontier", 0.02, 0.04, 1e-3, 1.0)
CHEAP = Model("cheap", 0.02, 0.4, 1e-4, 0.4)


def a_task(n: int = 1200, models: tuple[Model, ...] = (FRONTIER, CHEAP), seed: int = 0, group_size: int = 1, **changes: Any) -> Pairs:
    """Paired items of a census. Items of a group are about one topic and are right or wrong together."""
    rng = np.random.default_rng(seed)
    group_N = np.arange(n) // group_size
    topic_N = rng.integers(0, len(_TOPICS), group_N[-1] + 1)[group_N]
    luck_NV = rng.random((group_N[-1] + 1, len(models)))[group_N]
    texts = tuple(_text(rng, topic) for topic in topic_N)
    chars_N = np.array([len(text) for text in texts])
    rate_NV = np.array([[m.hard if topic >= HARD_FROM else m.easy for m in models] for topic in topic_N])
    is_right_NV = luck_NV >= rate_NV
    answers = tuple(f"topic {t}" for t in range(len(_TOPICS)))
    answer_NV = np.where(is_right_NV, topic_N[:, None], (topic_N[:, None] + 1) % len(_TOPICS))
    score_NV = is_right_NV.astype(np.float64)
    design: LabelDesign = "census"
    fields: dict[str, Any] = {
        "task": "triage",
        "reference": models[0].name,
        "metric": "correct",
        "is_deterministic": True,
        "variants": tuple(m.name for m in models),
        "items": tuple(f"i{i:06}" for i in range(n)),
        "groups": tuple(f"g{g:06}" for g in group_N) if group_size > 1 else tuple(f"item:i{i:06}" for i in range(n)),
        "texts": texts,
        "tags": tuple({"tier": str(tier)} for tier in rng.choice(["gold", "plain"], n, p=[0.3, 0.7])),
        "at_N": np.full(n, -1),
        "score_NV": score_NV,
        "loss_NV": score_NV[:, :1] - score_NV,
        "cost_NV": np.array([m.usd for m in models]) * (1 + chars_N[:, None] * np.array([m.per_char for m in models])),
        "latency_NV": np.array([m.seconds for m in models]) * np.exp(rng.normal(0, 0.2, (n, len(models)))),
        "answer_NV": answer_NV,
        "answers": answers,
        "truth_N": topic_N.astype(np.int64),
        "asked_N": np.ones(n, dtype=np.int64),
        "designs": (design,) * n,
        "inclusion_N": np.ones(n),
    }
    return Pairs(**fields | changes)


def _text(rng: np.random.Generator, topic: int) -> str:
    other = topic if rng.random() < 0.85 else int(rng.integers(0, len(_TOPICS)))
    telling = np.concatenate([rng.choice(_TOPICS[about].split(), 2) for about in (topic, other)])
    words = rng.permutation(np.concatenate([telling, rng.choice(_COMMON, int(rng.integers(3, 12)))]))
    return " ".join(words).capitalize() + str(rng.choice([".", "?", "!"]))


def certified(pairs: Pairs, metric: Metric = CORRECT, candidates: tuple[str, ...] | None = None, **settings: Any) -> Certification:
    """A certification of all its variants at a floor of .05, unless told otherwise."""
    chosen = pairs.variants[1:] if candidates is None else candidates
    return certify(pairs, chosen, metric, Settings(**{"max_loss": 0.05} | settings), ALL_PAIRED, NOW)


def records(pairs: Pairs, **everyone: Any) -> Iterator[dict[str, Any]]:
    """The pairs as native records, one for each item and variant that answered; `everyone` stands in all of them."""
    for i, item in enumerate(pairs.items):
        for v, variant in enumerate(pairs.variants):
            if pairs.answer_NV[i, v] < 0:
                continue
            record = {
                "task": pairs.task,
                "item": item,
                "input": pairs.texts[i],
                "variant": variant,
                "output": pairs.answers[pairs.answer_NV[i, v]],
                "cost_usd": known(pairs.cost_NV[i, v]),
                "latency_ms": known(1000 * pairs.latency_NV[i, v]),
                "scores": {pairs.metric: known(pairs.score_NV[i, v])},
                "group": None if pairs.groups[i].startswith("item:") else pairs.groups[i],
                "tags": pairs.tags[i],
            }
            yield record | everyone


def write_log(path: Path, *logs: Iterable[dict[str, Any]]) -> Path:
    """A file of native records."""
    path.write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for log in logs for record in log))
    return path
