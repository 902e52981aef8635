"""Keys on each database: made once, looked up by id, taken until they expire, are revoked or rotated away."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from freehold.catalog import Budget
from freehold.errors import CallerError
from freehold.gateway.keys import Grant, Keyring, Unauthorized, create, keys, revoke, rotate
from freehold.store.open import Store, open_store
from freehold.tables import LimitsTable

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
NOW = NOON.timestamp()
GRANT = Grant(
    owner="Ann",
    team="search",
    roles=("call", "read"),
    models=("gpt-*",),
    tasks=("triage",),
    tags={"tier": "gold"},
    limits=LimitsTable(requests_per_min=60),
    budget=Budget(day_usd=2.5),
    customer="acme",
    plan="basic",
)


def taken(ring: Keyring, secret: str, now: float = NOW) -> bool:
    try:
        ring.key_of(secret.encode(), now)
    except Unauthorized:
        return False
    return True


def test_a_key_comes_back_with_everything_it_was_made_for(store: Store) -> None:
    ring = Keyring(store, "default")
    assert ring.is_empty
    key, secret = create(store, "default", GRANT, NOON, NOON + timedelta(days=1))
    assert ring.is_empty  # until it looks
    ring.refresh()
    assert not ring.is_empty and ring.key_of(secret.encode(), NOW) == key
    assert keys(store, "default") == [key]
    assert key.grant == GRANT


def test_a_secret_names_its_key_and_has_enough_random_bits(store: Store) -> None:
    made = [create(store, "default", Grant(), NOON) for _ in range(20)]
    for key, secret in made:
        prefix, id, random = secret.split("-", 2)
        assert (prefix, id) == ("fh", key.id) and len(random) * 6 >= 128
    assert len({secret for _, secret in made}) == 20


def test_the_secret_is_nowhere(store: Store, store_url: str, tmp_path: Path) -> None:
    _, secret = create(store, "default", GRANT, NOON)
    with store.reading() as connection:
        row = connection.exec_driver_sql("SELECT * FROM keys").one()
    random = secret.split("-", 2)[2]
    assert not any(random.encode() in (value if isinstance(value, bytes) else str(value).encode()) for value in row)
    assert not any(random.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_whoever_shows_no_valid_secret_is_told_nothing_else(store: Store) -> None:
    """Unknown, wrong, cut off, expired and revoked: one message."""
    key, secret = create(store, "default", Grant(), NOON, NOON + timedelta(hours=1))
    gone, gone_secret = create(store, "default", Grant(), NOON)
    revoke(store, "default", gone.id, NOON)
    ring = Keyring(store, "default")
    said = set()
    for shown, at in [
        (b"", NOW), (b"sk-abc", NOW), (b"fh--", NOW), (b"\xff-\xff-\xff", NOW), (f"fh-{key.id}-".encode(), NOW), (secret.encode()[:-1], NOW),
        (secret.encode() + b"x", NOW), (secret.replace(key.id, "0" * 12).encode(), NOW), (secret.encode(), NOW + 3600), (gone_secret.encode(), NOW),
    ]:  # fmt: skip
        with pytest.raises(Unauthorized) as refused:
            ring.key_of(shown, at)
        said.add(str(refused.value))
    assert len(said) == 1
    assert taken(ring, secret)


def test_a_rotated_key_has_a_new_secret_and_the_old_one_for_its_grace(store: Store) -> None:
    key, first = create(store, "default", GRANT, NOON)
    rotated, second = rotate(store, "default", key.id, NOON, timedelta(minutes=15))
    assert rotated == key
    ring = Keyring(store, "default")
    assert taken(ring, first, NOW + 899) and not taken(ring, first, NOW + 900)
    assert taken(ring, second, NOW + 10**9)
    _, third = rotate(store, "default", key.id, NOON)
    ring.refresh()
    assert [taken(ring, secret) for secret in (first, second, third)] == [False, False, True]


def test_a_revoked_key_stays_revoked_and_counts_as_one(store: Store) -> None:
    """A gateway with one revoked key is not open to everybody."""
    key, secret = create(store, "default", Grant(), NOON)
    ring = Keyring(store, "default")
    assert revoke(store, "default", key.id, NOON).revoked_at == NOON
    assert revoke(store, "default", key.id, NOON + timedelta(days=1)).revoked_at == NOON
    ring.refresh()
    assert not taken(ring, secret) and not ring.is_empty
    with pytest.raises(CallerError, match="is revoked, and stays so"):
        rotate(store, "default", key.id, NOON)


def test_a_key_nobody_made_is_said_to_be_none(store: Store) -> None:
    with pytest.raises(CallerError, match=r"There is no key 'abc'\. 'freehold keys list' shows them"):
        revoke(store, "default", "abc", NOON)


def test_a_key_opens_its_own_tenant(store: Store) -> None:
    key, secret = create(store, "other", Grant(), NOON)
    assert not taken(Keyring(store, "default"), secret) and taken(Keyring(store, "other"), secret)
    with pytest.raises(CallerError):
        revoke(store, "default", key.id, NOON)


def test_a_ring_that_cannot_look_keeps_what_it_has(store_url: str, tmp_path: Path) -> None:
    with open_store(store_url, tmp_path, busy_s=0.2) as store:
        _, secret = create(store, "default", Grant(), NOON)
        ring = Keyring(store, "default")
        with store.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE keys RENAME TO elsewhere")
        with pytest.raises(Exception, match="keys"):
            ring.refresh()
        assert taken(ring, secret)
