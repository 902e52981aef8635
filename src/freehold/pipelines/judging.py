"""Has a project's models judge: they are asked as serving would ask them, and journalled as the judge's own calls.

Such a call belongs to the task `judge:NAME`, so that it is no part of the traffic that is judged. It is about whoever the judged call is about,
and so is found when they are erased; and of its words no more is kept than of the strictest task's.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import msgspec

from freehold.catalog import Content, Sampling
from freehold.chat import JSON
from freehold.config import Config
from freehold.errors import FreeholdError
from freehold.evaluation.asking import About, Ask, Said
from freehold.evaluation.plain import words_of
from freehold.evaluation.scorer import Scorer
from freehold.evaluation.scorers import judges_of, named
from freehold.journal.served import Question
from freehold.journal.shape import shape_of
from freehold.pipelines.program import program_of
from freehold.pipelines.runtime import Runtime
from freehold.project import Project
from freehold.serving.origin import Origin
from freehold.serving.resources import CACHE, Declaration
from freehold.tables import JudgeTable, TaskTable

DEADLINE_S = 120.0
_STRICTER: tuple[Content, ...] = ("full", "redacted", "none")


class ModelAsker:
    """Asks models for judges: an `Ask`, for a caller on any loop."""

    def __init__(self, at: Runtime) -> None:
        self._at = at
        self._declared: set[str] = set()

    async def __call__(self, model: str, messages: Sequence[dict[str, str]], about: About, sampling: Sampling) -> Said:
        """As of `Ask`."""
        return await self._at.arun(self._ask(model, messages, about, sampling))

    async def _ask(self, model: str, messages: Sequence[dict[str, str]], about: About, sampling: Sampling) -> Said:
        resources, call = self._at.resources, about.call
        if about.judge not in self._declared:
            resources.declare(about.judge, Declaration(TaskTable(content=strictest(self._at.project.config))))
            self._declared.add(about.judge)
        input: JSON = {"messages": list(messages)}
        tags = {} if call is None else {"judged": call.id}
        question = Question(list(messages), about.item, shape_of(list(messages)), None if call is None else call.subject, tags)
        origin = Origin(
            about.source,
            about.judge,
            question,
            None if call is None else call.group,
            None if call is None else call.customer,
            ends_at=self._at.now() + DEADLINE_S,
        )
        try:
            told = await self._at.put({**input, "model": model, **_written(sampling)}, origin)
        except FreeholdError as error:
            return Said(None, f"'{model}' was not asked: {error}")
        answered = told.call
        if answered is None:
            return Said(None, f"'{model}' was not asked: {told.message}")
        if told.status != 200 or answered.outcome != "answered" or answered.output is None:
            return Said(None, f"'{model}' gave no verdict ({answered.outcome}): {told.message}"[:300], answered.cost_usd, answered.id)
        if answered.variant not in (model, CACHE):  # another model's opinion is another judge's
            return Said(None, f"'{answered.variant}' answered in the place of '{model}'", answered.cost_usd, answered.id)
        return Said(words_of(answered.output), "", answered.cost_usd, answered.id)


class LateAsk:
    """Asks models for scorers that do, as serving would; the project is put to work at the first question."""

    def __init__(self, project: Project, stack: ExitStack) -> None:
        self._project = project
        self._stack = stack
        self._ask: Ask | None = None

    async def __call__(self, model: str, messages: Sequence[dict[str, str]], about: About, sampling: Sampling) -> Said:
        """As of `Ask`."""
        if self._ask is None:
            at = Runtime(Project(self._project.config, self._project.tenant))
            self._stack.callback(at.close)
            self._stack.enter_context(at.resources.paced())
            self._ask = ModelAsker(at)
        return await self._ask(model, messages, about, sampling)


@contextmanager
def judging(project: Project) -> Iterator[LateAsk]:
    """Who asks models for scorers that do, for as long as the block runs."""
    with ExitStack() as stack:
        yield LateAsk(project, stack)


def strictest(config: Config) -> Content:
    """The least that is kept of any task's words: a judge is shown them."""
    return max((config.journal.content, *(task.content for task in config.tasks.values() if task.content is not None)), key=_STRICTER.index)


def scorers_of(project: Project, specs: Sequence[str], at: Runtime | None = None, program: Sequence[str] = ()) -> list[Scorer]:
    """The scorers that `specs` name, those of the project's programs among them. `at`: asks models; without one, none that needs a model.

    Raises CallerError as of `named`, and for a program that cannot be imported.
    """
    return named(project.config, specs, program_of(project.config, program).modules, None if at is None else ModelAsker(at))


def judges_in(project: Project, program: Sequence[str] = ()) -> dict[str, JudgeTable]:
    """The project's judges, by name: of its file and of its programs."""
    return judges_of(project.config, program_of(project.config, program).modules)


def _written(sampling: Sampling) -> dict[str, JSON]:
    """How a model is to write, in OpenAI's words."""
    words = {"effort": "reasoning_effort", "max_output_tokens": "max_completion_tokens"}
    return {words.get(name, name): value for name, value in msgspec.structs.asdict(sampling).items() if value is not None}
