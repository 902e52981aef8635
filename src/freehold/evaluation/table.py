"""Scores by scorer, item and variant: what all statistics of an evaluation are made from."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freehold.catalog import Metric
from freehold.chat import canonical_json
from freehold.datasets.split import place
from freehold.evaluation.bounds import Floats

_SELECTS = 0.5
"""The share of groups on which targets are chosen; they are confirmed on the others."""
NOT_SCORED = "it was not scored"
MOST_REASON = 120
"""Letters of a reason by which it is counted."""


@dataclass(frozen=True, slots=True)
class Table:
    """N items by V variants by S scorers. NaN stands for unknown."""

    task: str
    variants: tuple[str, ...]
    metrics: tuple[Metric, ...]
    """What each scorer's scores mean."""
    items: tuple[str, ...]
    group_N: NDArray[np.int64]
    """The group of each item, as a number."""
    selects_N: NDArray[np.bool_]
    """Whether targets are chosen on an item, or confirmed."""
    tags: tuple[Mapping[str, str], ...]
    score_SNV: Floats
    """In each metric's own range."""
    why_SNV: NDArray[np.object_]
    """Why there is no score; of one that there is, what the scorer said."""
    silent_NV: NDArray[np.bool_]
    """Where a variant was asked and gave no answer."""
    answered_NV: NDArray[np.bool_]
    cost_NV: Floats
    latency_NV: Floats

    def __len__(self) -> int:
        return len(self.items)

    @property
    def data(self) -> str:
        """Hash of the items, their groups and parts."""
        rows = sorted(zip(self.items, self.group_N.tolist(), self.selects_N.tolist(), strict=True))
        first: dict[int, int] = {}
        named = [[item, first.setdefault(group, len(first)), part] for item, group, part in rows]
        return hashlib.sha256(canonical_json([self.task, named])).hexdigest()

    def share_SNV(self) -> Floats:
        """Scores mapped to [0, 1], the metric's lower end to 0, whichever end is good."""
        low_S = np.array([metric.range[0] for metric in self.metrics])[:, None, None]
        high_S = np.array([metric.range[1] for metric in self.metrics])[:, None, None]
        return np.asarray((self.score_SNV - low_S) / (high_S - low_S), dtype=np.float64)

    def reasons(self, s: int, v: int, keep_N: NDArray[np.bool_]) -> dict[str, int]:
        """Why items of a variant have no score by a scorer, the commonest first."""
        missing_N = keep_N & np.isnan(self.score_SNV[s, :, v])
        found = Counter(str(why or NOT_SCORED)[:MOST_REASON] for why in self.why_SNV[s, missing_N, v])
        return dict(found.most_common())


def groups_of(names: Sequence[str]) -> NDArray[np.int64]:
    """Groups as whole numbers."""
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)


def selects(task: str, groups: Sequence[str]) -> NDArray[np.bool_]:
    """Which items targets are chosen on, by a hash of task and group: the same group is always in the same part."""
    return np.array([place(f"evaluation:{task}", group) < _SELECTS for group in groups], dtype=bool)
