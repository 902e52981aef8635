"""Functions of a program as candidates of an evaluation: tasks, pipelines, or any function that takes an input and gives an answer.

A function that gives None has no answer. Each item is a run of its own, as a row of a batch is, so that what a task or pipeline has asked
already is neither asked nor paid again when an evaluation is gone on with. Their answers are journalled under `TASK@candidates`: they are
nobody's traffic.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from inspect import iscoroutinefunction
from typing import Any, NamedTuple, TypeAlias

from pydantic_core import to_jsonable_python

from freehold.chat import JSON, Outcome
from freehold.config import Config
from freehold.errors import CallerError, nearest
from freehold.evaluator.questions import Given, Questions, Whole, whole
from freehold.evaluator.specialists import Shelved
from freehold.gateway.budget import NANO
from freehold.journal.build import call_id
from freehold.journal.call import Call
from freehold.journal.read import calls_by_id, spent_on
from freehold.journal.redact import redact
from freehold.journal.rows import digest_of
from freehold.journal.write import append_many
from freehold.pipelines.failure import BudgetSpent, words_of
from freehold.pipelines.pipeline import Pipeline
from freehold.pipelines.program import program_of
from freehold.pipelines.run import Run
from freehold.pipelines.runs import known_steps
from freehold.pipelines.runtime import Runtime, use
from freehold.pipelines.scope import Purse, Scope, current
from freehold.pipelines.step import Step
from freehold.pipelines.task import Task
from freehold.project import Project

Candidate: TypeAlias = Task[Any, Any] | Pipeline[Any, Any] | Callable[[Any], Any]
SOURCE = "evaluate"
"""The `source` of these calls."""
_FEW = 16
_log = logging.getLogger("freehold.evaluate")


class Tried(NamedTuple):
    """What became of candidates."""

    given: Mapping[tuple[str, str], Given] = {}
    """Their answers, by item and name."""
    is_spent: bool = False
    """Whether the budget ended it."""
    left: int = 0
    """Answers that were not asked for."""
    spent_usd: float = 0.0
    """What is known of what they cost, of the budget."""


def try_out(
    project: Project,
    evaluation: str,
    questions: Questions,
    candidates: Mapping[str, Candidate],
    concurrency: int | None,
    budget_usd: float | None,
    tell: Callable[[int, int], None],
) -> Tried:
    """Has every candidate answer every item that it has not answered in this evaluation yet."""
    with use(Project(project.config, project.tenant)) as at:
        return at.run(_Trial(project, at, evaluation, questions, candidates, concurrency or _FEW, budget_usd, tell).through())


class _Trial:
    def __init__(
        self,
        project: Project,
        at: Runtime,
        evaluation: str,
        questions: Questions,
        candidates: Mapping[str, Candidate],
        at_once: int,
        budget_usd: float | None,
        tell: Callable[[int, int], None],
    ) -> None:
        self._project = project
        self._at = at
        self._evaluation = evaluation
        self._questions = questions
        self._under = f"{questions.task.id}@candidates"
        self._work = {name: _work_of(one) for name, one in candidates.items()}
        self._free = {name for name, one in candidates.items() if isinstance(one, Shelved)}
        self._room = asyncio.Semaphore(at_once)
        self._purse = None if budget_usd is None else Purse(budget_usd)
        self._tell = tell
        self._given: dict[tuple[str, str], Given] = {}
        self._is_spent = False
        self._left = 0

    async def through(self) -> Tried:
        total = len(self._questions.rows) * len(self._work)
        for some in whole(self._project, self._questions.rows, ()):
            calls = await asyncio.gather(*(self._one(name, one) for one in some for name in self._work))
            made = [call for call in calls if call is not None]
            rule = self._questions.task.content or self._project.config.journal.content
            await asyncio.to_thread(append_many, self._project.store, [redact(call, rule) for call in made], [])
            self._tell(len(self._given) + self._left, total)
        for work in self._work.values():
            if isinstance(work, Step):
                work.close()
        spent = 0.0 if self._purse is None else self._purse.spent_nano / NANO
        return Tried(self._given, self._is_spent, self._left, spent)

    async def _one(self, name: str, one: Whole) -> Call | None:
        """A candidate's answer to one item as a call; None where this evaluation has it already, or the budget has no room for it."""
        item = one.question.item
        id = call_id(self._project.tenant, self._under, item, name, self._evaluation)
        known = await asyncio.to_thread(self._known, id)
        if known is None and one.asked.input is not None:
            async with self._room:
                known = None if self._is_spent else await self._asked(name, id, one)
            if known is None:
                self._left += 1
                return None
            self._given[item, name] = _given(known)
            return known
        if known is not None:
            self._given[item, name] = _given(known)
        return None

    def _known(self, id: str) -> Call | None:
        with self._project.store.reading() as connection:
            return calls_by_id(self._project.store, connection, [id]).get(id)

    async def _asked(self, name: str, id: str, one: Whole) -> Call | None:
        work, asked = self._work[name], one.asked
        episode = blake2b(id.encode(), digest_size=16).hexdigest()
        began, at = time.monotonic(), datetime.now(UTC)
        output: JSON = None
        outcome: Outcome = "answered"
        cost: float | None = 0.0 if name in self._free else None
        try:
            if isinstance(work, Step):
                steps = await asyncio.to_thread(known_steps, self._project.store, self._project.tenant, [episode])
                run = Run("pipeline", name, episode, steps.get(episode))
                output = await work.run(self._at, asked.input, Scope(current(), purse=self._purse, run=run))
                spent = await asyncio.to_thread(spent_on, self._project.store, self._project.tenant, episode)
                cost = spent.known_usd if spent.is_all else None
            else:
                output = to_jsonable_python(await work(asked.input))
        except BudgetSpent:
            self._is_spent = True
            return None
        except Exception as error:  # noqa: BLE001 a candidate's own failure is its answer's
            _log.info("evaluate.failed: '%s' on item '%s': %s", name, asked.item, words_of(error))
            outcome = "failed"
        if output is None and outcome == "answered":
            outcome = "refused"
        return Call(
            id=id,
            tenant=self._project.tenant,
            task=self._under,
            variant=name,
            item=asked.item,
            input=asked.input,
            output=output,
            output_digest=None if output is None else digest_of(output),
            outcome=outcome,
            cost_usd=cost,
            latency_s=time.monotonic() - began,
            at=at,
            group=asked.group,
            customer=asked.customer,
            subject=asked.subject,
            tags=asked.tags,
            episode=episode,
            source=SOURCE,
            shape=asked.shape,
        )


def candidate_of(config: Config, spec: str) -> Candidate:
    """The task, pipeline or function that `FILE.py:NAME`, `MODULE:NAME` or the name of a task or pipeline says. Raises CallerError."""
    home, colon, name = spec.rpartition(":")
    if not colon:
        return program_of(config).find(spec)
    program = program_of(config, [home])
    found = vars(program.modules[0]).get(name)
    if isinstance(found, Task | Pipeline) or (callable(found) and not isinstance(found, type)):
        made: Candidate = found
        return made
    named = [one for one, value in vars(program.modules[0]).items() if callable(value) and not one.startswith("_")]
    raise CallerError(f"There is no function '{name[:120]}' in {home}.{nearest(name, named)}")


def _work_of(one: Candidate) -> "Step | Callable[[Any], Awaitable[Any]]":
    if isinstance(one, Task | Pipeline):
        return Step(one)
    if iscoroutinefunction(one):
        return one
    plain: Callable[[Any], Any] = one

    async def in_thread(asked: Any) -> Any:
        return await asyncio.to_thread(plain, asked)

    return in_thread


def _given(call: Call) -> Given:
    return Given(call.id, call.outcome, call.cost_usd, call.latency_s, call.output_digest)
