"""Times as the tables keep them: whole microseconds since 1970, UTC; and times and spans as people write them."""

import re
from datetime import UTC, datetime, timedelta

from freehold.errors import CallerError, DataError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 UTC. Raises DataError for a time without a zone."""
    if at.tzinfo is None:
        raise DataError(f"{at.isoformat()} has no time zone; the journal keeps UTC")
    return (at - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """The time of so many microseconds since 1970 UTC."""
    return _EPOCH + timedelta(microseconds=at)


def time_of(option: str, said: str, now: datetime) -> datetime:
    """So long ago, or a time; without a zone it is UTC. Raises CallerError."""
    ago = _span(said)
    try:
        at = now - ago if ago is not None else datetime.fromisoformat(said)
    except (ValueError, OverflowError):
        raise CallerError(
            f"{option} '{said}' is no time; expected such as 90s, 15m, 2h, 7d, 2026-03-04 or 2026-03-04T12:00+01:00"
        ) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def span_of(option: str, said: str) -> timedelta:
    """So long. Raises CallerError."""
    span = _span(said)
    if span is None:
        raise CallerError(f"{option} '{said}' is no duration; expected such as 90s, 15m, 2h or 7d")
    return span


def _span(said: str) -> timedelta | None:
    found = re.fullmatch(r"(\d{1,9})([smhd])", said)
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found else None
