"""SQLite as the journal's database: one file in WAL mode, readable by its owner only, with writers that queue in the kernel."""

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event

from freehold.catalog import Durability
from freehold.errors import FreeholdError, OperatorError, StoreBusy
from freehold.store.checkpoint import Checkpointer
from freehold.store.database import Kind
from freehold.store.lock import KernelLock
from freehold.store.version import VERSION_TABLE

_PARAMETERS = 12_000
"""Values bound in one statement. Many rows at once cost a third of what they cost one by one, and leave Python's lock to other threads
while SQLite works."""
_SIZES = (64, 32, 24, 16, 12, 8, 7, 6, 5, 4, 3, 2, 1)
"""Of inserts: a group of a few calls takes one or two statements a table, and there are few enough of them to stay prepared."""
_NULL = float("nan")
"""SQLite stores NaN as NULL. Bound as None it would cost a microsecond, which Python's module spends on looking for an adapter (CPython
3.11); the same goes for bytes, which rows therefore hold as bytearrays."""
_READ_CACHE_KIB = 8_000
_AMONG = "tenant = ? AND %s IN (SELECT value FROM json_each(?))"
"""However many there are, it is one statement, which SQLite prepares once."""


class SqliteDatabase:
    """One file, its log and its lock."""

    kind: Kind = "sqlite"

    def __init__(self, path: Path, durability: Durability, busy_s: float, write_cache_kib: int) -> None:
        self.path: Path | None = path
        self.name = str(path)
        self.commits_at_once = durability == "process"
        self._file = path
        self._durability = durability
        self._busy_s = busy_s
        self._cache_kib = {"reads": _READ_CACHE_KIB, "writes": write_cache_kib}
        self._lock = KernelLock(path.with_name(path.name + ".lock"))
        try:
            self._make_private_files()
        except OSError as error:
            raise OperatorError(
                f"Cannot open the journal '{path}': {error.strerror or error} ('{error.filename or path.parent}'). "
                "The folder has to exist and be writable for this user."
            ) from error
        self._checkpointer = Checkpointer(path, self._lock, lambda: self._connect("writes"))
        self.reads = self._engine("reads", connections=32)
        event.listen(self.reads, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        self._writes = self._engine("writes", connections=0)
        self._writer: Connection | None = None
        """The one that whoever has the turn writes with."""
        self._waits_s = busy_s
        """How long it does, for who has the file locked."""

    @contextmanager
    def writing(self, at_once: bool = False) -> Iterator[Connection]:
        if at_once and self._checkpointer.is_behind:
            raise StoreBusy(f"The log of '{self.name}' has to be written back first.")
        busy_s = 0.0 if at_once else self._busy_s
        with self._lock.held(busy_s):
            if self._writer is None:
                self._writer, self._waits_s = self._writes.connect(), self._busy_s
            # Begun and committed by the driver: by SQLAlchemy both would cost what inserting three calls does.
            driver = _driver(self._writer)
            if self._waits_s != busy_s:  # for programs that know nothing of our lock
                driver.execute(f"PRAGMA busy_timeout = {round(busy_s * 1000)}")
                self._waits_s = busy_s
            driver.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                driver.execute("COMMIT")
            except BaseException:
                if driver.in_transaction:
                    driver.execute("ROLLBACK")
                raise

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        with self._lock.held(self._busy_s):
            with closing(self._connect("writes")) as connection:
                connection.execute("PRAGMA journal_mode = WAL")  # outside every transaction, and kept by the file
            with self._writes.begin() as connection_:  # by SQLAlchemy, which whoever migrates asks whether there is a transaction
                connection_.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection_

    def version(self, connection: Connection) -> str | None:
        tables = {name for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if VERSION_TABLE in tables:
            return str(connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar_one())  # noqa: S608 our own constant
        if tables:
            raise OperatorError(
                f"'{self.name}' is a database of something else: it has the tables {', '.join(sorted(tables)[:5])} and is no journal. "
                "Point [store] url at another file."
            )
        return None

    def insert_new(self, connection: Connection, table: str, columns: Sequence[str], key: str, rows: Sequence[Sequence[Any]]) -> int:
        return sum(done.rowcount for done in _inserts(connection, table, columns, rows, f"ON CONFLICT ({key}) DO NOTHING"))

    def insert_told(
        self, connection: Connection, table: str, columns: Sequence[str], key: str, rows: Sequence[Sequence[Any]], told: str
    ) -> set[Any]:
        """Without RETURNING, which makes inserting a row half as dear again: nobody else inserts meanwhile, so new rows are the last ones."""
        (newest,) = _driver(connection).execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()  # noqa: S608 our own names
        if self.insert_new(connection, table, columns, key, rows) == len(rows):
            place = columns.index(told)
            return {row[place] for row in rows}
        statement = f'SELECT "{told}" FROM {table} WHERE seq > ?'  # noqa: S608 our own names
        return {value for (value,) in _driver(connection).execute(statement, (newest,))}

    def put(self, connection: Connection, table: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        changes = ", ".join(f'"{column}" = excluded."{column}"' for column in columns if column not in key)
        for _ in _inserts(connection, table, columns, rows, f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"):
            pass

    def rows_of(
        self, connection: Connection, table: str, columns: Sequence[str], tenant: str, key: str, values: Sequence[str], is_held: bool
    ) -> list[Sequence[Any]]:
        statement = f"SELECT {_names(tuple(columns))} FROM {table} WHERE {_AMONG % key}"  # noqa: S608 our own names
        return _driver(connection).execute(statement, (tenant, _list_of(values))).fetchall()

    def take(
        self, connection: Connection, table: str, columns: Sequence[str], tenant: str, key: str, values: Sequence[str]
    ) -> list[Sequence[Any]]:
        statement = f"DELETE FROM {table} WHERE {_AMONG % key} RETURNING {_names(tuple(columns))}"  # noqa: S608 our own names
        return _driver(connection).execute(statement, (tenant, _list_of(values))).fetchall()

    def writers(self) -> tuple[str, ...]:
        return ()

    def are_over(self, writers: Sequence[str]) -> bool:
        return True

    def committed(self, at_once: bool = False) -> None:
        self._checkpointer.committed(not at_once)

    def scrub(self) -> None:
        """Rewrites the file, for pages that were split or merged keep copies of what is deleted later, and cuts the log to nothing."""
        with self._lock.held(self._busy_s), closing(self._connect("writes")) as connection:
            connection.execute("VACUUM")
            (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreBusy(
                f"The rows are deleted, but a reader still holds the log of '{self.name}', which has them, for more than {self._busy_s:g} s. "
                "Let it end, then erase again."
            )

    def renew(self) -> None:
        with self._lock.held(self._busy_s):
            self._end()

    def close(self) -> None:
        self._checkpointer.close()
        self._end()
        self._lock.close()

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._writes.dispose()
        self.reads.dispose()

    def explain(self, error: Exception) -> FreeholdError | None:
        if not isinstance(error, sqlite3.Error):
            return None
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        where = f"'{self.name}'"
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreBusy(
                f"The journal {where} is locked: another program held it for more than {self._busy_s:g} s. "
                f"Close what has it open (`fuser {self.name}` names it), then try again."
            )
        if code == sqlite3.SQLITE_FULL:
            return OperatorError(f"The disk with {where} is full. Nothing of this batch was stored. Make room, then do it again.")
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return OperatorError(
                f"Cannot write the journal {where}: {error}. The file and its folder have to be writable for this user "
                "(SQLite keeps its log beside the file)."
            )
        if code == sqlite3.SQLITE_NOTADB:
            return OperatorError(f"{where} is not an SQLite database. Move it away, or point [store] url at the journal.")
        if code == sqlite3.SQLITE_CORRUPT:
            return OperatorError(f"The journal {where} is damaged: {error}. Restore it from a backup: freehold restore.")
        if code == sqlite3.SQLITE_IOERR:
            return OperatorError(
                f"The disk failed or refused while using {where}: {error}. Nothing of this batch was stored. "
                "Look for a quota, a file size limit or a failing disk."
            )
        return OperatorError(f"The journal {where} failed: {error}.")

    def _make_private_files(self) -> None:
        """Creates database and lock for their owner only, whatever the umask; SQLite gives its log the database's mode.

        A database that is there is not opened for that: closing it again would give up the locks that other connections of this process
        hold on it.
        """
        for path in (self._file, self._lock.path):
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            status = path.stat()
            if stat.S_IMODE(status.st_mode) != 0o600 and status.st_uid == os.geteuid():
                path.chmod(0o600)
            if not os.access(path, os.R_OK | os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    def _engine(self, use: str, connections: int) -> Engine:
        return create_engine(
            "sqlite+pysqlite://",
            creator=lambda: self._connect(use),
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=connections,
            pool_timeout=self._busy_s,
            hide_parameters=True,
        )

    def _connect(self, use: str) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
        settings = [
            f"synchronous = {'FULL' if self._durability == 'power' else 'NORMAL'}",
            f"fullfsync = {'ON' if self._durability == 'power' else 'OFF'}",
            f"cache_size = -{self._cache_kib[use]}",
            "wal_autocheckpoint = 0",
            "secure_delete = ON",
            f"query_only = {'ON' if use == 'reads' else 'OFF'}",
        ]
        try:
            for setting in settings:
                connection.execute(f"PRAGMA {setting}")
        except BaseException:
            connection.close()
            raise
        return connection


@lru_cache(1_000)
def _runs(rows: int, most: int) -> Sequence[tuple[int, int]]:
    """Slices of `rows` rows in a few fixed sizes, so that SQLite's prepared statements are used again."""
    start, found = 0, []
    for size in (most, *(size for size in _SIZES if size <= most)):
        while rows - start >= size:
            found.append((start, size))
            start += size
    return found


def _inserts(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], end: str
) -> Iterator[sqlite3.Cursor]:
    """Inserts rows by statements that end so, many rows each."""
    driver = _driver(connection)
    most = min(_PARAMETERS, driver.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)) // len(columns)
    for start, count in _runs(len(rows), most):
        values = [_NULL if v is None else v for row in rows[start : start + count] for v in row]
        yield driver.execute(_insert(table, tuple(columns), count) + end, values)


@cache
def _insert(table: str, columns: tuple[str, ...], rows: int) -> str:
    marks = ", ".join(["(" + ", ".join("?" * len(columns)) + ")"] * rows)
    return f"INSERT INTO {table} ({_names(columns)}) VALUES {marks} "  # noqa: S608 our own names


def _list_of(values: Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()


@cache
def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
