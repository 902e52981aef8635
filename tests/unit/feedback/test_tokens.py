"""Tokens for feedback without a key: what was granted and nothing else, until it ends; and the secret they are signed with."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.errors import OperatorError
from freehold.feedback.public import address_of
from freehold.feedback.secret import secret_of
from freehold.feedback.tokens import TokenRefused, new_ticket, read_token, signed, ticket_digest
from freehold.gateway.head import Head
from freehold.gateway.reply import Request
from freehold.tables import FeedbackTable

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SECRET, OTHER = b"s" * 32, b"t" * 32
TICKET = new_ticket("default", "c" * 32, NOON, metrics=("helpful",), author="u1", issuer="abc")
TOKEN = signed(SECRET, TICKET)
BEFORE = NOON.timestamp() - 1


def test_a_token_grants_what_was_signed() -> None:
    assert read_token(SECRET, TOKEN, BEFORE) == TICKET


def test_two_tokens_of_one_grant_differ() -> None:
    assert signed(SECRET, new_ticket("default", "c", NOON)) != signed(SECRET, new_ticket("default", "c", NOON))


def test_a_token_ends() -> None:
    with pytest.raises(TokenRefused, match="has ended"):
        read_token(SECRET, TOKEN, NOON.timestamp())


@given(st.integers(0, len(TOKEN) - 1), st.characters(exclude_categories=["Cs"]))
def test_a_token_that_was_changed_grants_nothing_else(place: int, character: str) -> None:
    """Base64 writes one thing in several ways; written otherwise it is the same token, and known as used."""
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    try:
        found = read_token(SECRET, changed, BEFORE)
    except TokenRefused:
        return
    assert ticket_digest(found) == ticket_digest(TICKET)


@given(st.text(max_size=300))
def test_no_text_is_a_token(text: str) -> None:
    for token in (text, f"ft.{text}", f"{TOKEN.rpartition('.')[0]}.{text}", "ft.." + text):
        with pytest.raises(TokenRefused):
            read_token(OTHER, token, BEFORE)


def test_another_project_s_token_is_refused() -> None:
    with pytest.raises(TokenRefused, match="no token of this project"):
        read_token(OTHER, TOKEN, BEFORE)


def test_the_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    secret = secret_of(tmp_path, FeedbackTable())
    assert secret_of(tmp_path, FeedbackTable()) == secret and len(secret) >= 32
    assert (tmp_path / "feedback.secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["feedback.secret"]


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret_of(tmp_path, FeedbackTable())
    (tmp_path / "feedback.secret").chmod(0o640)
    with pytest.raises(OperatorError, match="can be read by others"):
        secret_of(tmp_path, FeedbackTable())


def test_a_secret_of_the_environment_comes_first_and_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = FeedbackTable(secret_env="TOKENS")
    monkeypatch.setenv("TOKENS", "x" * 32)
    assert secret_of(tmp_path, rule) == b"x" * 32
    monkeypatch.setenv("TOKENS", "short")
    with pytest.raises(OperatorError, match="has 5 characters; a secret has 32 or more"):
        secret_of(tmp_path, rule)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # anybody can say so
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.0.0.1", "198.51.100.1"),  # what stands before was said by whoever asked
        ("10.0.0.1", "nonsense", "unknown"),
        ("2001:db8::1:2:3:4", None, "2001:db8::/64"),
        ("::ffff:203.0.113.9", None, "203.0.113.9"),
        ("", None, "unknown"),
    ],
)
def test_where_a_request_comes_from(peer: str, forwarded: str | None, address: str) -> None:
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    assert address_of(Request(b"POST", b"/", Head.of(headers), b"", peer), ("10.0.0.1",)) == address
