"""`POST /v1/feedback`: what people and instruments say about answers, from a product's own buttons, forms and checks into the journal."""

import asyncio
import logging
import re
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from freehold.catalog import Catalog, Content
from freehold.chat import JSON
from freehold.errors import CallerError, DataError, FreeholdError
from freehold.feedback.attach import Place, about, place_of, strictest
from freehold.feedback.early import NoRoom, hold
from freehold.feedback.saying import Saying, feedback_from, read_saying
from freehold.gateway.caller import Caller, Forbidden
from freehold.gateway.fields import json_object
from freehold.gateway.formats import OPENAI
from freehold.gateway.reply import Headers, Reply, Request
from freehold.journal.call import Feedback
from freehold.journal.redact import redact_feedback
from freehold.journal.write import Writer
from freehold.store.open import Store
from freehold.store.times import microseconds, moment
from freehold.tables import FeedbackTable

IS_CALL = re.compile("[0-9a-f]{32}")
"""What the id of a call looks like; of others it is known that they are none."""
_OF_OTHERS = ("source", "author", "at")
"""What only those may say who speak for others."""
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("freehold.feedback")


class Kept(NamedTuple):
    """How taking something in ended."""

    status: int
    """As of HTTP."""
    body: dict[str, JSON]
    """What whoever spoke is told."""


class Receiver:
    """Takes feedback in. It counts as found: it tells where to look, estimates, and certifies nothing."""

    def __init__(self, store: Store, writer: Writer, catalog: Catalog, content: Content, tenant: str, rule: FeedbackTable) -> None:
        self._store = store
        self._writer = writer
        self._catalog = catalog
        self._content = content
        self._tenant = tenant
        self._rule = rule
        self._under_way: set[asyncio.Task[None]] = set()

    def take(self, caller: Caller, request: Request, reply: Reply) -> None:
        """Answers once what was said is durable."""
        now = datetime.now(UTC)
        try:
            said = feedback_from(_spoken(json_object(request), caller), self._catalog, self._tenant, now)
        except CallerError as error:
            status = 403 if isinstance(error, Forbidden) else 400
            answer(reply, Kept(status, OPENAI.error(status, str(error), "")))
            return
        self.soon(self._keep(said, now, reply))

    def soon(self, work: Coroutine[None, None, None]) -> None:
        """Has something done on the loop that nobody waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _keep(self, said: Sequence[Feedback], now: datetime, reply: Reply) -> None:
        answer(reply, await self.keep(said, now))

    async def keep(self, said: Sequence[Feedback], now: datetime) -> Kept:
        """Stores what was said, and gives what to answer. Never raises."""
        what, name = about(said[0])
        call = said[0].call or ""
        try:
            place = await asyncio.to_thread(self._placed, said)
            if isinstance(place, Kept):
                return place
            if place.early:
                await asyncio.to_thread(hold, self._store, self._tenant, place.early, self._rule, now)
            await self._writer.append_feedback([redact_feedback(each, place.content) for each in said])
        except NoRoom as error:
            return Kept(429, OPENAI.error(429, str(error), call))
        except DataError as error:
            return Kept(409, OPENAI.error(409, f"{error} Give another key to say something else.", call))
        except CallerError as error:
            return Kept(400, OPENAI.error(400, str(error), call))
        except FreeholdError as error:
            return Kept(503, OPENAI.error(503, str(error), call))
        except Exception:  # noqa: BLE001 a request's boundary: whatever it is, whoever asked hears of it
            _log.exception("feedback.failed: about %s '%s'", what, name)
            return Kept(500, OPENAI.error(500, "Freehold failed at this feedback, and its log says how.", call))
        told: dict[str, JSON] = {what: name, "metric": said[0].metric, "feedback": [each.id for each in said]}
        if not place.early:
            return Kept(200, told)
        until = moment(microseconds(now) + self._rule.early_days * 86_400_000_000)
        return Kept(202, {**told, "waits_until": until.isoformat()})

    def _placed(self, said: Sequence[Feedback]) -> Place | Kept:
        """Where it belongs; how to refuse what no call can be behind.

        While the journal cannot be read, what is said waits with the calls it is about, or fails as they do: the writer decides.
        """
        try:
            place = place_of(self._store, self._catalog, self._content, said)
        except CallerError:
            raise
        except FreeholdError:
            return Place(self._strictest(), ())
        for one in place.early:
            if one.call is not None and not IS_CALL.fullmatch(one.call):
                return Kept(404, OPENAI.error(404, f"call '{one.call}' is not in the journal: it may be misspelt", one.call))
        if place.early and self._writer.has_spooled:  # that may be where they are, and they come in together
            return Place(self._strictest(), ())
        return place

    def _strictest(self) -> Content:
        return strictest(self._catalog, self._content, [None, *self._catalog.tasks])


def _spoken(body: dict[str, JSON], caller: Caller) -> Saying:
    """What a body says, in the name of whom the caller may speak for. Without keys that is anybody, and so with the role `vouch`; every other
    key speaks as one user, whoever has it. Raises CallerError, Forbidden."""
    saying = read_saying(body)
    if caller.key is None or caller.key.may("vouch"):
        return saying
    for name in _OF_OTHERS:
        if body.get(name) is not None and not (name == "source" and saying.source == "user"):
            raise Forbidden(f"This key may not say '{name}': it speaks as one user. A key with the role 'vouch' speaks for others.")
    return msgspec.structs.replace(saying, author=f"key:{caller.id}")


def answer(reply: Reply, kept: Kept, headers: Headers = ()) -> None:
    """Sends what whoever spoke is told."""
    reply.send(kept.status, ((b"content-type", b"application/json"), *headers), _encode(kept.body))
