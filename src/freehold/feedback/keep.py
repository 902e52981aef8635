"""Labels in the store: a session opened on what is there, each judgement durable at once, and draws that always fit the labels.

Two tables tell the same story after every commit. `draws` holds the items drawn so far, every one with the same probability, and the
feedback of labelling sessions has design `audit` and that probability where its item is drawn. A label whose item lies beyond an open
question was not drawn with a known probability yet: its design is `found`, which teaches but never certifies, until the question has
its answer. (Were it to certify, the disagreements after a skipped question would count and the agreements among them would not.) Where
the two differ, as when the task has grown and no session has run since, what `draws` says is what counts.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from freehold.catalog import Catalog, Content
from freehold.errors import OperatorError
from freehold.feedback import question
from freehold.feedback.content import content_of
from freehold.feedback.draw import Draw, planned, size_of
from freehold.feedback.label import PERSON, Session
from freehold.feedback.population import LabelRequest, Population, population
from freehold.feedback.question import Ballot
from freehold.journal.answers import reviewed_items, session_items
from freehold.journal.call import Feedback
from freehold.journal.read import feedback_by_id, scores, slices
from freehold.journal.redact import redact_feedback
from freehold.journal.rows import FEEDBACK_COLUMNS, feedback_values
from freehold.store.open import Store
from freehold.store.schema import draws, feedback
from freehold.store.times import microseconds

KINDS = ("label", "correction")
"""The kinds of feedback that labelling sessions give; theirs alone, with a person as the source."""
_LABELLING = 0x6C6162656C
"""Key of the advisory lock that one judgement at a time holds on PostgreSQL: 'label'."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


class Labelled(NamedTuple):
    """What is there before a session: the items, the draw, and which of its questions have an answer."""

    population: Population
    draw: Draw
    told: frozenset[str]
    """Calls scored by audit or census labels that no session gave."""
    ours: dict[str, str]
    """Calls scored by labelling sessions, and their items; some may be no answer any more that is asked about."""
    drawn: dict[str, float]
    """Items drawn by earlier sessions, and the probability they were drawn with."""

    def answered(self) -> set[str]:
        """The items on which every call that the paired losses need is scored."""
        return _answered(self.population.ballots, self.told | self.ours.keys())


class Opened(NamedTuple):
    """A session, and what it is about."""

    session: Session
    population: Population


def open_session(
    store: Store,
    catalog: Catalog,
    request: LabelRequest,
    rater: str,
    tenant: str = "default",
    content: Content = "full",
    clock: Clock = utc_now,
) -> Opened:
    """A session that goes on where the ones before it ended. `content`: how much of what a rater types is kept.

    Items that came in since are in their places of the order: those within the range reached before are asked about first. Two people may
    label at once, at the same budget. Raises CallerError for an unknown name or nothing to label, OperatorError where no content is kept.
    """
    found = labelled(store, tenant, catalog, request)
    asked = found.population
    keeper = StoredLabels(store, tenant, found, content, clock)
    session = Session(
        tenant=tenant,
        task=asked.task,
        metric=asked.metric,
        rater=rater,
        draw=found.draw,
        ballots=asked.ballots,
        answered=found.answered(),
        keeper=keeper,
        clock=clock,
    )
    if found.drawn or not asked.ballots:  # the task may have grown since; and where all agree, nobody will ever press a key
        keeper.keep((), ())
    return Opened(session, asked)


def labelled(store: Store, tenant: str, catalog: Catalog, request: LabelRequest) -> Labelled:
    """What there is to label and what is labelled. Raises as `open_session`."""
    asked = population(store, tenant, catalog, request)
    told: set[str] = set()
    ours: dict[str, str] = {}
    for batch in scores(store, tenant, asked.task, asked.metric.id):
        for score in batch:
            if score.kind in KINDS and score.source.startswith(PERSON):
                ours[score.call] = score.item
            elif score.design != "found":
                told.add(score.call)
    drawn = session_items(store, tenant, asked.task, asked.metric.id)
    by_session = {item for item, ballot in asked.ballots.items() if not ballot.needed.isdisjoint(ours)}
    budgeted = planned(request.budget, len(asked.order), len(asked.ballots))
    draw = Draw(asked.order, asked.free, size_of(asked.order, asked.free, budgeted, drawn, by_session))
    return Labelled(asked, draw, frozenset(told), ours, drawn)


class StoredLabels:
    """A session's keeper: the journal."""

    def __init__(self, store: Store, tenant: str, found: Labelled, content: Content, clock: Clock) -> None:
        self._store = store
        self._tenant = tenant
        self._task = found.population.task
        self._metric = found.population.metric.id
        self._draw = found.draw
        self._ballots = {item: found.population.ballots[item] for item in found.draw.questions}
        asked = {call: item for item, ballot in self._ballots.items() for calls in ballot.calls.values() for call in calls}
        self._item_of = found.ours | asked
        self._told = found.told
        self._content = content
        self._clock = clock

    def content(self, ballot: Ballot) -> question.Content:
        """What was asked and answered. Raises OperatorError where it is not kept."""
        found = content_of(self._store, ballot)
        if found is None:
            raise OperatorError(
                f"Item '{ballot.item}' of task '{self._task}' cannot be shown: an answer to it was erased or is not kept. Labels need "
                'content: set content = "full" or "redacted" under [journal]. Start again to go on with what is there.'
            )
        return found

    def keep(self, add: Sequence[Feedback], remove: Sequence[str]) -> list[Feedback]:
        """As `Keeper.keep`: one transaction."""
        kept = [redact_feedback(said, self._content) for said in add]
        with self._store.writing() as connection:
            if self._store.kind == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(_LABELLING)))
            removed = list(feedback_by_id(connection, remove).values())
            for some in slices(remove):
                connection.execute(delete(feedback).where(feedback.c.id.in_(some)))
            self._store.insert_new(connection, "feedback", FEEDBACK_COLUMNS, "id", [feedback_values(said) for said in kept])
            self._settle(connection)
        return removed

    def _settle(self, connection: Connection) -> None:
        """Makes draws and the designs of labels fit the labels that are there, whoever gave them."""
        given = self._given(connection)
        scored = self._told.union(call for call, kind, _ in given.values() if kind == "label")
        drawn = self._draw.order[: self._draw.completed(_answered(self._ballots, scored))]
        inclusion = len(drawn) / len(self._draw.order)
        self._write_draws(connection, drawn, inclusion)
        chances = reviewed_items(connection, self._tenant, self._task, self._metric)  # what queues drew is no less of an audit
        for item in drawn:
            chances[item] = max(inclusion, chances.get(item, 0.0))
        due = {id: chances.get(self._item_of[call]) for id, (call, _, _) in given.items()}
        changed = [id for id, (_, _, now) in given.items() if now != due[id]]
        for some in slices([id for id in changed if due[id] is not None]):
            connection.execute(update(feedback).where(feedback.c.id.in_(some)).values(design="audit", inclusion=inclusion))
        for some in slices([id for id in changed if due[id] is None]):
            connection.execute(update(feedback).where(feedback.c.id.in_(some)).values(design="found", inclusion=None))

    def _given(self, connection: Connection) -> dict[str, tuple[str, str, float | None]]:
        """What labelling sessions said about the task's calls, by id: call, kind, and inclusion where its design is audit."""
        f = feedback.c
        given = {}
        for some in slices(list(self._item_of)):
            wanted = select(f.id, f.call, f.kind, f.design, f.inclusion).where(
                f.call.in_(some), f.tenant == self._tenant, f.metric == self._metric, f.kind.in_(KINDS), f.source.startswith(PERSON)
            )
            for row in connection.execute(wanted):
                given[row.id] = (row.call, row.kind, row.inclusion if row.design == "audit" else None)
        return given

    def _write_draws(self, connection: Connection, drawn: Sequence[str], inclusion: float) -> None:
        """The drawn items in order, all with one probability. Rows that are right already keep the time at which they were drawn."""
        d = draws.c
        ours = (d.tenant == self._tenant) & (d.task == self._task) & (d.session == self._metric)
        stored = connection.execute(select(d.position, d.item, d.at).where(ours).order_by(d.position)).all()
        same = _common(((row.position, row.item) for row in stored), enumerate(drawn))
        drawn_at = {row.item: row.at for row in stored}
        if same < len(stored):
            connection.execute(delete(draws).where(ours, d.position >= stored[same].position))
        now = microseconds(self._clock())
        named = {"tenant": self._tenant, "task": self._task, "session": self._metric, "inclusion": inclusion}
        rows = [{**named, "position": n, "item": item, "at": drawn_at.get(item, now)} for n, item in enumerate(drawn) if n >= same]
        if rows:
            connection.execute(insert(draws), rows)
        connection.execute(update(draws).where(ours, d.inclusion != inclusion).values(inclusion=inclusion))


def _answered(ballots: Mapping[str, Ballot], scored: Collection[str]) -> set[str]:
    return {item for item, ballot in ballots.items() if all(call in scored for call in ballot.needed)}


def _common(left: Iterable[tuple[int, str]], right: Iterable[tuple[int, str]]) -> int:
    """How many entries two sequences have in common from their start."""
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
