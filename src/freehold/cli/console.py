"""What commands share: options, printing, progress. Nothing heavy is imported before a command runs."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from freehold.project import Project

ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project",
        metavar="DIR",
        envvar="FREEHOLD_PROJECT",
        help="The project's folder; the nearest one above with a freehold.toml when left out.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

GATE_SAID_NO = 3
"""Exit status when nothing was wrong but a gate did not open."""


@contextmanager
def opened(folder: Path | None) -> "Iterator[Project]":
    """The project to work on."""
    from freehold.config import find_project
    from freehold.project import Project

    with Project.at(folder if folder is not None else find_project(Path.cwd())) as project:
        yield project


def print_json(value: object) -> None:
    """A record or a plain value as indented JSON on stdout."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode() + "\n")


@contextmanager
def stdout_kept() -> Iterator[None]:
    """Keeps stdout for results: what anything prints there within the block goes to stderr, libraries that are not written in Python included."""
    sys.stdout.flush()
    own = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(own, 1)
        os.close(own)


def out() -> "Console":
    """Where results go."""
    from rich.console import Console

    return Console(highlight=False, emoji=False, width=None if sys.stdout.isatty() else _width())


def notes() -> "Console":
    """Where progress and remarks go."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False)


def _width() -> int:
    said = os.environ.get("COLUMNS", "")
    return int(said) if said.isdecimal() and int(said) > 0 else 120


def print_table(title: str, columns: list[str], rows: list[list[str]], right: tuple[int, ...] = ()) -> None:
    """A table on stdout. Cells are text, never markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out().print(table)


@contextmanager
def steps(enabled: bool = True) -> "Iterator[Callable[[str], None]]":
    """Says what is being done, with a spinner where a person looks on."""
    from rich.markup import escape

    console = notes()
    if not enabled or not console.is_terminal:
        yield (lambda text: console.print(text, markup=False)) if enabled else (lambda text: None)
        return
    with console.status("starting") as status:
        yield lambda text: status.update(escape(text))


@contextmanager
def progress_bar(total: int, enabled: bool) -> "Iterator[Callable[..., None]]":
    """Shows how much of something is done, where a person looks on: told how much, in words, and how much there is where that has changed."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeRemainingColumn())
    with Progress(*columns, console=notes(), transient=True, disable=not enabled or not notes().is_terminal) as bar:
        shown = bar.add_task("", total=total)
        yield lambda done, text, total=total: bar.update(shown, completed=done, description=text, total=total)


def program() -> str:
    """How to call this program again: its name where the shell finds it, else its path."""
    import shutil

    return "freehold" if shutil.which("freehold") else str(Path(sys.argv[0]))


def usd(value: float | None, digits: int = 4) -> str:
    """Dollars for people; unknown is said so."""
    return "unknown" if value is None else f"${value:,.{digits}f}"


def spent(cost_usd: float | None, known_usd: float, digits: int = 4) -> str:
    """Dollars for people; where nobody knows what a part of it cost, what the rest did."""
    return usd(cost_usd, digits) if cost_usd is not None or not known_usd else f"{usd(known_usd, digits)} or more"


def share(value: float | None) -> str:
    """A fraction as a percentage for people."""
    return "unknown" if value is None else f"{value:.1%}"


def number(value: float | None, digits: int = 3) -> str:
    """A number for people."""
    return "unknown" if value is None else f"{value:.{digits}f}"


def exit_with(code: int) -> Any:
    """Ends the command with this status."""
    raise typer.Exit(code)
