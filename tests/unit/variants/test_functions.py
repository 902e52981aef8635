"""Functions of the project's own run within a deadline, and whatever they do ends nothing but their own call."""

import asyncio
import threading
import time
from contextvars import ContextVar
from typing import Any

import pytest

from freehold.variants.functions import FunctionFailed, Pass, Refuse, called

SEEN: ContextVar[str] = ContextVar("seen", default="nothing")


def run(function: Any, arguments: Any = (1,), deadline_s: float = 5.0) -> Any:
    return asyncio.run(called(function, arguments, deadline_s))


async def later(n: int) -> int:
    await asyncio.sleep(0)
    return n + 1


def raising(error: BaseException) -> Any:
    def fails(n: int) -> None:
        raise error

    return fails


def raising_later(error: BaseException) -> Any:
    async def fails(n: int) -> None:
        raise error

    return fails


def test_arguments_come_by_place_or_by_name() -> None:
    assert run(lambda n: n + 1) == 2 and run(lambda n: n + 1, {"n": 1}) == 2
    assert run(later) == run(later, {"n": 1}) == 2
    assert run(lambda n: Pass) is Pass


def test_it_runs_in_a_thread_of_its_own_and_sees_the_context() -> None:
    async def ask() -> Any:
        SEEN.set("it")
        return await called(lambda n: (threading.get_ident(), SEEN.get()), (1,), 5.0)

    thread, seen = asyncio.run(ask())
    assert thread != threading.get_ident() and seen == "it"


@pytest.mark.parametrize("make", [raising, raising_later])
@pytest.mark.parametrize(
    "error",
    [ValueError("no"), SystemExit(3), KeyboardInterrupt(), StopIteration(), TimeoutError("its own"), asyncio.CancelledError()],
    ids=repr,
)
def test_whatever_it_raises_is_a_failure_of_its_own(make: Any, error: BaseException) -> None:
    with pytest.raises(FunctionFailed, match="fails raised") as found:
        run(make(error))
    assert "longer than" not in str(found.value)


@pytest.mark.parametrize("make", [raising, raising_later])
def test_a_refusal_is_handed_on(make: Any) -> None:
    with pytest.raises(Refuse, match="not this"):
        run(make(Refuse("not this")))


def test_one_that_hangs_takes_its_deadline_and_no_longer() -> None:
    async def hangs(n: int) -> None:
        await asyncio.sleep(10)

    for function in (lambda n: time.sleep(1), hangs):
        began = time.monotonic()
        with pytest.raises(FunctionFailed, match=r"took longer than 0.05 s"):
            run(function, deadline_s=0.05)
        assert time.monotonic() - began < 0.9


def test_whoever_is_cancelled_is_cancelled() -> None:
    async def ask() -> None:
        task = asyncio.create_task(called(lambda n: time.sleep(0.3), (1,), 5.0))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(ask())
