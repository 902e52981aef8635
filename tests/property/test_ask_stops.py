"""A budget may end a sample, and the bound still holds: in simulations at the edge of the floor, whatever costs have to do with losses.

The sample ends before the first item that does not fit. Given the costs of harmful items in their order and those of harmless ones, that is
a boundary that falls in both counts; whoever leaves with a given count of harms or fewer has that few among a number of items that is
fixed. δ is .05; a rate counts as within δ unless so many violations would happen by chance with probability below .001.
"""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from freehold.asker import Purse
from freehold.evaluation import bounds

DELTA = EPSILON = 0.05
TRIALS = 3000
Floats = NDArray[np.float64]
Costs = Callable[[np.random.Generator, Floats], Floats]

COSTS: dict[str, Costs] = {
    "harms cost a hundred times as much": lambda rng, harm_N: np.where(harm_N > 0, 1.0, 0.01),
    "harms cost nothing": lambda rng, harm_N: np.where(harm_N > 0, 0.0, 0.02),
    "harms cost three times as much, by chance": lambda rng, harm_N: rng.exponential(0.02 * (1 + 2 * harm_N)),
    "harms cost a third, by chance": lambda rng, harm_N: rng.exponential(0.03 / (1 + 2 * harm_N)),
    "a few cost very much": lambda rng, harm_N: rng.lognormal(-4.5, 1.5, len(harm_N)),
}


@pytest.mark.parametrize("costs", COSTS.values(), ids=COSTS.keys())
@pytest.mark.parametrize("is_known", [True, False])
def test_the_exact_bound_holds_where_a_budget_ends_the_sample(costs: Costs, is_known: bool) -> None:
    """3,000 trials, with costs known beforehand, and with estimates that know nothing of them."""
    rng = np.random.default_rng(len(next(name for name, each in COSTS.items() if each is costs)))
    violations = 0
    for _ in range(TRIALS):
        harm_N = (rng.random(600) < EPSILON + 1e-4).astype(np.float64)
        cost_N = costs(rng, harm_N)
        n = sent(cost_N, cost_N if is_known else np.full(600, 0.02), 4.0)
        harms = int(harm_N[:n].sum())
        violations += n > 0 and float(bounds.clopper_pearson_upper(harms, n, DELTA)) <= EPSILON
    assert binom.sf(violations - 1, TRIALS, DELTA) > 0.001


def sent(cost_N: Floats, estimate_N: Floats, budget_usd: float) -> int:
    """How many items are asked, one after the other."""
    purse = Purse(budget_usd, 0.0)
    for n, (cost, estimate) in enumerate(zip(cost_N.tolist(), estimate_N.tolist(), strict=True)):
        expected = purse.expected("cheap", estimate)
        if not purse.has(expected):
            return n
        purse.set_aside(expected)
        purse.settle("cheap", expected, estimate, cost)
    return len(cost_N)
