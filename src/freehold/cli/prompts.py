"""Commands about prompts: which versions of a task's there are, one of them, what changed, and which a label names."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, opened, out, print_json, print_table
from freehold.errors import CallerError

_TaskArgument = Annotated[str, typer.Argument(help="The task.")]
_EXCERPT = 60


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    group = typer.Typer(help="Versions of tasks' prompts: list, show, compare, label.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_prompts)
    group.command("show")(show)
    group.command("diff")(diff)
    group.command("label")(label)
    app.add_typer(group, name="prompts")


def list_prompts(
    task: Annotated[str | None, typer.Argument(help="Only this task's.")] = None, project: ProjectOption = None, as_json: JsonOption = False
) -> None:
    """Every version of the prompts, oldest first, and what labels name it."""
    from freehold.context.prompts import known_versions, tasks, versions

    with opened(project) as home:
        store, tenant = home.store, home.tenant
        if task is not None:
            found = known_versions(store, tenant, task)
        else:
            found = [version for name in tasks(store, tenant) for version in versions(store, tenant, name)]
    if as_json:
        print_json(found)
        return
    if not found:
        out().print("No prompts yet. A program's prompt is kept when its task is called for the first time.")
        return
    cells = [[v.task, v.hash, ", ".join(v.labels), f"{v.at:%Y-%m-%d %H:%M}", f"{len(v.text):,}", _excerpt(v.text)] for v in found]
    print_table("", ["task", "hash", "labels", "seen first (UTC)", "characters", "begins"], cells, right=(4,))


def _excerpt(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _EXCERPT else words[: _EXCERPT - 1] + "…"


def show(
    task: _TaskArgument,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A label, or a hash or the beginning of one; production when left out, else the newest."),
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print one version of a task's prompt."""
    from freehold.context.prompts import known_versions, shown

    with opened(project) as home:
        version = shown(known_versions(home.store, home.tenant, task), task, name)
    if as_json:
        print_json(version)
    else:
        out().print(version.text, markup=False, soft_wrap=True, end="" if version.text.endswith("\n") else "\n")


def diff(
    task: _TaskArgument,
    before: Annotated[str, typer.Argument(help="A label, or a hash or the beginning of one.")],
    after: Annotated[str, typer.Argument(help="Another.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions of a task's prompt, line by line."""
    from freehold.context.prompts import compared, found, known_versions

    with opened(project) as home:
        known = known_versions(home.store, home.tenant, task)
    old, new = (found(known, task, name) for name in (before, after))
    changed = compared(old, new)
    if as_json:
        print_json({"task": task, "before": old.hash, "after": new.hash, "diff": changed})
    else:
        out().print(changed or "They are the same.\n", markup=False, soft_wrap=True, end="")


def label(
    task: _TaskArgument,
    label: Annotated[str, typer.Argument(help="The label, such as production or candidate.")],
    version: Annotated[
        str | None,
        typer.Argument(
            metavar="HASH",
            help="A hash or the beginning of one, another label, or @FILE for the template in a file; the newest when left out.",
        ),
    ] = None,
    back: Annotated[bool, typer.Option("--back", help="Name again what it named before.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Name nothing any more, so that the program's own prompt is asked.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a label name a version of a task's prompt. Programs that run follow within seconds; nothing is deleted."""
    from freehold.context.prompts import found, keep, known_versions, move, roll_back
    from freehold.pipelines.check import check_label

    if (version is not None) + back + remove > 1:
        raise CallerError("Say one of HASH, --back and --remove.")
    now = datetime.now(UTC)
    with opened(project) as home:
        store, tenant = home.store, home.tenant
        if version is not None and version.startswith("@"):
            home.task(task)
            text = _read(Path(version[1:]))
            check_label(home, task, text, version)
            version = keep(store, tenant, task, text, now)
        known = known_versions(store, tenant, task)
        if back:
            hash = roll_back(store, tenant, task, label, now)
        elif remove:
            hash = move(store, tenant, task, label, None, now)
        else:
            named = found(known, task, version or known[-1].hash)
            check_label(home, task, named.text, f"Prompt {named.hash}")
            hash = move(store, tenant, task, label, named.hash, now)
    if as_json:
        print_json({"task": task, "label": label, "hash": hash})
    elif hash is None:
        out().print(f"'{label}' names no prompt of task '{task}' now.", markup=False)
    else:
        out().print(f"'{label}' names prompt {hash} of task '{task}' now.", markup=False)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CallerError(f"{file} cannot be read: {error}. Give a file with a template.") from None
