"""Times as the tables keep them: whole microseconds since 1970, UTC."""

from datetime import UTC, datetime, timedelta

from freehold.errors import DataError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """Microseconds since 1970 UTC. Raises DataError for a time without a zone."""
    if at.tzinfo is None:
        raise DataError(f"{at.isoformat()} has no time zone; the journal keeps UTC")
    return (at - _EPOCH) // _MICROSECOND


def moment(at: int) -> datetime:
    """The time of so many microseconds since 1970 UTC."""
    return _EPOCH + timedelta(microseconds=at)
