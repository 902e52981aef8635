"""What a query gives, and whether another gives the same. Standard library alone, and nothing of ours: `sql.py` has it run in the sandbox, for a
single function of SQLite can take minutes, which nothing but ending the process ends.
"""

import re
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

MOST_TEXT = 100_000
"""Characters of a query, and bytes of any value that one makes."""
RIGHT_IS_DONE = "the right query is done\n"
_STEPS = 1_000
_READS = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE))
_ORDERED = re.compile(r"\border\s+by\b(?![^()]*\))", re.IGNORECASE)


class Rows(NamedTuple):
    """What a query gave."""

    rows: tuple[tuple[Any, ...], ...] | None
    """Its rows; None where it gave none for a reason."""
    why: str = ""
    """The reason."""


def compare(image: bytes, said: str, right: str, time_s: float, most_rows: int) -> tuple[float | None, str]:
    """1 where a query gives the rows of the right one, in order where that one orders them, else 0; and why. None where the right one gives none."""
    wanted = rows_of(image, right, time_s, most_rows)
    if wanted.rows is None:
        return None, f"the right query gives nothing to compare with: {wanted.why}"
    print(RIGHT_IS_DONE, end="", flush=True)  # noqa: T201 whoever waits hears of it, should the other not end
    given = rows_of(image, said, time_s, most_rows)
    if given.rows is None:
        return 0.0, given.why
    is_same = _same(given.rows, wanted.rows, _ORDERED.search(right) is not None)
    return float(is_same), "" if is_same else f"{len(given.rows)} rows, and not the {len(wanted.rows)} of the right query"


def rows_of(image: bytes, query: str, time_s: float, most_rows: int) -> Rows:
    """What a query reads. It can do nothing else: any other statement, other files, and what takes too long or too much are refused.

    Raises sqlite3.Error for an image that is no database.
    """
    if len(query) > MOST_TEXT:
        return Rows(None, f"the query has over {MOST_TEXT:,} characters")
    database = sqlite3.connect(":memory:")
    try:
        database.deserialize(image)
        database.execute("PRAGMA temp_store = memory")
        database.execute("PRAGMA cell_size_check = on")
        for limit, largest in ((sqlite3.SQLITE_LIMIT_LENGTH, MOST_TEXT), (sqlite3.SQLITE_LIMIT_ATTACHED, 0)):
            database.setlimit(limit, largest)
        database.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY)
        ends = time.monotonic() + time_s
        database.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
        return _read(database, query, most_rows)
    finally:
        database.close()


def _read(database: sqlite3.Connection, query: str, most_rows: int) -> Rows:
    try:
        cursor = database.execute(query)
        rows = cursor.fetchmany(most_rows + 1)
    except MemoryError:
        return Rows(None, "it took too much memory")
    except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
        return Rows(None, "it took too long" if str(error) == "interrupted" else str(error)[:200])
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
