"""Has a project's models answer for a training run: as serving would ask them, journalled, within a budget."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import blake2b

from freehold.catalog import Sampling
from freehold.chat import Usage
from freehold.errors import TrainingError
from freehold.evaluation.asking import About, Ask, Said
from freehold.journal.build import Builder
from freehold.pipelines.judging import judging
from freehold.project import Project
from freehold.training.asking import Asks, Heard, Turns

SOURCE = "train"
"""The `source` of calls that training makes."""
_AT_ONCE = 8
_FAILING = 8
"""After so many without an answer at the beginning nobody is asked any more: something is wrong that asking does not mend."""


class Teachers:
    """As of `Models`."""

    def __init__(self, ask: Ask, task: str, budget_usd: float | None) -> None:
        self._ask = ask
        self._about = f"train:{task}"
        self._budget_usd = budget_usd
        self._known_usd = 0.0
        self._is_known = True
        self._answered = 0

    @property
    def cost_usd(self) -> float | None:
        """As of `Models`."""
        return self._known_usd if self._is_known else None

    def ask(self, model: str, conversations: Sequence[Turns], sampling: Sampling) -> list[Heard]:
        """As of `Models`."""
        return asyncio.run(self._all(model, conversations, sampling))

    async def _all(self, model: str, conversations: Sequence[Turns], sampling: Sampling) -> list[Heard]:
        heard: list[Heard] = [Heard(None)] * len(conversations)
        several = asyncio.Semaphore(_AT_ONCE)
        failed = 0

        async def one(n: int, turns: Turns) -> None:
            nonlocal failed
            async with several:
                self._check(model, failed, heard)
                item = blake2b(repr((model, turns)).encode(errors="surrogatepass"), digest_size=16).hexdigest()
                said: Said = await self._ask(model, list(turns), About(self._about, item, source=SOURCE), sampling)
                self._known_usd += said.cost_usd or 0.0
                self._is_known &= said.cost_usd is not None
                self._answered += said.text is not None
                failed += said.text is None
                heard[n] = Heard(said.text, said.why)

        try:
            async with asyncio.TaskGroup() as group:
                for n, turns in enumerate(conversations):
                    group.create_task(one(n, turns))
        except* TrainingError as errors:
            raise errors.exceptions[0] from None
        return heard

    def _check(self, model: str, failed: int, heard: Sequence[Heard]) -> None:
        if self._budget_usd is not None and self._known_usd >= self._budget_usd:
            raise TrainingError(
                f"The budget of {self._budget_usd:g} USD is spent ({self._known_usd:.4f}). What was asked is in the journal; give more by --budget-usd, "
                "or look for less."
            )
        if failed >= _FAILING and not self._answered:
            why = next((one.why for one in heard if one.why), "")
            raise TrainingError(
                f"'{model}' answered none of the first {failed} questions: {why}. 'freehold doctor' says what is wrong with its provider."
            )


def price_of(project: Project, asks: Iterable[Asks], now: datetime) -> float | None:
    """About what questions cost, in USD, by the prices of then; None where one is unknown."""
    builder = Builder(None, project.tenant, "found", project.catalog, project.prices, now)
    total = 0.0
    for one in asks:
        if not one.questions:
            continue
        usage = Usage(input_tokens=round(one.input_tokens), output_tokens=round(one.output_tokens))
        cost, _ = builder.price(one.model, usage, now)
        if cost is None:
            return None
        total += one.questions * cost
    return total


@contextmanager
def teaching(project: Project, task: str, budget_usd: float | None) -> Iterator[Teachers]:
    """Who asks models for a run, for as long as the block runs. Nothing is opened before the first question."""
    with judging(project) as ask:
        yield Teachers(ask, task, budget_usd)
