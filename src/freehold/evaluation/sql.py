"""Scores SQL by what it gives: the rows of the answer's query against those of the right one, in a database of their own in memory."""

import asyncio
import sqlite3
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import msgspec

from freehold.catalog import Metric
from freehold.errors import CallerError
from freehold.evaluation import queried
from freehold.evaluation.plain import Settings, binary, code_of, lacks, words_of
from freehold.evaluation.sandbox import Bounds, NoSandbox, run
from freehold.evaluation.scorer import Case, Score

_MOST_MB = 16
_MEMORY_MB = 512


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
        """As of `Scorer`. Runs in the sandbox: no query holds up anything else."""
        if (why := lacks(case, True)) is not None:
            return Score(None, why)
        said, right = code_of(words_of(case.output)), words_of(case.truth)
        try:
            return await asyncio.to_thread(self._compare, said, right)
        except (NoSandbox, OSError, UnicodeError, msgspec.DecodeError) as error:
            return Score(None, str(error)[:300])

    def _compare(self, said: str, right: str) -> Score:
        asked = f"compare(b64decode({b64encode(self.image).decode()!r}), {said!r}, {right!r}, {self.time_s!r}, {self.most_rows!r})"
        code = Path(queried.__file__).read_text(encoding="utf-8") + "\nimport json\nfrom base64 import b64decode\n"
        ran = run(code, [f"print(json.dumps({asked}))"], Bounds(time_s=2 * self.time_s + 1.0, memory_mb=_MEMORY_MB))
        if not all(ran.passed):
            why = ran.why or "it took too much memory"
            is_right_done = ran.printed.startswith(queried.RIGHT_IS_DONE)
            return Score(0.0, why) if is_right_done else Score(None, f"the right query gives nothing to compare with: {why[-200:]}")
        value, why = msgspec.json.decode((ran.printed.splitlines() or [""])[-1], type=tuple[float | None, str])
        return Score(value, why)


def sql(settings: Settings) -> SqlResult:
    """1 where the answer's query gives the rows of the right one, in order where that one orders them, on the database behind the colon: a file of
    SQLite, or a script that makes one, `sql:shop.sql`. Queries only read, within `time_s` (5) and `most_rows` (10,000), in the sandbox.
    """
    options = settings.taken(time_s=5.0, most_rows=10_000)
    if not settings.option:
        raise CallerError(f"scorer '{settings.name}' takes a database behind the colon: a file of SQLite or a script, such as sql:shop.sql")
    return SqlResult(binary(settings.name), _image(settings), float(options.time_s), options.most_rows)


def _image(settings: Settings) -> bytes:
    raw = settings.file(settings.option).read_bytes()
    try:
        image = raw if raw.startswith(b"SQLite format 3\0") else image_of(raw.decode("utf-8"))
    except (sqlite3.Error, UnicodeError) as error:
        raise CallerError(f"scorer '{settings.name}': {settings.option} makes no database: {error}") from None
    if len(image) > _MOST_MB * 2**20:
        raise CallerError(f"scorer '{settings.name}': {settings.option} has {len(image):,} bytes; a database has up to {_MOST_MB} MB here")
    return image


def image_of(script: str) -> bytes:
    """The database that a script makes. Raises sqlite3.Error."""
    database = sqlite3.connect(":memory:")
    try:
        database.executescript(script)
        return database.serialize()
    finally:
        database.close()
