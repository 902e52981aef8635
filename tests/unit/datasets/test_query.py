"""The language of --from."""

from datetime import UTC, datetime

import pytest

from freehold.datasets.query import parse, show
from freehold.errors import CallerError

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "task=triage",
        "task=triage and reward>=0.9 and since=2026-02-02T00:00:00+00:00",
        'tag.tier="very gold"|plain and kind=corrections and variant!=cheap',
        "metric.correct>=1 and chars<400 and said_by=person",
        'task="a \\"quoted\\" name"',
    ],
)
def test_what_is_shown_is_read_back(text: str) -> None:
    query = parse(text, NOON)
    assert show(query) == text
    assert parse(show(query), NOON) == query


def test_times_ago_are_made_absolute() -> None:
    """A recipe means the same whenever it is read."""
    assert show(parse("since=30d", NOON)) == "since=2026-02-02T12:00:00+00:00"
    assert show(parse("until=2026-03-01", NOON)) == "until=2026-03-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1 .*expected a field"),
        ("task", "column 1 .*expected a field"),
        ("taks=a", "'taks' is no field. Did you mean 'task'"),
        ("correct>=1", "asked for as metric.correct"),
        ("task>=3", "'task' is no number"),
        ("reward>=high", "compared with 'high'; expected a number"),
        ("reward>=inf", "expected a number"),
        ("reward>=0.1|0.2", "takes one value"),
        ("kind=cals", "'cals' is no kind. Did you mean 'calls'"),
        ("outcome=answred", "Did you mean 'answered'"),
        ("task=a or task=b", "column 7 .*expected 'and'"),
        ("since=yesterday", "'yesterday' is no time"),
        ("kind=calls and kind=reviewed", "'kind' stands there twice"),
        ("task=", "column 6 .*expected a value"),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_the_nearest_name(text: str, message: str) -> None:
    with pytest.raises(CallerError, match=message):
        parse(text, NOON)
