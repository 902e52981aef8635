"""The command that runs a program over items which go on coming: stream."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freehold.cli.console import JsonOption, ProjectOption, exit_with, notes, out, print_json, spent

if TYPE_CHECKING:
    from freehold.pipelines.run import Progress
    from freehold.pipelines.stream import Stream
    from freehold.pipelines.stream_job import Report

BROKEN_OFF = 130
"""Exit status after Ctrl-C twice, as shells have it."""
_TELL_EVERY_S = 10.0


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(stream)


def stream(
    program: Annotated[
        str,
        typer.Argument(metavar="TASK_OR_PIPELINE", help="A name under [project] python, FILE.py:NAME or MODULE:NAME."),
    ],
    source: Annotated[
        str,
        typer.Option("--from", metavar="stdin|FOLDER|FILE.jsonl", help="JSON lines, also of a file that grows, or the files of a folder."),
    ] = "stdin",
    to: Annotated[str, typer.Option("--to", metavar="-|FILE.jsonl|FOLDER", help="Where answers go; - is standard output.")] = "-",
    at_once: Annotated[int, typer.Option(help="The most items under way at one time; nothing is read beyond them.")] = 16,
    dead: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where items go that fail for good; beside the output when left out.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Where an item names its own key; by place and content when left out.")
    ] = None,
    budget_usd: Annotated[
        float | None, typer.Option("--budget-usd", help="The most it may cost, earlier runs included; no limit when left out.")
    ] = None,
    deadline_s: Annotated[float | None, typer.Option("--deadline-s", help="How long one attempt at an item may take.")] = None,
    attempts: Annotated[int, typer.Option(help="How often an item is tried that fails in a way which may pass.")] = 6,
    most_lag_s: Annotated[
        float | None, typer.Option("--most-lag-s", help="How old the oldest item under way may be before the log has a warning.")
    ] = None,
    retry_dead: Annotated[bool, typer.Option("--retry-dead", help="Do those items again that failed for good, and nothing else.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a task or pipeline over items as they come, until Ctrl-C: the first finishes what is under way, the second breaks it off.

    Killed and started again it goes on: what was not finished is read again, under the same key, and nothing that was answered is paid twice.
    """
    from freehold.config import find_project
    from freehold.pipelines.program import program_of
    from freehold.pipelines.runtime import use
    from freehold.pipelines.stream import Stream
    from freehold.pipelines.stream_job import Job
    from freehold.telemetry.logs import set_up_logs

    job = Job(
        source=None if source in ("stdin", "-") else Path(source),
        to=None if to == "-" else Path(to),
        dead=dead,
        at_once=at_once,
        key=key,
        budget_usd=budget_usd,
        deadline_s=deadline_s,
        attempts=attempts,
        most_lag_s=most_lag_s,
        retry_dead=retry_dead,
    )
    with use(project if project is not None else find_project(Path.cwd())) as at:
        set_up_logs(at.project.config.telemetry)
        found = program_of(at.project.config, [program] if ":" in program else ()).find(program)
        told = _Told()
        running = Stream(at, found, job, told)
        with _stopping(running):
            report = at.run(running.through())
        told.over()
    if as_json and job.to is not None:
        print_json(report)
    else:
        _print(report, is_piped=job.to is None)
    if report.ended == "broken off":
        exit_with(BROKEN_OFF)
    if report.ended in ("budget", "cancelled") or (report.ended == "done" and report.failed):
        exit_with(1)


class _Told:
    """Says how far it is: on one line where a person looks on, else now and then."""

    def __init__(self) -> None:
        from time import monotonic

        self._clock = monotonic
        self._is_terminal = sys.stderr.isatty()
        self._told_at = monotonic()

    def __call__(self, progress: "Progress") -> None:
        now = self._clock()
        if not self._is_terminal and now - self._told_at < _TELL_EVERY_S:
            return
        self._told_at = now
        told = f"{progress.done:,} done"
        told += f", {progress.failed:,} dead" if progress.failed else ""
        told += f", {progress.under_way:,} under way"
        told += f", {progress.waiting:,} waiting" if progress.waiting is not None else ""
        told += f", lag {progress.lag_s:.1f} s" if progress.lag_s is not None else ""
        told += f", {spent(progress.cost_usd, progress.known_usd)}"
        sys.stderr.write(f"\r\x1b[K{told}" if self._is_terminal else f"{told}\n")
        sys.stderr.flush()

    def over(self) -> None:
        """Makes room for what is said at the end."""
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


@contextmanager
def _stopping(running: "Stream") -> Iterator[None]:
    """Ctrl-C and SIGTERM stop it; a third time ends the process."""
    times = 0

    def stop(number: int, frame: Any) -> None:
        nonlocal times
        times += 1
        if times > 2:
            os._exit(BROKEN_OFF)
        running.stop()
        said = "Stopping once what is under way has ended; once more breaks it off." if times == 1 else "Breaking off."
        os.write(2, f"\n{said}\n".encode())

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print(report: "Report", is_piped: bool) -> None:
    console = notes() if is_piped else out()
    told = f"{report.done:,} done, {report.failed:,} dead, {report.left:,} left, {spent(report.cost_usd, report.known_usd)} in all. Answers: {report.out}"
    told += f"; dead letters: {report.dead}" if report.failed else ""
    told += f". {report.why}" if report.why else "."
    console.print(told, markup=False, soft_wrap=True)
