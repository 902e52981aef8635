"""How much of a provider's limits does the pace use, and how many of its requests are refused?

    bench/pace.py [--quick] [--check]

Providers are simulated (`pace_servers.py`): each scenario is one limit, known from headers or from refusals alone. Beside stand the usual
ways: so many requests at one time (8, 64, or 200, more than any of them takes), each refused one trying again after a second or after what
it was told, and plain AIMD on the window. Utilisation is answers as a share of what the limit lets through, refused the share of requests
answered 429, both after a warm-up of five minutes (and not in the two minutes after a limit was halved); mean over seeds with its 95 %
interval (Student's t): five seeds and half an hour each of the pace, two and ten minutes of the others.
"""

import heapq
import time
from collections.abc import Callable, Sequence
from math import inf, sqrt
from statistics import mean, stdev

from scipy.stats import t as student

from freehold.providers.pace import Ending, Pace, Ticket
from freehold.providers.remaining import Gauge, Remaining
from harness import arguments, emit
from pace_servers import SCENARIOS, WARM_S, Measured, Pacer, simulate


class Fixed:
    """So many at one time; who is refused sleeps, and holds its place."""

    def __init__(self, most: int) -> None:
        self.window = float(most)
        self.under_way = 0
        self.asleep: list[float] = []
        self.count = 0

    def wait_s(self, now: float, tokens: float = 0.0) -> float:
        while self.asleep and self.asleep[0] <= now:
            heapq.heappop(self.asleep)
        if self.under_way + len(self.asleep) < self.window:
            return 0.0
        return self.asleep[0] - now if self.asleep else inf

    def started(self, now: float, tokens: float = 0.0) -> Ticket:
        self.under_way += 1
        self.count += 1
        return Ticket(now, tokens, self.count, 0.0, self.under_way)

    def ended(
        self,
        now: float,
        ticket: Ticket,
        ending: Ending,
        tokens: float | None = None,
        retry_after_s: float | None = None,
        told: Remaining | None = None,
    ) -> None:
        self.under_way -= 1
        if ending == "limited":
            heapq.heappush(self.asleep, now + (1.0 if retry_after_s is None else retry_after_s))


class Aimd(Fixed):
    """One more for each round of answers, half for a refusal, once in a round."""

    def __init__(self) -> None:
        super().__init__(8)
        self.halved_at = -inf

    def ended(
        self,
        now: float,
        ticket: Ticket,
        ending: Ending,
        tokens: float | None = None,
        retry_after_s: float | None = None,
        told: Remaining | None = None,
    ) -> None:
        super().ended(now, ticket, ending, tokens, retry_after_s, told)
        if ending == "answered":
            self.window = min(512.0, self.window + 1 / self.window)
        elif ending == "limited" and ticket.at > self.halved_at:
            self.window, self.halved_at = max(1.0, self.window / 2), now


PACERS: dict[str, Callable[[], Pacer]] = {
    "pace": Pace,
    "fixed_8": lambda: Fixed(8),
    "fixed_64": lambda: Fixed(64),
    "unlimited": lambda: Fixed(200),
    "aimd": Aimd,
}


def interval(values: Sequence[float]) -> dict[str, float]:
    """The mean with its interval over seeds."""
    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    return {"mean": round(mean(values), 4), "low": round(mean(values) - half, 4), "high": round(mean(values) + half, 4)}


def summary(runs: Sequence[Measured]) -> dict[str, object]:
    """What came of one pacer in one scenario."""
    return {
        "utilisation": interval([run.utilisation for run in runs]),
        "refused": interval([run.refused for run in runs]),
        "latency_s": round(mean(run.latency_s for run in runs), 2),
        "ramp_s": max(run.ramp_s if run.ramp_s < inf else -1.0 for run in runs),
    }


def us_per_row(rows: int) -> float:
    """Microseconds of CPU time that a row takes, with headers and 64 under way; the best of five."""
    best = inf
    for _ in range(5):
        pace, now, under_way = Pace(), 0.0, [Ticket(0.0, 0.0, 0, 0.0, 0)] * 0
        told = Remaining(Gauge(1e9, 9e8, 6.0), Gauge(1e12, 9e11, 6.0))
        began = time.process_time_ns()
        for _ in range(rows):
            now += 0.01
            if pace.wait_s(now, 1000.0) == 0:
                under_way.append(pace.started(now, 1000.0))
            if len(under_way) >= min(64, pace.window):
                pace.ended(now, under_way.pop(0), "answered", 1000.0, None, told)
        best = min(best, (time.process_time_ns() - began) / rows / 1000)
    return round(best, 2)


def main() -> None:
    args = arguments(__doc__)
    quick = args.quick
    seeds, length_s = (2, 1200.0) if quick else (5, 1800.0)
    names = ["pace"] if quick else list(PACERS)
    by_scenario: dict[str, dict[str, dict[str, object]]] = {}
    lowest, highest = inf, 0.0
    for title, scenario in SCENARIOS.items():
        by_scenario[title] = {}
        for name in names:
            count, until_s = (seeds, length_s) if name == "pace" else (2, 600.0)  # most of what the others send is refused, and much
            runs = [simulate(scenario, PACERS[name](), seed, until_s, WARM_S) for seed in range(count)]
            by_scenario[title][name] = summary(runs)
            if name == "pace":
                lowest = min(lowest, mean(run.utilisation for run in runs))
                highest = max(highest, mean(run.refused for run in runs))
    result: dict[str, object] = {
        "lowest_utilisation": round(lowest, 4),
        "highest_refused": round(highest, 5),
        "us_per_row": us_per_row(20_000 if quick else 100_000),
        "scenarios": by_scenario,
        "seeds": seeds,
        "simulated_s": length_s,
    }
    emit("pace", result, args.check)


if __name__ == "__main__":
    main()
