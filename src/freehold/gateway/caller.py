"""Who asks: the key a request comes with, whom it is billed to, and what that lets it do."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from freehold.catalog import Budget, Plan
from freehold.config import Config, LimitsTable
from freehold.errors import CallerError
from freehold.gateway.budget import Scope, scopes_of
from freehold.gateway.head import Head
from freehold.gateway.keys import Key, Keyring, Role, secret_of
from freehold.gateway.ledger import Account

_NO_LIMITS = LimitsTable()
_MOST_NAME = 200


class Forbidden(CallerError):
    """The key is valid, and does not open this."""


class Caller(NamedTuple):
    """Whoever sent a request. Without a key it is anybody who can reach the gateway."""

    key: Key | None = None
    """The key it came with."""
    customer: str | None = None
    """Whom the product bills for it."""
    plan_name: str | None = None
    """What that customer pays by."""
    plan: Plan | None = None
    """The plan of that name."""

    @property
    def id(self) -> str:
        """What tells callers apart; empty for those without a key."""
        return "" if self.key is None else self.key.id

    @property
    def names(self) -> tuple[str, ...]:
        """What its key is known by: the id, and the owner."""
        return () if self.key is None else (self.key.id, self.key.grant.owner or "")

    @property
    def tags(self) -> Mapping[str, str]:
        """What its key puts on every call."""
        return {} if self.key is None else self.key.grant.tags

    @property
    def limits(self) -> LimitsTable:
        """How fast its key may be used."""
        return _NO_LIMITS if self.key is None else self.key.grant.limits

    def scopes(self, config: Config) -> tuple[Scope, ...]:
        """The budgets its calls are in."""
        if self.key is None:
            return scopes_of(None, Budget(), None, config)
        return scopes_of(self.key.id, self.key.grant.budget, self.key.grant.team, config)

    def account(self, tenant: str, task: str | None, customer: str | None) -> Account:
        """Whom a call of a task is booked to."""
        team = None if self.key is None else self.key.grant.team
        return Account(tenant=tenant, key=self.id or None, team=team, customer=customer, plan=self.plan_name, task=task)

    def check(self, model: str, task: str | None) -> None:
        """Raises Forbidden where its key does not open a model by this name, or the task that this is."""
        why = None if self.key is None else self.key.why_not(model, task)
        if why is not None:
            raise Forbidden(why)


def caller_of(
    keyring: Keyring, headers: Head, role: Role, now: float, about: Mapping[bytes, str], plan_of: Callable[[str | None], Plan | None]
) -> Caller:
    """Whoever sent a request with these headers. `about`: what those say to us; they come before what the key says.

    Raises Unauthorized, Forbidden for a key without the role, CallerError for a plan that is none.
    """
    key = None if keyring.is_empty else keyring.key_of(secret_of(headers) or b"", now)
    if key is not None and not key.may(role):
        raise Forbidden(f"This key does not open this: it has the roles {', '.join(key.grant.roles)}, and this takes '{role}'.")
    customer, plan = about.get(b"customer"), about.get(b"plan")
    for name in (customer, plan):
        if name is not None and not 0 < len(name) <= _MOST_NAME:
            raise CallerError(f"x-freehold-customer and x-freehold-plan are names of 1 to {_MOST_NAME} characters")
    if key is not None:
        customer, plan = customer or key.grant.customer, plan or key.grant.plan
    return Caller(key, customer, plan, plan_of(plan))
