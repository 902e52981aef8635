"""Tokens by which somebody without a key may speak, once, about one call: what is granted, signed with the project's secret.

A token is `ft.GRANT.MAC`: the grant as JSON and its HMAC-SHA256, both in URL-safe base64. It is a ticket and no secret of the project:
whoever has it may say one thing about one call until it ends. That it was used is noted by its digest (`spend.py`).
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from datetime import datetime
from hashlib import blake2b, sha256
from secrets import token_hex

import msgspec

from freehold.errors import CallerError

_PREFIX = "ft"
_MOST_CHARACTERS = 4_096
_encode = msgspec.json.Encoder().encode


class TokenRefused(CallerError):
    """A token that is not taken."""


class Ticket(msgspec.Struct, frozen=True, array_like=True):
    """What a token grants."""

    tenant: str
    """Whose data it is about."""
    call: str | None
    """The call that may be spoken of; None for an episode."""
    episode: str | None
    """The episode that may be spoken of; None for a call."""
    other: str | None
    """The call that the first may be compared with; None for no comparison with a call."""
    metrics: tuple[str, ...]
    """What may be judged; anything where none is named."""
    author: str | None
    """Who speaks, as the product knows them; None where it does not say, and one address is one voice."""
    issuer: str
    """The id of the key that it was made with; empty for none."""
    until: int
    """When it ends, in seconds since 1970."""
    nonce: str
    """What tells two tokens of one grant apart."""


_decode = msgspec.json.Decoder(Ticket).decode


def new_ticket(
    tenant: str,
    call: str | None,
    until: datetime,
    *,
    episode: str | None = None,
    other: str | None = None,
    metrics: tuple[str, ...] = (),
    author: str | None = None,
    issuer: str = "",
) -> Ticket:
    """A grant that no other equals."""
    return Ticket(tenant, call, episode, other, metrics, author, issuer, int(until.timestamp()), token_hex(8))


def signed(secret: bytes, ticket: Ticket) -> str:
    """The token of a grant."""
    grant = _encode(ticket)
    return f"{_PREFIX}.{_text(grant)}.{_text(_mac(secret, grant))}"


def read_token(secret: bytes, token: str, now: float) -> Ticket:
    """The grant of a token that was signed with this secret and has not ended. Raises TokenRefused."""
    prefix, _, rest = token.partition(".")
    grant, _, mac = rest.partition(".")
    try:
        body, shown = _bytes(grant), _bytes(mac)
    except (Error, ValueError):
        body, shown = b"", b""
    if len(token) > _MOST_CHARACTERS or prefix != _PREFIX or not hmac.compare_digest(_mac(secret, body), shown):
        raise TokenRefused("This is no token of this project. A token is taken as it was made, and for its call alone.")
    ticket = _decode(body)
    if now >= ticket.until:
        raise TokenRefused("This token has ended.")
    return ticket


def ticket_digest(ticket: Ticket) -> str:
    """What a token is known by once it was used: its grant, for base64 writes the same in several ways."""
    return blake2b(_encode(ticket), digest_size=16).hexdigest()


def pseudonym(secret: bytes, kind: str, name: str) -> str:
    """A name that tells the same from others and tells nobody who it is."""
    return hmac.new(secret, f"{kind}\0{name}".encode("utf-8", "surrogatepass"), sha256).hexdigest()[:24]


def _mac(secret: bytes, grant: bytes) -> bytes:
    return hmac.new(secret, grant, sha256).digest()


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
