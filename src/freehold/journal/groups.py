"""Calls without a task, by the kind of question they are: what each kind costs, how it runs, and what it might be called."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from freehold.chat import JSON, text_of, tools_of
from freehold.journal.read import find_call
from freehold.journal.shape import TEXT, system_of
from freehold.store.open import Store
from freehold.store.schema import calls
from freehold.store.times import moment

_SHOWN = 240
"""Characters of an example that are shown."""
TASK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
"""What a task may be called: a bare key in TOML, a word in a policy, a part of a model's name over HTTP."""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of one shape that nobody has named yet."""

    id: str
    """Its shape, which does not change as the group grows."""
    name: str
    """What it might be called: the task that has calls of this shape already, else words of its prompt."""
    calls: int
    """How many."""
    variants: dict[str, int]
    """Calls of each variant, most first."""
    cost_usd: float | None
    """What the calls of known cost cost together; None when no cost is known."""
    mean_cost_usd: float | None
    """Over the calls of known cost."""
    unknown_costs: int
    """Calls whose cost is unknown."""
    p50_s: float | None
    """Latency that half of the calls met; None when no latency is known."""
    p95_s: float | None
    """Latency that 95 of 100 calls met."""
    repetition: float | None
    """Share of calls whose variant had answered the same input before; None where content is not kept."""
    first_at: datetime | None
    """When the first was asked, as far as it is known."""
    last_at: datetime | None
    """When the last was."""
    system: str | None
    """The beginning of its system prompt, as it is kept."""
    example: str | None
    """The beginning of one input, as it is kept: redacted where the journal redacts, None where it keeps no content."""


def groups(store: Store, tenant: str = "default") -> list[Group]:
    """The tenant's calls without a task by shape, the largest group first."""
    with store.reading() as connection:
        totals = _totals(connection, tenant)
        latencies = _latencies(connection, tenant)
        variants = _variants(connection, tenant)
        distinct = _distinct_questions(connection, tenant)
        tasks = _tasks_of_shapes(connection, tenant)
    found: list[Group] = []
    taken: set[str] = set()
    for row in totals:
        asked = _input_of(store, tenant, row.example)
        name = tasks.get(row.shape) or unique_name(suggested_name(asked), taken)  # a new month's calls belong where the last month's do
        taken.add(name)
        p50_s, p95_s = latencies.get(row.shape, (None, None))
        found.append(
            Group(
                id=row.shape,
                name=name,
                calls=row.calls,
                variants=variants[row.shape],
                cost_usd=row.cost_usd,
                mean_cost_usd=None if row.cost_usd is None else row.cost_usd / row.priced,
                unknown_costs=row.calls - row.priced,
                p50_s=p50_s,
                p95_s=p95_s,
                repetition=1 - distinct[row.shape] / row.kept if row.kept else None,
                first_at=None if row.first_us is None else moment(row.first_us),
                last_at=None if row.last_us is None else moment(row.last_us),
                system=_shown(system_of(asked)) or None,
                example=None if asked is None else _shown(text_of(asked)),
            )
        )
    return found


class _Total(NamedTuple):
    shape: str
    calls: int
    cost_usd: float | None
    priced: int
    kept: int
    first_us: int | None
    last_us: int | None
    example: int | None


def unnamed(tenant: str) -> ColumnElement[bool]:
    """The tenant's calls without a task."""
    return and_(calls.c.tenant == tenant, calls.c.task.is_(None))


def _totals(connection: Connection, tenant: str) -> list[_Total]:
    c = calls.c
    statement = (
        select(
            c.shape,
            func.count(),
            func.sum(c.cost_usd),
            func.count(c.cost_usd),
            func.count(c.input),
            func.min(c.at),
            func.max(c.at),
            func.min(case((c.input.isnot(None), c.seq))),
        )
        .where(unnamed(tenant))
        .group_by(c.shape)
        .order_by(func.count().desc(), c.shape)
    )
    return [_Total(*row) for row in connection.execute(statement)]


def _latencies(connection: Connection, tenant: str) -> dict[str, tuple[float, float]]:
    """The 50th and 95th percentile of each shape: the least latency that so many calls met (nearest rank)."""
    c = calls.c
    ranked = (
        select(
            c.shape,
            c.latency_s,
            func.row_number().over(partition_by=c.shape, order_by=c.latency_s).label("rank"),
            func.count().over(partition_by=c.shape).label("of"),
        )
        .where(unnamed(tenant), c.latency_s.isnot(None))
        .subquery()
    )
    at = [func.min(case((ranked.c.rank * 100 >= ranked.c.of * percent, ranked.c.latency_s))) for percent in (50, 95)]
    rows = connection.execute(select(ranked.c.shape, *at).group_by(ranked.c.shape))
    return {shape: (p50_s, p95_s) for shape, p50_s, p95_s in rows}


def _variants(connection: Connection, tenant: str) -> dict[str, dict[str, int]]:
    c = calls.c
    statement = select(c.shape, c.variant, func.count()).where(unnamed(tenant)).group_by(c.shape, c.variant)
    found: dict[str, dict[str, int]] = {}
    for shape, variant, count in connection.execute(statement.order_by(func.count().desc(), c.variant)):
        found.setdefault(shape, {})[variant] = count
    return found


def _distinct_questions(connection: Connection, tenant: str) -> dict[str, int]:
    """How many different pairs of variant and input each shape has."""
    c = calls.c
    pairs = select(c.shape, c.variant, c.input).where(unnamed(tenant), c.input.isnot(None)).distinct().subquery()
    return {row[0]: row[1] for row in connection.execute(select(pairs.c.shape, func.count()).group_by(pairs.c.shape))}


def _tasks_of_shapes(connection: Connection, tenant: str) -> dict[str, str]:
    """Tasks that have calls of a shape, where it is one task and the shape says something."""
    c = calls.c
    statement = select(c.shape, func.min(c.task)).where(c.tenant == tenant, c.task.isnot(None), c.shape != TEXT).group_by(c.shape)
    return {row[0]: row[1] for row in connection.execute(statement.having(func.count(c.task.distinct()) == 1))}


def _input_of(store: Store, tenant: str, seq: int | None) -> JSON:
    """The input of one call, as it is kept."""
    if seq is None:
        return None
    with store.reading() as connection:
        id = connection.execute(select(calls.c.id).where(calls.c.seq == seq)).scalar_one()
    call = find_call(store, tenant, id)
    return None if call is None else call.input


def suggested_name(asked: JSON) -> str:
    """What a task of such inputs might be called: words of the system prompt, else names of tools or fields."""
    around = asked if isinstance(asked, Mapping) else {}
    words = [word for word in re.findall(r"[a-z][a-z0-9]+", system_of(asked)[:2_000].lower()) if word not in _SAYS_NOTHING][:3]
    if not words:
        words = [re.sub(r"[^A-Za-z0-9_]", "", name) for name in list(tools_of(around))[:2]]
    if not any(words) and around and "messages" not in around:
        words = [re.sub(r"[^A-Za-z0-9_]", "", str(key)) for key in list(around)[:3]]
    name = "-".join(word for word in words if word)[:40].strip("-")
    if TASK_NAME.fullmatch(name):
        return name
    return "text" if isinstance(asked, str) else "chat" if asked is not None else "calls"


_SAYS_NOTHING = frozenset(
    {
        *("a", "an", "and", "answer", "are", "as", "assistant", "at", "be", "by", "for", "from", "given", "help", "helpful", "in", "into"),
        *("is", "it", "of", "on", "one", "or", "please", "reply", "respond", "that", "the", "their", "them", "then", "this", "to", "use"),
        *("user", "users", "who", "will", "with", "you", "your"),
    }
)


def unique_name(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken."""
    count = 1
    unique = name
    while unique in taken:
        count += 1
        unique = f"{name}-{count}"
    return unique


def _shown(text: str) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: 4 * _SHOWN].split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
