"""Commands about questions that wait for a person: which there are, and answering them."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, notes, opened, out, print_json, print_table

if TYPE_CHECKING:
    from freehold.project import Project
    from freehold.variants.expert import ExpertAsk

ExpertiseOption = Annotated[list[str] | None, typer.Option(metavar="WORD", help="What you know; more than once. Everything when left out.")]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    expert = typer.Typer(help="Questions that calls put to people.", no_args_is_help=True, rich_markup_mode=None)
    expert.command("list")(list_asks)
    expert.command("answer")(answer)
    app.add_typer(expert, name="expert")


def list_asks(
    task: Annotated[str | None, typer.Option(help="Those of one task.")] = None,
    expertise: ExpertiseOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what waits for a person, the one that is due first first."""
    from freehold.gateway.budget import usd
    from freehold.variants.expert import open_asks

    with opened(project) as home:
        found = open_asks(home.store, home.tenant, datetime.now(UTC), task, expertise)
    if as_json:
        print_json(found)
    elif found:
        cells = [
            [ask.id, ask.task, ask.expertise, f"{ask.deadline:%Y-%m-%d %H:%M:%S}", usd(ask.price_nano), _words(ask)[:60]] for ask in found
        ]
        print_table("Waiting for a person", ["question", "task", "expertise", "until (UTC)", "price", "asked"], cells, right=(4,))
    else:
        out().print("Nothing waits for a person.")


def answer(
    task: Annotated[str, typer.Argument(help="The task.")],
    expertise: ExpertiseOption = None,
    expert: Annotated[str | None, typer.Option(metavar="NAME", help="Who answers; your login name when left out.")] = None,
    project: ProjectOption = None,
) -> None:
    """Answer what waits: one line for each question, words or JSON as is asked for. An empty line skips it, q ends."""
    from freehold.cli.labels import login

    with opened(project) as home:
        given = _answer_all(home, task, expertise, expert or login())
    out().print(f"{given:,} answered.")


def _answer_all(home: "Project", task: str, expertise: list[str] | None, expert: str) -> int:
    """Asks about one question after the other. Gives how many have an answer."""
    from freehold.errors import CallerError
    from freehold.feedback.experts import answer as give
    from freehold.feedback.experts import value_of
    from freehold.variants.expert import open_asks

    seen: set[str] = set()
    given = 0
    while True:
        found = [ask for ask in open_asks(home.store, home.tenant, datetime.now(UTC), task, expertise) if ask.id not in seen]
        if not found:
            return given
        ask = found[0]
        seen.add(ask.id)
        _show(ask, len(found))
        began = time.monotonic()
        while True:
            try:
                said = input("> ").strip()
            except EOFError:
                return given
            if said == "q":
                return given
            if not said:
                break
            try:
                give(home.store, home.tenant, ask.id, expert, value_of(ask, said), time.monotonic() - began, datetime.now(UTC))
            except CallerError as error:
                notes().print(str(error), markup=False)
                if type(error) is CallerError:  # of another form: once more
                    continue
            else:
                given += 1
            break


def _show(ask: "ExpertAsk", left: int) -> None:
    from freehold.gateway.budget import usd

    shown, console = ask.question, out()
    minutes = (ask.deadline - datetime.now(UTC)).total_seconds() / 60
    console.print(f"\n{left:,} waiting. {usd(ask.price_nano)}, {minutes:,.0f} min left.", markup=False)
    if shown is None:
        return
    if shown.instruction:
        console.print(shown.instruction, markup=False, style="dim")
    console.print(_words(ask), markup=False, soft_wrap=True)
    for one in shown.more:
        console.print(f"{one['role']}: {one['content']}", markup=False, soft_wrap=True)
    if isinstance(shown.form, dict):
        choices = shown.form.get("enum")
        if isinstance(choices, list):
            console.print("One of: " + ", ".join(map(str, choices)), markup=False, style="dim")
        else:
            console.print(f"As JSON: {_json(shown.form)}", markup=False, style="dim", soft_wrap=True)


def _words(ask: "ExpertAsk") -> str:
    from freehold.chat import text_of

    shown = ask.question
    if shown is None:
        return ""
    messages = shown.input
    if not isinstance(messages, list):
        return messages if isinstance(messages, str) else text_of(messages)
    said = [one for one in messages if isinstance(one, dict)]
    if len(said) == 1:
        return text_of(messages)
    return "\n".join(f"{one.get('role')}: {text_of([one])}" for one in said)


def _json(value: object) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
