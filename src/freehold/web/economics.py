"""The page of a task's economics: `economics.html`, one file that fetches nothing, and each of its charts as a PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.errors import OperatorError
from freehold.promotion.cases import Case, Economics
from freehold.store.files import private_file
from freehold.web import page, theme, words
from freehold.web.economics_words import (
    headline,
    intervals,
    lines_of,
    months_table,
    parts_table,
    sensitivity_table,
    trainings_table,
    until,
    ways_table,
    year,
)
from freehold.web.figure import Figure, Row, bars, data, spec, tips
from freehold.web.report import Table, png, still

_LINES_PX, _CELL_PX = 320, 44
_MOST_VARIANTS, _MOST_CASES = 12, 6
"""Drawn; the tables have all."""
_FURTHEST = 120.0


class _Told(NamedTuple):
    name: str
    lines: tuple[str, ...]
    figures: tuple[str, ...]
    parts: Table
    trainings: Table


def write_page(found: Economics, project: str, out: Path) -> list[Path]:
    """Writes the page and its charts into the folder `out`; gives their paths, the page first. Raises OperatorError."""
    found = msgspec.convert(words.drawable(msgspec.to_builtins(found)), Economics)
    drawn = figures(found)
    made = {"economics.html": render(found, project, drawn).encode()} | {f"economics-{one.name}.png": png(one) for one in drawn}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file, content in made.items():
            with private_file(out / file) as open_file:
                open_file.write(content)
    except OSError as error:
        raise OperatorError(f"Cannot write the page into '{out}': {error.strerror or error}. Choose another folder with --out.") from error
    return [out / file for file in made]


def figures(found: Economics) -> list[Figure]:
    """What a month costs; and of each specialist what is paid month by month, and when it has paid for itself under which change."""
    made = [_months(found)]
    for n, case in enumerate(found.cases[:_MOST_CASES], 1):
        made += [_paid(case, found, n), _sensitivity(case, n)]
    return [figure for figure in made if figure is not None]


def render(found: Economics, project: str, drawn: Sequence[Figure]) -> str:
    """The page's HTML."""
    specs = {
        "specs": {figure.name: figure.spec for figure in drawn},
        "light": theme.config(theme.LIGHT),
        "dark": theme.config(theme.DARK),
    }
    values = {
        "e": found,
        "project": project,
        "words": words,
        "title": headline(found),
        "lede": f"{found.questions:,.0f} questions a month, as from {found.span.since:%Y-%m-%d} to {found.span.until:%Y-%m-%d}.",
        "figures": {figure.name: figure for figure in drawn},
        "stills": {figure.name: page.data_url(still(figure)) for figure in drawn},
        "months": months_table(found),
        "cases": [_told(case, found, n, {figure.name for figure in drawn}) for n, case in enumerate(found.cases, 1)],
        "ways": ways_table(found),
        "year": year(found),
        "facts": _facts(found),
        "chart_data": page.as_json(specs),
        "licences": page.resource("licences.txt"),
    }
    return page.render(
        "economics.html.jinja", values, styles=[page.resource("report.css")], scripts=[page.vega(), page.resource("report.js")]
    )


def _told(case: Case, found: Economics, n: int, drawn: set[str]) -> _Told:
    shown = tuple(name for name in (f"paid-{n}", f"sensitivity-{n}") if name in drawn)
    return _Told(case.name, lines_of(case, found), shown, parts_table(case), trainings_table(case))


def _facts(found: Economics) -> list[tuple[str, str]]:
    table = found.table
    hour = "unknown" if table.machine_usd_per_hour is None else words.dollars(table.machine_usd_per_hour)
    label = "unknown" if table.label_usd is None else words.dollars(table.label_usd)
    return [
        ("Intervals", intervals(found)),
        ("A machine’s hour", hour),
        ("A label that no tariff pays", label),
        ("Kept running", f"{words.dollars(table.standing_usd_per_month)} a month"),
        ("Trained anew", f"every {table.retrain_months:g} months" if table.retrain_months else "never"),
        ("Questions without a time", f"{found.undated:,}"),
    ]


def _months(found: Economics) -> Figure | None:
    known = [one for one in found.variants if one.usd is not None][:_MOST_VARIANTS]
    top = max((one.usd or 0.0 for one in known), default=0.0)
    if top <= 0:
        return None
    rows = [
        {
            "name": one.variant,
            "value": one.usd,
            "text": ("at least " if one.unknown else "") + words.dollars(one.usd),
            "style": "good" if one.is_owned else "open",
        }
        for one in known
    ]
    return Figure(
        name="months",
        title="What a month costs, by who answers",
        alt="Cost of a month by variant: " + "; ".join(f"{row['name']} {row['text']}" for row in rows) + ".",
        head=("Variant", "A month"),
        rows=tuple((str(row["name"]), str(row["text"])) for row in rows),
        spec=bars(rows, top),
    )


def _paid(case: Case, found: Economics, n: int) -> Figure | None:
    """What is paid, month by month, by the reference alone and with the specialist before it; and when the lines cross."""
    if not case.paid:
        return None
    import altair as alt

    keys = (f"{words.shorten(found.reference, 30)} alone", f"{words.shorten(case.name, 30)} first")
    last, top = float(case.paid[-1].month), max(max(one.rented_usd, one.owned_usd) for one in case.paid)
    rows: list[Row] = [
        {"month": one.month, "usd": usd, "key": key, "month_text": f"{one.month}", "usd_text": words.dollars(usd)}
        for one in case.paid
        for key, usd in zip(keys, (one.rented_usd, one.owned_usd), strict=True)
    ]
    x = alt.X(
        "month:Q",
        title="Months from the start",
        axis=alt.Axis(format="~f", tickCount=8, grid=False),
        scale=alt.Scale(domain=[0, last], nice=False),
    )
    y = alt.Y(
        "usd:Q",
        title="USD paid until then",
        axis=alt.Axis(format="~s", tickCount=6),
        scale=alt.Scale(domain=[0, 1.05 * top or 1], nice=False),
    )
    color = alt.Color(
        "key:N", scale=alt.Scale(domain=list(keys), range="category"), legend=alt.Legend(title=None, orient="top", labelLimit=300)
    )
    layers = [*_crossing(case, last)]
    lines = alt.Chart(data(rows)).mark_line(strokeWidth=2.5, clip=True)
    layers.append(
        lines.encode(x=x, y=y, color=color, tooltip=tips({"key": "Who is asked", "month_text": "Month", "usd_text": "Paid until then"}))
    )
    even, paid = case.break_even_months, case.paid[-1]
    crossing = "" if even is None or even.value is None else f" They cross after {even.value:,.1f} months."
    ends = f"{keys[0]} has cost {words.dollars(paid.rented_usd)}, {keys[1]} {words.dollars(paid.owned_usd)}"
    return Figure(
        name=f"paid-{n}",
        title="What has been paid, month by month",
        alt=f"After {last:.0f} months {ends}.{crossing}",
        head=("Month", *keys),
        rows=tuple((f"{one.month}", words.dollars(one.rented_usd), words.dollars(one.owned_usd)) for one in case.paid),
        spec=spec(alt.layer(*layers), _LINES_PX),
    )


def _crossing(case: Case, last: float) -> list[Any]:
    """A band for the interval of the break-even, and a line at its best guess, as far as they are on the chart."""
    import altair as alt

    months = case.break_even_months
    if months is None:
        return []
    scale, layers = alt.Scale(domain=[0, last], nice=False), []
    low, high = months.interval or (months.value, months.value)
    if low is not None and low < last and months.interval is not None:
        band = [{"low": low, "high": min(last, last if high is None else high)}]
        layers.append(alt.Chart(data(band)).mark_rect(style="allowed").encode(x=alt.X("low:Q", scale=scale), x2="high:Q"))
    if months.value is not None and months.value <= last:
        layers.append(alt.Chart(data([{"at": months.value}])).mark_rule(style="floor").encode(x=alt.X("at:Q", scale=scale)))
    return layers


def _sensitivity(case: Case, n: int) -> Figure | None:
    """When it has paid for itself, by what a year does to questions and to rented prices."""
    if not case.sensitivity:
        return None
    import altair as alt

    rows: list[Row] = [
        {
            "growth": f"× {cell.growth:g}",
            "decline": f"÷ {cell.price_decline:g}",
            "months": min(_FURTHEST, _FURTHEST if cell.months is None else cell.months),
            "text": until(cell),
        }
        for cell in case.sensitivity
    ]
    growths, declines = (list(dict.fromkeys(row[name] for row in rows)) for name in ("growth", "decline"))
    x = alt.X(
        "decline:O", title="Rented prices, a year", sort=declines, axis=alt.Axis(labelAngle=0, orient="top", ticks=False, domain=False)
    )
    y = alt.Y("growth:O", title="Questions, a year", sort=growths, axis=alt.Axis(ticks=False, domain=False))
    color = alt.Color("months:Q", scale=alt.Scale(domain=[_FURTHEST, 0], range="ramp", clamp=True), legend=None)
    base = alt.Chart(data(rows)).encode(x=x, y=y)
    told = tips({"growth": "Questions, a year", "decline": "Rented prices, a year", "text": "Months until it has paid for itself"})
    layers = [
        base.mark_rect(style="cell").encode(color=color, tooltip=told),
        base.mark_text(style="name", align="center").encode(text="text:N"),
    ]
    table = sensitivity_table(case)
    told_of = "; ".join(f"questions {row['growth']}, prices {row['decline']}: {row['text']}" for row in rows)
    return Figure(
        name=f"sensitivity-{n}",
        title="Months until it has paid for itself",
        alt=f"Months until it has paid for itself: {told_of}.",
        head=table.head,
        rows=table.rows,
        spec=spec(alt.layer(*layers), _CELL_PX * len(growths)),
    )
