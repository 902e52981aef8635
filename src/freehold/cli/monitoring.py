"""Commands that watch live traffic: monitor, and monitor status|alerts|acknowledge|accept."""

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, exit_with, notes, number, opened, out, print_json, print_table, share, usd
from freehold.store.times import span_of

if TYPE_CHECKING:
    from freehold.monitor.alerts import Alert
    from freehold.monitor.status import OfCertificate, OfTask, OfVariant, Status
    from freehold.monitor.watch import Rounds

_TaskOption = Annotated[
    list[str] | None, typer.Option("--task", help="A task to watch, as often as wanted; all of freehold.toml if left out.")
]
_AlertArgument = Annotated[str, typer.Argument(metavar="ALERT", help="The alert's id; its beginning will do.")]
_ByOption = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who says so; the user of this machine when left out.")]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    group = typer.Typer(help="Watch live traffic: quality, inputs, certificates; alerts.", rich_markup_mode=None)
    group.callback(invoke_without_command=True)(monitor)
    group.command("status")(status)
    group.command("alerts")(alerts)
    group.command("acknowledge")(acknowledge)
    group.command("accept")(accept)
    app.add_typer(group, name="monitor")


def monitor(
    context: typer.Context,
    task: _TaskOption = None,
    once: Annotated[bool, typer.Option("--once", help="One round, which takes in everything there is; then end.")] = False,
    every: Annotated[str | None, typer.Option(metavar="60s", help="From one round to the next; monitor.every_s when left out.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Watch live traffic until Ctrl-C: draw calls, score them, raise alerts, withdraw certificates that no longer hold. Exit 1 with --once
    where a task could not be watched."""
    if context.invoked_subcommand is not None:
        return
    import asyncio

    from freehold.monitor.deliver import senders
    from freehold.monitor.watch import forever, now, rounds_of, tasks_of
    from freehold.monitor.watch import once as one_round
    from freehold.pipelines.judging import scorers_of
    from freehold.pipelines.runtime import use

    every_s = span_of("--every", every).total_seconds() if every is not None else None
    with opened(project) as home, use(home.folder) as at, at.resources.paced():
        names = tasks_of(home, task or ())
        if not names:
            notes().print("There is no task to watch: freehold.toml has none.", markup=False)
        told = senders(home.config.monitor, home.folder)
        round = rounds_of(home, lambda specs: scorers_of(home, specs, at), now)
        if once:
            done = asyncio.run(one_round(home, round, names, told))
            print_json(done) if as_json else _show(done)
            exit_with(1 if done.failed else 0)
        if not as_json:
            notes().print(f"Watching {', '.join(names) or 'no task'} of {home.folder}. Stop with Ctrl-C.", markup=False, soft_wrap=True)
        show = print_json if as_json else _show_news
        asyncio.run(forever(home, round, names, told, every_s or home.config.monitor.every_s, show))


def status(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """What is known of live traffic now: quality with intervals that hold at all times, inputs, certificates."""
    from freehold.monitor.status import status as read_status

    with opened(project) as home:
        found = read_status(home, datetime.now(UTC))
    if as_json:
        print_json(found)
    elif not found.tasks:
        out().print("Nothing was watched yet. 'freehold monitor --once' takes in what there is.")
    else:
        _show_status(found)


def alerts(
    all: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    task: Annotated[str | None, typer.Option(help="Only of this task.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Alerts, the newest first."""
    from freehold.monitor.alerts import listed

    with opened(project) as home:
        if task is not None:
            home.task(task)
        found = listed(home.store, home.tenant, task, all)
    if as_json:
        print_json(found)
    elif not found:
        out().print("No alerts." if all else "No alert is open. 'freehold monitor alerts --all' shows those that are over.")
    else:
        for alert in found:
            _show_alert(alert)


def acknowledge(alert: _AlertArgument, by: _ByOption = None, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Say that you have seen an alert. It stays open until it is over."""
    from freehold.monitor.alerts import acknowledge as acknowledge_alert

    with opened(project) as home:
        found = acknowledge_alert(home.store, home.tenant, alert, by or getpass.getuser(), datetime.now(UTC))
    print_json(found) if as_json else _show_alert(found)


def accept(alert: _AlertArgument, by: _ByOption = None, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Say that what an alert is about is usual from now on: it is closed, and what is usual is learnt anew."""
    from freehold.monitor.status import accept as accept_alert

    with opened(project) as home:
        found = accept_alert(home.store, home.tenant, alert, by or getpass.getuser(), datetime.now(UTC))
    print_json(found) if as_json else _show_alert(found)


def _show(done: "Rounds") -> None:
    for each in done.tasks:
        line = f"{each.task}: {each.seen:,} live calls read, {each.drawn:,} drawn, {each.scored:,} scores"
        out().print("another monitor is at " + each.task if each.is_elsewhere else line, markup=False, soft_wrap=True)
    _show_news(done)


def _show_news(done: "Rounds") -> None:
    """What people want to hear of a round, which most often is nothing."""
    for each in done.tasks:
        for id in each.raised:
            out().print(f"{each.task}: alert {id}: 'freehold monitor alerts'", markup=False, soft_wrap=True)
        for id in each.closed:
            out().print(f"{each.task}: alert {id} is over", markup=False, soft_wrap=True)
        if each.withdrawn is not None:
            out().print(f"{each.task}: policy {each.withdrawn[:12]} is withdrawn", markup=False, soft_wrap=True)
    for task, why in done.failed.items():
        notes().print(f"{task} could not be watched: {why}", markup=False, soft_wrap=True)


def _show_status(found: "Status") -> None:
    for task in found.tasks:
        _show_task(task)
    out().print(f"Scoring has cost {usd(found.spent_today_usd)} of {usd(found.budget_usd, 2)} today.")
    for each in found.undelivered:
        told = f"alert {each['alert']} ({each['event']}) by {each['channel']}: {each['state']}, {each['tries']} tries"
        out().print(f"not told: {told}{f', {why}' if (why := each['error']) else ''}", markup=False, soft_wrap=True)


def _show_task(task: "OfTask") -> None:
    out().print(f"{task.task}: {task.seen:,} live calls read, {task.drawn:,} drawn, {task.open} open alerts", markup=False)
    if task.quality:
        print_table(
            "", ["variant", "scorer", "n", "mean", "95 % at all times", "alarm"], [_quality(each) for each in task.quality], right=(2, 3)
        )
    if task.inputs is not None and task.inputs.p is not None:
        state = "no longer like those before" if task.inputs.usual is not None else "like those before"
        out().print(f"inputs: {state}; {task.inputs.seen} looks, the last p {task.inputs.p:.4f}, evidence {task.inputs.evidence:,.2f}")
    for each in task.certificates:
        out().print(_certificate(each), markup=False, soft_wrap=True)


def _quality(each: "OfVariant") -> list[str]:
    state = {"learning": "learns", "watching": f"below {number(each.level)}", "raised": f"has gone off: below {number(each.level)}"}[
        each.phase
    ]
    if each.silent:
        state += f"; no score of the last {each.silent}: {each.why}"
    return [each.variant, each.scorer, f"{each.n:,}", number(each.mean), f"[{each.low:.3f}, {each.high:.3f}]", state]


def _certificate(each: "OfCertificate") -> str:
    loss = "unknown" if each.loss is None else f"{each.loss:.4f}, at least {each.low:.4f}"
    line = f"certificate {each.certificate[:12]} of policy {each.policy[:12]}: loss by '{each.metric}' {loss}; floor {each.max_loss:g}"
    line += f" ({each.pairs:,} pairs, {each.calls:,} calls, {share(each.share)} not by the reference)"
    return f"{line}; no longer believed: {each.broken}" if each.broken else line


def _show_alert(alert: "Alert") -> None:
    by = f" by {alert.by}" if alert.by else ""
    state = {"open": "open", "acknowledged": f"acknowledged{by}", "closed": f"over: {alert.over}"}[alert.state]
    out().print(f"{alert.id}  {alert.opened:%Y-%m-%d %H:%M} UTC  {alert.task}  {alert.what.kind}  {state}", markup=False, soft_wrap=True)
    out().print(f"    {alert.what.text}", markup=False, soft_wrap=True)
