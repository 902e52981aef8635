"""Recordings answer: what a variant said to the same question before, for replays, demonstrations and tests."""

from hashlib import blake2b

from freehold.chat import JSON, Usage, key_of
from freehold.variants.outcome import Outcome


class Recordings:
    """What one variant of a task answered, by what it was asked."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, Outcome] = {}

    def add(self, asked: JSON, output: JSON, usage: Usage | None, cost_usd: float | None) -> None:
        """Takes a recorded answer; the last one to the same question counts."""
        self._by_key[_hash(key_of(asked))] = Outcome(output, cost_usd, usage)

    def run(self, key: str) -> Outcome | None:
        """What was answered to the question of this key, as `chat.key_of` gives it; None where nobody ever asked it."""
        return self._by_key.get(_hash(key))


def _hash(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
