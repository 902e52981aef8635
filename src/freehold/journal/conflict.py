"""Telling twice from contradicting: what to make of records whose id the journal has already."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from freehold.catalog import Content
from freehold.journal.call import Call, Feedback
from freehold.journal.read import calls_by_id, feedback_by_id, slices
from freehold.journal.redact import redact, redact_feedback
from freehold.journal.rows import CALL_COLUMNS, CallRow
from freehold.journal.write import Conflict
from freehold.store.open import Store
from freehold.store.schema import calls as calls_table

_T = TypeVar("_T")
_FINGERPRINT, _COST, _INPUT = (CALL_COLUMNS.index(name) for name in ("content", "cost_usd", "input"))
_LESSER: tuple[Content, ...] = ("redacted", "none")


def calls_in_conflict(store: Store, connection: Connection, calls: Sequence[Call], rows: Sequence[CallRow]) -> dict[int, Conflict]:
    """Of calls just inserted where they were new, those the journal knows otherwise, by their place."""
    kept = _fingerprints(connection, [row.id for row in rows])
    differing = [place for place, row in enumerate(rows) if kept[row.id] != row.values[_FINGERPRINT]]
    told_now = {row.id: calls[place] for place, row in enumerate(rows) if kept[row.id] == row.values[_FINGERPRINT]}
    stored = calls_by_id(store, connection, [rows[place].id for place in differing if rows[place].id not in told_now])
    conflicts = {}
    for place in differing:
        call_id = rows[place].id
        first = told_now.get(call_id) or stored[call_id]
        if not is_same_call(first, calls[place]):
            conflicts[place] = Conflict(call_id, first, calls[place])
    return conflicts


def fill_what_was_unknown(connection: Connection, rows: Sequence[CallRow]) -> list[CallRow]:
    """Gives calls that were told again the cost that nobody knew when they came in, and the content that was not kept then.

    Nothing that is known is changed. Gives the rows with those contents alone that their calls, as they are stored now, rely on: what
    was told with more words than are kept leaves none of them behind.
    """
    c = calls_table.c
    kept: list[CallRow] = []
    for some in slices(rows):
        wanted = select(c.id, c.cost_usd, c.input, c.body_digest).where(c.id.in_([row.id for row in some]))
        stored = {found.id: found for found in connection.execute(wanted)}
        costs: list[dict[str, Any]] = []
        contents: list[dict[str, Any]] = []
        for row in some:
            found = stored[row.id]
            if found.cost_usd is None and row.values[_COST] is not None:
                costs.append({"call": row.id, "cost_usd": row.values[_COST], "price_id": row.values[_COST + 1]})
            relies_on = {found.input, found.body_digest}
            if found.input is None and row.values[_INPUT] is not None:
                told = dict(zip(CALL_COLUMNS, row.values, strict=True))
                words = {name: None if told[name] is None else bytes(told[name]) for name in ("input", "body", "body_digest", "content")}
                relies_on = {words["input"], words["body_digest"]}
                contents.append({"call": row.id, **words})
            kept.append(row._replace(contents=tuple(content for content in row.contents if content[0] in relies_on)))
        for fill in (costs, contents):
            if fill:
                connection.execute(update(calls_table).where(c.id == bindparam("call")), fill)
    return kept


def feedback_in_conflict(connection: Connection, feedback: Sequence[Feedback]) -> list[Conflict]:
    """Of feedback just inserted where it was new, what the journal knows otherwise."""
    stored = feedback_by_id(connection, [said.id for said in feedback])
    return [Conflict(said.id, stored[said.id], said) for said in feedback if not is_same_feedback(stored[said.id], said)]


def is_same_call(kept: Call, told: Call) -> bool:
    """Whether two records say the same. What follows from the record (its task's later name, shape, computed price) does not count, and
    neither does what one of them no longer holds because less content was kept at the time."""
    kept, told = _essence(kept), _essence(told)
    return kept == told or any(_is_same_reduced(kept, told, redact(kept, less), redact(told, less)) for less in _LESSER)


def is_same_feedback(kept: Feedback, told: Feedback) -> bool:
    """Whether two pieces of feedback say the same, whenever they were said and however much of it was kept."""
    told = msgspec.structs.replace(told, at=kept.at)
    return kept == told or any(_is_same_reduced(kept, told, redact_feedback(kept, less), redact_feedback(told, less)) for less in _LESSER)


def _is_same_reduced(kept: _T, told: _T, less_kept: _T, less_told: _T) -> bool:
    """Whether one of two records is the other with less of its content."""
    return less_kept == less_told and (less_kept == kept or less_told == told)


def _essence(call: Call) -> Call:
    digests = redact(call, "none")
    recorded = call.price_id == "recorded"
    return msgspec.structs.replace(
        call,
        task=None,
        shape="",
        cost_usd=call.cost_usd if recorded else None,
        price_id=call.price_id if recorded else None,
        output_digest=digests.output_digest,
        reference_digest=digests.reference_digest,
    )


def _fingerprints(connection: Connection, ids: Sequence[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for some in slices(ids):
        rows = connection.execute(select(calls_table.c.id, calls_table.c.content).where(calls_table.c.id.in_(some)))
        found.update((call_id, content) for call_id, content in rows)
    return found
