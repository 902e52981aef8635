"""What a specialist that went on learning kept, for people: the matrix of its chain, and where it lost most."""

from collections.abc import Sequence
from math import isnan

from freehold.cli.console import number, out, print_table
from freehold.evaluation.forgetting import matrix
from freehold.variants.card import Card

_MOST_COLUMNS = 8
_MOST_LOST = 8


def print_kept(cards: Sequence[Card]) -> None:
    """`cards`: the chain, oldest first. Says nothing of one that goes on from none."""
    if not cards[-1].kept:
        return
    found = matrix(cards)
    shown = list(range(len(found.specialists)))[-_MOST_COLUMNS:]
    rows = [
        [_short(name), *("" if isnan(row[s]) else f"{row[s]:.3f}" for s in shown)]
        for name, row in zip(found.datasets, found.score_DS.tolist(), strict=True)
    ]
    columns = ["data set", *(found.specialists[s] for s in shown)]
    print_table("What each knows of each data set's test part", columns, rows, right=tuple(range(1, len(columns))))
    forgotten = "nothing to forget yet" if isnan(found.forgetting) else f"{found.forgetting:+.4f}"
    out().print(f"Average {number(found.average)}, forgetting {forgotten}.", markup=False)
    lost = sorted((one for one in cards[-1].kept if one.after < one.before), key=lambda one: (one.of != "all", one.after - one.before))
    if lost:
        told = [
            [one.of, _short(one.name), f"{one.n:,}", f"{one.before:.3f}", f"{one.after:.3f}", f"{one.low:+.3f} to {one.high:+.3f}"]
            for one in lost[:_MOST_LOST]
        ]
        heads = ["by", "which", "rows", "before", "now", "difference between"]
        print_table("Where it lost most against the one before", heads, told, right=(2, 3, 4))


def _short(name: str) -> str:
    """A data set by the beginning of its hash."""
    before, at, hash = name.partition("@")
    return f"{before}@{hash[:8]}" if at and len(hash) == 64 else name
