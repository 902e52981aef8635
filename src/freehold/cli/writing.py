"""The commands by which a model writes for a project: write scorer, guard, pipeline."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, notes, opened, out, print_json, progress_bar, share, usd
from freehold.errors import CallerError

if TYPE_CHECKING:
    from freehold.writing import Asked, What

group = typer.Typer(
    name="write", help="Have a model write a scorer, a guard or a pipeline, looked at before you get it.", no_args_is_help=True
)

_Task = Annotated[str, typer.Argument(help="The task.")]
_Model = Annotated[str, typer.Option(help="The model that writes.")]
_Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")]
_Rounds = Annotated[int, typer.Option(min=1, max=50, help="How often it may be written.")]
_Budget = Annotated[float | None, typer.Option("--budget-usd", min=0.0, help="What the model may cost at most.")]
_Precision = Annotated[float, typer.Option(min=0.5, max=0.999, help="How often it has to be right where it decides.")]
_Seed = Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")]
_Force = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]
_Dry = Annotated[bool, typer.Option("--dry-run", help="Say what it would be written from, and stop.")]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.add_typer(group, name="write")


@group.command()
def scorer(
    task: _Task,
    model: _Model,
    to: _Out,
    precision: _Precision = 0.9,
    rounds: _Rounds = 5,
    budget_usd: _Budget = None,
    seed: _Seed = 0,
    force: _Force = False,
    dry_run: _Dry = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """A function that says of an answer whether it is right, from answers that were judged."""
    _write("scorer", task, model, to, None, "", precision, rounds, budget_usd, seed, force, dry_run, project, as_json)


@group.command()
def guard(
    task: _Task,
    model: _Model,
    variant: Annotated[str, typer.Option(help="Whose answers it lets through.")],
    to: _Out,
    precision: _Precision = 0.9,
    rounds: _Rounds = 5,
    budget_usd: _Budget = None,
    seed: _Seed = 0,
    force: _Force = False,
    dry_run: _Dry = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """A function that says of a question whether a variant may answer it, from answers of that variant that were judged."""
    _write("guard", task, model, to, variant, "", precision, rounds, budget_usd, seed, force, dry_run, project, as_json)


@group.command()
def pipeline(
    task: _Task,
    model: _Model,
    about: Annotated[str, typer.Option(help="What it is to do.")],
    to: _Out,
    rounds: _Rounds = 5,
    budget_usd: _Budget = None,
    seed: _Seed = 0,
    force: _Force = False,
    dry_run: _Dry = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """A program of tasks. It is looked at and not run: 'freehold check' does the rest."""
    _write("pipeline", task, model, to, None, about, 0.9, rounds, budget_usd, seed, force, dry_run, project, as_json)


def _write(
    what: "What",
    task: str,
    model: str,
    to: Path,
    variant: str | None,
    about: str,
    precision: float,
    rounds: int,
    budget_usd: float | None,
    seed: int,
    force: bool,
    dry_run: bool,
    project: Path | None,
    as_json: bool,
) -> None:
    import msgspec

    from freehold.writing import Asked, judged_answers, write

    if to.exists() and not force and not dry_run:
        raise CallerError(f"{to} is there already. Name another file by --out, or say --force.")
    asked = Asked(what, task, model, variant, about, precision, rounds, seed, budget_usd)
    with opened(project) as home:
        if dry_run:
            rows = 0 if what == "pipeline" else len(judged_answers(home, home.task(task), asked))
            _tell_dry(asked, rows, as_json)
            return
        with progress_bar(rounds, not as_json) as show:
            report = write(home, asked, lambda n, of: show(n, f"written {n} of {of} times at most", of))
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
    out().print(
        f"{to}: {report.source.count(chr(10)):,} lines, {usd(report.cost_usd)}. Read it before you use it: whoever imports it runs it.",
        markup=False,
    )


def _tell_dry(asked: "Asked", rows: int, as_json: bool) -> None:
    if as_json:
        print_json({"what": asked.what, "rows": rows, "most_questions": asked.rounds, "model": asked.model})
    else:
        notes().print(
            f"'{asked.model}' would be asked {asked.rounds} times at most" + (f", from {rows:,} judged answers." if rows else "."),
            markup=False,
        )
