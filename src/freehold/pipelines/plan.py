"""A goal is split into sub-goals, those are worked on within a budget of their own, and what fails is planned anew: a bounded executor.

The planner is a task that gives `Goal`s; none means that a goal can be worked on as it is. The worker is a task, too, or a pipeline. All their calls
are one episode, each tagged with its place in the tree (`node`), so that the journal holds the tree as it was worked through.
"""

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, Field

from freehold.errors import CallerError, FreeholdError
from freehold.pipelines.failure import BudgetSpent, Cancelled, StepFailed, TookTooLong
from freehold.pipelines.pipeline import Pipeline, running
from freehold.pipelines.run import Run
from freehold.pipelines.scope import Scope, current, entered
from freehold.pipelines.task import Task

T = TypeVar("T")

Ended: TypeAlias = Literal["reached", "failed", "out_of_budget", "too_late", "not_begun"]
"""How a goal ended; `not_begun`: one that it needs was not reached, or there were too many."""
_NODE = "node"
"""The tag that holds a call's place in the tree, such as `0.2.1`."""


class Goal(BaseModel):
    """A sub-goal, as a planner gives it."""

    goal: str = Field(description="What is to be reached, so that somebody can work on it who knows nothing else.")
    share: float = Field(default=1.0, ge=0.0, description="How much of the budget it may take, in proportion to the other sub-goals.")
    needs: list[int] = Field(default=[], description="Which sub-goals have to be reached before, by their position from 0.")


@dataclass
class Node(Generic[T]):
    """A goal, and what became of it."""

    goal: str
    """What was to be reached."""
    path: tuple[int, ...]
    """Its place in the tree: () is the whole."""
    budget_usd: float | None = None
    """What it might cost; None for no limit of its own."""
    ended: Ended = "not_begun"
    """How it ended."""
    value: T | list[T] | None = None
    """What was reached: the worker's value, or its sub-goals' values, joined where there is something to join them."""
    why: str = ""
    """What went wrong, the last time."""
    cost_usd: float | None = 0.0
    """What it cost, with everything below it; None where that is unknown."""
    plans: int = 0
    """How often it was planned."""
    children: "list[Node[T]]" = field(default_factory=list)
    """Its sub-goals, of the last plan."""
    earlier: "list[Node[T]]" = field(default_factory=list)
    """Those of plans that failed."""

    @property
    def depth(self) -> int:
        """How far below the whole it is."""
        return len(self.path)

    def all(self) -> "Iterator[Node[T]]":
        """It, and every goal below it, those of failed plans included."""
        yield self
        for child in (*self.earlier, *self.children):
            yield from child.all()


@dataclass(frozen=True)
class Planned(Generic[T]):
    """A plan that was worked through."""

    root: Node[T]
    """The whole."""
    episode: str
    """The run, whose calls are in the journal."""

    @property
    def value(self) -> T | list[T] | None:
        """What was reached."""
        return self.root.value

    def by_depth(self) -> dict[int, dict[Ended, int]]:
        """How many goals ended how, by how far below the whole they were."""
        counted: dict[int, Counter[Ended]] = {}
        for node in self.root.all():
            counted.setdefault(node.depth, Counter())[node.ended] += 1
        return {depth: dict(counted[depth]) for depth in sorted(counted)}


class NotReached(StepFailed):
    """The whole was not reached. `planned` holds what was."""

    def __init__(self, planned: Planned[Any]) -> None:
        errors = ", ".join(
            f"depth {depth}: {sum(count for ended, count in counts.items() if ended != 'reached')}"
            for depth, counts in planned.by_depth().items()
        )
        super().__init__(
            f"'{planned.root.goal[:80]}' was not reached: {planned.root.why}. Goals not reached by {errors}.", episode=planned.episode
        )
        self.planned = planned
        """What was reached, and what was not."""


@dataclass(frozen=True)
class Plan(Generic[T]):
    """How goals are planned and worked on; `await plan(goal)` does it."""

    planner: Task[..., list[Goal]]
    """Splits a goal. It is given those of `goal`, `depth`, `done`, `failed` and `budget_usd` that it has parameters for."""
    worker: Task[..., T] | Pipeline[..., Awaitable[T]]
    """Works on a goal. It is given those of `goal`, `depth`, `known`, `failed` and `budget_usd` that it has parameters for."""
    check: Callable[[str, T], bool | str] | None = None
    """Whether a goal was reached by a value: True, or False or words that say why not."""
    join: Task[..., T] | None = None
    """Makes one value of a goal and the values of its sub-goals, as `goal` and `values`."""
    most_deep: int = 3
    """How deep goals are split."""
    most_goals: int = 50
    """How many goals there may be, failed plans included."""
    most_plans: int = 2
    """How often one goal is planned."""
    at_once: int = 4
    """How many goals are worked on at one time."""
    name: str = "plan"
    """What its runs are called."""

    def __post_init__(self) -> None:
        for name in ("most_deep", "most_goals", "most_plans", "at_once"):
            fewest = 0 if name == "most_deep" else 1
            if getattr(self, name) < fewest:
                raise CallerError(f"plan: {name} is {getattr(self, name)}; expected a number from {fewest} up")

    async def __call__(self, goal: str, *, budget_usd: float | None = None, deadline_s: float | None = None) -> Planned[T]:
        """Works on a goal. Raises NotReached, which holds what was reached, and Cancelled."""
        outer = current()
        run = Run("plan", self.name, None if outer.run is None else outer.run.id, part_of=outer.run)
        scope = Scope(outer, budget_usd=budget_usd, deadline_s=deadline_s, run=run)
        root: Node[T] = Node(goal, ())
        with running(run if outer.run is None else None, scope):
            await _Working(self, run).reach(root, scope, {})
            planned = Planned(root, run.id)
            if root.ended != "reached":
                raise NotReached(planned)
        return planned


plan = Plan
"""What programs know it by: it is made and called as a function is."""


class _Working(Generic[T]):
    """One plan being worked through."""

    def __init__(self, plan: Plan[T], run: Run) -> None:
        self._plan = plan
        self._run = run
        self._room = asyncio.Semaphore(plan.at_once)
        self._goals = 1

    async def reach(self, node: Node[T], outer: Scope, known: Mapping[str, Any]) -> None:
        """Plans a goal and works on it, anew where that fails."""
        plan = self._plan
        done: list[str] = []
        for _ in range(plan.most_plans):
            run = Run("plan", self._plan.name, self._run.id, part_of=outer.run)
            scope = Scope(outer, budget_usd=node.budget_usd, tags={_NODE: ".".join(map(str, node.path)) or "root"}, run=run)
            node.earlier += node.children
            node.children = []
            node.plans += 1
            try:
                goals = await self._split(node, scope, done)
                if goals:
                    await self._reach_all(node, goals, scope)
                else:
                    node.value = await self._work(node, scope, known)
                node.ended, node.why = "reached", ""
            except BudgetSpent as error:
                node.ended, node.why = "out_of_budget", str(error)
            except TookTooLong as error:
                node.ended, node.why = "too_late", str(error)
            except Cancelled:
                raise
            except (FreeholdError, _Unreached) as error:
                node.ended, node.why = "failed", str(error)
            finally:
                spent = run.progress.cost_usd
                node.cost_usd = None if node.cost_usd is None or spent is None else node.cost_usd + spent
            if node.ended != "failed":
                return
            done = [child.goal for child in node.children if child.ended == "reached"]

    async def _split(self, node: Node[T], scope: Scope, done: Sequence[str]) -> list[Goal]:
        plan = self._plan
        if node.depth >= plan.most_deep or self._goals >= plan.most_goals:
            return []
        told = {"goal": node.goal, "depth": node.depth, "done": list(done), "failed": node.why, "budget_usd": _left(scope)}
        async with self._room:
            goals: list[Goal] = await _called(plan.planner, told, scope)
        for n, goal in enumerate(goals):
            if any(not 0 <= need < len(goals) or need == n for need in goal.needs) or _needs_itself(goals, n):
                raise _Unreached(f"the plan is no plan: sub-goal {n} needs {goal.needs}, which cannot be reached before it")
        if self._goals + len(goals) > plan.most_goals:
            raise _Unreached(f"the plan has {len(goals)} sub-goals, and with them there would be more than {plan.most_goals}")
        self._goals += len(goals)
        return goals

    async def _reach_all(self, node: Node[T], goals: Sequence[Goal], scope: Scope) -> None:
        left, shares = _left(scope), sum(goal.share for goal in goals) or 1.0
        node.children = [
            Node(goal.goal, (*node.path, n), None if left is None else left * goal.share / shares) for n, goal in enumerate(goals)
        ]
        ended = [asyncio.Event() for _ in goals]

        async def reach(n: int) -> None:
            child, needs = node.children[n], goals[n].needs
            try:
                for need in needs:
                    await ended[need].wait()
                missing = [goals[need].goal for need in needs if node.children[need].ended != "reached"]
                if missing:
                    child.why = f"it needs what was not reached: {'; '.join(missing)}"
                else:
                    await self.reach(child, scope, {goals[need].goal: node.children[need].value for need in needs})
            finally:
                ended[n].set()

        async with asyncio.TaskGroup() as group:
            for n in range(len(goals)):
                group.create_task(reach(n))
        unreached = [child for child in node.children if child.ended != "reached"]
        if unreached:
            raise _Unreached("; ".join(f"'{child.goal[:80]}' was not reached: {child.why[:300]}" for child in unreached))
        values: list[Any] = [child.value for child in node.children]
        node.value = values if self._plan.join is None else await _called(self._plan.join, {"goal": node.goal, "values": values}, scope)

    async def _work(self, node: Node[T], scope: Scope, known: Mapping[str, Any]) -> T:
        told = {"goal": node.goal, "depth": node.depth, "known": dict(known), "failed": node.why, "budget_usd": _left(scope)}
        async with self._room:
            value: T = await _called(self._plan.worker, told, scope)
        if self._plan.check is not None:
            verdict = self._plan.check(node.goal, value)
            if verdict is not True:
                raise _Unreached(verdict or "the check says that it was not reached")
        return value


class _Unreached(Exception):
    """A goal was not reached, and may be planned anew."""


async def _called(what: Task[..., Any] | Pipeline[..., Any], told: Mapping[str, Any], scope: Scope) -> Any:
    """What a task or a pipeline gives for those of these that it has parameters for."""
    takes = inspect.signature(what).parameters
    some = {name: value for name, value in told.items() if name in takes}
    with entered(scope):
        return await (what.acall(**some) if isinstance(what, Task) else what(**some))


def _left(scope: Scope) -> float | None:
    return min((purse.left_usd for purse in scope.purses), default=None)


def _needs_itself(goals: Sequence[Goal], n: int) -> bool:
    seen: set[int] = set()
    left = list(goals[n].needs)
    while left:
        need = left.pop()
        if need == n:
            return True
        if need not in seen:
            seen.add(need)
            left += goals[need].needs
    return False
