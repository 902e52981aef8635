"""Loss masks: which answers a row's right answer competes with.

A cross-entropy over all answers pushes those of earlier data sets down with every new row, for none of them is ever right there; that, more
than lost features, is what forgetting classes is (bench/continual.py: without replay, a mask is worth more than any regulariser).
"""

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Masking: TypeAlias = Literal["all", "current", "replay"]
"""`all`: with every answer known so far. `current`: with those of its own data set. `replay`: rows of the new data set with the answers of
that, rows of earlier ones with all (ER-ACE: Caccia et al., New Insights on Reducing Abrupt Representation Change, ICLR 2022)."""
Tensor: TypeAlias = Any  # torch's types are not followed


def allowed(masking: Masking, lesson_N: NDArray[np.int64], taught_LC: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The answers that each row's competes with, shape N by C.

    `lesson_N`: the data set of each row, 0 the first; `taught_LC`: which answers each data set has, the last being the one that is learnt now.
    """
    seen_C = np.asarray(taught_LC.any(axis=0))
    if masking == "all":
        return np.repeat(seen_C[None], len(lesson_N), axis=0)
    own_NC = taught_LC[lesson_N]
    if masking == "current":
        return own_NC
    return np.where((lesson_N == len(taught_LC) - 1)[:, None], own_NC, seen_C[None])


def masked(logits_BC: Tensor, allowed_BC: Tensor) -> Tensor:
    """The logits with those that do not compete at minus infinity: they get probability 0 and gradient 0."""
    return logits_BC.masked_fill(~allowed_BC, float("-inf"))


def masked_cross_entropy(logits_BC: Tensor, right_B: Tensor, allowed_BC: Tensor) -> Tensor:
    """Mean of -log of the right answer's probability among those that compete."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(masked(logits_BC, allowed_BC), right_B)
