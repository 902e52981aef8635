"""What scores answers: a case in, a score or a reason why there is none out. Built-in scorers, judges and functions of a program are all this."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec

from freehold.catalog import Metric
from freehold.chat import JSON
from freehold.journal.call import Call


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to be scored, and what it may be compared with."""

    item: str
    """What was asked, by name."""
    input: JSON = None
    """What was asked; None where content is not kept."""
    output: JSON = None
    """What was answered; None where there was no answer or content is not kept."""
    has_truth: bool = False
    """Whether `truth` is known: null may be a right answer."""
    truth: JSON = None
    """The answer as it should have been."""
    sources: tuple[str, ...] = ()
    """Texts that an answer is to rest on, where it has any."""
    call: Call | None = None
    """The call that the answer was given in, with its cost and latency; None for an answer without one."""


class Score(NamedTuple):
    """What a scorer says of a case."""

    value: float | None
    """In the range of the scorer's metric; None where it has no score."""
    why: str = ""
    """Why it has none, or why it is what it is."""
    parts: Mapping[str, float] = {}
    """Numbers that the value is made of, such as precision and recall."""
    cost_usd: float | None = 0.0
    """What scoring cost; None is unknown."""


class Scorer(Protocol):
    """Scores cases. A scorer that fails gives no score, with a reason: an instrument that failed says nothing of the answer."""

    @property
    def metric(self) -> Metric:
        """What its scores mean; the metric's id is the scorer's name."""

    @property
    def needs_truth(self) -> bool:
        """Whether a case without a right answer has no score."""

    async def score(self, case: Case) -> Score:
        """The score of one case. Never raises for what is in the case."""
