"""PostgreSQL as a store: what it says when it cannot be reached, and what it cannot store."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from freehold.errors import DataError, OperatorError, StoreBusy
from freehold.journal.call import Call
from freehold.journal.write import append_many
from freehold.store.open import database_at, open_store, parsed_url

MakeCall = Callable[..., Call]
pytestmark = pytest.mark.postgres


def test_a_missing_driver_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None\nfrom pathlib import Path; from freehold.store.open import open_store\n"
        "from freehold.errors import OperatorError\n"
        "try: open_store('postgresql://host/db', Path('.'))\nexcept OperatorError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60).stdout
    assert "pip install 'freehold[postgres]'" in said


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"Cannot reach postgresql://ann:\*\*\*@127\.0\.0\.1:1/db: .*Check \[store\] url") as refused:
        open_store("postgresql://ann:hunter2@127.0.0.1:1/db", tmp_path)
    chain: BaseException | None = refused.value
    while chain is not None:
        assert "hunter2" not in str(chain)
        chain = chain.__cause__ or chain.__context__


def test_text_with_a_nul_is_refused_by_name(postgres_url: str, tmp_path: Path, a_call: MakeCall) -> None:
    """PostgreSQL cannot store one in a name; within an input or an answer it can."""
    with open_store(postgres_url, tmp_path) as store:
        assert append_many(store, [a_call(1, input="a\0b", output="\0")]).added == 1
        with pytest.raises(DataError, match=rf"item of '{a_call(2).id}' in calls holds a NUL character"):
            append_many(store, [a_call(2, item="a\0b")])
        with pytest.raises(DataError, match="holds a NUL"):
            append_many(store, [a_call(n, item=f"a\0{n}") for n in range(2, 500)])


def test_a_lock_held_too_long_is_told(postgres_url: str, tmp_path: Path, a_call: MakeCall) -> None:
    with open_store(postgres_url, tmp_path) as first, open_store(postgres_url, tmp_path, busy_s=0.2) as second:
        with first.writing() as connection:
            connection.exec_driver_sql("LOCK TABLE calls IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(StoreBusy, match="is busy"):
                append_many(second, [a_call(1)])
        assert append_many(second, [a_call(1)]).added == 1


def test_another_migration_is_waited_for_longer_than_a_row(postgres_url: str, tmp_path: Path) -> None:
    """Every project of a server takes its turn at it."""
    with closing(database_at(parsed_url(postgres_url), tmp_path, "process", 5.0)) as other, ThreadPoolExecutor(1) as thread:
        with other.migrating():
            opening = thread.submit(open_store, postgres_url, tmp_path, busy_s=0.1)
            with pytest.raises(TimeoutError):
                opening.result(0.5)
        opening.result(30).close()


def test_the_servers_words_carry_no_content(postgres_url: str, tmp_path: Path) -> None:
    """A row that breaks a rule is not quoted, in no link of the error's chain that is ours."""
    with open_store(postgres_url, tmp_path) as store, pytest.raises(OperatorError) as refused, store.writing() as connection:
        connection.exec_driver_sql("INSERT INTO policies (tenant, task) VALUES ('my secret', 'x')")
    assert "my secret" not in str(refused.value)
