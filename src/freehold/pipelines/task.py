"""A typed function whose implementation is chosen at run time: `@task` makes it of a function's types and docstring.

The decorated name is called as the function is. Who answers is for the task's policy to say: a model, a function, a vote, a head, a recording.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import update_wrapper
from pathlib import Path
from threading import Lock
from types import CodeType
from typing import Any, Final, Generic, Literal, NamedTuple, ParamSpec, Protocol, TypeVar, cast, overload

from pydantic import ValidationError

from freehold import catalog
from freehold.chat import JSON, Chunk, Media, Message, Text, media_json, text_of
from freehold.context.prompt import DEFAULT, Prompt
from freehold.errors import CallerError, Deferred, OperatorError
from freehold.feedback.reward import RewardFunction
from freehold.journal.call import Call
from freehold.pipelines.examples import Rated
from freehold.pipelines.failure import NotAsked, failure_of
from freehold.pipelines.form import Typed
from freehold.pipelines.job import Job, Report
from freehold.pipelines.parse import Malformed
from freehold.pipelines.remember import History, after, before, check_kept
from freehold.pipelines.runtime import Runtime, runtime
from freehold.pipelines.scope import Scope, current
from freehold.pipelines.signature import Misuse, Signature, where_of
from freehold.serving.resources import OWN
from freehold.tables import TaskTable
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
    history: History | None = None
    """How much it is told of the conversation that it takes part in; None for nothing."""
    examples: tuple[tuple[Any, Any], ...] = ()
    """Inputs and their answers, which are shown before every question to variants that are shown none of the journal's."""
    deadline_s: float = DEADLINE_S
    """How long its own body may take."""
    reward: catalog.Reward | RewardFunction | None = None
    """How what is said about its answers becomes one number: a rule, or a function of all that was said."""


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
        if not 0 < options.max_loss < 1:
            raise self.signature.misuse(f"max_loss is {options.max_loss}; it lies between 0 and 1, such as 0.02")
        if options.rules is not None and self.signature.has_body:
            raise self.signature.misuse("it has a body and rules. Keep one of them: both answer first")
        self._rules: Rules | None = None
        try:
            if options.rules is not None:
                self._rules = Rules(Path(self.where.rpartition(":")[0]).parent / options.rules)
            if options.prompt is not None:
                Prompt(options.prompt)
            catalog.Task(id=self.name, max_loss=options.max_loss)
        except OperatorError as error:
            raise self.signature.misuse(str(error).rstrip(".")) from None
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
        values, at = self._bind(args, kwargs), runtime()
        return at.run(self.run(at, values, current()))

    async def aanswer(self, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """As `answer`, for a program that awaits."""
        values, at = self._bind(args, kwargs), runtime()
        return await at.arun(self.run(at, values, current()))

    async def stream(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """The answer as it comes: of a text what there is so far, of a list its whole entries, of a record one whose fields that have not come
        are None. The last one is the answer."""
        values, at = self._bind(args, kwargs), runtime()
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[tuple[Typed, str] | None] = asyncio.Queue()

        def heard(asked: Typed, text: str) -> None:
            with suppress(RuntimeError):  # the loop of the caller has ended, and nobody listens
                loop.call_soon_threadsafe(pieces.put_nowait, (asked, text))

        def ended(answer: asyncio.Future[Answer[T]]) -> None:
            pieces.put_nowait(None)
            _ = answer.cancelled() or answer.exception()  # which is of no interest where nobody listens any more

        answer = asyncio.ensure_future(at.arun(self.run(at, values, current(), heard)))
        answer.add_done_callback(ended)
        text, last = "", None
        try:
            while (piece := await pieces.get()) is not None:
                while piece is not None:
                    asked, more = piece
                    text += more
                    piece = None if pieces.empty() else pieces.get_nowait()
                found = asked.partial(text)
                if found is not None and found != last:
                    last = found
                    yield found
                if answer.done():
                    break
            value = (await answer).value
            if value != last:
                yield value
        finally:
            answer.cancel()

    def map(self, items: Iterable[Any], *, at_once: int = MOST_AT_ONCE) -> list[T]:
        """The answers to many inputs, in their order, several at one time. What fails is raised when it does; the others are in the journal.

        An item is the argument of a task that has one, else a tuple or a mapping of them. For work that outlives the program: `batch`.
        """
        values, at = self._bound(items), runtime()
        return at.run(self._map(at, values, at_once, current()))

    async def amap(self, items: Iterable[Any], *, at_once: int = MOST_AT_ONCE) -> list[T]:
        """As `map`, for a program that awaits."""
        values, at = self._bound(items), runtime()
        return await at.arun(self._map(at, values, at_once, current()))

    def batch(self, job: Job) -> Report:
        """Runs over the rows of a file, durably, as `freehold batch` does. Raises CallerError and OperatorError."""
        from freehold.pipelines.batch import batch  # which needs this

        return batch(self, job)

    async def _map(self, at: Runtime, items: list[dict[str, Any]], at_once: int, scope: Scope) -> list[T]:
        if at_once < 1:
            raise CallerError(f"map: at_once is {at_once}; expected a number from 1 up")
        room = asyncio.Semaphore(at_once)
        under_way: list[asyncio.Task[T | None]] = []
        later: list[Deferred] = []

        async def one(values: dict[str, Any]) -> T | None:
            try:
                return (await self.run(at, values, scope)).value
            except Deferred as error:  # the others are handed over with it
                later.append(error)
                return None
            finally:
                room.release()

        try:
            async with asyncio.TaskGroup() as group:
                for values in items:
                    await room.acquire()
                    under_way.append(group.create_task(one(values)))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        if later:
            raise later[0]
        return [cast(T, task.result()) for task in under_way]

    def _bound(self, items: Iterable[Any]) -> list[dict[str, Any]]:
        """The arguments of every item, read where the caller is, whose items may come from calls of their own."""
        if isinstance(items, str | bytes):
            raise NotAsked(f"Task '{self.name}': map takes many inputs, and got one text. Give a list of them.", self.name)
        if len(self.signature.fields) == 1:
            name = self.signature.fields[0].name
            return [self._bind((), {name: item}) for item in items]
        return [
            self._bind((), dict(item)) if isinstance(item, Mapping) else self._bind(item if isinstance(item, tuple) else (item,), {})
            for item in items
        ]

    def _bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self.signature.bind(args, kwargs)
        except CallerError as error:
            raise NotAsked(str(error), self.name, current().episode) from None

    # On the loop of a runtime.

    async def run(
        self, at: Runtime, values: Mapping[str, Any], scope: Scope, on_text: Callable[[Typed, str], None] | None = None
    ) -> Answer[T]:
        """The answer to arguments by parameter. `on_text` hears its words as they come. Raises StepFailed."""
        manner = await at.manner(self)
        about = {} if scope.episode is None else {b"episode": scope.episode}
        input = self.signature.json_of(values)
        conversation = scope.conversation if self.options.history is not None else None
        said: tuple[Message, ...] = ()
        question = Message(role="user")
        if conversation is not None and self.options.history is not None:
            check_kept(at.project, self.name)
            question = manner.question(values)
            said = await before(at.project, conversation, self.options.history, question)
            input = {"history": [_line(message) for message in said], "input": input} if said else input
        asked = Typed(manner, values, input, about, scope.tags, on_text is not None and self.signature.shown is None, said)
        if scope.run is not None and (known := scope.run.steps.take(self.name, asked.question.item)) is not None:
            with suppress(Malformed, ValidationError):  # such as one whose bytes were redacted: that is asked again
                return Answer(self.signature.value_of(known.output), known)

        def heard(chunk: Chunk) -> None:
            if on_text is not None and chunk.text and chunk.choice == 0:
                on_text(asked, chunk.text)

        told = await at.ask(lambda: asked, self.name, scope, heard)
        if told.call is None or told.message or told.call.outcome != "answered" or asked.parsed is None:
            is_cancelled = scope.run is not None and scope.run.is_cancelled
            why = scope.run.why_cancelled if scope.run and is_cancelled else told.message or asked.why or "there was no answer"
            raise failure_of(told.status, why, self.name, scope.episode, told.call)
        if conversation is not None:
            await after(at.project, conversation, question, asked.said(self.signature.output_json(asked.parsed.value)), told.call.id)
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
            reward=options.reward if isinstance(options.reward, catalog.Reward) else None,
        )

    @property
    def reward(self) -> RewardFunction | None:
        """Its reward, where that is a function; a rule is part of `table`."""
        return None if isinstance(self.options.reward, catalog.Reward) else self.options.reward

    @property
    def template(self) -> str:
        """The template by which it is asked where no other is labelled."""
        return self.options.prompt or DEFAULT

    def examples(self) -> tuple[Rated, ...]:
        """What is shown before every question. Raises Misuse for what is no input, or no answer, of this task."""
        signature = self.signature
        shown = []
        if self.options.examples and signature.shown is not None:
            raise signature.misuse(f"it has examples, and its answers are {signature.output_name}, which no model can be shown as its own")
        for input, answer in self.options.examples:
            try:
                (values,), output = self._bound([input]), signature.output_json(signature.output.validate_python(answer))
            except (CallerError, TypeError, ValueError) as error:
                raise signature.misuse(f"its example {input!r:.60} is none: {error}") from None
            shown.append(Rated({name: signature.input_json(name, value) for name, value in values.items()}, output))
        return tuple(shown)

    @property
    def repairs(self) -> bool:
        """Whether an answer that cannot be read is asked for again."""
        return self.options.repair == "ask"

    @property
    def has_own(self) -> bool:
        """Whether its body, or its table of rules, answers first."""
        return self.signature.has_body or self.options.rules is not None

    @property
    def may_pass(self) -> bool:
        """Whether its own answer may be that it has none: it says `Pass` somewhere, or its table has no row that fits everything."""
        if self._rules is not None:
            return not self._rules.fits_all
        return self.signature.has_body and _says(self._function.__code__, "Pass")

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
        if self._rules is not None:
            return Functions(body=_by_rules(self._rules, self.signature), deadline_s=self.options.deadline_s)
        return Functions(body=self._function, deadline_s=self.options.deadline_s) if self.signature.has_body else None


def _line(message: Message) -> JSON:
    """A message of a conversation as the journal keeps it."""
    said: dict[str, JSON] = {"role": message.role, "content": "".join(part.text for part in message.parts if isinstance(part, Text))}
    media: list[JSON] = [media_json(part) for part in message.parts if isinstance(part, Media)]
    return {**said, "media": media} if media else said


def _says(code: CodeType, name: str) -> bool:
    """Whether a function, or one within it, says a name."""
    return name in code.co_names or any(isinstance(inner, CodeType) and _says(inner, name) for inner in code.co_consts)


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


class Decorator(Protocol):
    """What `@task(…)` is: it makes a task of a function, and of a coroutine function one that gives what is awaited."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, T]], /) -> Task[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, T], /) -> Task[P, T]: ...


@overload
def task(function: Callable[P, Coroutine[Any, Any, T]], /) -> Task[P, T]: ...
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
    history: History | None = None,
    examples: Sequence[tuple[Any, Any]] = (),
    deadline_s: float = DEADLINE_S,
    reward: catalog.Reward | RewardFunction | None = None,
) -> Decorator: ...
def task(
    function: Callable[..., Any] | None = None,
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
    history: History | None = None,
    examples: Sequence[tuple[Any, Any]] = (),
    deadline_s: float = DEADLINE_S,
    reward: catalog.Reward | RewardFunction | None = None,
) -> Any:
    """Makes a task of a function with type hints and a docstring.

    `name`: what it is called, as the function where nothing is said. `reference`, `metric`, `max_loss`, `variants`: as under `[tasks.NAME]`,
    which comes before what is said here. `instruction`: what it asks; the docstring where nothing is said. `prompt`: a template of one's own,
    or the path of one, beginning with @. `repair`: "ask" pays for a second answer where the first cannot be read. `rules`: a table of rules
    beside the program that answers first. `history`: how much it is told of the conversation that `scope` names. `examples`: inputs with their
    answers, shown before every question; an input is the argument, or a tuple or mapping of them. A function that has a body answers first
    itself, or gives `Pass`, within `deadline_s`. `reward`: how what is said about its answers becomes one number, as under
    `[tasks.NAME.reward]`, or a function of all that was said (`Sequence[Feedback]`) that gives a number from 0 to 1, or None.

    Raises Misuse, when the module is imported, for what no task can be made of.
    """

    def made(function: Callable[..., Any]) -> Task[..., Any]:
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
            history=history,
            examples=tuple(examples),
            deadline_s=deadline_s,
            reward=reward,
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
