"""The command that puts candidates to recorded items: ask."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, exit_with, notes, opened, out, print_json, print_table, usd
from freehold.errors import CallerError

if TYPE_CHECKING:
    from freehold.asker import Report
    from freehold.candidates import Plan
    from freehold.project import Project

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(ask)


def ask(
    task: Annotated[str, typer.Argument(help="The task.")],
    variants: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Who is asked; the task's own that have a provider when left out.")
    ] = None,
    sample: Annotated[int, typer.Option(help="How many items to draw, earlier runs included.")] = 500,
    budget_usd: Annotated[
        float | None, typer.Option("--budget-usd", help="The most this sample may cost, earlier runs included; no limit when left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same items.")] = 0,
    concurrency: Annotated[int, typer.Option(help="The most calls at one time.")] = 8,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to go on.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put candidates to a random sample of recorded items, ready to certify. Says what it will cost, and asks first.

    Only what is missing is asked: the same command goes on where one was broken off. Exit 1 when some of the sample was not answered.
    """
    from freehold.asker import ask as carry_out
    from freehold.asker import only_one
    from freehold.candidates import AskRequest, plan
    from freehold.cli.console import progress_bar

    names = tuple(name.strip() for name in variants.split(",") if name.strip()) if variants else None
    request = AskRequest(task, names, sample, seed, budget_usd, concurrency)
    with opened(project) as home, only_one(home):
        planned = plan(home, request, datetime.now(UTC))
        if not as_json:
            print_plan(planned.plan, budget_usd, _is_redacted(home, task))
        if planned.plan.calls and not yes:
            confirm(planned.plan)
        with progress_bar(planned.plan.calls, not as_json) as show:
            report = carry_out(
                home,
                planned,
                lambda progress: show(progress.done, f"{progress.done:,} of {progress.calls:,} calls, {usd(progress.spent_usd, 2)}"),
                lambda count: notes().print(f"Stopping once {count:,} calls under way have ended; Ctrl-C again breaks them off."),
            )
    if as_json:
        print_json(report)
    else:
        print_report(report)
    if report.ended == "interrupted":
        exit_with(INTERRUPTED)
    if any(asked.left or asked.failed for asked in report.variants.values()):
        exit_with(1)


def _is_redacted(home: "Project", task: str) -> bool:
    known = home.catalog.tasks.get(task)
    return ((known.content if known else None) or home.config.journal.content) == "redacted"


def print_plan(plan: "Plan", budget_usd: float | None, is_redacted: bool) -> None:
    """What will be asked of whom, and about what it costs."""
    those = f" that '{plan.reference}' answered" if plan.needs_reference else ""
    out().print(
        f"{plan.items:,} of the {plan.frame:,} items of '{plan.task}'{those}, drawn at random by seed {plan.seed}, each with probability "
        f"{plan.inclusion:.3g}.",
        markup=False,
        soft_wrap=True,
    )
    rows = [
        [bill.variant, f"{bill.calls:,}", f"{bill.there:,}", f"{bill.input_tokens:,}", f"{bill.output_tokens:,}", usd(bill.cost_usd)]
        for bill in plan.bills
    ]
    print_table(
        "What is missing, as estimated",
        ["variant", "calls", "there already", "input tokens", "output tokens", "cost"],
        rows,
        right=(1, 2, 3, 4, 5),
    )
    spent = f" Earlier runs have spent {usd(plan.spent_usd)} of it." if plan.spent_usd and budget_usd is not None else ""
    limit = "no budget" if budget_usd is None else f"a budget of {usd(budget_usd)}"
    out().print(f"In all about {usd(plan.cost_usd)}, with {limit}.{spent}", markup=False, soft_wrap=True)
    if is_redacted:
        notes().print("What is recorded was redacted, and is asked with its placeholders.", markup=False)


def confirm(plan: "Plan") -> None:
    """Returns where somebody says yes. Raises CallerError where there is nobody to ask, or no price to be asked about."""
    if plan.unpriced:
        names = ", ".join(f"'{name}'" for name in plan.unpriced)
        raise CallerError(
            f"What this costs is unknown, for the price of {names} is. Set price under [models.{plan.unpriced[0]}], or say --yes to pay "
            "whatever it is."
        )
    if not sys.stdin.isatty():
        raise CallerError(
            f"Asking costs about {usd(plan.cost_usd)}, and there is nobody to ask whether that is wanted. Say --yes, and how much at most by "
            "--budget-usd."
        )
    typer.confirm(f"Make {plan.calls:,} calls?", abort=True, err=True)


def print_report(report: "Report") -> None:
    """What a run did, and what comes next."""
    plan = report.plan
    rows = [
        [name, f"{a.answered:,}", f"{a.failed:,}", f"{a.left:,}", f"{a.reached:,}", f"{a.inclusion:.3g}" if a.reached else ""]
        for name, a in report.variants.items()
    ]
    print_table(
        f"Spent {usd(report.spent_usd)}",
        ["variant", "answered", "no answer", "not asked", "drawn by now", "inclusion"],
        rows,
        right=(1, 2, 3, 4, 5),
    )
    told = out()
    asked = sum(a.answered + a.failed for a in report.variants.values())
    left, failed = plan.calls - asked, sum(a.failed for a in report.variants.values())
    match report.ended:
        case "budget":
            told.print(f"The budget of {usd(report.budget_usd)} leaves no room for the next item: {left:,} calls are left out.")
        case "interrupted":
            told.print(f"Stopped: {left:,} calls are left. The same command goes on.")
        case "failing":
            told.print(f"Stopped: {left:,} calls are left. {report.why}", markup=False, soft_wrap=True)
    if failed:
        told.print(f"{failed:,} calls have no answer and count as wrong; 'freehold calls --task {plan.task}' shows them.", markup=False)
    names = ",".join(bill.variant for bill in plan.bills if bill.variant != plan.reference)
    told.print(
        f"Next: freehold certify {plan.task} --variants {names} --metric agreement, or freehold label {plan.task} --variants {names}",
        markup=False,
        soft_wrap=True,
    )
