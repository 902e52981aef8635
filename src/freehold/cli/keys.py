"""Commands about keys: making one, listing them, taking one back, giving one a new secret."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, notes, opened, out, print_json, print_table
from freehold.errors import CallerError, nearest
from freehold.store.times import span_of

if TYPE_CHECKING:
    from freehold.config import Config
    from freehold.gateway.keys import Grant, Key

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as 'freehold keys list' shows it.")]


class Roles(StrEnum):
    """What a key may open."""

    CALL = "call"
    FEEDBACK = "feedback"
    VOUCH = "vouch"
    READ = "read"
    EXPERT = "expert"


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    keys = typer.Typer(help="The keys that callers of the gateway show.", no_args_is_help=True, rich_markup_mode=None)
    keys.command("create")(create)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke)
    keys.command("rotate")(rotate)
    app.add_typer(keys, name="keys")


def create(
    owner: Annotated[str | None, typer.Option(help="Who gets it, in your words.")] = None,
    team: Annotated[str | None, typer.Option(help="The team whose budget it spends from, one of [teams].")] = None,
    role: Annotated[list[Roles] | None, typer.Option(help="What it opens; call and feedback where nothing is said.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model it may ask for, * for anything; more than once.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="A task it may ask for, likewise.")] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A tag on every call; more than once.")] = None,
    customer: Annotated[str | None, typer.Option(help="Whom you bill, where a call does not say.")] = None,
    plan: Annotated[str | None, typer.Option(help="What that customer pays by, one of [plans], where a call does not say.")] = None,
    requests_per_min: Annotated[int | None, typer.Option(min=1, help="Requests in a minute, at most.")] = None,
    tokens_per_min: Annotated[int | None, typer.Option(min=1, help="Tokens in a minute, at most.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Requests at once, at most.")] = None,
    day_usd: Annotated[float | None, typer.Option(min=0, help="USD on a day (UTC), at most.")] = None,
    month_usd: Annotated[float | None, typer.Option(min=0, help="USD in a month (UTC), at most.")] = None,
    total_usd: Annotated[float | None, typer.Option(min=0, help="USD altogether, at most.")] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="SPAN", help="How long it is taken: 12h, 90d; for ever where nothing is said.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a key. Its secret is shown now and never again."""
    from freehold.catalog import Budget
    from freehold.gateway.keys import Grant
    from freehold.gateway.keys import create as create_key
    from freehold.tables import LimitsTable

    now = datetime.now(UTC)
    grant = Grant(
        owner=owner,
        team=team,
        roles=tuple(one.value for one in role) if role else Grant().roles,
        models=tuple(model or ()),
        tasks=tuple(task or ()),
        tags=dict(_tag(one) for one in tag or ()),
        limits=LimitsTable(requests_per_min=requests_per_min, tokens_per_min=tokens_per_min, concurrent=concurrent),
        budget=Budget(day_usd=day_usd, month_usd=month_usd, total_usd=total_usd),
        customer=customer,
        plan=plan,
    )
    until = None if expires is None else now + span_of("--expires", expires)
    with opened(project) as home:
        _refuse_unknown(grant, home.config)
        key, secret = create_key(home.store, home.tenant, grant, now, until)
    _tell_secret(key, secret, as_json)


def list_keys(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Show every key: whose it is, what it opens, what it has spent."""
    from freehold.gateway.budget import NANO, usd
    from freehold.gateway.keys import keys
    from freehold.gateway.ledger import balances_of

    now = datetime.now(UTC)
    with opened(project) as home:
        found = keys(home.store, home.tenant)
        spent = balances_of(home.store, home.tenant, [f"key:{key.id}" for key in found])
    settled = {key.id: spent[f"key:{key.id}"].settled if f"key:{key.id}" in spent else 0 for key in found}
    if as_json:
        print_json([{"key": key, "state": _state(key, now), "spent_usd": settled[key.id] / NANO} for key in found])
    elif found:
        print_table(
            "Keys",
            ["key", "owner", "team", "roles", "opens", "limits", "spent", "state"],
            [
                [
                    key.id,
                    key.grant.owner or "",
                    key.grant.team or "",
                    ", ".join(key.grant.roles),
                    ", ".join([*key.grant.models, *(f"task {task}" for task in key.grant.tasks)]) or "everything",
                    _limits(key.grant),
                    usd(settled[key.id]),
                    _state(key, now),
                ]
                for key in found
            ],
            right=(6,),
        )
    else:
        out().print("No keys: whoever reaches the gateway may use it. Make one with 'freehold keys create'.")


def revoke(key: KeyArgument, project: ProjectOption = None) -> None:
    """Take a key back: within a second or two no worker takes it any more."""
    from freehold.gateway.keys import revoke as revoke_key

    with opened(project) as home:
        revoked = revoke_key(home.store, home.tenant, key, datetime.now(UTC))
    out().print(f"Key {revoked.id} is revoked since {revoked.revoked_at:%Y-%m-%d %H:%M:%S} UTC.", markup=False)


def rotate(
    key: KeyArgument,
    grace: Annotated[str, typer.Option(metavar="SPAN", help="How long the old secret is taken still, such as 15m or 2d.")] = "0s",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a key a new secret, which is shown now and never again. Budget, limits and what it opens stay."""
    from freehold.gateway.keys import rotate as rotate_key

    with opened(project) as home:
        rotated, secret = rotate_key(home.store, home.tenant, key, datetime.now(UTC), span_of("--grace", grace))
    _tell_secret(rotated, secret, as_json)


def _tell_secret(key: "Key", secret: str, as_json: bool) -> None:
    if as_json:
        print_json({"key": key, "secret": secret})
        return
    out().print(secret, markup=False, soft_wrap=True)
    notes().print(f"The secret of key {key.id}. It is kept nowhere and not shown again.", markup=False)


def _refuse_unknown(grant: "Grant", config: "Config") -> None:
    """A slip of the pen in a name would be a key without a budget, or calls without a price."""
    for name, known, table in ((grant.team, config.teams, "teams"), (grant.plan, config.plans, "plans")):
        if name is not None and name not in known:
            raise CallerError(f"'{name}' is not under [{table}] in freehold.toml.{nearest(name, list(known))} Add [{table}.{name}] first.")


def _tag(said: str) -> tuple[str, str]:
    name, equals, value = said.partition("=")
    if not name or not equals:
        raise CallerError(f"--tag '{said}' is no tag; expected NAME=VALUE, such as tier=gold")
    return name, value


def _limits(grant: "Grant") -> str:
    limits, budget = grant.limits, grant.budget
    said = {
        "requests/min": limits.requests_per_min,
        "tokens/min": limits.tokens_per_min,
        "at once": limits.concurrent,
        "USD/day": budget.day_usd,
        "USD/month": budget.month_usd,
        "USD": budget.total_usd,
    }
    return ", ".join(f"{value:,} {unit}" for unit, value in said.items() if value is not None) or "none"


def _state(key: "Key", now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "valid"
