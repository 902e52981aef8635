"""Answers that are remembered for a while: the same request under the same key has the same answer, without asking anybody."""

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from freehold.chat import JSON, ChatAnswer, canonical_json

_NOT_THE_QUESTION = frozenset({"stream", "stream_options", "user", "safety_identifier", "metadata", "store"})
_encode = msgspec.json.Encoder().encode


class Remembered(NamedTuple):
    """An answer, and until when it holds."""

    answer: ChatAnswer
    raw: bytes | None
    """The body it came in, where it may be given as it is."""
    until: float
    size: int


class Answers:
    """The answers of one worker; beyond `most_bytes` those used longest ago are forgotten."""

    def __init__(self, most_bytes: int = 16 * 2**20) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._by_key: OrderedDict[bytes, Remembered] = OrderedDict()

    def find(self, key: bytes, now: float) -> Remembered | None:
        """The answer of that key, where one holds still."""
        known = self._by_key.get(key)
        if known is None:
            return None
        if known.until <= now:
            self._forget(key)
            return None
        self._by_key.move_to_end(key)
        return known

    def keep(self, key: bytes, answer: ChatAnswer, raw: bytes | None, until: float) -> None:
        """Remembers an answer."""
        self._forget(key)
        size = len(_encode(answer)) + len(raw or b"") + 500
        if size > self._most_bytes:
            return
        self._by_key[key] = Remembered(answer, raw, until, size)
        self._bytes += size
        while self._bytes > self._most_bytes:
            self._forget(next(iter(self._by_key)))

    def _forget(self, key: bytes) -> None:
        known = self._by_key.pop(key, None)
        if known is not None:
            self._bytes -= known.size


def key_of(body: Mapping[str, JSON], door: str, caller: str) -> bytes:
    """What tells requests apart: all they say, but for whether they are streamed and on whose behalf, and whose key they came with."""
    asked = {name: value for name, value in body.items() if name not in _NOT_THE_QUESTION}
    return blake2b(canonical_json([door, caller, asked]), digest_size=16).digest()
