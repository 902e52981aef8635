"""A policy at work: one text in, who is to answer it out, and why.

Imports no numpy, which takes a gateway's worker longer than anything else of ours, and which only policies that count or have arrays need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from freehold.routing.decide import Decision, Facts, compile_program, facts_used
from freehold.routing.names import COUNTED
from freehold.routing.program import Program

if TYPE_CHECKING:
    from freehold.routing.scorer import Scored, Scorer


class Chosen(NamedTuple):
    """What a policy decided about one call."""

    decision: Decision
    scored: Scored | None
    """What the arrays said of it; None for a policy that has none."""


class OnlinePolicy:
    """The active policy of a task, compiled, with the arrays it decides by."""

    def __init__(self, hash: str, program: Program, scorer: Scorer | None, max_loss: float | None = None) -> None:
        """`max_loss`: what it is certified to lose at most; None where it is not. Raises PolicyError for a program without an answer for some
        call."""
        self.hash = hash
        self.max_loss = max_loss
        self.task = program.task
        self.scorer = scorer
        self.is_quick = scorer is None or scorer.is_quick
        """Whether it decides in a moment; a network that reads the text takes milliseconds."""
        self._surface_of = _surface_of(facts_used(program))
        self._decide: Callable[[Facts], Decision] = compile_program(program)

    def choose(self, text: str, tags: Mapping[str, str], known: Mapping[str, float] = {}) -> Chosen:
        """Who answers this text. `known`: further facts of the call, by the names of `names.CALL`."""
        if self.scorer is None:
            values: dict[str, float | str | bool] = {"task": self.task, **self._surface_of(text), **known}
            return Chosen(self._decide(Facts(values=values, tags=tags)), None)
        scored = self.scorer.score((text,))
        facts = self.scorer.facts(self.task, scored, 0, tags)
        return Chosen(self._decide(msgspec.structs.replace(facts, values={**facts.values, **known}) if known else facts), scored)


def _surface_of(names: frozenset[str]) -> Callable[[str], dict[str, float]]:
    """Gives a text's surface features of these names at least."""
    if names.isdisjoint(COUNTED):
        return lambda text: {"chars": float(len(text))}
    from freehold.routing.features import surface_of

    return surface_of
