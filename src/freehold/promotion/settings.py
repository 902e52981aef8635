"""What a certification is asked for: all of it fixed before any label is looked at."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.datasets.split import Fractions
from freehold.routing.head import Head

Floats = NDArray[np.float64]


class Settings(NamedTuple):
    """What is asked of a certification. All of it is fixed before any label is looked at."""

    max_loss: float = 0.02
    """The floor."""
    confidence: float = 0.95
    """1 - δ over all attempts."""
    fractions: Fractions = Fractions()
    """Shares of the parts."""
    by: str | None = None
    """A tag, `region` or a feature to make slices of."""
    seed: int = 0
    """Orders items, folds and clusters."""
    attempt: int = 1
    """Which attempt on this data set this is."""
    p95_s: float | None = None
    """The limit on predicted latency."""
    head: str | None = None
    """The name of a head to train; None for none."""
    trained: Head | None = None
    """That head, where it was trained before and is a specialist's."""
    head_cost_usd: float = 0.0
    """What a call to the head costs."""
