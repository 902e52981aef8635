"""Weighs what a task's specialists cost against what they save: when each has paid for itself, and what changes that."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import numpy as np

from freehold.errors import CallerError
from freehold.journal.costs import costs, judging_costs
from freehold.project import Project
from freehold.promotion.books import Books
from freehold.promotion.cases import Case, Cell, Economics, How, Month, Paid, Way
from freehold.promotion.costs import Ran, Reasoning, Seen
from freehold.promotion.economics import (
    FURTHEST_MONTHS,
    MONTH_DAYS,
    Estimate,
    Owned,
    Rates,
    Scenario,
    Traffic,
    break_even,
    drawn,
    estimate,
    least_questions,
    month_saving,
    owned_usd,
    rates,
    rented_usd,
)
from freehold.store.times import moment
from freehold.variants.card import Card
from freehold.variants.shelf import on_shelf

GROWTHS = (0.5, 1.0, 2.0, 4.0)
DECLINES = (1.0, 2.0, 4.0, 10.0)
TRAINING_GROWTHS = (1.0, 2.0, 4.0)
"""What is looked at beside what was asked for."""


class Wanted(NamedTuple):
    """What is asked."""

    task: str
    scenario: Scenario = Scenario()
    """What a year changes."""
    months: int = 24
    """How far totals and pictures go."""
    share: float | None = None
    """The share of questions that a specialist answers; as it is known when left out."""
    specialist: str | None = None
    """One of them alone; all of the task when left out."""
    since: datetime | None = None
    """Traffic from then on alone."""
    seed: int = 0
    """Of the draws."""
    draws: int = 2_000
    """How often traffic is drawn anew."""
    confidence: float = 0.95
    """Of intervals."""


def economics_of(project: Project, wanted: Wanted, now: datetime) -> Economics:
    """What the task costs a month, and the case of each of its specialists. Raises CallerError, DataError."""
    _check(wanted)
    task = project.task(wanted.task)
    shelf = on_shelf(project.store, project.tenant, task.id)
    cards = [card for card in shelf if card.subject is None and wanted.specialist in (None, card.name)]
    if wanted.specialist is not None and not cards:
        raise CallerError(
            f"'{task.id}' has no specialist '{wanted.specialist}' for everybody. 'freehold specialists list' shows what there is."
        )
    reference = task.reference or next((card.replaces for card in cards if card.replaces), None)
    if reference is None:
        raise CallerError(f"Task '{task.id}' has no reference, so there is nothing to be saved. Say [tasks.{task.id}] reference.")
    reasoning = Reasoning(project.catalog, project.prices)
    judged = judging_costs(project.store, project.tenant)
    seen = Seen(costs(project.store, project.tenant, task.id), reference, judged, reasoning, wanted.since)
    owned, traffic = {card.name for card in shelf}, seen.traffic()
    books = Books(project, task, owned, seen)
    months = [_month(name, ran, seen.span.days / MONTH_DAYS, name in owned) for name, ran in seen.ran().items()]
    cases = [_case(card, books, seen, traffic, wanted, now) for card in cards]
    ways = _ways(months, [(case, costs) for case, costs in cases if case.share is not None], traffic, reference, wanted)
    return Economics(
        task=task.id,
        reference=reference,
        span=seen.span,
        questions=float(rates(traffic, 1.0).questions[0]),
        undated=seen.undated,
        unit=traffic.unit,
        units=traffic.units,
        scenario=wanted.scenario._asdict(),
        months=wanted.months,
        seed=wanted.seed,
        draws=wanted.draws,
        confidence=wanted.confidence,
        variants=tuple(sorted(months, key=lambda month: (-(month.usd or 0.0), month.variant))),
        cases=tuple(case for case, _ in cases),
        ways=tuple(sorted(ways, key=lambda way: (way.scenario_usd is None, way.scenario_usd or 0.0, way.name))),
        personal=sum(card.subject is not None for card in shelf),
        table=project.config.economics,
    )


def _check(wanted: Wanted) -> None:
    for name, factor in wanted.scenario._asdict().items():
        if not 0.001 <= factor <= 1000:
            raise CallerError(
                f"--{name.replace('_', '-')} {factor:g} is no factor of a year; expected a number from 0.001 to 1000, 1 for no change"
            )
    if not 1 <= wanted.months <= FURTHEST_MONTHS:
        raise CallerError(f"--months {wanted.months} is not from 1 to {FURTHEST_MONTHS:.0f}")
    if wanted.share is not None and not 0 < wanted.share <= 1:
        raise CallerError(f"--share {wanted.share:g} is no share of the questions; expected a number above 0 and at most 1")


def _month(variant: str, ran: Ran, months: float, is_owned: bool) -> Month:
    cost = ran.cost
    priced = cost.calls - cost.unknown
    is_told = not ran.unpriced and not cost.unknown and cost.known_usd > 0
    return Month(
        variant=variant,
        is_owned=is_owned,
        calls=cost.calls / months,
        usd=cost.known_usd / months if priced else None,
        unknown=cost.unknown / months,
        per_call_usd=cost.known_usd / priced if priced else None,
        reasoning_share=ran.reasoning_tokens / ran.output_tokens if ran.output_tokens else None,
        reasoning_usd_share=ran.reasoning_usd / cost.known_usd if is_told else None,
    )


def _case(card: Card, books: Books, seen: Seen, traffic: Traffic, wanted: Wanted, now: datetime) -> tuple[Case, Owned]:
    share, known, share_n = books.share(card)
    if wanted.share is not None:
        said: How = "said"
        share, known, share_n = wanted.share, said, None
    owned, parts, unknown = books.paid_for(card, share or 0.0)
    first_us = seen.first_us.get(card.name)
    starts_at = now if first_us is None else moment(first_us)
    case = Case(
        name=card.name,
        label=card.label,
        method=card.plan.method,
        share=share,
        share_known=known,
        share_n=share_n,
        parts=parts,
        fixed_usd=owned.fixed_usd,
        per_question_usd=owned.per_question_usd + owned.rented_per_question_usd,
        standing_usd=owned.per_month_usd,
        unknown=unknown,
        starts_at=starts_at,
        is_serving=first_us is not None,
    )
    point = rates(traffic, share or 0.0)
    if share is None or not np.isfinite(point.per_question_usd[0]):
        return case, owned
    return _weighed(
        case, owned, point, drawn(traffic, share, share_n, np.random.default_rng(wanted.seed), wanted.draws), traffic, wanted
    ), owned


def _weighed(case: Case, owned: Owned, point: Rates, others: Rates, traffic: Traffic, wanted: Wanted) -> Case:
    """The case with what it saves and when it has paid for itself. `others`: traffic as it might have been."""
    scenario, units, at = wanted.scenario, traffic.units, np.array([[float(wanted.months)]])
    saving = estimate(float(month_saving(point, owned)[0]), month_saving(others, owned), units, wanted.confidence)
    worth = rented_usd(point, scenario, at) - owned_usd(point, owned._replace(fixed_usd=0.0), scenario, at)
    case = msgspec.structs.replace(case, saving_usd=saving, worth_usd=float(worth[0, 0]))
    if not owned.fixed_usd and any(part.unknown for part in case.parts):
        return case
    months = estimate(float(break_even(point, owned, scenario)[0]), break_even(others, owned, scenario), units, wanted.confidence)
    return msgspec.structs.replace(
        case,
        break_even_months=months,
        break_even_at=_dates(case.starts_at, months),
        least_questions=least_questions(point, owned, scenario, wanted.months),
        sensitivity=tuple(_cells(point, owned, _around(scenario))),
        trainings=tuple(_cells(point, owned, _trainings(scenario))) if owned.retrain_months and owned.training_usd else (),
        paid=tuple(_paid(point, owned, scenario, wanted.months)),
    )


def _ways(months: Iterable[Month], cases: Iterable[tuple[Case, Owned]], traffic: Traffic, reference: str, wanted: Wanted) -> Iterator[Way]:
    """Each rented variant alone, and each specialist before the reference."""
    reasoning = None
    for month in months:
        if month.variant == reference:
            reasoning = month.reasoning_share
        if not month.is_owned:
            price = np.array([np.nan if month.per_call_usd is None else month.per_call_usd])
            way = _way(month.variant, rates(traffic, 0.0)._replace(per_question_usd=price), Owned(), wanted)
            yield msgspec.structs.replace(way, is_more=month.unknown > 0, reasoning_share=month.reasoning_share)
    for case, owned in cases:
        way = _way(f"{case.name}, then {reference}", rates(traffic, case.share or 0.0), owned, wanted)
        yield msgspec.structs.replace(way, is_owned=True, is_more=bool(case.unknown), reasoning_share=reasoning)


def _way(name: str, point: Rates, owned: Owned, wanted: Wanted) -> Way:
    at = np.array([[float(wanted.months)]])
    still, then = (float(owned_usd(point, owned, scenario, at)[0, 0]) for scenario in (Scenario(), wanted.scenario))
    a_month = float((point.questions * point.per_question_usd - month_saving(point, owned))[0])
    is_known = bool(np.isfinite(still))
    return Way(
        name=name,
        fixed_usd=owned.fixed_usd,
        month_usd=a_month if is_known else None,
        still_usd=still if is_known else None,
        scenario_usd=then if is_known else None,
    )


def _around(asked: Scenario) -> list[Scenario]:
    growths, declines = sorted({*GROWTHS, asked.growth}), sorted({*DECLINES, asked.price_decline})
    return [asked._replace(growth=growth, price_decline=decline) for growth in growths for decline in declines]


def _trainings(asked: Scenario) -> list[Scenario]:
    return [asked._replace(training_growth=factor) for factor in sorted({*TRAINING_GROWTHS, asked.training_growth})]


def _cells(point: Rates, owned: Owned, scenarios: Sequence[Scenario]) -> Iterator[Cell]:
    for scenario in scenarios:
        months = float(break_even(point, owned, scenario)[0])
        yield Cell(**scenario._asdict(), months=months if np.isfinite(months) else None)


def _paid(point: Rates, owned: Owned, scenario: Scenario, months: int) -> Iterator[Paid]:
    at = np.arange(months + 1, dtype=np.float64)[None, :]
    for n, (rented, own) in enumerate(zip(rented_usd(point, scenario, at)[0], owned_usd(point, owned, scenario, at)[0], strict=True)):
        yield Paid(month=n, rented_usd=float(rented), owned_usd=float(own))


def _dates(start: datetime, months: Estimate) -> tuple[datetime | None, datetime | None, datetime | None]:
    def date(after: float | None) -> datetime | None:
        return None if after is None else start + timedelta(days=after * MONTH_DAYS)

    low, high = months.interval or (None, None)
    return date(months.value), date(low), date(high)
