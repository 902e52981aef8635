"""From the journal to rows: the calls that any of some queries wants, in one pass and constant memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, and_, or_, true

from freehold.datasets.example import Example, Maker, Rules, Seen
from freehold.datasets.query import Condition, Kind, Query
from freehold.datasets.rights import Rights
from freehold.feedback.lessons import named_in
from freehold.journal.call import Call
from freehold.journal.read import batches, calls_by_id, said_about
from freehold.store.open import Store
from freehold.store.schema import calls as calls_table
from freehold.store.times import microseconds

_Holds: TypeAlias = Callable[[Seen], bool]
_WORDS = ("task", "variant", "outcome", "customer", "episode", "group", "item", "policy")
_NUMBERS = ("cost_usd", "latency_s")


class Rejected(NamedTuple):
    """A call that a query wanted and that gives no row."""

    kind: Kind
    call: Call
    why: str


def select(
    store: Store, tenant: str, queries: Sequence[Query], rules: Rules, rights: Rights, after: int, until: int
) -> Iterator[list[Example | Rejected]]:
    """The rows that queries want of calls whose place is above `after` and up to `until`, in batches in order of arrival. A call that two of
    them want as the same kind gives its rows once."""
    maker = Maker(rights, tenant)
    is_alone = len(queries) == 1  # what SQL has looked at need not be looked at again
    tests = [(query.kind, [_test(c) for c in query.conditions if c.field != "kind" and not (is_alone and _in_sql(c))]) for query in queries]
    wants_others = any(query.kind == "preferences" for query in queries)
    for batch in batches(store, tenant, or_(*(_condition(query) for query in queries)), after, until):
        said = said_about(store, tenant, [(call.id, call.episode) for call in batch])
        others: dict[str, Call] = {}
        if wants_others and (named := sorted({id for told in said.values() for id in named_in(told)})):
            with store.reading() as connection:
                others = {id: call for id, call in calls_by_id(store, connection, named).items() if call.tenant == tenant}
        found: list[Example | Rejected] = []
        for call in batch:
            seen = Seen(call, said.get(call.id, ()), rules)
            kinds = dict.fromkeys(kind for kind, holding in tests if all(holds(seen) for holds in holding))
            for kind in kinds:
                found += [Rejected(kind, call, row) if isinstance(row, str) else row for row in maker.rows(kind, seen, others)]
        yield found


def _in_sql(condition: Condition) -> bool:
    return condition.field in (*_WORDS, *_NUMBERS, "since", "until")


def _condition(query: Query) -> ColumnElement[bool]:
    """What the database can look at."""
    return and_(true(), *(_sql(condition) for condition in query.conditions if _in_sql(condition)))


def _sql(condition: Condition) -> ColumnElement[bool]:
    c = calls_table.c
    if condition.field == "since":
        return c.at >= microseconds(condition.at)
    if condition.field == "until":
        return c.at < microseconds(condition.at)
    column = c[condition.field]
    if condition.field in _WORDS:
        return column.in_(condition.values) if condition.op == "=" else or_(column.is_(None), column.not_in(condition.values))
    compared: ColumnElement[bool] = column.op(condition.op, is_comparison=True)(condition.number)
    return compared


def _test(condition: Condition) -> _Holds:
    """A condition as a function of what is seen."""
    field, of = condition.field, condition.field.partition(".")[2]
    if field.startswith("tag."):
        return lambda seen: condition.holds(seen.call.tags.get(of))
    if field.startswith("metric."):
        return lambda seen: bool(seen.said) and condition.holds_of(seen.scores.get(of))
    if field == "reward":
        return lambda seen: condition.holds_of(seen.reward)
    if field == "chars":
        return lambda seen: condition.holds_of(seen.chars)
    if field in _NUMBERS:
        return lambda seen: condition.holds_of(getattr(seen.call, field))
    if field == "said_by":
        wanted = set(condition.values)
        return lambda seen: (not wanted.isdisjoint(seen.said_by())) == (condition.op == "=")
    if field in ("since", "until"):
        at = condition.at
        return lambda seen: seen.call.at is not None and (seen.call.at >= at) == (field == "since")
    return lambda seen: condition.holds(getattr(seen.call, field))
