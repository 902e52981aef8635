# ruff: noqa
"""A program whose types are wrong, on each line that ends in `# wrong` and on no other."""

from typing import Literal

from pydantic import BaseModel

import freehold


class Triage(BaseModel):
    """What becomes of a message."""

    queue: Literal["cards", "transfers"]
    urgent: bool


@freehold.task(reference="frontier")
def triage(message: str, tier: str = "basic") -> Triage:
    """Decide which queue should answer."""
    raise NotImplementedError


@freehold.task(referense="frontier")  # wrong
def misspelt(message: str) -> Triage:
    """A setting that there is not."""
    raise NotImplementedError


@freehold.task(repair="always")  # wrong
def repaired(message: str) -> Triage:
    """A setting that has no such value."""
    raise NotImplementedError


@freehold.pipeline
def at_once(message: str) -> str:
    """A plain pipeline."""
    triage(3)  # wrong
    triage()  # wrong
    triage(message, "gold", "more")  # wrong
    triage(message, teir="gold")  # wrong
    triage(message).queu  # wrong
    triage.answer(message).valu  # wrong
    triage.answer(message).value.nope  # wrong
    triage.map([message])[0].nope  # wrong
    triage.ask(message)  # wrong
    return triage(message)  # wrong


@freehold.pipeline
async def awaited(message: str) -> Triage:
    """One that awaits."""
    later = triage.acall(message)
    later.queue  # wrong
    await triage(message)  # wrong
    await triage.acall(message, tier=3)  # wrong
    (await triage.acall(message)).nope  # wrong
    for _ in triage.stream(message):  # wrong
        pass
    async for partial in triage.stream(message):
        partial.nope  # wrong
    return await triage.aanswer(message)  # wrong


at_once(3)  # wrong
at_once("x").queue  # wrong
