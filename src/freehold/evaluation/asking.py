"""How a scorer asks a model: handed in by whoever scores, for who answers is known further down the line."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from freehold.catalog import Sampling
from freehold.journal.call import Call


class Said(NamedTuple):
    """What a model said."""

    text: str | None
    """Its words; None where there were none."""
    why: str = ""
    """Why there were none."""
    cost_usd: float | None = 0.0
    """What asking cost; None is unknown."""
    call: str | None = None
    """The call's id in the journal; None where nobody was asked."""


class About(NamedTuple):
    """On whose behalf a model is asked, and about what: that is how the journal knows the call, and whose data is in it."""

    judge: str
    """The judge's name, such as `judge:quality`."""
    item: str
    """What was asked of whoever is judged."""
    call: Call | None = None
    """The call that is judged."""
    source: str = "judge"
    """As of `Call`."""


class Ask(Protocol):
    """Puts messages to a model. Never raises for what a model or its provider does."""

    async def __call__(self, model: str, messages: Sequence[dict[str, str]], about: About, sampling: Sampling) -> Said:
        """What it said."""
