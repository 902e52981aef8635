"""Answered questions to show before one that is asked: those of the journal that were rated well, and of these the most like it.

Alike are texts that share rare words and parts of words: the cosine of hashed n-grams weighted by how few of the candidates hold them (tf-idf).
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.catalog import Catalog, Metric, Reward
from freehold.chat import JSON, canonical_json, text_of
from freehold.feedback.reward import RewardFunction
from freehold.feedback.rewards import Asked, rewards
from freehold.journal.read import answers, calls_by_id, scores
from freehold.routing.features import DIMS, features
from freehold.store.open import Store

MOST = 5_000
"""The most candidates; beyond them the oldest are left out."""
_WELL = 0.9
"""From which mean score on, in the metric's unit range, an answer was rated well."""


class Rated(NamedTuple):
    """An answer that was rated well."""

    input: JSON
    """What was asked, as the journal keeps it."""
    output: JSON
    """What was answered."""


def well_rated(store: Store, tenant: str, task: str, metric: Metric) -> list[Rated]:
    """The task's answers that were rated well by its metric: of each question the one with the best mean score. Raises OperatorError."""
    best: dict[str, tuple[float, str]] = {}
    given: dict[str, list[float]] = defaultdict(list)
    item_of: dict[str, str] = {}
    for page in scores(store, tenant, task, metric.id):
        for score in page:
            given[score.call].append(metric.unit(score.value))
            item_of[score.call] = score.item
    for call, values in given.items():
        mean = math.fsum(values) / len(values)
        if mean >= _WELL and (mean, call) > best.get(item_of[call], (0.0, "")):
            best[item_of[call]] = (mean, call)
    return _rated(store, [call for _, call in best.values()][-MOST:])


def well_rewarded(store: Store, tenant: str, task: str, rule: Reward | RewardFunction, catalog: Catalog) -> list[Rated]:
    """As `well_rated`, by the task's reward. So whoever may not move that, as a crowd of users may not, chooses no examples."""
    best: dict[str, tuple[float, str]] = {}
    for page in answers(store, tenant, task):
        spoken = [Asked(answer.call, answer.episode, answer.output_digest) for answer in page]
        item_of = {answer.call: answer.item for answer in page}
        for call, found in rewards(store, tenant, spoken, rule, catalog).items():
            if found.value is not None and found.value >= _WELL and (found.value, call) > best.get(item_of[call], (0.0, "")):
                best[item_of[call]] = (found.value, call)
    return _rated(store, [call for _, call in best.values()][-MOST:])


def _rated(store: Store, chosen: Sequence[str]) -> list[Rated]:
    with store.reading() as connection:
        found = calls_by_id(store, connection, chosen)
    return [
        Rated(call.input, call.output)
        for call in found.values()
        if call.outcome == "answered" and call.input is not None and call.output is not None
    ]


class Shown:
    """The candidates of a task, ready to be compared with."""

    def __init__(self, rated: Sequence[Rated]) -> None:
        self._rated = rated
        self._keys = [canonical_json(one.input) for one in rated]
        hashed = [features(text_of(one.input)) for one in rated]
        held = np.zeros(DIMS, dtype=np.float32)
        for one in hashed:
            held[one.index] += 1.0
        self._idf_B = np.log((1.0 + len(hashed)) / (1.0 + held)).astype(np.float32) + np.float32(1.0)
        weights = [one.weight * self._idf_B[one.index] for one in hashed]
        self._index = np.concatenate([one.index for one in hashed]) if hashed else np.zeros(0, dtype=np.int32)
        self._weight = np.concatenate([_unit(each) for each in weights]) if weights else np.zeros(0, dtype=np.float32)
        self._end = np.cumsum([len(each) for each in weights], dtype=np.int64)

    def like(self, input: JSON, n: int) -> list[Rated]:
        """The n candidates most like an input, the most like it last, next to the question; never the same question itself."""
        if not self._rated:
            return []
        likeness_N = self.likeness(input)
        key = canonical_json(input)
        order = [row for row in np.argsort(-likeness_N, kind="stable").tolist() if self._keys[row] != key]
        return [self._rated[row] for row in reversed(order[:n])]

    def likeness(self, input: JSON) -> NDArray[np.float32]:
        """How like an input each candidate is, from 0 to 1; length N."""
        asked = features(text_of(input))
        query_B = np.zeros(DIMS, dtype=np.float32)
        query_B[asked.index] = _unit(asked.weight * self._idf_B[asked.index])
        summed = np.concatenate([np.zeros(1), np.cumsum(self._weight * query_B[self._index], dtype=np.float64)])
        likeness_N: NDArray[np.float32] = np.diff(summed[np.concatenate([np.zeros(1, dtype=np.int64), self._end])]).astype(np.float32)
        return likeness_N


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    norm = math.sqrt(float(vector @ vector))
    return np.divide(vector, norm, dtype=np.float32) if norm else vector
