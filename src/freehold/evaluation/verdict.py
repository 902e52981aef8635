"""What a scorer said of a call, as feedback: with its source, and for a judge the rubric it went by."""

from datetime import datetime

from freehold.chat import JSON
from freehold.evaluation.judge import PREFIX, Judge
from freehold.evaluation.scorer import Case, Score, Scorer
from freehold.journal.build import feedback_id
from freehold.journal.call import Feedback


def source_of(scorer: Scorer) -> str:
    """Who says it: `judge:NAME`, and `scorer:NAME` for others."""
    name = scorer.metric.id
    return name if name.startswith(PREFIX) else f"scorer:{name}"


def verdict_id(scorer: Scorer, call: str) -> str:
    """The id of what this scorer says of a call: a judge that goes by another rubric says something else."""
    return feedback_id(call, scorer.metric.id, source_of(scorer), _going_by(scorer))


def feedback_from(scorer: Scorer, case: Case, score: Score, tenant: str, at: datetime) -> Feedback | None:
    """The feedback that a score is; None where there is none, for a scorer that failed says nothing of the call."""
    if score.value is None or case.call is None:
        return None
    content: dict[str, JSON] = {"why": score.why, "parts": dict(score.parts), "cost_usd": score.cost_usd}
    if isinstance(scorer, Judge):
        content |= {"rubric": scorer.rubric, "model": scorer.table.model}
    return Feedback(
        id=verdict_id(scorer, case.call.id),
        tenant=tenant,
        call=case.call.id,
        metric=scorer.metric.id,
        value=score.value,
        content=content,
        source=source_of(scorer),
        at=at,
    )


def _going_by(scorer: Scorer) -> str:
    return scorer.rubric if isinstance(scorer, Judge) else "score"
