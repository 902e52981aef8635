"""A program whose types are right: what each step gives is known to whoever reads it, by either type checker at its strictest."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Literal, assert_type

from pydantic import BaseModel

import freehold


class Triage(BaseModel):
    """What becomes of a message."""

    queue: Literal["cards", "transfers"]
    urgent: bool


@freehold.task(reference="frontier", variants=["cheap", freehold.vote(3, "cheap"), freehold.think("cheap")], max_loss=0.05)
def triage(message: str, tier: str = "basic") -> Triage:
    """Decide which queue should answer."""
    raise NotImplementedError


@freehold.task
def words(text: str) -> list[str]:
    """Name the words that matter."""
    raise NotImplementedError


@freehold.task
async def looked_up(message: str) -> Triage:
    """A body that is awaited gives a task all the same."""
    await asyncio.sleep(0)
    return Triage(queue="cards", urgent=False)


@freehold.task(reference="frontier")
def known(message: str) -> Triage:
    """A body that knows some of the answers."""
    if "card" in message:
        return Triage(queue="cards", urgent=False)
    return freehold.Pass


@freehold.pipeline
def at_once(message: str) -> list[str]:
    """A plain pipeline."""
    found = triage(message, tier="gold")
    assert_type(found, Triage)
    assert_type(triage.answer(message), freehold.Answer[Triage])
    assert_type(triage.answer(message).value.urgent, bool)
    assert_type(triage.map([message]), list[Triage])
    assert_type(looked_up(message), Triage)
    assert_type(known(message), Triage)
    return words(found.queue)


@freehold.pipeline(deadline_s=5, budget_usd=0.1)
async def awaited(message: str) -> Triage:
    """One that awaits."""
    assert_type(await triage.acall(message), Triage)
    assert_type((await triage.aanswer(message)).value, Triage)
    assert_type(await triage.amap([message]), list[Triage])
    assert_type(await looked_up.acall(message), Triage)
    first, second = await asyncio.gather(triage.acall(message), words.acall(message))
    assert_type(first, Triage)
    assert_type(second, list[str])
    async for partial in triage.stream(message):
        assert_type(partial, Triage)
    assert_type(freehold.episode(), str | None)
    return first


@freehold.pipeline
async def pieces(message: str) -> AsyncIterator[Triage]:
    """One that gives its answers as they come."""
    yield await triage.acall(message)


async def main() -> None:
    """Pipelines keep their signatures as well."""
    assert_type(at_once("x"), list[str])
    assert_type(await awaited(message="x"), Triage)
    async for each in pieces("x"):
        assert_type(each, Triage)
    with freehold.scope(deadline_s=1, budget_usd=0.01, tags={"tier": "gold"}):
        later: Coroutine[Any, Any, Triage] = awaited("x")
        await later
