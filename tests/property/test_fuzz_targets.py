"""What the fuzzer holds of the gateway, of the bytes it begins with, of some that are near them, and of all that once broke it."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.fuzz_targets import TARGETS, put

CRASHES = Path(__file__).parents[1] / "crashes"
NEAR = 200


def inputs(name: str) -> Iterator[bytes]:
    target, rng = TARGETS[name], random.Random(name)
    seeds = list(target.seeds())
    yield from seeds
    yield from (path.read_bytes() for path in sorted(CRASHES.glob(f"{name}/*")))
    for _ in range(NEAR):
        changed = seed = rng.choice(seeds)
        while changed == seed or rng.random() < 0.5:
            changed = target.mutate(changed, rng) or seed
        yield changed


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_breaks_it(name: str) -> None:
    for data in inputs(name):
        put(TARGETS[name], data)
