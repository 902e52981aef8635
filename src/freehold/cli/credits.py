"""Commands about what reviewers earn: who has what, budgets that get it, payments."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, notes, opened, out, print_json, print_table

if TYPE_CHECKING:
    from freehold.feedback.credits import Credit

KeyOption = Annotated[
    str | None, typer.Option("--key", metavar="NAME", help="A name of yours for this, so that saying it again does it once.")
]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    credits = typer.Typer(help="What reviewers earn, and what becomes of it.", no_args_is_help=True, rich_markup_mode=None)
    credits.command("list")(list_credits)
    credits.command("export")(export)
    credits.command("grant")(grant)
    credits.command("pay")(pay)
    credits.command("reverse")(reverse)
    app.add_typer(credits, name="credits")


def list_credits(
    reviewer: Annotated[str | None, typer.Option(metavar="NAME", help="One reviewer's alone.")] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Every movement, in order, instead of where each reviewer stands.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what each reviewer earned, what of it is a budget's or paid out, and what is left."""
    from freehold.feedback.credits import credits_of, standings
    from freehold.gateway.budget import usd

    with opened(project) as home:
        if rows:
            _print_rows("Credits", credits_of(home.store, home.tenant, reviewer), as_json)
            return
        found = [one for one in standings(home.store, home.tenant) if reviewer in (None, one.reviewer)]
    if as_json:
        print_json([{**_fields(one), "left_nano": one.left_nano} for one in found])
    elif found:
        cells = [
            [one.reviewer, f"{one.verdicts:,}", usd(one.earned_nano), usd(one.granted_nano), usd(one.paid_nano), usd(one.left_nano)]
            for one in found
        ]
        print_table("Credits", ["reviewer", "verdicts", "earned", "granted", "paid", "left"], cells, right=(1, 2, 3, 4, 5))
    else:
        out().print("Nobody has earned anything. [credits] in freehold.toml says what a verdict earns.", markup=False)


def export(
    file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="A CSV file; stdout when left out.")] = None,
    payment: Annotated[str | None, typer.Option(metavar="KEY", help="What was paid under this name, instead of what is left.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what is owed to each reviewer, or what a payment paid, as CSV: reviewer, USD to the billionth. Nothing is booked."""
    from freehold.feedback.credits import credits_of, standings

    with opened(project) as home:
        if payment is None:
            owed = {one.reviewer: one.left_nano for one in standings(home.store, home.tenant) if one.left_nano > 0}
        else:
            owed = {}
            for row in credits_of(home.store, home.tenant, payment=payment):
                owed[row.reviewer] = owed.get(row.reviewer, 0) - row.amount_nano
    if as_json:
        print_json([{"reviewer": name, "amount_nano": amount} for name, amount in owed.items()])
    else:
        _write_csv(owed, file)


def grant(
    reviewer: Annotated[str, typer.Argument(metavar="REVIEWER", help="Whose credits.")],
    scope: Annotated[str, typer.Argument(metavar="BUDGET", help="What gets them: key:ID or team:NAME, with a limit on its total.")],
    amount_usd: Annotated[float | None, typer.Option("--usd", min=0, help="How much; all there is when left out.")] = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a key or team spend what a reviewer earned, beyond its total budget. Workers know of it within a second or two."""
    from freehold.feedback.credits import grant as grant_credits
    from freehold.gateway.budget import nano

    amount = None if amount_usd is None else nano(amount_usd)
    with opened(project) as home:
        row = grant_credits(home.store, home.tenant, home.config, reviewer, scope, amount, datetime.now(UTC), key)
    _print_rows("Granted", [row], as_json)


def pay(
    reviewers: Annotated[list[str] | None, typer.Argument(metavar="[REVIEWER]…", help="Whom to pay; all who have something.")] = None,
    key: KeyOption = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Book all that reviewers have left as paid out, and show it. 'freehold credits export --payment KEY' writes it for your bank."""
    from freehold.feedback.credits import pay as pay_out

    with opened(project) as home:
        rows = pay_out(home.store, home.tenant, reviewers or None, datetime.now(UTC), key)
    _print_rows("Paid", rows, as_json)


def reverse(
    about: Annotated[str, typer.Argument(metavar="ABOUT", help="What was booked, as 'freehold credits list --rows' calls it.")],
    why: Annotated[str | None, typer.Option(help="Why, for the row.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back what was booked for a verdict, a grant or a payment, by a further row."""
    from freehold.feedback.credits import reverse as take_back

    with opened(project) as home:
        row = take_back(home.store, home.tenant, about, datetime.now(UTC), why)
    _print_rows("Reversed", [row], as_json)


def _print_rows(title: str, rows: "list[Credit]", as_json: bool) -> None:
    from freehold.gateway.budget import usd

    if as_json:
        print_json(rows)
    elif rows:
        cells = [
            [
                f"{row.at:%Y-%m-%d %H:%M}",
                row.reviewer,
                row.kind,
                row.about,
                row.task or row.scope or "",
                usd(row.amount_nano),
                row.why or "",
            ]
            for row in rows
        ]
        print_table(title, ["at", "reviewer", "what", "about", "task or budget", "amount", "why"], cells, right=(5,))
    else:
        notes().print("Nothing is there.")


def _write_csv(owed: dict[str, int], file: Path | None) -> None:
    import csv
    import io
    import sys
    from decimal import Decimal

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["reviewer", "usd"])
    # a spreadsheet takes what begins so for a formula
    writer.writerows([f"'{name}" if name[:1] in "=+-@\t\r" else name, Decimal(amount).scaleb(-9)] for name, amount in owed.items())
    if file is None:
        sys.stdout.write(text.getvalue())
    else:
        file.write_text(text.getvalue(), encoding="utf-8", newline="")


def _fields(record: object) -> dict[str, object]:
    import msgspec

    return msgspec.structs.asdict(record)  # type: ignore[arg-type]
