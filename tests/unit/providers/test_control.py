"""Whether a model is left alone, who is asked instead, and when the same one is asked again."""

from random import Random

import pytest

from freehold.providers.asking import retry_after_of
from freehold.providers.breaker import Breakers
from freehold.providers.order import fallbacks, wait_s


class Shared(list[tuple[str, float, float, str]]):
    def __call__(self, *told: object) -> None:
        self.append(told)  # type: ignore[arg-type]


def test_a_model_that_fails_is_left_alone_and_then_tried_once() -> None:
    told = Shared()
    breakers = Breakers(told)
    for n in range(4):
        breakers.failed("m", 100.0 + n, "500")
    assert breakers.allows("m", 104.0)
    breakers.failed("m", 104.0, "500")
    assert told == [("m", 109.0, 104.0, "500")]
    assert breakers.open(105.0) == ["m"]
    assert not breakers.allows("m", 108.0)
    assert breakers.allows("m", 110.0)
    assert not breakers.allows("m", 110.0)  # one try at a time
    breakers.failed("m", 111.0, "again")
    assert told[-1] == ("m", 121.0, 111.0, "again")  # twice as long
    assert breakers.allows("m", 122.0)
    breakers.unknown("m")  # its caller left
    assert breakers.allows("m", 122.0)
    breakers.succeeded("m", 123.0)
    assert told[-1][:3] == ("m", 0.0, 123.0)
    assert breakers.allows("m", 123.0)


def test_failures_among_many_answers_open_nothing() -> None:
    told = Shared()
    breakers = Breakers(told)
    for n in range(100):
        breakers.failed("m", float(n), "500")
        breakers.succeeded("m", float(n))
        breakers.succeeded("m", float(n))
    assert told == []
    for n in range(100):
        breakers.failed("never", float(n), "500", 0)
    assert breakers.allows("never", 200.0)


def test_workers_learn_from_each_other_what_is_newer() -> None:
    told = Shared()
    one, two = Breakers(told), Breakers(told)
    for n in range(5):
        one.failed("m", 100.0 + n, "500")
    two.learn({"m": (told[-1][1], told[-1][2])})
    assert not two.allows("m", 105.0)
    one.learn({"m": (0.0, 90.0)})  # older than what it found itself
    assert not one.allows("m", 105.0)
    two.learn({"m": (0.0, 120.0)})
    assert two.allows("m", 121.0)


def test_weights_are_shares_and_a_session_keeps_its_order() -> None:
    first = [fallbacks({"a": 3.0, "b": 1.0}, str(session))[0] for session in range(4_000)]
    assert first.count("a") / 4_000 == pytest.approx(0.75, abs=0.03)  # four standard errors
    assert fallbacks({"a": 1.0, "b": 1.0, "c": 1.0}, "s") == fallbacks({"c": 1.0, "a": 1.0, "b": 1.0}, "s")
    order = fallbacks({"a": 1.0, "b": 1.0, "c": 1.0}, "s")
    assert fallbacks(dict.fromkeys(order[1:], 1.0), "s") == order[1:]
    assert fallbacks(("b", "a"), "s") == ("b", "a")


def test_waits_grow_and_are_drawn() -> None:
    rng = Random(1)
    waits = [[wait_s(retry, None, rng) for _ in range(500)] for retry in range(6)]
    assert [max(each) <= most for each, most in zip(waits, (0.5, 1, 2, 4, 8, 8), strict=True)] == [True] * 6
    assert max(waits[5]) > 7
    assert 3.0 <= wait_s(0, 3.0, rng) <= 3.3


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"retry-after", b"7")], 7.0),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"7")], 0.25),
        ([(b"retry-after", b"Thu, 01 Jan 1970 00:01:40 GMT")], 90.0),
        ([(b"retry-after", b"soon")], None),
        ([(b"retry-after", b"-5")], 0.0),
        ([(b"retry-after", b"\xff")], None),
    ],
)
def test_what_a_provider_says_of_coming_again(headers: list[tuple[bytes, bytes]], expected: float | None) -> None:
    assert retry_after_of(headers, 10.0) == expected
