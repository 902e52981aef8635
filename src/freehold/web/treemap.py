"""Tiles a rectangle with rectangles whose areas are given."""

from collections.abc import Sequence
from typing import NamedTuple

_TINY = 1e-9
"""Keeps the last tiles finite where rounding has used up the room."""


class Tile(NamedTuple):
    """A rectangle in units of the whole: every coordinate is in [0, 1], y grows downwards."""

    x0: float
    y0: float
    x1: float
    y1: float


def squarify(weights: Sequence[float], width: float, height: float) -> list[Tile]:
    """One tile for each weight, in order, as square as they come when drawn `width` by `height`.

    Bruls, Huizing and van Wijk, "Squarified Treemaps" (2000). Weights are positive and best given largest first.
    """
    total = sum(weights)
    areas = [weight / total * width * height for weight in weights]
    tiles: list[Tile] = []
    x, y, w, h = 0.0, 0.0, width, height
    while areas:
        side = max(min(w, h), _TINY)
        row = _row(areas, side)
        thick = sum(areas[:row]) / side
        at = y if w >= h else x
        for area in areas[:row]:
            long = area / thick
            box = (x, at, x + thick, at + long) if w >= h else (at, y, at + long, y + thick)
            tiles.append(Tile(*(min(edge / whole, 1.0) for edge, whole in zip(box, (width, height, width, height), strict=True))))
            at += long
        if w >= h:
            x, w = x + thick, w - thick
        else:
            y, h = y + thick, h - thick
        areas = areas[row:]
    return tiles


def _row(areas: Sequence[float], side: float) -> int:
    """How many of the next areas to lay along a side: as many as make the worst tile squarer."""
    best = _worst(areas[:1], side)
    for count in range(2, len(areas) + 1):
        worst = _worst(areas[:count], side)
        if worst > best:
            return count - 1
        best = worst
    return len(areas)


def _worst(areas: Sequence[float], side: float) -> float:
    """The largest ratio of sides in a row."""
    thick = sum(areas) / side
    return max(max(thick * thick / area, area / (thick * thick)) for area in areas)
