"""Slices: parts of the traffic that each get a bound of their own, by a tag, a region or a feature."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.datasets.pairs import Pairs
from freehold.errors import CallerError, nearest
from freehold.routing.features import SURFACE
from freehold.routing.scorer import Scored, Scorer
from freehold.routing.syntax import And, Compare, Condition, Fact, Tag

_QUARTERS = (0.25, 0.5, 0.75)


class Cut(NamedTuple):
    """One slice: its name, the condition that a policy asks, and the items it holds."""

    name: str
    condition: Condition
    holds_N: NDArray[np.bool_]


def cut(by: str, pairs: Pairs, scored: Scored, scorer: Scorer, train_N: NDArray[np.bool_]) -> list[Cut]:
    """The slices `by` makes. Values of tags and regions are themselves; a feature is cut at its training quartiles.

    Raises CallerError when there is no such tag or feature.
    """
    if by == "region":
        names = np.array(scorer.region_names)[scored.region_N]
        return [Cut(f"region = {n}", Compare(Fact("region"), "==", n), names == n) for n in scorer.region_names]
    if by in SURFACE:
        return _by_feature(by, scored.surface_NS[:, SURFACE.index(by)].astype(np.float64), train_N)
    key = by.removeprefix("tag.")
    values = sorted({tags[key] for tags in pairs.tags if key in tags})
    if not values:
        tags = sorted({f"tag.{k}" for tags in pairs.tags for k in tags})
        known = [*tags, "region", *SURFACE]
        raise CallerError(
            f"No item of task '{pairs.task}' has a tag '{key}', and there is no such feature. Tags: {', '.join(tags) or 'none'}.{nearest(by, known)}"
        )
    held = np.array([tags.get(key) for tags in pairs.tags], dtype=object)
    return [Cut(f"{key} = {value}", Compare(Tag(key), "==", value), held == value) for value in values]


def _by_feature(name: str, value_N: NDArray[np.float64], train_N: NDArray[np.bool_]) -> list[Cut]:
    edges = sorted({float(f"{edge:.6g}") for edge in np.quantile(value_N[train_N], _QUARTERS)})
    cuts = []
    for low, high in zip([None, *edges], [*edges, None], strict=True):
        parts: list[Compare] = []
        holds_N = np.ones(len(value_N), dtype=bool)
        if low is not None:
            parts.append(Compare(Fact(name), ">", low))
            holds_N &= value_N > low
        if high is not None:
            parts.append(Compare(Fact(name), "<=", high))
            holds_N &= value_N <= high
        text = " and ".join(f"{name} {part.op} {part.right:g}" for part in parts)
        cuts.append(Cut(text, parts[0] if len(parts) == 1 else And(tuple(parts)), holds_N))
    return [c for c in cuts if c.holds_N.any()]
