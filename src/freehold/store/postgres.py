"""PostgreSQL as the journal's database: any number of writers at once; the server's log is what makes a commit durable."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine

from freehold.catalog import Durability
from freehold.errors import FreeholdError, OperatorError, StoreBusy
from freehold.store.database import Kind
from freehold.store.version import VERSION_TABLE

_CONNECT_S = 10
_MIGRATING = 0x66726565686F6C64
"""Key of the advisory lock that one migration at a time holds: 'freehold'."""


class PostgresDatabase:
    """One schema of one PostgreSQL database: the first on the connection's search path."""

    kind: Kind = "postgresql"
    path: Path | None = None

    def __init__(self, url: URL, durability: Durability, busy_s: float) -> None:
        try:
            import psycopg
        except ModuleNotFoundError:
            raise OperatorError("[store] url names a PostgreSQL database, and its driver is not installed: pip install 'freehold[postgres]'") from None
        self._errors = psycopg.errors
        self._driver_error: type[Exception] = psycopg.Error
        self.name = url.render_as_string(hide_password=True)
        self._password = url.password
        self._busy_s = busy_s
        self._url = url.set(drivername="postgresql+psycopg")
        settings = {"lock_timeout": f"{round(busy_s * 1000)}ms", **({"synchronous_commit": "on"} if durability == "power" else {})}
        self.reads = self._engine({"default_transaction_read_only": "on", "default_transaction_isolation": "repeatable\\ read"}, connections=16)
        self.writes = self._engine(settings, connections=4)

    def turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        with self.writes.begin() as connection:
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_MIGRATING,))
            yield connection

    def version(self, connection: Connection) -> str | None:
        if connection.exec_driver_sql(f"SELECT to_regclass('{VERSION_TABLE}')").scalar_one() is None:
            return None
        return str(connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar_one())  # noqa: S608 our own constant

    def committed(self) -> None:
        return

    def close(self) -> None:
        self.reads.dispose()
        self.writes.dispose()

    def explain(self, error: Exception) -> FreeholdError | None:
        if not isinstance(error, self._driver_error):
            return None
        said = self._said(error)
        errors = self._errors
        if isinstance(error, errors.LockNotAvailable | errors.DeadlockDetected | errors.SerializationFailure | errors.TooManyConnections):
            return StoreBusy(f"The journal {self.name} is busy: {said}. Nothing of this batch was stored; try again.")
        if isinstance(error, errors.DiskFull):
            return OperatorError(f"The disk of {self.name} is full. Nothing of this batch was stored. Make room on the server, then do it again.")
        if isinstance(error, errors.InsufficientPrivilege | errors.ReadOnlySqlTransaction):
            return OperatorError(f"The user of {self.name} may not do this: {said}. It needs to create and write tables in its schema.")
        if isinstance(error, errors.OperationalError):
            return OperatorError(f"Cannot reach {self.name}: {said}. Check [store] url, that the server runs, and that it lets this user in.")
        return OperatorError(f"The journal {self.name} failed: {said}.")

    def _said(self, error: Exception) -> str:
        """The server's own words in one line, without values of rows and without the password."""
        primary = getattr(getattr(error, "diag", None), "message_primary", None)
        said = " ".join(str(primary or error).split()).rstrip(".")
        return said.replace(self._password, "***") if self._password else said

    def _engine(self, settings: dict[str, str], connections: int) -> Engine:
        options = " ".join([*self._options(), *(f"-c {key}={value}" for key, value in settings.items())])
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
