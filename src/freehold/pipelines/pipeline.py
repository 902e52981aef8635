"""An ordinary function that calls tasks: all its calls form one episode, and a deadline, a budget and a word to stop reach every one of them."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import update_wrapper
from hashlib import blake2b
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from freehold.errors import CallerError
from freehold.pipelines.failure import Cancelled
from freehold.pipelines.job import Job, Report
from freehold.pipelines.run import MOST_DEEP, CircularPipeline, Run
from freehold.pipelines.runs import State
from freehold.pipelines.runtime import Runtime, runtime
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
        scope = self._scope(args, kwargs)
        made: Any
        if inspect.isasyncgenfunction(self.function):
            made = self._iterated_async(scope, self.function(*args, **kwargs))
        elif inspect.isgeneratorfunction(self.function):
            made = self._iterated(scope, self.function(*args, **kwargs))
        elif self.is_async:
            made = self._awaited(scope, cast(Awaitable[Any], self.function(*args, **kwargs)))
        else:
            at, run = self._begin(scope)
            try:
                with entered(scope):
                    made = self.function(*args, **kwargs)
            except BaseException as error:
                self._end(at, run, error)
                raise
            self._end(at, run, None)
        return cast(R, made)

    def batch(self, job: Job) -> Report:
        """Runs over the rows of a file, durably, as `freehold batch` does. Raises CallerError and OperatorError."""
        from freehold.pipelines.batch import batch  # which needs this

        return batch(self, job)

    async def _awaited(self, scope: Scope, work: Awaitable[Any]) -> Any:
        at, run = self._begin(scope)
        try:
            with entered(scope):
                value = await work
        except BaseException as error:
            self._end(at, run, error)
            raise
        self._end(at, run, None)
        return value

    async def _iterated_async(self, scope: Scope, items: AsyncIterator[Any]) -> AsyncIterator[Any]:
        at, run = self._begin(scope)
        error: BaseException | None = None
        try:
            while True:
                try:
                    with entered(scope):  # not around the yield, where the caller's own scope holds
                        item = await anext(items)
                except StopAsyncIteration:
                    return
                yield item
        except BaseException as failed:
            error = failed
            raise
        finally:
            self._end(at, run, error)

    def _iterated(self, scope: Scope, items: Iterator[Any]) -> Iterator[Any]:
        at, run = self._begin(scope)
        error: BaseException | None = None
        try:
            while True:
                try:
                    with entered(scope):
                        item = next(items)
                except StopIteration:
                    return
                yield item
        except BaseException as failed:
            error = failed
            raise
        finally:
            self._end(at, run, error)

    def _scope(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Scope:
        """The scope of one run. Raises CircularPipeline."""
        outer = current()
        told = blake2b(repr((args, sorted(kwargs.items()))).encode("utf-8", "replace"), digest_size=8).hexdigest()
        frame = (self.name, told)
        if frame in outer.frames or len(outer.frames) >= MOST_DEEP:
            names = " -> ".join([*(name for name, _ in outer.frames), self.name])
            raise CircularPipeline(f"Pipelines call each other in a circle: {names}. One of them has to end without calling the next.")
        run = outer.run or Run("pipeline", self.name)
        return Scope(outer, deadline_s=self.deadline_s, budget_usd=self.budget_usd, run=run, frame=frame)

    def _begin(self, scope: Scope) -> tuple[Runtime, Run | None]:
        """The runtime, and the run where it begins here."""
        at = runtime()
        if current().run is not None:
            return at, None
        assert scope.run is not None
        at.begin(scope.run, scope.customer)
        return at, scope.run

    def _end(self, at: Runtime, run: Run | None, error: BaseException | None) -> None:
        if run is None:
            return
        state: State = (
            "done" if error is None or isinstance(error, GeneratorExit) else "cancelled" if isinstance(error, Cancelled) else "failed"
        )
        at.end(run, state, "" if error is None else f"{type(error).__name__}: {error}")


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
        for value, what in ((deadline_s, "deadline_s"), (budget_usd, "budget_usd")):
            if value is not None and not 0 <= value < float("inf"):
                raise CallerError(f"pipeline '{function.__name__}': {what} is {value}; expected a number from 0 up")
        return Pipeline(function, name, deadline_s, budget_usd)

    return made if function is None else made(function)
