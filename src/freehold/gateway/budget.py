"""What may be spent: the limits of a key, its team and the project, and what is said to a call that would go beyond one.

Amounts are whole billionths of a dollar, so that sums are exact.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

from freehold.catalog import Budget
from freehold.config import Config
from freehold.errors import CallerError

NANO = 1_000_000_000
DAY_US = 86_400_000_000
PROJECT = "project"
"""The scope that every call is in."""
Period: TypeAlias = Literal["day", "month", "total"]
_EPOCH = date(1970, 1, 1)
_NO_CREDITS: Mapping[str, int] = MappingProxyType({})


class Scope(NamedTuple):
    """Something with a budget, and its limits; None is no limit."""

    name: str
    """`project`, `team:NAME` or `key:ID`."""
    day_nano: int | None
    """On one day, UTC."""
    month_nano: int | None
    """In one calendar month, UTC."""
    total_nano: int | None
    """Altogether."""


class Refused(NamedTuple):
    """Why a reservation was refused: `settled + reserved + asked` is above `limit`."""

    scope: str
    """Whose budget it is."""
    period: Period
    """Which of its limits."""
    day: int
    """The day it was asked, in days since 1970 UTC."""
    limit_nano: int
    """What may be spent."""
    settled_nano: int
    """What is spent."""
    reserved_nano: int
    """What calls under way hold back."""
    asked_nano: int
    """What this call may cost."""
    after: int = 0
    """How far the ledger had come: its rows up to this `seq` give these sums again."""


class BudgetExceeded(CallerError):
    """A call would go beyond a budget."""

    def __init__(self, why: Refused) -> None:
        again = resets_at(why.period, why.day)
        super().__init__(
            f"The {_PERIODS[why.period]} budget of {_named(why.scope)} is {usd(why.limit_nano)}: {usd(why.settled_nano)} are spent, "
            f"{usd(why.reserved_nano)} are held back for calls under way, and this one may cost {usd(why.asked_nano)}. "
            + (f"It begins anew at {again:%Y-%m-%d %H:%M} UTC." if again else "It does not begin anew: ask whoever runs this for more.")
        )
        self.why = why
        self.resets_at = again
        """When the period ends; None where it does not."""


_PERIODS: dict[Period, str] = {"day": "daily", "month": "monthly", "total": "total"}


@lru_cache(10_000)
def scope_names(key: str | None, team: str | None) -> tuple[str, ...]:
    """The scopes a call of this key and team is in, from the inside out."""
    return (*([f"key:{key}"] if key is not None else []), *([f"team:{team}"] if team is not None else []), PROJECT)


def scopes_of(
    key: str | None, budget: Budget, team: str | None, config: Config, credits: Mapping[str, int] = _NO_CREDITS
) -> tuple[Scope, ...]:
    """Those scopes of a key, with its own budget and team, that have a limit. Where there are none, nothing has to be reserved.

    `credits`: by how much credits raise what may be spent altogether, in billionths of a dollar, by scope.
    """
    of_team = config.teams[team].budget if team in config.teams else Budget()
    budgets = {f"key:{key}": budget, f"team:{team}": of_team, PROJECT: config.budget}
    scopes = [
        Scope(name, _limit(b.day_usd), _limit(b.month_usd), _raised(_limit(b.total_usd), credits.get(name, 0)))
        for name in scope_names(key, team)
        for b in [budgets[name]]
    ]
    return tuple(scope for scope in scopes if any(limit is not None for limit in scope[1:]))


@lru_cache(1_000)
def month_of(day: int) -> int:
    """The month of a day: both counted, from 1970 and from the year 0."""
    on = _EPOCH + timedelta(days=day)
    return on.year * 12 + on.month - 1


def resets_at(period: Period, day: int) -> datetime | None:
    """When the period that this day is in ends; None for one that does not."""
    if period == "total":
        return None
    if period == "day":
        on = _EPOCH + timedelta(days=day + 1)
    else:
        year, month = divmod(month_of(day) + 1, 12)
        on = date(year, month + 1, 1)
    return datetime(on.year, on.month, on.day, tzinfo=UTC)


def nano(amount_usd: float) -> int:
    """Dollars as whole billionths."""
    return round(amount_usd * NANO)


def usd(amount_nano: int) -> str:
    """Billionths as dollars, for people: to the cent, and on to the last digit that is not 0."""
    whole, rest = divmod(abs(amount_nano), NANO)
    return f"{'-' if amount_nano < 0 else ''}${whole:,}.{f'{rest:09}'.rstrip('0'):0<2}"


def _limit(amount_usd: float | None) -> int | None:
    return None if amount_usd is None else nano(amount_usd)


def _raised(limit: int | None, credit: int) -> int | None:
    return None if limit is None else limit + credit


def _named(scope: str) -> str:
    kind, _, name = scope.partition(":")
    return f"{kind} '{name}'" if name else "this project"
