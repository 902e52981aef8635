"""When the next request may start."""

from math import inf

from freehold.providers.pace import Pace
from freehold.providers.remaining import Gauge, Remaining


def test_it_begins_with_a_few_and_doubles_while_answers_come() -> None:
    pace, now = Pace(first=4), 0.0
    for window in (4, 8, 16):
        assert pace.window == window
        tickets = [pace.started(now) for _ in range(window) if pace.wait_s(now) == 0]
        assert pace.wait_s(now) == inf
        now += 1.0
        for ticket in tickets:
            pace.ended(now, ticket, "answered")


def test_it_never_has_more_under_way_than_it_may() -> None:
    pace = Pace(most=5)
    started = 0
    while pace.wait_s(0.0) == 0:
        pace.started(0.0)
        started += 1
    assert started == pace.under_way == 5


def test_after_a_refusal_it_waits_for_as_long_as_it_is_told() -> None:
    pace = Pace()
    pace.ended(1.0, pace.started(0.0), "limited", retry_after_s=30.0)
    assert pace.wait_s(1.0) == 30.0
    assert pace.wait_s(31.0) == 0.0


def test_a_provider_that_says_hours_is_asked_again_after_five_minutes() -> None:
    """It may not hold; and where it does, whoever runs the batch hears of it, and it ends."""
    pace = Pace()
    pace.ended(1.0, pace.started(0.0), "limited", retry_after_s=7_200.0)
    assert (pace.wait_s(1.0), pace.pause_s(1.0)) == (300.0, 300.0)
    assert (pace.wait_s(301.0), pace.pause_s(301.0)) == (0.0, 0.0)


def test_a_refusal_at_the_widest_narrows_the_window_to_below_it() -> None:
    pace = Pace(first=8)
    tickets = [pace.started(0.0) for _ in range(8)]
    pace.ended(0.1, tickets.pop(), "limited")
    assert pace.window == 7


def test_it_stops_before_what_is_left_is_used_and_goes_on_as_it_fills() -> None:
    """A limit of 60 a minute, of which 3 are left, fills by one a second; one is kept back."""
    pace = Pace()
    ticket = pace.started(0.0)
    pace.ended(0.0, ticket, "answered", told=Remaining(Gauge(60.0, 3.0, 57.0), None))
    for _ in range(2):
        assert pace.wait_s(0.0) == 0
        pace.started(0.0)
    assert 0.9 < pace.wait_s(0.0) <= 1.0
    assert pace.wait_s(1.01) == 0


def test_a_limit_that_fills_at_once_is_waited_for() -> None:
    """Its time to be full runs down whatever was used."""
    pace = Pace()
    for left in range(60, 0, -1):
        now = (60 - left) / 3
        ticket = pace.started(now)
        pace.ended(now, ticket, "answered", told=Remaining(Gauge(60.0, float(left - 1), 60.0 - now), None))
    assert 39 < pace.wait_s(20.0) <= 41
    assert pace.wait_s(60.5) == 0


def test_a_request_waits_for_the_tokens_it_will_use() -> None:
    pace = Pace()
    ticket = pace.started(0.0, 100.0)
    pace.ended(0.0, ticket, "answered", tokens=100.0, told=Remaining(None, Gauge(60_000.0, 2_000.0, 58.0)))
    assert pace.wait_s(0.0, 500.0) == 0
    assert 0 < pace.wait_s(0.0, 5_000.0) < inf


def test_a_request_larger_than_its_limit_is_let_through_when_the_limit_is_full() -> None:
    pace = Pace()
    pace.ended(0.0, pace.started(0.0, 10.0), "answered", told=Remaining(None, Gauge(1_000.0, 990.0, 0.6)))
    assert pace.wait_s(60.0, 50_000.0) == 0


def test_a_limit_of_nothing_is_backed_off_from() -> None:
    """Mistral says 0 of 0 to a key without any allowance; each refusal is followed by a longer silence."""
    pace, now, waits = Pace(first=1), 0.0, []
    for _ in range(8):
        now += pace.wait_s(now)
        ticket = pace.started(now)
        now += 0.05
        pace.ended(now, ticket, "limited", told=Remaining(Gauge(None, 0.0, None), None))
        waits.append(pace.wait_s(now))
    assert waits[-1] >= 10 * waits[0] > 0


def test_faults_that_are_most_of_the_answers_narrow_the_window() -> None:
    pace, now = Pace(first=64), 0.0
    for _ in range(10):
        tickets = [pace.started(now) for _ in range(pace.window)]
        now += 1.0
        for ticket in tickets:
            pace.ended(now, ticket, "failed")
    assert pace.window < 32


def test_a_request_of_ours_that_was_cancelled_says_nothing() -> None:
    pace = Pace()
    window = pace.window
    pace.ended(5.0, pace.started(0.0), "cancelled")
    assert (pace.window, pace.under_way, pace.per_s) == (window, 0, inf)


def test_a_refusal_without_a_time_is_learned_from_although_nothing_is_said_to_be_left() -> None:
    """Mistral says how much is left, and not when there is more: what it fills like is not known, so the rate is found out."""
    pace, now = Pace(first=1), 0.0
    for left in range(20, 0, -1):
        ticket = pace.started(now)
        now += 0.1
        pace.ended(now, ticket, "answered", told=Remaining(Gauge(600.0, left - 1.0, None, 60.0), None))
    ticket = pace.started(now)
    pace.ended(now + 0.1, ticket, "limited", told=Remaining(Gauge(600.0, 0.0, None, 60.0), None))
    assert pace.per_s < inf
