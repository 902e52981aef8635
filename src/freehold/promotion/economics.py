"""When what was trained once and is cheap to run has paid for itself, against what is rented by the call. Pure.

Time is in months from the first answer. Questions grow, rented prices fall and training gets dearer by a factor a year, steadily: what is
paid from 0 to t for something that costs c a month now is c ∫ f^(τ/12) dτ, which has a closed form.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Floats: TypeAlias = NDArray[np.float64]
Unit: TypeAlias = Literal["week", "day", "episode"]
"""What is drawn anew. `week`: seven days in a row, from any day on, so that neither a weekly course nor what lasts for days counts as chance."""

MONTH_DAYS = 365.25 / 12
FURTHEST_MONTHS = 120.0
"""Nothing is looked for beyond ten years."""
_WEEK = 7
_STEPS_A_MONTH = 30
_BISECTIONS = 50
_MOST_CELLS = 4_000_000
"""Of the matrix of weights that is held at a time."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was asked over some days, by U days, or episodes where there are too few days."""

    asked_U: Floats
    """Questions."""
    priced_U: Floats
    """Answers of what is rented whose cost is known."""
    cost_U: Floats
    """What those cost, USD."""
    days: float
    """How long that was, in days."""
    unit: Unit = "day"
    """What is drawn anew. So many days there are; episodes come as they come, and another time there might be more or fewer."""

    @property
    def units(self) -> int:
        """How many independent ones there are."""
        return len(self.asked_U) // _WEEK if self.unit == "week" else len(self.asked_U)


class Rates(NamedTuple):
    """Of traffic, now. Numbers, or a column of draws."""

    questions: Floats
    """A month."""
    per_question_usd: Floats
    """What an answer of what is rented costs."""
    share: Floats
    """The share of questions that what is owned answers; what is rented answers the others."""


class Owned(NamedTuple):
    """What something of one's own costs."""

    fixed_usd: float = 0.0
    """Before its first answer: labels, training, judging, asking."""
    training_usd: float = 0.0
    """Of that what is paid again whenever it is trained anew."""
    per_question_usd: float = 0.0
    """For every question, whether it answers or not: it is asked first. This price stays as it is."""
    rented_per_question_usd: float = 0.0
    """The same as far as somebody else is paid for it: that falls as rented prices do."""
    per_month_usd: float = 0.0
    """What is kept running for it, idle or not."""
    retrain_months: float = 0.0
    """After how many months it is trained anew, again and again; 0 for never."""


class Scenario(NamedTuple):
    """What a year changes, each by a factor; 1 is no change."""

    growth: float = 1.0
    """Questions."""
    price_decline: float = 1.0
    """What is rented: 2 halves its price in a year."""
    training_growth: float = 1.0
    """What a training costs: 2 doubles it in a year."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A number and between what it lies."""

    value: float | None
    """From all days as they were; None is never, as far as was looked."""
    interval: tuple[float | None, float | None] | None
    """Its ends, of which None is never as well; None where one unit alone tells no interval."""


def rates(traffic: Traffic, share: float) -> Rates:
    """Traffic as it was, as a month of it."""
    return _rates(traffic, np.ones((1, len(traffic.asked_U))), np.array([share]))


def drawn(traffic: Traffic, share: float, share_n: int | None, rng: np.random.Generator, draws: int) -> Rates:
    """The same of `draws` times that might have been: units drawn with replacement, and a share that `share_n` questions told, drawn anew."""
    share_D = np.full(draws, share) if share_n is None else rng.binomial(share_n, share, draws) / share_n
    found, begin = [], 0
    for weights_DU in _weights(traffic, rng, draws):
        found.append(_rates(traffic, weights_DU, share_D[begin : begin + len(weights_DU)]))
        begin += len(weights_DU)
    return Rates(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _weights(traffic: Traffic, rng: np.random.Generator, draws: int) -> Iterator[Floats]:
    """How often each unit counts, for some draws at a time. Weeks: the circular block bootstrap (Politis and Romano 1992)."""
    units = len(traffic.asked_U)
    step = max(1, _MOST_CELLS // max(units, 1))
    for begin in range(0, draws, step):
        some = min(step, draws - begin)
        counts_D = rng.poisson(units, some) if traffic.unit == "episode" else np.full(some, traffic.units)
        weights_DU = rng.multinomial(counts_D, np.full(units, 1 / units)).astype(np.float64)
        if traffic.unit == "week":  # so far where each begins
            weights_DU = sum((np.roll(weights_DU, day, axis=1) for day in range(_WEEK)), np.zeros_like(weights_DU))
            weights_DU *= units / (_WEEK * traffic.units)
        yield weights_DU


def _rates(traffic: Traffic, weights_DU: Floats, share_D: Floats) -> Rates:
    priced_D = weights_DU @ traffic.priced_U
    with np.errstate(divide="ignore", invalid="ignore"):
        each_D = np.where(priced_D > 0, weights_DU @ traffic.cost_U / priced_D, np.nan)
    return Rates(weights_DU @ traffic.asked_U / traffic.days * MONTH_DAYS, each_D, share_D)


def paid(months_T: Floats, factor: float) -> Floats:
    """∫ factor^(τ/12) dτ from 0 to t: so many of today's months are paid for until then."""
    k = float(np.log(factor)) / 12
    x = k * months_T
    return months_T * np.where(np.abs(x) > 1e-12, np.expm1(x) / np.where(x == 0, 1.0, x), 1.0)


def rented_usd(rates: Rates, scenario: Scenario, months_T: Floats) -> Floats:
    """What is paid until each time where what is rented answers everything, for each draw."""
    return _a_month(rates.questions * rates.per_question_usd) * paid(months_T, scenario.growth / scenario.price_decline)


def owned_usd(rates: Rates, owned: Owned, scenario: Scenario, months_T: Floats) -> Floats:
    """What is paid until each time where what is owned is asked first, for each draw: what it cost before, and whoever answers the rest."""
    n, fallen = rates.questions, scenario.growth / scenario.price_decline
    falls = (1.0 - rates.share) * rates.per_question_usd + owned.rented_per_question_usd
    running = _a_month(n * falls) * paid(months_T, fallen) + _a_month(n * owned.per_question_usd) * paid(months_T, scenario.growth)
    return running + owned.fixed_usd + owned.per_month_usd * months_T + _retrained(owned, scenario, months_T)


def _a_month(usd_D: Floats) -> Floats:
    return usd_D[:, None]


def _retrained(owned: Owned, scenario: Scenario, months_T: Floats) -> Floats:
    """What trainings have cost until each time, but for the first."""
    if not owned.retrain_months or not owned.training_usd:
        return np.zeros_like(months_T)
    count_T = np.floor(months_T / owned.retrain_months + 1e-9)
    factor = scenario.training_growth ** (owned.retrain_months / 12)
    summed = count_T if abs(factor - 1.0) < 1e-12 else factor * (factor**count_T - 1.0) / (factor - 1.0)
    return owned.training_usd * summed


def break_even(rates: Rates, owned: Owned, scenario: Scenario, most_months: float = FURTHEST_MONTHS) -> Floats:
    """After how many months what is owned has first cost no more than what is rented, for each draw; infinite where it has not until then."""
    grid_T = np.linspace(0.0, most_months, int(most_months * _STEPS_A_MONTH) + 1)
    draws, found = len(rates.questions), []
    step = max(1, _MOST_CELLS // len(grid_T))
    for begin in range(0, draws, step):
        some = Rates(*(column[begin : begin + step] for column in rates))
        is_even_DT = _ahead(some, owned, scenario, grid_T[None, :]) >= 0
        is_even_DT[:, 0] &= is_even_DT[:, 1]  # nothing paid and nothing saved at first is no break-even of what then costs more
        first_D = is_even_DT.argmax(axis=1)
        low_D, high_D = grid_T[np.maximum(first_D - 1, 0)], grid_T[first_D]
        for _ in range(_BISECTIONS):
            middle_D = (low_D + high_D) / 2
            is_even_D = _ahead(some, owned, scenario, middle_D[:, None])[:, 0] >= 0
            low_D, high_D = np.where(is_even_D, low_D, middle_D), np.where(is_even_D, middle_D, high_D)
        found.append(np.where(np.isnan(some.per_question_usd), np.nan, np.where(is_even_DT.any(axis=1), high_D, np.inf)))
    return np.concatenate(found)


def _ahead(rates: Rates, owned: Owned, scenario: Scenario, months_DT: Floats) -> Floats:
    return rented_usd(rates, scenario, months_DT) - owned_usd(rates, owned, scenario, months_DT)


def month_saving(rates: Rates, owned: Owned) -> Floats:
    """What is saved in a month now, for each draw; below 0 where what is owned costs more."""
    asked = owned.per_question_usd + owned.rented_per_question_usd
    return rates.questions * (rates.share * rates.per_question_usd - asked) - owned.per_month_usd


def least_questions(rates: Rates, owned: Owned, scenario: Scenario, months: float) -> float | None:
    """From how many questions a month on, now, it has paid for itself within so many months; None where no number is enough."""
    at = np.array([[months]])
    one = Rates(np.ones(1), rates.per_question_usd[:1], rates.share[:1])
    none = Rates(np.zeros(1), rates.per_question_usd[:1], rates.share[:1])
    cost = -float(_ahead(none, owned, scenario, at)[0, 0])
    gain = float(_ahead(one, owned, scenario, at)[0, 0]) + cost
    return max(0.0, cost / gain) if gain > 0 else None


def estimate(value: float, drawn_D: Floats, units: int, confidence: float = 0.95) -> Estimate:
    """A value with the interval between quantiles of its draws. Infinite is None.

    The quantiles are those of the expanded percentile interval (Hesterberg, The American Statistician 69 (2015) 371): as far out as Student's
    t with U-1 degrees of freedom, for a plain percentile interval of few units is too narrow.
    """
    known_D = drawn_D[~np.isnan(drawn_D)]
    tail = (1.0 - confidence) / 2
    if units > 1:
        tail = float(ndtr(np.sqrt(units / (units - 1)) * stdtrit(units - 1, tail)))
    if units < 2 or not len(known_D):
        return Estimate(value=_finite(value), interval=None)
    low, high = np.quantile(known_D, [tail, 1.0 - tail], method="inverted_cdf")
    return Estimate(value=_finite(value), interval=(_finite(min(low, value)), _finite(max(high, value))))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
