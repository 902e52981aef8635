"""`freehold usage`: what calls cost and earned, by customer, plan, task, model, key, team or day."""

import csv
import sys
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, opened, out, print_table
from freehold.store.times import time_of

if TYPE_CHECKING:
    from freehold.gateway.spending import Spending


class Groups(StrEnum):
    """What calls are put together by."""

    CUSTOMER = "customer"
    PLAN = "plan"
    TASK = "task"
    MODEL = "model"
    KEY = "key"
    TEAM = "team"
    DAY = "day"


class Formats(StrEnum):
    """How it is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Adds this command."""
    app.command("usage")(usage)


def usage(
    by: Annotated[Groups, typer.Option(help="What to put together; a model is whoever answered.")] = Groups.MODEL,
    since: Annotated[str | None, typer.Option(help="Calls asked since then: 2h, 7d ago, or a time such as 2026-03-01.")] = None,
    until: Annotated[str | None, typer.Option(help="Calls asked before then.")] = None,
    format: Annotated[Formats, typer.Option(help="How to print it.")] = Formats.TABLE,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what calls through the gateway cost and earned: the ledger's sums, to the billionth of a dollar."""
    from freehold.gateway.spending import spending, total

    now = datetime.now(UTC)
    begin, end = (None if said is None else time_of(option, said, now) for option, said in (("--since", since), ("--until", until)))
    with opened(project) as home:
        rows = spending(home.store, home.tenant, by.value, begin, end)
    if as_json or format is Formats.JSON:
        _print_json(by, rows, total(rows))
    elif format is Formats.CSV:
        _print_csv(by, rows)
    elif rows:
        _print_table(by, [*rows, total(rows)])
    else:
        out().print("No calls in the ledger.")


def _print_json(by: Groups, rows: list["Spending"], together: "Spending") -> None:
    import msgspec

    encoded = msgspec.json.Encoder(decimal_format="number").encode({"by": by.value, "rows": rows, "total": together})
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")


def _print_csv(by: Groups, rows: list["Spending"]) -> None:
    from freehold.gateway.spending import Spending

    names = [name for name in Spending.__struct_fields__ if name != "name"]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([by.value, *names])
    writer.writerows([_cell(row.name), *(_plain(getattr(row, name)) for name in names)] for row in rows)


def _cell(name: str | None) -> str:
    """A name as a cell that no spreadsheet takes for a formula."""
    return "" if name is None else f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def _plain(value: int | Decimal) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _print_table(by: Groups, rows: list["Spending"]) -> None:
    print_table(
        f"What calls cost and earned, by {by.value}",
        [by.value, "calls", "tokens in", "tokens out", "cost", "cost unknown", "charged to budgets", "revenue", "margin"],
        [
            [
                row.name or "(none)",
                f"{row.calls:,}",
                f"{row.input_tokens:,}",
                f"{row.output_tokens:,}",
                _usd(row.cost_usd),
                f"{row.unknown_costs:,}",
                _usd(row.charged_usd),
                _usd(row.revenue_usd),
                _usd(row.margin_usd),
            ]
            for row in rows
        ],
        right=tuple(range(1, 9)),
    )


def _usd(value: Decimal) -> str:
    return f"{'-' if value < 0 else ''}${abs(value):,.4f}"
