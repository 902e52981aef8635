"""Scores that stand in the journal already, as a scorer: what people, imports and verifiers said of the very call."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from freehold.catalog import Metric
from freehold.evaluation.scorer import Case, Score
from freehold.journal.call import LabelDesign
from freehold.journal.read import scores
from freehold.store.open import Store

_STRENGTH: dict[LabelDesign, int] = {"found": 0, "census": 1, "audit": 2}
NOBODY_SAID = "nobody scored it"


class _Said(NamedTuple):
    value: float
    source: str
    strength: int


class Recorded:
    """The scores of one metric by call: of each the one of the strongest design, of two alike the later."""

    needs_truth = False

    def __init__(self, store: Store, tenant: str, tasks: Sequence[str], metric: Metric) -> None:
        self.metric = metric
        self._said: dict[str, _Said] = {}
        for task in tasks:
            for some in scores(store, tenant, task, metric.id):
                for one in some:
                    known = self._said.get(one.call)
                    if known is None or _STRENGTH[one.design] >= known.strength:
                        self._said[one.call] = _Said(one.value, one.source, _STRENGTH[one.design])

    def of(self, call: str) -> Score:
        """What was said of a call. A score outside the metric's range is none."""
        said = self._said.get(call)
        if said is None:
            return Score(None, NOBODY_SAID)
        low, high = self.metric.range
        if not low <= said.value <= high or (self.metric.kind == "binary" and said.value not in (0, 1)):
            return Score(None, f"a score outside the range of '{self.metric.id}' was recorded")
        return Score(said.value)

    def sources(self, calls: Sequence[str]) -> Counter[str]:
        """Who said the scores of these calls."""
        return Counter(self._said[call].source for call in calls if call in self._said)

    async def score(self, case: Case) -> Score:
        """As of `Scorer`."""
        return self.of(case.call.id) if case.call is not None else Score(None, NOBODY_SAID)
