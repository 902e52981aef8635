"""Commands about what belongs to one person or customer: their habits, and what they take with them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, number, opened, out, print_json, print_table, progress_bar

if TYPE_CHECKING:
    from freehold.personal import Personal


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (personal, take, answer):
        app.command()(command)


def personal(
    name: Annotated[str, typer.Argument(help="The specialist that all share.")], project: ProjectOption = None, as_json: JsonOption = False
) -> None:
    """Learn everybody's own habits over a specialist, for a task with a scope. Only those that win their owner's own test answer."""
    from freehold.personal import personalise

    with opened(project) as home, progress_bar(1, not as_json) as show:
        found = personalise(home, name, lambda step: show(step.done, step.stage, step.total))
    if as_json:
        print_json(found)
    else:
        print_personal(found)


def print_personal(found: "Personal") -> None:
    """What came of it, for people."""
    out().print(
        f"{found.owners:,} with rows of their own that may be used: {len(found.won):,} have a habit of their own now; {found.same:,} answer as everybody "
        f"does, {found.not_better:,} did no better on their own test rows, {found.too_few:,} have too few rows. '{found.shared}' answers those.",
        markup=False,
        soft_wrap=True,
    )


def take(
    subject: Annotated[str, typer.Argument(help="The person, or the customer.")],
    to: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pack somebody's model and memory into a folder that answers without a project or a network."""
    from freehold.personal import take as pack

    with opened(project) as home:
        taken = pack(home, subject, to)
    if as_json:
        print_json(taken)
        return
    models = ", ".join(taken.specialists) or "none"
    out().print(f"{taken.folder}: specialists {models}; {taken.calls:,} calls, {taken.messages:,} messages.", markup=False, soft_wrap=True)
    if taken.specialists:
        out().print(f"'freehold answer {to} TEXT' answers there.", markup=False)


def answer(
    folder: Annotated[Path, typer.Argument(help="A folder that 'freehold take' packed.")],
    text: Annotated[str, typer.Argument(help="What is asked.")],
    as_json: JsonOption = False,
) -> None:
    """Have the specialists in a folder answer, without a project or a network."""
    from freehold.datasets.facts import answer_text
    from freehold.personal import answer_from

    found = answer_from(folder, text)
    if as_json:
        print_json({name: None if said is None else said._asdict() for name, said in found.items()})
        return
    rows = [
        [name, "no answer", ""] if said is None else [name, answer_text(said.output), number(said.confidence)]
        for name, said in found.items()
    ]
    print_table("", ["specialist", "answer", "confidence"], rows, right=(2,))
