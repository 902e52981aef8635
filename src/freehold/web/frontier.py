"""The cost-quality plane: the policy among its family, single variants and controls, and the floor it has to stay above."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from freehold.promotion.picture import Picture, Point
from freehold.web import words
from freehold.web.figure import NARROW_PX, Figure, Row, data, spec, tips
from freehold.web.labels import Anchor, Box, Spot, place

_PLOT_PX = 360
_WIDE_PX, _NARROW_PX = 600, 285
"""Widths of the plot for which names are placed."""
_LONGEST_NAME = 26

KINDS = {"policy": "this policy", "control": "control", "variant": "one variant for all", "family": "same family, another threshold"}
"""Kinds of points, in the order in which they get room for their names."""


class Frame(NamedTuple):
    """What the axes show. Points beyond are drawn at the edge with their number."""

    x: tuple[float, float]
    """Saving."""
    y: tuple[float, float]
    """Loss, the best first."""

    def edge(self, point: Point) -> str:
        """The symbol of a point outside, which points to where it is; empty inside."""
        if point.loss > self.y[1]:
            return "triangle-down"
        if point.loss < self.y[0]:
            return "triangle-up"
        return "triangle-left" if (point.saving or 0.0) < self.x[0] else ""


def frontier(picture: Picture) -> Figure | None:
    """The chart; None where no point has a known saving."""
    points = drawn_points(picture)
    if not points:
        return None
    import altair as alt

    c = picture.certificate
    frame = frame_of(points, c.max_loss)
    rows = [_row(point, frame, c.reference) for point in points]
    _place_names(rows, frame, c.max_loss)
    reference = words.name(c.reference, 24)
    x_title = f"Saving against {reference} alone →" if c.saving_unit == "cost" else f"Calls that need no {reference} →"
    x = alt.X("x:Q", title=x_title, axis=alt.Axis(format=".0%", tickCount=6), scale=alt.Scale(domain=list(frame.x), nice=False))
    y_scale = alt.Scale(domain=[100 * edge for edge in frame.y], reverse=True, nice=False)
    y = alt.Y("y:Q", title="Points of quality lost (up is better)", axis=alt.Axis(format="~f", tickCount=6), scale=y_scale)
    floor = [{"y": 100 * frame.y[0], "y2": 100 * c.max_loss, "x": frame.x[0], "text": _floor_text(c.max_loss)}]
    layers = [
        alt.Chart(data(floor)).mark_rect(style="allowed").encode(y=y, y2="y2:Q"),
        alt.Chart(data(floor)).mark_rule(style="floor").encode(y="y2:Q"),
        alt.Chart(data(floor)).mark_text(style="floor-name", align="left", baseline="top", dx=5, dy=5).encode(x=x, y="y2:Q", text="text:N"),
    ]
    curve = [row for row in rows if row["kind"] in ("family", "policy")]
    if len(curve) > 1:
        line = alt.Chart(data(curve)).mark_line(style="family-line", clip=True)
        layers.append(line.encode(x=x, y="loss:Q", order=alt.Order("x:Q")))
    intervals = [row for row in rows if row["lo"] is not None and row["kind"] != "family"]
    if intervals:
        layers.append(alt.Chart(data(intervals)).mark_rule(style="interval", clip=True).encode(x=x, y="lo:Q", y2="hi:Q"))
    titles = {"label": "What", "kind_text": "Kind", "saving_text": "Saving", "loss_text": "Quality lost", "interval_text": "95 % interval"}
    titles |= {"quality_text": "Quality", "cost_text": "Cost per 1,000 calls"}
    for style in _STYLES:
        if styled := [row for row in rows if row["style"] == style]:
            mark = alt.Chart(data(styled)).mark_point(style=style, shape=alt.expr("datum.shape"), opacity=1)
            layers.append(mark.encode(x=x, y=y, tooltip=tips(titles)))
    narrow = f"width < {NARROW_PX}"
    spot = {key: alt.expr(f"{narrow} ? datum.narrow_{key} : datum.wide_{key}") for key in ("dx", "dy", "align")}
    # A name without room is empty rather than transparent: Vega makes room for what it cannot see.
    shown = alt.expr(f"({narrow} ? datum.narrow_shown : datum.wide_shown) ? datum.text : ''")
    for style in ("small", "policy-name"):
        if named := [row for row in rows if row["name_style"] == style]:
            text = alt.Chart(data(named)).mark_text(style=style, baseline="middle", text=shown, **spot)
            layers.append(text.encode(x=x, y=y))
    return Figure(
        name="frontier",
        title="Cost against quality",
        alt=_alt(rows, c.max_loss),
        head=tuple(titles.values()),
        rows=tuple(tuple(row[field] for field in titles) for row in rows),
        spec=spec(alt.layer(*layers), _PLOT_PX),
    )


def drawn_points(picture: Picture) -> list[Point]:
    """The points with a known saving, most telling first; where two kinds fall together, one point with both names."""
    kept: list[Point] = []
    reference = picture.certificate.reference
    for kind in KINDS:
        for point in picture.points:
            if point.kind != kind or point.saving is None:
                continue
            twin = next((i for i, other in enumerate(kept) if _coincide(point, other)), None)
            if twin is None:
                kept.append(point)
            elif kind == "variant" and kept[twin].kind == "control":
                note = "" if point.label == reference and "reference" in kept[twin].label else f" ({point.label})"
                kept[twin] = _named(kept[twin], kept[twin].label + note)
    return kept


def undrawn(picture: Picture) -> list[Point]:
    """The points that have no place on the plane because their saving is unknown."""
    return [point for point in picture.points if point.saving is None and point.kind in KINDS]


def frame_of(points: Sequence[Point], max_loss: float) -> Frame:
    """Axes around the decision: the floor and the policy fill the plane, whatever the worst control loses."""
    policy = [point for point in points if point.kind == "policy"]
    worst_policy = max((max(point.loss, point.loss_ci[1] if point.loss_ci else point.loss) for point in policy), default=0.0)
    worst, best = max(point.loss for point in points), min(point.loss for point in points)
    bottom = min(max(worst, 1.2 * max_loss), max(4 * max_loss, 1.3 * worst_policy))
    top = max(min(best, 0.0), -4 * max_loss)
    pad = 0.06 * (bottom - top)
    savings = [point.saving for point in points if point.saving is not None]
    left = max(min(0.0, *savings), -0.25)
    return Frame((left - 0.03, max(0.1, *savings) + 0.03), (top - pad, bottom + pad))


_STYLES = ("family", "family-certified", "variant", "control", "edge", "policy")
"""Later ones lie on top."""
_SYMBOLS = {"family": "circle", "variant": "circle", "control": "square", "policy": "diamond"}
"""Each kind has a shape of its own, so that no reader depends on colours."""


def _row(point: Point, frame: Frame, reference: str) -> Row:
    edge = frame.edge(point)
    saving = point.saving or 0.0
    label = point.label.replace("_", " ") if point.kind == "control" else point.label
    if point.kind == "control" and label == "all reference":
        label = f"all {words.shorten(reference, 18)}"
    text = words.shorten("this policy" if point.kind == "policy" else label, _LONGEST_NAME)
    if edge:
        text += f": {words.points(point.loss)} lost" if "left" not in edge else f": {words.percent(saving)}"
    style = "edge" if edge else point.kind
    if point.kind == "family":  # beyond the edge, the line alone goes on
        style = "" if edge else "family-certified" if point.is_certified else "family"
    interval = "–".join(words.points(end).split(words.NBSP)[0] for end in point.loss_ci) + " points" if point.loss_ci else "none"
    return {
        "kind": point.kind,
        "style": style,
        "name_style": "policy-name" if point.kind == "policy" else "small" if point.kind != "family" else "",
        "shape": edge or _SYMBOLS[point.kind],
        "x": min(max(saving, frame.x[0]), frame.x[1]),
        "y": 100 * min(max(point.loss, frame.y[0]), frame.y[1]),
        "loss": 100 * point.loss,
        "lo": 100 * point.loss_ci[0] if point.loss_ci else None,
        "hi": 100 * point.loss_ci[1] if point.loss_ci else None,
        "text": text,
        "label": label,
        "kind_text": KINDS[point.kind] + (", within the floor" if point.kind == "family" and point.is_certified else ""),
        "saving_text": words.percent(point.saving),
        "loss_text": words.points(point.loss),
        "interval_text": interval,
        "quality_text": words.quality(point.quality),
        "cost_text": words.dollars(point.cost_usd_per_1k),
    }


def _place_names(rows: list[Row], frame: Frame, max_loss: float) -> None:
    """Gives every named row its spots for the wide and the narrow layout."""
    named = sorted((row for row in rows if row["name_style"]), key=lambda row: bool(row["style"] == "edge"))
    for layout, width in (("wide", _WIDE_PX), ("narrow", _NARROW_PX)):

        def pixel(row: Row, width: int = width) -> tuple[float, float]:
            down = (row["y"] / 100 - frame.y[0]) / (frame.y[1] - frame.y[0])
            return width * (row["x"] - frame.x[0]) / (frame.x[1] - frame.x[0]), _PLOT_PX * down

        line = _PLOT_PX * (max_loss - frame.y[0]) / (frame.y[1] - frame.y[0])
        floor = Box(0, line + 2, 7 * len(_floor_text(max_loss)), line + 20)
        symbols = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in (pixel(row) for row in rows if row["style"].startswith("family"))]
        spots: list[Spot] = place([Anchor(*pixel(row), row["text"]) for row in named], width, _PLOT_PX, (floor, *symbols))
        for row, spot in zip(named, spots, strict=True):
            row |= {f"{layout}_{key}": value for key, value in spot._asdict().items()}


def _floor_text(max_loss: float) -> str:
    return f"floor: {words.points(max_loss)}"


def _coincide(one: Point, other: Point) -> bool:
    return abs((one.saving or 0.0) - (other.saving or 0.0)) < 1e-9 and abs(one.loss - other.loss) < 1e-9


def _named(point: Point, label: str) -> Point:
    return msgspec.structs.replace(point, label=label)


def _alt(rows: Sequence[Row], max_loss: float) -> str:
    said = [f"{row['label']} saves {row['saving_text']} and loses {row['loss_text']}" for row in rows if row["kind"] != "family"]
    return f"Saving against quality lost, on test items. The floor is {words.points(max_loss)}. " + "; ".join(said) + "."
