"""The page of an evaluation: `evaluation.html`, one file that fetches nothing, with a chart of scores and of differences for each scorer, and PNGs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.errors import OperatorError
from freehold.evaluation.result import Evaluation, Mean, Side
from freehold.store.files import private_file
from freehold.web import page, theme, words
from freehold.web.figure import Figure, Row, data, names, spec, tips
from freehold.web.report import Table, png, still

_ROW_PX = 46
_MOST_ROWS = 40
"""Variants drawn; the table has all."""


class _Part(NamedTuple):
    title: str
    table: Table


def write_page(evaluation: Evaluation, project: str, out: Path) -> list[Path]:
    """Writes the page and its charts into the folder `out`; gives their paths, the page first. Raises OperatorError."""
    evaluation = msgspec.convert(words.drawable(msgspec.to_builtins(evaluation)), Evaluation)
    drawn = figures(evaluation)
    made = {"evaluation.html": render(evaluation, project, drawn).encode()}
    made |= {f"evaluation-{figure.name}.png": png(figure) for figure in drawn}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file, content in made.items():
            with private_file(out / file) as open_file:
                open_file.write(content)
    except OSError as error:
        raise OperatorError(f"Cannot write the page into '{out}': {error.strerror or error}. Choose another folder with --out.") from error
    return [out / file for file in made]


def figures(evaluation: Evaluation) -> list[Figure]:
    """A chart of scores and one of differences for each scorer, as far as there are any."""
    made = []
    for place, metric in enumerate(evaluation.metrics):
        made += [_scores(evaluation, place), _differences(evaluation, metric.id, place)]
    return [figure for figure in made if figure is not None]


def render(evaluation: Evaluation, project: str, drawn: Sequence[Figure]) -> str:
    """The page's HTML."""
    specs = {
        "specs": {figure.name: figure.spec for figure in drawn},
        "light": theme.config(theme.LIGHT),
        "dark": theme.config(theme.DARK),
    }
    values = {
        "e": evaluation,
        "project": project,
        "words": words,
        "title": f"{words.count(len(evaluation.sides), 'variant')} of {words.name(evaluation.asked.task)}",
        "lede": _lede(evaluation),
        "figures": {figure.name: figure for figure in drawn},
        "stills": {figure.name: page.data_url(still(figure)) for figure in drawn},
        "sides": _sides(evaluation.sides),
        "differences": _differences_table(evaluation),
        "scorecard": _scorecard(evaluation),
        "parts": [
            _Part(f"{kind}{part.by} = {part.value} ({words.count(part.items, 'item')})", _sides(part.sides))
            for kind, parts in (("", evaluation.parts), ("People, ", evaluation.people))
            for part in parts
        ],
        "gaps": Table(
            ("By", "Variant", "Scorer", "Lowest", "Highest", "Gap"),
            tuple((g.by, g.variant, g.scorer, g.lowest, g.highest, f"{g.gap:.3f}") for g in evaluation.gaps),
        ),
        "unscored": _unscored(evaluation.sides),
        "required": Table(
            ("What", "Of", "Measured", "Holds"),
            tuple(
                (r.said, r.variant or "both", words.UNKNOWN if r.measured is None else f"{r.measured:.6g}", "yes" if r.is_met else "no")
                for r in evaluation.required
            ),
        ),
        "facts": _facts(evaluation),
        "chart_data": page.as_json(specs),
        "licences": page.resource("licences.txt"),
    }
    return page.render(
        "evaluated.html.jinja", values, styles=[page.resource("report.css")], scripts=[page.vega(), page.resource("report.js")]
    )


def _lede(evaluation: Evaluation) -> str:
    drawn = f", drawn at random from {evaluation.frame:,}" if evaluation.items < evaluation.frame else ""
    grouped = "" if evaluation.groups == evaluation.items else f" in {words.count(evaluation.groups, 'group')}"
    confirmed = [line for line in (evaluation.scorecard.lines if evaluation.scorecard else ()) if line.is_confirmed]
    told = f" {words.count(len(confirmed), 'claim')} against {words.name(evaluation.asked.reference or '')} confirmed." if confirmed else ""
    return f"{words.count(evaluation.items, 'item')}{grouped}{drawn}.{told}"


def _scores(evaluation: Evaluation, place: int) -> Figure | None:
    """Each variant's mean and interval by one scorer."""
    metric = evaluation.metrics[place]
    found = [(side.variant, side.means[place]) for side in evaluation.sides if side.means[place].mean is not None]
    rows = [_row(name, mean.mean, mean.low, mean.high, f"{_number(mean.mean)} ({_interval(mean)})") for name, mean in found]
    if not rows:
        return None
    return Figure(
        name=f"scores-{place}",
        title=metric.id,
        alt=f"Mean {metric.id} with its interval: " + "; ".join(f"{row['name']} {row['text']}" for row in rows) + ".",
        head=("Variant", "Mean and interval", "Scored"),
        rows=tuple((name, f"{_number(mean.mean)} ({_interval(mean)})", f"{mean.n:,}") for name, mean in found),
        spec=_dots(rows[:_MOST_ROWS], metric.range),
    )


def _differences(evaluation: Evaluation, scorer: str, place: int) -> Figure | None:
    found = [d for d in evaluation.differences if d.scorer == scorer]
    rows = [_row(f"{d.first} − {d.second}", d.difference, d.low, d.high, f"{d.difference:+.3f} · {d.verdict}", d.verdict) for d in found]
    if not rows:
        return None
    reach = max(0.01, *(abs(end) for d in found for end in (d.low, d.high)))
    return Figure(
        name=f"differences-{place}",
        title=f"Differences by {scorer}",
        alt=f"Differences by {scorer}: " + "; ".join(f"{row['name']}: {row['text']}" for row in rows) + ".",
        head=("Pair", "Difference", "Interval", "Verdict"),
        rows=tuple((f"{d.first} − {d.second}", f"{d.difference:+.3f}", f"{d.low:+.3f} to {d.high:+.3f}", d.verdict) for d in found),
        spec=_dots(rows[:_MOST_ROWS], (-reach, reach), zero=True),
    )


def _row(name: str, mean: float | None, low: float | None, high: float | None, text: str, verdict: str = "") -> Row:
    style = {"better": "policy", "worse": "control"}.get(verdict, "variant")
    return {"name": words.shorten(name, 60), "value": mean, "low": low, "high": high, "text": text, "style": style}


def _dots(rows: Sequence[Row], ends: tuple[float, float], zero: bool = False) -> dict[str, object]:
    """A point with its interval for each row, its name and number above it."""
    import altair as alt

    low, high = ends
    if not zero:
        low = max(low, min(row["low"] for row in rows) - 0.1 * (high - low))
        high = min(high, max(row["high"] for row in rows) + 0.1 * (high - low))
    rows = [row | {"i": i} for i, row in enumerate(rows)]
    scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    x = alt.X("value:Q", title=None, axis=alt.Axis(format="~f", tickCount=6, grid=False), scale=scale)
    y = alt.Y("i:O", axis=None)
    shown = tips({"name": "What", "text": "Measured"})
    layers = []
    if zero:
        layers.append(alt.Chart(data([{"at": 0.0}])).mark_rule(style="floor").encode(x=alt.X("at:Q", scale=scale)))
    layers.append(
        alt.Chart(data(rows)).mark_rule(style="interval", yOffset=10, clip=True).encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y)
    )
    for style in dict.fromkeys(row["style"] for row in rows):
        mark = alt.Chart(data([row for row in rows if row["style"] == style])).mark_point(style=style, yOffset=10, opacity=1, size=90)
        layers.append(mark.encode(x=x, y=y, tooltip=shown))
    return spec(alt.layer(*layers, *names(rows, y)), _ROW_PX * len(rows) + 30)


def _sides(sides: Sequence[Side]) -> Table:
    rows = []
    for side in sides:
        for mean in side.means:
            spent = words.dollars(side.cost_usd_per_1k)
            took = words.UNKNOWN if side.p50_s is None or side.p95_s is None else f"{side.p50_s:.2f} s, {side.p95_s:.2f} s"
            rows.append((side.variant, mean.scorer, _number(mean.mean), _interval(mean), f"{mean.n:,} of {side.items:,}", spent, took))
    return Table(("Variant", "Scorer", "Mean", "Interval", "Scored", "Cost per 1,000", "Latency p50, p95"), tuple(rows))


def _differences_table(evaluation: Evaluation) -> Table:
    return Table(
        ("Variant", "Against", "Scorer", "Difference", "Interval", "p, corrected", "Verdict", "Items"),
        tuple(
            (
                d.first,
                d.second,
                d.scorer,
                f"{d.difference:+.3f}",
                f"{d.low:+.3f} to {d.high:+.3f}",
                f"{d.p_adjusted:.2g}",
                d.verdict,
                f"{d.n:,}",
            )
            for d in evaluation.differences
        ),
    )


def _scorecard(evaluation: Evaluation) -> Table:
    rows = []
    for line in evaluation.scorecard.lines if evaluation.scorecard is not None else ():
        target = line.target
        measured = words.UNKNOWN if line.difference is None else f"{line.difference:+.3f}"
        interval = words.UNKNOWN if line.low is None or line.high is None else f"{line.low:+.3f} to {line.high:+.3f}"
        rows.append(
            (
                f"{target.by} = {target.value}" if target.by else "everywhere",
                target.variant,
                target.claim,
                measured,
                interval,
                "confirmed" if line.is_confirmed else "not confirmed",
                words.percent(line.cost_share),
            )
        )
    return Table(("Where", "Variant", "Claim", "Difference", "Interval", "Result", "Of its cost"), tuple(rows))


def _unscored(sides: Sequence[Side]) -> Table:
    rows = []
    for side in sides:
        for mean in side.means:
            if mean.silent or mean.unscored:
                why = "; ".join(f"{count:,} {reason}" for reason, count in list(mean.reasons.items())[:5])
                rows.append(
                    (
                        side.variant,
                        mean.scorer,
                        f"{mean.silent:,}",
                        f"{mean.unscored:,}",
                        why,
                        f"{_number(mean.worst)} to {_number(mean.best)}",
                    )
                )
    return Table(("Variant", "Scorer", "No answer", "No score", "Why", "Worst to best"), tuple(rows))


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    asked = evaluation.asked
    return [
        ("Evaluation", evaluation.id),
        ("Items", asked.dataset or "the journal’s"),
        ("Scorers", ", ".join(asked.scorers)),
        ("Seed", f"{asked.seed}"),
        ("Data", evaluation.data),
        ("Made", evaluation.ended.strftime("%Y-%m-%d %H:%M UTC")),
        *(() if not evaluation.erased else (("Erased since", words.count(evaluation.erased, "item")),)),
    ]


def _number(value: float | None) -> str:
    return words.UNKNOWN if value is None else f"{value:.3f}"


def _interval(mean: Mean) -> str:
    return words.UNKNOWN if mean.low is None or mean.high is None else f"{mean.low:.3f} to {mean.high:.3f}"
