"""A head answers: the arrays have run already, because a policy decides by their confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freehold.variants.outcome import Outcome

if TYPE_CHECKING:
    from freehold.routing.scorer import Scored, Scorer


def run(scorer: Scorer, scored: Scored, cost_usd: float) -> Outcome:
    """The head's answer to the one text that was scored."""
    return Outcome(scorer.head_answer(scored, 0), cost_usd, known={"confidence": float(scored.confidence_N[0])})
