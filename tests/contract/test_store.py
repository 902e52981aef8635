"""A store on each database: transactions, one schema that grows, and refusals that say what to do."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from freehold.errors import OperatorError, StoreTooNew
from freehold.journal import read
from freehold.journal.call import Call
from freehold.journal.rows import CALL_COLUMNS, call_row
from freehold.journal.write import append_many
from freehold.store import schema
from freehold.store.open import Store, database_at, open_store, parsed_url
from freehold.store.version import HEAD, VERSION_TABLE

MakeCall = Callable[..., Call]


def a_policy(**fields: Any) -> dict[str, Any]:
    plain = {"tenant": "default", "task": "t", "hash": "h", "source": "task t", "origin": "person:ann", "created_at": 1}
    return plain | fields


def test_a_transaction_is_committed_when_its_block_ends(store: Store) -> None:
    with store.writing() as connection:
        connection.execute(insert(schema.policies).values(a_policy()))
    with store.reading() as connection:
        assert connection.execute(select(schema.policies.c.hash)).scalars().all() == ["h"]


def test_a_transaction_whose_block_raises_leaves_nothing(store: Store) -> None:
    def fail() -> None:
        with store.writing() as connection:
            connection.execute(insert(schema.policies).values(a_policy()))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fail()
    with store.reading() as connection:
        assert connection.execute(select(schema.policies)).all() == []


def test_a_reading_connection_changes_nothing(store: Store) -> None:
    with pytest.raises(OperatorError), store.reading() as connection:
        connection.execute(insert(schema.policies).values(a_policy()))


def test_a_reader_sees_one_moment_and_nobody_waits_for_it(store: Store) -> None:
    """While it reads, a writer commits; it keeps seeing what was there when it began."""
    with store.reading() as reader:
        assert reader.execute(select(schema.policies)).all() == []
        with store.writing() as writer:
            writer.execute(insert(schema.policies).values(a_policy()))
        assert reader.execute(select(schema.policies)).all() == []
    with store.reading() as reader:
        assert len(reader.execute(select(schema.policies)).all()) == 1


def test_readers_do_not_wait_for_a_writer(store: Store) -> None:
    """Not even while it is in the middle of its transaction."""
    with store.writing() as writer:
        writer.execute(insert(schema.policies).values(a_policy()))
        with store.reading() as reader:
            assert reader.execute(select(schema.policies)).all() == []


def test_writers_take_turns(store: Store) -> None:
    """Twenty threads that read a number and write the next one: none is lost on SQLite, where writers queue."""
    if store.kind != "sqlite":
        return

    def one() -> None:
        for _ in range(5):
            with store.writing() as connection:
                newest = connection.execute(select(schema.policies.c.created_at).order_by(schema.policies.c.seq.desc())).scalars().first()
                connection.execute(insert(schema.policies).values(a_policy(created_at=(newest or 0) + 1)))

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as connection:
        assert connection.execute(select(schema.policies.c.created_at).order_by(schema.policies.c.seq)).scalars().all() == list(
            range(1, 101)
        )


def test_the_schema_is_what_its_migrations_make(store: Store) -> None:
    """Alembic's own comparison finds no difference between the tables in `schema.py` and those in the database."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from freehold.store.migrate import SCRIPTS

    with store.reading() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        assert [
            difference
            for difference in compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata)
            if "comment" not in str(difference)
        ] == []
    assert ScriptDirectory(SCRIPTS).get_current_head() == HEAD


def test_an_older_journal_opens_and_keeps_its_calls(store_url: str, tmp_path: Path, a_call: MakeCall) -> None:
    """One made by version 0001, which had fewer columns and tables, with a call in it."""
    from freehold.store.migrate import migrate

    database = database_at(parsed_url(store_url), tmp_path, "process", 5.0)
    columns = [column for column in CALL_COLUMNS if column != "body_digest"]
    row = call_row(a_call(1, input=None))
    with database.migrating() as connection:
        migrate(connection, "0001")
        database.insert_new(connection, "calls", columns, "id", [row.values[:-1]])
    database.close()
    with open_store(store_url, tmp_path) as store:
        assert read.find_call(store, "default", a_call(1).id) == a_call(
            1, input=None, output_digest=row.values[CALL_COLUMNS.index("output_digest")]
        )
        assert append_many(store, [a_call(1, input=None), a_call(2)]).added == 1
        with store.reading() as connection:
            assert store.database.version(connection) == HEAD
            assert connection.execute(select(schema.draws)).all() == []


def test_a_newer_journal_is_refused(store_url: str, tmp_path: Path) -> None:
    with open_store(store_url, tmp_path) as store, store.writing() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    with pytest.raises(StoreTooNew, match=rf"schema version 0999; this Freehold knows {HEAD} and older\. Upgrade Freehold"):
        open_store(store_url, tmp_path)


def test_opening_an_up_to_date_journal_imports_no_alembic(store: Store, store_url: str, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from freehold.store.open import open_store\n"
        f"open_store({store_url!r}, Path({str(tmp_path)!r})).close()\nassert 'alembic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_two_processes_may_open_an_empty_store_at_once(store_url: str, tmp_path: Path) -> None:
    """One migrates, the others wait for it."""
    program = (
        f"from pathlib import Path; from freehold.store.open import open_store\nopen_store({store_url!r}, Path({str(tmp_path)!r})).close()"
    )
    running = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]


@pytest.mark.parametrize(
    "url",
    [
        "mysql://root:hunter2@host/db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///x.db?mode=ro",
        "no url",
        "postgresql://u:hunter2@h:port/d",
    ],
)
def test_a_url_that_is_no_store_is_refused(url: str, tmp_path: Path) -> None:
    """With an example of one that is, and without a password."""
    with pytest.raises(OperatorError, match=r"sqlite:///freehold\.db or postgresql://user@host/database") as refused:
        open_store(url, tmp_path)
    assert "hunter2" not in str(refused.value)
