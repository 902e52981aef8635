"""What is known of a task's money, as records: what a month costs, what specialists cost and save, and what else could be done."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from freehold.promotion.costs import Span
from freehold.promotion.economics import Estimate
from freehold.tables import EconomicsTable

How: TypeAlias = Literal["said", "served", "certified", "tested", "unknown"]
"""How the share of questions is known that a specialist answers: it was said; it answers that many; its certificate says so; so often it was
sure when it was tested."""


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """What a variant costs in a month of traffic as it was."""

    variant: str
    """Who answered."""
    is_owned: bool
    """Whether it is a specialist of one's own."""
    calls: float
    """Calls a month."""
    usd: float | None
    """What they cost, as far as known; None where nothing is."""
    unknown: float
    """Calls a month of which nobody knows what they cost: they are not in `usd`."""
    per_call_usd: float | None
    """The mean of those that are known."""
    reasoning_share: float | None
    """The share of reasoning in the tokens that it wrote; None where usage is unknown."""
    reasoning_usd_share: float | None
    """The share of reasoning in what it costs, by the price list; None where a price is unknown."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was paid for a specialist."""

    name: str
    """`labels`, `training`, `judging` or `asking`."""
    usd: float
    """As far as known."""
    what: str
    """What it was, in words."""
    unknown: str = ""
    """What of it nobody knows the price of, in words; empty where all is known."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """When it has paid for itself if a year changes this."""

    growth: float
    """Factor on questions."""
    price_decline: float
    """Factor by which rented prices fall."""
    training_growth: float
    """Factor on what a training costs."""
    months: float | None
    """After how many months; None is not within ten years."""


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """What has been paid by then."""

    month: int
    """Months from the start."""
    rented_usd: float
    """Where the reference answers everything."""
    owned_usd: float
    """Where the specialist is asked first."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One specialist against the reference."""

    name: str
    """The specialist."""
    label: str
    """Its name and hash."""
    method: str
    """How it learnt."""
    share: float | None
    """The share of questions that it answers; None where nobody knows."""
    share_known: How
    """How that is known."""
    share_n: int | None
    """By how many questions; None where it was said."""
    parts: tuple[Part, ...]
    """What it cost before its first answer. What was paid for the task's labels and judges is counted against each of its specialists."""
    fixed_usd: float
    """Their sum, as far as known."""
    per_question_usd: float
    """What a question costs that it is asked, as far as known."""
    standing_usd: float
    """What is kept running for it, a month."""
    unknown: tuple[str, ...]
    """What nobody knows the price of: it costs more than told, and pays later."""
    starts_at: datetime
    """From when on it saves, UTC: when it first answered in traffic, or now."""
    is_serving: bool
    """Whether it has answered in traffic."""
    saving_usd: Estimate | None = None
    """What it saves in a month, now; None where the reference's price or the share is unknown."""
    worth_usd: float | None = None
    """What it saves within `months`: by then it has paid for itself if it cost no more than that before."""
    break_even_months: Estimate | None = None
    """After how many months from the start it has paid for itself; None where nobody knows anything of what it cost."""
    break_even_at: tuple[datetime | None, datetime | None, datetime | None] | None = None
    """The same as dates: the best guess, and the ends of the interval where there is one. None among them is never."""
    least_questions: float | None = None
    """From how many questions a month on it has paid for itself within `months`; None where no number is enough."""
    sensitivity: tuple[Cell, ...] = ()
    """Over growth and falling prices, at the training growth that was asked for."""
    trainings: tuple[Cell, ...] = ()
    """Over what a training costs, at the growth and prices that were asked for; none where nothing is trained anew."""
    paid: tuple[Paid, ...] = ()
    """Month by month."""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A way to answer the task's questions."""

    name: str
    """Who is asked: a variant alone, or a specialist before the reference."""
    is_owned: bool = False
    """Trained once and cheap to run, or rented."""
    fixed_usd: float
    """What it cost before its first answer, as far as known."""
    is_more: bool = False
    """Whether something of that nobody knows: sums are at least so much."""
    month_usd: float | None
    """What a month costs now; None where its price is unknown."""
    still_usd: float | None
    """What all months cost together, the first cost included, if nothing changes."""
    scenario_usd: float | None
    """The same in the scenario that was asked for."""
    reasoning_share: float | None = None
    """The share of reasoning in the tokens that are written."""


class Economics(msgspec.Struct, frozen=True, kw_only=True):
    """What a task costs, and whether its specialists pay."""

    task: str
    """The task."""
    reference: str
    """What specialists are there to take calls from."""
    span: Span
    """The traffic that was looked at."""
    questions: float
    """Questions a month."""
    undated: int
    """Questions that nobody says the time of: they are not counted."""
    unit: str
    """What was drawn anew: `week`, `day` or `episode`."""
    units: int
    """How many of those."""
    scenario: dict[str, float]
    """What a year changes, by factor."""
    months: int
    """How far totals go."""
    seed: int
    """Of the draws."""
    draws: int
    """How many."""
    confidence: float
    """Of intervals."""
    variants: tuple[Month, ...]
    """What each costs a month, the dearest first."""
    cases: tuple[Case, ...]
    """The specialists, oldest first."""
    ways: tuple[Way, ...]
    """Everything that could be done, the cheapest over all months in the scenario first."""
    personal: int
    """Specialists of one person or customer alone, which are no case for the task."""
    table: EconomicsTable
    """The project's `[economics]`."""
