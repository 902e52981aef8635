"""In which order models are asked where one fails, and how long is waited before the same one is asked again."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import log
from random import Random

FIRST_WAIT_S = 0.5
MOST_WAIT_S = 8.0
LONG_WAIT_S = 2.0
"""A wait beyond which somebody else is asked first, where there is somebody."""


def fallbacks(named: Sequence[str] | Mapping[str, float], session: str) -> tuple[str, ...]:
    """Models in the order in which they are asked. Weights draw an order, the same one for one session, so that its prompt stays cached.

    Weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): each is first with the probability of its share, and one that is taken
    away leaves the order of the others as it was.
    """
    if not isinstance(named, Mapping):
        return tuple(named)
    return tuple(sorted(named, key=lambda name: log(_uniform(session, name)) / named[name], reverse=True))


def _uniform(session: str, name: str) -> float:
    """A number in (0, 1] that looks drawn at random."""
    told = blake2b(f"{session}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(told) + 1) / 2**64


def wait_s(retry: int, retry_after_s: float | None, rng: Random) -> float:
    """Seconds before a model is asked again, the retry counted from 0: what its provider says, or up to twice as long each time, by chance.

    Full jitter (Brooker, "Exponential Backoff And Jitter", 2015), so that many who failed at once do not come back at once.
    """
    if retry_after_s is not None:
        return retry_after_s + rng.uniform(0, 0.1 * retry_after_s)
    return rng.uniform(0, min(MOST_WAIT_S, FIRST_WAIT_S * 2**retry))
