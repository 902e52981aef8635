"""Keys that callers show: what each opens, whose it is, and the ring a worker looks them up in.

A secret is `fh-ID-RANDOM`. The store has its SHA-256 alone: with 192 random bits there is nothing a slower hash would protect.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_hex, token_urlsafe
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from freehold.catalog import Budget
from freehold.errors import CallerError
from freehold.gateway.head import Head
from freehold.gateway.pattern import Pattern
from freehold.store.open import Store
from freehold.store.times import microseconds, moment
from freehold.tables import LimitsTable

Role: TypeAlias = Literal["call", "feedback", "vouch", "read", "expert"]
ROLES: dict[Role, str] = {
    "call": "ask models and tasks, and list them",
    "feedback": "say what answers were worth",
    "vouch": "say who said it: users by name, people, judges and verifiers",
    "read": "read metrics",
    "expert": "answer questions that wait for people",
}
"""What keys may open."""
_PREFIX = "fh"
_ID_BYTES = 6
_SECRET_BYTES = 24
_COLUMNS = ("tenant", "id", "digest", "old_digest", "old_until", "created_at", "expires_at", "revoked_at", "body")


class Unauthorized(CallerError):
    """No valid key was shown. What is wrong with it is told to nobody."""

    def __init__(self) -> None:
        super().__init__(
            "No valid key. Send one as 'Authorization: Bearer fh-…' or 'x-api-key: fh-…'; 'freehold keys create' makes one, and one may have "
            "expired or been revoked."
        )


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a key is made for."""

    owner: str | None = None
    """Who has it, in the operator's words."""
    team: str | None = None
    """The team whose budget it spends from."""
    roles: tuple[Role, ...] = ("call", "feedback")
    """What it opens."""
    models: tuple[str, ...] = ()
    """Model names it may ask for, `*` for anything. With no models and no tasks it may ask for everything."""
    tasks: tuple[str, ...] = ()
    """Tasks it may ask for, likewise."""
    tags: dict[str, str] = {}
    """Put on every call."""
    limits: LimitsTable = LimitsTable()
    """How fast it may be used."""
    budget: Budget = Budget()
    """What it may spend."""
    customer: str | None = None
    """Whom the product bills, where a call does not say."""
    plan: str | None = None
    """What that customer pays by, where a call does not say."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without its secret."""

    id: str
    """The part of the secret that is no secret."""
    tenant: str = "default"
    """Whose data it opens."""
    grant: Grant
    """What it is made for."""
    created_at: datetime
    """When it was made, UTC."""
    expires_at: datetime | None = None
    """Until when it is taken, UTC; None for ever."""
    revoked_at: datetime | None = None
    """Since when it is taken no more, UTC."""

    @property
    def name(self) -> str:
        """Who has it: the owner, else its id."""
        return self.grant.owner or self.id

    def may_answer(self, task: str) -> bool:
        """Whether questions of a task are shown to whoever has it."""
        return not self.grant.tasks or _fits(task, self.grant.tasks)

    def may(self, role: Role) -> bool:
        """Whether it opens this."""
        return role in self.grant.roles

    def why_not(self, model: str, task: str | None) -> str | None:
        """Why it may not ask for a model by this name, or for the task that this is; None where it may."""
        grant = self.grant
        if not (grant.models or grant.tasks) or _fits(model, grant.models) or (task is not None and _fits(task, grant.tasks)):
            return None
        opens = ", ".join([*(f"model {name}" for name in grant.models), *(f"task {name}" for name in grant.tasks)])
        return f"This key may not ask for '{model[:120]}'. It opens: {opens}."


class _Held(NamedTuple):
    """A key, and until when one of its secrets is taken, in seconds since 1970."""

    key: Key
    until: float


class Keyring:
    """A tenant's keys, as they were when it was last refreshed. Reading is safe while another thread refreshes."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._keys: dict[Sequence[Any], Key] = {}
        self._held: dict[bytes, _Held] = {}
        """By the digests of secrets: who could make use of how long it takes to look one up would have to know its secret."""
        self.refresh()

    def refresh(self) -> None:
        """Looks at the store. What did not change is not read again. Raises OperatorError, and keeps what it had."""
        self._keys = {row: self._keys.get(row) or _key(row) for row in _rows(self._store, self._tenant)}
        self._held = {digest: held for row, key in self._keys.items() for digest, held in _held(row, key)}

    @property
    def is_empty(self) -> bool:
        """Whether no key was ever made. One that was revoked still counts: taking the last key away opens nothing."""
        return not self._held

    def by_id(self, id: str) -> Key | None:
        """The key of that id, whether it is taken still or not."""
        return next((key for key in self._keys.values() if key.id == id), None)

    def key_of(self, secret: bytes, now: float) -> Key:
        """The key whose secret this is, at this time in seconds since 1970. Raises Unauthorized."""
        held = self._held.get(sha256(secret).digest())
        if held is None or now >= held.until:
            raise Unauthorized
        return held.key


def secret_of(headers: Head) -> bytes | None:
    """The secret a request shows, as OpenAI's or Anthropic's clients send it; None where it shows none."""
    if b"\r\nx-api-key:" not in headers.lowered:  # nearly everybody shows one thing
        shown = headers.get(b"authorization")
        if shown is None or shown[:7].lower() == b"bearer ":
            return None if shown is None else shown[7:].strip()
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return value[7:].strip()
        if name == b"x-api-key":
            return value.strip()
    return None


def create(store: Store, tenant: str, grant: Grant, now: datetime, expires_at: datetime | None = None) -> tuple[Key, str]:
    """A new key and its secret, which is nowhere else and cannot be had again."""
    id = token_hex(_ID_BYTES)
    secret = _secret(id)
    key = Key(id=id, tenant=tenant, grant=grant, created_at=now, expires_at=expires_at)
    until = None if expires_at is None else microseconds(expires_at)
    row = (tenant, id, _digest(secret), None, None, microseconds(now), until, None, bytearray(msgspec.json.encode(grant)))
    with store.writing() as connection:
        store.insert_new(connection, "keys", _COLUMNS, "id", [row])
    return key, secret


def rotate(store: Store, tenant: str, id: str, now: datetime, grace: timedelta = timedelta()) -> tuple[Key, str]:
    """A key's new secret. The one before is taken for `grace` more. Raises CallerError."""
    secret = _secret(id)

    def changed(row: list[Any]) -> list[Any]:
        if row[7] is not None:
            raise CallerError(f"Key '{id}' is revoked, and stays so. Make another: freehold keys create.")
        return [*row[:2], _digest(secret), bytearray(row[2]), microseconds(now + grace), *row[5:]]

    return _change(store, tenant, id, changed), secret


def revoke(store: Store, tenant: str, id: str, now: datetime) -> Key:
    """The key, taken no more; one that was revoked before stays as it was. Raises CallerError."""
    return _change(store, tenant, id, lambda row: row if row[7] is not None else [*row[:7], microseconds(now), row[8]])


def keys(store: Store, tenant: str) -> list[Key]:
    """Every key of a tenant, revoked ones too, oldest first."""
    return [_key(row) for row in _rows(store, tenant)]


def _change(store: Store, tenant: str, id: str, changed: Any) -> Key:
    with store.writing() as connection:
        found = store.rows_of(connection, "keys", _COLUMNS, tenant, "id", [id], is_held=True)
        if not found:
            raise CallerError(f"There is no key '{id}'. 'freehold keys list' shows them.")
        row: list[Any] = changed(list(found[0]))
        stored = [bytearray(value) if isinstance(value, bytes) else value for value in row]
        store.put(connection, "keys", _COLUMNS, ("id",), [stored])
    return _key(row)


def _rows(store: Store, tenant: str) -> list[Sequence[Any]]:
    names = ", ".join(_COLUMNS)
    mark = "?" if store.kind == "sqlite" else "%s"
    with store.reading() as connection:
        found = connection.exec_driver_sql(f"SELECT {names} FROM keys WHERE tenant = {mark} ORDER BY seq", (tenant,))  # noqa: S608 our own names
        return [tuple(row) for row in found]


def _held(row: Sequence[Any], key: Key) -> Iterator[tuple[bytes, _Held]]:
    """What a key's secrets open: the one before only for a while."""
    until = min([at / 1e6 for at in row[6:8] if at is not None], default=float("inf"))
    if row[3] is not None:
        yield bytes(row[3]), _Held(key, min(until, (row[4] or 0) / 1e6))
    yield bytes(row[2]), _Held(key, until)


def _key(row: Sequence[Any]) -> Key:
    tenant, id, _, _, _, created, expires, revoked, body = row
    return Key(
        id=id,
        tenant=tenant,
        grant=msgspec.json.decode(body, type=Grant),
        created_at=moment(created),
        expires_at=None if expires is None else moment(expires),
        revoked_at=None if revoked is None else moment(revoked),
    )


def _secret(id: str) -> str:
    return f"{_PREFIX}-{id}-{token_urlsafe(_SECRET_BYTES)}"


def _digest(secret: str) -> bytearray:
    return bytearray(sha256(secret.encode()).digest())


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(Pattern(pattern).fits(name) for pattern in patterns)
