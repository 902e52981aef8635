"""Recordings answer: what a variant said to the same words before, for replays, demonstrations and tests."""

from hashlib import blake2b

from freehold.chat import JSON, Usage, text_of
from freehold.variants.outcome import Outcome


class Recordings:
    """What one variant of a task answered, by the words it was asked."""

    def __init__(self) -> None:
        self._by_text: dict[bytes, Outcome] = {}

    def add(self, asked: JSON, output: JSON, usage: Usage | None, cost_usd: float | None) -> None:
        """Takes a recorded answer; the last one to the same words counts."""
        self._by_text[_key(text_of(asked))] = Outcome(output, cost_usd, usage)

    def run(self, text: str) -> Outcome | None:
        """What was answered to these words; None where nobody ever asked them."""
        return self._by_text.get(_key(text))


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
