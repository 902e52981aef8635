"""How the tasks of a program put their questions, in a project at work: their prompts, examples and variants, as the project knows them now."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from freehold.catalog import Variant
from freehold.chat import JSON
from freehold.context.prompt import Prompt
from freehold.context.prompts import Shelf, keep
from freehold.errors import CallerError
from freehold.feedback.reward import RewardFunction
from freehold.gateway.formats import OPENAI, Format
from freehold.pipelines.examples import Rated, Shown, well_rated, well_rewarded
from freehold.pipelines.form import Manner
from freehold.pipelines.signature import Signature
from freehold.serving.resources import OWN, Declaration, Resources
from freehold.tables import TaskTable
from freehold.variants.declare import Declared
from freehold.variants.functions import Functions

_log = logging.getLogger("freehold.pipelines")


class Asks(Protocol):
    """A task of a program."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def signature(self) -> Signature:
        """Its types."""

    @property
    def template(self) -> str:
        """The template by which it is asked where no other is labelled."""

    @property
    def repairs(self) -> bool:
        """As of `Manner`."""

    def examples(self) -> tuple[Rated, ...]:
        """What is shown before every question."""

    def table(self) -> TaskTable:
        """As a table of the configuration."""

    def declared(self) -> dict[str, Declared]:
        """The variants that it declares, by name."""

    def functions(self) -> Functions | None:
        """Its own answer, where it has one."""

    @property
    def reward(self) -> RewardFunction | None:
        """Its reward, where that is a function."""


class Manners:
    """The manner of each task that was asked for, made once."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._store, self._tenant = resources.store, resources.tenant
        self._shelf = Shelf(self._store, self._tenant)
        self._known: dict[str, Manner] = {}
        self._without_schema: set[str] = set()
        self._shown: dict[str, Shown] = {}
        self._real: dict[str, str] = {}
        """The names of tasks that are asked by another one."""
        self._rewards: dict[str, RewardFunction] = {}
        """The rewards that tasks say by a function of their own."""

    async def of(self, task: Asks, under: str | None = None) -> Manner:
        """How a task of a program puts its questions. The first time the project is told of it. `under`: by which name it is asked, where that is
        another. Raises CallerError and OperatorError."""
        name = under or task.name
        known = self._known.get(name)
        if known is None or known.signature is not task.signature:
            own = Prompt(task.template)
            await asyncio.to_thread(keep, self._store, self._tenant, task.name, task.template, datetime.now(UTC))
            declared = task.declared()
            functions = {one: made.functions for one, made in declared.items()}
            variants = {one: made.variant for one, made in declared.items()}
            body = task.functions()
            if body is not None:
                functions[OWN], variants[OWN] = body, Variant(id=OWN, kind="code")
            self._resources.declare(name, Declaration(task.table(), variants, functions))
            known = self._known[name] = self._made(task, name, own)
            self._real[name] = task.name
            if task.reward is not None:
                self._rewards[name] = task.reward
            await asyncio.to_thread(self.look_for_examples)
        return known

    def refresh(self) -> None:
        """Knows which prompts were labelled since. Raises OperatorError."""
        self._shelf.refresh()

    def look_for_examples(self) -> None:
        """Looks up what was rated well, in a thread, for the tasks whose variants show any."""
        catalog = self._resources.catalog
        for name, manner in list(self._known.items()):
            if not any(self._resources.variant(each).examples for each in manner.task.variants):
                continue
            rule, real = manner.task.reward or self._rewards.get(name), self._real[name]
            if rule is not None:
                self._shown[name] = Shown(well_rewarded(self._store, self._tenant, real, rule, catalog))
            elif manner.task.metric is not None:
                self._shown[name] = Shown(well_rated(self._store, self._tenant, real, catalog.metric(manner.task.metric)))

    def _examples(self, name: str, fixed: tuple[Rated, ...], input: JSON, n: int) -> Sequence[Rated]:
        """Well-rated answers to the most similar questions, none until they were looked up the first time; the program's own for none."""
        if not n:
            return fixed
        shown = self._shown.get(name)
        return [] if shown is None else shown.like(input, n)

    def _made(self, task: Asks, name: str, own: Prompt) -> Manner:
        resources = self._resources

        def takes_schema(variant: str) -> bool:
            return (resources.variant(variant).model or variant) not in self._without_schema

        def note_no_schema(variant: str, why: str) -> None:
            model = resources.variant(variant).model or variant
            self._without_schema.add(model)
            _log.warning("schema.refused: '%s' is told in words what form an answer takes, for it refused the schema: %s", model, why)

        fixed = task.examples()

        def format_of(variant: str) -> Format:
            try:
                return resources.target(variant, OPENAI).provider.format
            except CallerError:  # nobody's, or one that only stands for others
                return OPENAI

        return Manner(
            task=resources.catalog.tasks[name],
            signature=task.signature,
            prompt_of=lambda label: self._shelf.prompt(task.name, label, own),
            examples_of=lambda input, n: self._examples(name, fixed, input, n),
            takes_schema=takes_schema,
            note_no_schema=note_no_schema,
            repairs=task.repairs,
            format_of=format_of,
        )
