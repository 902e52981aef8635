"""What one worker finds out about a model, the others know."""

from freehold.providers.breaker import Breakers
from freehold.providers.known import State, known_breakers, tell_breakers
from freehold.store.open import Store


def test_the_newest_word_on_a_model_holds(store: Store) -> None:
    tell_breakers(store, "default", {"m": State(110.0, 100.0, "500"), "n": State(0.0, 90.0, "")})
    assert known_breakers(store, "default") == {"m": (110.0, 100.0), "n": (0.0, 90.0)}
    tell_breakers(store, "default", {"m": State(0.0, 99.0, ""), "n": State(130.0, 120.0, "x" * 1_000)})
    assert known_breakers(store, "default") == {"m": (110.0, 100.0), "n": (130.0, 120.0)}
    assert known_breakers(store, "another") == {}
    breakers = Breakers(lambda *_: None)
    breakers.learn(known_breakers(store, "default"))
    assert breakers.open(105.0) == ["m", "n"]
