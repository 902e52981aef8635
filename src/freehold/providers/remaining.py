"""What a provider's headers say is left of its limits.

Three dialects are read. OpenAI's, `x-ratelimit-remaining-requests` with a duration such as `6m0s` or `12ms`, which Groq, Azure and others
share; that of Cerebras and Mistral, which names the period (`-tokens-minute`, `-req-minute`); and Anthropic's, with times as in RFC 3339.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

_DAY_S = 86_400.0
_MINUTE_S = 60.0
_UNITS = {"d": _DAY_S, "h": 3_600.0, "m": _MINUTE_S, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_EPOCH_S = 1e9
"""From here on a number is no duration but a time since 1970."""

_REQUESTS: tuple[tuple[str, float | None], ...] = (
    ("x-ratelimit-{}-requests", None),
    ("x-ratelimit-{}-requests-minute", _MINUTE_S),
    ("x-ratelimit-{}-req-minute", _MINUTE_S),
    ("x-ratelimit-{}-requests-day", _DAY_S),
)
_TOKENS: tuple[tuple[str, float | None], ...] = (
    ("x-ratelimit-{}-tokens", None),
    ("x-ratelimit-{}-tokens-minute", _MINUTE_S),
    ("x-ratelimit-{}-tokens-day", _DAY_S),
)
_ANTHROPIC = "anthropic-ratelimit-{}-{}"


class Gauge(NamedTuple):
    """One limit, as it stood when a request was let in."""

    limit: float | None
    """The most that may be there; None where it is not said."""
    left: float
    """How many requests or tokens are left."""
    full_in_s: float | None
    """In how many seconds all of it is there again; None where it is not said."""
    period_s: float | None = None
    """Over which time the limit counts; None where its name does not say."""


class Remaining(NamedTuple):
    """What is left of a model's limits."""

    requests: Gauge | None
    """Of requests; None where nothing is said."""
    tokens: Gauge | None
    """Of tokens; None where nothing is said."""


def remaining_of(headers: Sequence[tuple[bytes, bytes]], now: float) -> Remaining | None:
    """What the headers of an answer say is left; None where they say nothing. Names are in lower case; `now`: seconds since 1970."""
    said = {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in headers if b"ratelimit" in name}
    if not said:
        return None
    requests = _first(said, _REQUESTS, now) or _anthropic(said, ("requests",), now)
    tokens = _first(said, _TOKENS, now) or _anthropic(said, ("tokens", "input-tokens"), now)
    return Remaining(requests, tokens) if requests or tokens else None


def _first(said: dict[str, str], names: tuple[tuple[str, float | None], ...], now: float) -> Gauge | None:
    for name, period_s in names:
        period_s = period_s or _count(said.get(name.format("renewalperiod"))) or None  # Azure says it in a header
        found = _gauge(said, name.format("limit"), name.format("remaining"), name.format("reset"), period_s, now)
        if found is not None:
            return found
    return None


def _anthropic(said: dict[str, str], kinds: tuple[str, ...], now: float) -> Gauge | None:
    for kind in kinds:
        limit, left, full = (_ANTHROPIC.format(kind, what) for what in ("limit", "remaining", "reset"))
        if (found := _gauge(said, limit, left, full, _MINUTE_S, now)) is not None:
            return found
    return None


def _gauge(said: dict[str, str], limit: str, left: str, full: str, period_s: float | None, now: float) -> Gauge | None:
    """Azure says -1 where it does not know, and some say nothing in a header that is there."""
    there = _count(said.get(left))
    return None if there is None else Gauge(_count(said.get(limit)) or None, there, _seconds(said.get(full), now), period_s)


def _count(said: str | None) -> float | None:
    try:
        found = float(said or "")
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None


def _seconds(said: str | None, now: float) -> float | None:
    """So many seconds from now: a duration such as `1h30m` or `7.66s`, a bare number of seconds, or a time."""
    if not said:
        return None
    if (number := _count(said)) is not None:
        if number < _EPOCH_S:
            return number
        return max(0.0, (number / 1e3 if number > _EPOCH_S * 1e3 else number) - now)
    if _DURATION.sub("", said) == "":
        return sum(float(count) * _UNITS[unit] for count, unit in _DURATION.findall(said))
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        return None
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() - now)
