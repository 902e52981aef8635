"""How a scorer asks a model: handed in by whoever scores, for who answers is known further down the line."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from freehold.chat import JSON


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


class Ask(Protocol):
    """Puts messages to a model. Never raises for what a model or its provider does."""

    async def __call__(self, model: str, messages: Sequence[dict[str, str]], schema: JSON, judge: str) -> Said:
        """`schema`: of the JSON that is wanted. `judge`: on whose behalf."""
