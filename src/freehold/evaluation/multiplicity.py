"""What many comparisons together allow to be said, so that one of them is wrong by chance no more often than was agreed."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from freehold.evaluation.difference import Difference

Verdict: TypeAlias = Literal["better", "worse", "no difference shown", "equivalent"]


class Adjusted(NamedTuple):
    """The p values of one comparison, once all are looked at."""

    p: float
    p_equivalent: float


def adjusted(found: Sequence[Difference]) -> list[Adjusted]:
    """Holm's step-down over both tests of every comparison: a difference, and none larger than the margin.

    Of one comparison at most one of the two null hypotheses is true (no difference; one as large as the margin), so that a step counts
    comparisons and not tests: Shaffer, JASA 81 (1986) 826, S1. With these p values the chance of any false verdict is at most 1 - confidence.
    """
    tests = sorted([(d.p, i, 0) for i, d in enumerate(found)] + [(d.p_equivalent, i, 1) for i, d in enumerate(found)])
    open_tests = [2] * len(found)
    made = [[1.0, 1.0] for _ in found]
    least = 0.0
    for p, i, which in tests:
        least = max(least, min(1.0, p * sum(left > 0 for left in open_tests)))
        made[i][which] = least
        open_tests[i] -= 1
    return [Adjusted(*each) for each in made]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values (Scandinavian Journal of Statistics 6 (1979) 65)."""
    least, made = 0.0, [1.0] * len(p_values)
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, p_values[i] * (len(p_values) - rank)))
        made[i] = least
    return made


def verdict(found: Difference, by: Adjusted, confidence: float, higher_is_better: bool) -> Verdict:
    """What may be said of the first against the second."""
    level = 1.0 - confidence
    if by.p <= level and found.mean != 0:
        return "better" if (found.mean > 0) == higher_is_better else "worse"
    return "equivalent" if by.p_equivalent <= level else "no difference shown"
