"""Signals from files: what other systems kept about calls, brought in once, also before the calls themselves are."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import NamedTuple

import msgspec

from freehold.catalog import Catalog, Content
from freehold.chat import JSON
from freehold.errors import CallerError
from freehold.feedback.attach import attach
from freehold.feedback.preference import VERDICTS, preference_json
from freehold.feedback.saying import feedback_from, read_saying
from freehold.journal.build import call_id
from freehold.journal.call import Feedback
from freehold.journal.read import items_of
from freehold.journal.rows import digest_of
from freehold.store.open import Store
from freehold.tables import FeedbackTable

_AT_ONCE = 500


class Bringing(NamedTuple):
    """What holds for every row of a file."""

    tenant: str
    """Whose data it is."""
    task: str | None = None
    """The task whose items and variants rows name."""
    metric: str | None = None
    """What is judged, where a row does not say."""
    source: str = "import"
    """Who says it, where a row does not say."""


class Brought(msgspec.Struct, frozen=True, kw_only=True):
    """What bringing a file in did."""

    rows: int = 0
    """Rows that were read."""
    added: int = 0
    """Pieces of feedback that are new."""
    present: int = 0
    """Pieces that were there already, the same."""
    waiting: int = 0
    """Pieces, among both, whose call is not in the journal yet."""
    refused: tuple[str, ...] = ()
    """What could not be brought in, and why."""


class Row(NamedTuple):
    """One line of a file."""

    name: str
    """Where it stands, for people."""
    value: JSON
    """What it says; of a table texts by column."""
    why: str = ""
    """Why it cannot be read."""


def bring(
    store: Store, catalog: Catalog, journal: Content, rule: FeedbackTable, rows: Iterable[Row], how: Bringing, now: datetime, is_table: bool
) -> Brought:
    """Brings in what rows say, each as `POST /v1/feedback` takes it, or with `item` and `variant` for `call`. A row without a key is its own:
    a file that comes in twice adds nothing. Raises OperatorError."""
    done = Brought()
    left = iter(rows)
    while some := list(islice(left, _AT_ONCE)):
        refused = {row.name: row.why for row in some if row.why}
        sayings: list[tuple[str, list[Feedback]]] = []
        read = [(row.name, value) for row in some if not row.why and (value := _fields(row, is_table, refused)) is not None]
        ids = _ids(store, how, [value for _, value in read])
        for name, value in read:
            try:
                sayings.append((name, _said(value, catalog, how, ids, now)))
            except CallerError as error:
                refused[name] = str(error)
        added, present, waiting = _attached(store, catalog, journal, rule, sayings, now, refused)
        done = Brought(
            rows=done.rows + len(some),
            added=done.added + added,
            present=done.present + present,
            waiting=done.waiting + waiting,
            refused=(*done.refused, *(f"{row.name}: {refused[row.name]}" for row in some if row.name in refused)),
        )
    return done


def _attached(
    store: Store,
    catalog: Catalog,
    journal: Content,
    rule: FeedbackTable,
    sayings: list[tuple[str, list[Feedback]]],
    now: datetime,
    refused: dict[str, str],
) -> tuple[int, int, int]:
    """Stores them together, or where one of them cannot be, each by itself; how many pieces are new, present and waiting."""
    if not sayings:
        return 0, 0, 0
    try:
        appended, waiting = attach(store, catalog, journal, rule, [said for _, said in sayings], now)
    except CallerError as error:
        if len(sayings) == 1:
            refused[sayings[0][0]] = str(error)
            return 0, 0, 0
        each = [_attached(store, catalog, journal, rule, [one], now, refused) for one in sayings]
        return sum(one[0] for one in each), sum(one[1] for one in each), sum(one[2] for one in each)
    name_of = {one.id: name for name, said in sayings for one in said}
    refused |= {name_of[one.id]: "something else was said there under this key; the first stays" for one in appended.conflicts}
    return appended.feedback_added, appended.feedback_present, waiting


def _fields(row: Row, is_table: bool, refused: dict[str, str]) -> dict[str, JSON] | None:
    if not isinstance(row.value, dict):
        refused[row.name] = 'it is no object; expected such as {"call": "…", "metric": "correct", "value": 1}'
        return None
    value = {name: _of_cell(name, cell) for name, cell in row.value.items()} if is_table else dict(row.value)
    for verdict in VERDICTS:
        other = value.pop(verdict, None)
        if isinstance(other, str):
            value["preference"] = preference_json(verdict, other)
    return {name: one for name, one in value.items() if one is not None}


def _of_cell(name: str, cell: JSON) -> JSON:
    """What a cell of a table says: nothing where it is empty, and of a value the number that it is."""
    if not isinstance(cell, str) or not cell.strip():
        return None
    if name != "value":
        return cell
    if cell.strip().lower() in ("true", "false"):
        return cell.strip().lower() == "true"
    try:
        return float(cell)
    except ValueError:
        return cell


def _ids(store: Store, how: Bringing, values: Iterable[Mapping[str, JSON]]) -> dict[tuple[str, str], str]:
    """By item and variant the call that is meant: of the task, or that came in before the task had its name."""
    pairs = list(
        {(item, variant) for one in values if isinstance(item := one.get("item"), str) and isinstance(variant := one.get("variant"), str)}
    )
    unnamed = {pair: call_id(how.tenant, None, *pair) for pair in pairs}
    there = items_of(store, how.tenant, list(unnamed.values())) if pairs and how.task is not None else {}
    return {pair: unnamed[pair] if unnamed[pair] in there else call_id(how.tenant, how.task, *pair) for pair in pairs}


def _said(value: dict[str, JSON], catalog: Catalog, how: Bringing, ids: Mapping[tuple[str, str], str], now: datetime) -> list[Feedback]:
    item, variant = value.pop("item", None), value.pop("variant", None)
    if item is not None or variant is not None:
        if not isinstance(item, str) or not isinstance(variant, str) or value.get("call") is not None:
            raise CallerError("it names its call by item and variant, both of them and no call beside them")
        value["call"] = ids[item, variant]
    value.setdefault("source", how.source)
    if how.metric is not None:
        value.setdefault("metric", how.metric)
    value.setdefault("key", digest_of(value))
    return feedback_from(read_saying(value), catalog, how.tenant, now)


def rows_of(found: Iterable[tuple[JSON, str, str]]) -> Iterator[Row]:
    """Rows as readers of files give them: a value, or why there is none and what stands there."""
    for n, (value, why, _) in enumerate(found, 1):
        yield Row(f"row {n}", value, why.partition(": ")[2] if why.startswith("line ") else why)
