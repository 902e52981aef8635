"""What tests of the journal share: a store of each kind, empty and their own, and records to put into it."""

import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from freehold.journal.call import Call, Feedback
from freehold.store.open import Store, open_store

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # whoever runs the tests may ignore it, and processes of tests would as well
    signal.signal(signal.SIGINT, signal.default_int_handler)

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def new_postgres_url() -> Iterator[Callable[[], str]]:
    """Makes schemas on the test server, each of its own and empty, and drops them afterwards."""
    server = os.environ.get("FREEHOLD_TEST_POSTGRES")
    if not server:
        pytest.skip("no PostgreSQL: FREEHOLD_TEST_POSTGRES names none")
    import psycopg

    schemas: list[str] = []
    with psycopg.connect(server, autocommit=True) as connection:

        def new() -> str:
            schemas.append(f"freehold_{uuid4().hex}")
            connection.execute(f"CREATE SCHEMA {schemas[-1]}")
            return f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schemas[-1]}"

        yield new
        connection.execute("SET client_min_messages = warning")
        for schema in schemas:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def postgres_url(new_postgres_url: Callable[[], str]) -> str:
    """The URL of an empty store on PostgreSQL."""
    return new_postgres_url()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new_store_url(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Makes the URLs of empty stores of each kind; SQLite's are relative to the project's folder."""
    if request.param == "postgresql":
        new: Callable[[], str] = request.getfixturevalue("new_postgres_url")
        return new
    names = iter(["sqlite:///freehold.db", "sqlite:///second.db", "sqlite:///third.db"])
    return lambda: next(names)


@pytest.fixture
def store_url(new_store_url: Callable[[], str]) -> str:
    """The URL of an empty store of each kind."""
    return new_store_url()


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[Store]:
    """An open store of each kind, in a folder of its own."""
    with open_store(store_url, tmp_path, busy_s=5.0) as opened:
        yield opened


@pytest.fixture
def a_call() -> Callable[..., Call]:
    """Makes a call: `a_call(3)` is always the same one, `a_call(3, output="x")` says something else under the same id."""

    def make(n: int = 0, **fields: Any) -> Call:
        plain: dict[str, Any] = {
            "id": blake2b(f"call {n}".encode(), digest_size=16).hexdigest(),
            "task": "triage",
            "variant": "frontier",
            "item": f"item-{n:06}",
            "input": f"What of my card number {n}?",
            "output": {"queue": "cards", "n": n},
            "cost_usd": 0.001,
            "price_id": "recorded",
            "latency_s": 0.5,
            "at": NOON + timedelta(seconds=n),
            "shape": "0123456789",
        }
        return Call(**plain | fields)

    return make


@pytest.fixture
def a_score() -> Callable[..., Feedback]:
    """Makes a score of a call."""

    def make(call: Call, value: float | None = 1.0, **fields: Any) -> Feedback:
        plain: dict[str, Any] = {
            "id": blake2b(f"{call.id} {fields.get('metric', 'correct')}".encode(), digest_size=16).hexdigest(),
            "call": call.id,
            "metric": "correct",
            "value": value,
            "source": "import",
            "at": NOON,
        }
        return Feedback(**plain | fields)

    return make
