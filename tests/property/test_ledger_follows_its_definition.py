"""However calls are reserved, settled, released, expired and told again: what is refused is what the definition refuses, and no sum is off."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.gateway.budget import DAY_US, BudgetExceeded, Scope, month_of, scope_names
from freehold.gateway.expire import expire
from freehold.gateway.ledger import Account, Reservation, Settlement, balances_of, book
from freehold.gateway.recount import recount
from freehold.gateway.spending import spending, total
from freehold.gateway.tariff import released
from freehold.store.open import Store, open_store
from freehold.store.times import microseconds, moment

BEGAN = datetime(2026, 2, 27, tzinfo=UTC)
ACCOUNTS = [Account(), Account(key="a"), Account(key="a", team="t"), Account(key="b", team="t")]
LIMITS = {"project": Scope("project", 60, 150, None), "team:t": Scope("team:t", 40, None, 120), "key:a": Scope("key:a", None, 50, None)}


class Movement(NamedTuple):
    """What a row does, in the words of the definition."""

    scopes: tuple[str, ...]
    day: int
    settled: int
    reserved: int


class Model:
    """The definition, word by word: sums over everything that ever happened."""

    def __init__(self) -> None:
        self.movements: list[Movement] = []
        self.live: dict[str, tuple[Reservation, int]] = {}
        self.expired: dict[str, tuple[Reservation, int]] = {}
        self.ended: set[tuple[str, str]] = set()
        self.reserved: set[str] = set()

    def refuses(self, one: Reservation) -> bool:
        day = self.day_of(one)
        for scope in one.scopes:
            theirs = [move for move in self.movements if scope.name in move.scopes]
            periods = (
                (scope.day_nano, [move for move in theirs if move.day == day]),
                (scope.month_nano, [move for move in theirs if month_of(move.day) == month_of(day)]),
                (scope.total_nano, theirs),
            )
            if any(limit is not None and sum(m.settled + m.reserved for m in moves) + one.amount_nano > limit for limit, moves in periods):
                return True
        return False

    def day_of(self, one: Reservation) -> int:
        return max([microseconds(one.at) // DAY_US, *(move.day for move in self.movements)])

    def add(self, account: Account, day: int, settled: int, reserved: int) -> None:
        self.movements.append(Movement(scope_names(account.key, account.team), day, settled, reserved))

    def reserve(self, one: Reservation) -> None:
        day = self.day_of(one)
        self.live[one.call] = (one, day)
        self.reserved.add(one.call)
        self.add(one.account, day, 0, one.amount_nano)

    def settle(self, one: Settlement) -> None:
        if (one.call, one.kind) in self.ended:
            return
        self.ended.add((one.call, one.kind))
        held, day = self.live.pop(one.call, (None, microseconds(one.at) // DAY_US))
        if one.call in self.expired:
            day = self.expired[one.call][1]
        self.add(one.account, day, one.charged_nano, -held.amount_nano if held else 0)
        if one.call in self.expired:
            late, day = self.expired.pop(one.call)
            self.add(late.account, day, -late.amount_nano, 0)

    def expire(self, now: datetime) -> None:
        for call, (one, day) in [*self.live.items()]:
            if one.deadline <= now:
                del self.live[call]
                self.expired[call] = (one, day)
                self.add(one.account, day, one.amount_nano, -one.amount_nano)


class Step(NamedTuple):
    """One transaction, some hours after the last."""

    hours: int
    reserve: list[tuple[int, int, int]]
    """Who (an account) for how much, and by how many hours their clock lags behind."""
    settle: list[tuple[int, int, int]]
    """Which of the calls made so far, at how much, and how: known, unknown or not asked."""
    expires: bool


calls = st.integers(0, 40)
steps = st.builds(
    Step,
    st.sampled_from([0, 0, 1, 5, 13, 24 * 20]),
    st.lists(st.tuples(st.integers(0, len(ACCOUNTS) - 1), st.integers(0, 30), st.sampled_from([0, 0, 0, 7, 30])), max_size=4),
    st.lists(st.tuples(calls, st.integers(0, 30), st.integers(0, 2)), max_size=4),
    st.booleans(),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, max_size=12))
def test_whatever_happens_the_ledger_follows_the_definition(history: list[Step]) -> None:
    with TemporaryDirectory() as folder, open_store("sqlite:///ledger.db", Path(folder)) as store:
        model, now, made = Model(), BEGAN, list[Reservation]()
        for step in history:
            now += timedelta(hours=step.hours)
            settlements = [_settlement(made[n % len(made)], cost, how) for n, cost, how in step.settle if made]
            asked = [
                _reservation(len(made) + n, ACCOUNTS[who], amount, now - timedelta(hours=lag))
                for n, (who, amount, lag) in enumerate(step.reserve)
            ]
            made += asked
            refused = _booked(store, settlements, asked)
            first = {one.call: one for one in reversed(settlements)}  # of two for one call in a transaction
            for one in sorted(first.values(), key=lambda one: one.kind == "released"):
                model.settle(one)
            for reservation in asked:
                assert model.refuses(reservation) == (reservation.call in refused)
                if reservation.call not in refused:
                    model.reserve(reservation)
            if step.expires:
                expire(store, "default", now)
                model.expire(now)
            assert recount(store, "default") == []
        for scope in ("project", "team:t", "key:a", "key:b"):
            theirs = [move for move in model.movements if scope in move.scopes]
            found = balances_of(store, "default", [scope]).get(scope)
            kept = (found.settled, found.reserved) if found else (0, 0)
            assert kept == (sum(move.settled for move in theirs), sum(move.reserved for move in theirs))
        charged = total(spending(store, "default", "key")).charged_usd
        assert charged * 10**9 == sum(move.settled for move in model.movements)


def _booked(store: Store, settlements: list[Settlement], reservations: list[Reservation]) -> dict[str, BudgetExceeded]:
    with store.writing() as connection:
        return book(store, connection, settlements, reservations)


def _reservation(n: int, account: Account, amount: int, now: datetime) -> Reservation:
    scopes = tuple(LIMITS[name] for name in scope_names(account.key, account.team) if name in LIMITS)
    deadline = now + timedelta(hours=6)
    return Reservation(call=f"call {n}", account=account, at=now, deadline=deadline, amount_nano=amount, scopes=scopes)


def _settlement(of: Reservation, cost: int, how: int) -> Settlement:
    if how == 2:
        return released(of.call, of.account, of.at)
    return Settlement(
        call=of.call,
        account=of.account,
        at=of.at,
        cost_nano=cost if how == 0 else None,
        charged_nano=cost if how == 0 else of.amount_nano,
        is_reserved=True,
    )


def test_moments_and_microseconds_are_inverse() -> None:
    assert moment(microseconds(BEGAN + timedelta(microseconds=1))) == BEGAN + timedelta(microseconds=1)
