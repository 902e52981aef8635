"""Commands about policies: policy list|show|check|diff|add|estimate, promote, rollback."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import GATE_SAID_NO, JsonOption, ProjectOption, exit_with, notes, opened, out, print_json, print_table, share
from freehold.store.times import time_of

if TYPE_CHECKING:
    from freehold.evaluation.offpolicy import Interval
    from freehold.promotion.certificate import Certificate
    from freehold.promotion.estimate import Estimate, Estimated

_TaskArgument = Annotated[str, typer.Argument(help="The task.")]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    group = typer.Typer(help="Policy programs: list, show, check, compare, add.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_policies)
    group.command("show")(show_policy)
    group.command("check")(check_policy)
    group.command("diff")(diff_policies)
    group.command("add")(add)
    group.command("estimate")(estimate)
    app.add_typer(group, name="policy")
    app.command()(promote)
    app.command()(rollback)


def list_policies(task: _TaskArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Every policy of a task, and which one is active."""
    from freehold.promotion.gate import active_hash
    from freehold.promotion.records import certificates_of, events, policy_rows

    with opened(project) as home:
        home.task(task)
        written = {(row.hash, row.certificate): row for row in policy_rows(home.store, home.tenant, task)}  # each as it was written last
        active = active_hash(home.store, home.tenant, task)
        proofs = {c.id: c for c in certificates_of(home.store, home.tenant, task)}
        withdrawn = {event.hash: event for event in events(home.store, home.tenant, task) if event.action == "withdraw"}
    why = {row.seq: event.why for row in written.values() if (event := withdrawn.get(row.hash)) and row.created_at <= event.at}
    rows = sorted(written.values(), key=lambda row: row.seq)
    if as_json:
        print_json([{**row._asdict(), "active": row.hash == active, "withdrawn": why.get(row.seq)} for row in rows])
        return
    cells = [
        [
            row.hash[:12],
            "active" if row.hash == active else "withdrawn" if row.seq in why else "",
            row.origin,
            _day(row.created_at),
            *_proof(proofs.get(row.certificate or "")),
        ]
        for row in rows
    ]
    print_table(f"Policies of {task}", ["hash", "", "written by", "on", "proof", "floor", "saving", "certificate"], cells)
    for row in rows:
        if row.seq in why:
            notes().print(f"{row.hash[:12]} was withdrawn: {why[row.seq]}", markup=False, soft_wrap=True)


def _proof(certificate: "Certificate | None") -> list[str]:
    if certificate is None:
        return ["none", "", "", ""]
    c = certificate
    status = "certified" if c.certified else "estimate" if c.estimate else "nothing certified"
    return [status, f"{c.metric} {c.max_loss:g} at {c.confidence:g}", share(c.saving), c.id[:12]]


def _day(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M")


def show_policy(
    task: _TaskArgument,
    policy: Annotated[
        str | None, typer.Option(metavar="HASH", help="Its hash or the beginning of it; the active one when left out, else the newest.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a policy's program."""
    from freehold.promotion.gate import active_hash
    from freehold.promotion.records import find_policy

    with opened(project) as home:
        home.task(task)
        row = find_policy(home.store, home.tenant, task, policy or active_hash(home.store, home.tenant, task))
    if as_json:
        print_json(row._asdict())
    else:
        out().print(row.source, markup=False, end="")


def check_policy(
    file: Annotated[Path, typer.Argument(help="A file with a policy program.")], project: ProjectOption = None, as_json: JsonOption = False
) -> None:
    """Check a program against the project and print it in canonical form."""
    from freehold.improve import read_program
    from freehold.routing.program import digest, show

    with opened(project) as home:
        program = read_program(home, file)
    if as_json:
        print_json({"task": program.task, "hash": digest(program), "source": show(program)})
    else:
        out().print(show(program), markup=False, end="")


def diff_policies(
    before: Annotated[str, typer.Argument(help="A file, or HASH with --task.")],
    after: Annotated[str, typer.Argument(help="A file, or HASH with --task.")],
    task: Annotated[str | None, typer.Option(help="The task whose policies the hashes name.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two policies, rule by rule."""
    from freehold.improve import find_program
    from freehold.routing.diff import diff, show_diff

    with opened(project) as home:
        old, new = (find_program(home, task, name) for name in (before, after))
    if as_json:
        print_json(diff(old, new))
    else:
        out().print(show_diff(old, new), markup=False)


def add(
    file: Annotated[Path, typer.Argument(help="A file with a policy program.")], project: ProjectOption = None, as_json: JsonOption = False
) -> None:
    """Add a policy written by hand: inactive and uncertified."""
    from freehold.improve import add_program

    with opened(project) as home:
        program, hash = add_program(home, file)
    if as_json:
        print_json({"task": program.task, "hash": hash})
    else:
        out().print(f"Added policy {hash[:12]} of task '{program.task}', inactive.", markup=False)


def estimate(
    task: _TaskArgument,
    policy: Annotated[str, typer.Argument(metavar="FILE|HASH", help="A file with a policy program, or a policy's hash.")],
    metric: Annotated[str | None, typer.Option(help="By which metric quality is told; the task's own when left out.")] = None,
    reward: Annotated[bool, typer.Option("--reward", help="By the task's reward instead of a metric.")] = False,
    since: Annotated[str | None, typer.Option(help="Only traffic since then, such as 7d or 2026-03-04.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Estimate what a policy would be worth on traffic that others decided. Exit 3 where the log says too little; it certifies nothing."""
    from freehold.evaluation.offpolicy import Refused
    from freehold.improve import estimate_policy

    with opened(project) as home:
        begin = time_of("--since", since, datetime.now(UTC)) if since is not None else None
        try:
            found = estimate_policy(home, task, policy, metric, reward, begin)
        except Refused as refused:
            print_json({"task": task, "refused": str(refused)}) if as_json else notes().print(str(refused), markup=False, soft_wrap=True)
            exit_with(GATE_SAID_NO)
    if as_json:
        print_json(found)
    else:
        _show_estimate(found)
    if any(each.refused for each in found.estimates):
        exit_with(GATE_SAID_NO)


def _show_estimate(found: "Estimated") -> None:
    asked = ", ".join(f"{name} {share(part)}" for name, part in found.shares.items())
    out().print(f"Policy {found.policy[:12]} of task '{found.task}' would ask {asked}.", markup=False, soft_wrap=True)
    for each in found.estimates:
        what = each.by or ("cost of a call, USD" if each.of == "cost" else each.of)
        columns = [what, "doubly robust, 95 %", "SNIPS", "IPS", "effective", "overlap"]
        print_table("", columns, _lines(each), right=(1, 2, 3, 4, 5))
    for each in found.estimates:
        what = each.by or each.of
        if each.refused:
            notes().print(f"{what}: {each.refused}", markup=False, soft_wrap=True)
        if each.found:
            notes().print(
                f"{what}: the labels of {each.found:,} of {each.decisions:,} decisions were found, not drawn. What nobody said may differ.",
                markup=False,
                soft_wrap=True,
            )
        for why, count in each.left_out.items():
            notes().print(f"{what}: {count:,} {why}", markup=False, soft_wrap=True)
    for why, count in found.left_out.items():
        notes().print(f"left out: {count:,} calls: {why}", markup=False, soft_wrap=True)
    if found.unseen:
        notes().print(f"never seen in the log: {', '.join(found.unseen)}", markup=False, soft_wrap=True)


def _lines(each: "Estimate") -> list[list[str]]:
    digits = 6 if each.of == "cost" else 3
    sides = (("the policy", each.policy), ("the reference", each.reference))
    lines = [
        [
            name,
            _interval(value.dr, digits),
            *(f"{kind.value:.{digits}f}" for kind in (value.snips, value.ips)),
            f"{value.effective:,.0f}",
            f"{value.overlap:.3f}",
        ]
        if value is not None
        else [name, "too little is known", "", "", f"{each.effective:,.0f}" if name == "the policy" else "", ""]
        for name, value in sides
    ]
    return [*lines, ["as it was answered", _interval(each.logged, digits), "", "", "", ""]]


def _interval(value: "Interval", digits: int) -> str:
    return f"{value.value:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def promote(
    task: _TaskArgument,
    policy: Annotated[str | None, typer.Option(metavar="HASH", help="Its hash or the beginning of it; the newest when left out.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Activate a policy. Exit 3 for one that is not certified, unless the task sets allow_uncertified."""
    from freehold.promotion import gate

    with opened(project) as home:
        row = gate.promote(home.store, home.tenant, home.task(task), policy, "cli", datetime.now(UTC))
    if as_json:
        print_json({"task": task, "active": row.hash})
    else:
        out().print(f"Task '{task}' is now served by policy {row.hash[:12]}.", markup=False)


def rollback(task: _TaskArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Serve again what was served before. Nothing is deleted."""
    from freehold.promotion import gate

    with opened(project) as home:
        home.task(task)
        hash = gate.rollback(home.store, home.tenant, task, "cli", datetime.now(UTC))
    if as_json:
        print_json({"task": task, "active": hash})
    else:
        out().print(f"Task '{task}' is served by policy {hash[:12]} again.", markup=False)
