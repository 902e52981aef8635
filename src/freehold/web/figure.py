"""One chart: a Vega-Lite specification that names styles instead of colours, and the same numbers for whoever cannot see it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

Row: TypeAlias = dict[str, Any]

NARROW_PX = 480
"""Below this many pixels a chart uses its phone layout."""
ROW_PX = 46
"""Height of one bar with its name above it."""


class Figure(NamedTuple):
    """One chart, its words and its table."""

    name: str
    """Also the file's: `report-NAME.png`."""
    title: str
    """Heading of the PNG."""
    alt: str
    """What it shows, for who cannot see it."""
    head: tuple[str, ...]
    """Columns of its table."""
    rows: tuple[tuple[str, ...], ...]
    """Its numbers."""
    spec: dict[str, Any]
    """Vega-Lite, as wide as its container."""


def data(rows: Sequence[Row]) -> Any:
    """Rows as inline data."""
    import altair as alt

    return alt.Data(values=list(rows))


def tips(titles: Mapping[str, str]) -> list[Any]:
    """A tooltip that shows these fields, which hold text, under these titles."""
    import altair as alt

    return [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]


def spec(chart: Any, height: int) -> dict[str, Any]:
    """The chart's specification at a fixed height and its container's width."""
    made: dict[str, Any] = chart.properties(width="container", height=height, autosize={"type": "fit-x", "contains": "padding"}).to_dict()
    made.pop("config", None)  # Altair's default theme; ours comes with the look
    return made


def bars(rows: Sequence[Row], top: float, domain: Sequence[str] = (), mark: float | None = None) -> dict[str, Any]:
    """Horizontal bars from 0 to `top`, each with its name and its number above it, so that long names need no margin.

    A row has `name`, `value`, `text`, and `key` (coloured by its place in `domain`) or `style`. `mark` is a value to compare with.
    """
    import altair as alt

    rows = [row | {"i": i, "zero": 0.0, "top": top} for i, row in enumerate(rows)]
    x, y = alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, top], nice=False)), alt.Y("i:O", axis=None)
    shape = {"size": 13, "yOffset": 10, "cornerRadius": 2, "opacity": 1}
    layers = [
        *names(rows, y),
        alt.Chart(data(rows)).mark_bar(style="track", **shape).encode(x=alt.X("zero:Q", axis=None), x2="top:Q", y=y),
    ]
    if domain:
        color = alt.Color("key:N", scale=alt.Scale(domain=list(domain), range="category"), legend=None)
        layers.append(alt.Chart(data(rows)).mark_bar(**shape).encode(x=x, y=y, color=color))
    for style in dict.fromkeys(row["style"] for row in rows if "style" in row):
        styled = [row for row in rows if row.get("style") == style]
        layers.append(alt.Chart(data(styled)).mark_bar(style=style, **shape).encode(x=x, y=y))
    if mark is not None:
        layers.append(
            alt.Chart(data([row | {"mark": mark} for row in rows])).mark_tick(style="mark", size=19, yOffset=10).encode(x="mark:Q", y=y)
        )
    return spec(alt.layer(*layers), ROW_PX * len(rows))


def names(rows: Sequence[Row], y: Any) -> list[Any]:
    """Name at the left and number at the right of each row, above its bar."""
    import altair as alt

    base = alt.Chart(data(rows))
    room = "width - 9 - 7 * length(datum.text)"
    return [
        base.mark_text(style="name", align="left", dy=-9, limit=alt.expr(f"max(24, {room})")).encode(x=alt.value(0), y=y, text="name:N"),
        base.mark_text(style="value", align="right", dy=-9).encode(x=alt.value("width"), y=y, text="text:N"),
    ]
