"""The command by which a model writes for a project: write."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from freehold.cli.console import JsonOption, ProjectOption, notes, opened, out, print_json, progress_bar, share, usd
from freehold.errors import CallerError

if TYPE_CHECKING:
    from freehold.writing import Asked

What = Literal["scorer", "guard", "pipeline"]


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command("write")(write)


def write(
    what: Annotated[What, typer.Argument(metavar="scorer|guard|pipeline", help="What is written.")],
    task: Annotated[str, typer.Argument(help="The task.")],
    model: Annotated[str, typer.Option(help="The model that writes.")],
    to: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")],
    variant: Annotated[str | None, typer.Option(help="Of a guard: whose answers it lets through.")] = None,
    about: Annotated[str, typer.Option(help="Of a pipeline: what it is to do.")] = "",
    precision: Annotated[float, typer.Option(min=0.5, max=0.999, help="How often it has to be right where it decides.")] = 0.9,
    rounds: Annotated[int, typer.Option(min=1, max=50, help="How often it may be written.")] = 5,
    budget_usd: Annotated[float | None, typer.Option("--budget-usd", min=0.0, help="What the model may cost at most.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would be written from, and stop.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a model write a scorer, a guard or a pipeline.

    A scorer says of an answer whether it is right, a guard of a question whether a variant may answer it: both from answers that were judged, and
    looked at on others before you get them. A pipeline is a program of tasks; it is looked at and not run.
    """
    import msgspec

    from freehold.writing import Asked, beforehand
    from freehold.writing import write as written

    if to.exists() and not force and not dry_run:
        raise CallerError(f"{to} is there already. Name another file by --out, or say --force.")
    asked = Asked(what, task, model, variant, about, precision, rounds, seed, budget_usd)
    with opened(project) as home:
        if dry_run:
            _tell_dry(asked, *beforehand(home, asked), as_json)
            return
        with progress_bar(rounds, not as_json) as show:
            report = written(home, asked, lambda n, of: show(n, f"written {n} of {of} times at most", of))
    try:
        to.write_text(report.source, encoding="utf-8")
    except OSError as error:
        raise CallerError(f"{to} cannot be written: {error}") from None
    if as_json:
        print_json({**msgspec.structs.asdict(report), "file": str(to)})
        return
    if what != "pipeline":
        rightly = share(report.right / report.answered)
        out().print(
            f"On {report.held_out:,} answers that it was not written from it decided {report.answered:,}, {rightly} of them rightly (at least "
            f"{share(report.low)}).",
            markup=False,
        )
    how = (
        "Read it before you use it: whoever imports it runs it"
        if what == "pipeline"
        else "Its program runs in the sandbox, wherever it is used"
    )
    out().print(
        f"{to}: {report.source.count(chr(10)):,} lines, {usd(report.cost_usd)}. {how}.",
        markup=False,
    )


def _tell_dry(asked: "Asked", rows: int, cost_usd: float | None, as_json: bool) -> None:
    if as_json:
        print_json({"what": asked.what, "rows": rows, "most_questions": asked.rounds, "model": asked.model, "cost_usd": cost_usd})
    else:
        notes().print(
            f"'{asked.model}' would be asked {asked.rounds} times at most"
            + (f", from {rows:,} judged answers" if rows else "")
            + f", for about {usd(cost_usd)}.",
            markup=False,
        )
