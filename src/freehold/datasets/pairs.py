"""Paired items: for each thing that was asked, what every variant scored, cost and took. The table certificates are made of."""

import math
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.journal.call import LabelDesign

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """N items by V variants. Arrays are never changed in place; NaN stands for unknown."""

    task: str
    """The task all items belong to."""
    reference: str
    """The variant the others are compared with; always `variants[0]`."""
    metric: str
    """What the scores measure."""
    is_deterministic: bool
    """Whether equal answers always get equal scores."""
    variants: tuple[str, ...]
    """Who answered, the reference first."""
    items: tuple[str, ...]
    """What was asked, by name; unique."""
    groups: tuple[str, ...]
    """The group of each item; items that depend on each other share one."""
    texts: tuple[str, ...]
    """The words routing may look at, one for each item; empty where content is not kept."""
    tags: tuple[dict[str, str], ...]
    """Each item's tags."""
    at_N: NDArray[np.int64]
    """When each item was asked, microseconds since 1970 UTC; -1 where unknown."""
    score_NV: Floats
    """Scores in [0, 1], 1 the best."""
    loss_NV: Floats
    """score(reference) - score(variant), in [-1, 1]; 0 where both gave the same answer and the metric is deterministic."""
    cost_NV: Floats
    """USD of each answer."""
    latency_NV: Floats
    """Seconds of each answer."""
    answer_NV: NDArray[np.int64]
    """The answer's place in `answers`; -1 where there was none."""
    answers: tuple[JSON, ...]
    """The distinct answers, for the kinds of task whose answers are few; empty otherwise."""
    truth_N: NDArray[np.int64]
    """The place in `answers` of the answer as it should have been; -1 where nobody recorded it."""
    asked_N: NDArray[np.int64]
    """How often the reference was asked each item: a question that comes again is one item."""
    designs: tuple[LabelDesign, ...]
    """How the labels of each item were come by; the weakest of its variants'."""
    inclusion_N: Floats
    """The probability with which each item was drawn for labelling; 1 for a census; NaN for found labels."""
    least_inclusion: float = math.nan
    """The least of these that any item could have had, known before a label was; NaN where the least that is there says it."""

    def __len__(self) -> int:
        return len(self.items)

    def rows(self, keep_N: NDArray[np.bool_]) -> "Pairs":
        """Only the items where `keep_N` is true."""
        index = np.flatnonzero(keep_N)
        return replace(
            self,
            items=tuple(self.items[i] for i in index),
            groups=tuple(self.groups[i] for i in index),
            texts=tuple(self.texts[i] for i in index),
            tags=tuple(self.tags[i] for i in index),
            designs=tuple(self.designs[i] for i in index),
            at_N=self.at_N[index],
            score_NV=self.score_NV[index],
            loss_NV=self.loss_NV[index],
            cost_NV=self.cost_NV[index],
            latency_NV=self.latency_NV[index],
            answer_NV=self.answer_NV[index],
            truth_N=self.truth_N[index],
            asked_N=self.asked_N[index],
            inclusion_N=self.inclusion_N[index],
        )

    def columns(self, variants: tuple[str, ...]) -> "Pairs":
        """Only these variants, the reference first."""
        index = [self.variants.index(v) for v in variants]
        return replace(
            self,
            variants=variants,
            score_NV=self.score_NV[:, index],
            loss_NV=self.loss_NV[:, index],
            cost_NV=self.cost_NV[:, index],
            latency_NV=self.latency_NV[:, index],
            answer_NV=self.answer_NV[:, index],
        )

    def with_column(self, variant: str, answer_N: NDArray[np.int64], score_N: Floats, loss_N: Floats, cost_usd: float) -> "Pairs":
        """One variant more, which answers at a flat cost and in no time worth naming."""
        return replace(
            self,
            variants=(*self.variants, variant),
            answer_NV=np.column_stack([self.answer_NV, answer_N]),
            score_NV=np.column_stack([self.score_NV, score_N]),
            loss_NV=np.column_stack([self.loss_NV, loss_N]),
            cost_NV=np.column_stack([self.cost_NV, np.full(len(self), cost_usd)]),
            latency_NV=np.column_stack([self.latency_NV, np.zeros(len(self))]),
        )

    @property
    def group_codes(self) -> NDArray[np.int64]:
        """Groups as whole numbers."""
        return np.unique(np.asarray(self.groups, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)
