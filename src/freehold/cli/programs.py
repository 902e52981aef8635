"""Commands about specialists that are programs: diff, edit."""

from pathlib import Path
from typing import Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, opened, out, print_json
from freehold.errors import CallerError


def register(group: typer.Typer) -> None:
    """Adds these commands."""
    group.command("diff")(diff)
    group.command("edit")(edit)


def diff(
    before: Annotated[str, typer.Argument(help="A specialist that is a program.")],
    after: Annotated[str, typer.Argument(help="Another.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show in what two programs differ, line by line."""
    from freehold.edit import compared

    with opened(project) as home:
        changed = compared(home, before, after)
    if as_json:
        print_json({"before": before, "after": after, "diff": changed})
    else:
        out().print(changed or "They are the same program.", end="" if changed else "\n", markup=False, soft_wrap=True)


def edit(
    name: Annotated[str, typer.Argument(help="A specialist that is a program.")],
    file: Annotated[
        Path, typer.Option("--file", metavar="FILE", help="The changed program; 'freehold specialists show NAME --source' writes it.")
    ],
    new_name: Annotated[str | None, typer.Option("--name", help="What it will be called; TASK-METHOD-N when left out.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a program that you changed as a specialist of its own, tested at once like the one before."""
    import msgspec

    from freehold.cli.training import print_card
    from freehold.edit import edited

    try:
        source = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(f"{file} cannot be read: {error}") from None
    with opened(project) as home:
        card = edited(home, name, source, new_name)
    if as_json:
        print_json({**msgspec.structs.asdict(card), "label": card.label})
    else:
        print_card(card)
