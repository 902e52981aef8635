"""Fixed-sequence testing: policies ordered beforehand are tested in turn, from the reference outward, until the first one fails.

Each test may spend the whole δ, because a later hypothesis is tested only after every earlier one was rejected: the first true null on
the way is rejected with probability at most δ, and nothing after it is reached otherwise. It needs no monotone loss. Source: Maurer,
Hothorn and Lehmacher (1995); Angelopoulos et al., Learn then Test, arXiv 2110.01052, section 2.2. Slices share δ by Holm's procedure
on chains: each begins with an equal share, and a chain rejected to its end hands its share to the others (Bretz et al., Statistics in
Medicine 28 (2009) 586).
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.evaluation import bounds

Floats: TypeAlias = NDArray[np.float64]


class Exam(NamedTuple):
    """How losses are tested; everything here is fixed before calibration."""

    epsilon: float
    """The floor."""
    is_exact: bool
    """The binomial bound (a metric declared binary, single items, equal weights), else betting."""
    cap: int
    """The most items of one group that are bet on."""
    bets_T: tuple[bounds.Bets, ...]
    """The bets for each policy; empty where the test is exact."""
    seed: int
    """Orders units."""


class Losses(NamedTuple):
    """The calibration losses of every policy of a family."""

    loss_TN: Floats
    group_N: NDArray[np.int64]
    weight_N: Floats | None
    """Scaled inverse inclusion probabilities; None where all are equal."""

    def where(self, keep_N: NDArray[np.bool_]) -> "Losses":
        """Only these items."""
        return Losses(self.loss_TN[:, keep_N], self.group_N[keep_N], None if self.weight_N is None else self.weight_N[keep_N])


class Walk(NamedTuple):
    """How far the sequence got."""

    passed: int
    """Policies whose null was rejected: each of them is certified."""
    tested: int
    """Those and the one that failed."""
    upper_P: tuple[float, ...]
    """The bound of each that passed, at least 0. Any of them may be chosen: that none of their true losses is above the floor holds for all
    of them at once. Each single bound holds for a policy named beforehand, not for the one that was chosen."""
    failed_upper: float | None
    """The bound of the one that failed; None where none did."""


def walk(losses: Losses, exam: Exam, delta: float) -> Walk:
    """Tests the family in order at level δ and stops at the first failure."""
    uppers: list[float] = []
    count = len(losses.loss_TN)
    exact_T = _exact_bounds(losses, delta) if exam.is_exact else None
    for t in range(count):
        bound = float(exact_T[t]) if exact_T is not None else _betting_bound(losses, exam, t, delta)
        if not bound <= exam.epsilon:
            return Walk(t, t + 1, tuple(uppers), bound)
        uppers.append(max(0.0, bound))
    return Walk(count, count, tuple(uppers), None)


def _exact_bounds(losses: Losses, delta: float) -> Floats:
    harms, gains = (losses.loss_TN > 0).sum(axis=1), (losses.loss_TN < 0).sum(axis=1)
    return bounds.paired_binomial_upper(harms, gains, losses.loss_TN.shape[1], delta)


def _betting_bound(losses: Losses, exam: Exam, t: int, delta: float) -> float:
    sample = bounds.units(losses.loss_TN[t], losses.group_N, exam.cap, exam.seed, losses.weight_N)
    return bounds.betting_upper(sample, exam.bets_T[t], delta)


def walk_slices(losses: Mapping[str, Losses], exam: Exam, delta: float) -> dict[str, tuple[Walk, float]]:
    """The walk of every slice and the δ it was given in the end; together they err with probability at most δ."""
    share = dict.fromkeys(losses, delta / max(1, len(losses)))
    walks = {name: walk(part, exam, share[name]) for name, part in losses.items()}
    done: set[str] = set()
    while True:
        finished = [name for name, result in walks.items() if result.failed_upper is None and name not in done]
        done.update(finished)
        rest = [name for name in losses if name not in done]
        if not finished or not rest:
            return {name: (walks[name], share[name]) for name in losses}
        freed = sum(share[name] for name in finished)
        for name in rest:
            share[name] += freed / len(rest)
            walks[name] = walk(losses[name], exam, share[name])
