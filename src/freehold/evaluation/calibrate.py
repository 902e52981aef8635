"""How far a judge can be trusted, from its scores and people's of the same answers: bias, agreement, order, and its own kin. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.errors import DataError
from freehold.evaluation.ppi import LEAST_LABELS, Floats, Interval
from freehold.feedback.agreement import Agreement, agreement

_DRAWS = 1_000


class Pair(NamedTuple):
    """An answer that a judge and people scored, both mapped to [0, 1] with 1 the best."""

    group: str
    """Answers of one group depend on each other: of one item, or one conversation."""
    variant: str
    """Whose answer it is."""
    judge: float
    """What the judge said."""
    human: float
    """What people said, on average."""
    is_kin: bool
    """Whether a model of the judge's own family gave the answer."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the order of two answers does to a judge."""

    pairs: int
    """Pairs that were shown in both orders."""
    first: Interval
    """How much more often than half the answer that is shown first wins; ties are half. 0 is a judge whom the order does not move."""
    changed: Interval
    """The share of pairs on which it changed its mind with the order."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a judge on a task. Scores are in [0, 1] with 1 the best."""

    judge: str
    """The judge."""
    task: str
    """The task."""
    metric: str
    """What people's labels are of."""
    rubric: str
    """Hash of what the judge went by: another rubric is another judge."""
    model: str
    """Who judged."""
    at: datetime
    """When it was calibrated, UTC."""
    answers: int
    """Answers that people and judge scored."""
    human: float
    """The mean of people's scores of them."""
    bias: Interval
    """How much higher the judge scores than people do."""
    error: Interval
    """How far off it is, either way: the mean absolute difference."""
    correlation: Interval | None
    """Pearson's, of its scores and people's; None where one of them says the same of all."""
    by_variant: dict[str, Interval]
    """The bias on each variant's answers, for those with ten or more."""
    agreement: Agreement
    """Judge and people as two raters; names where both say only 0 and 1, otherwise on an interval scale."""
    self_preference: Interval | None
    """How much higher its bias is on answers of its own family's models than on others'; None where there are not ten of each."""
    order: Order | None
    """What order does to it; None for a judge that sees one answer at a time."""
    confidence: float = 0.95
    """Of all intervals, from drawing groups anew."""


class About(NamedTuple):
    """What is calibrated."""

    judge: str
    """As of `Calibration`."""
    task: str
    """As of `Calibration`."""
    metric: str
    """As of `Calibration`."""
    rubric: str
    """As of `Calibration`."""
    model: str
    """As of `Calibration`."""


def calibrate(about: About, pairs: Sequence[Pair], orders: Sequence[tuple[float, float]], seed: int, now: datetime) -> Calibration:
    """Judge against people. `orders`: what each order said of the same answer, shown first and shown second, for a pairwise judge.

    Raises DataError where fewer than ten answers have both scores.
    """
    if len(pairs) < LEAST_LABELS:
        raise DataError(
            f"{len(pairs)} answers of task '{about.task}' have a score of '{about.judge}' and people's of '{about.metric}'; expected at least "
            f"{LEAST_LABELS}. Run 'freehold judge run', and label more."
        )
    judge_N = np.array([pair.judge for pair in pairs])
    human_N = np.array([pair.human for pair in pairs])
    kin_N = np.array([pair.is_kin for pair in pairs])
    variants_N = np.array([pair.variant for pair in pairs])
    group_N = np.unique([pair.group for pair in pairs], return_inverse=True)[1]
    draws = _Draws(group_N, seed)
    off_N = judge_N - human_N
    has_both = min(kin_N.sum(), (~kin_N).sum()) >= LEAST_LABELS
    is_binary = bool(np.isin(np.r_[judge_N, human_N], (0.0, 1.0)).all())
    return Calibration(
        judge=about.judge,
        task=about.task,
        metric=about.metric,
        rubric=about.rubric,
        model=about.model,
        at=now,
        answers=len(pairs),
        human=float(human_N.mean()),
        bias=draws.mean(off_N),
        error=draws.mean(np.abs(off_N)),
        correlation=draws.correlation(judge_N, human_N),
        by_variant={
            str(name): draws.mean(off_N, variants_N == name) for name in np.unique(variants_N) if (variants_N == name).sum() >= LEAST_LABELS
        },
        agreement=agreement(
            np.stack([human_N, judge_N], axis=1),
            "nominal" if is_binary else "interval",
            np.random.default_rng(seed),
            _DRAWS,
            groups_N=group_N,
        ),
        self_preference=draws.contrast(off_N, kin_N) if has_both else None,
        order=_order(orders, seed) if len(orders) >= LEAST_LABELS else None,
    )


def _order(orders: Sequence[tuple[float, float]], seed: int) -> Order:
    first_N, second_N = np.array(orders, dtype=np.float64).T
    draws = _Draws(np.arange(len(orders)), seed)
    return Order(
        pairs=len(orders),
        first=draws.mean((first_N + (1.0 - second_N)) / 2 - 0.5),
        changed=draws.mean((first_N != second_N).astype(np.float64)),
    )


class _Draws:
    """Percentile intervals from drawing groups anew, the same draws for every statistic."""

    def __init__(self, group_N: NDArray[np.int64], seed: int) -> None:
        rng = np.random.default_rng(seed)
        groups = int(group_N.max()) + 1
        count_DG = rng.multinomial(groups, np.full(groups, 1.0 / groups), size=_DRAWS)
        self.weight_DN = np.concatenate([np.ones((1, len(group_N))), count_DG[:, group_N].astype(np.float64)])

    def mean(self, value_N: Floats, where_N: NDArray[np.bool_] | None = None) -> Interval:
        """Of a mean."""
        weight_DN = self.weight_DN if where_N is None else self.weight_DN * where_N
        return _interval(_ratio(weight_DN @ value_N, weight_DN.sum(axis=1)))

    def contrast(self, value_N: Floats, where_N: NDArray[np.bool_]) -> Interval:
        """Of the difference of two means."""
        inside, outside = self.weight_DN * where_N, self.weight_DN * ~where_N
        return _interval(_ratio(inside @ value_N, inside.sum(axis=1)) - _ratio(outside @ value_N, outside.sum(axis=1)))

    def correlation(self, one_N: Floats, other_N: Floats) -> Interval | None:
        """Of Pearson's correlation."""
        if np.ptp(one_N) == 0 or np.ptp(other_N) == 0:
            return None
        count_D = self.weight_DN.sum(axis=1)
        means = [self.weight_DN @ value / count_D for value in (one_N, other_N, one_N * other_N, one_N**2, other_N**2)]
        spread = np.sqrt(np.clip(means[3] - means[0] ** 2, 0, None) * np.clip(means[4] - means[1] ** 2, 0, None))
        return _interval(_ratio(means[2] - means[0] * means[1], spread))


def _ratio(above_D: Floats, below_D: Floats) -> Floats:
    return np.asarray(np.divide(above_D, below_D, out=np.full(len(above_D), np.nan), where=below_D > 1e-12), dtype=np.float64)


def _interval(value_D: Floats) -> Interval:
    low, high = np.nanquantile(value_D[1:], (0.025, 0.975))
    return Interval(float(value_D[0]), float(low), float(high))
