"""Certifications that several tests look at, made once."""

import pytest

from freehold.promotion.certify import Certification
from simulated import CHEAP, FRONTIER, Model, a_task, certified

TINY = Model("tiny", 0.1, 0.6, 2e-5, 0.1)


@pytest.fixture(scope="session")
def plain() -> Certification:
    """Two models, 1,200 single items, a binary metric: certified."""
    return certified(a_task())


@pytest.fixture(scope="session")
def grouped() -> Certification:
    """Items in groups of three that are right or wrong together, and a model more: certified by betting."""
    return certified(a_task(1800, (FRONTIER, CHEAP, TINY), group_size=3))


@pytest.fixture(scope="session")
def with_head() -> Certification:
    """A head beside the two models: certified."""
    return certified(a_task(), head="head", head_cost_usd=1e-5)


@pytest.fixture(scope="session")
def sliced() -> Certification:
    """A bound for each tier, of which one has too few items."""
    pairs = a_task(1500)
    for i in range(0, 1500, 60):
        pairs.tags[i]["tier"] = "vip"
    return certified(pairs, by="tier")


@pytest.fixture(scope="session")
def hopeless() -> Certification:
    """The only other model is always wrong: nothing to certify."""
    return certified(a_task(600, (FRONTIER, Model("broken", 1.0, 1.0, 1e-5))), max_loss=0.01)
