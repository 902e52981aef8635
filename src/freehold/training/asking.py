"""How a method asks models: handed in by whoever trains, for who answers is known further down the line."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from freehold.catalog import Sampling


class Heard(NamedTuple):
    """What a model said."""

    text: str | None
    """Its words; None where there were none."""
    why: str = ""
    """Why there were none."""


class Asks(NamedTuple):
    """Questions that a run is to put to a model."""

    model: str
    """Which."""
    questions: int
    """How many, at most."""
    input_tokens: float
    """Of each, about."""
    output_tokens: float
    """Of each answer, about."""


Turns = Sequence[dict[str, str]]
"""A conversation: `role` and `content` of each message."""


class Models(Protocol):
    """Models that can be asked, within the budget of the run. Each call is in the journal, as one of the task `train:TASK`."""

    def ask(self, model: str, conversations: Sequence[Turns], sampling: Sampling) -> list[Heard]:
        """What a model says to each, several at one time; in their order. Raises TrainingError where the budget is spent, or where the first
        ones all fail."""

    @property
    def cost_usd(self) -> float | None:
        """What was spent so far; None where a price is unknown."""
