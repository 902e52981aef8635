"""`freehold release`, and `freehold specialists add`: a specialist with all it was made of given to others, and one from elsewhere taken in."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, notes, opened, out, print_json
from freehold.cli.training import specialists


class Level(StrEnum):
    """How much of its data leaves with it."""

    FULL = "full"
    REDACTED = "redacted"
    STATISTICS = "statistics"


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(release)
    specialists.command()(add)


def release(
    specialist: Annotated[str, typer.Argument(help="The specialist.")],
    to: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new or empty folder.")],
    level: Annotated[
        Level, typer.Option(help="full: rows with all they came from; redacted: questions and answers; statistics: no row.")
    ] = Level.REDACTED,
    without_licence: Annotated[bool, typer.Option("--without-licence", help="Let rows without a licence leave, too.")] = False,
    without_consent: Annotated[bool, typer.Option("--without-consent", help="Let rows without consent leave, too.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a specialist for others: weights, data, recipe, plan, how it was labelled, certificate, and a card, as one folder with its hashes."""
    from freehold.release import Asked
    from freehold.release import release as write

    with opened(project) as home:
        asked = Asked(name=specialist, level=level.value, without_licence=without_licence, without_consent=without_consent)
        released = write(home, asked, to)
    if as_json:
        print_json(released)
        return
    told = ", ".join(f"{part} {n:,}" for part, n in released.rows.items()) or "none"
    out().print(f"Wrote {to}: {released.label}, rows of its data: {told}.", markup=False, soft_wrap=True)
    for reason, n in released.left_out.items():
        out().print(f"Left out: {n:,}, {reason}.", markup=False, soft_wrap=True)
    out().print(f"README.md says what it is; elsewhere 'freehold specialists add {to}' takes it in.", markup=False, soft_wrap=True)


def add(
    folder: Annotated[Path, typer.Argument(help="A folder that 'freehold release' wrote.")],
    name: Annotated[str | None, typer.Option(help="What it is called here; as in its card when left out.")] = None,
    hash: Annotated[str | None, typer.Option(metavar="HASH", help="The hash it has to have, or its beginning, from its makers.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in a released specialist. What was changed on the way is refused; what is taken in answers nothing until a policy names it."""
    import msgspec

    from freehold.cli.training import print_card
    from freehold.release import add as take_in

    with opened(project) as home:
        card = take_in(home, folder, name, hash)
        known, models = home.catalog.tasks, home.catalog.models
    if as_json:
        print_json({**msgspec.to_builtins(card), "label": card.label})
    else:
        print_card(card)
    if card.task not in known:
        notes().print(f"There is no task '{card.task}' here: say [tasks.{card.task}] in freehold.toml.", markup=False, soft_wrap=True)
    if card.variant is not None and card.variant.model not in models:
        notes().print(
            f"It is answered by the model '{card.variant.model}', which is not here: say [models.{card.variant.model}].", markup=False
        )
