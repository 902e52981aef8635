"""`POST /v1/feedback`: what people say about answers, from a product's own buttons and forms into the journal."""

import asyncio
import logging
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from freehold.catalog import Catalog, Content, FeedbackKind
from freehold.chat import JSON
from freehold.errors import CallerError, DataError, FreeholdError
from freehold.gateway.fields import Fields, json_object
from freehold.gateway.formats import OPENAI
from freehold.gateway.reply import Reply, Request
from freehold.journal.build import feedback_id
from freehold.journal.call import TRUTH, Feedback
from freehold.journal.read import tasks_about
from freehold.journal.redact import redact_feedback
from freehold.journal.write import Writer
from freehold.store.open import Store

SOURCE = "user"
"""Who says what comes in here."""
_MOST_NAME = 200
_MOST_VALUE = 1e15
_FIELDS: dict[FeedbackKind, str] = {"score": "value", "label": "value"}
"""The fields that kinds of feedback come in by, where those have another name."""
_STRICTER: tuple[Content, ...] = ("full", "redacted", "none")
_CALL_MADE_HERE = re.compile("[0-9a-f]{32}")
"""The id of a call that may wait in the spool."""
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("freehold.feedback")


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
        if fields.has("call") and fields.has("episode"):
            raise CallerError("both call and episode are there; expected the one of them that it is about")
        episode = _name(fields, "episode") if fields.has("episode") else None
        call = _name(fields, "call") if episode is None else None
        metric = _name(fields, "metric")
        if metric == TRUTH:
            raise CallerError(
                f"'{TRUTH}' is the name of recorded right answers; give the metric another, and the right answer as correction"
            )
        key = _name(fields, "key") if fields.has("key") else uuid4().hex
        value, correction, comment = fields.raw("value"), fields.raw("correction"), fields.take("comment", str)
        if rest := fields.rest():
            known = "call or episode, metric, value, correction, comment and key"
            raise CallerError(f"'{next(iter(rest))}' is no field of feedback; expected {known}")
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
        about = call if call is not None else f"episode {episode}"
        return [
            Feedback(
                id=feedback_id(about, metric, SOURCE, f"{_FIELDS.get(kind, kind)} {key}"),
                tenant=self._tenant,
                call=call,
                episode=episode,
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
        first = said[0]
        what, about = ("call", first.call) if first.call is not None else ("episode", first.episode or "")
        try:
            tasks = await asyncio.to_thread(self._tasks_about, first)
            if tasks is None:
                _answer(reply, 404, OPENAI.error(404, f"{what} '{about}' is not in the journal: it may be misspelt", first.call or ""))
                return
            content = max(map(self._content_of, tasks), key=_STRICTER.index)
            await self._writer.append_feedback([redact_feedback(each, content) for each in said])
        except DataError as error:
            _answer(reply, 409, OPENAI.error(409, f"{error} Give another key to say something else.", first.call or ""))
        except FreeholdError as error:
            _answer(reply, 503, OPENAI.error(503, str(error), first.call or ""))
        except Exception:  # noqa: BLE001 a request's boundary: whatever it is, whoever asked hears of it
            _log.exception("feedback.failed: about %s '%s'", what, about)
            _answer(reply, 500, OPENAI.error(500, "Freehold failed at this feedback, and its log says how.", first.call or ""))
        else:
            _answer(reply, 200, {what: about, "metric": first.metric, "feedback": [each.id for each in said]})

    def _tasks_about(self, said: Feedback) -> Iterable[str | None] | None:
        """The tasks of what is spoken of, or any there are where that may wait outside the journal; None where nobody knows it.

        While the journal cannot be read, what is said waits with the calls it is about, or fails as they do: the writer decides.
        """
        try:
            tasks = tasks_about(self._store, said)
        except FreeholdError:
            return self._any_task()
        if tasks:
            return tasks
        may_wait = self._writer.has_spooled and (said.call is None or _CALL_MADE_HERE.fullmatch(said.call) is not None)
        return self._any_task() if may_wait else None

    def _any_task(self) -> list[str | None]:
        return [None, *self._catalog.tasks]

    def _content_of(self, name: str | None) -> Content:
        """What is kept of a task's calls."""
        task = self._catalog.tasks.get(name or "")
        return (task.content if task else None) or self._content


def _name(fields: Fields, field: str) -> str:
    name: str = fields.need(field, str)
    if not 0 < len(name) <= _MOST_NAME:
        raise CallerError(f"{field} has {len(name)} characters; expected 1 to {_MOST_NAME}")
    return name


def _answer(reply: Reply, status: int, body: dict[str, JSON]) -> None:
    reply.send(status, ((b"content-type", b"application/json"),), _encode(body))
