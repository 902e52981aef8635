"""The command that looks at a program before it runs: check."""

import os
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli.console import GATE_SAID_NO, JsonOption, ProjectOption, exit_with, notes, opened, out, print_json


def register(app: typer.Typer) -> None:
    """Adds it."""
    app.command()(check)


def check(
    program: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PROGRAM]...", help="FILE.py, module, FILE.py:name or module:name; [project] python when left out."),
    ] = None,
    types: Annotated[bool, typer.Option("--types/--no-types", help="Whether mypy follows types from step to step, too.")] = True,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a program before it runs: prompts, policies, pipelines, metrics, types. Exit 3 when it cannot work."""
    from freehold.pipelines.check import check as check_program
    from freehold.pipelines.finding import counted

    with opened(project) as home:
        found = check_program(home, program or (), types)
    if as_json:
        print_json(found)
    else:
        for one in found.findings:
            told = f" {one.remedy[:1].upper()}{one.remedy[1:]}." if one.remedy else ""
            out().print(f"{_from_here(one.where)}: {one.level}: {one.what.rstrip('.')}.{told}", markup=False, soft_wrap=True)
        looked = f"{_many(len(found.tasks), 'task')} and {_many(len(found.pipelines), 'pipeline')}"
        notes().print(f"Looked at {looked}: {counted(found.findings)}.", markup=False, soft_wrap=True)
    if found.is_wrong:
        exit_with(GATE_SAID_NO)


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _from_here(where: str) -> str:
    """A place below the current folder as it is seen from there."""
    path, colon, line = where.rpartition(":")
    is_here = bool(colon) and Path(path).is_absolute() and Path(path).is_relative_to(Path.cwd())
    return f"{os.path.relpath(path)}:{line}" if is_here else where
