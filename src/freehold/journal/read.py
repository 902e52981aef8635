"""Typed reads. Whole records stream in batches of constant size; the columns that certifying needs come without decoding a body.

No read holds a snapshot for longer than one batch, so that a slow reader keeps nobody's log from being cut. A stream ends with the rows
that were there when it began.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Select, exists, func, or_, select, tuple_

from freehold.catalog import FeedbackKind
from freehold.chat import JSON, Outcome
from freehold.journal.call import Attempt, Call, Feedback, LabelDesign
from freehold.journal.rows import CALL_COLUMNS, attempt_of, body_of, call_of, feedback_of_row, json_of, tags_of
from freehold.store.open import Store
from freehold.store.schema import attempts as attempts_table
from freehold.store.schema import calls as calls_table
from freehold.store.schema import contents as contents_table
from freehold.store.schema import episodes as episodes_table
from freehold.store.schema import feedback as feedback_table
from freehold.store.times import microseconds

_WHOLE = 500
"""Rows a batch of whole records has."""
_BATCH = 2_000
"""Rows a batch of `batches` has."""
_COLUMNS = 10_000
"""Rows a batch of columns has."""
_T = TypeVar("_T")
_Rows: TypeAlias = Sequence[Any]


class Answer(NamedTuple):
    """One call's columns: what certifying looks at."""

    call: str
    """The call's id."""
    item: str
    """What was asked, by name."""
    variant: str
    """Who answered."""
    outcome: Outcome
    """How it ended."""
    input: bytes | None
    """Digest of the input, for `inputs`; None where content is not kept."""
    output_digest: str | None
    """Hash of the answer; None where there was none."""
    reference_digest: str | None
    """Hash of the answer as it should have been; None where nobody recorded it."""
    cost_usd: float | None
    """What it cost; None is unknown."""
    latency_s: float | None
    """Seconds from request to last byte."""
    group: str | None
    """Items that depend on each other share one."""
    at_us: int | None
    """When it was asked, microseconds since 1970 UTC."""
    policy: str | None
    """Hash of the policy that chose the variant."""
    propensity: float | None
    """The probability with which it did."""
    tags: dict[str, str]
    """The call's tags."""
    episode: str | None = None
    """The run it is part of."""


class Score(NamedTuple):
    """A score and the call it is about."""

    call: str
    """The call's id."""
    item: str
    """What was asked, by name."""
    variant: str
    """Who answered."""
    value: float
    """The score in the metric's own range."""
    kind: FeedbackKind
    """What sort of thing was said."""
    source: str
    """Who said it."""
    design: LabelDesign
    """Where it came from."""
    inclusion: float | None
    """The probability with which the item was drawn."""
    at_us: int
    """When it was said, microseconds since 1970 UTC."""


class Counts(NamedTuple):
    """How much the journal of a tenant holds."""

    calls: int
    feedback: int
    tasks: dict[str, int]
    """Calls of each task."""
    unnamed: int
    """Calls without a task."""


def find_call(store: Store, tenant: str, call: str) -> Call | None:
    """The call of that id; None where the tenant has none."""
    with store.reading() as connection:
        rows = connection.execute(_whole().where(calls_table.c.id == call, calls_table.c.tenant == tenant)).all()
        found = _decoded(store, connection, rows)
    return found[0] if found else None


def calls(
    store: Store,
    tenant: str,
    task: str | None = None,
    shape: str | None = None,
    unnamed: bool = False,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
    last: int | None = None,
) -> Iterator[Call]:
    """Streams whole calls: of a task by item, of a time (from `since`, to before `until`) in its order, else as they arrived.

    `unnamed`: only those without a task. `last`: only among so many that arrived last. Constant memory, whatever the number.
    """
    c = calls_table.c
    order: tuple[Column[Any], ...] = (c.seq,)
    wanted: list[ColumnElement[bool]] = [c.tenant == tenant]
    if unnamed and shape is not None:
        wanted.append(c.shape == shape)
    elif since is not None or until is not None:
        order = (c.at, c.seq)
    elif task is not None or unnamed:
        order = (c.item, c.seq)
    else:
        wanted = [c.tenant + "" == tenant]  # no index on the tenant alone: SQLite would take one and sort everything for each page
    if task is not None:
        wanted.append(c.task == task)
    if shape is not None and not unnamed:
        wanted.append(c.shape == shape)
    if unnamed:
        wanted.append(c.task.is_(None))
    if since is not None:
        wanted.append(c.at >= microseconds(since))
    if until is not None:
        wanted.append(c.at < microseconds(until))
    if last is not None:
        newest = select(c.seq).where(c.tenant + "" == tenant).order_by(c.seq.desc()).limit(1)
        with store.reading() as connection:
            wanted.append(c.seq >= (connection.execute(newest.offset(last - 1)).scalar() or 0))
    size = _WHOLE if limit is None else min(limit, _WHOLE)
    left = limit
    for found in _pages(store, _whole().where(*wanted), order, size, partial(_decoded, store)):
        yield from found if left is None else found[:left]
        if left is not None:
            left -= len(found)
            if left <= 0:
                return


def newest_call(store: Store) -> int:
    """The place of the call that arrived last, of whichever tenant; 0 before the first."""
    with store.reading() as connection:
        return connection.execute(select(func.max(calls_table.c.seq))).scalar_one() or 0


def batches(store: Store, tenant: str, wanted: ColumnElement[bool], after: int = 0, until: int | None = None) -> Iterator[list[Call]]:
    """Whole calls as they arrived, in batches: those whose place is above `after` and up to `until`, and that satisfy a condition on the
    table of calls. Constant memory."""
    c = calls_table.c
    statement = _whole().where(c.tenant + "" == tenant, wanted)  # in order of arrival, which no other index gives
    yield from _pages(store, statement, (c.seq,), _BATCH, partial(_decoded, store), (after,), until)


class Wanted(NamedTuple):
    """Which calls to look at; None for any."""

    task: str | None = None
    variant: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    """Asked at this time or later."""
    slow_s: float | None = None
    """That took at least so many seconds."""
    episode: str | None = None
    """Of this run."""


def latest(store: Store, tenant: str, wanted: Wanted, limit: int, after: int = 0) -> tuple[list[Call], int]:
    """The calls that arrived last, oldest first, and the place of the newest one, `after` which a next look begins."""
    c = calls_table.c
    conditions: list[ColumnElement[bool]] = [c.tenant + "" == tenant, c.seq > after]  # in order of arrival, which no other index gives
    conditions += [c.task == wanted.task] if wanted.task is not None else []
    conditions += [c.variant == wanted.variant] if wanted.variant is not None else []
    conditions += [c.outcome == wanted.outcome] if wanted.outcome is not None else []
    conditions += [c.at >= microseconds(wanted.since)] if wanted.since is not None else []
    conditions += [c.latency_s >= wanted.slow_s] if wanted.slow_s is not None else []
    conditions += [c.episode == wanted.episode] if wanted.episode is not None else []
    with store.reading() as connection:
        rows = connection.execute(_whole().where(*conditions).order_by(c.seq.desc()).limit(limit)).all()
        newest = connection.execute(select(func.max(c.seq))).scalar_one() or 0
        return _decoded(store, connection, rows)[::-1], newest


def arrived(store: Store, tenant: str, task: str, after: int, upto: int, limit: int) -> tuple[list[Call], int]:
    """The task's calls that arrived after a place, up to another, in that order, and the place of the last of them; `after` where there is
    none."""
    c = calls_table.c
    wanted = _whole().where(c.tenant + "" == tenant, c.task == task, c.seq > after, c.seq <= upto).order_by(c.seq).limit(limit)
    with store.reading() as connection:
        rows = connection.execute(wanted).all()
        return _decoded(store, connection, rows), rows[-1].seq if rows else after


def calls_of_items(store: Store, tenant: str, task: str, items: Sequence[str]) -> dict[str, list[Call]]:
    """The task's calls of each of these items, in the order of arrival."""
    found: dict[str, list[Call]] = {}
    c = calls_table.c
    for some in slices(items):
        with store.reading() as connection:
            rows = connection.execute(_whole().where(c.tenant == tenant, c.task == task, c.item.in_(some)).order_by(c.seq)).all()
            for call in _decoded(store, connection, rows):
                found.setdefault(call.item, []).append(call)
    return found


def named_alike(store: Store, tenant: str, beginning: str, limit: int = 5) -> list[str]:
    """Ids of calls that begin so, in order."""
    c = calls_table.c
    wanted = select(c.id).where(c.id.startswith(beginning, autoescape=True), c.tenant == tenant).order_by(c.id).limit(limit)
    with store.reading() as connection:
        return list(connection.execute(wanted).scalars())


def answers(store: Store, tenant: str, task: str) -> Iterator[list[Answer]]:
    """The columns of a task's calls, ordered by item, in batches."""
    c = calls_table.c
    statement = select(
        c.id, c.item, c.variant, c.outcome, c.input, c.output_digest, c.reference_digest, c.cost_usd, c.latency_s, c.group, c.at, c.policy,
        c.propensity, c.tags, c.episode, c.seq,
    ).where(c.tenant == tenant, c.task == task)  # fmt: skip
    yield from _pages(store, statement, (c.item, c.seq), _COLUMNS, _answers)


def scores(store: Store, tenant: str, task: str, metric: str) -> Iterator[list[Score]]:
    """The scores of a metric on a task's calls, ordered by item, those of one call in the order in which they were told, in batches."""
    c, f = calls_table.c, feedback_table.c
    statement = (
        select(f.call, c.item, c.variant, f.value, f.kind, f.source, f.design, f.inclusion, f.at, c.seq, f.seq)
        .join_from(calls_table, feedback_table, f.call == c.id)
        .where(c.tenant == tenant, c.task == task, f.tenant == tenant, f.metric == metric, f.value.isnot(None))
    )
    yield from _pages(store, statement, (c.item, c.seq, f.seq), _COLUMNS, _scores)


def inputs(store: Store, tenant: str, digests: Sequence[bytes]) -> dict[bytes, JSON]:
    """Inputs by digest. A digest nobody knows is left out; memory is the caller's: ask for a batch at a time."""
    with store.reading() as connection:
        return {digest: json_of(data) for digest, data in _contents(store, connection, {(digest, tenant) for digest in digests})}


def feedback_of(store: Store, tenant: str, call: str, episode: str | None = None) -> list[Feedback]:
    """Everything said about a call, and about its episode where one is named, in the order in which it was told."""
    f = feedback_table.c
    about = f.call == call if episode is None else or_(f.call == call, f.episode == episode)
    with store.reading() as connection:
        rows = connection.execute(select(feedback_table).where(about, f.tenant == tenant).order_by(f.seq)).all()
    return [feedback_of_row(row._mapping) for row in rows]


class Said(NamedTuple):
    """Which feedback to look at; None for any."""

    task: str | None = None
    """About calls of this task."""
    source: str | None = None
    """Said by this source: `user:public`, or `user` for each of its kind."""
    author: str | None = None
    """Said by this author."""
    kind: FeedbackKind | None = None
    """Of this kind."""
    metric: str | None = None
    """About this metric."""
    since: datetime | None = None
    """Said at this time or later."""


def latest_feedback(store: Store, tenant: str, wanted: Said, limit: int) -> list[Feedback]:
    """The feedback that arrived last, oldest first."""
    f, c = feedback_table.c, calls_table.c
    conditions: list[ColumnElement[bool]] = [f.tenant == tenant]
    if wanted.source is not None:
        conditions.append(or_(f.source == wanted.source, f.source.startswith(f"{wanted.source}:", autoescape=True)))
    conditions += [f.author == wanted.author] if wanted.author is not None else []
    conditions += [f.kind == wanted.kind] if wanted.kind is not None else []
    conditions += [f.metric == wanted.metric] if wanted.metric is not None else []
    conditions += [f.at >= microseconds(wanted.since)] if wanted.since is not None else []
    if wanted.task is not None:
        conditions.append(exists().where(c.id == f.call, c.tenant == tenant, c.task == wanted.task))
    with store.reading() as connection:
        rows = connection.execute(select(feedback_table).where(*conditions).order_by(f.seq.desc()).limit(limit)).all()
    return [feedback_of_row(row._mapping) for row in reversed(rows)]


def sources(store: Store, tenant: str) -> dict[str, int]:
    """Who said anything, and how many pieces, whoever said most first."""
    f, count = feedback_table.c, func.count()
    wanted = select(f.source, count).where(f.tenant == tenant).group_by(f.source).order_by(count.desc(), f.source)
    with store.reading() as connection:
        return {row[0]: int(row[1]) for row in connection.execute(wanted)}


def said_about(store: Store, tenant: str, calls: Sequence[tuple[str, str | None]]) -> dict[str, list[Feedback]]:
    """Everything said about each of these calls and about its episode, by call, in the order in which it was told. `calls`: ids, each with
    its episode. A call of which nothing was said is left out; memory is the caller's: ask for a batch at a time."""
    f = feedback_table.c
    told: dict[str, list[tuple[int, Feedback]]] = {}
    in_episode: dict[str, list[str]] = {}
    for call, episode in calls:
        if episode is not None:
            in_episode.setdefault(episode, []).append(call)
    with store.reading() as connection:
        for column, names in ((f.call, [call for call, _ in calls]), (f.episode, list(in_episode))):
            for some in slices(names):
                for row in connection.execute(select(feedback_table).where(column.in_(some), f.tenant == tenant)):
                    about = [row.call] if row.call is not None else in_episode[row.episode]
                    said = feedback_of_row(row._mapping)
                    for call in about:
                        told.setdefault(call, []).append((row.seq, said))
    return {call: [said for _, said in sorted(found, key=lambda pair: pair[0])] for call, found in told.items()}


About: TypeAlias = tuple[Literal["call", "episode"], str]
"""What something is said about: a call or an episode, by id."""


def tasks_about(store: Store, tenant: str, about: Sequence[About]) -> dict[About, set[str | None]]:
    """The tasks of these calls, and of the calls of these episodes; what the journal does not have is left out."""
    c, e = calls_table.c, episodes_table.c
    found: dict[About, set[str | None]] = {}
    ids = [name for what, name in about if what == "call"]
    runs = [name for what, name in about if what == "episode"]
    with store.reading() as connection:
        for some in slices(ids):
            for id, task in connection.execute(select(c.id, c.task).where(c.id.in_(some), c.tenant == tenant)):
                found["call", id] = {task}
        for some in slices(runs):
            for run, task in connection.execute(select(c.episode, c.task).where(c.episode.in_(some), c.tenant == tenant).distinct()):
                found.setdefault(("episode", run), set()).add(task)
            for (run,) in connection.execute(select(e.id).where(e.id.in_(some), e.tenant == tenant)):
                found.setdefault(("episode", run), {None})
    return found


def items_of(store: Store, tenant: str, calls: Sequence[str]) -> dict[str, str]:
    """What these calls were asked, by name; a call that the tenant does not have is left out."""
    c = calls_table.c
    found: dict[str, str] = {}
    with store.reading() as connection:
        for some in slices(calls):
            found.update((id, item) for id, item in connection.execute(select(c.id, c.item).where(c.id.in_(some), c.tenant == tenant)))
    return found


def counts(store: Store, tenant: str) -> Counts:
    """How much there is."""
    c = calls_table.c
    with store.reading() as connection:
        found = connection.execute(select(c.task, func.count()).where(c.tenant == tenant).group_by(c.task)).all()
        said = connection.execute(select(func.count()).select_from(feedback_table).where(feedback_table.c.tenant == tenant)).scalar_one()
    by_task = {task: count for task, count in found if task is not None}
    unnamed = sum(count for task, count in found if task is None)
    return Counts(calls=sum(by_task.values()) + unnamed, feedback=said, tasks=by_task, unnamed=unnamed)


def calls_by_id(store: Store, connection: Connection, ids: Sequence[str]) -> dict[str, Call]:
    """Whole calls by id, of whichever tenant, within a transaction of the caller's."""
    found: dict[str, Call] = {}
    for some in slices(ids):
        rows = connection.execute(_whole().where(calls_table.c.id.in_(some))).all()
        found.update((call.id, call) for call in _decoded(store, connection, rows))
    return found


def calls_by_episode(store: Store, tenant: str, episodes: Sequence[str]) -> dict[str, list[Call]]:
    """The calls of each of these runs, in the order in which they were journalled."""
    found: dict[str, list[Call]] = {}
    c = calls_table.c
    for some in slices(episodes):
        with store.reading() as connection:
            rows = connection.execute(_whole().where(c.tenant == tenant, c.episode.in_(some)).order_by(c.seq)).all()
            for call in _decoded(store, connection, rows):
                found.setdefault(call.episode or "", []).append(call)
    return found


class Spent(NamedTuple):
    """What some calls cost together."""

    known_usd: float
    """Those of which that is known."""
    is_all: bool
    """Whether it is known of all."""


def spent_on(store: Store, tenant: str, beginning: str) -> Spent:
    """What the calls cost whose runs have ids that begin so."""
    c = calls_table.c
    mine = (c.tenant == tenant) & (c.episode >= beginning) & (c.episode < beginning + "g")  # ids are hex digits
    wanted = select(func.sum(c.cost_usd), func.count(), func.count(c.cost_usd)).where(mine)
    with store.reading() as connection:
        spent, asked, priced = connection.execute(wanted).one()
    return Spent(float(spent or 0.0), asked == priced)


def feedback_by_id(connection: Connection, ids: Sequence[str]) -> dict[str, Feedback]:
    """Feedback by id, of whichever tenant, within a transaction of the caller's."""
    found: dict[str, Feedback] = {}
    for some in slices(ids):
        rows = connection.execute(select(feedback_table).where(feedback_table.c.id.in_(some))).all()
        found.update((row.id, feedback_of_row(row._mapping)) for row in rows)
    return found


def slices(values: Sequence[_T], size: int = 500) -> Iterator[Sequence[_T]]:
    """Slices of `values`, of a size that every database takes as parameters."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _pages(
    store: Store,
    statement: Select[Any],
    order: tuple[Column[Any], ...],
    size: int,
    decode: Callable[[Connection, _Rows], list[_T]],
    after: tuple[Any, ...] | None = None,
    until: int | None = None,
) -> Iterator[list[_T]]:
    """A statement's rows in batches, each read in a snapshot of its own, from where the last one ended; the first `after` a place.

    Where a page begins is said once: of two conditions on it SQLite may begin at the lesser, and look through all that was read already.
    """
    seq = order[-1]  # of the rows themselves: it grows as they arrive
    if until is None:
        with store.reading() as connection:
            until = connection.execute(select(func.max(seq))).scalar_one() or 0
    statement = statement.where(seq <= until).order_by(*order).limit(size)
    while True:
        page = statement if after is None else statement.where(tuple_(*order) > after if len(order) > 1 else seq > after[0])
        with store.reading() as connection:
            rows = connection.execute(page).all()
            decoded = decode(connection, rows)
        if decoded:
            yield decoded
        if len(rows) < size:
            return
        after = tuple(rows[-1]._mapping[column] for column in order)


def _answers(_: Connection, rows: _Rows) -> list[Answer]:
    return [Answer._make((*row[:13], tags_of(row[13]), row[14])) for row in rows]


def _scores(_: Connection, rows: _Rows) -> list[Score]:
    return [Score._make(row[:9]) for row in rows]


def _whole() -> Select[Any]:
    """Calls by CALL_COLUMNS, their places, and their inputs beside them."""
    c, k = calls_table.c, contents_table.c
    columns = [c[name] for name in CALL_COLUMNS]
    return select(*columns, c.seq, k.data, k.digest).outerjoin_from(
        calls_table, contents_table, (k.digest == c.input) & (k.tenant == c.tenant)
    )


def _decoded(store: Store, connection: Connection, rows: _Rows) -> list[Call]:
    """Whole calls, with what lies outside their row: inputs and bodies in blobs, attempts."""
    large = dict(_contents(store, connection, {(row.body_digest, row.tenant) for row in rows if row.body is None}))
    bodies = [body_of(large[row.body_digest] if row.body is None else row.body) for row in rows]
    attempts = _attempts(connection, [row.id for row, body in zip(rows, bodies, strict=True) if body.attempts])
    return [
        call_of(row[:-3], body, _input(store, row.data, row.digest), attempts.get(row.id, ()) if body.attempts else ())
        for row, body in zip(rows, bodies, strict=True)
    ]


def _input(store: Store, data: bytes | None, digest: bytes | None) -> bytes | None:
    return store.blobs.get(digest.hex()) if data is None and digest is not None else data


def _contents(store: Store, connection: Connection, wanted: set[tuple[bytes, str]]) -> Iterator[tuple[bytes, bytes]]:
    """The bytes of contents by digest and tenant."""
    by_tenant: dict[str, list[bytes]] = {}
    for digest, tenant in wanted:
        by_tenant.setdefault(tenant, []).append(digest)
    c = contents_table.c
    for tenant, digests in by_tenant.items():
        for some in slices(digests):
            for digest, data in connection.execute(select(c.digest, c.data).where(c.digest.in_(some), c.tenant == tenant)):
                yield digest, store.blobs.get(digest.hex()) if data is None else data


def _attempts(connection: Connection, calls: Sequence[str]) -> dict[str, tuple[Attempt, ...]]:
    found: dict[str, list[Attempt]] = {}
    a = attempts_table.c
    for some in slices(calls):
        for row in connection.execute(select(attempts_table).where(a.call.in_(some)).order_by(a.call, a.n)):
            found.setdefault(row.call, []).append(attempt_of(row._mapping))
    return {call: tuple(attempts) for call, attempts in found.items()}
