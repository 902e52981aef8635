"""Adapters: what a data set changes in a layer, as two thin matrices beside it, which are merged into it afterwards.

Sources: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (ICLR 2022), §4.1, where `up` begins at 0, so that nothing has changed before
anything is learnt. Merging by sums: Ilharco et al., Editing Models with Task Arithmetic (ICLR 2023). Where adapters were learnt beside each other
over one base, and disagree: Yadav et al., TIES-Merging (NeurIPS 2023), §4, trim, elect a sign, and the mean of those that have it.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.floating[Any]]
Module: TypeAlias = Any  # torch's types are not followed


def low_rank(layer: Module, rank: int) -> Module:
    """A linear layer that stays as it is, with an adapter of that rank beside it, which alone is learnt."""
    import torch
    from torch import nn

    class LowRank(nn.Module):  # type: ignore[misc]  # torch's types are not followed
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer.requires_grad_(False)
            self.down = nn.Parameter(torch.randn(rank, layer.in_features, dtype=layer.weight.dtype) / layer.in_features**0.5)
            self.up = nn.Parameter(torch.zeros(layer.out_features, rank, dtype=layer.weight.dtype))

        def forward(self, input_ND: Any) -> Any:
            return self.layer(input_ND) + (input_ND @ self.down.T) @ self.up.T

    return LowRank()


def change_of(adapted: Module) -> Floats:
    """What an adapter adds to its layer's weights, in their shape."""
    return np.asarray((adapted.up @ adapted.down).detach().cpu().numpy())


def summed(base: Floats, changes: Sequence[Floats], share: float = 1.0) -> Floats:
    """The base with a share of every change: 1 for changes that were learnt one after another, each over those before it."""
    total = base + share * np.sum(changes, axis=0) if len(changes) else base
    return np.asarray(total, dtype=base.dtype)


def elected(base: Floats, changes: Sequence[Floats], keep: float = 0.2, share: float = 1.0) -> Floats:
    """The base with what changes agree on (TIES), for changes that were learnt beside each other.

    Of each change the share `keep` of the largest entries stays; at each place the sign with more weight wins, and the mean of the entries that
    have it is added.
    """
    if not len(changes):
        return base
    trimmed = np.stack([np.where(np.abs(change) >= _least(change, keep), change, 0.0) for change in changes])
    sign = np.sign(trimmed.sum(axis=0))
    agrees = (np.sign(trimmed) == sign) & (trimmed != 0)
    mean = np.where(agrees, trimmed, 0.0).sum(axis=0) / np.maximum(agrees.sum(axis=0), 1)
    return np.asarray(base + share * mean, dtype=base.dtype)


def _least(change: Floats, keep: float) -> float:
    """The size from which on an entry is among the largest."""
    stay = max(1, round(keep * change.size))
    return float(np.partition(np.abs(change).ravel(), change.size - stay)[change.size - stay])
