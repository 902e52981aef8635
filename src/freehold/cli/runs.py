"""Commands about runs of programs: what is under way and how far it is, one of them, and a word to stop."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, opened, out, print_json, print_table, spent

if TYPE_CHECKING:
    from freehold.pipelines.runs import Recorded

_RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, which is its episode's; its beginning will do.")]
_ID = 12
_UNDER_WAY = ("running", "cancelling")


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    group = typer.Typer(help="Runs of pipelines and batches: list, show, cancel.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_runs)
    group.command("show")(show)
    group.command("cancel")(cancel)
    app.add_typer(group, name="runs")


def list_runs(
    all: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is under way, the newest first. Runs shorter than a second are in the journal alone."""
    from freehold.pipelines.runs import listed

    now = datetime.now(UTC)
    with opened(project) as home:
        found = [run for run in listed(home.store, home.tenant, now) if all or run.state in _UNDER_WAY]
    if as_json:
        print_json(found)
        return
    if not found:
        out().print("No runs." if all else "Nothing is under way. 'freehold runs list --all' shows what was.")
        return
    cells = [
        [run.id[:_ID], run.kind, run.name, run.state, f"{run.begun:%Y-%m-%d %H:%M:%S}", _span(run), _far(run), _failed(run), _cost(run)]
        for run in found
    ]
    print_table("", ["run", "kind", "name", "state", "begun (UTC)", "lasts", "done", "failed", "cost"], cells, right=(5, 6, 7, 8))


def show(run: _RunArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Show one run: how far it is, where it runs, and what it ended with."""
    from freehold.pipelines.runs import find

    with opened(project) as home:
        found = find(home.store, home.tenant, run, datetime.now(UTC))
    if as_json:
        print_json(found)
        return
    progress = found.progress
    lines = {
        "run": found.id,
        "kind": found.kind,
        "name": found.name,
        "state": found.state,
        "begun": found.begun.isoformat(),
        "heard of": found.seen.isoformat(),
        "lasts": _span(found),
        "done": _far(found),
        "failed": f"{progress.failed:,}",
        "cost": spent(progress.cost_usd, progress.known_usd, 6),
        "waits": f"{progress.pause_s:.0f} s, because a provider asks to be left alone"
        if progress.pause_s and found.state == "running"
        else "",
        "runs on": f"{progress.host or 'unknown'}, process {progress.pid or 'unknown'}",
        "ended with": progress.why,
    }
    for name, value in lines.items():
        if value:
            out().print(f"{name + ':':<12}{value}", markup=False, soft_wrap=True)


def cancel(run: _RunArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Stop a run. What is under way is broken off within seconds; what was done stays in the journal."""
    from freehold.pipelines.runs import cancel as cancel_run

    with opened(project) as home:
        found = cancel_run(home.store, home.tenant, run, datetime.now(UTC))
    if as_json:
        print_json(found)
    else:
        out().print(f"Run {found.id} of '{found.name}' is told to stop.", markup=False, soft_wrap=True)


def _far(run: "Recorded") -> str:
    total = "" if run.progress.total is None else f" of {run.progress.total:,}"
    return f"{run.progress.done:,}{total}"


def _failed(run: "Recorded") -> str:
    return f"{run.progress.failed:,}" if run.progress.failed else ""


def _cost(run: "Recorded") -> str:
    return spent(run.progress.cost_usd, run.progress.known_usd)


def _span(run: "Recorded") -> str:
    seconds = max(0, round((run.seen - run.begun).total_seconds()))
    hours, rest = divmod(seconds, 3_600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
