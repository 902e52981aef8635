"""Finds room for the names of points, so that none lies on another name or on a point."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

Align: TypeAlias = Literal["left", "right", "center"]

_GLYPH_PX = 6.6
"""Mean advance of a 12 to 13 px sans-serif glyph, a little generous."""
_LINE_PX = 15.0
_POINT_PX = 9.0


class Anchor(NamedTuple):
    """A point to name, in pixels from the top left."""

    x: float
    y: float
    text: str


class Spot(NamedTuple):
    """Where its name goes, relative to the point; not shown where there is no room."""

    dx: float
    dy: float
    align: Align
    shown: bool


class Box(NamedTuple):
    """An occupied rectangle."""

    x0: float
    y0: float
    x1: float
    y1: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share any area."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1


def place(anchors: Sequence[Anchor], width: float, height: float, taken: Sequence[Box] = ()) -> list[Spot]:
    """A spot for each anchor, the first served first: right of the point, left, above, below, then further off."""
    points = [Box(a.x - _POINT_PX, a.y - _POINT_PX, a.x + _POINT_PX, a.y + _POINT_PX) for a in anchors]
    boxes = list(taken)
    spots = []
    for anchor, own in zip(anchors, points, strict=True):
        others = [point for point in points if point != own]
        spot, box = _first_free(anchor, width, height, [*boxes, *others])
        spots.append(spot)
        if box is not None:
            boxes.append(box)
    return spots


def _first_free(anchor: Anchor, width: float, height: float, taken: Sequence[Box]) -> tuple[Spot, Box | None]:
    for spot in _SPOTS:
        box = _box(anchor, spot)
        inside = box.x0 >= 0 and box.x1 <= width and box.y0 >= 0 and box.y1 <= height
        if inside and not any(box.overlaps(other) for other in taken):
            return spot, box
    return _SPOTS[0]._replace(shown=False), None


def _box(anchor: Anchor, spot: Spot) -> Box:
    wide = len(anchor.text) * _GLYPH_PX
    x, y = anchor.x + spot.dx, anchor.y + spot.dy
    x0 = {"left": x, "right": x - wide, "center": x - wide / 2}[spot.align]
    return Box(x0, y - _LINE_PX / 2, x0 + wide, y + _LINE_PX / 2)


_SPOTS: tuple[Spot, ...] = (
    Spot(13, 0, "left", True),
    Spot(-13, 0, "right", True),
    Spot(0, -18, "center", True),
    Spot(0, 18, "center", True),
    Spot(10, -17, "left", True),
    Spot(10, 17, "left", True),
    Spot(-10, -17, "right", True),
    Spot(-10, 17, "right", True),
    Spot(0, -33, "center", True),
    Spot(0, 33, "center", True),
    Spot(10, 33, "left", True),
    Spot(-10, 33, "right", True),
)
