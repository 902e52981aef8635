"""Writes the report: `report.html`, one page for a person that opens anywhere and fetches nothing, and each of its charts as a PNG."""

import shlex
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.errors import OperatorError
from freehold.promotion.certificate import Certificate, Control
from freehold.promotion.picture import Picture
from freehold.store.files import private_file
from freehold.web import charts, page, theme, words
from freehold.web.figure import Figure
from freehold.web.frontier import undrawn

PNG_PX, PNG_PPI = 760, 144
CHARTS = ("frontier", "traffic", "traffic-by-region", "regions", "labels", "floors")
"""Every chart a report may have, each `report-NAME.png`."""


class Tile(NamedTuple):
    """One of the few numbers at the top."""

    name: str
    value: str
    note: str


class Table(NamedTuple):
    """A table of text; the first column names the row."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def write_report(picture: Picture, out: Path) -> list[Path]:
    """Writes the page and its charts into the folder `out`; gives their paths, the page first.

    Raises:
        OperatorError: the folder cannot be made or written to.
    """
    picture = drawable(picture)
    figures = charts.figures(picture)
    html = render(picture, figures)
    return _write(out, {"report.html": html.encode()} | {f"report-{figure.name}.png": png(figure) for figure in figures})


def drawable(picture: Picture) -> Picture:
    """The same picture with every text in it fit for a page and a chart."""
    return msgspec.convert(words.drawable(msgspec.to_builtins(picture)), Picture)


def render(picture: Picture, figures: list[Figure]) -> str:
    """The page's HTML."""
    c = picture.certificate
    specs = {
        "specs": {figure.name: figure.spec for figure in figures},
        "light": theme.config(theme.LIGHT),
        "dark": theme.config(theme.DARK),
    }
    values = {
        "picture": picture,
        "c": c,
        "words": words,
        "status": words.status(c),
        "tiles": tiles(c),
        "figures": {figure.name: figure for figure in figures},
        "stills": {figure.name: page.data_url(still(figure)) for figure in figures},
        "n_regions": charts.MOST_REGIONS,
        "unseen_share": sum(r.share for r in picture.regions) - sum(r.share for r in charts.shown_regions(picture)),
        "undrawn": undrawn(picture),
        "controls": controls(picture),
        "slices": slices(c),
        "provenance": provenance(c),
        "verify": f"freehold verify {shlex.quote(c.certificate)}" if c.certificate else "",
        "chart_data": page.as_json(specs),
        "licences": page.resource("licences.txt"),
    }
    return page.render("report.html.jinja", values, styles=[page.resource("report.css")], scripts=[page.vega(), page.resource("report.js")])


def png(figure: Figure) -> bytes:
    """The chart as a picture that stands alone, with its title, on white."""
    import vl_convert

    spec = figure.spec | {"width": PNG_PX, "title": {"text": figure.title}}
    image: bytes = vl_convert.vegalite_to_png(spec, ppi=PNG_PPI, config=_paper() | {"padding": 24})
    return image


def still(figure: Figure) -> str:
    """The chart as SVG: what is seen on paper, and where scripts do not run."""
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(figure.spec | {"width": PNG_PX}, config=_paper())
    return svg


def tiles(c: Certificate) -> list[Tile]:
    """Saving, quality, confidence, price."""
    status = words.status(c)
    maybe = "Estimated saving" if status == "estimate" else "Saving"
    of = "of cost" if c.saving_unit == "cost" else f"of calls need no {words.name(c.reference, 24)}; costs are unknown"
    loss = {
        "certified": Tile("Quality lost, at most", words.points(c.max_loss), f"the labels’ bound is {words.points(c.loss_upper_bound)}"),
        "estimate": Tile("Estimated quality lost", words.points(c.loss_calibrate), f"the floor asked for is {words.points(c.max_loss)}"),
        "not certified": Tile("Floor asked for", words.points(c.max_loss), "quality that may be lost, at most"),
    }[status]
    sure = {
        "certified": Tile("Confidence", words.percent(c.confidence), f"from {words.count(c.n_calibrate_groups, words.unit(c))}"),
        "estimate": Tile("Confidence", "none", "an estimate claims none"),
        "not certified": Tile("Confidence asked for", words.percent(c.confidence), "not reached"),
    }[status]
    instead = f"instead of {words.dollars(c.cost_usd_per_1k.reference)}"
    price = Tile("Cost per 1,000 calls", words.dollars(c.cost_usd_per_1k.policy), instead)
    return [Tile(maybe, words.percent(c.saving), of), loss, sure, price]


def controls(picture: Picture) -> Table:
    """The policy beside what needs no thought, on the same test items."""
    c = picture.certificate
    point = next((point for point in picture.points if point.kind == "policy"), None)
    policy = Control(loss=c.test.loss, quality=point.quality if point else None, saving=c.test.saving)
    reference = words.name(c.reference)
    told = (
        ("this policy", policy, "what this page is about"),
        ("all reference", c.controls.all_reference, f"{reference} answers everything, as today"),
        ("all cheapest", c.controls.all_cheapest, "the cheapest candidate answers everything"),
        ("shuffled", c.controls.shuffled, "the policy’s shares dealt out at random: the difference is what its judgement is worth"),
        ("oracle", c.controls.oracle, "the cheapest answer that does no worse, known afterwards: nobody can do better"),
    )
    return Table(
        ("Policy", "Quality", "Quality lost", "Saving", "What it is"),
        tuple((name, words.quality(x.quality), words.points(x.loss), words.percent(x.saving), note) for name, x, note in told),
    )


def slices(c: Certificate) -> Table:
    """Each slice with its own bound."""
    rows = []
    for part in c.slices:
        worst = " (the worst)" if part.name == c.worst_slice else ""
        verdict = "certified" if part.certified else f"{words.name(c.reference)} answers: {part.reason or 'not certified'}"
        counted = f"{part.n_calibrate:,}" if part.n_groups == part.n_calibrate else f"{part.n_calibrate:,} in {part.n_groups:,} groups"
        rows.append((part.name + worst, verdict, words.points(part.loss_upper_bound), words.percent(part.saving), counted))
    return Table(("Slice", "Verdict", "Quality lost, at most", "Saving", "Labelled items"), tuple(rows))


def provenance(c: Certificate) -> list[tuple[str, str]]:
    """Where the numbers come from, for whoever checks them."""
    parts = f"{c.n_train:,} to make the policy, {c.n_calibrate:,} to prove it, {c.n_test:,} to show it"
    told = [
        ("Record", c.id),
        ("Policy", c.policy_hash),
        ("Data set", c.dataset_hash),
        ("Labels", f"{c.label_design} · {c.n_items:,} paired items in {c.n_groups:,} groups"),
        ("Parts", parts),
        ("Policies tested", f"{c.thresholds_tested:,}, loss predicted by {c.predictor}"),
        ("Attempt on this data", f"{c.attempt:,}, which may err with probability {c.delta:.3g}"),
        ("Made", c.created_at.strftime("%Y-%m-%d %H:%M UTC")),
    ]
    return told if c.p95_s is None else [*told, ("Predicted latency, 95th percentile", f"at most {c.p95_s:g} s")]


def _paper() -> dict[str, Any]:
    return theme.config(theme.LIGHT, theme.PNG_FONT, theme.LIGHT.paper)


def _write(out: Path, made: dict[str, bytes]) -> list[Path]:
    """Writes the files, and removes the charts an earlier report had and this one has not."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in CHARTS:
            if f"report-{name}.png" not in made:
                (out / f"report-{name}.png").unlink(missing_ok=True)
        for file, content in made.items():
            with private_file(out / file) as page:  # it shows what customers wrote
                page.write(content)
    except OSError as error:
        raise OperatorError(
            f"Cannot write the report into '{out}': {error.strerror or error}. Choose another folder with --out."
        ) from error
    return [out / file for file in made]
