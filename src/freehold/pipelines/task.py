"""A typed function whose implementation is chosen at run time: `@task` makes it of a function's types and docstring.

The decorated name is called as the function is. Who answers is for the task's policy to say: a model, a function, a vote, a head, a recording.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import update_wrapper
from pathlib import Path
from threading import Lock
from typing import Any, Final, Generic, Literal, NamedTuple, ParamSpec, TypeVar, overload

from pydantic import ValidationError

from freehold.chat import Chunk, text_of
from freehold.config import TaskTable
from freehold.context.prompt import DEFAULT
from freehold.errors import CallerError
from freehold.journal.call import Call
from freehold.pipelines.failure import failure_of
from freehold.pipelines.form import Typed
from freehold.pipelines.job import Job, Report
from freehold.pipelines.parse import Malformed, partial
from freehold.pipelines.runtime import Runtime, runtime
from freehold.pipelines.scope import Scope, current
from freehold.pipelines.signature import Misuse, Signature, where_of
from freehold.resources import OWN
from freehold.variants.declare import Declared
from freehold.variants.functions import DEADLINE_S, Functions, Pass
from freehold.variants.rules import Rules

P = ParamSpec("P")
T = TypeVar("T")

MOST_AT_ONCE = 16
"""How many items `map` has under way at one time, where nobody says."""


class Answer(NamedTuple, Generic[T]):
    """A value, and how it came about."""

    value: T
    """The answer."""
    call: Call
    """What the journal has of it: who was asked, what that cost and took."""
    repairs: tuple[str, ...] = ()
    """What had to be mended to read it, such as a fence around it."""


class Options(NamedTuple):
    """What is said about a task when it is declared."""

    name: str
    """What it is called."""
    reference: str | None = None
    """As of `[tasks.NAME]`."""
    metric: str | None = None
    """As of `[tasks.NAME]`."""
    max_loss: float = 0.02
    """As of `[tasks.NAME]`."""
    instruction: str = ""
    """What it asks, in words."""
    variants: tuple[str | Declared, ...] = ()
    """Who may answer: names of models and variants, and variants that are declared here."""
    prompt: str | None = None
    """The template by which it is asked; None for the usual one."""
    repair: Literal["local", "ask"] = "local"
    """What becomes of an answer that cannot be read: it is mended here as far as that goes, or asked for once more."""
    rules: str | Path | None = None
    """A table of rules that answers first."""
    deadline_s: float = DEADLINE_S
    """How long its own body may take."""


class Task(Generic[P, T]):
    """A task. Called as the function it was made of."""

    def __init__(self, function: Callable[P, T], options: Options) -> None:
        """Raises Misuse for a function that no task can be made of."""
        self.signature = Signature(function)
        self.options = options
        self.name = options.name
        self.where = self.signature.where
        self.path = (function.__module__, function.__qualname__)
        """Where a program finds it."""
        self._function = function
        if options.rules is not None and self.signature.has_body:
            raise self.signature.misuse("it has a body and rules. Keep one of them: both answer first")
        update_wrapper(self, function)

    # To be called.

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer. Raises StepFailed, in the form of one of its kinds."""
        return self.answer(*args, **kwargs).value

    async def acall(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """As calling it, for a program that awaits."""
        return (await self.aanswer(*args, **kwargs)).value

    def answer(self, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """The answer, with the call that it came about by."""
        at = runtime()
        return at.run(self.run(at, self.signature.bind(args, kwargs), current()))

    async def aanswer(self, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """As `answer`, for a program that awaits."""
        at = runtime()
        return await at.arun(self.run(at, self.signature.bind(args, kwargs), current()))

    async def stream(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """The answer as it comes: of a text what there is so far, of a list its whole entries, of a record one whose fields that have not come
        are None. The last one is the answer."""
        at = runtime()
        values, scope = self.signature.bind(args, kwargs), current()
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def heard(chunk: Chunk) -> None:
            if chunk.text and chunk.choice == 0:
                loop.call_soon_threadsafe(pieces.put_nowait, chunk.text)

        asked = asyncio.ensure_future(at.arun(self.run(at, values, scope, heard)))
        asked.add_done_callback(lambda _: pieces.put_nowait(None))
        text, last = "", None
        try:
            has_ended = False
            while not has_ended:
                come = [await pieces.get()]
                while not pieces.empty():
                    come.append(pieces.get_nowait())
                has_ended = None in come
                text += "".join(piece for piece in come if piece is not None)
                found = partial(text, self.signature.output)
                if found is not None and found != last and not has_ended:
                    last = found
                    yield found
            answer = await asked
            if answer.value != last:
                yield answer.value
        finally:
            asked.cancel()

    def map(self, items: Iterable[Any], *, at_once: int = MOST_AT_ONCE) -> list[T]:
        """The answers to many inputs, in their order, several at one time. What fails is raised when it does; the others are in the journal.

        An item is the argument of a task that has one, else a tuple or a mapping of them. For work that outlives the program: `batch`.
        """
        at = runtime()
        return at.run(self._map(at, items, at_once, current()))

    async def amap(self, items: Iterable[Any], *, at_once: int = MOST_AT_ONCE) -> list[T]:
        """As `map`, for a program that awaits."""
        at = runtime()
        return await at.arun(self._map(at, items, at_once, current()))

    def batch(self, job: Job) -> Report:
        """Runs over the rows of a file, durably, as `freehold batch` does. Raises CallerError and OperatorError."""
        from freehold.pipelines.batch import batch  # which needs this

        return batch(self, job)

    async def _map(self, at: Runtime, items: Iterable[Any], at_once: int, scope: Scope) -> list[T]:
        if at_once < 1:
            raise CallerError(f"map: at_once is {at_once}; expected a number from 1 up")
        room = asyncio.Semaphore(at_once)
        under_way: list[asyncio.Task[T]] = []

        async def one(values: dict[str, Any]) -> T:
            try:
                return (await self.run(at, values, scope)).value
            finally:
                room.release()

        try:
            async with asyncio.TaskGroup() as group:
                for item in items:
                    await room.acquire()
                    under_way.append(group.create_task(one(self._bound(item))))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in under_way]

    def _bound(self, item: Any) -> dict[str, Any]:
        if isinstance(item, Mapping) and set(item) <= {field.name for field in self.signature.fields}:
            return self.signature.bind((), dict(item))
        return self.signature.bind(item if isinstance(item, tuple) and len(self.signature.fields) > 1 else (item,), {})

    # On the loop of a runtime.

    async def run(self, at: Runtime, values: Mapping[str, Any], scope: Scope, on_chunk: Callable[[Chunk], None] | None = None) -> Answer[T]:
        """The answer to arguments by parameter. Raises StepFailed."""
        manner = await at.manner(self)
        about = {} if scope.episode is None else {b"episode": scope.episode}
        asked = Typed(
            manner, values, self.signature.json_of(values), about, scope.tags, on_chunk is not None and self.signature.shown is None
        )
        if scope.run is not None and (known := scope.run.steps.take(self.name, asked.question.item)) is not None:
            with suppress(Malformed, ValidationError):  # such as one whose bytes were redacted: that is asked again
                return Answer(self.signature.value_of(known.output), known)
        told = await at.ask(lambda: asked, self.name, scope, on_chunk)
        if told.call is None or told.message or told.call.outcome != "answered" or asked.parsed is None:
            why = told.message or asked.why or "there was no answer"
            raise failure_of(told.status, why, self.name, scope.episode, told.call)
        return Answer(asked.parsed.value, told.call, asked.parsed.repairs)

    # What the project is told of it.

    def table(self) -> TaskTable:
        """As a table of the configuration."""
        options = self.options
        names = tuple(each if isinstance(each, str) else each.name for each in options.variants)
        own = (OWN,) if self.has_own and OWN not in names else ()
        named = (options.reference,) if options.reference is not None and options.reference not in names else ()
        return TaskTable(
            reference=options.reference,
            variants=(*own, *named, *names) if names or own else (),
            metric=options.metric,
            max_loss=options.max_loss,
            instruction=options.instruction or self.signature.doc,
        )

    @property
    def template(self) -> str:
        """The template by which it is asked where no other is labelled."""
        return self.options.prompt or DEFAULT

    @property
    def repairs(self) -> bool:
        """Whether an answer that cannot be read is asked for again."""
        return self.options.repair == "ask"

    @property
    def has_own(self) -> bool:
        """Whether its body, or its table of rules, answers first."""
        return self.signature.has_body or self.options.rules is not None

    def declared(self) -> dict[str, Declared]:
        """The variants that it declares, by name. Raises Misuse where two of one name differ."""
        found: dict[str, Declared] = {}
        for each in self.options.variants:
            for one in each.all() if isinstance(each, Declared) else ():
                if found.setdefault(one.name, one)[:2] != one[:2]:
                    raise self.signature.misuse(
                        f"two of its variants are called '{one.name}'. Give one of them a name of its own, by name="
                    )
        return found

    def functions(self) -> Functions | None:
        """Its own answer."""
        if self.options.rules is not None:
            rules = Rules(Path(self.where.rpartition(":")[0]).parent / self.options.rules)
            return Functions(body=_by_rules(rules, self.signature), deadline_s=self.options.deadline_s)
        return Functions(body=self._function, deadline_s=self.options.deadline_s) if self.signature.has_body else None


def _by_rules(rules: Rules, signature: Signature) -> Callable[..., Any]:
    def body(**values: Any) -> Any:
        found = rules.run(text_of(signature.json_of(values)), current().tags)
        return Pass if found is None else signature.value_of(found.output)

    return body


# Declaring. The names that are taken are state of the module on purpose: two tasks of one name would be one in the journal.

_declared: Final[dict[str, Task[Any, Any]]] = {}
_lock: Final = Lock()


def declared() -> dict[str, Task[Any, Any]]:
    """The tasks of this process, by name."""
    return dict(_declared)


def _declare(task: Task[P, T]) -> Task[P, T]:
    with _lock:
        known = _declared.get(task.name)
        if known is not None and known.path != task.path:
            raise task.signature.misuse(f"there is a task '{task.name}' already, at {known.where}. Give one of them another name, by name=")
        _declared[task.name] = task
    return task


@overload
def task(function: Callable[P, T], /) -> Task[P, T]: ...
@overload
def task(
    *,
    name: str | None = None,
    reference: str | Declared | None = None,
    metric: str | None = None,
    max_loss: float = 0.02,
    variants: Sequence[str | Declared] = (),
    instruction: str = "",
    prompt: str | None = None,
    repair: Literal["local", "ask"] = "local",
    rules: str | Path | None = None,
    deadline_s: float = DEADLINE_S,
) -> Callable[[Callable[P, T]], Task[P, T]]: ...
def task(
    function: Callable[P, T] | None = None,
    /,
    *,
    name: str | None = None,
    reference: str | Declared | None = None,
    metric: str | None = None,
    max_loss: float = 0.02,
    variants: Sequence[str | Declared] = (),
    instruction: str = "",
    prompt: str | None = None,
    repair: Literal["local", "ask"] = "local",
    rules: str | Path | None = None,
    deadline_s: float = DEADLINE_S,
) -> Task[P, T] | Callable[[Callable[P, T]], Task[P, T]]:
    """Makes a task of a function with type hints and a docstring.

    `name`: what it is called, as the function where nothing is said. `reference`, `metric`, `max_loss`, `variants`: as under `[tasks.NAME]`,
    which comes before what is said here. `instruction`: what it asks; the docstring where nothing is said. `prompt`: a template of one's own,
    or the path of one, beginning with @. `repair`: "ask" pays for a second answer where the first cannot be read. `rules`: a table of rules
    beside the program that answers first. A function that has a body answers first itself, or gives `Pass`, within `deadline_s`.

    Raises Misuse, when the module is imported, for what no task can be made of.
    """

    def made(function: Callable[P, T]) -> Task[P, T]:
        first = (reference,) if isinstance(reference, Declared) else ()
        options = Options(
            name=name or function.__name__,
            reference=reference.name if isinstance(reference, Declared) else reference,
            metric=metric,
            max_loss=max_loss,
            instruction=instruction,
            variants=(*first, *variants),
            prompt=_template(prompt, function),
            repair=repair,
            rules=rules,
            deadline_s=deadline_s,
        )
        return _declare(Task(function, options))

    return made if function is None else made(function)


def _template(prompt: str | None, function: Callable[..., Any]) -> str | None:
    if prompt is None or not prompt.startswith("@"):
        return prompt
    path = Path(where_of(function).rpartition(":")[0]).parent / prompt[1:]
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"{where_of(function)}: '{function.__name__}' names the prompt {path}, which cannot be read: {error}") from None
