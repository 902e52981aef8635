"""When to call somebody about a task's quality, and when it is over: an alarm with a level, a threshold to go off and another to stop."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from freehold.evaluation.sequence import Detector, Mean

Phase: TypeAlias = Literal["learning", "watching", "raised"]

LEVEL_ALPHA = 0.01
"""How likely a learnt level lies above what it was learnt from, whenever it is read."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """When an alarm goes off and stops."""

    run_length: float = 10_000.0
    """Scores between two false alarms on average, at least, however near the mean is to the level."""
    over: float = 1_000.0
    """Scores between two false ends of an alarm on average, at least, while the mean is below the level."""
    learn: int = 100
    """Scores from which a level is learnt, where none is given."""
    level: float | None = None
    """The mean that quality must not fall below; None learns it."""


class Change(NamedTuple):
    """An alarm that went off or stopped."""

    n: int
    """At which score, from 1."""
    phase: Phase
    """What it is since then."""
    after: int
    """How many scores the detector had seen."""
    evidence: float
    """What it had come to."""


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm as far as it has come."""

    rule: Rule = Rule()
    phase: Phase = "learning"
    n: int = 0
    """Scores taken in."""
    level: float = 0.0
    """What is watched for; learnt or given."""
    baseline: Mean = Mean(alpha=LEVEL_ALPHA)
    """What the level is learnt from."""
    detector: Detector = Detector(level=0.0, finds="fall")
    """Evidence of a fall while it watches, of a recovery while it is raised."""

    def with_scores(self, scores: Iterable[float]) -> tuple["Alarm", list[Change]]:
        """The alarm after these scores, in their order, and what it did meanwhile."""
        alarm, changes = self._ready(), []
        for score in scores:
            alarm = alarm._with_score(score)
            if alarm.phase != "learning" and alarm.detector.evidence >= alarm._threshold:
                seen = alarm.detector
                alarm = alarm._turned()
                changes.append(Change(alarm.n, alarm.phase, seen.n, seen.evidence))
        return alarm, changes

    @property
    def _threshold(self) -> float:
        return self.rule.run_length if self.phase == "watching" else self.rule.over

    def _ready(self) -> "Alarm":
        if self.phase == "learning" and self.rule.level is not None:
            return self._watching(self.rule.level)
        return self

    def _with_score(self, score: float) -> "Alarm":
        if self.phase != "learning":
            return msgspec.structs.replace(self, n=self.n + 1, detector=self.detector.with_score(score))
        learnt = msgspec.structs.replace(self, n=self.n + 1, baseline=self.baseline.with_scores([score]))
        return learnt._watching(learnt.baseline.lower()) if learnt.baseline.n >= self.rule.learn else learnt

    def _watching(self, level: float) -> "Alarm":
        """A learnt level is a lower bound: what quality surely was, so that an unlucky beginning does not make later scores a fall."""
        return msgspec.structs.replace(self, phase="watching", level=level, detector=Detector(level=level, finds="fall"))

    def _turned(self) -> "Alarm":
        raised = self.phase == "watching"
        detector = Detector(level=self.level, finds="rise" if raised else "fall")
        return msgspec.structs.replace(self, phase="raised" if raised else "watching", detector=detector)
