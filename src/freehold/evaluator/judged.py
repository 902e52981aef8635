"""What judges will have to be asked in an evaluation, and about what that costs: told before anybody is asked, and held to the budget."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np

from freehold.chat import CHARS_A_TOKEN, text_of
from freehold.errors import CallerError
from freehold.evaluation.judge import Judge
from freehold.evaluator.questions import Questions, whole
from freehold.evaluator.scoring import Instrument, journalled
from freehold.pipelines.teaching import price_of
from freehold.project import Project
from freehold.training.asking import Asks

_LOOKED_AT = 64
"""Items whose length stands for that of all."""
_WORDING_TOKENS = 150
"""What is put around rubric, question and answer."""
_SAID_TOKENS = 150
"""What a judge says."""
_USUAL_CHARS = 1_000
"""Of an answer that nobody has given yet."""


class JudgeBill(msgspec.Struct, frozen=True, kw_only=True):
    """What one judge has still to be asked."""

    judge: str
    """Its name as a scorer."""
    model: str
    """The model that is asked."""
    calls: int
    """How often; twice for each pair of answers."""
    there: int
    """Judgements that are in the journal already."""
    cost_usd: float | None
    """About what that costs; None where the model's price is unknown."""


def judge_bills(
    project: Project,
    questions: Questions,
    variants: Sequence[str],
    reference: str | None,
    instruments: Sequence[Instrument],
    now: datetime,
) -> tuple[JudgeBill, ...]:
    """What each judge among some scorers has still to be asked."""
    judges = [one for one in instruments if isinstance(one, Judge)]
    if not judges:
        return ()
    known = journalled(project, questions, judges, variants, "", is_resumed=False)
    asked_chars, answer_chars = _lengths(project, questions, variants)
    found: list[JudgeBill] = []
    for one in judges:
        is_pair = one.table.kind == "pairwise"
        judged = [name for name in variants if not (is_pair and name == reference)]
        there = known.by_scorer.get(one.metric.id, {})
        calls = [question.given.get(name) for question in questions.rows for name in judged]
        missing = sum(given is None or given.call not in there for given in calls) * (2 if is_pair else 1)
        chars = len(one.table.rubric) + asked_chars + answer_chars * (2 if one.needs_truth else 1)
        asks = Asks(one.table.model, missing, _WORDING_TOKENS + chars / CHARS_A_TOKEN, _SAID_TOKENS)
        price = price_of(project, [asks], now)
        found.append(JudgeBill(judge=one.metric.id, model=one.table.model, calls=missing, there=len(calls) - missing, cost_usd=price))
    return tuple(found)


def check_judges(bills: Sequence[JudgeBill], budget_usd: float | None) -> None:
    """Raises CallerError for a budget that cannot be kept, because nobody knows what a judge costs."""
    unpriced = next((bill for bill in bills if bill.cost_usd is None), None)
    if budget_usd is not None and unpriced is not None:
        raise CallerError(
            f"No budget can be kept: the price of '{unpriced.model}', which '{unpriced.judge}' asks, is unknown. Set price under "
            f"[models.{unpriced.model}] in freehold.toml, or leave --budget-usd out."
        )


def _lengths(project: Project, questions: Questions, variants: Sequence[str]) -> tuple[float, float]:
    """Characters of a question and of an answer, in the mean."""
    asked: list[int] = []
    answered: list[int] = []
    for some in whole(project, questions.rows[:_LOOKED_AT], variants):
        for one in some:
            asked.append(len(text_of(one.asked.input)))
            answered += [len(text_of(call.output)) for call in one.calls.values() if call.output is not None]
    return float(np.mean(asked or [_USUAL_CHARS])), float(np.mean(answered or [_USUAL_CHARS]))
