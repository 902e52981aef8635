"""An ordinary function that calls tasks: all its calls form one episode, and a deadline, a budget and a word to stop reach every one of them."""

import inspect
from asyncio import CancelledError
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import update_wrapper
from hashlib import blake2b
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from freehold.errors import CallerError
from freehold.pipelines.failure import Cancelled, kind_of
from freehold.pipelines.job import Job, Report
from freehold.pipelines.run import MOST_DEEP, CircularPipeline, Run
from freehold.pipelines.runs import State
from freehold.pipelines.runtime import runtime
from freehold.pipelines.scope import Scope, current, entered
from freehold.pipelines.signature import Misuse, where_of

P = ParamSpec("P")
R = TypeVar("R")


class Pipeline(Generic[P, R]):
    """A pipeline. Called, awaited or iterated as the function it was made of."""

    def __init__(self, function: Callable[P, R], name: str | None, deadline_s: float | None, budget_usd: float | None) -> None:
        self.name = name or function.__name__
        self.where = where_of(function)
        self.function = function
        self.deadline_s, self.budget_usd = deadline_s, budget_usd
        self.is_async = inspect.iscoroutinefunction(function)
        self.is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function gives. Its calls are one episode, or part of the one around it."""
        scope, run = self._scope(args, kwargs)
        made: Any = None
        if inspect.isasyncgenfunction(self.function):
            made = self._iterated_async(scope, run, self.function(*args, **kwargs))
        elif inspect.isgeneratorfunction(self.function):
            made = self._iterated(scope, run, self.function(*args, **kwargs))
        elif self.is_async:
            made = self._awaited(scope, run, cast(Awaitable[Any], self.function(*args, **kwargs)))
        else:
            with running(run, scope), entered(scope):
                made = self.function(*args, **kwargs)
        return cast(R, made)

    def batch(self, job: Job) -> Report:
        """Runs over the rows of a file, durably, as `freehold batch` does. Raises CallerError and OperatorError."""
        from freehold.pipelines.batch import batch  # which needs this

        return batch(self, job)

    async def _awaited(self, scope: Scope, run: Run | None, work: Awaitable[Any]) -> Any:
        with running(run, scope), entered(scope):
            return await work

    async def _iterated_async(self, scope: Scope, run: Run | None, items: AsyncGenerator[Any, None]) -> AsyncIterator[Any]:
        with running(run, scope):
            try:
                while True:
                    try:
                        with entered(scope):  # not around the yield, where the caller's own scope holds
                            item = await anext(items)
                    except StopAsyncIteration:
                        return
                    yield item
            finally:
                with entered(scope):
                    await items.aclose()

    def _iterated(self, scope: Scope, run: Run | None, items: Generator[Any, None, None]) -> Iterator[Any]:
        with running(run, scope):
            try:
                while True:
                    try:
                        with entered(scope):
                            item = next(items)
                    except StopIteration:
                        return
                    yield item
            finally:
                with entered(scope):
                    items.close()

    def _scope(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Scope, Run | None]:
        """The scope of what runs now, and the run where one begins with it. Raises CircularPipeline."""
        outer = current()
        is_within = any(name == self.name for name, _ in outer.frames)
        frame = (self.name, _digest(args, kwargs) if is_within else "")  # of others it costs, and says nothing
        if (is_within and frame in outer.frames) or len(outer.frames) >= MOST_DEEP:
            names = " -> ".join([*(name for name, _ in outer.frames), self.name])
            raise CircularPipeline(f"Pipelines call each other in a circle: {names}. One of them has to end without calling the next.")
        run = Run("pipeline", self.name) if outer.run is None else None
        return Scope(outer, deadline_s=self.deadline_s, budget_usd=self.budget_usd, run=run, frame=frame), run


@contextmanager
def running(run: Run | None, scope: Scope) -> Iterator[None]:
    """Tells the project of a run that begins here, and how it ends."""
    if run is None:
        yield
        return
    at = runtime()
    at.begin(run, scope.customer)
    error: BaseException | None = None
    try:
        yield
    except BaseException as failed:
        error = failed
        raise
    finally:
        at.end(run, _state_after(error), "" if error is None else kind_of(error))


def _digest(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    return blake2b(repr((args, sorted(kwargs.items()))).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _state_after(error: BaseException | None) -> State:
    if error is None or isinstance(error, GeneratorExit):  # whoever iterates had enough
        return "done"
    return "cancelled" if isinstance(error, Cancelled | CancelledError | KeyboardInterrupt) else "failed"


def episode() -> str | None:
    """The id of the run that the caller is part of, for feedback about it; None outside of pipelines."""
    return current().episode


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(
    *, name: str | None = None, deadline_s: float | None = None, budget_usd: float | None = None
) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(
    function: Callable[P, R] | None = None, /, *, name: str | None = None, deadline_s: float | None = None, budget_usd: float | None = None
) -> Pipeline[P, R] | Callable[[Callable[P, R]], Pipeline[P, R]]:
    """Makes a pipeline of a function that calls tasks: plain, async, or a generator of either kind.

    `deadline_s` and `budget_usd` hold for each run, as of `scope`. A step that fails raises an error which holds the episode.
    """

    def made(function: Callable[P, R]) -> Pipeline[P, R]:
        if not callable(function) or not hasattr(function, "__name__"):
            raise Misuse(f"{where_of(function)}: a pipeline is made of a function")
        try:
            Scope(deadline_s=deadline_s, budget_usd=budget_usd)
        except CallerError as error:
            raise Misuse(f"{where_of(function)}: pipeline '{function.__name__}': {error}") from None
        return Pipeline(function, name, deadline_s, budget_usd)

    return made if function is None else made(function)
