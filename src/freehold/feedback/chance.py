"""With which probability each item is drawn for review, and whether it is. Pure.

Every item has one place in [0, 1), a hash, and is drawn where that lies below its probability. The places are those of labelling sessions:
so all draws of a task and metric fall on the same items as far as they can, and an item that several of them could have drawn is in one of
them with the greatest of its probabilities. Source: permanent random numbers (Ohlsson, in Cox et al., Business Survey Methods, 1995).
"""

from collections.abc import Sequence
from typing import NamedTuple

from freehold.feedback.draw import place

EXPLORE = 0.25
"""How much of a draw by a rule looks at no rule, unless told otherwise. It bounds what a single label can weigh: at most four times an equal
draw's."""


class Chances(NamedTuple):
    """The probability of each item."""

    of: tuple[float, ...]
    floor: float
    """The least that any could have: known before a label is, and so what certificates scale by."""


def unit(tenant: str, task: str, metric: str, item: str) -> float:
    """The place of an item, in [0, 1)."""
    return int.from_bytes(place(tenant, task, metric, item)[:7]) / 2**56


def chances(worth: Sequence[float], size: float, explore: float) -> Chances:
    """Probabilities that sum to `size`: an equal share of `explore` in all, the rest in proportion to what an item is worth, at most 1 each."""
    count = len(worth)
    total = sum(worth)
    if size >= count and (explore > 0 or total <= 0):
        return Chances((1.0,) * count, 1.0)
    raw = [explore + (1.0 - explore) * each * count / total for each in worth] if total > 0 else [1.0] * count
    scale = _scale(raw, size)
    return Chances(tuple(min(1.0, scale * each) for each in raw), min(1.0, scale * (explore if total > 0 else 1.0)))


def _scale(raw: Sequence[float], size: float) -> float:
    """The c with Σ min(1, c·raw) = size, or as near as items of no worth allow."""
    left, wanted = sorted(raw, reverse=True), size
    rest = sum(left)
    for n, each in enumerate(left):
        if rest <= 0:
            return 1.0 / left[n - 1] if n else 1.0
        if wanted / rest * each <= 1.0:
            return wanted / rest
        wanted, rest = wanted - 1.0, rest - each
    return 1.0 / left[-1] if left[-1] > 0 else 1.0
