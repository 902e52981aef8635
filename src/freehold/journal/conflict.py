"""Telling twice from contradicting: what to make of records whose id the journal has already."""

from collections.abc import Iterator, Sequence

import msgspec
from sqlalchemy import Connection, select

from freehold.chat import canonical_json
from freehold.journal.call import Call, Feedback
from freehold.journal.read import calls_by_id, feedback_by_id
from freehold.journal.redact import redact, redact_feedback
from freehold.journal.rows import CALL_COLUMNS, CallRow
from freehold.journal.write import Conflict
from freehold.store.open import Store
from freehold.store.schema import calls as calls_table

_FINGERPRINT = CALL_COLUMNS.index("content")
_IDS = 500


def calls_in_conflict(store: Store, connection: Connection, calls: Sequence[Call], rows: Sequence[CallRow]) -> dict[int, Conflict]:
    """Of calls just inserted where they were new: those the journal knows otherwise, by their place."""
    kept: dict[str, bytes] = {}
    for ids in _slices([row.id for row in rows]):
        found = connection.execute(select(calls_table.c.id, calls_table.c.content).where(calls_table.c.id.in_(ids)))
        kept.update((call_id, bytes(content)) for call_id, content in found)
    differing = [place for place, row in enumerate(rows) if kept[row.id] != row.values[_FINGERPRINT]]
    stored = calls_by_id(store, connection, [rows[place].id for place in differing])
    first = {row.id: calls[place] for place, row in reversed(list(enumerate(rows)))}
    ...
