"""What a task's traffic costs, by day and variant: its calls gone through once. What nobody knows is no number here."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

import msgspec
import numpy as np

from freehold.catalog import Catalog
from freehold.chat import Usage
from freehold.errors import DataError
from freehold.journal.build import SOURCE as IMPORT
from freehold.journal.costs import Cost, Costed
from freehold.pricing.book import PriceBook
from freehold.promotion.economics import Traffic, Unit
from freehold.store.times import microseconds, moment

LEAST_DAYS = 14
"""With fewer whole days than these, episodes are drawn anew instead of days."""
LEAST_WEEKS = 8
"""With so many, weeks are."""
_DAY_US = 86_400_000_000


class Ran(msgspec.Struct, kw_only=True):
    """Calls of one variant, added up."""

    cost: Cost = Cost()
    """What they cost."""
    output_tokens: int = 0
    """What was written, reasoning included, as far as known."""
    reasoning_tokens: int = 0
    """Of that the reasoning."""
    reasoning_usd: float = 0.0
    """What the reasoning cost, by the price list."""
    unpriced: int = 0
    """Calls with reasoning whose model is on no price list."""

    def __add__(self, other: "Ran") -> "Ran":
        return Ran(**{name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__})


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The time that is looked at."""

    since: datetime
    """From when, UTC."""
    until: datetime
    """To before when, UTC."""
    days: float
    """How long that is."""
    is_whole_days: bool
    """Whether these are whole days, and enough of them to be drawn anew."""


class _Sums(msgspec.Struct):
    """Of a day or an episode."""

    asked: float = 0.0
    """Questions."""
    priced: float = 0.0
    """Answers of the reference whose cost is known."""
    usd: float = 0.0
    """What those cost."""


class Reasoning:
    """What reasoning costs, by the price list."""

    def __init__(self, catalog: Catalog, prices: PriceBook) -> None:
        self._catalog = catalog
        self._prices = prices

    def usd(self, variant: str, usage: Usage | None) -> float | None:
        """What the reasoning in a usage costs; None where nobody knows."""
        if usage is None or not usage.reasoning_tokens:
            return 0.0
        known = self._catalog.variants.get(variant)
        model = self._catalog.models.get((known.model if known else None) or variant)
        name = model.name if model else variant
        without = msgspec.structs.replace(
            usage, output_tokens=usage.output_tokens - usage.reasoning_tokens, reasoning_tokens=0, output_by_modality=None
        )
        whole, rest = self._prices.cost(name, usage), self._prices.cost(name, without)
        return None if whole is None or rest is None else whole - rest


class Seen:
    """A task's calls: when questions came, what answers cost by whom, and what was asked and judged to learn something."""

    def __init__(
        self,
        calls: Iterable[Costed],
        reference: str | None,
        judged: dict[str, Cost],
        reasoning: Reasoning,
        since: datetime | None = None,
    ) -> None:
        """`calls`: ordered by item. `judged`: what judging cost, by the call that was judged. What was asked before `since` is no traffic."""
        self.trials: dict[str, Cost] = {}
        """What calls cost that nobody waited for, by variant."""
        self.judging = Cost()
        """What judging those cost."""
        self.watching: dict[str, Cost] = {}
        """What judging answers in traffic cost, by variant."""
        self.first_us: dict[str, int] = {}
        """When each variant first answered in traffic, microseconds since 1970 UTC."""
        self.undated = 0
        """Questions of which nobody says when they were asked."""
        self._judged, self._reasoning, self._reference = judged, reasoning, reference
        self._since_us = -(2**63) if since is None else microseconds(since)
        self._by_variant: dict[str, dict[int, Ran]] = {}
        self._by_day: dict[int, _Sums] = {}
        self._by_episode: dict[str, _Sums] | None = {}
        self._first, self._last = 2**63, -(2**63)
        for _, of_item in groupby(calls, key=lambda call: call.item):
            self._add(list(of_item))

    def _add(self, of_item: list[Costed]) -> None:
        for call in of_item:
            judging = self._judged.get(call.id, Cost())
            if call.is_trial:
                self.trials[call.variant] = self.trials.get(call.variant, Cost()).and_one(call.cost_usd)
                self.judging += judging
            else:
                self.watching[call.variant] = self.watching.get(call.variant, Cost()) + judging
                self._answered(call)
        for call in questions(of_item):
            if call.at_us is None:
                self.undated += 1
            elif call.at_us >= self._since_us:
                self._first, self._last = min(self._first, call.at_us), max(self._last, call.at_us)
                for sums in self._sums_of(call):
                    sums.asked += 1

    def _answered(self, call: Costed) -> None:
        if call.at_us is None:
            return
        self.first_us[call.variant] = min(call.at_us, self.first_us.get(call.variant, call.at_us))
        if call.at_us < self._since_us:
            return
        ran = self._by_variant.setdefault(call.variant, {}).setdefault(call.at_us // _DAY_US, Ran())
        reasoning_usd = self._reasoning.usd(call.variant, call.usage)
        ran.cost = ran.cost.and_one(call.cost_usd)
        ran.output_tokens += call.usage.output_tokens if call.usage else 0
        ran.reasoning_tokens += call.usage.reasoning_tokens if call.usage else 0
        ran.reasoning_usd += reasoning_usd or 0.0
        ran.unpriced += reasoning_usd is None
        if call.variant == self._reference and call.cost_usd is not None:
            for sums in self._sums_of(call):
                sums.priced += 1
                sums.usd += call.cost_usd

    def _sums_of(self, call: Costed) -> Iterator[_Sums]:
        day = (call.at_us or 0) // _DAY_US
        yield self._by_day.setdefault(day, _Sums())
        if len(self._by_day) > LEAST_DAYS + 2:  # with the first and the last, which are not whole
            self._by_episode = None
        if self._by_episode is not None:
            yield self._by_episode.setdefault(call.episode or call.item, _Sums())

    @property
    def span(self) -> Span:
        """The time that is looked at: its whole days, or all of it where those are few. Raises DataError where nobody knows how long it is."""
        if self._first > self._last:
            why = f"none of {self.undated:,} questions says when it was asked" if self.undated else "nothing was asked in that time"
            raise DataError(f"Nobody knows what a month is like: {why}. Import calls that have their times ('at'), or look further back.")
        begin, end = self._first // _DAY_US + 1, self._last // _DAY_US
        if end - begin >= LEAST_DAYS:
            return Span(since=moment(begin * _DAY_US), until=moment(end * _DAY_US), days=float(end - begin), is_whole_days=True)
        if self._first == self._last:
            raise DataError("Nobody knows what a month is like: everything was asked in one moment. Import more of the log.")
        return Span(since=moment(self._first), until=moment(self._last + 1), days=(self._last - self._first) / _DAY_US, is_whole_days=False)

    def since_first(self, variant: str) -> tuple[int, int]:
        """How many questions a variant has answered since it first did, and how many were asked; the day of the first only where it is the
        last as well."""
        days = self._by_variant.get(variant, {})
        if not days:
            return 0, 0
        first, last = self.first_us[variant] // _DAY_US, max(self._by_day)
        begin = min(max(first + 1, min(days)), last)
        answered = sum(ran.cost.calls for day, ran in days.items() if day >= begin)
        return answered, max(answered, int(sum(sums.asked for day, sums in self._by_day.items() if day >= begin)))

    def ran(self) -> dict[str, Ran]:
        """What each variant's answers cost and used in the time that is looked at."""
        begin, end = (microseconds(at) // _DAY_US for at in (self.span.since, self.span.until))
        last = end - 1 if self.span.is_whole_days else end
        found = {name: [ran for day, ran in days.items() if begin <= day <= last] for name, days in self._by_variant.items()}
        return {name: sum(rans, Ran()) for name, rans in found.items() if rans}

    def traffic(self) -> Traffic:
        """Questions, and what the reference's answers cost, by unit. Where it has none in traffic, trials say what one costs."""
        span = self.span
        if span.is_whole_days:
            begin, end = (microseconds(at) // _DAY_US for at in (span.since, span.until))
            units: Sequence[_Sums] = [self._by_day.get(day, _Sums()) for day in range(begin, end)]
        else:
            units = list((self._by_episode or self._by_day).values())
        asked_U, priced_U, cost_U = (np.array([getattr(sums, name) for sums in units]) for name in ("asked", "priced", "usd"))
        tried = self.trials.get(self._reference or "", Cost())
        if not priced_U.any() and tried.calls > tried.unknown:
            priced_U, cost_U = asked_U, asked_U * tried.known_usd / (tried.calls - tried.unknown)
        unit: Unit = "episode" if not span.is_whole_days else "day" if span.days < 7 * LEAST_WEEKS else "week"
        return Traffic(asked_U, priced_U, cost_U, span.days, unit)


def questions(of_item: Sequence[Costed]) -> list[Costed]:
    """The calls of an item that stand for what was asked. In recordings several variants may have answered one question: it is counted once."""
    recorded: dict[str, list[Costed]] = {}
    served = []
    for call in of_item:
        if call.source == IMPORT:
            recorded.setdefault(call.variant, []).append(call)
        elif not call.is_trial:
            served.append(call)
    return served + max(recorded.values(), key=len, default=[])
