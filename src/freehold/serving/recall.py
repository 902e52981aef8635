"""Answers that this worker remembers: the same question need not be asked twice, and what the reference said is a variant of its own."""

import time

from freehold.chat import ChatAnswer
from freehold.gateway.answers import Remembered, key_of
from freehold.journal.call import Call
from freehold.providers.provider import Target
from freehold.serving.resources import CACHE, Resources, Words
from freehold.serving.wanted import Wanted


class Recall:
    """One question's: what is known before anybody is asked, and what is to be known after."""

    __slots__ = ("_cache_s", "_door", "_has", "_key", "_wanted")

    def __init__(self, has: Resources, wanted: Wanted, door: str, cache_s: float) -> None:
        """`door`: the name of the format that answers are given in. `cache_s`: for how long an answer holds."""
        self._has = has
        self._wanted = wanted
        self._door = door
        self._cache_s = cache_s
        self._key = b""

    def find(self, target: Target) -> Remembered | None:
        """The answer of whoever asked the same before; None for none."""
        told = self._wanted.asked.told_apart_by(self._has.variant(target.variant))
        self._key = key_of({**told, "model": target.variant}, self._door, self._wanted.caller)
        return self._has.answers.find(self._key, time.time())

    def keep(self, answer: ChatAnswer, raw: bytes | None) -> None:
        """Keeps what a model answered."""
        if self._wanted.outcome(answer) == "answered":
            self._has.answers.keep(self._key, answer, raw, time.time() + self._cache_s)


def learn(has: Resources, call: Call, words: Words) -> None:
    """Keeps what the reference answered, where its task has the variant `cache`."""
    task = has.catalog.tasks.get(call.task or "")
    if task is not None and call.variant == task.reference and CACHE in task.variants and isinstance(call.output, str):
        has.memory.keep(task.id, words.key(), call.output, time.time())
