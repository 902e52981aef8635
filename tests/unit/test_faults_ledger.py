"""What bench/faults.py holds the ledger to: every kind of fault, planted into a small ledger, is found and called by its name."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bench.faults_ledger import WRONG, Deaths, ledger_of

from freehold.gateway.budget import nano
from freehold.gateway.ledger import Account, Reservation, Settlement, book
from freehold.journal.call import Call
from freehold.store.open import Store, open_store

NOW = datetime.now(UTC)
ANN = Account(key="ann")
FOUND = {id: Call(id=id, variant="gpt", item=id, cost_usd=cost) for id, cost in {"a": 0.25, "b": None}.items()}
"""The journal's calls: one whose cost is known, one whose cost nobody knows. `c` died, and `d` came to nothing."""
DIED = Deaths(1, 1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A ledger in which all is right."""
    store = open_store("sqlite:///freehold.db", tmp_path)
    held = [
        Reservation(call=id, account=ANN, at=NOW, deadline=NOW + timedelta(minutes=10), amount_nano=nano(1), scopes=()) for id in "abcd"
    ]
    ended = [
        Settlement(call="a", account=ANN, at=NOW, cost_nano=nano(0.25), charged_nano=nano(0.25), is_reserved=True),
        Settlement(call="b", account=ANN, at=NOW, charged_nano=nano(1), is_reserved=True),
        Settlement(call="d", account=ANN, at=NOW, is_reserved=True, kind="released"),
    ]
    with store.writing() as connection:
        book(store, connection, [], held)
    with store.writing() as connection:
        book(store, connection, ended)
    return store


def wrong(store: Store, deaths: Deaths = DIED, found: dict[str, Call] = FOUND) -> set[str]:
    with store:
        told = ledger_of(store, found, deaths)
    return {name for name in WRONG if told[name]}


def test_nothing_is_found_where_all_is_right(store: Store) -> None:
    """What `c` held back expires at its estimate while it is looked at."""
    assert wrong(store) == set()


ROW = "INSERT INTO ledger (tenant, call, kind, at, key, charged_nano, reserved_nano) VALUES ('default', {}, 0, 'ann', {}, {})"


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("DELETE FROM ledger WHERE call = 'a' AND kind = 'settled'", {"unsettled", "left_reserved", "differences"}),
        (ROW.format("'x', 'settled'", 1, 0), {"unsettled", "differences"}),
        ("UPDATE ledger SET cost_nano = 7, charged_nano = 7 WHERE call = 'a' AND kind = 'settled'", {"wrong_charge", "differences"}),
        ("UPDATE ledger SET charged_nano = 0 WHERE call = 'b' AND kind = 'settled'", {"wrong_charge", "differences"}),
        ("UPDATE ledger SET cost_nano = 5 WHERE call = 'b' AND kind = 'settled'", {"wrong_charge"}),
        ("UPDATE ledger SET reserved_nano = 0 WHERE call = 'a' AND kind = 'settled'", {"wrong_charge", "left_reserved", "differences"}),
        ("UPDATE ledger SET reserved_nano = 0 WHERE call = 'd' AND kind = 'released'", {"left_reserved", "differences"}),
        # expires at something else than was held back for it
        ("UPDATE reservations SET amount_nano = 5 WHERE call = 'c'", {"wrong_charge", "left_reserved", "differences"}),
        # is not held back any more, and never expired
        ("DELETE FROM reservations WHERE call = 'c'", {"held_wrongly", "left_reserved", "differences"}),
        # expired, though nothing was held back for it
        (ROW.format("'x', 'expired'", 0, 0), {"wrong_charge", "left_reserved"}),
        # is held back for a call that the ledger does not know
        (
            "INSERT INTO reservations (tenant, call, at, deadline, amount_nano) VALUES ('default', 'x', 0, 0, 5)",
            {"held_wrongly", "differences"},
        ),
        ("UPDATE balances SET settled = settled + 1 WHERE scope = 'project'", {"differences"}),
    ],
)
def test_a_fault_is_found(store: Store, fault: str, found: set[str]) -> None:
    with store.writing() as connection:
        connection.exec_driver_sql(fault)
    assert wrong(store) == found


def test_what_expired_at_something_else_than_was_held_back_is_a_wrong_charge(store: Store) -> None:
    """Also where the balances, and what is held back, say the same as its row."""
    expired = f"INSERT INTO ledger (tenant, call, kind, at, key, charged_nano, reserved_nano) SELECT tenant, call, 'expired', at, key, 7, -{nano(1)}"
    with store.writing() as connection:
        connection.exec_driver_sql(f"{expired} FROM ledger WHERE call = 'c'")
        connection.exec_driver_sql("DELETE FROM reservations WHERE call = 'c'")
        connection.exec_driver_sql(
            f"UPDATE balances SET day_settled = day_settled + 7, month_settled = month_settled + 7, settled = settled + 7, "
            f"day_reserved = day_reserved - {nano(1)}, month_reserved = month_reserved - {nano(1)}, reserved = reserved - {nano(1)}"
        )
    assert wrong(store, Deaths(0, 0)) == {"wrong_charge", "left_reserved"}


@pytest.mark.parametrize("deaths", [Deaths(0, 0), Deaths(2, 3)])
def test_neither_more_nor_less_may_be_held_back_than_died(store: Store, deaths: Deaths) -> None:
    assert wrong(store, deaths) == {"held_wrongly"}
