"""What is answered at which address, and which keys open it."""

import asyncio
from collections.abc import Callable

import msgspec

from freehold.errors import CallerError, FreeholdError
from freehold.feedback.answering import AnswerDesk
from freehold.feedback.public import PATH, Public
from freehold.feedback.review_api import ReviewApi
from freehold.feedback.secret import secret_of
from freehold.gateway import openapi
from freehold.gateway.caller import Caller
from freehold.gateway.formats import ANTHROPIC, EMBEDDINGS, OPENAI, Format
from freehold.gateway.keys import Role
from freehold.gateway.reply import Handler, Nobody, Reply, Request
from freehold.journal.pending import PendingCall, later
from freehold.serve import Exchange
from freehold.serving.telling import JSON_TYPE, status_of
from freehold.serving.underway import Underway
from freehold.telemetry.exposition import CONTENT_TYPE
from freehold.telemetry.readiness import Readiness

_MOST_FETCH_S = 300.0
_encode = msgspec.json.Encoder().encode


class Doors:
    """The addresses of one worker."""

    def __init__(self, underway: Underway) -> None:
        """Raises OperatorError where public feedback has no secret."""
        has = self._has = underway.resources
        self._underway = underway
        rule, content = has.config.feedback, has.config.journal.content
        secret = secret_of(has.config.folder, rule) if rule.public else None
        self._public = Public(underway.receiver, has.store, has.catalog, has.tenant, rule, secret)
        underway.token = self._public.token
        self._reviews = ReviewApi(has.store, has.catalog, content, has.tenant)
        self._answers = AnswerDesk(has.store, has.tenant, lambda request: has.caller(request.headers, "expert", {}).key)
        self._readiness = Readiness(
            lambda: has.writer.is_store_up,
            has.config.journal.on_failure != "required",
            lambda: has.served.is_read,
            lambda: underway.is_stopping,
            lambda: has.writer.has_spooled,
        )

    def routes(self) -> dict[tuple[bytes, bytes], Handler]:
        """The hot routes."""
        return {
            (b"POST", b"/v1/chat/completions"): self._exchange(OPENAI),
            (b"POST", b"/v1/messages"): self._exchange(ANTHROPIC),
            (b"POST", b"/v1/embeddings"): self._exchange(EMBEDDINGS),
            (b"POST", b"/v1/feedback"): self._asked_by("feedback", self._underway.receiver.take),
            (b"POST", b"/v1/feedback/tokens"): self._asked_by("vouch", self._public.make),
            (b"POST", PATH): self._public.take,
            (b"OPTIONS", PATH): self._public.preflight,
            **self._reviews.routes(),
            (b"GET", b"/v1/expert/asks"): self._open_to("expert", self._answers.list_asks),
            (b"POST", b"/v1/expert/answers"): self._open_to("expert", self._answers.take),
            (b"GET", b"/v1/models"): self._open_to("call", self._list_models),
            (b"GET", b"/openapi.json"): lambda _, reply: reply.send(200, (JSON_TYPE,), openapi.document()),
            (b"GET", b"/metrics"): self._open_to("read", self._tell_metrics),
            (b"GET", b"/readyz"): lambda _, reply: _tell(reply, *self._readiness.ready()),
            (b"GET", b"/healthz"): lambda _, reply: _tell(reply, *self._readiness.health()),
        }

    def patterns(self) -> dict[tuple[bytes, bytes], Handler]:
        """Routes whose path goes on after what stands here."""
        return {(b"GET", b"/v1/calls/"): self._asked_by("call", self._fetch)}

    def resume(self, call: PendingCall) -> None:
        """Takes up a call that waits for a person and whose worker has ended."""
        reply = Nobody()
        reply.is_gone = not call.is_told  # who was told where it will be may come for it
        door = next((one for one in (OPENAI, ANTHROPIC) if call.going is not None and one.path == call.going.door), OPENAI)
        Exchange(self._underway, door, reply, pending=call).resume(call)

    def _exchange(self, door: Format) -> Handler:
        return lambda request, reply: Exchange(self._underway, door, reply).begin(request)

    def _open_to(self, role: Role, handler: Handler) -> Handler:
        """A route for keys of a role; for everybody where there are no keys."""
        return self._asked_by(role, lambda _, request, reply: handler(request, reply))

    def _asked_by(self, role: Role, handler: Callable[[Caller, Request, Reply], None]) -> Handler:
        """As `_open_to`, for a handler that wants to know who asks."""

        def answer(request: Request, reply: Reply) -> None:
            try:
                caller = self._has.caller(request.headers, role, {})
            except CallerError as error:
                _refuse(reply, status_of(error), str(error))
            else:
                handler(caller, request, reply)

        return answer

    def _fetch(self, caller: Caller, request: Request, reply: Reply) -> None:
        """Gives the answer of a call that waited for a person."""
        id = request.path.rpartition(b"/")[2].decode("ascii", "replace")
        said = request.header(b"x-freehold-wait-s") or b""
        wait_s = min(float(said), _MOST_FETCH_S) if said.isdigit() else 0.0

        async def fetch() -> None:
            try:
                call = await self._underway.pending.fetched(id, caller.id or None, wait_s)
            except FreeholdError as error:
                _refuse(reply, 503, str(error), id)
                return
            if call is None:
                _refuse(reply, 404, f"No call '{id[:64]}' of this key waits for a person, or its answer was here for longer than a day.")
            elif call.answered is None:
                reply.send(*later(id))
            else:
                told = call.answered
                headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told.headers]
                reply.send(told.status, headers, told.body.encode())

        self._underway.soon(fetch())

    def _list_models(self, _: Request, reply: Reply) -> None:
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "freehold"} for name in self._has.names()]
        _tell(reply, 200, _encode({"object": "list", "data": models}))

    def _tell_metrics(self, _: Request, reply: Reply) -> None:
        async def tell() -> None:
            told = await asyncio.to_thread(self._underway.telemetry.exposition)
            reply.send(200, ((b"content-type", CONTENT_TYPE),), told)

        self._underway.soon(tell())


def _tell(reply: Reply, status: int, told: bytes) -> None:
    reply.send(status, (JSON_TYPE,), told)


def _refuse(reply: Reply, status: int, message: str, call: str = "") -> None:
    _tell(reply, status, _encode(OPENAI.error(status, message, call)))
