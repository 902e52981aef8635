"""The sentences and tables of a task's economics, on its page and in a terminal. What is unknown is called unknown, and never nothing."""

from datetime import datetime

from freehold.promotion.cases import Case, Cell, Economics
from freehold.web import words
from freehold.web.report import Table

NEVER = "not within ten years"


def headline(found: Economics) -> str:
    """The first line: the specialist that pays first, or that none does."""
    paying = [case for case in found.cases if case.break_even_months is not None and case.break_even_months.value is not None]
    if not found.cases:
        return f"What {words.name(found.task)} costs"
    if not paying:
        return f"No specialist of {words.name(found.task)} is known to pay for itself within ten years"
    first = min(paying, key=lambda case: (case.break_even_months and case.break_even_months.value) or 0.0)
    at = first.break_even_at[0] if first.break_even_at else None
    return f"{words.name(first.name)} has paid for itself {'at the earliest ' if first.unknown else ''}on {at:%Y-%m-%d}"


def lines_of(case: Case, found: Economics) -> tuple[str, ...]:
    """What is to be said of a specialist beside its costs, a sentence each."""
    known = {
        "said": "as was said",
        "served": "as it does in traffic",
        "certified": "as its certificate says",
        "tested": f"where it was so sure on {case.share_n or 0:,} test rows that it stays within the floor",
        "unknown": "",
    }[case.share_known]
    lines = [
        "Nobody knows which share of the questions it may answer. Certify a policy that names it, or suppose a --share."
        if case.share is None
        else f"It answers {words.percent(case.share)} of the questions, {known}; {words.name(found.reference)} answers the others."
    ]
    if case.saving_usd is None and case.share is not None:
        lines.append(f"What it saves is unknown: no answer of {words.name(found.reference)} has a price.")
    if case.saving_usd is not None:
        ends = case.saving_usd.interval
        between = f" ({words.dollars(ends[0])} to {words.dollars(ends[1])})" if ends else ""
        worth = f"{words.dollars(case.worth_usd)} in {found.months} months: so much it may have cost"
        lines.append(f"It saves {words.dollars(case.saving_usd.value)}{between} a month now, and {worth}.")
        lines.append(_break_even(case))
    if case.break_even_months is not None:
        least = case.least_questions
        enough = "no number of questions is enough" if least is None else f"it takes {least:,.0f} questions a month"
        lines.append(f"To have paid for itself within {found.months} months {enough}; there are {found.questions:,.0f}.")
    if case.unknown:
        lines.append(f"Nobody knows, and so it is in no sum: {'; '.join(case.unknown)}.")
    return tuple(lines)


def _break_even(case: Case) -> str:
    if case.break_even_months is None:
        return "When it has paid for itself nobody can say: what it cost is unknown."
    value, low, high = case.break_even_at or (None, None, None)
    months = case.break_even_months
    ends = f" ({date(low)} to {date(high)})" if months.interval is not None else ""
    after = f", after {months.value:,.1f} months" if months.value is not None else ""
    since = f"counted from {case.starts_at:%Y-%m-%d}, {'when it first answered' if case.is_serving else 'as if it began to answer then'}"
    before = "not before " if case.unknown and value is not None else ""
    return f"It has paid for itself: {before}{date(value)}{ends}{after}, {since}."


def months_table(found: Economics) -> Table:
    """What a month costs by variant."""
    rows = [
        (
            one.variant + (" (own)" if one.is_owned else ""),
            f"{one.calls:,.0f}",
            ("at least " if one.unknown and one.usd is not None else "") + words.dollars(one.usd),
            f"{one.unknown:,.0f}",
            words.dollars(None if one.per_call_usd is None else 1000 * one.per_call_usd),
            words.percent(one.reasoning_share),
            words.percent(one.reasoning_usd_share),
        )
        for one in found.variants
    ]
    return Table(
        ("Variant", "Calls", "Cost", "Calls of unknown cost", "Per 1,000", "Reasoning, of tokens", "Reasoning, of cost"), tuple(rows)
    )


def parts_table(case: Case) -> Table:
    """What a specialist cost before its first answer."""
    rows = [(part.name, _more(part.usd, bool(part.unknown)), part.what, part.unknown or "nothing") for part in case.parts]
    return Table(("For", "Cost", "What", "Unknown"), (*rows, ("altogether", _more(case.fixed_usd, bool(case.unknown)), "", "")))


def year(found: Economics) -> str:
    """What a year changes, as was asked for."""
    s = found.scenario
    return f"questions × {s['growth']:g}, rented prices ÷ {s['price_decline']:g}, training × {s['training_growth']:g} a year"


def ways_table(found: Economics) -> Table:
    """Everything that could be done, over all months."""
    rows = [
        (
            way.name + (" (own)" if way.is_owned else ""),
            _more(way.fixed_usd, way.is_owned and way.is_more),
            words.dollars(way.month_usd),
            _more(way.still_usd, way.is_more),
            _more(way.scenario_usd, way.is_more),
            words.percent(way.reasoning_share),
        )
        for way in found.ways
    ]
    return Table(("Who is asked", "Before", "A month", "Unchanged", "By the year", "Reasoning"), tuple(rows))


def date(at: datetime | None) -> str:
    """A day, or that there is none."""
    return NEVER if at is None else f"{at:%Y-%m-%d}"


def until(cell: Cell) -> str:
    """Months of a cell."""
    return "never" if cell.months is None else f"{cell.months:,.1f}"


def _more(value: float | None, is_more: bool) -> str:
    if value is None or (is_more and not value):
        return words.UNKNOWN
    return f"at least {words.dollars(value)}" if is_more else words.dollars(value)


def trainings_table(case: Case) -> Table:
    """When a specialist has paid for itself if training gets dearer."""
    rows = tuple((f"× {cell.training_growth:g}", until(cell)) for cell in case.trainings)
    return Table(("Training, a year", "Months until it has paid for itself"), rows)


def sensitivity_table(case: Case) -> Table:
    """When a specialist has paid for itself, by what a year does to questions and to rented prices."""
    growths, declines = (list(dict.fromkeys(getattr(cell, name) for cell in case.sensitivity)) for name in ("growth", "price_decline"))
    by_both = {(cell.growth, cell.price_decline): until(cell) for cell in case.sensitivity}
    rows = tuple((f"× {growth:g}", *(by_both[growth, decline] for decline in declines)) for growth in growths)
    return Table(("Questions, a year", *(f"Prices ÷ {decline:g}" for decline in declines)), rows)


def intervals(found: Economics) -> str:
    """What intervals rest on."""
    return f"{found.confidence:.0%}, from {found.draws:,} draws of {words.count(found.units, found.unit)}, seed {found.seed}"
