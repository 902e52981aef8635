"""PostgreSQL as the journal's database: any number of writers at once; the server's log is what makes a commit durable."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, BigInteger, Connection, Double, Engine, Integer, LargeBinary, Text, create_engine
from sqlalchemy.exc import DBAPIError

from freehold.catalog import Durability
from freehold.errors import DataError, FreeholdError, OperatorError, StoreBusy
from freehold.store.database import Kind
from freehold.store.schema import metadata
from freehold.store.version import VERSION_TABLE

_CONNECT_S = 10
_MIGRATES_S = 60
"""How long another's migration is waited for."""
_MIGRATING = 0x66726565686F6C64
"""Key of the advisory lock that one migration at a time holds: 'freehold'."""
_BULK = _MIGRATING + 1
"""Key of the one that a bulk load holds."""
_COPY_FROM = 256
"""Rows from which COPY is faster than arrays: at 5,000 rows twice as fast, at 30 half as fast."""
_LOOK_AT_ROWS = 10_000
"""Rows loaded in bulk before the server is made to look at them; then at every doubling."""
_LOADED = ("calls", "contents", "attempts", "feedback", "episodes", "draws")
"""What is loaded in bulk: whoever adds to others may hold what a bulk load waits for."""
_WRITERS = (
    "SELECT DISTINCT virtualtransaction FROM pg_locks WHERE granted AND mode = 'RowExclusiveLock'"  # noqa: S608 our own names
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation IN ("
    + ", ".join(f"'{table}'::regclass" for table in _LOADED)
    + ")"
)
"""Whoever inserts holds this lock from before its rows take their places until it has ended."""
_AMONG = "tenant = %%s AND %s = ANY(%%s)"
_TYPES: dict[type[Any], str] = {Text: "text", BigInteger: "int8", Integer: "int4", Double: "float8", LargeBinary: "bytea"}


class PostgresDatabase:
    """One schema of one PostgreSQL database: the first on the connection's search path."""

    kind: Kind = "postgresql"
    path: Path | None = None

    def __init__(self, url: URL, durability: Durability, busy_s: float) -> None:
        try:
            import psycopg
        except ModuleNotFoundError:
            raise OperatorError(
                "[store] url names a PostgreSQL database, and its driver is not installed: pip install 'freehold[postgres]'"
            ) from None
        self._errors = psycopg.errors
        self._driver_error: type[Exception] = psycopg.Error
        self.name = url.render_as_string(hide_password=True)
        self._password = url.password
        self._busy_s = busy_s
        self.commits_at_once = False
        self._copied = 0
        self._look_at = _LOOK_AT_ROWS
        self._url = url.set(drivername="postgresql+psycopg")
        self.reads = self._engine(["default_transaction_read_only=on", "default_transaction_isolation=repeatable\\ read"], connections=16)
        durable = ["synchronous_commit=on"] if durability == "power" else []  # else as the server is set
        self._writes = self._engine([f"lock_timeout={round(busy_s * 1000)}ms", *durable], connections=4)

    def writing(self, at_once: bool = False) -> AbstractContextManager[Connection]:
        return self._writes.begin()

    def renew(self) -> None:
        self._writes.dispose()
        self.reads.dispose()

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        with self._writes.begin() as connection:
            connection.exec_driver_sql(
                f"SET LOCAL lock_timeout = '{_MIGRATES_S} s'"
            )  # others of this server may be at it, and take seconds
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_MIGRATING,))
            connection.exec_driver_sql("SET LOCAL lock_timeout TO DEFAULT")
            yield connection

    def version(self, connection: Connection) -> str | None:
        if connection.exec_driver_sql(f"SELECT to_regclass('{VERSION_TABLE}')").scalar_one() is None:
            return None
        return str(connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar_one())  # noqa: S608 our own constant

    def insert_new(self, connection: Connection, table: str, columns: Sequence[str], key: str, rows: Sequence[Sequence[Any]]) -> int:
        with self._inserted(connection, table, columns, rows, f"ON CONFLICT ({key}) DO NOTHING") as cursor:
            return int(cursor.rowcount)

    def insert_told(
        self, connection: Connection, table: str, columns: Sequence[str], key: str, rows: Sequence[Sequence[Any]], told: str
    ) -> set[Any]:
        with self._inserted(connection, table, columns, rows, f'ON CONFLICT ({key}) DO NOTHING RETURNING "{told}"') as cursor:
            return {value for (value,) in cursor}

    def put(self, connection: Connection, table: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        changes = ", ".join(f'"{column}" = excluded."{column}"' for column in columns if column not in key)
        with self._inserted(connection, table, columns, rows, f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"):
            pass

    def rows_of(
        self, connection: Connection, table: str, columns: Sequence[str], tenant: str, key: str, values: Sequence[str], is_held: bool
    ) -> list[Sequence[Any]]:
        statement = f"SELECT {_names(columns)} FROM {table} WHERE {_AMONG % key}"  # noqa: S608 our own names
        return _all(connection, f"{statement} ORDER BY seq FOR UPDATE" if is_held else statement, tenant, values)

    def take(
        self, connection: Connection, table: str, columns: Sequence[str], tenant: str, key: str, values: Sequence[str]
    ) -> list[Sequence[Any]]:
        statement = f"DELETE FROM {table} WHERE {_AMONG % key} RETURNING {_names(columns)}"  # noqa: S608 our own names
        return _all(connection, statement, tenant, values)

    def writers(self) -> tuple[str, ...]:
        with self.reads.begin() as connection:
            return tuple(connection.exec_driver_sql(_WRITERS).scalars())

    def are_over(self, writers: Sequence[str]) -> bool:
        return set(writers).isdisjoint(self.writers())

    def committed(self, at_once: bool = False) -> None:
        """Has the server look at tables that grew by bulk loads: until it does, which takes it minutes, it plans for empty ones."""
        if self._copied >= self._look_at:
            self._look_at = 2 * self._copied
            with suppress(DBAPIError), self._writes.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                for table in _LOADED:
                    connection.exec_driver_sql(f"ANALYZE {table}")

    def scrub(self) -> None:
        """Lets the server use the space again; what its own log and backups keep is its operator's to remove."""
        with self._writes.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in (*_LOADED, "ledger", "conversation_message"):
                connection.exec_driver_sql(f"VACUUM {table}")

    def close(self) -> None:
        self.reads.dispose()
        self._writes.dispose()

    def explain(self, error: Exception) -> FreeholdError | None:
        if not isinstance(error, self._driver_error):
            return None
        said = self._said(error)
        errors = self._errors
        if isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected | errors.SerializationFailure | errors.TooManyConnections):
            return StoreBusy(f"The journal {self.name} is busy: {said}. Nothing of this batch was stored; try again.")
        if isinstance(error, errors.DiskFull):
            return OperatorError(f"The disk of {self.name} is full. Nothing of this batch was stored. Make room there, then do it again.")
        if isinstance(error, errors.InsufficientPrivilege | errors.ReadOnlySqlTransaction):
            return OperatorError(f"The user of {self.name} may not do this: {said}. It needs to create and write tables in its schema.")
        if isinstance(error, errors.OperationalError):
            return OperatorError(
                f"Cannot reach {self.name}: {said}. Check [store] url, that the server runs, and that it lets this user in."
            )
        return OperatorError(f"The journal {self.name} failed: {said}.")

    @contextmanager
    def _inserted(
        self, connection: Connection, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], end: str
    ) -> Iterator[Any]:
        """The cursor of one INSERT of all rows that ends so."""
        driver = connection.connection.driver_connection
        assert driver is not None
        names = _names(columns)
        types = [_TYPES[type(metadata.tables[table].c[column].type)] for column in columns]
        try:
            with driver.cursor() as cursor:
                if len(rows) < _COPY_FROM or table not in _LOADED:
                    arrays = ", ".join(f"%b::{kind}[]" for kind in types)
                    source, values = f"unnest({arrays})", [list(column) for column in zip(*rows, strict=True)]
                else:
                    _copy(cursor, table, names, types, rows)
                    self._copied += len(rows)
                    source, values = f"new_{table}", []
                cursor.execute(f"INSERT INTO {table} ({names}) SELECT * FROM {source} {end}", values)  # noqa: S608 our own names
                yield cursor
        except self._errors.DataError as error:
            raise _named(error, table, columns, rows) from error

    def _said(self, error: Exception) -> str:
        """The server's own words in one line, without values of rows and without the password."""
        primary = getattr(getattr(error, "diag", None), "message_primary", None)
        said = " ".join(str(primary or error).split()).rstrip(".")
        return said.replace(self._password, "***") if self._password else said

    def _engine(self, settings: list[str], connections: int) -> Engine:
        options = " ".join([*self._options(), *(f"-c {setting}" for setting in settings)])
        arguments: dict[str, Any] = {"connect_timeout": _CONNECT_S, "application_name": "freehold", "options": options}
        return create_engine(
            self._url.difference_update_query(["options"]),
            connect_args=arguments,
            pool_pre_ping=True,
            pool_size=4,
            max_overflow=connections,
            pool_timeout=self._busy_s,
            hide_parameters=True,
        )

    def _options(self) -> list[str]:
        """What the URL itself sets, such as `options=-csearch_path=freehold`."""
        given = self._url.query.get("options", ())
        return [given] if isinstance(given, str) else list(given)


def _all(connection: Connection, statement: str, tenant: str, values: Sequence[str]) -> list[Sequence[Any]]:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        rows: list[Sequence[Any]] = cursor.execute(statement, (tenant, list(values))).fetchall()
        return rows


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _copy(cursor: Any, table: str, names: str, types: list[str], rows: Sequence[Sequence[Any]]) -> None:
    """Copies rows into a temporary table. One bulk load at a time, for two of them with rows in common would lock each other out."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_BULK,))
    like = f"SELECT {names} FROM {table} LIMIT 0"  # noqa: S608 our own names
    cursor.execute(f"CREATE TEMP TABLE IF NOT EXISTS new_{table} ON COMMIT DELETE ROWS AS {like}")
    with cursor.copy(f"COPY new_{table} ({names}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


def _named(error: Exception, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> DataError:
    for row in rows:
        for column, value in zip(columns, row, strict=True):
            if isinstance(value, str) and "\0" in value:
                return DataError(f"{column} of '{row[0]}' in {table} holds a NUL character, which PostgreSQL cannot store; take it out")
    return DataError(f"a row of {table} cannot be stored: {error}")
