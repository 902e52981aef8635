"""The charts of a report, each with its numbers as a table: `figures(picture)` gives those the picture has data for.

Every number is written here once, as text, so that chart, tooltip and table cannot disagree. Colours and fonts are `theme.py`'s.
"""

from collections.abc import Mapping, Sequence
from math import ceil

from freehold.promotion.certificate import Certificate
from freehold.promotion.picture import Picture, Region
from freehold.web import words
from freehold.web.figure import NARROW_PX, ROW_PX, Figure, Row, bars, data, names, spec, tips
from freehold.web.frontier import frontier
from freehold.web.treemap import squarify

MOST_REGIONS = 20
"""Regions drawn and listed; the rest is one tile."""
MOST_VARIANTS = 6
"""Colours that stay apart; the variants used least share the last one."""
_MAP_PX = 430
_MAP_WIDE_PX, _MAP_NARROW_PX = 760, 330


def figures(picture: Picture) -> list[Figure]:
    """The charts this picture has data for, in the order of the page."""
    made = (frontier(picture), traffic(picture), traffic_by_region(picture), regions(picture), labels(picture), floors(picture))
    return [figure for figure in made if figure is not None]


def traffic(picture: Picture) -> Figure | None:
    """Who answers under the policy."""
    share, order = picture.certificate.share, variants(picture)
    parts = fold(share, order)
    if not parts:
        return None
    rows = [{"name": variant, "value": part, "text": words.percent(part), "key": variant} for variant, part in parts.items()]
    said = ", ".join(f"{words.name(variant)} {words.percent(part)}" for variant, part in parts.items())
    return Figure(
        name="traffic",
        title="Who answers",
        alt=f"Share of calls by variant under the policy: {said}.",
        head=("Variant", "Share of calls"),
        rows=tuple((variant, words.percent(part)) for variant, part in by_share(share)),
        spec=bars(rows, 1.0, domain=order),
    )


def traffic_by_region(picture: Picture) -> Figure | None:
    """Who answers in each region."""
    shown, order = shown_regions(picture), variants(picture)
    if not any(region.share_by_variant for region in shown):
        return None
    import altair as alt

    rows: list[Row] = [{"i": i, "name": region.name, "text": f"{words.percent(region.share)} of calls"} for i, region in enumerate(shown)]
    segments = [segment | {"i": i} for i, region in enumerate(shown) for segment in _segments(region, order)]
    x, y = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False)), alt.Y("i:O", axis=None)
    legend = alt.Legend(title=None, orient="top", labelLimit=140, columns=alt.expr(f"width < {NARROW_PX} ? 2 : 4"))
    color = alt.Color("key:N", scale=alt.Scale(domain=order, range="category"), legend=legend)
    base = alt.Chart(data(segments)).encode(x=x, y=y)
    fits = alt.expr("(datum.x2 - datum.x) * width > 50 ? datum.text : ''")  # hidden, not transparent: Vega makes room for either
    layers = [
        *names(rows, y),
        base.mark_bar(size=17, yOffset=10, opacity=1).encode(
            x2="x2:Q", color=color, tooltip=tips({"region": "Region", "key": "Answered by", "text": "Share of its calls"})
        ),
        base.mark_text(style="inside", align="left", baseline="middle", dx=6, dy=11, text=fits).encode(
            color=alt.Color("key:N", scale=alt.Scale(domain=order, range="ordinal"), legend=None)
        ),
    ]
    return Figure(
        name="traffic-by-region",
        title="Who answers, region by region",
        alt=f"Share of calls by variant in each of {words.count(len(shown), 'region')}; the numbers are in the table below.",
        head=("Region", "Share of calls", "Answered by"),
        rows=tuple((region.name, words.percent(region.share), answered_by(region)) for region in shown),
        spec=spec(alt.layer(*layers).resolve_scale(color="independent"), ROW_PX * len(rows)),
    )


def regions(picture: Picture) -> Figure | None:
    """The map: a tile for each region, as large as its traffic, as green as its saving, outlined where it loses more than the floor."""
    shown = [region for region in shown_regions(picture) if region.share > 0]
    if not shown:
        return None
    import altair as alt

    rows = [_region_row(region, picture.certificate) for region in shown]
    weights = [row["share"] for row in rows]
    for layout, width in (("wide", _MAP_WIDE_PX), ("narrow", _MAP_NARROW_PX)):
        for row, tile in zip(rows, squarify(weights, width, _MAP_PX), strict=True):
            row |= {f"{layout}_{key}": value for key, value in tile._asdict().items()}
    at = {key: f"width < {NARROW_PX} ? datum.narrow_{key} : datum.wide_{key}" for key in ("x0", "y0", "x1", "y1")}
    x = alt.X("x0:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False))
    y = alt.Y("y0:Q", axis=None, scale=alt.Scale(domain=[0, 1], nice=False, reverse=True))
    color = alt.Color(
        "saving:Q",
        scale=alt.Scale(domain=[0, 1], range="ramp", clamp=True),
        legend=alt.Legend(title=None, orient="top", format=".0%", gradientLength=160, tickCount=2, labelExpr="datum.label + ' saved'"),
    )
    layers = []
    for style, chosen in (
        ("cell", [row for row in rows if row["saving"] is not None]),
        ("cell-unknown", [row for row in rows if row["saving"] is None]),
        ("cell-over", [row for row in rows if row["is_over"]]),
    ):
        if chosen:
            cells = alt.Chart(data(chosen)).transform_calculate(**at).mark_rect(style=style, opacity=1)
            cells = cells.encode(x=x, x2="x1:Q", y=y, y2="y1:Q", tooltip=tips(_REGION_FIELDS))
            layers.append(cells.encode(color=color) if style == "cell" else cells)
    wide, high = "(datum.x1 - datum.x0) * width", f"(datum.y1 - datum.y0) * {_MAP_PX}"
    for style, field, dy, least in (("name", "name", 17, 28), ("small", "saved", 35, 46), ("small", "lost", 52, 64)):
        shown_if = alt.expr(f"{wide} > 56 && {high} > {least} ? 1 : 0")
        text = alt.Chart(data(rows)).transform_calculate(**at)
        text = text.mark_text(style=style, align="left", dx=10, dy=dy, limit=alt.expr(f"max(1, {wide} - 18)"), opacity=shown_if)
        layers.append(text.encode(x=x, y=y, text=f"{field}:N"))
    return Figure(
        name="regions",
        title="The map of regions",
        alt=_map_alt(rows),
        head=(*_REGION_FIELDS.values(), "Example"),
        rows=tuple((*(row[field] for field in _REGION_FIELDS), row["example"]) for row in rows),
        spec=spec(alt.layer(*layers), _MAP_PX),
    )


def labels(picture: Picture) -> Figure | None:
    """How many labels each floor needs at least, beside how many there are."""
    least = sorted(((float(floor), needed) for floor, needed in picture.labels.least_by_floor.items()), reverse=True)
    if not least:
        return None
    c = picture.certificate
    have, noun = c.n_calibrate_groups, words.unit(c)
    rows: list[Row] = []
    table: list[tuple[str, ...]] = []
    for floor, needed in least:
        short = "enough here" if needed <= have else f"{needed - have:,} short"
        style = "good" if needed <= have else "open"
        rows.append({"name": f"floor {words.points(floor)}", "value": needed, "text": f"{needed:,} · {short}", "style": style})
        table.append(
            (
                words.points(floor),
                f"{needed:,}",
                f"{ceil(needed / c.calibrate_fraction):,}" if c.calibrate_fraction else words.UNKNOWN,
                short,
            )
        )
    return Figure(
        name="labels",
        title=f"The fewest {noun}s that can prove a floor",
        alt=f"The fewest {noun}s that can prove each floor: " + "; ".join(f"{row['name']}: {row['text']}" for row in rows) + ".",
        head=("Floor", f"{noun.capitalize()}s in the proof, at least", "Labelled in all, at this split", "Here"),
        rows=tuple(table),
        spec=bars(rows, 1.02 * max(have, *(needed for _, needed in least)), mark=have),
    )


def floors(picture: Picture) -> Figure | None:
    """What each floor saves on the same data, the page's own among them; None where there is only one."""
    every = sorted((picture.certificate, *picture.beside), key=lambda c: c.max_loss)
    if len(every) < 2:
        return None
    rows: list[Row] = []
    table: list[tuple[str, ...]] = []
    for c in every:
        floor = f"floor {words.points(c.max_loss)}"
        told = f"{words.percent(c.saving)} saved · {words.status(c)}"
        rows.append({"name": floor, "value": max(0.0, c.saving), "text": told, "style": "good" if c.certified else "open"})
        more = "no number would do" if c.labels_needed is None else f"{c.labels_needed:,}" if c.labels_needed else "none"
        numbers = (words.points(c.loss_upper_bound), words.percent(c.saving), words.dollars(c.cost_usd_per_1k.policy))
        table.append((floor + (" (this page)" if c is picture.certificate else ""), words.status(c), *numbers, more))
    return Figure(
        name="floors",
        title="What each floor saves",
        alt="Saving by floor: " + "; ".join(f"{row['name']}: {row['text']}" for row in rows) + ".",
        head=("Floor", "Result", "Quality lost, at most", "Saving", "Cost per 1,000 calls", "More labels needed"),
        rows=tuple(table),
        spec=bars(rows, 1.0),
    )


def variants(picture: Picture) -> list[str]:
    """The variants in use in the order of their colours: the reference, then by share, the last ones folded into `N others`."""
    share, reference = picture.certificate.share, picture.certificate.reference
    used = {name for parts in (share, *(region.share_by_variant for region in picture.regions)) for name, part in parts.items() if part > 0}
    order = [reference, *sorted(used - {reference}, key=lambda name: (-share.get(name, 0.0), name))]
    if len(order) <= MOST_VARIANTS:
        return order
    return [*order[: MOST_VARIANTS - 1], f"{len(order) - MOST_VARIANTS + 1} others"]


def fold(share: Mapping[str, float], order: Sequence[str]) -> dict[str, float]:
    """Shares in the order of the colours, the ones without a colour added up under the last name."""
    parts = {name: share[name] for name in order if share.get(name, 0.0) > 0}
    rest = sum(part for name, part in share.items() if name not in order)
    return parts | ({order[-1]: rest} if rest > 0 else {})


def by_share(share: Mapping[str, float]) -> list[tuple[str, float]]:
    """Variants and their shares, the largest first."""
    return sorted(share.items(), key=lambda pair: (-pair[1], pair[0]))


def shown_regions(picture: Picture) -> list[Region]:
    """The largest regions, `MOST_REGIONS` at most."""
    return sorted(picture.regions, key=lambda region: -region.share)[:MOST_REGIONS]


def answered_by(region: Region) -> str:
    """Who answers in a region, the largest share first."""
    return (
        ", ".join(f"{words.name(name)} {words.percent(part)}" for name, part in by_share(region.share_by_variant) if part > 0)
        or words.UNKNOWN
    )


_REGION_FIELDS = {
    "name": "Region",
    "share_text": "Share of calls",
    "items_text": "Items",
    "saving_text": "Saving",
    "loss_text": "Quality lost",
    "quality_text": "Quality of the reference",
    "cost_text": "Reference’s cost per 1,000 calls",
    "by_text": "Answered by",
}


def _segments(region: Region, order: Sequence[str]) -> list[Row]:
    """The parts of a region's bar, end to end."""
    made, at = [], 0.0
    for variant, part in fold(region.share_by_variant, order).items():
        made.append({"region": region.name, "key": variant, "x": at, "x2": at + part, "text": words.percent(part)})
        at += part
    return made


def _region_row(region: Region, c: Certificate) -> Row:
    is_over = region.loss is not None and region.loss > c.max_loss
    return {
        "name": words.shorten(region.name, 80),
        "share": region.share,
        "saving": region.saving,
        "is_over": is_over,
        "saved": "saving unknown" if region.saving is None else f"saves {words.percent(region.saving)}",
        "lost": f"loses {words.points(region.loss)}" if is_over else "",
        "share_text": words.percent(region.share),
        "items_text": f"{region.n:,}",
        "saving_text": words.percent(region.saving),
        "loss_text": words.points(region.loss),
        "quality_text": words.quality(region.quality_reference),
        "cost_text": words.dollars(region.cost_usd_per_1k),
        "by_text": answered_by(region),
        "example": region.example,
    }


def _map_alt(rows: Sequence[Row]) -> str:
    over = [row["name"] for row in rows if row["is_over"]]
    largest = ", ".join(f"{row['name']} ({row['share_text']} of calls, saving {row['saving_text']})" for row in rows[:3])
    told = f"Measured loss above the floor in: {', '.join(over)}." if over else "No region’s measured loss is above the floor."
    return f"{words.count(len(rows), 'tile')}, as large as their traffic. The largest: {largest}. {told}"
