"""The command that runs a program over the rows of a file: batch."""

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.asking import INTERRUPTED
from freehold.cli.console import JsonOption, ProjectOption, exit_with, notes, out, print_json, progress_bar, spent, stdout_kept, usd
from freehold.errors import CallerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from freehold.pipelines.job import Report
    from freehold.pipelines.progress import Estimate
    from freehold.pipelines.run import Progress as Counts
    from freehold.providers.batches import BatchTicket

AUTO = "auto"


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(batch)


def batch(
    program: Annotated[
        str,
        typer.Argument(metavar="TASK_OR_PIPELINE", help="A name under [project] python, FILE.py:NAME or MODULE:NAME."),
    ],
    rows: Annotated[Path, typer.Argument(metavar="INPUT", help="The rows: .jsonl, .csv or .parquet, also .gz.")],
    to: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the answers go, in the same order: .jsonl, .csv or .parquet.")],
    concurrency: Annotated[
        str, typer.Option(metavar="auto|N", help="Requests under way at one time to one model; auto finds out what its provider takes.")
    ] = AUTO,
    budget_usd: Annotated[
        float | None, typer.Option("--budget-usd", help="The most it may cost, earlier runs included; no limit when left out.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run was broken off.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Do those rows again that failed; the others keep their answers.")
    ] = False,
    attempts: Annotated[int, typer.Option(help="How often a row is tried that fails in a way which may pass.")] = 3,
    deadline_s: Annotated[float | None, typer.Option("--deadline-s", help="How long one row may take.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write over what stands at --out.")] = False,
    provider_batch: Annotated[
        bool, typer.Option("--provider-batch", help="Hand questions to OpenAI or Anthropic as batches: half the price, within a day.")
    ] = False,
    ray: Annotated[
        bool, typer.Option("--ray", help="Ask from the nodes of the Ray cluster that RAY_ADDRESS names, or that runs on this machine.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a task or pipeline over the rows of a file. Killed and run again with --resume, no row is answered or paid twice.

    Rows that fail are in OUT.failed.jsonl, each with its reason. Ctrl-C finishes what is under way; pressed again it breaks that off. Exit 1
    when rows failed or were left.
    """
    from freehold.config import find_project
    from freehold.pipelines.batch import batch as run
    from freehold.pipelines.job import Job
    from freehold.pipelines.program import program_of
    from freehold.pipelines.progress import Progress
    from freehold.pipelines.runtime import use

    job = Job(rows, to, _at_once(concurrency), budget_usd, resume, retry_failed, attempts, deadline_s, overwrite, provider_batch, ray)
    with use(project if project is not None else find_project(Path.cwd())) as at:
        found = program_of(at.project.config, [program] if ":" in program else ()).find(program)
        rate: Progress | None = None
        with progress_bar(0, not as_json) as show:

            def tell(counts: "Counts") -> None:
                nonlocal rate
                if rate is None:
                    rate = Progress(time.monotonic(), counts.total, counts.done + counts.failed)
                now = rate.at(time.monotonic(), counts.done + counts.failed, counts.failed, counts.cost_usd)
                show(now.done, _line(now, counts) + _handed_over(counts.tickets), now.total)

            with stdout_kept() if ray else nullcontext():  # Ray says there that a node is lost
                report = run(found, job, tell, lambda n: notes().print(_stopping(n)))
    if as_json:
        print_json(report)
    else:
        _print(report, program)
    sys.stdout.flush()
    if report.ended == "interrupted":
        exit_with(INTERRUPTED)
    if report.failed or report.ended != "done":
        exit_with(1)


def _at_once(said: str) -> int | None:
    if said == AUTO:
        return None
    if not said.isdecimal() or int(said) < 1:
        raise CallerError(f"--concurrency is '{said}'; expected 'auto' or a number from 1 up.")
    return int(said)


def _stopping(count: int) -> str:
    return f"Stopping once {count:,} rows under way have ended; Ctrl-C again breaks them off."


def _line(now: "Estimate", counts: "Counts") -> str:
    total = "?" if now.total is None else f"{now.total:,}"
    parts = [f"{now.done:,} of {total} rows"]
    if now.failed:
        parts.append(f"{now.failed:,} failed")
    if now.rate_per_s is not None:
        parts.append(f"{now.rate_per_s:,.1f}/s")
    parts.append(
        spent(counts.cost_usd, counts.known_usd, 2) + ("" if now.cost_in_all_usd is None else f" of about {usd(now.cost_in_all_usd, 2)}")
    )
    if counts.with_people:
        parts.append(f"{counts.with_people:,} with people")
    if counts.pause_s >= 1:
        parts.append(f"the provider asks to be left alone for {_span(counts.pause_s)}")
    elif now.left_s is not None:
        parts.append(f"{_span(now.left_s)} left")
    return ", ".join(parts)


def _handed_over(tickets: "Sequence[BatchTicket]") -> str:
    parts = [part for ticket in tickets if not ticket.is_over for part in ticket.parts]
    asked = sum(part.requests for part in parts)
    return f", {sum(part.answered + part.failed for part in parts):,} of {asked:,} back from the provider" if asked else ""


def _span(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


def _print(report: "Report", program: str) -> None:
    left = "" if not report.left else f", {report.left:,} left"
    failed = "" if not report.failed else f", {report.failed:,} failed"
    out().print(
        f"{report.done:,} rows answered{failed}{left}, for {spent(report.cost_usd, report.known_usd)} in all. {report.out}",
        markup=False,
        soft_wrap=True,
    )
    if report.why:
        notes().print(report.why, markup=False, soft_wrap=True)
    if report.failures is not None:
        notes().print(f"Why rows failed stands in {report.failures}; --retry-failed tries them again.", markup=False, soft_wrap=True)
    if report.ended != "done":
        notes().print("The same command with --resume goes on from there.", markup=False, soft_wrap=True)
