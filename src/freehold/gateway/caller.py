"""Who asks: the key a request comes with, whom it is billed to, and what that lets it do."""

from collections.abc import Callable, Mapping

import msgspec

from freehold.catalog import Budget, Plan
from freehold.config import Config
from freehold.errors import CallerError
from freehold.gateway.budget import Scope, scopes_of
from freehold.gateway.head import Head
from freehold.gateway.keys import Key, Keyring, Role, secret_of
from freehold.gateway.ledger import Account
from freehold.tables import LimitsTable

_MOST_NAME = 200


class Forbidden(CallerError):
    """The key is valid, and does not open this."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever sent a request. Without a key it is anybody who can reach the gateway."""

    key: Key | None = None
    """The key it came with."""
    id: str = ""
    """What tells callers apart; empty for those without a key."""
    names: tuple[str, ...] = ()
    """What its key is known by: the id, and the owner."""
    team: str | None = None
    """The key's team."""
    tags: Mapping[str, str] = {}
    """What its key puts on every call."""
    limits: LimitsTable = LimitsTable()
    """How fast its key may be used."""
    scopes: tuple[Scope, ...] = ()
    """The budgets its calls are in."""
    customer: str | None = None
    """Whom the product bills for it."""
    plan_name: str | None = None
    """What that customer pays by."""
    plan: Plan | None = None
    """The plan of that name."""

    def account(self, tenant: str, task: str | None, customer: str | None) -> Account:
        """Whom a call of a task is booked to."""
        return Account(tenant=tenant, key=self.id or None, team=self.team, customer=customer, plan=self.plan_name, task=task)

    def billed(self, tags: Mapping[str, str]) -> str | None:
        """Whom a call with these tags is billed to."""
        return self.customer or self.tags.get("customer") or tags.get("customer")

    def check(self, model: str, task: str | None) -> None:
        """Raises Forbidden where its key does not open a model by this name, or the task that this is."""
        why = None if self.key is None else self.key.why_not(model, task)
        if why is not None:
            raise Forbidden(why)


class Callers:
    """Who may ask. What is the same of every request of a key is found out once."""

    def __init__(self, keyring: Keyring, config: Config, plan_of: Callable[[str | None], Plan | None]) -> None:
        """`plan_of` raises CallerError for a plan that is none."""
        self.anybody = Caller(scopes=scopes_of(None, Budget(), None, config))
        """Who comes without a key."""
        self._keyring = keyring
        self._config = config
        self._plan_of = plan_of
        self._known: dict[str, Caller] = {}
        self._credits: Mapping[str, int] = {}

    def learn(self, credits: Mapping[str, int]) -> None:
        """Has credits raise what may be spent, as of `scopes_of`. Whoever asks from then on is known anew where they changed."""
        if credits != self._credits:
            self._credits, self._known = credits, {}

    def caller(self, headers: Head, role: Role, now: float, about: Mapping[bytes, str]) -> Caller:
        """Whoever sent a request with these headers. `about`: what those say to us; they come before what the key says.

        Raises Unauthorized, Forbidden for a key without the role, CallerError for a plan that is none.
        """
        if self._keyring.is_empty:
            known = self.anybody
        else:
            key = self._keyring.key_of(secret_of(headers) or b"", now)
            if not key.may(role):
                raise Forbidden(f"This key does not open this: it has the roles {', '.join(key.grant.roles)}, and this takes '{role}'.")
            known = self._known.get(key.id) or self.anybody
            if known.key is not key:  # it may have been given other limits since
                known = self._known[key.id] = self._of(key)
        customer, plan = about.get(b"customer"), about.get(b"plan")
        for name in (customer, plan):
            if name is not None and not 0 < len(name) <= _MOST_NAME:
                raise CallerError(f"x-freehold-customer and x-freehold-plan are names of 1 to {_MOST_NAME} characters")
        if customer is None and plan is None and known.plan_name is None:
            return known
        plan = plan or known.plan_name
        return msgspec.structs.replace(known, customer=customer or known.customer, plan_name=plan, plan=self._plan_of(plan))

    def again(self, key: str | None, customer: str | None, plan: str | None) -> Caller:
        """Whoever sent a request before, by the id of its key, that key being valid still or not. Raises CallerError for a plan that is none."""
        held = None if key is None else self._keyring.by_id(key)
        known = self.anybody if held is None else self._of(held)
        if held is None and key is not None:
            known = msgspec.structs.replace(known, id=key)
        plan = plan or known.plan_name
        return msgspec.structs.replace(known, customer=customer or known.customer, plan_name=plan, plan=self._plan_of(plan))

    def _of(self, key: Key) -> Caller:
        grant = key.grant
        return Caller(
            key=key,
            id=key.id,
            names=(key.id, grant.owner or ""),
            team=grant.team,
            tags=grant.tags,
            limits=grant.limits,
            scopes=scopes_of(key.id, grant.budget, grant.team, self._config, self._credits),
            customer=grant.customer,
            plan_name=grant.plan,
        )
