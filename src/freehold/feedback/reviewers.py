"""Reviewers: invited by a secret that is taken once, known from then on by a token, taken back at any time.

An invitation is `fhi-RANDOM`, a token `fhr-RANDOM`. The store has their SHA-256 alone: with 192 random bits there is nothing a slower hash
would protect.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from freehold.errors import CallerError, nearest
from freehold.feedback.queue import Role
from freehold.store.open import Store
from freehold.store.schema import reviewers
from freehold.store.times import microseconds, moment

INVITED_FOR = timedelta(days=7)
"""How long an invitation is taken."""
_INVITATION, _TOKEN = "fhi", "fhr"
_SECRET_BYTES = 24


class NotAReviewer(CallerError):
    """No token of a reviewer was shown. What is wrong with it is told to nobody."""

    def __init__(self) -> None:
        super().__init__(
            "No reviewer's token. Send the one you got for your invitation as 'Authorization: Bearer fhr-…'; whoever invited you can invite "
            "you anew."
        )


class Reviewer(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who reviews."""

    name: str
    """What verdicts are kept under."""
    role: Role
    """A senior decides where reviewers disagree, and sees nothing else."""
    tags: tuple[str, ...]
    """What the person knows about."""
    created_at: datetime
    """When they were first invited, UTC."""
    invited_until: datetime | None = None
    """Until when an invitation waits to be taken, UTC; None where none does."""
    has_token: bool = False
    """Whether they have taken one."""
    revoked_at: datetime | None = None
    """Since when they may review no more, UTC."""

    def may(self, tags: Sequence[str]) -> bool:
        """Whether they know about all of this."""
        return set(tags) <= set(self.tags)


class _Body(msgspec.Struct, frozen=True):
    """What a row holds beside its columns."""

    tags: tuple[str, ...] = ()
    """What the person knows about."""


def invite(store: Store, tenant: str, name: str, role: Role, tags: Sequence[str], now: datetime, lasts: timedelta = INVITED_FOR) -> str:
    """The secret of an invitation, which is nowhere else. Whoever was invited before gets role and tags anew, and the old token ends once
    this one is taken. Raises CallerError for what is no name."""
    name = checked_name(name)
    secret = f"{_INVITATION}-{token_urlsafe(_SECRET_BYTES)}"
    values: dict[str, Any] = {
        "role": role,
        "invitation": _digest(secret),
        "invited_until": microseconds(now + lasts),
        "revoked_at": None,
        "body": msgspec.json.encode(_Body(tuple(dict.fromkeys(tags)))),
    }
    ours = (reviewers.c.tenant == tenant) & (reviewers.c.name == name)
    with store.writing() as connection:
        known = connection.execute(select(reviewers.c.seq).where(ours)).first()
        if known is None:
            connection.execute(insert(reviewers).values(tenant=tenant, name=name, created_at=microseconds(now), **values))
        else:
            connection.execute(update(reviewers).where(ours).values(**values))
    return secret


def set_tags(store: Store, tenant: str, name: str, tags: Sequence[str]) -> Reviewer:
    """Says anew what a reviewer knows about: queues for what they no longer know are closed to them from their next question on, what they said
    stays. Raises CallerError for somebody who was never invited."""
    with store.writing() as connection:
        _of(connection, tenant, name)
        ours = update(reviewers).where(reviewers.c.tenant == tenant, reviewers.c.name == name)
        connection.execute(ours.values(body=msgspec.json.encode(_Body(tuple(dict.fromkeys(tags))))))
        return _of(connection, tenant, name)


def still_knows(connection: Connection, tenant: str, name: str, tags: Sequence[str]) -> bool:
    """Whether a reviewer knows about all of this now, whatever was so when they sat down."""
    return not tags or _of(connection, tenant, name).may(tags)


def join(store: Store, tenant: str, invitation: str, now: datetime) -> tuple[Reviewer, str]:
    """The reviewer of an invitation, and the token it is exchanged for; it is taken once. Raises NotAReviewer."""
    token = f"{_TOKEN}-{token_urlsafe(_SECRET_BYTES)}"
    r = reviewers.c
    ours = (r.tenant == tenant) & (r.invitation == _digest(invitation)) & (r.invited_until > microseconds(now)) & r.revoked_at.is_(None)
    with store.writing() as connection:
        found = connection.execute(select(r.name).where(ours)).scalar()
        if found is None:
            raise NotAReviewer
        taken = update(reviewers).where(r.tenant == tenant, r.name == found)
        connection.execute(taken.values(invitation=None, invited_until=None, digest=_digest(token)))
        return _of(connection, tenant, found), token


def reviewer_of(store: Store, tenant: str, token: str) -> Reviewer:
    """Whose token this is. Raises NotAReviewer."""
    r = reviewers.c
    with store.reading() as connection:
        row = connection.execute(select(reviewers).where(r.tenant == tenant, r.digest == _digest(token), r.revoked_at.is_(None))).first()
    if row is None:
        raise NotAReviewer
    return _reviewer(row)


def revoke(store: Store, tenant: str, name: str, now: datetime) -> Reviewer:
    """The reviewer, who may review no more; what they said stays. Raises CallerError."""
    with store.writing() as connection:
        found = _of(connection, tenant, name)
        gone = update(reviewers).where(reviewers.c.tenant == tenant, reviewers.c.name == name)
        connection.execute(gone.values(invitation=None, invited_until=None, digest=None, revoked_at=microseconds(now)))
    return msgspec.structs.replace(found, invited_until=None, has_token=False, revoked_at=now)


def at_this_desk(store: Store, tenant: str, name: str, now: datetime) -> Reviewer:
    """The reviewer of that name, for whoever sits at the project's own machine and needs no token; one who is new knows about nothing in
    particular. Raises CallerError for one who was revoked."""
    name = checked_name(name)
    r = reviewers.c
    with store.reading() as connection:
        row = connection.execute(select(reviewers).where(r.tenant == tenant, r.name == name)).first()
    if row is None:
        with store.writing() as connection:
            columns = ("tenant", "name", "role", "created_at", "body")
            new = (tenant, name, "reviewer", microseconds(now), bytearray(msgspec.json.encode(_Body())))
            store.insert_new(connection, "reviewers", columns, "tenant, name", [new])
        return Reviewer(name=name, role="reviewer", tags=(), created_at=now)
    if row.revoked_at is not None:
        raise CallerError(f"Reviewer '{name}' was revoked. 'freehold review invite {name}' takes that back.")
    return _reviewer(row)


def reviewers_of(store: Store, tenant: str) -> list[Reviewer]:
    """Everybody who was ever invited, in that order."""
    with store.reading() as connection:
        rows = connection.execute(select(reviewers).where(reviewers.c.tenant == tenant).order_by(reviewers.c.seq)).all()
    return [_reviewer(row) for row in rows]


def checked_name(name: str) -> str:
    """The name without blanks around it. Raises CallerError for what is none."""
    name = name.strip()
    if not 0 < len(name) <= 200 or not name.isprintable():
        raise CallerError(f"{name!r} is no name of a reviewer; it is kept with each verdict, such as anna.")
    return name


def _of(connection: Connection, tenant: str, name: str) -> Reviewer:
    row = connection.execute(select(reviewers).where(reviewers.c.tenant == tenant, reviewers.c.name == name)).first()
    if row is None:
        known = connection.execute(select(reviewers.c.name).where(reviewers.c.tenant == tenant)).scalars().all()
        raise CallerError(f"There is no reviewer '{name}'.{nearest(name, list(known))} 'freehold review invite NAME' makes one.")
    return _reviewer(row)


def _reviewer(row: Row[Any]) -> Reviewer:
    return Reviewer(
        name=row.name,
        role=row.role,
        tags=msgspec.json.decode(row.body, type=_Body).tags,
        created_at=moment(row.created_at),
        invited_until=None if row.invited_until is None else moment(row.invited_until),
        has_token=row.digest is not None,
        revoked_at=None if row.revoked_at is None else moment(row.revoked_at),
    )


def _digest(secret: str) -> bytes:
    return sha256(secret.encode(errors="surrogatepass")).digest()
