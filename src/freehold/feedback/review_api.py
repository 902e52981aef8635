"""`/v1/review/…`: what reviewers' pages and tools ask, on the gateway's plain routes.

Whoever asks shows the token that their invitation was exchanged for; keys of the gateway open nothing here, nor does a token anything there.
Texts, documents, images and recordings are served as the journal keeps them. Nothing says who answered what, what others said, or what is gold.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

import msgspec

from freehold.catalog import Catalog, Content
from freehold.chat import JSON
from freehold.errors import CallerError, FreeholdError
from freehold.feedback.desk import Desk
from freehold.feedback.question import Judgement, Question, right
from freehold.feedback.queue import Queue
from freehold.feedback.reviewers import NotAReviewer, Reviewer, join, reviewer_of
from freehold.feedback.show import answer_text, difference
from freehold.gateway.fields import Fields, json_object
from freehold.gateway.formats import OPENAI
from freehold.gateway.keys import secret_of
from freehold.gateway.reply import Handler, Reply, Request
from freehold.store.open import Store

_MOST_TEXT = 20_000
_encode = msgspec.json.Encoder(enc_hook=str).encode
_log = logging.getLogger("freehold.review")
_Answer: TypeAlias = Callable[[Reviewer, Fields], Any]


class _Route(NamedTuple):
    """What answers, and whether a body comes with it."""

    answer: _Answer
    has_body: bool


class ReviewApi:
    """The handlers. The store is looked at in threads, never on the loop."""

    def __init__(self, store: Store, catalog: Catalog, content: Content, tenant: str) -> None:
        def content_of(task: str) -> Content:
            known = catalog.tasks.get(task)
            return (known.content if known else None) or content

        self._store = store
        self._tenant = tenant
        self._desk = Desk(store, tenant, catalog, content_of, lambda: datetime.now(UTC))
        self._under_way: set[asyncio.Task[None]] = set()

    def routes(self) -> dict[tuple[bytes, bytes], Handler]:
        """What is answered at which address."""
        asked: dict[tuple[bytes, bytes], _Route] = {
            (b"GET", b"/v1/review/queues"): _Route(self._queues, False),
            (b"POST", b"/v1/review/next"): _Route(self._next, True),
            (b"POST", b"/v1/review/verdict"): _Route(self._verdict, True),
            (b"POST", b"/v1/review/skip"): _Route(self._skip, True),
            (b"POST", b"/v1/review/flag"): _Route(self._flag, True),
            (b"POST", b"/v1/review/undo"): _Route(self._undo, True),
        }
        routes = {place: self._handler(route) for place, route in asked.items()}
        return routes | {(b"POST", b"/v1/review/join"): lambda request, reply: self._begin(lambda: self._join(request), reply)}

    def _handler(self, route: _Route) -> Handler:
        def take(request: Request, reply: Reply) -> None:
            def answer() -> Any:
                reviewer = self._who(request)
                fields = Fields(json_object(request) if route.has_body else {}, "")
                return route.answer(reviewer, fields)

            self._begin(answer, reply)

        return take

    def _begin(self, answer: Callable[[], Any], reply: Reply) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(answer, reply))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _answer(self, answer: Callable[[], Any], reply: Reply) -> None:
        try:
            told = await asyncio.to_thread(answer)
        except NotAReviewer as error:
            _send(reply, 401, OPENAI.error(401, str(error), ""))
        except CallerError as error:
            _send(reply, 400, OPENAI.error(400, str(error), ""))
        except FreeholdError as error:
            _send(reply, 503, OPENAI.error(503, str(error), ""))
        except Exception:  # noqa: BLE001 a request's boundary: whatever it is, whoever asked hears of it
            _log.exception("review.failed")
            _send(reply, 500, OPENAI.error(500, "Freehold failed at this review, and its log says how.", ""))
        else:
            _send(reply, 200, told)

    def _who(self, request: Request) -> Reviewer:
        shown = secret_of(request.headers)
        if shown is None:
            raise NotAReviewer
        return reviewer_of(self._store, self._tenant, shown.decode("latin-1"))

    # What is asked

    def _join(self, request: Request) -> dict[str, JSON]:
        fields = Fields(json_object(request), "")
        invitation: str = fields.need("invitation", str)
        _end(fields)
        reviewer, token = join(self._store, self._tenant, invitation, datetime.now(UTC))
        return {"reviewer": reviewer.name, "role": reviewer.role, "tags": list(reviewer.tags), "token": token}

    def _queues(self, reviewer: Reviewer, _: Fields) -> dict[str, Any]:
        found = self._desk.seats(reviewer)
        return {"reviewer": reviewer.name, "role": reviewer.role, "queues": [self._about(queue, reviewer) for queue in found]}

    def _about(self, queue: Queue, reviewer: Reviewer) -> dict[str, Any]:
        metric = self._desk.metric_of(queue)
        return {
            "queue": queue.id,
            "task": queue.task,
            "metric": {"id": metric.id, "kind": metric.kind, "better": metric.better, "range": list(metric.range)},
            "guidelines": queue.guidelines,
            "tariff_usd": queue.tariff_usd,
            "progress": self._progress(queue, reviewer),
        }

    def _progress(self, queue: Queue, reviewer: Reviewer) -> dict[str, JSON]:
        progress = self._desk.progress(queue, reviewer)
        return {
            "answered": progress.answered,
            "questions": progress.questions,
            "skipped": progress.skipped,
            "seconds_left": progress.seconds_left,
        }

    def _next(self, reviewer: Reviewer, fields: Fields) -> dict[str, Any]:
        queue = self._queue(reviewer, fields)
        _end(fields)
        found = self._desk.next(queue, reviewer)
        asked = None if found is None else _question(*found)
        return {"queue": queue.id, "question": asked, "progress": self._progress(queue, reviewer)}

    def _verdict(self, reviewer: Reviewer, fields: Fields) -> dict[str, Any]:
        queue = self._queue(reviewer, fields)
        ticket: str = fields.need("ticket", str)
        letters, scores = fields.take("right", list[str]), fields.take("scores", dict[str, float])
        correction, comment = fields.raw("correction"), fields.take("comment", str, "")
        _end(fields)
        if len(comment) > _MOST_TEXT:
            raise CallerError(f"comment has {len(comment):,} characters; expected at most {_MOST_TEXT:,}")
        if letters is not None and scores is not None:
            raise CallerError("both right and scores are there; expected one of them")
        if letters is None and scores is None and correction is None:
            raise CallerError("nothing is said: one of right, scores and correction has to be there")
        judgement = Judgement(scores or {}, correction)
        if letters is not None:
            metric = self._desk.metric_of(queue)
            if metric.kind != "binary":
                low, high = metric.range
                raise CallerError(
                    f"metric '{metric.id}' is no matter of right or wrong; expected scores from {low:g} to {high:g} by letter"
                )
            judgement = right(self._desk.letters(queue, reviewer, ticket), frozenset(letters), metric)._replace(correction=correction)
        self._desk.answer(queue, reviewer, ticket, judgement, comment)
        return self._done(queue, reviewer, ticket)

    def _skip(self, reviewer: Reviewer, fields: Fields) -> dict[str, Any]:
        queue = self._queue(reviewer, fields)
        ticket: str = fields.need("ticket", str)
        _end(fields)
        self._desk.skip(queue, reviewer, ticket)
        return self._done(queue, reviewer, ticket)

    def _flag(self, reviewer: Reviewer, fields: Fields) -> dict[str, Any]:
        queue = self._queue(reviewer, fields)
        ticket: str = fields.need("ticket", str)
        reason: str = fields.need("reason", str)
        _end(fields)
        if len(reason) > _MOST_TEXT:
            raise CallerError(f"reason has {len(reason):,} characters; expected at most {_MOST_TEXT:,}")
        self._desk.flag(queue, reviewer, ticket, reason)
        return self._done(queue, reviewer, ticket)

    def _undo(self, reviewer: Reviewer, fields: Fields) -> dict[str, Any]:
        queue = self._queue(reviewer, fields)
        _end(fields)
        return self._done(queue, reviewer, self._desk.take_back(queue, reviewer))

    def _done(self, queue: Queue, reviewer: Reviewer, ticket: str | None) -> dict[str, Any]:
        return {"queue": queue.id, "ticket": ticket, "progress": self._progress(queue, reviewer)}

    def _queue(self, reviewer: Reviewer, fields: Fields) -> Queue:
        return self._desk.open_queue(fields.need("queue", str), reviewer)


def _question(ticket: str, question: Question) -> dict[str, Any]:
    first, *others = question.answers
    before = answer_text(first.output)
    return {
        "ticket": ticket,
        "asked": question.asked,
        "answers": {answer.letter: answer.output for answer in question.answers},
        "differences": {f"{first.letter}-{other.letter}": difference(before, answer_text(other.output)) for other in others},
    }


def _end(fields: Fields) -> None:
    if rest := fields.rest():
        raise CallerError(f"'{next(iter(rest))}' is no field of this request")


def _send(reply: Reply, status: int, body: Any) -> None:
    reply.send(status, ((b"content-type", b"application/json"),), _encode(body))
