"""A pace uses at least 90 % of a limit and has at most 1 % of its requests refused, whatever the limit is and whether anybody tells it.

By simulation: twenty minutes against each provider of the benchmark, 2 seeds, the first five minutes left out.
"""

import pytest
from bench.pace_servers import SCENARIOS, WARM_S, simulate

from freehold.providers.pace import Pace

LENGTH_S = 1200.0


@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_limit_is_filled_and_hardly_tripped(name: str, seed: int) -> None:
    found = simulate(SCENARIOS[name], Pace(), seed, LENGTH_S, WARM_S)
    assert found.utilisation >= 0.9
    assert found.refused <= 0.01


@pytest.mark.parametrize("seed", [11, 12])
def test_a_queue_is_filled_and_not_grown(seed: int) -> None:
    """Answers that take longer with more under way are taken for the sign that they are: at most 2.5 times as long, and some for the chance."""
    found = simulate(SCENARIOS["queue_of_32"], Pace(), seed, LENGTH_S, WARM_S)
    assert found.latency_s < 3 * 2.0


@pytest.mark.parametrize("name", ["requests_told", "requests_untold", "tokens_told", "concurrent_24", "queue_of_32"])
def test_the_start_is_fast(name: str) -> None:
    """Nine tenths are reached within half a minute, from eight at one time."""
    assert simulate(SCENARIOS[name], Pace(), 1, LENGTH_S, WARM_S).ramp_s <= 30


def test_few_faults_slow_nothing_down() -> None:
    """One in fifty answered 500 leaves the window as wide."""
    without, with_faults = (
        simulate(SCENARIOS["queue_of_32"]._replace(faults=share), Pace(), 3, LENGTH_S, WARM_S).utilisation for share in (0.0, 0.02)
    )
    assert with_faults > 0.95 * without
