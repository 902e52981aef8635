"""How a model is asked: the task's word before the model's, and what is usual where neither says."""

from typing import NamedTuple

from freehold.providers.asking import Deadlines
from freehold.providers.breaker import FEWEST
from freehold.tables import ServingTable

_RETRIES = 2


class How(NamedTuple):
    """How a model is asked for a task."""

    deadlines: Deadlines
    """How long each step may take."""
    retries: int
    """As of `ServingTable`."""
    fallbacks: tuple[str, ...] | dict[str, float]
    """As of `ServingTable`."""
    hedge_after_s: float | None
    """As of `ServingTable`."""
    cache_s: float | None
    """As of `ServingTable`."""
    open_after: int
    """As of `ServingTable`."""
    restartable: bool
    """As of `ServingTable`."""


def how_of(task: ServingTable, model: ServingTable) -> How:
    """What the task says; where it says nothing what the model says; else the usual."""

    def said(name: str) -> float | None:
        value: float | None = getattr(task, name)
        return value if value is not None else getattr(model, name)

    usual = Deadlines()

    def counted(name: str, usual: int) -> int:
        value = said(name)
        return usual if value is None else int(value)

    return How(
        deadlines=Deadlines(*(said(name) or getattr(usual, name) for name in Deadlines._fields)),
        retries=counted("retries", _RETRIES),
        open_after=counted("open_after", FEWEST),
        fallbacks=task.fallbacks or model.fallbacks,
        hedge_after_s=said("hedge_after_s"),
        cache_s=said("cache_s"),
        restartable=task.restartable or model.restartable,
    )
