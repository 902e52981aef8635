"""Scores SQL by what it gives: the rows of the answer's query against those of the right one, in a database of their own in memory."""

import asyncio
import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from freehold.catalog import Metric
from freehold.errors import CallerError
from freehold.evaluation.plain import Settings, binary, code_of, lacks, words_of
from freehold.evaluation.scorer import Case, Score

_MOST_TEXT = 100_000
"""Characters of a query, and bytes of any value that one makes."""
_STEPS = 1_000
"""Steps of SQLite's machine between two looks at clock and memory: each may make one value."""
_MOST_GROWN_MB = 512
"""How much this process may grow while a query runs. SQLite's own limit would be one of the journal's, too."""
_READS = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE))
_PAGE = os.sysconf("SC_PAGE_SIZE")
_ORDERED = re.compile(r"\border\s+by\b(?![^()]*\))", re.IGNORECASE)


class Rows(NamedTuple):
    """What a query gave."""

    rows: tuple[tuple[Any, ...], ...] | None
    """Its rows; None where it gave none for a reason."""
    why: str = ""
    """The reason."""


@dataclass(frozen=True, slots=True)
class SqlResult:
    """Scores queries on one database. The case's right answer is the right query."""

    metric: Metric
    image: bytes
    """The database, as a file of SQLite."""
    time_s: float
    most_rows: int
    needs_truth: bool = True

    async def score(self, case: Case) -> Score:
        """As of `Scorer`. Runs in a thread."""
        if (why := lacks(case, True)) is not None:
            return Score(None, why)
        return await asyncio.to_thread(self._compare, code_of(words_of(case.output)), words_of(case.truth))

    def _compare(self, said: str, right: str) -> Score:
        try:
            wanted = rows_of(self.image, right, self.time_s, self.most_rows)
            if wanted.rows is None:
                return Score(None, f"the right query gives nothing to compare with: {wanted.why}")
            given = rows_of(self.image, said, self.time_s, self.most_rows)
        except (MemoryError, sqlite3.Error) as error:
            return Score(None, f"the database cannot be opened: {error}")
        if given.rows is None:
            return Score(0.0, given.why)
        is_same = _same(given.rows, wanted.rows, _ORDERED.search(right) is not None)
        return Score(float(is_same), "" if is_same else f"{len(given.rows)} rows, and not the {len(wanted.rows)} of the right query")


def sql(settings: Settings) -> SqlResult:
    """1 where the answer's query gives the rows of the right one, in order where that one orders them, on the database behind the colon: a file of
    SQLite, or a script that makes one, `sql:shop.sql`. Queries only read, within `time_s` (5) and `most_rows` (10,000).
    """
    options = settings.taken(time_s=5.0, most_rows=10_000)
    if not settings.option:
        raise CallerError(f"scorer '{settings.name}' takes a database behind the colon: a file of SQLite or a script, such as sql:shop.sql")
    return SqlResult(binary(settings.name), _image(settings), float(options.time_s), options.most_rows)


def _image(settings: Settings) -> bytes:
    raw = settings.file(settings.option).read_bytes()
    if raw.startswith(b"SQLite format 3\0"):
        return raw
    try:
        return image_of(raw.decode("utf-8"))
    except (sqlite3.Error, UnicodeError) as error:
        raise CallerError(f"scorer '{settings.name}': {settings.option} makes no database: {error}") from None


def image_of(script: str) -> bytes:
    """The database that a script makes. Raises sqlite3.Error."""
    database = sqlite3.connect(":memory:")
    try:
        database.executescript(script)
        return database.serialize()
    finally:
        database.close()


def rows_of(image: bytes, query: str, time_s: float, most_rows: int) -> Rows:
    """What a query reads. It can do nothing else: any other statement, other files, and what takes too long or too much are refused.

    Raises sqlite3.Error for an image that is no database.
    """
    if len(query) > _MOST_TEXT:
        return Rows(None, f"the query has over {_MOST_TEXT:,} characters")
    database = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        database.deserialize(image)
        database.execute("PRAGMA temp_store = memory")
        database.execute("PRAGMA cell_size_check = on")
        for limit, largest in (
            (sqlite3.SQLITE_LIMIT_LENGTH, _MOST_TEXT),
            (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
            (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 200),
        ):
            database.setlimit(limit, largest)
        database.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY)
        ends, most = time.monotonic() + time_s, _size_mb() + _MOST_GROWN_MB
        database.set_progress_handler(lambda: time.monotonic() > ends or _size_mb() > most, _STEPS)
        return _read(database, query, most_rows)
    finally:
        database.close()


def _size_mb() -> float:
    """How large this process is, where the system says so."""
    try:
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123 it is read often
            return float(int(statm.read().split()[1]) * _PAGE / 2**20)
    except FileNotFoundError:
        return 0.0


def _read(database: sqlite3.Connection, query: str, most_rows: int) -> Rows:
    try:
        cursor = database.execute(query)
        rows = cursor.fetchmany(most_rows + 1)
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        return Rows(None, "it took too long, or too much memory" if str(error) == "interrupted" else str(error)[:200])
    if cursor.description is None:
        return Rows(None, "it is no query")
    if len(rows) > most_rows:
        return Rows(None, f"it gives over {most_rows:,} rows")
    return Rows(tuple(rows))


def _same(one: Sequence[tuple[Any, ...]], other: Sequence[tuple[Any, ...]], is_ordered: bool) -> bool:
    left, right = [_plain(row) for row in one], [_plain(row) for row in other]
    return left == right if is_ordered else Counter(left) == Counter(right)


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row with numbers as far as they are meant: sums of floats differ in their last digits."""
    return tuple(float(f"{value:.9g}") if isinstance(value, float) else value for value in row)
