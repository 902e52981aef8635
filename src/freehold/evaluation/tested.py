"""How good a specialist is on rows that nothing was chosen by."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.evaluation.bounds import Floats, clopper_pearson_lower
from freehold.evaluation.interval import mean_interval
from freehold.evaluation.plain import Plain, Settings
from freehold.evaluation.scorer import Case
from freehold.evaluation.structure import set_f1, span_f1
from freehold.variants.card import Covered, Measure, Tested
from freehold.variants.specialist import Answered

PRECISIONS = (0.95, 0.98, 0.99)
_MOST_ANSWERS = 200
_GROUPS = 15


class Rows(NamedTuple):
    """Answers beside those that are right."""

    answers: Sequence[Answered | None]
    """What was said; None where there was no answer."""
    right: Sequence[JSON]
    """What is right."""
    group_N: NDArray[np.int64]
    """The unit each row belongs to."""

    @property
    def score_N(self) -> Floats:
        """1 where the answer equals the right one; no answer is none."""
        return np.array(
            [
                float(said is not None and canonical_json(said.output) == canonical_json(right))
                for said, right in zip(self.answers, self.right, strict=True)
            ]
        )

    @property
    def confidence_N(self) -> Floats:
        """How sure each is; -1 where there is no answer."""
        return np.array([-1.0 if said is None else said.confidence for said in self.answers])


def tested(test: Rows, calibrate: Rows, shape: str, us_per_row: float) -> Tested:
    """The measures of the test part; from which confidence on it answers is chosen on the calibration part."""
    right_N = test.score_N
    measures = [_measure("exact", right_N, test.group_N, True)]
    if not (first := scored(test, shape)).is_binary:
        measures.insert(0, _measure(first.name, first.score_N, test.group_N, False))
    said = [one for one in test.answers if one is not None]
    distinct = {canonical_json(one.output) for one in said}
    return Tested(
        measures=tuple(measures),
        answered=len(said) / len(test.answers),
        calibration_error=calibration_error(test.confidence_N, right_N) if said else None,
        covered=tuple(covered(test, calibrate, precision) for precision in PRECISIONS) if len(calibrate.answers) else (),
        answers=_by_answer(test, right_N) if shape == "choice" else {},
        chars=float(np.mean([len(canonical_json(one.output)) for one in said])) if said else 0.0,
        distinct=len(distinct),
        us_per_row=us_per_row,
    )


class Scored(NamedTuple):
    """Rows by the measure that gates look at."""

    name: str
    """The first of `tested`."""
    score_N: Floats
    """What each row is worth, in [0, 1]."""
    is_binary: bool
    """Whether every score is 0 or 1."""


def scored(rows: Rows, shape: str) -> Scored:
    """What each row is worth by the first measure of `tested`."""
    if shape not in ("labels", "spans", "fields"):
        return Scored("exact", rows.score_N, True)
    name, scorer = ("span_f1", span_f1) if shape == "spans" and _has_places(rows.right) else ("set_f1", set_f1)
    if shape == "fields":
        rows = rows._replace(answers=[_in_parts(one) for one in rows.answers], right=[_parts(one) for one in rows.right])
    return Scored(name, _scored(scorer(Settings(name)), rows), False)


def _has_places(right: Sequence[JSON]) -> bool:
    """Whether spans say where they stand, and not their words alone."""
    return all(isinstance(one, dict) and "start" in one for answer in right if isinstance(answer, list) for one in answer)


def _parts(answer: JSON) -> JSON:
    """An object as the set of what its fields say; a field that says nothing is none."""
    said = answer.items() if isinstance(answer, dict) else ()
    return [{name: one} for name, value in said for one in (value if isinstance(value, list) else [value]) if one is not None]


def _in_parts(said: Answered | None) -> Answered | None:
    return None if said is None else said._replace(output=_parts(said.output))


def _measure(name: str, score_N: Floats, group_N: NDArray[np.int64], is_binary: bool) -> Measure:
    found = mean_interval(score_N, group_N, is_binary)
    return Measure(name=name, mean=found.mean, low=found.low, high=found.high, n=found.n, groups=found.groups)


def _scored(scorer: Plain, rows: Rows) -> Floats:
    cases = [
        Case(item="", output=None if said is None else said.output, has_truth=True, truth=right)
        for said, right in zip(rows.answers, rows.right, strict=True)
    ]
    return np.array([0.0 if case.output is None else scorer.of(case).value or 0.0 for case in cases])


def calibration_error(confidence_N: Floats, right_N: Floats) -> float:
    """Mean distance of confidence from the share that is right, over groups of equal size in order of confidence (Nixon et al., 2019)."""
    answered = confidence_N >= 0
    order = np.argsort(confidence_N[answered], kind="stable")
    parts = np.array_split(np.arange(len(order)), min(_GROUPS, len(order)))
    sure, right = confidence_N[answered][order], right_N[answered][order]
    return float(sum(len(part) * abs(sure[part].mean() - right[part].mean()) for part in parts) / len(order))


def covered(test: Rows, calibrate: Rows, precision: float) -> Covered:
    """How much of the test part is answered from the least confidence on at which the calibration part has this precision.

    The bound is Clopper and Pearson's on the test part, at the one threshold that was chosen before it was looked at. It is exact for rows
    that do not depend on each other.
    """
    threshold = threshold_for(calibrate.confidence_N, calibrate.score_N, precision)
    taken_N = test.confidence_N >= threshold
    n, right = int(taken_N.sum()), int(test.score_N[taken_N].sum())
    return Covered(
        precision=precision,
        confidence=threshold,
        coverage=n / len(taken_N),
        precise=right / n if n else None,
        low=float(clopper_pearson_lower(right, n, 0.05)) if n else 0.0,
    )


def threshold_for(confidence_N: Floats, right_N: Floats, precision: float) -> float:
    """The least confidence from which on that share is right; above 1 where there is none. Equal confidences go together."""
    order = np.argsort(-confidence_N, kind="stable")
    sure, share = confidence_N[order], np.cumsum(right_N[order]) / np.arange(1, len(order) + 1)
    is_end = np.append(sure[1:] < sure[:-1], True)
    good = np.flatnonzero(is_end & (share >= precision) & (sure >= 0))
    return float(sure[good[-1]]) if len(good) else math.nextafter(1.0, 2.0)


def _by_answer(rows: Rows, right_N: Floats) -> dict[str, tuple[int, float]]:
    found: dict[str, list[float]] = {}
    for right, score in zip(rows.right, right_N.tolist(), strict=True):
        found.setdefault(right if isinstance(right, str) else canonical_json(right).decode(), []).append(score)
    if len(found) > _MOST_ANSWERS:
        return {}
    return {answer: (len(scores), sum(scores) / len(scores)) for answer, scores in sorted(found.items())}
