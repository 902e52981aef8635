"""Python functions of a project's own answer, score, check and guard. Each runs in a thread of its own and within a deadline: one that hangs
holds up nobody but its own call, and none keeps a program from ending.
"""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Never, TypeAlias, cast

from freehold.errors import Deferred, FreeholdError, OperatorError, is_deferred

DEADLINE_S = 30.0
"""How long a function may take where nobody says."""

Function: TypeAlias = Callable[..., Any]


class PassType:
    """The type of `Pass`."""

    def __repr__(self) -> str:
        return "freehold.Pass"


Pass: Final[Never] = cast(Never, PassType())
"""What a function gives that has no answer: whoever comes next is asked."""


class Refuse(FreeholdError, ValueError):
    """Raised by a guard: nobody is to answer this. The message goes to the caller."""


class FunctionFailed(OperatorError):
    """A function of the project's own raised, or took too long. That says nothing about the answer it looked at."""


class Functions(NamedTuple):
    """The functions that a variant is made of."""

    body: Function | None = None
    """Answers by itself, or gives `Pass`: told the input's values."""
    score: Function | None = None
    """How good an answer is, for `best_of`: told the answer, gives a number."""
    check: Function | None = None
    """Whether an answer is right, for `verify`: told the answer, gives True, or False or words that say what is wrong."""
    before: Function | None = None
    """Whether a question may be asked, for `guard`: told the input's values."""
    after: Function | None = None
    """Whether an answer may be given, for `guard`: told the answer."""
    deadline_s: float = DEADLINE_S
    """How long each may take."""


async def called(function: Function, arguments: Mapping[str, Any] | tuple[Any, ...], deadline_s: float) -> Any:
    """What a function gives. Raises FunctionFailed, Refuse where it does, and Deferred where what it asks itself is answered later."""
    name = getattr(function, "__qualname__", repr(function))
    task = asyncio.current_task()
    assert task is not None
    limit = asyncio.timeout(deadline_s)
    try:
        async with limit:
            if inspect.iscoroutinefunction(function):
                return await (function(**arguments) if isinstance(arguments, Mapping) else function(*arguments))
            return await _in_thread(function, arguments)
    except Refuse:
        raise
    except BaseException as error:  # also SystemExit, which would end the loop that everybody is served on
        if limit.expired():
            raise FunctionFailed(f"{name} took longer than {deadline_s:g} s. Have it end sooner, or give it a longer deadline_s.") from None
        if task.cancelling():  # nobody wants the answer any more
            raise
        if is_deferred(error):
            raise Deferred from None
        raise FunctionFailed(f"{name} raised {type(error).__name__}: {error}") from error


async def _in_thread(function: Function, arguments: Mapping[str, Any] | tuple[Any, ...]) -> Any:
    """As `asyncio.to_thread`, whose threads a program waits for when it ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def tell(give: Callable[[], None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if done.done() else give())

    def work() -> None:
        try:
            given = context.run(function, **arguments) if isinstance(arguments, Mapping) else context.run(function, *arguments)
        except BaseException as error:  # noqa: BLE001 whatever it is, it is the caller's to hear
            is_carried = (isinstance(error, Exception) and not isinstance(error, StopIteration)) or is_deferred(error)
            caught = error if is_carried else RuntimeError(repr(error))
            tell(lambda: done.set_exception(caught))
        else:
            tell(lambda: done.set_result(given))

    threading.Thread(target=work, name=f"freehold-{getattr(function, '__name__', 'function')}", daemon=True).start()
    return await done
