"""Where a request comes from that came in by no door."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from freehold.journal.call import Call
from freehold.journal.served import Question

NOTHING: Mapping[str, float] = MappingProxyType({})


class Origin(NamedTuple):
    """Who asks, and what the journal is to have of the request instead of what it says itself."""

    source: str
    """As of `Call`."""
    task: str
    """The task whose settings hold for it."""
    question: Question | None = None
    """What is asked, as it was recorded; None for what it says itself."""
    group: str | None = None
    """As of `Call`."""
    customer: str | None = None
    """As of `Call`."""
    propensity: float | None = None
    """With which probability it was asked of this model, where that was drawn."""
    is_routed: bool = False
    """Whether its task's policy says who answers, as for one that comes in by a door."""
    ends_at: float | None = None
    """When nobody waits for the answer any longer, by the loop's clock."""
    known: Mapping[str, float] = NOTHING
    """Further facts that a policy may look at, such as how much may still be spent."""
    hold: Callable[[int], None] | None = None
    """Told the most that it may cost, in billionths of a dollar, before anybody is asked. Raises CallerError where that is too much."""
    heard: Callable[[Call], None] | None = None
    """Told the call when it is durable, before the way back is."""
    waits: Callable[[bool], None] | None = None
    """Told when it begins to wait for a person, and when that is over, where it may be broken off meanwhile: whoever begins it anew finds the
    question, and what was answered to it. None where a question is withdrawn when nobody waits for it."""
