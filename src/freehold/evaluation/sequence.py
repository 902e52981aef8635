"""Statements about a mean that hold at every moment they are looked at: a confidence sequence, and an alarm for a fall.

Both are bets (Waudby-Smith and Ramdas, JRSS-B 86 (2024) 1; Shin, Ramdas and Rinaldo, e-detectors, 2022). A state is all that is to be kept:
taking in the same scores in the same order from a kept state gives the same numbers as from the beginning, to the last bit.
"""

import math
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

POINTS = 501
"""Means that are bet against: bounds are multiples of 1/500, rounded outward."""
_MOST = 0.5
"""The share of wealth that one score can cost at most."""
_POINT = np.linspace(0.0, 1.0, POINTS)
_MOST_ABOVE = _MOST / np.maximum(_POINT, 1e-12)
_MOST_BELOW = _MOST / np.maximum(1.0 - _POINT, 1e-12)
_BETS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
"""Bets of an alarm, as shares of the greatest there can be: small falls are found by small bets."""


class Mean(msgspec.Struct, frozen=True, kw_only=True):
    """A confidence sequence for the mean of scores in [0, 1], as far as it has come: the hedged capital process on a grid of means."""

    alpha: float
    """The interval misses the mean at any time ever with at most this probability."""
    n: int = 0
    """Scores taken in."""
    total: float = 0.0
    """Their sum."""
    spread: float = 0.0
    """Σ (score - mean so far)²."""
    weight: float = 0.0
    """The sum of their weights."""
    weighed: float = 0.0
    """The sum of scores times weights."""
    heaviest: float = 0.0
    """The greatest weight so far."""
    above: bytes = b""
    """Log wealth of betting that the mean lies above each point."""
    below: bytes = b""
    """That it lies below."""

    @property
    def mean(self) -> float | None:
        """The weighted mean; None before the first score."""
        return self.weighed / self.weight if self.weight else None

    def with_scores(self, scores: Iterable[float], weights: Iterable[float] | None = None) -> "Mean":
        """The state after these scores, in their order. Raises ValueError for one outside [0, 1].

        `weights`: 1 / the probability with which each was drawn. A bet is scaled by its weight over the greatest so far, which is known
        before its score is: any such bet is valid, and these follow the traffic rather than the sample.
        """
        n, total, spread, weight, weighed, heaviest = self.n, self.total, self.spread, self.weight, self.weighed, self.heaviest
        (above_P, below_P), stake = self._wealth(), 2.0 * math.log(2.0 / self.alpha)
        for x, w in zip(scores, weights, strict=True) if weights is not None else ((x, 1.0) for x in scores):
            if not 0.0 <= x <= 1.0:
                raise ValueError(f"a score of {x}; a sequence takes those in [0, 1]")
            n, heaviest = n + 1, max(heaviest, w)
            bet = math.sqrt(stake / ((0.25 + spread) * math.log1p(n))) * (w / heaviest)  # the variance so far is (0.25 + spread) / n
            apart_P = x - _POINT
            above_P = above_P + np.log1p(np.minimum(bet, _MOST_ABOVE) * apart_P)
            below_P = below_P + np.log1p(np.minimum(bet, _MOST_BELOW) * -apart_P)
            total, weight, weighed = total + x, weight + w, weighed + w * x
            spread += (x - (0.5 + total) / (n + 1)) ** 2
        return Mean(
            alpha=self.alpha,
            n=n,
            total=total,
            spread=spread,
            weight=weight,
            weighed=weighed,
            heaviest=heaviest,
            above=above_P.tobytes(),
            below=below_P.tobytes(),
        )

    def interval(self) -> tuple[float, float]:
        """The mean lies within, at all times together, with probability at least 1 - alpha."""
        needed = math.log(2.0 / self.alpha)
        above_P, below_P = self._wealth()
        return _last(above_P >= needed), 1.0 - _last(below_P[::-1] >= needed)

    def lower(self) -> float:
        """The mean is at least this, at all times together, with probability at least 1 - alpha: nothing is spent on the other side."""
        return _last(self._wealth()[0] >= -math.log(self.alpha))

    def upper(self) -> float:
        """The mean is at most this, likewise."""
        return 1.0 - _last(self._wealth()[1][::-1] >= -math.log(self.alpha))

    def _wealth(self) -> tuple[Floats, Floats]:
        if not self.above:
            return np.zeros(POINTS), np.zeros(POINTS)
        return np.frombuffer(self.above), np.frombuffer(self.below)


def _last(refuted_P: NDArray[np.bool_]) -> float:
    """The greatest point up to which every mean is refuted; 0 where not even the first is."""
    kept = np.flatnonzero(~refuted_P)
    first = int(kept[0]) if len(kept) else POINTS - 1
    return max(0, first - 1) / (POINTS - 1)


class Detector(msgspec.Struct, frozen=True, kw_only=True):
    """An e-CUSUM: evidence, since whenever that was most, that the mean of scores in [0, 1] is on the other side of a level.

    While the mean stays on its own side, `evidence` reaches A after A scores or more on average (its average run length is at least A),
    whatever the scores' distribution: each bet's CUSUM max(M, 1)·L is at most the sum over all beginnings of their e-processes.
    """

    level: float
    """What the mean is to stay above, or below."""
    finds: Literal["fall", "rise"]
    """Which other side that is."""
    n: int = 0
    """Scores taken in."""
    wealth: tuple[float, ...] = (0.0,) * len(_BETS)
    """Log wealth of each bet, since its own beginning."""

    def with_score(self, score: float) -> "Detector":
        """The state after one more score."""
        apart = self.level - score if self.finds == "fall" else score - self.level
        room = 1.0 - self.level if self.finds == "fall" else self.level
        most = 1.0 / max(room, 1e-3)  # what the worst score costs is then at most the bet's share of wealth
        wealth = tuple(max(had, 0.0) + math.log1p(bet * most * apart) for had, bet in zip(self.wealth, _BETS, strict=True))
        return msgspec.structs.replace(self, n=self.n + 1, wealth=wealth)

    @property
    def evidence(self) -> float:
        """The mean wealth of the bets."""
        if not self.n:
            return 0.0
        top = max(self.wealth)
        return math.exp(min(700.0, top + math.log(sum(math.exp(each - top) for each in self.wealth) / len(_BETS))))
