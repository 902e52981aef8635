"""Which live calls are looked at: a coin for each that its id decides, so that a round that is done again draws the same ones."""

from collections.abc import Sequence
from hashlib import blake2b

from freehold.journal.call import Call

ANSWERED = ("gateway", "python")
"""Where calls come from whose answers somebody got."""
LIVE = (*ANSWERED, "explore")
"""Those, and the answers that were explored beside them."""
_KEY = b"freehold monitor"


def chance(calls: int, share: float, most: int) -> float:
    """The probability with which each of so many is drawn: `share`, or less where that would be more than `most` on average."""
    return min(share, most / calls) if calls else share


def coin(tenant: str, call: str) -> float:
    """A number from 0 to below 1 that nothing but the call's id decides."""
    return int.from_bytes(blake2b(f"{tenant} {call}".encode(), digest_size=8, key=_KEY).digest(), "big") / 2**64


def drawn(tenant: str, calls: Sequence[Call], chance: float) -> list[Call]:
    """Those of the calls whose coin says so."""
    return [call for call in calls if coin(tenant, call.id) < chance]
