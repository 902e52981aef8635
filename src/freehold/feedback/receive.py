"""`POST /v1/feedback`: what people say about answers, from a product's own buttons and forms into the journal."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from freehold.catalog import Catalog, Content
from freehold.chat import JSON
from freehold.errors import CallerError, DataError, FreeholdError
from freehold.gateway.fields import Fields, json_object
from freehold.gateway.formats import OPENAI
from freehold.gateway.reply import Reply, Request
from freehold.journal.build import feedback_id
from freehold.journal.call import TRUTH, Feedback, FeedbackKind
from freehold.journal.read import find_call
from freehold.journal.redact import redact_feedback
from freehold.journal.write import Writer
from freehold.store.open import Store

SOURCE = "user"
"""Who says what comes in here."""
_MOST_NAME = 200
_MOST_VALUE = 1e15
_FIELDS: dict[FeedbackKind, str] = {"score": "value", "label": "value"}
"""The fields that kinds of feedback come in by, where those have another name."""
_encode = msgspec.json.Encoder().encode


class Receiver:
    """Takes feedback in. It counts as found: it tells where to look, estimates, and certifies nothing."""

    def __init__(self, store: Store, writer: Writer, catalog: Catalog, content: Content, tenant: str) -> None:
        self._store = store
        self._writer = writer
        self._catalog = catalog
        self._content = content
        self._tenant = tenant
        self._under_way: set[asyncio.Task[None]] = set()

    def take(self, request: Request, reply: Reply) -> None:
        """Answers once what was said is durable."""
        try:
            said = self._read(json_object(request))
        except CallerError as error:
            _answer(reply, 400, OPENAI.error(400, str(error), ""))
            return
        task = asyncio.get_running_loop().create_task(self._store_it(said, reply))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    def _read(self, body: dict[str, JSON]) -> list[Feedback]:
        """What the body says, a piece for each of value, correction and comment. Raises CallerError."""
        fields = Fields(body, "")
        call, metric = _name(fields, "call"), _name(fields, "metric")
        if metric == TRUTH:
            raise CallerError(
                f"'{TRUTH}' is the name of recorded right answers; give the metric another, and the right answer as correction"
            )
        key = _name(fields, "key") if fields.has("key") else uuid4().hex
        value, correction, comment = fields.raw("value"), fields.raw("correction"), fields.take("comment", str)
        if rest := fields.rest():
            raise CallerError(f"'{next(iter(rest))}' is no field of feedback; expected call, metric, value, correction, comment and key")
        pieces: list[tuple[FeedbackKind, float | None, JSON]] = []
        if isinstance(value, str):
            pieces.append(("label", None, value))
        elif isinstance(value, bool | int | float):
            if abs(value) > _MOST_VALUE:
                raise CallerError(f"value is beyond {_MOST_VALUE:g}; expected a score in the metric's range")
            self._catalog.metric(metric).unit(float(value))
            pieces.append(("score", float(value), None))
        elif value is not None:
            raise CallerError("value is a list or an object; expected a number, true or false, or a label as text")
        if correction is not None:
            pieces.append(("correction", None, correction))
        if comment is not None:
            pieces.append(("comment", None, comment))
        if not pieces:
            raise CallerError("nothing is said: one of value, correction and comment has to be there")
        now = datetime.now(UTC)
        return [
            Feedback(
                id=feedback_id(call, metric, SOURCE, f"{_FIELDS.get(kind, kind)} {key}"),
                tenant=self._tenant,
                call=call,
                metric=metric,
                kind=kind,
                value=score,
                content=content,
                source=SOURCE,
                at=now,
            )
            for kind, score, content in pieces
        ]

    async def _store_it(self, said: Sequence[Feedback], reply: Reply) -> None:
        about = said[0].call or ""
        try:
            call = await asyncio.to_thread(find_call, self._store, self._tenant, about)
            if call is None:
                status, why = (
                    (503, "calls wait to be brought in; try again later") if self._writer.has_spooled else (404, "it may be misspelt")
                )
                _answer(reply, status, OPENAI.error(status, f"call '{about}' is not in the journal: {why}", about))
                return
            task = self._catalog.tasks.get(call.task or "")
            content = (task.content if task else None) or self._content
            await self._writer.append_feedback([redact_feedback(each, content) for each in said])
        except DataError as error:
            _answer(reply, 409, OPENAI.error(409, f"{error} Give another key to say something else.", about))
        except FreeholdError as error:
            _answer(reply, 503, OPENAI.error(503, str(error), about))
        else:
            _answer(reply, 200, {"call": about, "metric": said[0].metric, "feedback": [each.id for each in said]})


def _name(fields: Fields, field: str) -> str:
    name: str = fields.need(field, str)
    if not 0 < len(name) <= _MOST_NAME:
        raise CallerError(f"{field} has {len(name)} characters; expected 1 to {_MOST_NAME}")
    return name


def _answer(reply: Reply, status: int, body: dict[str, JSON]) -> None:
    reply.send(status, ((b"content-type", b"application/json"),), _encode(body))
