"""The import command."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, exit_with, notes, opened, print_json, print_table

if TYPE_CHECKING:
    from freehold.journal.tally import IngestReport


class FileFormat(StrEnum):
    """How imported files are written."""

    AUTO = "auto"
    FREEHOLD = "freehold"
    OPENAI = "openai"
    CSV = "csv"
    PARQUET = "parquet"


class Design(StrEnum):
    """How labels were come by."""

    CENSUS = "census"
    AUDIT = "audit"
    FOUND = "found"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("import")(import_files)


def import_files(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Files of recorded calls; - reads standard input.")],
    task: Annotated[str | None, typer.Option(help="The task all calls belong to; wins over the records' own.")] = None,
    format: Annotated[FileFormat, typer.Option(help="How the files are written.")] = FileFormat.AUTO,
    label_design: Annotated[Design, typer.Option(help="How the scores were come by; only audit and census labels certify.")] = Design.FOUND,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a file whole when one of its lines is bad.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import recorded calls. Importing a file twice adds nothing. Exit 1 when some lines could not be imported."""
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    from freehold.journal.ingest import IngestOptions, Progress

    options = IngestOptions(task=task, format=format.value, design=label_design.value, strict=strict)
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with opened(project) as home, Bar(*columns, console=notes(), transient=True, disable=as_json) as bar:
        shown = bar.add_task("reading", total=None)

        def tell(progress: Progress) -> None:
            bar.update(shown, description=f"{progress.file}: {progress.lines:,} lines, {progress.added:,} calls added")

        report = home.ingest(files, options, tell)
    if as_json:
        print_json(report)
    else:
        print_report(report, label_design)
    if report.problem_count or report.conflicts:
        exit_with(1)


def print_report(report: "IngestReport", design: Design) -> None:
    """What became of an import, for people."""
    print_table(
        f"{report.lines:,} lines in {report.seconds:.1f} s: {report.added:,} calls added, {report.present:,} there already",
        ["task", "variant", "lines"],
        [[task or "(none)", variant, f"{n:,}"] for task, by_variant in report.counts.items() for variant, n in by_variant.items()],
        right=(2,),
    )
    told = notes()
    for problem in (*report.problems, *report.conflicting):
        told.print(f"{problem.file}:{problem.line}: {problem.reason}", markup=False, soft_wrap=True)
    hidden = report.problem_count + report.conflicts - len(report.problems) - len(report.conflicting)
    if hidden > 0:
        told.print(f"… and {hidden:,} more lines with problems.")
    for file in report.refused:
        told.print(f"{file}: refused whole, because --strict was said and some of its lines are bad.", markup=False, soft_wrap=True)
    for name, n in sorted(report.unpriced.items(), key=lambda x: -x[1]):
        told.print(
            f"No price is known for '{name}' ({n:,} calls): their cost is unknown. Set [models.\"{name}\"] price.",
            markup=False,
            soft_wrap=True,
        )
    for note in report.notes:
        told.print(note, markup=False, soft_wrap=True)
    if report.conflicts:
        told.print(
            "What differs from an earlier record was not stored. If it is another answer, give it another item; if the first was wrong, "
            "erase its subject or begin another project.",
            soft_wrap=True,
        )
    if not report.lines:
        told.print("There was nothing to import.")
    if report.scores and design is Design.FOUND:
        told.print(
            "These scores count as found: they estimate, and certify nothing. If every item was judged, import again with --label-design "
            "census; if they were drawn at random, with audit.",
            soft_wrap=True,
        )
