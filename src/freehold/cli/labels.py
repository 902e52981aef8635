"""The command about labels: label."""

from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias

import typer

from freehold.cli.console import JsonOption, ProjectOption, exit_with, notes, opened, out, print_json, print_table, share

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.panel import Panel

    from freehold.catalog import Metric
    from freehold.cli.keyboard import Terminal
    from freehold.feedback.label import Progress, Session
    from freehold.feedback.question import Judgement, Question
    from freehold.feedback.status import LabelStatus
    from freehold.project import Project

FLOORS = (0.01, 0.02, 0.05)
"""Floors the status tells the price of, beside the task's own."""
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
MORE = 4
"""How many times as much is shown after asking for more."""
COMMANDS = {"u": "undo", "s": "skip", "m": "more", "q": "quit"}
LEAST_WIDTH = 36
"""Columns an answer needs to stand beside others."""


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
    """Judge answers side by side and blind, only where variants disagree. Stop at any time; it goes on from there.

    In a terminal by single keys. Piped, by one line for each question: letters of the right answers or a score for each, 'c TEXT', or
    u, s, m, q. --json prints the status.
    """
    from freehold.feedback.keep import open_session
    from freehold.feedback.population import LabelRequest

    names = tuple(name.strip() for name in variants.split(",") if name.strip()) if variants else None
    request = LabelRequest(task, metric, reference, names, budget)
    with opened(project) as home:
        found = _status(home, request)
        if as_json:
            print_json(found)
        elif status:
            print_status(found)
        else:
            known = home.catalog.tasks.get(task)
            content = (known.content if known else None) or home.config.journal.content
            session = open_session(home.store, home.catalog, request, rater or _login(), home.tenant, content)
            is_interrupted = _asked(session, found)
            print_end(_status(home, request))
            if is_interrupted:
                exit_with(INTERRUPTED)


def _status(home: "Project", request: "LabelRequest") -> "LabelStatus":  # noqa: F821 named in the caller, imported there
    raise NotImplementedError
