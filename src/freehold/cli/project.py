"""Commands about the project itself: init, doctor, backup, restore, erase."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, exit_with, opened, out, print_json, print_table
from freehold.errors import CallerError

if TYPE_CHECKING:
    from freehold.datasets.erase import ErasedFrom


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (init, doctor, backup, restore, erase):
        app.command()(command)


def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="The project's folder; made if need be.")] = Path()) -> None:
    """Write a commented freehold.toml into DIR."""
    from freehold import config

    path = config.init(folder)
    out().print(f"Wrote {path}. Next: freehold import FILE --project {folder}", markup=False, soft_wrap=True)


def doctor(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Check a project and its surroundings. Exit 1 when something is wrong."""
    from freehold.doctor import examine

    findings = examine(project)
    if as_json:
        print_json(findings)
    else:
        print_table("", ["", "what", "finding", "what to do"], [[f.state, f.what, f.finding, f.remedy] for f in findings])
    if any(f.state == "wrong" for f in findings):
        exit_with(1)


def backup(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole project into one archive, while it is in use."""
    from freehold.store.backup import backup as write_backup

    with opened(project) as home:
        report = write_backup(home.store, home.folder, archive)
    if as_json:
        print_json(report)
    else:
        out().print(f"Wrote {archive}.", markup=False, soft_wrap=True)


def restore(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="An archive that 'freehold backup' wrote.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to restore it: a folder without a journal.")],
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into a folder that has no journal yet."""
    from freehold.store.backup import restore as read_backup

    report = read_backup(archive, folder)
    if as_json:
        print_json(report)
    else:
        out().print(f"Restored {archive} into {folder}.", markup=False, soft_wrap=True)


def erase(
    subject: Annotated[str, typer.Argument(help="The person, as calls name them.")],
    project: ProjectOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove a person's calls, signals, memory, and rows of data sets. Certificates on them become unverifiable; what learnt from them is named."""
    from freehold.curate import erase_subject

    if not yes:
        if not sys.stdin.isatty():
            raise CallerError("Erasing asks for a yes, and there is nobody to ask. Say --yes.")
        typer.confirm(
            f"Remove everything of '{subject}' for good? Frozen data sets that hold any of it go whole, and certificates on them can no longer "
            "be verified.",
            abort=True,
        )
    with opened(project) as home:
        erased = erase_subject(home, subject)
    if as_json:
        print_json(erased._asdict())
    else:
        if not erased.calls and not erased.said and not erased.datasets.renewed:
            out().print(f"No call is about '{subject}'. Calls name a person in 'subject', or in the tag of that name.", markup=False)
            return
        frozen = ", ".join(f"{name[:12]} (which held {n} of the items)" for name, n in erased.frozen.items()) or "none"
        out().print(
            f"Erased {erased.calls} calls and {erased.said} signals. Frozen data sets removed whole: {frozen}. "
            "Importing the same log again would bring the person back.",
            markup=False,
            soft_wrap=True,
        )
        for line in _of_datasets(erased.datasets):
            out().print(line, markup=False, soft_wrap=True)
        if erased.evaluations:
            out().print(
                f"Evaluations whose single scores of it are gone, and whose sums stay: {', '.join(erased.evaluations)}.",
                markup=False,
                soft_wrap=True,
            )
        for path in erased.unreadable:
            out().print(f"{path} cannot be read, and may hold some of it. Delete it, or restore it and erase again.", markup=False)
        if erased.unfinished.begin_anew:
            out().print(f"Training runs that were broken off, and will begin anew: {erased.unfinished.begin_anew}.", markup=False)
        if erased.unfinished.under_way:
            out().print(f"Training runs under way, which will end with nothing: {erased.unfinished.under_way}.", markup=False)
        if erased.own:
            out().print(f"Specialists of theirs alone, removed: {', '.join(erased.own)}.", markup=False, soft_wrap=True)
        if erased.specialists:
            out().print(
                f"Specialists that learnt from it: {', '.join(erased.specialists)}. They keep what they learnt: train them again on what is left.",
                markup=False,
                soft_wrap=True,
            )
        if erased.learnt:
            out().print(
                f"Policies that learnt from it: {', '.join(erased.learnt)}. Their arrays keep what they learnt: certify again on what is left, "
                "promote that, and no call is decided by them any more.",
                markup=False,
                soft_wrap=True,
            )


def _of_datasets(erased: "ErasedFrom") -> list[str]:
    """What became of data sets and of what was exported of them."""
    from freehold.cli.datasets import export_lines

    lines = [
        f"{one.old} held {one.rows} of their rows and is gone; {one.new} follows it."
        if one.new
        else f"{one.old} held their rows alone and is gone."
        for one in erased.renewed
    ]
    return lines + export_lines(erased.exports_removed, erased.exports_left)
