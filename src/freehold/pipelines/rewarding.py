"""The reward of a task, wherever it is declared: in `freehold.toml`, or in a program of the project, as a rule or as a function."""

from freehold.catalog import Reward
from freehold.config import Config, with_declared
from freehold.feedback.reward import RewardFunction
from freehold.pipelines.program import program_of


def reward_of(config: Config, task: str) -> Reward | RewardFunction | None:
    """A task's reward; what the file says comes first. The project's programs are imported only where it says nothing. Raises NotImported,
    OperatorError."""
    known = config.catalog().tasks.get(task)
    if known is not None and known.reward is not None:
        return known.reward
    declared = {one.name: one for one in program_of(config).tasks} if config.project.python else {}
    if task not in declared:
        return None
    return with_declared(config, {task: declared[task].table()}).catalog().tasks[task].reward or declared[task].reward
