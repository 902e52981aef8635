"""`freehold.evaluate`: an evaluation as a program asks for one."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from freehold.errors import CallerError, ProviderError
from freehold.evaluation.result import Evaluation
from freehold.evaluation.scorer import Scorer
from freehold.evaluator import run
from freehold.evaluator.prepared import Request, prepare
from freehold.evaluator.trials import Candidate
from freehold.pipelines.judging import ModelAsker
from freehold.pipelines.program import program_of
from freehold.pipelines.runtime import runtime
from freehold.project import Project


class Named(Protocol):
    """A task of a program."""

    @property
    def name(self) -> str:
        """What it is called."""


class NotEvaluated(ProviderError):
    """Asking was broken off before there was anything to say."""


def evaluate(
    task: str | Named,
    variants: Sequence[str] | None = None,
    *,
    candidates: Mapping[str, Candidate] | None = None,
    dataset: str | Path | None = None,
    scorers: Sequence[str | Scorer] = (),
    reference: str | None = None,
    by: Sequence[str] = (),
    require: Sequence[str] = (),
    all_pairs: bool = False,
    limit: int | None = None,
    seed: int = 0,
    margin: float | None = None,
    confidence: float | None = None,
    at_once: int | None = None,
    budget_usd: float | None = None,
    yes: bool = False,
    resume: bool = False,
) -> Evaluation:
    """Evaluates variants of a task in the project that a program runs in, as `freehold evaluate` does.

    `candidates`: functions by name, each of which takes an item's input and gives an answer, None for none: tasks, pipelines, or any other.
    `yes`: pay for answers that are missing, whatever they cost; a `budget_usd` says how much at most. Raises CallerError where it costs something
    and neither is said, for what cannot be evaluated, and NotEvaluated where asking was broken off.
    """
    known = runtime().project
    request = Request(
        task=task if isinstance(task, str) else task.name,
        variants=None if variants is None else tuple(variants),
        dataset=None if dataset is None else str(dataset),
        scorers=tuple(one if isinstance(one, str) else one.metric.id for one in scorers),
        limit=limit,
        seed=seed,
        concurrency=at_once,
        budget_usd=budget_usd,
        resume=resume,
        by=tuple(by),
        requirements=tuple(require),
        is_all_pairs=all_pairs,
        reference=reference,
        margin=margin,
        confidence=confidence,
    )
    with Project(known.config, known.tenant) as project:
        own = {one.metric.id: one for one in scorers if not isinstance(one, str)}
        prepared = prepare(project, request, datetime.now(UTC), candidates, program_of(project.config).modules, ModelAsker(runtime()), own)
        if prepared.plan is not None and not yes and budget_usd is None:
            price = prepared.plan.cost_usd
            raise CallerError(
                f"{prepared.plan.calls:,} answers are missing, which cost {'nobody knows what' if price is None else f'about ${price:,.4f}'}. Say "
                "how much at most by budget_usd=, or yes=True."
            )
        done = run.evaluate(project, prepared)
    if done.evaluation is None:
        raise NotEvaluated(f"The evaluation was broken off: {done.left:,} calls are left. {done.why} Say resume=True to go on with it.")
    return done.evaluation
