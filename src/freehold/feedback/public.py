"""Feedback of those who have no key: a web page's own visitors, each with a token that a key's holder had made for one call.

`POST /v1/feedback/tokens` makes tokens, for keys with the role `vouch`. `POST /v1/feedback/public` takes one thing said with one, from pages
of the gateway's own hosts and of the origins that the project names. What comes in this way is of the source `user:public`.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

import msgspec

from freehold.catalog import Catalog
from freehold.chat import JSON
from freehold.errors import CallerError, FreeholdError
from freehold.feedback.preference import read_preference
from freehold.feedback.receive import Kept, Receiver, answer
from freehold.feedback.saying import MOST_NAME, PUBLIC, feedback_from, read_saying
from freehold.feedback.spend import AlreadyUsed, TooOften, Use, spend
from freehold.feedback.tokens import Ticket, TokenRefused, new_ticket, pseudonym, read_token, signed, ticket_digest
from freehold.gateway.caller import Caller
from freehold.gateway.fields import Fields, json_object
from freehold.gateway.formats import OPENAI
from freehold.gateway.reply import Headers, Reply, Request
from freehold.journal.call import Feedback
from freehold.journal.rows import digest_of
from freehold.store.open import Store
from freehold.tables import FeedbackTable

PATH = b"/v1/feedback/public"
MOST_BYTES = 16 * 1024
"""The most that somebody without a key may say at once."""
_NOT_THEIRS = ("call", "episode", "source", "author", "key", "at")
_OFF = "Public feedback is off in this project: feedback.public in freehold.toml is false."
_PREFLIGHT_S = 600


class Public:
    """What those without a key may do, and the making of what lets them."""

    def __init__(self, receiver: Receiver, store: Store, catalog: Catalog, tenant: str, rule: FeedbackTable, secret: bytes | None) -> None:
        """`secret`: None where public feedback is off."""
        self._receiver = receiver
        self._store = store
        self._catalog = catalog
        self._tenant = tenant
        self._rule = rule
        self._secret = secret
        self._origins = origins_of(rule)

    def token(self, call: str, issuer: str) -> str | None:
        """A token for a call that was just answered; None where answers carry none."""
        if self._secret is None or not self._rule.token_header:
            return None
        return signed(self._secret, new_ticket(self._tenant, call, self._until(datetime.now(UTC)), issuer=issuer))

    def make(self, caller: Caller, request: Request, reply: Reply) -> None:
        """Makes a token, for whoever may vouch for others."""
        now = datetime.now(UTC)
        try:
            if self._secret is None:
                raise TokenRefused(_OFF)
            ticket = self._ticket(json_object(request), caller.id, now)
        except CallerError as error:
            status = 404 if isinstance(error, TokenRefused) else 400
            answer(reply, Kept(status, OPENAI.error(status, str(error), "")))
            return
        until = datetime.fromtimestamp(ticket.until, UTC).isoformat()
        answer(reply, Kept(200, {"token": signed(self._secret, ticket), "until": until}))

    def preflight(self, request: Request, reply: Reply) -> None:
        """Tells a browser from which pages it may be asked."""
        allowed = self._allowed(request)
        more = () if not allowed else (
            (b"access-control-allow-methods", b"POST"),
            (b"access-control-allow-headers", b"content-type"),
            (b"access-control-max-age", b"%d" % _PREFLIGHT_S),
        )  # fmt: skip
        reply.send(204, (*allowed, *more), b"")

    def take(self, request: Request, reply: Reply) -> None:
        """Takes what somebody says with a token, and answers once it is durable."""
        allowed, now = self._allowed(request), datetime.now(UTC)
        try:
            if self._secret is None:
                raise TokenRefused(_OFF)
            if len(request.body) > MOST_BYTES:
                raise CallerError(f"the body has {len(request.body)} bytes; with a token it has at most {MOST_BYTES}")
            body = json_object(request)
            token = Fields({"token": body.pop("token", None)}, "").need("token", str)
            ticket = read_token(self._secret, token, time.time())
            if ticket.tenant != self._tenant:
                raise TokenRefused("This token is another tenant's.")
            address = pseudonym(self._secret, "address", address_of(request, self._rule.proxies))
            said = self._said(body, ticket, address, now)
        except CallerError as error:
            status = (404 if self._secret is None else 403) if isinstance(error, TokenRefused) else 400
            answer(reply, Kept(status, OPENAI.error(status, str(error), "")), allowed)
            return
        voice = pseudonym(self._secret, "author", said[0].author or "")
        until = datetime.fromtimestamp(ticket.until, UTC)
        use = Use(ticket_digest(ticket), digest_of(dict(body)), ticket.call, ticket.episode, ticket.issuer, voice, address, until)
        self._receiver.soon(self._keep(use, said, now, reply, allowed))

    async def _keep(self, use: Use, said: list[Feedback], now: datetime, reply: Reply, allowed: Headers) -> None:
        try:
            await asyncio.to_thread(spend, self._store, self._tenant, use, self._rule, now)
        except AlreadyUsed as error:
            kept = Kept(409, OPENAI.error(409, str(error), ""))
        except TooOften as error:
            kept = Kept(429, OPENAI.error(429, str(error), ""))
            allowed = (*allowed, (b"retry-after", b"%d" % error.retry_after_s))
        except FreeholdError as error:
            kept = Kept(503, OPENAI.error(503, str(error), ""))
        else:
            kept = await self._receiver.keep(said, now)
        answer(reply, kept, allowed)

    def _said(self, body: Mapping[str, JSON], ticket: Ticket, address: str, now: datetime) -> list[Feedback]:
        """What is said with a token: about its call alone, and by nobody but its author. Raises CallerError, TokenRefused among them."""
        for name in _NOT_THEIRS:
            if body.get(name) is not None:
                raise CallerError(
                    f"'{name}' is not said with a token, which says it; expected metric, value, correction, preference and comment"
                )
        saying = read_saying(dict(body))
        if ticket.metrics and saying.metric not in ticket.metrics:
            raise TokenRefused(f"metric is '{saying.metric[:80]}'; this token is for {', '.join(ticket.metrics)}")
        compared = read_preference(saying.preference)
        if compared is not None and compared.call is not None and compared.call != ticket.other:
            raise TokenRefused("preference names a call that this token is not for")
        author = ticket.author if ticket.author is not None else f"address:{address}"
        saying = msgspec.structs.replace(
            saying, call=ticket.call, episode=ticket.episode, source=PUBLIC, author=author, key=f"token {ticket_digest(ticket)}"
        )
        return feedback_from(saying, self._catalog, self._tenant, now)

    def _ticket(self, body: dict[str, JSON], issuer: str, now: datetime) -> Ticket:
        fields = Fields(body, "")
        call, episode, other = (fields.take(name, str) for name in ("call", "episode", "other"))
        metrics, author = fields.take("metrics", list[str], []), fields.take("author", str)
        if rest := fields.rest():
            raise CallerError(f"'{next(iter(rest))[:80]}' is no field of a token; expected call or episode, other, metrics and author")
        return checked_ticket(new_ticket(
            self._tenant, call, self._until(now), episode=episode, other=other, metrics=tuple(metrics), author=author, issuer=issuer
        ))  # fmt: skip

    def _until(self, now: datetime) -> datetime:
        return now + timedelta(days=self._rule.token_days)

    def _allowed(self, request: Request) -> Headers:
        """What tells a browser that the page which asks may hear the answer. The guard has refused all other pages by now."""
        origin = request.header(b"origin")
        if origin is None or origin not in self._origins:
            return ()
        return ((b"access-control-allow-origin", origin), (b"vary", b"origin"))


def checked_ticket(ticket: Ticket) -> Ticket:
    """A grant that says what it is for. Raises CallerError."""
    if (ticket.call is None) == (ticket.episode is None):
        raise CallerError("a token is for a call or for an episode; expected one of them")
    if ticket.other is not None and ticket.call in (None, ticket.other):
        raise CallerError("other is the call that a call may be compared with; expected one beside another call")
    if len(ticket.metrics) > 20:
        raise CallerError(f"metrics has {len(ticket.metrics)} names; expected 20 at most")
    for name, value in (("call", ticket.call), ("episode", ticket.episode), ("other", ticket.other), ("author", ticket.author)):
        if value is not None and not 0 < len(value) <= MOST_NAME:
            raise CallerError(f"{name} has {len(value)} characters; expected 1 to {MOST_NAME}")
    if not all(0 < len(metric) <= MOST_NAME for metric in ticket.metrics):
        raise CallerError(f"metrics has a name that has none, or more than {MOST_NAME} characters")
    return ticket


def origins_of(rule: FeedbackTable) -> frozenset[bytes]:
    """The pages that may speak, as browsers name them."""
    return frozenset(origin.encode() for origin in rule.origins)


def address_of(request: Request, proxies: tuple[str, ...]) -> str:
    """Where a request comes from: its peer, or where that is a proxy of ours whom it says it speaks for. Of IPv6 the network, for a
    household or a server has 2^64 of them."""
    address = request.peer
    if address in proxies:
        told = [value for name, value in request.headers if name == b"x-forwarded-for"]
        hops = [hop.strip() for hop in b",".join(told).decode("latin-1").split(",")]
        address = next((hop for hop in reversed(hops) if hop not in proxies), address) or address
    try:
        found = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
    return str(found)
