"""`freehold economics`: what a task costs a month, and when its specialists have paid for themselves."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, notes, opened, out, print_json, print_table
from freehold.store.times import time_of

if TYPE_CHECKING:
    from freehold.promotion.cases import Economics
    from freehold.web.report import Table


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(economics)


def economics(
    task: Annotated[str, typer.Argument(help="The task.")],
    growth: Annotated[float, typer.Option(metavar="R", help="Factor by which questions grow in a year: 2 doubles them.")] = 1.0,
    price_decline: Annotated[float, typer.Option(metavar="R", help="Factor by which rented prices fall in a year: 2 halves them.")] = 1.0,
    training_growth: Annotated[float, typer.Option(metavar="R", help="Factor by which training gets dearer in a year.")] = 1.0,
    months: Annotated[int, typer.Option(metavar="N", help="How far totals and pictures go.")] = 24,
    specialist: Annotated[str | None, typer.Option(metavar="NAME", help="One specialist; all of the task when left out.")] = None,
    portion: Annotated[
        float | None, typer.Option("--share", metavar="R", help="The share of questions it answers; as it is known when left out.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Traffic since then alone: 30d ago, or a time such as 2026-03-01.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws that intervals come from.")] = 0,
    to: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where to write economics.html and its pictures.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a task costs a month by variant, what its specialists cost and save, and when they have paid for themselves."""
    from freehold.promotion.economics import Scenario
    from freehold.promotion.weigh import Wanted, economics_of

    now = datetime.now(UTC)
    begin = None if since is None else time_of("--since", since, now)
    wanted = Wanted(task, Scenario(growth, price_decline, training_growth), months, portion, specialist, begin, seed)
    with opened(project) as home:
        found = economics_of(home, wanted, now)
        name = home.config.project.name
    if to is not None:
        from freehold.web.economics import write_page

        page, *_ = write_page(found, name, to)
        notes().print(f"Wrote {page}.", markup=False, soft_wrap=True)
    if as_json:
        print_json(found)
    else:
        print_economics(found)


def print_economics(found: "Economics") -> None:
    """All of it, for people."""
    from freehold.web import economics_words as words

    s = found.span
    out().print(
        f"'{found.task}': {found.questions:,.0f} questions a month, as from {s.since:%Y-%m-%d} to {s.until:%Y-%m-%d} ({s.days:,.1f} days).",
        markup=False,
    )
    _print("What a month costs, by who answers", words.months_table(found))
    if found.undated:
        out().print(f"{found.undated:,} questions do not say when they were asked, and are in no month.", markup=False)
    for case in found.cases:
        _print(f"{case.label}: what it cost before its first answer", words.parts_table(case))
        for line in words.lines_of(case, found):
            out().print(line, markup=False, soft_wrap=True)
        if case.sensitivity:
            _print(f"Months until {case.name} has paid for itself", words.sensitivity_table(case))
        if case.trainings:
            _print("If training gets dearer", words.trainings_table(case))
    if found.cases:
        out().print(f"Intervals: {words.intervals(found)}.", markup=False)
    else:
        out().print(f"There is no specialist: 'freehold train {found.task} --method head' makes one.", markup=False)
    if found.personal:
        out().print(f"{found.personal:,} specialists belong to one person or customer alone, and are no case for the task.", markup=False)
    _print(f"{found.months} months together, whoever is asked; by the year: {words.year(found)}", words.ways_table(found))
    out().print("Their quality is not compared here: a certificate or 'freehold evaluate' does that.", markup=False, soft_wrap=True)


def _print(title: str, table: "Table") -> None:
    print_table(title, list(table.head), [list(row) for row in table.rows])
