"""Providers with limits, simulated event by event: what they let in, what they refuse, and what their headers say. Time is handed in."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, inf
from random import Random
from typing import NamedTuple, Protocol

from freehold.providers.pace import Ending, Ticket
from freehold.providers.remaining import Gauge, Remaining

REFUSED_S = 0.08
"""How long a refusal takes."""
FAULT_S = 0.5
"""How long it takes until a fault shows."""


class Pacer(Protocol):
    """What decides when a request may start."""

    def wait_s(self, now: float, tokens: float = 0.0) -> float: ...

    def started(self, now: float, tokens: float = 0.0) -> Ticket: ...

    def ended(
        self,
        now: float,
        ticket: Ticket,
        ending: Ending,
        tokens: float | None = None,
        retry_after_s: float | None = None,
        told: Remaining | None = None,
    ) -> None: ...


@dataclass
class Bucket:
    """A limit over a minute. It fills evenly and holds `burst_s` of it, or all at once where `is_window`."""

    per_min: float
    burst_s: float = 60.0
    is_window: bool = False
    left: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.most

    @property
    def most(self) -> float:
        """What it holds."""
        return self.per_min if self.is_window else max(1.0, self.per_min * self.burst_s / 60)

    def fill(self, now: float) -> None:
        """Fills it up to now."""
        if self.is_window:
            if now // 60 > self.at // 60:
                self.left = self.per_min
        else:
            self.left = min(self.most, self.left + (now - self.at) * self.per_min / 60)
        self.at = now

    def halve(self) -> None:
        """Half of it from now on."""
        self.per_min /= 2
        self.left = min(self.left, self.most)

    def gauge(self, now: float) -> Gauge:
        """What its headers say, with the precision that providers use."""
        full_in_s = 60 - now % 60 if self.is_window else (self.most - self.left) * 60 / self.per_min
        return Gauge(float(int(self.most)), float(int(max(0.0, self.left))), round(full_in_s, 3))

    def wait_s(self, now: float, cost: float) -> float:
        """When there is room again."""
        return 60 - now % 60 if self.is_window else (cost - self.left) * 60 / self.per_min


class Scenario(NamedTuple):
    """One provider and how it is asked."""

    requests: float | None = None
    """Requests a minute."""
    tokens: float | None = None
    """Tokens a minute."""
    concurrent: int | None = None
    """Requests at one time; more are refused."""
    slots: int | None = None
    """Requests it works at; more wait in its queue."""
    burst_s: float = 60.0
    is_window: bool = False
    says: bool = False
    """Whether its answers say what is left."""
    says_when: bool = True
    """Whether they also say when all of it is there again."""
    says_after: bool = False
    """Whether its refusals say when to come back."""
    faults: float = 0.0
    halves: bool = False
    """Whether its limit is half from the middle on."""
    latency_s: float = 2.0


class Measured(NamedTuple):
    """What came of it in the steady part."""

    utilisation: float
    """Answers, as a share of what its limit lets through."""
    refused: float
    """The share of requests that were refused."""
    ramp_s: float
    """Seconds until it was used at 90 % for ten seconds."""
    latency_s: float
    """How long an answer took."""
    under_way: float
    """How many were under way on average."""


MEAN_TOKENS = 1000.0
SCENARIOS = {
    "requests_told": Scenario(requests=600, says=True),
    "requests_told_by_the_window": Scenario(requests=600, says=True, is_window=True),
    "requests_told_without_a_time": Scenario(requests=600, says=True, says_when=False),
    "requests_told_by_the_window_without_a_time": Scenario(requests=600, says=True, is_window=True, says_when=False),
    "requests_untold": Scenario(requests=600),
    "requests_untold_fast": Scenario(requests=3000),
    "requests_untold_slow": Scenario(requests=60),
    "requests_untold_no_burst": Scenario(requests=600, burst_s=1),
    "requests_untold_by_the_window": Scenario(requests=600, is_window=True),
    "requests_retry_after": Scenario(requests=600, says_after=True),
    "requests_retry_after_by_the_window": Scenario(requests=600, is_window=True, says_after=True),
    "tokens_told": Scenario(tokens=600_000, says=True),
    "tokens_untold": Scenario(tokens=600_000),
    "concurrent_8": Scenario(concurrent=8),
    "concurrent_24": Scenario(concurrent=24),
    "concurrent_100": Scenario(concurrent=100),
    "requests_told_halved": Scenario(requests=600, says=True, halves=True),
    "requests_untold_halved": Scenario(requests=600, halves=True),
    "concurrent_24_halved": Scenario(concurrent=24, halves=True),
    "requests_untold_faults": Scenario(requests=600, faults=0.02),
    "concurrent_24_faults": Scenario(concurrent=24, faults=0.02),
    "queue_of_32": Scenario(slots=32),
}
WARM_S = 300.0
"""How long it is run before it is measured."""


def simulate(scenario: Scenario, pacer: Pacer, seed: int, length_s: float, warm_s: float) -> Measured:
    """Asks for as long as it takes; there is always a next row."""
    rng, end_rng = Random(seed), Random(seed + 1)
    requests = Bucket(scenario.requests, scenario.burst_s, scenario.is_window) if scenario.requests else None
    tokens = Bucket(scenario.tokens, scenario.burst_s, scenario.is_window) if scenario.tokens else None
    buckets = [bucket for bucket in (requests, tokens) if bucket]
    concurrent, slots = scenario.concurrent, scenario.slots
    events: list[tuple[float, int, Callable[[float], None]]] = []
    counter = 0
    inside = 0
    free_at = [0.0] * (slots or 0)
    answers: list[tuple[float, float, float]] = []
    starts = refusals = 0
    busy_s = 0.0
    woken_for = inf
    half_s = length_s / 2

    def steady(at: float) -> bool:
        return at >= warm_s and not (scenario.halves and half_s <= at < half_s + 120)

    def later(at: float, what: Callable[[float], None]) -> None:
        nonlocal counter
        counter += 1
        heapq.heappush(events, (at, counter, what))

    def next_row() -> tuple[float, float]:
        actual = MEAN_TOKENS * min(8.0, rng.lognormvariate(-0.18, 0.6))
        return actual, actual * rng.uniform(0.6, 1.2)

    row = next_row()

    def start_all(now: float) -> None:
        nonlocal row, woken_for
        while True:
            wait_s = pacer.wait_s(now, row[1])
            if wait_s > 0:
                if wait_s < inf and not now < woken_for <= now + wait_s + 1e-5:
                    woken_for = now + wait_s + 1e-6
                    later(woken_for, lambda at: None)
                return
            send(now, *row)
            row = next_row()

    def send(now: float, actual: float, thought: float) -> None:
        nonlocal inside, starts, refusals, busy_s
        ticket = pacer.started(now, thought)
        starts += steady(now)
        costs = [(bucket, 1.0 if bucket is requests else actual) for bucket in buckets]
        for bucket in buckets:
            bucket.fill(now)
        is_full = (concurrent is not None and inside >= concurrent) or any(bucket.left < cost for bucket, cost in costs)
        if not is_full:
            for bucket, cost in costs:
                bucket.left -= cost
        told = None
        if scenario.says:
            gauges = [bucket.gauge(now) if bucket else None for bucket in (requests, tokens)]
            told = Remaining(*(gauge and (gauge if scenario.says_when else gauge._replace(full_in_s=None)) for gauge in gauges))
        if is_full:
            refusals += steady(now)
            wait_s = max((bucket.wait_s(now, cost) for bucket, cost in costs), default=1.0)
            after = float(max(1, ceil(wait_s))) if scenario.says_after else None
            later(now + REFUSED_S, lambda at: pacer.ended(at, ticket, "limited", None, after, told))
            return
        if rng.random() < scenario.faults:
            later(now + FAULT_S, lambda at: pacer.ended(at, ticket, "failed", None, None, told))
            answers.append((now + FAULT_S, actual, FAULT_S))
            return
        work_s = scenario.latency_s * end_rng.lognormvariate(-0.08, 0.4)
        begins = now
        if slots:
            begins = max(now, heapq.heappop(free_at))
            heapq.heappush(free_at, begins + work_s)
        ends = begins + work_s
        inside += 1

        def end(at: float) -> None:
            nonlocal inside
            inside -= 1
            answers.append((at, actual, at - now))
            pacer.ended(at, ticket, "answered", actual, None, told)

        later(ends, end)
        if steady(begins):
            busy_s += work_s

    def halve(at: float) -> None:
        nonlocal concurrent
        for bucket in buckets:
            bucket.fill(at)
            bucket.halve()
        concurrent = concurrent // 2 if concurrent else None

    if scenario.halves:
        later(half_s, halve)
    start_all(0.0)
    while events:
        at, _, what = heapq.heappop(events)
        if at > length_s:
            break
        what(at)
        start_all(at)
    return _measured(scenario, answers, steady, length_s, warm_s, starts, refusals, busy_s)


def _measured(
    scenario: Scenario,
    answers: list[tuple[float, float, float]],
    steady: Callable[[float], bool],
    length_s: float,
    warm_s: float,
    starts: int,
    refusals: int,
    busy_s: float,
) -> Measured:
    def possible(begin: float, end: float) -> float:
        """What the limit lets through, in the unit of `done`."""
        half_s = length_s / 2 if scenario.halves else inf
        whole = min(end, half_s) - min(begin, half_s) + (max(end, half_s) - max(begin, half_s) if half_s < inf else 0.0) / 2
        if scenario.halves and begin <= half_s and end > half_s + 120:
            whole -= 60
        if scenario.tokens:
            return whole * scenario.tokens / 60
        if scenario.requests:
            return whole * scenario.requests / 60
        return whole * (scenario.concurrent or scenario.slots or 1)

    kept = [(at, tokens, latency_s) for at, tokens, latency_s in answers if steady(at)]
    if scenario.tokens:
        done = sum(tokens for _, tokens, _ in kept)
    elif scenario.requests:
        done = float(len(kept))
    else:
        done = busy_s
    latency_s = sum(latency_s for _, _, latency_s in kept) / max(1, len(kept))
    unit = MEAN_TOKENS if scenario.tokens else 1.0 if scenario.requests else scenario.latency_s
    per_ten_s = possible(0.0, 10.0) / unit
    counts: dict[int, int] = {}
    for at, _, _ in answers:
        counts[int(at // 10)] = counts.get(int(at // 10), 0) + 1
    ramp_s = next((10.0 * n for n in range(int(length_s // 10)) if counts.get(n, 0) >= 0.9 * per_ten_s), inf)
    under_way = sum(latency_s for _, _, latency_s in kept) / (length_s - warm_s)
    return Measured(done / possible(warm_s, length_s), refusals / max(1, starts), ramp_s, latency_s, under_way)
