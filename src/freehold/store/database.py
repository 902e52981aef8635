"""What a store needs of a database: connections to read with, one transaction at a time to write in, and its errors in our words."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, Engine

from freehold.errors import FreeholdError

Kind = Literal["sqlite", "postgresql"]


class Database(Protocol):
    """One of the databases a journal may live in."""

    kind: Kind
    """Which one it is, for what has to differ."""
    name: str
    """What it is called in messages: a path, or a URL without its password."""
    reads: Engine
    """Connections that see one snapshot and change nothing."""
    path: Path | None
    """The file, where there is one."""
    commits_at_once: bool
    """Whether a commit waits for no disk and no network, so that whoever may not wait may commit."""

    def writing(self, at_once: bool = False) -> AbstractContextManager[Connection]:
        """A transaction, durable when the block ends, rolled back where it raises. Raises StoreBusy; with `at_once` instead of waiting."""

    def renew(self) -> None:
        """Ends the connections that nobody uses."""

    def migrating(self) -> AbstractContextManager[Connection]:
        """A transaction in which the schema may change, and nobody else's does."""

    def version(self, connection: Connection) -> str | None:
        """The schema's version, with plain SQL; None for an empty database. Raises OperatorError when the tables are somebody else's."""

    def insert_new(self, connection: Connection, table: str, columns: Sequence[str], key: str, rows: Sequence[Sequence[Any]]) -> int:
        """Inserts those of `rows` whose `key` (the columns of a unique constraint) is new, and gives how many those were."""

    def insert_told(
        self, connection: Connection, table: str, columns: Sequence[str], key: str, rows: Sequence[Sequence[Any]], told: str
    ) -> set[Any]:
        """As `insert_new`, and gives what the new rows have in the column `told`."""

    def put(self, connection: Connection, table: str, columns: Sequence[str], key: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Inserts rows, or gives the row that has the same `key` their values."""

    def rows_of(
        self, connection: Connection, table: str, columns: Sequence[str], tenant: str, key: str, values: Sequence[str], is_held: bool
    ) -> list[Sequence[Any]]:
        """A tenant's rows whose column `key` is one of `values`; held, in order of arrival, nobody changes them before we are done."""

    def take(
        self, connection: Connection, table: str, columns: Sequence[str], tenant: str, key: str, values: Sequence[str]
    ) -> list[Sequence[Any]]:
        """Deletes a tenant's rows whose column `key` is one of `values`, and gives them."""

    def writers(self) -> tuple[str, ...]:
        """The transactions that may be adding to the journal at this moment; none where one at a time writes, for then no row is committed after
        one that has a later place."""

    def are_over(self, writers: Sequence[str]) -> bool:
        """Whether all of these transactions have ended."""

    def committed(self, at_once: bool = False) -> None:
        """Told after each commit; with `at_once` it does not wait."""

    def scrub(self) -> None:
        """Removes what deleted rows left behind in the files. Raises StoreBusy where a reader still holds on to it."""

    def explain(self, error: Exception) -> FreeholdError | None:
        """The database's error in words that say what to do; None when it is no error of the database."""

    def close(self) -> None:
        """Ends every connection."""
