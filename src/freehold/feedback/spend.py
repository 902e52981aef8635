"""Spending a token: taken once, and so often from one address, one author and one issuer as the project lets them.

Everybody counts in one table, so that the limits hold over all workers and gateways of a database.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, func, select, text

from freehold.errors import CallerError
from freehold.store.open import Store
from freehold.store.schema import used_tokens
from freehold.store.times import microseconds
from freehold.tables import FeedbackTable

_COLUMNS = ("tenant", "token", "said", "call", "episode", "issuer", "voice", "address", "at", "until")
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


class AlreadyUsed(CallerError):
    """Something else was said with this token."""


class TooOften(CallerError):
    """Somebody spends more tokens than they may."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Use(NamedTuple):
    """One use of a token."""

    token: str
    """Its digest."""
    said: str
    """A digest of what is said with it."""
    call: str | None
    """The call it is about."""
    episode: str | None
    """The episode it is about."""
    issuer: str
    """The id of the key that it was made with."""
    voice: str
    """A pseudonym of who speaks."""
    address: str
    """A pseudonym of where it comes from."""
    until: datetime
    """When the token ends."""


def spend(store: Store, tenant: str, use: Use, rule: FeedbackTable, now: datetime) -> None:
    """Takes a token. Saying the same with it once more is taken too, for whoever asks again heard nothing. Raises AlreadyUsed, TooOften."""
    u = used_tokens.c
    with store.writing() as connection:
        if store.kind == "postgresql":  # two uses at one time would each not see the other
            connection.execute(text("LOCK TABLE used_tokens IN SHARE ROW EXCLUSIVE MODE"))
        known = connection.execute(select(u.said).where(u.tenant == tenant, u.token == use.token)).scalar()
        if known is not None:
            if known != use.said:
                raise AlreadyUsed("This token was used, and a token is taken once.")
            return
        over = (u.tenant == tenant) & (u.until < microseconds(now)) & (u.at < microseconds(now - _DAY))
        connection.execute(delete(used_tokens).where(over))
        for column, name, most, span in (
            (u.address, use.address, rule.address_per_hour, _HOUR),
            (u.voice, use.voice, rule.author_per_day, _DAY),
            (u.issuer, use.issuer, rule.issuer_per_hour, _HOUR),
        ):
            recent = select(func.count(), func.min(u.at)).where(u.tenant == tenant, column == name, u.at > microseconds(now - span))
            used, first = connection.execute(recent).one()
            if used >= most:
                wait_s = max(1.0, (first + span // timedelta(microseconds=1) - microseconds(now)) / 1e6)
                raise TooOften("So much was said from here, by you, or with tokens of one maker, that no more is taken for now.", wait_s)
        row = (tenant, *use[:-1], microseconds(now), microseconds(use.until))
        store.insert_new(connection, "used_tokens", _COLUMNS, "tenant, token", [row])
