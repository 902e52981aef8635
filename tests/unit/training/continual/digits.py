"""What tests of losses share: scikit-learn's digits in float64, and derivatives by differences."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn


@cache
def digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """1,797 pictures of digits as vectors in [0, 1], and which digit each is."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.data / 16.0, found.target.astype(np.int64)


def a_network(seed: int = 0, hidden: int = 0, answers: int = 10) -> nn.Sequential:
    """One that says something definite of digits, in float64."""
    torch.manual_seed(seed)
    model = nn.Sequential()
    if hidden:
        model.add_module("body", nn.Linear(64, hidden))
        model.add_module("tanh", nn.Tanh())  # smooth, so that differences are derivatives
    model.add_module("head", nn.Linear(hidden or 64, answers))
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(4.0)
    return model.double()


def by_differences(value: Callable[[], float], parameter: Any, places: list[tuple[int, ...]], step: float = 1e-6) -> list[float]:
    """∂ value / ∂ parameter at some places, by central differences."""
    found = []
    with torch.no_grad():
        for place in places:
            was = parameter[place].item()
            parameter[place] = was + step
            above = value()
            parameter[place] = was - step
            below = value()
            parameter[place] = was
            found.append((above - below) / (2 * step))
    return found


def some_places(shape: tuple[int, ...], rng: np.random.Generator, n: int = 12) -> list[tuple[int, ...]]:
    """Places in an array."""
    return [tuple(int(rng.integers(0, size)) for size in shape) for _ in range(n)]
