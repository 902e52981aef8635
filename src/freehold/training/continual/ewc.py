"""Elastic weight consolidation: parameters that earlier answers depended on are held near where they were.

Sources: Kirkpatrick et al., Overcoming catastrophic forgetting in neural networks (PNAS 114 (2017) 3521), eq. 3; online, with one anchor and
a decaying sum of the Fishers: Schwarz et al., Progress & Compress (ICML 2018), eq. 8 to 9. Sensitive to its weight, and no remedy where
classes are new (bench/continual.py): one part among others.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Tensor: TypeAlias = Any  # torch's types are not followed
Module: TypeAlias = Any


class Consolidated(NamedTuple):
    """What is held, by the parameters' names."""

    fisher: dict[str, Tensor]
    """How much the answers depend on each."""
    anchor: dict[str, Tensor]
    """Where each was."""


def fisher(model: Module, input_ND: Tensor, allowed_NC: Tensor, rng: np.random.Generator | None) -> dict[str, Tensor]:
    """The diagonal of the Fisher information: the mean over rows of (∂ log p(y|x) / ∂θ)², y drawn from what the model says of x.

    With `rng` one y is drawn for each row; without, the sum goes over all of them, which takes as many times as long. Not the labels': with
    those it would be the empirical Fisher, which says how surprised the model is rather than what it depends on (Kunstner et al., 2019).
    """
    import torch

    from freehold.training.continual.masks import masked

    names, parameters = zip(*((name, each) for name, each in model.named_parameters() if each.requires_grad), strict=True)
    squares = [torch.zeros_like(each) for each in parameters]
    for n in range(len(input_ND)):
        log_p_C = torch.log_softmax(masked(model(input_ND[n : n + 1]), allowed_NC[n : n + 1])[0], dim=0)
        p_C = log_p_C.detach().exp().cpu().numpy().astype(np.float64)
        drawn = (
            [(c, float(p)) for c, p in enumerate(p_C) if p > 0] if rng is None else [(int(rng.choice(len(p_C), p=p_C / p_C.sum())), 1.0)]
        )
        for c, weight in drawn:
            gradients = torch.autograd.grad(log_p_C[c], parameters, retain_graph=True, allow_unused=True)
            for square, gradient in zip(squares, gradients, strict=True):
                if gradient is not None:
                    square += weight * gradient**2
    return {name: square / len(input_ND) for name, square in zip(names, squares, strict=True)}


def consolidate(before: Consolidated | None, fresh: Mapping[str, Tensor], model: Module, keep: float = 1.0) -> Consolidated:
    """What is held after another data set: `keep` of the earlier Fisher and the fresh one, at the parameters as they are now.

    Parameters that have grown since, by rows for new answers, are held by nothing there.
    """
    here = {name: each.detach().clone() for name, each in model.named_parameters() if name in fresh}
    if before is None:
        return Consolidated(dict(fresh), here)
    return Consolidated({name: keep * grown(before.fisher[name], each) + each for name, each in fresh.items()}, here)


def grown(smaller: Tensor, like: Tensor) -> Tensor:
    """A tensor at the beginning of zeros of another's shape."""
    whole = like.new_zeros(like.shape)
    whole[tuple(slice(0, n) for n in smaller.shape)] = smaller
    return whole


def penalty(model: Module, held: Consolidated) -> Tensor:
    """½ Σ F (θ - θ*)²: its gradient is F (θ - θ*)."""
    total: Tensor = 0.0
    for name, parameter in model.named_parameters():
        if name in held.fisher:
            fisher_of, anchor = held.fisher[name], held.anchor[name]
            if fisher_of.shape != parameter.shape:
                fisher_of, anchor = grown(fisher_of, parameter), grown(anchor, parameter)
            total = total + 0.5 * (fisher_of * (parameter - anchor) ** 2).sum()
    return total


def as_arrays(held: Consolidated) -> dict[str, NDArray[Any]]:
    """As arrays that can be kept: `fisher.NAME` and `anchor.NAME`."""
    both = {"fisher": held.fisher, "anchor": held.anchor}
    return {f"{kind}.{name}": each.detach().cpu().numpy() for kind, named in both.items() for name, each in named.items()}


def of_arrays(arrays: Mapping[str, NDArray[Any]]) -> Consolidated | None:
    """What `as_arrays` gave; None where there is none of it."""
    import torch

    def those(kind: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(f"{kind}."): torch.from_numpy(each.copy()) for name, each in arrays.items() if name.startswith(f"{kind}.")
        }

    found = Consolidated(those("fisher"), those("anchor"))
    return found if found.fisher else None
