"""The command about labels: label."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, exit_with, notes, opened, out, print_json, print_table, share

if TYPE_CHECKING:
    from freehold.feedback.label import Progress
    from freehold.feedback.population import LabelRequest, Population
    from freehold.feedback.status import LabelStatus
    from freehold.project import Project

FLOORS = (0.01, 0.02, 0.05)
"""Floors the status tells the price of, beside the task's own."""
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command()(label)


def label(
    task: Annotated[str, typer.Argument(help="The task.")],
    budget: Annotated[int, typer.Option(help="About how many questions to ask in all; a larger one later goes on from there.")] = 60,
    metric: Annotated[str | None, typer.Option(help="What is judged; the task's own when left out.")] = None,
    reference: Annotated[str | None, typer.Option(help="The variant to compare with; the task's own when left out.")] = None,
    variants: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Whose answers to judge beside it; all that were recorded when left out.")
    ] = None,
    rater: Annotated[str | None, typer.Option(metavar="NAME", help="Who judges; your login name when left out.")] = None,
    status: Annotated[bool, typer.Option("--status", help="Only say how far the labels have come and how many each floor needs.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge answers side by side and blind, only where variants disagree. Stop at any time; the next run goes on.

    In a terminal by single keys. Piped, by one line for each question: letters of the right answers (0 for none) or a score for each
    answer; c TEXT for the right answer; s, u or q. --json prints the status.
    """
    from freehold.cli.labelling import converse
    from freehold.feedback.keep import open_session
    from freehold.feedback.population import LabelRequest

    names = tuple(name.strip() for name in variants.split(",") if name.strip()) if variants else None
    request = LabelRequest(task, metric, reference, names, budget)
    with opened(project) as home:
        if as_json or status:
            found = status_of(home, request)
            print_json(found) if as_json else print_status(found)
            return
        known = home.catalog.tasks.get(task)
        content = (known.content if known else None) or home.config.journal.content
        session, asked = open_session(home.store, home.catalog, request, rater or login(), home.tenant, content)
        print_beginning(session.progress(), asked)
        was_interrupted = converse(session, out())
        asked_for = {"--metric": metric, "--reference": reference, "--variants": variants}
        said = "".join(f" {option} {shlex.quote(value)}" for option, value in asked_for.items() if value)
        print_end(session.progress(), task, said)
    if was_interrupted:
        exit_with(INTERRUPTED)


def login() -> str:
    """Who sits here: the name they are logged in by."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as containers have them
        return "anonymous"


def status_of(home: "Project", request: "LabelRequest") -> "LabelStatus":
    """How far the labels have come, and what floors take at the task's confidence, as the first certificate would be tested."""
    import math

    from freehold.catalog import Task
    from freehold.datasets.split import Fractions
    from freehold.evaluation.bounds import least_units, spend
    from freehold.feedback.status import label_status

    task = home.catalog.tasks.get(request.task, Task(id=request.task))
    delta = spend(1.0 - task.confidence, 1)

    def needed(floor: float, is_exact: bool) -> int:
        return math.ceil(least_units(floor, delta, is_exact) / Fractions().calibrate)

    return label_status(home.store, home.catalog, request, sorted({*FLOORS, task.max_loss}), needed, home.tenant)


def print_beginning(progress: "Progress", asked: "Population") -> None:
    """What a session is about, before its first question."""
    told = notes()
    for name, why in asked.dropped.items():
        told.print(f"Not a candidate: {name}, because {why}.", markup=False, soft_wrap=True)
    if asked.n_incomplete:
        told.print(f"{asked.n_incomplete:,} items are not drawn: a candidate gave no answer.", markup=False)
    if asked.n_not_kept:
        told.print(f"{asked.n_not_kept:,} items are not drawn: their content is not kept.", markup=False)
    if asked.n_outside:
        told.print(f"{asked.n_outside:,} items are not drawn: they are outside the sample that was put to a candidate.", markup=False)
    before = f" {progress.answered:,} have an answer already." if progress.answered else ""
    out().print(
        f"{progress.questions:,} questions; {progress.free:,} items agree and need nobody.{before}\n"
        f"Judged by {asked.metric.id}: {asked.reference} and {', '.join(asked.variants)}, blind and in random order.",
        markup=False,
        soft_wrap=True,
    )


def print_end(progress: "Progress", task: str, said: str) -> None:
    """What a session leaves. `said` are the options that go on from here, as they were typed."""
    lines = [f"{progress.answered:,} of {progress.questions:,} questions have an answer."]
    if progress.drawn:
        lines.append(
            f"{progress.drawn:,} of {progress.items:,} items are drawn, each with probability {progress.drawn / progress.items:.3f}; the "
            "others are no part of a proof."
        )
    if progress.waiting:
        lines.append(f"Answers given beyond an open question, which certify when it has one: {progress.waiting:,}.")
    if progress.answered < progress.questions:
        lines.append(f"Go on with 'freehold label {task}{said}'.")
    else:
        lines.append(
            f"Next: freehold certify {task}{said}. For more labels, say a larger --budget; freehold label {task}{said} --status tells how many."
        )
    out().print("\n".join(lines), markup=False, soft_wrap=True)


def print_status(status: "LabelStatus") -> None:
    """How far the labels have come, for people."""
    s = status
    print_table(
        f"Labels of {s.task} by {s.metric}: {s.reference} and {', '.join(s.variants)}",
        ["", "items", "questions", "need nobody"],
        [
            ["could be drawn", f"{s.items:,}", f"{s.items - s.free:,}", f"{s.free:,}"],
            ["at this budget", f"{s.planned:,}", f"{s.questions:,}", f"{s.planned - s.questions:,}"],
            ["drawn by now", f"{s.drawn:,}", f"{s.drawn - s.drawn_free:,}", f"{s.drawn_free:,}"],
        ],
        right=(1, 2, 3),
    )
    print_table(
        "What a floor takes when not one harm is seen",
        ["floor", "items drawn", "of these asked about", ""],
        [
            [f"{f.max_loss:g}", f"{f.items:,}", f"{f.questions:,}", "" if f.is_within else "more than there are: import more traffic"]
            for f in s.floors
        ],
        right=(1, 2),
    )
    lines = [
        f"{s.answered:,} answered, {s.skipped:,} skipped, {s.waiting:,} waiting for a skipped one. "
        + (f"Each of the {s.drawn:,} drawn had a chance of {share(s.inclusion)}." if s.drawn else "Nothing is drawn yet.")
    ]
    lines += [f"{s.incomplete:,} items cannot be drawn: a candidate gave no answer."] if s.incomplete else []
    lines += [f"{s.not_kept:,} items cannot be drawn: their content is not kept."] if s.not_kept else []
    lines += [f"{s.outside:,} items are not drawn: they are outside the sample that was put to a candidate."] if s.outside else []
    lines += [f"Not a candidate: {name}, because {why}." for name, why in s.dropped.items()]
    out().print("\n".join(lines), markup=False, soft_wrap=True)
