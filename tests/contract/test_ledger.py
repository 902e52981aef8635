"""The ledger on each database: what is refused exceeds a limit, what is settled is settled once, and the balances are sums of the rows."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from freehold.catalog import Budget
from freehold.config import Config
from freehold.errors import DataError, FreeholdError, StoreBusy
from freehold.gateway.budget import NANO, BudgetExceeded, Scope, scopes_of
from freehold.gateway.expire import expire
from freehold.gateway.ledger import Account, Reservation, Settlement, balances_of, book
from freehold.gateway.recount import recount
from freehold.gateway.spending import Spending, spending, total
from freehold.gateway.tariff import released
from freehold.journal import read
from freehold.journal.call import Call
from freehold.journal.spool import Entry, Spool
from freehold.journal.write import Writer, append_each, append_many
from freehold.store.open import Store, open_store
from freehold.tables import TeamTable

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MakeCall = Callable[..., Call]
ANN = Account(key="ann", team="search", customer="acme", plan="basic", task="triage")
CONFIG = Config(budget=Budget(month_usd=10), teams={"search": TeamTable(budget=Budget(day_usd=5))})
SCOPES = scopes_of("ann", Budget(day_usd=2, total_usd=3), "search", CONFIG)


def reservation(call: str, amount_usd: float = 1.0, **fields: Any) -> Reservation:
    plain: dict[str, Any] = {
        "call": call,
        "account": ANN,
        "variant": "frontier",
        "at": NOON,
        "deadline": NOON + timedelta(minutes=10),
        "amount_nano": round(amount_usd * NANO),
        "scopes": SCOPES,
    }
    return Reservation(**plain | fields)


def settlement(call: str, cost_usd: float | None = 0.5, **fields: Any) -> Settlement:
    cost = None if cost_usd is None else round(cost_usd * NANO)
    plain: dict[str, Any] = {
        "call": call, "account": ANN, "variant": "frontier", "at": NOON, "input_tokens": 10, "output_tokens": 2, "cost_nano": cost,
        "charged_nano": cost or 0, "revenue_nano": 0, "is_reserved": True,
    }  # fmt: skip
    return Settlement(**plain | fields)


def booked(store: Store, settlements: list[Settlement] = [], reservations: list[Reservation] = []) -> dict[str, BudgetExceeded]:  # noqa: B006
    with store.writing() as connection:
        return book(store, connection, settlements, reservations)


def sums(store: Store, scope: str = "project") -> tuple[float, float]:
    """What is settled and what is held back, in USD; after a look at whether the rows say the same."""
    assert recount(store, "default") == []
    found = balances_of(store, "default", [scope])
    return (found[scope].settled / NANO, found[scope].reserved / NANO) if scope in found else (0.0, 0.0)


def kinds(store: Store) -> list[tuple[str, str]]:
    with store.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT call, kind FROM ledger ORDER BY seq")]


def test_what_is_reserved_is_held_back_until_it_is_settled(store: Store) -> None:
    """In each scope the call is in; and what it did cost is settled then."""
    assert booked(store, reservations=[reservation("a"), reservation("b", 0.5)]) == {}
    assert [sums(store, scope) for scope in ("key:ann", "team:search", "project")] == [(0.0, 1.5)] * 3
    booked(store, [settlement("a", 0.25)])
    assert [sums(store, scope) for scope in ("key:ann", "team:search", "project")] == [(0.25, 0.5)] * 3
    booked(store, [settlement("b", 0.5)])
    assert sums(store) == (0.75, 0.0)
    assert kinds(store) == [("a", "reserved"), ("b", "reserved"), ("a", "settled"), ("b", "settled")]


def test_a_call_is_refused_only_beyond_a_limit(store: Store) -> None:
    """Exactly at the limit it is allowed; of one group those are that fit, in their order."""
    refused = booked(store, reservations=[reservation("a", 1.5), reservation("b", 0.6), reservation("c", 0.5), reservation("d", 1e-9)])
    assert list(refused) == ["b", "d"] and sums(store) == (0.0, 2.0)
    why = refused["b"].why
    assert (why.scope, why.period, why.limit_nano, why.settled_nano, why.reserved_nano, why.asked_nano, why.after) == (
        "key:ann", "day", 2 * NANO, 0, 1_500_000_000, 600_000_000, 1,
    )  # fmt: skip
    assert str(refused["b"]) == (
        "The daily budget of key 'ann' is $2.00: $0.00 are spent, $1.50 are held back for calls under way, and this one may cost $0.60. "
        "It begins anew at 2026-03-05 00:00 UTC."
    )
    booked(store, [settlement("a", 0.5)])
    assert booked(store, reservations=[reservation("d", 1.0)]) == {}


def test_scopes_nest(store: Store) -> None:
    """A team's limit holds for its keys together, the project's for everybody."""
    for key in ("ann", "bob", "eve"):
        assert (
            booked(store, reservations=[reservation(key, 2.0, account=Account(key=key, team="search"), scopes=SCOPES[1:])]) == {}
            or key == "eve"
        )
    other = Account(key="zoe")
    month = scopes_of("zoe", Budget(), None, CONFIG)
    assert booked(store, reservations=[reservation("z", 6.0, account=other, scopes=month)]) == {}
    refused = booked(store, reservations=[reservation("y", 1e-9, account=other, scopes=month)])
    assert (refused["y"].why.scope, refused["y"].why.period) == ("project", "month")
    assert sums(store, "team:search") == (0.0, 4.0) and sums(store, "key:zoe") == (0.0, 6.0)


def test_a_scope_without_limits_needs_no_reservation() -> None:
    assert scopes_of("bob", Budget(), None, Config()) == ()
    assert [scope.name for scope in SCOPES] == ["key:ann", "team:search", "project"]
    assert scopes_of(None, Budget(), None, CONFIG) == (Scope("project", None, 10 * NANO, None),)


def test_a_day_and_a_month_begin_anew_and_the_total_does_not(store: Store) -> None:
    for day, call in ((0, "a"), (1, "b")):
        at = NOON + timedelta(days=day)
        assert (
            booked(
                store,
                reservations=[
                    reservation(call, 1.5, at=at),
                ],
            )
            == {}
        )
        booked(store, [settlement(call, 1.4, at=at)])
    assert booked(store, reservations=[reservation("c", 0.3, at=NOON + timedelta(days=40))])["c"].why.period == "total"
    assert booked(store, reservations=[reservation("c", 0.2, at=NOON + timedelta(days=40))]) == {}
    found = balances_of(store, "default", ["project"])["project"]
    assert (found.day_settled, found.month_settled, found.settled) == (0, 0, 2_800_000_000)
    assert (found.day_reserved, found.month_reserved, found.reserved) == (200_000_000,) * 3
    assert recount(store, "default") == []


def test_a_call_counts_in_the_day_it_was_asked_in(store: Store) -> None:
    """Settled after midnight, it is no part of the new day."""
    booked(store, reservations=[reservation("a", 1.5)])
    tomorrow = NOON + timedelta(days=1)
    assert booked(store, [settlement("a", 1.5)], [reservation("b", 1.5, at=tomorrow)]) == {}
    found = balances_of(store, "default", ["key:ann"])["key:ann"]
    assert (found.day_settled, found.day_reserved, found.settled) == (0, 1_500_000_000, 1_500_000_000)
    assert recount(store, "default") == []


def test_a_clock_that_lags_behind_books_into_the_day_that_has_begun(store: Store) -> None:
    """The sums of a day that is over are not there any more."""
    booked(store, reservations=[reservation("a", 1.5, at=NOON + timedelta(days=1))])
    refused = booked(store, reservations=[reservation("b", 1.0)])
    assert refused["b"].why.reserved_nano == 1_500_000_000
    assert recount(store, "default") == []


def test_settling_again_adds_nothing(store: Store, a_call: MakeCall) -> None:
    """Not in the same group, not later, not with another amount; and the journal's row comes with it."""
    entry = Entry(a_call(1), (), settlement(a_call(1).id, 0.5, is_reserved=False))
    assert append_each(store, [entry, entry]) == [None, None]
    append_each(store, [entry, Entry(a_call(2), (), settlement(a_call(2).id, 0.25, is_reserved=False))])
    booked(store, [settlement(a_call(1).id, 99.0)])
    assert sums(store) == (0.75, 0.0)
    assert read.counts(store, "default").calls == 2


def test_what_came_to_nothing_is_free_again_and_no_call(store: Store) -> None:
    booked(store, reservations=[reservation("a")])
    booked(store, [released("a", ANN, NOON)])
    assert sums(store) == (0.0, 0.0)
    assert spending(store, "default", "key") == []


def test_a_second_reservation_of_a_call_fails_alone(store: Store) -> None:
    ended = append_each(store, [reservation("a", 0.1), reservation("b", 0.1), reservation("a", 0.1)])
    assert [type(error) for error in ended] == [type(None), type(None), DataError]
    assert sums(store) == (0.0, 0.2)


def test_an_unknown_cost_is_counted_and_the_estimate_charged(store: Store) -> None:
    booked(store, reservations=[reservation("a", 1.0)])
    booked(store, [settlement("a", None, charged_nano=NANO), settlement("b", None, is_reserved=False)])
    assert sums(store) == (1.0, 0.0)
    (row,) = spending(store, "default", "key")
    assert (row.calls, row.unknown_costs, row.cost_usd, row.charged_usd) == (2, 2, 0, 1)


def test_after_a_kill_a_reservation_expires_at_its_deadline(store: Store) -> None:
    """It is charged and marked, for nobody knows what it cost."""
    booked(store, reservations=[reservation("a"), reservation("b", 0.5, deadline=NOON + timedelta(hours=1))])
    assert expire(store, "default", NOON) == 0
    assert expire(store, "default", NOON + timedelta(minutes=10)) == 1
    assert expire(store, "default", NOON + timedelta(minutes=10)) == 0
    assert sums(store) == (1.0, 0.5)
    assert kinds(store)[2:] == [("a", "expired")]
    (row,) = spending(store, "default", "customer")
    assert (row.name, row.calls, row.unknown_costs, row.cost_usd, row.charged_usd) == ("acme", 1, 1, 0, 1)


def test_what_is_settled_after_it_expired_replaces_the_estimate(store: Store) -> None:
    """The spool may come in late. Once."""
    booked(store, reservations=[reservation("a")])
    expire(store, "default", NOON + timedelta(hours=1))
    for _ in range(2):
        booked(store, [settlement("a", 0.25)])
    assert sums(store) == (0.25, 0.0)
    assert kinds(store) == [("a", "reserved"), ("a", "expired"), ("a", "settled"), ("a", "reversed")]
    (row,) = spending(store, "default", "key")
    assert (row.calls, row.unknown_costs, float(row.cost_usd), float(row.charged_usd)) == (1, 0, 0.25, 0.25)


def test_what_is_settled_late_counts_where_its_reservation_did(store: Store) -> None:
    """Which is the next day, where that had begun when it was made; the day before may be full by then."""
    tomorrow = NOON + timedelta(days=1)
    booked(store, reservations=[reservation("a", 0.1, at=tomorrow, deadline=tomorrow + timedelta(minutes=10))])
    booked(store, reservations=[reservation("b", 1.0)])
    expire(store, "default", NOON + timedelta(minutes=10))
    booked(store, [settlement("b", 0.5)])
    days = [(row.name, float(row.charged_usd)) for row in spending(store, "default", "day")]
    assert days == [("2026-03-05", 0.5)] and sums(store) == (0.5, 0.1)


def test_one_who_settles_and_one_who_expires_agree(store: Store, store_url: str, tmp_path: Path) -> None:
    """Whoever comes first: what is charged in the end is the cost."""
    calls = [f"call {n}" for n in range(60)]
    booked(store, reservations=[reservation(call, 0.01) for call in calls])
    with open_store(store_url, tmp_path, busy_s=20.0) as other, ThreadPoolExecutor(2) as threads:
        settling = threads.submit(lambda: [booked(store, [settlement(call, 0.005)]) for call in calls])
        expiring = threads.submit(lambda: [expire(other, "default", NOON + timedelta(hours=1)) for _ in range(10)])
        settling.result()
        expiring.result()
    assert sums(store) == (pytest.approx(0.3), 0.0)


def test_two_processes_at_the_limit_let_exactly_so_much_through(store: Store, store_url: str, tmp_path: Path) -> None:
    """Two stores, as two processes have them, and a budget for thirty of eighty calls; the balances did not exist before."""

    def ask(one: Store, name: str) -> int:
        return 40 - sum(len(booked(one, reservations=[reservation(f"{name} {n}", 0.05, scopes=SCOPES[:1])])) for n in range(40))

    with open_store(store_url, tmp_path, busy_s=20.0) as other, ThreadPoolExecutor(2) as threads:
        through = sum(done.result() for done in [threads.submit(ask, store, "first"), threads.submit(ask, other, "second")])
    assert through == 40 and sums(store) == (0.0, 2.0)


def test_no_tenant_spends_anothers_budget(store: Store) -> None:
    theirs = Account(tenant="other", key="ann", team="search")
    assert booked(store, [], [reservation("a", 2.0), reservation("b", 2.0, account=theirs)]) == {}
    assert recount(store, "default") == recount(store, "other") == []
    assert [found.reserved for found in balances_of(store, "other", ["project"]).values()] == [2 * NANO]
    assert spending(store, "third", "key") == []


def test_a_balance_that_was_tampered_with_is_found(store: Store) -> None:
    booked(store, [settlement("a", 0.5)], [reservation("b", 0.25)])
    with store.writing() as connection:
        connection.exec_driver_sql("UPDATE balances SET settled = settled - 1 WHERE scope = 'team:search'")
        connection.exec_driver_sql("DELETE FROM reservations")
    found = recount(store, "default")
    assert [(one.scope, one.what) for one in found] == [("team:search", "settled"), ("project", "reservations")]
    assert (found[0].in_rows - found[0].kept, found[1].in_rows, found[1].kept) == (1, 250_000_000, 0)


@pytest.mark.parametrize("by", ["customer", "plan", "task", "model", "key", "team", "day"])
def test_usage_adds_up_to_the_ledger(store: Store, by: Any) -> None:
    """To the billionth, however it is put together."""
    accounts = [Account(), ANN, Account(key="bob", customer="bee", plan="excellent")]
    settlements = [
        settlement(
            f"call {n}", None if n % 7 == 0 else 0.1 + n * 1e-9, account=accounts[n % 3], variant=f"v{n % 2}",
            at=NOON + timedelta(hours=n), revenue_nano=n, input_tokens=n,
        )
        for n in range(50)
    ]  # fmt: skip
    booked(store, settlements)
    rows = spending(store, "default", by)
    together = total(rows)
    assert together.calls == 50 and together.unknown_costs == 8 and together.input_tokens == sum(range(50))
    assert round(together.cost_usd * NANO) == sum(one.cost_nano or 0 for one in settlements)
    assert round(together.revenue_usd * NANO) == sum(range(50))
    assert together.margin_usd == together.revenue_usd - together.cost_usd
    assert len({row.name for row in rows}) == len(rows)
    parts = [spending(store, "default", by, NOON + timedelta(hours=10)), spending(store, "default", by, None, NOON + timedelta(hours=10))]
    assert [total(part).calls for part in parts] == [40, 10]


def test_days_are_named_and_stand_in_their_order(store: Store) -> None:
    booked(store, [settlement("a", 1.0, at=NOON + timedelta(days=1)), settlement("b", 2.0)])
    assert [row.name for row in spending(store, "default", "day")] == ["2026-03-04", "2026-03-05"]
    assert isinstance(spending(store, "default", "key")[0], Spending)


async def reserved(writer: Writer, one: Reservation) -> FreeholdError | None:
    future: asyncio.Future[FreeholdError | None] = asyncio.get_running_loop().create_future()
    writer.reserve(one, future.set_result)
    return await future


async def settled(writer: Writer, call: Call, one: Settlement) -> FreeholdError | None:
    future: asyncio.Future[FreeholdError | None] = asyncio.get_running_loop().create_future()
    writer.submit(call, (), future.set_result, one)
    return await future


def test_the_writer_reserves_and_settles_in_groups(store: Store, a_call: MakeCall) -> None:
    """Some are refused, each is told, and calls and their settlements are there together."""

    async def serve() -> list[FreeholdError | None]:
        writer = Writer(store)

        async def one(n: int) -> FreeholdError | None:
            call = a_call(n)
            error = await reserved(writer, reservation(call.id, 0.1, scopes=SCOPES[:1]))
            if error is None:
                assert await settled(writer, call, settlement(call.id, 0.1)) is None
            return error

        ended = await asyncio.gather(*(one(n) for n in range(50)))
        await writer.close()
        return list(ended)

    ended = asyncio.run(serve())
    assert sum(error is None for error in ended) == 20
    assert all(error is None or isinstance(error, BudgetExceeded) for error in ended)
    assert sums(store) == (2.0, 0.0)
    assert read.counts(store, "default").calls == 20


@contextmanager
def locked(store_url: str, folder: Path) -> Iterator[None]:
    """A store that somebody else keeps from being written."""
    with open_store(store_url, folder) as other, other.writing() as connection:
        if other.kind == "postgresql":
            connection.exec_driver_sql("LOCK TABLE calls, balances IN EXCLUSIVE MODE")
        yield


@pytest.mark.parametrize("on_failure", ["spool", "best_effort", "required"])
def test_while_the_store_is_down(store_url: str, tmp_path: Path, a_call: MakeCall, on_failure: str) -> None:
    """Our failure is not the product's: reservations are let through, and what was spent comes in with the spool; but not where it is required."""
    spool = Spool(tmp_path / "spool") if on_failure == "spool" else None

    async def serve(store: Store) -> list[FreeholdError | None]:
        writer = Writer(store, spool, best_effort=on_failure == "best_effort")
        call = a_call(1)
        with locked(store_url, tmp_path):
            ended = [await reserved(writer, reservation(call.id, 99.0)), await settled(writer, call, settlement(call.id, 0.5))]
        assert writer.unchecked == (0 if on_failure == "required" else 1)
        while writer.has_spooled:
            await asyncio.sleep(0.01)
        await writer.close()
        return ended

    with open_store(store_url, tmp_path, busy_s=0.1) as store:
        ended = asyncio.run(asyncio.wait_for(serve(store), 60))
        if on_failure == "required":
            assert all(isinstance(error, StoreBusy) for error in ended)
        elif on_failure == "spool":
            assert ended == [None, None] and sums(store) == (0.5, 0.0)


def test_what_waits_in_the_spool_is_settled_once(store: Store, tmp_path: Path, a_call: MakeCall) -> None:
    """Also where the store had taken it, and only the word that it had was lost."""
    booked(store, reservations=[reservation(a_call(1).id), reservation(a_call(2).id, 0.5)])
    entries = [Entry(a_call(n), (), settlement(a_call(n).id, 0.1)) for n in (1, 2)]
    append_each(store, entries[:1])
    spool = Spool(tmp_path / "spool")
    spool.append(entries)
    assert sum(spool.bring_in(partial(append_each, store))) == 2
    assert sums(store) == (0.2, 0.0)
    assert msgspec.json.decode(msgspec.json.encode(entries[0]), type=Entry) == entries[0]


def test_a_record_that_cannot_be_stored_is_not_settled_either(store: Store, a_call: MakeCall) -> None:
    bad = a_call(1, output=object())
    ended = append_each(store, [Entry(bad, (), settlement(bad.id)), Entry(a_call(2), (), settlement(a_call(2).id))])
    assert [type(error) for error in ended] == [DataError, type(None)]
    assert sums(store) == (0.5, 0.0)


def test_an_import_books_nothing(store: Store, a_call: MakeCall) -> None:
    append_many(store, [a_call(1)])
    assert kinds(store) == []
