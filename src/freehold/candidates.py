"""A random sample of recorded items is to be put to candidates: who has still to be asked what, and about what that will cost.

Only what is missing has to be asked, so that a run which was broken off is gone on with by asking the same again. `asker.py` asks it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from freehold.catalog import Task
from freehold.chat import CHARS_A_TOKEN, JSON, Usage, canonical_json, is_messages
from freehold.config import Config
from freehold.datasets.sample import Item, draw, items_of
from freehold.errors import CallerError, OperatorError, nearest
from freehold.journal.answers import variants_of
from freehold.journal.build import Builder
from freehold.journal.samples import Sample, samples_of
from freehold.project import Project

SOURCE = "ask"
"""The `source` of these calls."""
_USUAL_OUTPUT_TOKENS = 500
"""Where no answer to an item was ever recorded."""


class AskRequest(NamedTuple):
    """What is to be asked."""

    task: str
    """The task."""
    variants: tuple[str, ...] | None = None
    """Who is asked; the task's own where nobody is named."""
    size: int = 500
    """How many items to draw."""
    seed: int = 0
    """By which random order."""
    budget_usd: float | None = None
    """The most that may be spent on this sample, earlier runs included; None for no limit."""
    concurrency: int | None = 8
    """The most calls at one time to one model; None to find out what its provider takes."""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What one variant has still to be asked, and about what that will take."""

    variant: str
    """Who is asked."""
    there: int
    """Items of the sample that it has answered already."""
    calls: int
    """Items that it has to be asked."""
    input_tokens: int
    """About how many tokens will be put before it."""
    output_tokens: int
    """About how many it will write."""
    cost_usd: float | None
    """About what that costs; None where its price is unknown."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What will be asked of whom, and about what that will cost."""

    task: str
    """The task."""
    reference: str
    """What the variants are compared with."""
    frame: int
    """How many items could be drawn: the task's whose question is kept, as they were when the sample was drawn."""
    needs_reference: bool
    """Whether only items that the reference answered could be drawn, for nobody can ask it."""
    items: int
    """How many are drawn."""
    inclusion: float
    """The probability with which each of them was."""
    seed: int
    """By which random order."""
    bills: tuple[Bill, ...]
    """What each variant has still to be asked; the reference's only where it has to be."""
    spent_usd: float
    """What earlier runs have spent on this sample."""

    @property
    def calls(self) -> int:
        """How many calls that is."""
        return sum(bill.calls for bill in self.bills)

    @property
    def cost_usd(self) -> float | None:
        """About what all of it costs; None where that is unknown."""
        costs = [bill.cost_usd for bill in self.bills if bill.calls]
        return None if None in costs else sum(cost for cost in costs if cost is not None)

    @property
    def unpriced(self) -> list[str]:
        """Who has to be asked at an unknown price."""
        return [bill.variant for bill in self.bills if bill.calls and bill.cost_usd is None]


class Price(NamedTuple):
    """About what one call takes."""

    usage: Usage
    cost_usd: float | None
    """None where the price is unknown."""


class Planned(NamedTuple):
    """A plan and everything it takes to carry it out."""

    plan: Plan
    request: AskRequest
    task: Task
    sample: Sample
    kept_for: tuple[str, ...]
    """The variants for which the sample is to be kept."""
    items: list[Item]
    """Those of the sample whose question is still there, in its order."""
    missing: list[tuple[str, ...]]
    """Who has to be asked each item."""
    prices: dict[tuple[str, str], Price]
    """About what each call takes, by item and variant."""
    under: str
    """The task under which the calls are journalled: another one than `task`, whose settings hold, where the questions are no traffic of it."""


def plan(project: Project, request: AskRequest, now: datetime) -> Planned:
    """Who has to be asked what. Changes nothing.

    A sample that was drawn for one of the variants with this seed stays, as long as it is large enough: what came in since is not in it.
    Raises CallerError for a task or variant that cannot be asked, OperatorError where no question is kept.
    """
    task, reference, variants = _who(project, request)
    store, tenant = project.store, project.tenant
    can_ask = is_askable(project.config, reference)
    known = samples_of(store, tenant, task.id)
    of_this_seed = [known[name] for name in variants if name in known and known[name].seed == request.seed]
    sample = max(of_this_seed, key=lambda one: len(one.items), default=None)
    if sample is None or len(sample.items) < request.size:
        fresh = draw(store, tenant, task.id, None if can_ask else reference, request.size, request.seed, now)
        if not fresh.frame:
            raise OperatorError(
                f"There is nothing to ask: no item of task '{task.id}' has its question in the journal"
                f'{"" if can_ask else f" and an answer of {reference!r}"}. Asking needs content: set content = "full" under [journal], and '
                "import again."
            )
        sample = fresh.sample._replace(at=now if sample is None else sample.at)
    frame = round(len(sample.items) / sample.inclusion)
    if len(sample.items) > request.size:  # the beginning of a larger one
        sample = sample._replace(items=sample.items[: request.size], inclusion=request.size / frame)
    items = items_of(store, tenant, task.id, sample, reference, variants)
    asked = [*([reference] if can_ask else []), *variants]
    builder = Builder(None, tenant, "found", project.catalog, project.prices, now)
    missing, prices, bills = priced(builder, task, items, asked, now)
    found = Plan(
        task=task.id,
        reference=reference,
        frame=frame,
        needs_reference=not can_ask,
        items=len(items),
        inclusion=sample.inclusion,
        seed=request.seed,
        bills=tuple(bill for bill in bills if bill.calls or bill.variant != reference),
        spent_usd=_spent(items, asked, sample.at, builder, task),
    )
    check_budget(found, request.budget_usd)
    kept_for = tuple(bill.variant for bill in found.bills if bill.calls or bill.variant in known)
    return Planned(found, request, task, sample, kept_for, items, missing, prices, task.id)


def check_budget(plan: Plan, budget_usd: float | None) -> None:
    """Raises CallerError for a budget that cannot be kept."""
    if plan.unpriced and budget_usd is not None:
        names = ", ".join(f"'{name}'" for name in plan.unpriced)
        raise CallerError(
            f"No budget can be kept: the price of {names} is unknown. Set price under [models.{plan.unpriced[0]}] in freehold.toml, or leave "
            "--budget-usd out and say --yes."
        )


class Priced(NamedTuple):
    """What is missing of some items, and about what that takes."""

    missing: list[tuple[str, ...]]
    """Who has to be asked each item."""
    prices: dict[tuple[str, str], Price]
    """About what each call takes, by item and variant."""
    bills: list[Bill]
    """The same by variant."""


def priced(builder: Builder, task: Task, items: Sequence[Item], asked: Sequence[str], now: datetime) -> Priced:
    """Who of `asked` has said nothing yet to each item, and about what asking them takes."""
    missing = [tuple(name for name in asked if not item.responded(name)) for item in items]
    prices = {
        (item.asked.item, name): _price(builder, task, item, name, now)
        for item, names in zip(items, missing, strict=True)
        for name in names
    }
    return Priced(missing, prices, [_bill(name, items, missing, prices) for name in asked])


# Who is asked, what, and about for how much.


def _who(project: Project, request: AskRequest) -> tuple[Task, str, tuple[str, ...]]:
    """The task, its reference, and the variants to ask."""
    task = project.task(request.task)
    if task.reference is None:
        raise CallerError(f"Compare with what? Set reference under [tasks.{task.id}] in freehold.toml.")
    if request.size < 1 or (request.concurrency is not None and request.concurrency < 1):
        raise CallerError(f"--sample {request.size} and --concurrency {request.concurrency} are numbers from 1 up, such as 500 and 8.")
    if request.budget_usd is not None and not 0 < request.budget_usd < float("inf"):
        raise CallerError(f"--budget-usd {request.budget_usd:g} is no budget; it is a number of dollars above 0, such as 5.")
    if request.seed < 0:
        raise CallerError(f"--seed {request.seed} is no seed; it is a whole number from 0 up.")
    config = project.config
    named = request.variants or tuple(name for name in task.variants if is_askable(config, name))
    variants = tuple(dict.fromkeys(name for name in named if name != task.reference))
    askable = sorted(name for name in (*config.models, *config.variants) if is_askable(config, name))
    for name in variants:
        if not is_askable(config, name):
            raise CallerError(f"'{name}' cannot be asked: it is no model under [models] with a provider to call.{nearest(name, askable)}")
    if not variants:
        raise CallerError(f"Whom to ask? Name models with a provider by --variants.{nearest('', askable)}")
    if not is_askable(config, task.reference) and task.reference not in variants_of(project.store, project.tenant, task.id):
        raise CallerError(
            f"'{task.reference}', the reference of '{task.id}', has no answers, and no provider that could be asked for some."
        )
    return task, task.reference, variants


def is_askable(config: Config, name: str) -> bool:
    """Whether somebody can be asked by this name: a model with a provider to call, or such a model in a way of its own."""
    model = config.models.get(model_behind(config, name))
    return model is not None and model.provider is not None and not config.is_recorded(model)


def model_behind(config: Config, name: str) -> str:
    """The model that is asked by this name."""
    variant = config.variants.get(name)
    return variant.model if variant is not None and variant.kind == "llm" and variant.model is not None else name


def body_of(asked: JSON, instruction: str) -> dict[str, JSON]:
    """A recorded question as a body of chat completions: messages as they are, anything else as one message under the task's instruction."""
    if isinstance(asked, Mapping) and is_messages(asked.get("messages")):
        return dict(asked)
    if is_messages(asked):
        return {"messages": asked}
    words = asked if isinstance(asked, str) else msgspec.json.encode(asked).decode()
    system = [{"role": "system", "content": instruction}] if instruction else []
    return {"messages": [*system, {"role": "user", "content": words}]}


def _price(builder: Builder, task: Task, item: Item, variant: str, now: datetime) -> Price:
    """About what a call takes: what a recorded answer to the same item used, the reference's where there is one; else by characters."""
    answers = [call for call in (item.asked, *reversed(item.calls)) if call.outcome == "answered"]
    used = next((call.usage for call in answers if call.usage is not None), None)
    if used is not None:
        usage = Usage(input_tokens=used.input_tokens, output_tokens=used.output_tokens)
    else:
        said = next((call.output for call in answers if call.output is not None), None)
        usage = Usage(
            input_tokens=_tokens(body_of(item.asked.input, task.instruction)),
            output_tokens=_USUAL_OUTPUT_TOKENS if said is None else _tokens(said),
        )
    return Price(usage, builder.price(variant, usage, now)[0])


def _tokens(value: JSON) -> int:
    words = value if isinstance(value, str) else canonical_json(value).decode()
    return -(-len(words) // CHARS_A_TOKEN)


def _bill(variant: str, items: Sequence[Item], missing: Sequence[tuple[str, ...]], prices: Mapping[tuple[str, str], Price]) -> Bill:
    ours = [prices[item.asked.item, variant] for item, names in zip(items, missing, strict=True) if variant in names]
    costs = [price.cost_usd for price in ours]
    return Bill(
        variant=variant,
        there=len(items) - len(ours),
        calls=len(ours),
        input_tokens=sum(price.usage.input_tokens for price in ours),
        output_tokens=sum(price.usage.output_tokens for price in ours),
        cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
    )


def _spent(items: Sequence[Item], asked: Sequence[str], since: datetime, builder: Builder, task: Task) -> float:
    """What these variants were paid for this sample; where nobody says, as it would be estimated now."""
    spent = 0.0
    for item in items:
        for call in item.calls:
            if call.source == SOURCE and call.variant in asked and call.at is not None and call.at >= since:
                cost = call.cost_usd if call.cost_usd is not None else _price(builder, task, item, call.variant, call.at).cost_usd
                spent += cost or 0.0
    return spent
