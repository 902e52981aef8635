"""A reviewer's desk: the next item, what is said to it, putting off, flagging, taking back. Each is durable when it returns.

The terminal and the HTTP API sit at the same desk. What a reviewer is shown names no variant, tells nothing of what others said, and does
not tell gold from the rest.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, insert, select, update

from freehold.catalog import Catalog, Metric
from freehold.catalog import Content as Kept
from freehold.chat import JSON
from freehold.errors import CallerError, nearest
from freehold.feedback.assign import far, next_for
from freehold.feedback.content import content_of
from freehold.feedback.label import Progress
from freehold.feedback.question import Content, Judgement, Question, question_of, scores_by_digest
from freehold.feedback.queue import Queue, QueueItem, Said, Verdict, missed
from freehold.feedback.reviewers import Reviewer, still_knows
from freehold.feedback.settle import alone, items_of, queue_of, settle, verdicts_of
from freehold.journal.redact import redact_json, redact_text
from freehold.store.open import Store
from freehold.store.schema import review_queues, review_verdicts
from freehold.store.times import microseconds

_MOST_SECONDS = 86_400.0
"""Who took longer has been away."""


class GoldSeen(NamedTuple):
    """How a reviewer did on gold: told once a queue is closed."""

    asked: int
    """Gold items they judged."""
    missed: int
    """Those they got wrong."""


class Desk:
    """Where reviewers of a tenant are served. Safe from several threads: everything is in the store."""

    def __init__(
        self, store: Store, tenant: str, catalog: Catalog, content_of: Callable[[str], Kept], clock: Callable[[], datetime]
    ) -> None:
        """`content_of`: how much of what is typed is kept, by task."""
        self._store = store
        self._tenant = tenant
        self._catalog = catalog
        self._content_of = content_of
        self._clock = clock

    def metric_of(self, queue: Queue) -> Metric:
        """What a queue judges."""
        return self._catalog.metric(queue.metric)

    def seats(self, reviewer: Reviewer, task: str | None = None) -> list[Queue]:
        """The open queues a reviewer may sit at, the oldest first."""
        q = review_queues.c
        wanted = select(q.body).where(q.tenant == self._tenant, q.closed_at.is_(None)).order_by(q.seq)
        with self._store.reading() as connection:
            rows = connection.execute(wanted if task is None else wanted.where(q.task == task)).scalars().all()
        found = [msgspec.json.decode(body, type=Queue) for body in rows]
        return [queue for queue in found if reviewer.may(queue.tags) and reviewer.name not in queue.excluded]

    def open_queue(self, id: str, reviewer: Reviewer) -> Queue:
        """An open queue that a reviewer may sit at. Raises CallerError for any other."""
        known = {queue.id: queue for queue in self.seats(reviewer)}
        if id not in known:
            raise CallerError(f"Queue '{id}' is not open to you.{nearest(id, list(known))}")
        return known[id]

    def next(self, queue: Queue, reviewer: Reviewer) -> tuple[str, Question] | None:
        """The ticket and the question to put, which is theirs for a while; None where there is nothing for them now. The same as before, until
        it is answered. What cannot be shown any more is flagged, and passed over."""
        while True:
            with self._store.writing() as connection:
                queue = self._fresh(connection, queue, reviewer)
                ticket = next_for(connection, queue, reviewer, self._clock())
                if ticket is None:
                    return None
                self._show(connection, queue, ticket, reviewer)
                (item,) = items_of(connection, queue, [ticket])
            question = self._question(queue, reviewer, item)
            if question is not None:
                return ticket, question
            self.flag(queue, reviewer, ticket, "an answer to it was erased or is not kept")

    def answer(self, queue: Queue, reviewer: Reviewer, ticket: str, judgement: Judgement, comment: str = "") -> None:
        """Keeps a verdict on what was shown, and makes what follows from it. Raises CallerError for scores that do not fit, and then nothing has
        changed."""
        keeps = self._content_of(queue.task)
        with self._store.writing() as connection:
            queue = self._fresh(connection, queue, reviewer)
            item, verdict = self._in_hand(connection, queue, reviewer, ticket)
            asked = self._letters(queue, reviewer, item)
            if judgement.correction is not None and not judgement.scores:  # equality is of values, not of hashes alone
                asked = self._question(queue, reviewer, item) or asked
            scores = scores_by_digest(asked, judgement, self.metric_of(queue))
            correction, said = judgement.correction, comment.strip()
            if keeps != "full":
                correction = redact_json(correction) if keeps == "redacted" else None
                said = redact_text(said) if keeps == "redacted" else ""
            self._put(connection, queue, verdict, "given", Said(scores=scores, correction=correction, comment=said, role=reviewer.role))

    def letters(self, queue: Queue, reviewer: Reviewer, ticket: str) -> Question:
        """The question before a reviewer without its content: which letter is which answer. Raises CallerError where it is not before them."""
        with self._store.reading() as connection:
            item, _ = self._in_hand(connection, queue, reviewer, ticket)
        return self._letters(queue, reviewer, item)

    def skip(self, queue: Queue, reviewer: Reviewer, ticket: str) -> None:
        """Puts what was shown off to the end, once; the second time it is left to others. Raises CallerError."""
        with self._store.writing() as connection:
            queue = self._fresh(connection, queue, reviewer)
            _, verdict = self._in_hand(connection, queue, reviewer, ticket)
            self._put(connection, queue, verdict, "skipped", Said(skips=verdict.said.skips + 1, role=reviewer.role))

    def flag(self, queue: Queue, reviewer: Reviewer, ticket: str, reason: str) -> None:
        """Says that what was shown cannot be judged, and why: a senior sees it. Raises CallerError without a reason."""
        if not reason.strip():
            raise CallerError("a flag has a reason: say what is wrong with the item")
        keeps = self._content_of(queue.task)
        kept = reason.strip() if keeps == "full" else redact_text(reason.strip()) if keeps == "redacted" else ""
        with self._store.writing() as connection:
            queue = self._fresh(connection, queue, reviewer)
            _, verdict = self._in_hand(connection, queue, reviewer, ticket)
            self._put(connection, queue, verdict, "flagged", Said(reason=kept, role=reviewer.role))

    def take_back(self, queue: Queue, reviewer: Reviewer) -> str | None:
        """Takes the last thing this reviewer said back, whose item is before them again, and gives its ticket; None where there is none."""
        with self._store.writing() as connection:
            queue = self._fresh(connection, queue, reviewer)
            mine = [verdict for verdict in self._mine(connection, queue, reviewer) if verdict.at is not None]
            if not mine:
                return None
            last = max(mine, key=lambda verdict: verdict.at or verdict.shown_at)
            for verdict in self._mine(connection, queue, reviewer):
                if verdict.state == "shown":  # whatever they had in hand goes back
                    self._update(connection, queue, verdict, state="skipped", body=Said(skips=verdict.said.skips), at=None)
            self._update(connection, queue, last, state="shown", body=Said(), at=None, shown_at=self._clock())
            settle(self._store, connection, queue, [last.ticket])
        return last.ticket

    def progress(self, queue: Queue, reviewer: Reviewer) -> Progress:
        """How far this reviewer is."""
        with self._store.reading() as connection:
            is_at = far(connection, queue, reviewer, self._clock())
        return Progress(
            answered=is_at.answered,
            questions=is_at.answered + is_at.left,
            skipped=is_at.skipped,
            free=0,
            waiting=0,
            drawn=0,
            items=0,
            seconds_left=None if is_at.median_s is None else is_at.median_s * is_at.left,
        )

    def gold_of(self, queue: Queue, reviewer: Reviewer) -> GoldSeen | None:
        """How a reviewer did on gold; None before the queue is closed."""
        with self._store.reading() as connection:
            if queue_of(connection, queue.tenant, queue.id).closed_at is None:
                return None
            gold = {item.ticket: item for item in items_of(connection, queue) if item.expected is not None}
            judged = [one for one in self._mine(connection, queue, reviewer) if one.state == "given" and one.ticket in gold]
        wrong = sum(missed(gold[one.ticket].expected or {}, one.said.scores, self.metric_of(queue)) for one in judged)
        return GoldSeen(len(judged), wrong)

    # Within a transaction

    def _fresh(self, connection: Connection, queue: Queue, reviewer: Reviewer) -> Queue:
        """The queue as it is now, which nobody else changes meanwhile. Raises CallerError where this reviewer may not go on."""
        alone(self._store, connection)
        now = queue_of(connection, queue.tenant, queue.id)
        if now.closed_at is not None:
            raise CallerError(f"Queue '{queue.id}' of task '{queue.task}' was closed; what was said in it stands.")
        if reviewer.name in now.excluded or not still_knows(connection, queue.tenant, reviewer.name, now.tags):
            raise CallerError(f"Queue '{queue.id}' is not open to you any more.")
        return now

    def _mine(self, connection: Connection, queue: Queue, reviewer: Reviewer) -> list[Verdict]:
        return verdicts_of(connection, queue, reviewer=reviewer.name)

    def _show(self, connection: Connection, queue: Queue, ticket: str, reviewer: Reviewer) -> None:
        v = review_verdicts.c
        ours = (v.queue == queue.id) & (v.ticket == ticket) & (v.reviewer == reviewer.name)
        now = microseconds(self._clock())
        known = connection.execute(select(v.state).where(ours)).scalar()
        if known is None:
            named = {"tenant": queue.tenant, "queue": queue.id, "ticket": ticket, "reviewer": reviewer.name}
            body = msgspec.json.encode(Said(role=reviewer.role))
            connection.execute(insert(review_verdicts).values(**named, state="shown", shown_at=now, at=None, body=body))
        elif known != "shown":
            connection.execute(update(review_verdicts).where(ours).values(state="shown", shown_at=now))

    def _in_hand(self, connection: Connection, queue: Queue, reviewer: Reviewer, ticket: str) -> tuple[QueueItem, Verdict]:
        """What this reviewer was shown and has not answered. Raises CallerError for anything else."""
        mine = verdicts_of(connection, queue, [ticket], reviewer.name)
        if not mine or mine[0].state != "shown":
            raise CallerError(f"'{ticket}' is not before you: answer what was shown last, or take back what you said.")
        (item,) = items_of(connection, queue, [ticket])
        return item, mine[0]

    def _put(self, connection: Connection, queue: Queue, verdict: Verdict, state: str, said: Said) -> None:
        now = self._clock()
        seconds = (now - verdict.shown_at).total_seconds()
        if state != "skipped" and 0 <= seconds <= _MOST_SECONDS:
            said = msgspec.structs.replace(said, seconds=seconds)
        self._update(connection, queue, verdict, state=state, body=said, at=now)
        settle(self._store, connection, queue, [verdict.ticket])

    def _update(self, connection: Connection, queue: Queue, verdict: Verdict, **values: Any) -> None:
        v = review_verdicts.c
        ours = (v.queue == queue.id) & (v.ticket == verdict.ticket) & (v.reviewer == verdict.reviewer)
        stored = {name: microseconds(value) if isinstance(value, datetime) else value for name, value in values.items()}
        stored["body"] = msgspec.json.encode(stored["body"])
        connection.execute(update(review_verdicts).where(ours).values(**stored))

    # What is shown

    def _question(self, queue: Queue, reviewer: Reviewer, item: QueueItem) -> Question | None:
        content = content_of(self._store, item.ballot)
        return None if content is None else question_of(item.ballot, content, _seed(queue, reviewer))

    def _letters(self, queue: Queue, reviewer: Reviewer, item: QueueItem) -> Question:
        """The question without its content: which letter is which answer."""
        nothing: dict[str, JSON] = dict.fromkeys(item.ballot.calls)
        return question_of(item.ballot, Content(None, nothing), _seed(queue, reviewer))


def _seed(queue: Queue, reviewer: Reviewer) -> str:
    return f"{queue.id}\0{reviewer.name}"
