"""What headers say is left, in each provider's words."""

from datetime import UTC, datetime

import pytest

from freehold.providers.remaining import Gauge, Remaining, remaining_of

NOW = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC).timestamp()


def read(**headers: str) -> Remaining | None:
    return remaining_of([(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()], NOW)


def test_openai_says_limits_and_durations() -> None:
    found = read(
        x_ratelimit_limit_requests="5000",
        x_ratelimit_remaining_requests="4999",
        x_ratelimit_reset_requests="12ms",
        x_ratelimit_limit_tokens="160000",
        x_ratelimit_remaining_tokens="159976",
        x_ratelimit_reset_tokens="6m0s",
    )
    assert found == Remaining(Gauge(5000, 4999, 0.012), Gauge(160_000, 159_976, 360))


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7.66s", 7.66), ("2m59.56s", 179.56), ("1h30m", 5400), ("1d2h", 93_600), ("12", 12), ("11.38", 11.38), ("", None), ("soon", None),
     (str(int(NOW) + 5), 5), (str((int(NOW) + 5) * 1000), 5), ("2026-03-04T12:00:07Z", 7), ("2026-03-04T11:00:00Z", 0)],
)  # fmt: skip
def test_a_time_to_come_is_read_however_it_is_said(said: str, seconds: float | None) -> None:
    found = read(x_ratelimit_remaining_tokens="1", x_ratelimit_reset_tokens=said)
    assert found is not None and found.tokens is not None
    assert found.tokens.full_in_s == (None if seconds is None else pytest.approx(seconds))


def test_anthropic_says_times() -> None:
    found = read(
        anthropic_ratelimit_requests_limit="50",
        anthropic_ratelimit_requests_remaining="49",
        anthropic_ratelimit_requests_reset="2026-03-04T12:00:01Z",
        anthropic_ratelimit_input_tokens_limit="40000",
        anthropic_ratelimit_input_tokens_remaining="39000",
        anthropic_ratelimit_input_tokens_reset="2026-03-04T13:00:02+01:00",
    )
    assert found == Remaining(Gauge(50, 49, 1, 60), Gauge(40_000, 39_000, 2, 60))


def test_cerebras_and_mistral_name_the_period() -> None:
    found = read(x_ratelimit_limit_req_minute="60", x_ratelimit_remaining_req_minute="59", x_ratelimit_remaining_tokens_day="7")
    assert found == Remaining(Gauge(60, 59, None, 60), Gauge(None, 7, None, 86_400))


def test_azure_says_the_period_in_a_header() -> None:
    found = read(x_ratelimit_limit_requests="10", x_ratelimit_remaining_requests="9", x_ratelimit_renewalperiod_requests="10")
    assert found == Remaining(Gauge(10, 9, None, 10), None)


@pytest.mark.parametrize("said", ["-1", "", "None", "nan", "inf", "many"])
def test_what_is_not_known_is_not_told(said: str) -> None:
    """Azure says -1."""
    assert read(x_ratelimit_remaining_tokens=said) is None


def test_an_answer_without_such_headers_says_nothing() -> None:
    assert remaining_of([(b"content-type", b"application/json")], NOW) is None
