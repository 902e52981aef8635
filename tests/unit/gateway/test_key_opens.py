"""What a key opens, and where a request shows one."""

from datetime import UTC, datetime

import pytest

from freehold.gateway.head import Head
from freehold.gateway.keys import Grant, Key, secret_of

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def key(**grant: tuple[str, ...]) -> Key:
    return Key(id="k", grant=Grant(**grant), created_at=NOON)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("grant", "model", "task", "may"),
    [
        ({}, "anything", None, True),
        ({"models": ("gpt-5",)}, "gpt-5", None, True),
        ({"models": ("gpt-5",)}, "gpt-5-mini", None, False),
        ({"models": ("gpt-*",)}, "gpt-5-mini", None, True),
        ({"models": ("gpt-*",)}, "freehold/triage", "triage", False),
        ({"models": ("*-mini", "claude-*-2*")}, "claude-opus-20", None, True),
        ({"models": ("*",)}, "", None, True),
        ({"models": ("a*b",)}, "ab", None, True),
        ({"models": ("a*ba",)}, "aba", None, True),
        ({"models": ("ab*ba",)}, "aba", None, False),
        ({"models": ("a*b*c",)}, "a--b--b--c", None, True),
        ({"models": ("a*b*c",)}, "a--c--b", None, False),
        ({"tasks": ("triage",)}, "freehold/triage", "triage", True),
        ({"tasks": ("triage",)}, "freehold/rank", "rank", False),
        ({"tasks": ("triage",)}, "gpt-5", None, False),
        ({"tasks": ("tri*",), "models": ("gpt-5",)}, "gpt-5", None, True),
        ({"models": ("gpt-5",)}, "gpt-5", "triage", True),
    ],
)
def test_a_key_opens_what_its_patterns_fit(grant: dict[str, tuple[str, ...]], model: str, task: str | None, may: bool) -> None:
    """Everything where it names nothing; else a model by the name that is asked for, or the task that this is."""
    assert (key(**grant).why_not(model, task) is None) == may


def test_what_a_key_does_not_open_is_said_with_what_it_does() -> None:
    assert key(models=("gpt-*",), tasks=("triage",)).why_not("claude", None) == (
        "This key may not ask for 'claude'. It opens: model gpt-*, task triage."
    )


def test_roles_open_routes() -> None:
    assert (key().may("call"), key().may("feedback"), key().may("read")) == (True, True, False)
    assert (key(roles=("read",)).may("call"), key(roles=("read",)).may("read")) == (False, True)


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ([(b"host", b"x"), (b"authorization", b"Bearer fh-1-2")], b"fh-1-2"),
        ([(b"authorization", b"bearer  fh-1-2 ")], b"fh-1-2"),
        ([(b"x-api-key", b"fh-1-2")], b"fh-1-2"),
        ([(b"authorization", b"Basic abc")], None),
        ([(b"authorization", b"Basic abc"), (b"x-api-key", b"fh-1-2")], b"fh-1-2"),
        ([(b"x-api-key", b"fh-1-2"), (b"authorization", b"Bearer other")], b"fh-1-2"),
        ([(b"authorization", b"Basic abc"), (b"authorization", b"Bearer fh-1-2")], b"fh-1-2"),
        ([], None),
    ],
)
def test_a_secret_is_shown_as_either_client_sends_it(headers: list[tuple[bytes, bytes]], secret: bytes | None) -> None:
    assert secret_of(Head.of(headers)) == secret
