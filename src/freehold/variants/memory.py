"""The cache as a variant: what a task's reference answered to the same question, for as long as the task says."""

from collections import OrderedDict
from hashlib import blake2b
from typing import NamedTuple

from freehold.chat import JSON
from freehold.variants.outcome import Outcome


class _Kept(NamedTuple):
    output: JSON
    since: float


class Memory:
    """Answers by task and question, as `chat.key_of` names it, of this worker; beyond `most` those used longest ago are forgotten."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()

    def keep(self, task: str, key: str, output: JSON, now: float) -> None:
        """Remembers what the reference answered."""
        name = _hash(task, key)
        self._kept[name] = _Kept(output, now)
        self._kept.move_to_end(name)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def run(self, task: str, key: str, now: float, longest_s: float) -> Outcome | None:
        """The answer to this question, if it is no older than `longest_s`; None where there is none."""
        kept = self._kept.get(_hash(task, key))
        if kept is None or now - kept.since > longest_s:
            return None
        self._kept.move_to_end(_hash(task, key))
        return Outcome(kept.output, 0.0, known={"confidence": 1.0})


def _hash(task: str, key: str) -> bytes:
    return blake2b(f"{task}\0{key}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
