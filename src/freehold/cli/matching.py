"""The command that tries the rows of `[[match]]`: on recorded traffic, or on one request."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from freehold.cli.console import JsonOption, ProjectOption, opened, out, print_json, print_table
from freehold.errors import CallerError
from freehold.store.times import time_of

if TYPE_CHECKING:
    from freehold.gateway.match import Matcher
    from freehold.journal.matched import Matched
    from freehold.tables import MatchRow

_GROUPS = 5
"""Kinds of unmatched calls that are shown."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    match = typer.Typer(help="The rows of [[match]], which map what an unchanged client sends to a task.", rich_markup_mode=None)
    match.callback()(_match)
    match.command("test")(test)
    app.add_typer(match, name="match")


def _match() -> None:
    """The rows of [[match]], which map what an unchanged client sends to a task."""


def test(
    since: Annotated[
        str | None, typer.Option(help="Only calls asked since then: 90s, 15m, 2h, 7d ago, or a time such as 2026-03-04.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many that came last.")] = None,
    request: Annotated[
        Path | None, typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Try the body of one request instead, a file of JSON.")
    ] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="'NAME: VALUE'", help="A header of that request; may be said again.")] = None,
    key: Annotated[list[str] | None, typer.Option(metavar="NAME", help="The id or owner of its key; may be said again.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which recorded calls each row of [[match]] hits, and suggest rows for what none of them does."""
    from freehold.gateway.match import Matcher
    from freehold.journal.matched import try_rows
    from freehold.journal.read import calls

    with opened(project) as home:
        matcher = Matcher(home.config.match)
        if request is not None:
            _try(matcher, request, header or [], key or [], as_json)
            return
        if header or key:
            raise CallerError("--header and --key belong to --request FILE: the journal keeps neither.")
        asked_since = None if since is None else time_of("--since", since, datetime.now(UTC))
        recorded = calls(home.store, home.tenant, since=asked_since, last=limit)
        found = try_rows(recorded, matcher, list(home.config.providers), home.config.tasks, _GROUPS)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: "Matched") -> None:
    from freehold.feedback.show import plain

    if found.rows:
        print_table(
            "Rows of [[match]]",
            ["row", "conditions", "task", "calls", "could", "such as"],
            [
                [str(one.n), plain(_said(one.row)), one.row.task, f"{one.calls:,}", f"{one.could:,}", one.example or "hits nothing"]
                for one in found.rows
            ],
            right=(0, 3, 4),
        )
    hit = sum(one.calls for one in found.rows)
    out().print(
        f"{found.calls:,} calls: {hit:,} hit a row, {found.undecided:,} could, {found.named:,} have a task without one, "
        f"{found.unmatched:,} match nothing and pass through unchanged.",
        markup=False,
        soft_wrap=True,
    )
    if any(one.could for one in found.rows):
        out().print(
            "could: headers and keys are not in the journal, nor the model that a call of a task asked for, nor the system prompt of a text.",
            markup=False,
            soft_wrap=True,
        )
    for group in found.groups:
        hash = f", system_hash {group.system_hash}" if group.system_hash else ""
        out().print(f"\n# {group.calls:,} calls such as {group.example}{hash}\n{group.rows}", markup=False, soft_wrap=True, end="")


def _said(row: "MatchRow") -> str:
    import msgspec

    return "\n".join(f"{name} = {msgspec.json.encode(value).decode()}" for name, value in row.conditions().items())


def _try(matcher: "Matcher", path: Path, header: list[str], key: list[str], as_json: bool) -> None:
    """Says which row one request belongs to, and what keeps it from each of the others."""
    import msgspec

    from freehold.gateway.match import ALL_MET, Asked

    try:
        body = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise CallerError(f"{path} is no JSON object: {error}. Expected the body of a request.") from None
    asked = Asked((str(body.get("model") or ""),), body, [_header(one) for one in header], key)
    verdicts = [rule.verdict(asked) for rule in matcher.rules]
    row = next((n for n, verdict in enumerate(verdicts) if verdict is ALL_MET), None)
    if as_json:
        tried = [
            {"n": n, "row": rule.row, **verdict._asdict()} for n, (rule, verdict) in enumerate(zip(matcher.rules, verdicts, strict=True), 1)
        ]
        task = None if row is None else matcher.rules[row].row.task
        print_json({"task": task, "row": None if row is None else row + 1, "system_hash": asked.system_hash, "rows": tried})
        return
    ended = "No row fits: it passes through unchanged." if row is None else f"Row {row + 1} fits: task {matcher.rules[row].row.task}."
    out().print(ended, markup=False)
    for n, (rule, verdict) in enumerate(zip(matcher.rules, verdicts, strict=True), 1):
        out().print(
            f"  row {n}, task {rule.row.task}: {verdict.condition + ' does not fit' if verdict.condition else 'fits'}", markup=False
        )
    out().print(f"system_hash of its system prompt: {asked.system_hash}", markup=False, soft_wrap=True)


def _header(said: str) -> tuple[bytes, bytes]:
    name, colon, value = said.partition(":")
    if not colon or not name.strip():
        raise CallerError("--header is no header; expected 'NAME: VALUE', such as 'x-app: desk'")
    return name.strip().lower().encode(), value.strip().encode()
