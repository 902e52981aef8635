"""What reviewers earn, on each database: what is due and nothing twice, budgets raised by exactly that, corrections as further rows."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from freehold.catalog import Budget
from freehold.config import Config
from freehold.errors import CallerError, DataError
from freehold.feedback.credits import credits_of, grant, pay, reverse, settle, standings
from freehold.feedback.worth import Verdict, due, narrowings
from freehold.gateway.budget import NANO, Scope, nano, scopes_of
from freehold.gateway.granted import granted
from freehold.gateway.keys import Grant, create
from freehold.gateway.ledger import Account, Reservation, Settlement, book
from freehold.journal.erase import erase
from freehold.store.open import Store
from freehold.store.schema import credits as table
from freehold.tables import CreditsTable, TeamTable

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
TARIFF = CreditsTable(per_verdict_usd=0.05, tasks={"triage": 0.2})
CONFIG = Config(teams={"search": TeamTable(budget=Budget(total_usd=1.0)), "free": TeamTable()})


def verdicts(n: int, **fields: object) -> list[Verdict]:
    return [Verdict(**{"id": f"v{i}", "reviewer": ("ann", "bob", "cid")[i % 3], "task": "sort", **fields}) for i in range(n)]


def left(store: Store) -> dict[str, int]:
    return {one.reviewer: one.left_nano for one in standings(store, "default")}


def test_accepted_verdicts_earn_the_tariff_and_gold_that_was_missed_nothing(store: Store) -> None:
    said = [
        *verdicts(6),
        Verdict(id="t", reviewer="ann", task="triage"),
        Verdict(id="gold", reviewer="cid", task="triage", missed_gold=True),
        Verdict(id="away", reviewer="bob", task="triage", is_accepted=False),
    ]
    new = settle(store, "default", said, TARIFF, NOON)
    assert [row.kind for row in new] == ["earned"] * 7
    assert left(store) == {"ann": nano(0.3), "bob": nano(0.1), "cid": nano(0.1)}
    assert sum(left(store).values()) == 6 * nano(0.05) + nano(0.2)


def test_settling_again_books_nothing_and_a_correction_is_a_further_row(store: Store) -> None:
    said = verdicts(3)
    settle(store, "default", said, TARIFF, NOON)
    assert settle(store, "default", said, TARIFF, NOON) == []
    missed = [Verdict(id="v1", reviewer="bob", task="sort", missed_gold=True)]
    (back,) = settle(store, "default", missed, TARIFF, NOON)
    assert (back.kind, back.amount_nano, back.n) == ("reversed", -nano(0.05), 1)
    (again,) = settle(store, "default", said, TARIFF, NOON)
    assert (again.kind, again.n) == ("earned", 2)
    assert left(store) == dict.fromkeys(("ann", "bob", "cid"), nano(0.05))
    assert len(credits_of(store, "default")) == 5


def test_rows_always_sum_to_what_is_due(store: Store) -> None:
    """40 rounds of 20 verdicts whose fate and worth change at random, some settled at once by four threads."""
    rng = random.Random(0)
    last: dict[str, Verdict] = {}
    by_worth = CreditsTable(per_verdict_usd=0.05, by="worth")
    for _round in range(40):
        said = [
            Verdict(
                id=f"v{i}",
                reviewer=f"r{i % 4}",
                task="sort",
                is_accepted=rng.random() < 0.8,
                missed_gold=rng.random() < 0.1,
                reliability=rng.random(),
                narrowed=rng.random() * 2,
            )
            for i in rng.sample(range(60), 20)
        ]
        with ThreadPoolExecutor(4) as pool:
            booked = list(pool.map(lambda each: settle(store, "default", each, by_worth, NOON), [said] * rng.choice((1, 4))))
        assert sum(map(bool, booked)) <= 1
        last |= {one.id: one for one in said}
    earned = {f"r{n}": sum(due(one, by_worth) for one in last.values() if one.reviewer == f"r{n}") for n in range(4)}
    assert {one.reviewer: one.earned_nano for one in standings(store, "default")} == earned


def test_worth_never_costs_more_than_the_tariff() -> None:
    """Over 200 rounds of 1 to 50 verdicts; and who narrowed nothing earns nothing."""
    rng = random.Random(1)
    by_worth = CreditsTable(per_verdict_usd=0.07, by="worth")
    for _round in range(200):
        n = rng.randint(1, 50)
        shares = narrowings(0.1, [0.1 + rng.choice((-0.01, 0.0, rng.random())) for _ in range(n)])
        assert sum(shares) == pytest.approx(n) or not any(shares)
        said = [Verdict(id=str(i), reviewer="ann", task="sort", reliability=rng.random(), narrowed=share) for i, share in enumerate(shares)]
        assert sum(due(one, by_worth) for one in said) <= n * nano(0.07)
    assert narrowings(0.1, [0.1, 0.1]) == [0.0, 0.0]
    with pytest.raises(DataError, match="reliability 1.5"):
        due(Verdict(id="v", reviewer="ann", task="sort", reliability=1.5), by_worth)


def test_a_payment_pays_each_credit_once(store: Store) -> None:
    settle(store, "default", verdicts(6), TARIFF, NOON)
    with ThreadPoolExecutor(4) as pool:
        paid = list(pool.map(lambda _: pay(store, "default", None, NOON, "march"), range(4)))
    assert all(rows == paid[0] for rows in paid)
    assert {row.reviewer: row.amount_nano for row in paid[0]} == dict.fromkeys(("ann", "bob", "cid"), -nano(0.1))
    assert set(left(store).values()) == {0}
    settle(store, "default", verdicts(9), TARIFF, NOON)
    assert pay(store, "default", None, NOON, "march") == paid[0]
    assert sum(row.amount_nano for row in pay(store, "default", None, NOON, "april")) == -3 * nano(0.05)
    with pytest.raises(CallerError, match=r"'ann' has \$0.00 of credits"):
        pay(store, "default", ["ann"], NOON)


def test_what_is_corrected_after_it_was_paid_is_filled_by_what_comes(store: Store) -> None:
    settle(store, "default", verdicts(1), TARIFF, NOON)
    pay(store, "default", ["ann"], NOON)
    settle(store, "default", verdicts(1, missed_gold=True), TARIFF, NOON)
    assert left(store) == {"ann": -nano(0.05)}
    settle(store, "default", [Verdict(id="next", reviewer="ann", task="triage")], TARIFF, NOON)
    assert left(store) == {"ann": nano(0.15)}


def test_a_grant_raises_what_a_key_may_spend_by_exactly_that(store: Store) -> None:
    """A key of no budget of its own: $0.10 of credits are one call of $0.10, and not of a billionth more."""
    key, _secret = create(store, "default", Grant(owner="ann", budget=Budget(total_usd=0.0)), NOON)
    scope = f"key:{key.id}"
    settle(store, "default", verdicts(6), TARIFF, NOON)
    row = grant(store, "default", CONFIG, "ann", scope, None, NOON, "once")
    assert grant(store, "default", CONFIG, "ann", scope, None, NOON, "once") == row
    assert granted(store, "default") == {scope: nano(0.1)}
    scopes = scopes_of(key.id, key.grant.budget, None, Config(), granted(store, "default"))
    assert scopes == (Scope(scope, None, None, nano(0.1)),)

    def reserve(call: str, amount: int) -> bool:
        one = Reservation(
            call=call,
            account=Account(key=key.id),
            at=NOON,
            deadline=NOON + timedelta(minutes=1),
            amount_nano=amount,
            scopes=scopes,
        )
        with store.writing() as connection:
            return not book(store, connection, [], [one])

    assert not reserve("more", nano(0.1) + 1)
    assert reserve("all", nano(0.1))
    with store.writing() as connection:
        book(store, connection, [Settlement(call="all", account=Account(key=key.id), at=NOON, charged_nano=nano(0.1), is_reserved=True)])
    assert not reserve("again", 1)


def test_a_grant_that_is_reversed_is_the_reviewers_again(store: Store) -> None:
    settle(store, "default", verdicts(3), TARIFF, NOON)
    grant(store, "default", CONFIG, "ann", "team:search", nano(0.02), NOON, "g")
    assert granted(store, "default") == {"team:search": nano(0.02)}
    reverse(store, "default", "grant g", NOON, "the wrong team")
    assert granted(store, "default") == {"team:search": 0}
    assert left(store)["ann"] == nano(0.05)
    with pytest.raises(CallerError, match="taken back already"):
        reverse(store, "default", "grant g", NOON)
    with pytest.raises(CallerError, match="nothing is booked"):
        reverse(store, "default", "grant h", NOON)


@pytest.mark.parametrize(
    ("scope", "amount", "why"),
    [
        ("team:search", 10 * NANO, r"has \$0.05 of credits"),
        ("team:search", 0, r"\$0.00 cannot be taken"),
        ("team:free", None, "no limit on what it spends altogether"),
        ("team:serach", None, "Did you mean 'team:search'"),
        ("project", None, "no budget 'project'"),
    ],
)
def test_a_grant_that_cannot_be_is_refused(store: Store, scope: str, amount: int | None, why: str) -> None:
    settle(store, "default", verdicts(1), TARIFF, NOON)
    with pytest.raises(CallerError, match=why):
        grant(store, "default", CONFIG, "ann", scope, amount, NOON)
    assert left(store) == {"ann": nano(0.05)}


def test_two_grants_at_once_spend_nothing_twice(store: Store) -> None:
    settle(store, "default", verdicts(1), TARIFF, NOON)

    def give(n: int) -> bool:
        try:
            grant(store, "default", CONFIG, "ann", "team:search", nano(0.03), NOON, f"g{n}")
        except CallerError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(give, range(4))) == 1


def test_an_erased_reviewer_is_a_hash_and_the_sums_stay(store: Store, a_call: Callable[..., object]) -> None:
    settle(store, "default", verdicts(6), TARIFF, NOON)
    assert erase(store, "default", "ann", NOON).credits == 2
    names = {row.reviewer for row in credits_of(store, "default")}
    assert "ann" not in names
    assert sum(left(store).values()) == 6 * nano(0.05)
    settle(store, "default", verdicts(6, missed_gold=True), TARIFF, NOON)
    assert set(left(store).values()) == {0}
    assert {row.reviewer for row in credits_of(store, "default")} == names


def test_another_tenants_credits_are_their_own(store: Store) -> None:
    settle(store, "other", verdicts(3), TARIFF, NOON)
    assert left(store) == {}
    settle(store, "default", verdicts(3), TARIFF, NOON)
    with store.reading() as connection:
        assert len(connection.execute(select(table.c.seq)).all()) == 6
