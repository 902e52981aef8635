"""A store: what a URL opens. Connections to read and to write with, a folder of blobs, errors that say what to do."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from freehold.catalog import Durability
from freehold.errors import FreeholdError, OperatorError, StoreBusy, StoreTooNew
from freehold.store.blobs import Blobs
from freehold.store.database import Database, Kind
from freehold.store.version import HEAD

WRITE_CACHE_KIB = 16_000
"""Enough for imports, whose rows touch pages all over the indexes."""
EXAMPLES = "sqlite:///freehold.db or postgresql://user@host/database"


class Store:
    """An open journal's database and blobs. Threads may share one; processes open their own."""

    def __init__(self, database: Database, folder: Path, durability: Durability) -> None:
        self.database = database
        self.folder = folder
        self.durability = durability
        self.blobs = Blobs(folder / "blobs", durability)

    @property
    def kind(self) -> Kind:
        """Which database it is, for the statements that have to differ."""
        return self.database.kind

    @property
    def commits_at_once(self) -> bool:
        """Whether a commit waits for no disk and no network."""
        return self.database.commits_at_once

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one snapshot and never waits for a writer. Keep it briefly: the log cannot be cut while it lasts."""
        with explained(self.database), self.database.reads.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, at_once: bool = False) -> Iterator[Connection]:
        """A transaction: committed, at the store's durability, when the block ends; rolled back when it raises. Raises StoreBusy.

        `at_once`: for those who may not wait, where `commits_at_once`.
        """
        with explained(self.database):
            with self.database.writing(at_once) as connection:
                yield connection
            self.database.committed(at_once)

    def insert_new(self, connection: Connection, table: str, columns: Sequence[str], key: str, rows: Sequence[Sequence[Any]]) -> int:
        """Inserts those of `rows` whose `key` (the columns of a unique constraint) is new, fast, and gives how many those were."""
        return self.database.insert_new(connection, table, columns, key, rows) if rows else 0

    def insert_told(
        self, connection: Connection, table: str, columns: Sequence[str], key: str, rows: Sequence[Sequence[Any]], told: str
    ) -> set[Any]:
        """As `insert_new`, and gives what the new rows have in the column `told`."""
        return self.database.insert_told(connection, table, columns, key, rows, told) if rows else set()

    def put(self, connection: Connection, table: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Inserts rows, or gives the row that has the same `key` their values."""
        if rows:
            self.database.put(connection, table, columns, key, rows)

    def rows_of(
        self,
        connection: Connection,
        table: str,
        columns: Sequence[str],
        tenant: str,
        key: str,
        values: Sequence[str],
        is_held: bool = False,
    ) -> list[Sequence[Any]]:
        """A tenant's rows whose column `key` is one of `values`; held, in order of arrival, nobody changes them before we are done."""
        return self.database.rows_of(connection, table, columns, tenant, key, values, is_held) if values else []

    def take(
        self, connection: Connection, table: str, columns: Sequence[str], tenant: str, key: str, values: Sequence[str]
    ) -> list[Sequence[Any]]:
        """Deletes a tenant's rows whose column `key` is one of `values`, and gives them."""
        return self.database.take(connection, table, columns, tenant, key, values) if values else []

    def writers(self) -> tuple[str, ...]:
        """As of `Database`."""
        with explained(self.database):
            return self.database.writers()

    def are_over(self, writers: Sequence[str]) -> bool:
        """As of `Database`."""
        with explained(self.database):
            return self.database.are_over(writers)

    def scrub(self) -> None:
        """Removes what deleted rows left behind in the files. Writers wait meanwhile. Raises StoreBusy where a reader holds on to it."""
        with explained(self.database):
            self.database.scrub()

    def renew(self) -> None:
        """Ends the connections that nobody uses. One that was opened while its file could only be read stays so for ever."""
        self.database.renew()

    def close(self) -> None:
        """Ends every connection."""
        self.database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@contextmanager
def explained(database: Database) -> Iterator[None]:
    """Turns what the database or the disk raises into errors that say what to do; ours pass as they are."""
    try:
        yield
    except FreeholdError:
        raise
    except PoolTimeout as error:
        raise StoreBusy(f"No connection to {database.name} came free in time. Too many readers hold one at once.") from error
    except Exception as error:
        cause = error.orig if isinstance(error, DBAPIError) and isinstance(error.orig, Exception) else error
        said = database.explain(cause)
        if said is None:
            raise
        raise said from cause


def open_store(
    url: str, folder: Path, durability: Durability = "process", busy_s: float = 10.0, write_cache_kib: int = WRITE_CACHE_KIB
) -> Store:
    """The store at `url`, made or migrated where that is due. A relative SQLite path starts at the project's `folder`.

    `durability`: `process` survives the death of this process, `power` also that of the machine. `busy_s`: how long a writer waits for
    its turn. `write_cache_kib`: what a connection that writes remembers of an SQLite file. Raises OperatorError, StoreTooNew, StoreBusy.
    """
    store = Store(database_at(parsed_url(url), folder, durability, busy_s, write_cache_kib), folder, durability)
    try:
        with explained(store.database):
            _migrate_if_due(store.database)
    except BaseException:
        store.close()
        raise
    return store


def parsed_url(url: str) -> URL:
    """A store's URL. Raises OperatorError, without showing it: it may hold a password."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise OperatorError(
            f"[store] url cannot be read as a URL; expected such as {EXAMPLES}. The characters @ : / in a password are written %40 %3A %2F."
        ) from None


def database_at(url: URL, folder: Path, durability: Durability, busy_s: float, write_cache_kib: int = WRITE_CACHE_KIB) -> Database:
    """The database a URL names, as it is: not migrated, perhaps empty."""
    if url.drivername == "sqlite" and url.database and url.database != ":memory:" and not (url.host or url.query):
        from freehold.store.sqlite import SqliteDatabase

        return SqliteDatabase(folder / url.database, durability, busy_s, write_cache_kib)
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        from freehold.store.postgres import PostgresDatabase

        return PostgresDatabase(url, durability, busy_s)
    shown = url.render_as_string(hide_password=True)
    raise OperatorError(f"[store] url '{shown}' is no database Freehold knows; expected such as {EXAMPLES}.")


def _migrate_if_due(database: Database) -> None:
    with database.reads.begin() as connection:
        if _is_current(database, database.version(connection)):
            return
    with database.migrating() as connection:
        version = database.version(connection)  # another process may have been first
        if _is_current(database, version):
            return
        from freehold.store.migrate import migrate

        migrate(connection, HEAD)
    database.committed()


def _is_current(database: Database, version: str | None) -> bool:
    if version is not None and version > HEAD:
        raise StoreTooNew(
            f"The journal {database.name} has schema version {version}; this Freehold knows {HEAD} and older. "
            "Upgrade Freehold (pip install -U freehold), or restore a backup made by this version."
        )
    return version == HEAD
