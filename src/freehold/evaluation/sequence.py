"""Statements about a mean that hold at every moment they are looked at: a confidence sequence, and an alarm for a fall.

All are bets (Waudby-Smith and Ramdas, JRSS-B 86 (2024) 1; Howard and others, Annals of Statistics 49 (2021) 1055; Shin, Ramdas and Rinaldo,
e-detectors, 2022). A state is all that is to be kept: taking in the same scores in the same order from a kept state gives the same numbers as
from the beginning, to the last bit.
"""

import math
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

POINTS = 501
"""Means that are bet against for a lower bound, which is a multiple of 1/500, rounded outward."""
_MOST = 0.5
"""The share of wealth that one score can cost at most there."""
_POINT = np.linspace(0.0, 1.0, POINTS)
_MOST_ABOVE = _MOST / np.maximum(_POINT, 1e-12)
_RATES = np.geomspace(0.005, 0.85, 12)
"""Bets of an interval: great ones for few scores, small ones for many."""
_GREATEST = 0.85
_BETS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7)
"""Bets of an alarm, as shares of the greatest there can be: small falls are found by small bets."""


class Mean(msgspec.Struct, frozen=True, kw_only=True):
    """A confidence sequence for the mean of scores in [0, 1], as far as it has come."""

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
    unit: float = 0.0
    """The first weight: others are told in it."""
    heaviest: float = 0.0
    """The greatest weight so far."""
    above: bytes = b""
    """Log wealth of betting that the mean lies above each point."""
    stakes: bytes = b""
    """Of each of the interval's bets the sums of bets, of bets times scores, and of what they cost."""

    @property
    def mean(self) -> float | None:
        """The weighted mean; None before the first score."""
        return self.weighed / self.weight if self.weight else None

    def with_scores(self, scores: Iterable[float], weights: Iterable[float] | None = None) -> "Mean":
        """The state after these scores, in their order. Raises ValueError for one outside [0, 1].

        `weights`: 1 / the probability with which each was drawn, so that the interval is the traffic's and not the sample's. A bet is scaled
        by its weight, which is known before its score is: any such bet is valid.
        """
        n, total, spread, weight, weighed, heaviest = self.n, self.total, self.spread, self.weight, self.weighed, self.heaviest
        above_P, (bet_K, won_K, cost_K), unit = self._above(), self._stakes(), self.unit
        stake = 2.0 * math.log(2.0 / self.alpha)
        for x, w in zip(scores, weights, strict=True) if weights is not None else ((x, 1.0) for x in scores):
            if not 0.0 <= x <= 1.0:
                raise ValueError(f"a score of {x}; a sequence takes those in [0, 1]")
            apart = x - (0.5 + total) / (n + 1)  # from what the scores before make one expect
            n, heaviest, unit = n + 1, max(heaviest, w), unit or w
            bet = math.sqrt(stake / ((0.25 + spread) * math.log1p(n))) * (w / heaviest)  # the variance so far is (0.25 + spread) / n
            above_P = above_P + np.log1p(np.minimum(bet, _MOST_ABOVE) * (x - _POINT))
            rate_K = np.minimum(_RATES * (w / unit), _GREATEST)
            bet_K, won_K = bet_K + rate_K, won_K + rate_K * x
            cost_K = cost_K - (np.log1p(-rate_K) + rate_K) * apart**2
            total, weight, weighed = total + x, weight + w, weighed + w * x
            spread += (x - (0.5 + total) / (n + 1)) ** 2
        return Mean(
            alpha=self.alpha,
            n=n,
            total=total,
            spread=spread,
            weight=weight,
            weighed=weighed,
            unit=unit,
            heaviest=heaviest,
            above=above_P.tobytes(),
            stakes=np.stack([bet_K, won_K, cost_K]).tobytes(),
        )

    def interval(self) -> tuple[float, float]:
        """The mean of everything so far lies within, at all times together, with probability at least 1 - alpha; also where it changes.

        A mixture of empirical Bernstein bets: were the mean m, Σ_k exp(λ_k Σ(x - m) - ψ(λ_k) Σ(x - expected)²) / K, with
        ψ(λ) = -ln(1 - λ) - λ, would ever come to 2/alpha with probability alpha/2 at most; and the same from the other side.
        """
        bet_K, won_K, cost_K = self._stakes()
        needed = math.log(2.0 / self.alpha)
        low = _least(won_K - cost_K, bet_K, needed)
        return low, 1.0 - _least(bet_K - won_K - cost_K, bet_K, needed)

    def lower(self) -> float:
        """The mean has been this or more, at all times together, with probability at least 1 - alpha: a bet against every mean below, nearer
        than the interval while there are few scores. Where the mean changes, it has been that at one time at least."""
        return _last(self._above() >= -math.log(self.alpha))

    def _above(self) -> Floats:
        return np.frombuffer(self.above) if self.above else np.zeros(POINTS)

    def _stakes(self) -> tuple[Floats, Floats, Floats]:
        held = np.frombuffer(self.stakes).reshape(3, -1) if self.stakes else np.zeros((3, len(_RATES)))
        return held[0], held[1], held[2]


def _least(gained_K: Floats, bet_K: Floats, needed: float) -> float:
    """The greatest m up to which every mean is refuted: where ln of the mean of exp(gained - bet·m) comes to `needed`; rounded down."""

    def wealth(m: float) -> float:
        log_K = gained_K - bet_K * m
        top = float(log_K.max())
        return top + math.log(float(np.exp(log_K - top).mean()))

    low, high = 0.0, 1.0
    if wealth(low) < needed:
        return 0.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if wealth(middle) >= needed else (low, middle)
    return low


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
