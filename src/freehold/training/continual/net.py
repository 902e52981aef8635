"""A small network over fixed vectors that learns one data set after another, by any of the parts beside this file. Needs torch."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.training.continual.adapters import change_of, low_rank, summed
from freehold.training.continual.ewc import as_arrays, consolidate, fisher, of_arrays, penalty
from freehold.training.continual.lwf import distillation
from freehold.training.continual.masks import Masking, allowed, masked_cross_entropy
from freehold.training.loop import Batch, Fitted, Module, Pace, Term, fit, shuffled
from freehold.training.run import Run

Floats32: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]
Tensor: TypeAlias = Any  # torch's types are not followed

_FISHER_ROWS = 500
"""Rows that the Fisher information is taken over, at most."""


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """Which parts are at work, and how much each counts."""

    hidden: int = 256
    """Width of the layer between vectors and answers; 0 for none."""
    masking: Masking = "all"
    """Which answers compete."""
    distil: float = 0.0
    """What the previous model's say counts beside what is right (LwF)."""
    temperature: float = 2.0
    """How much that is softened."""
    ewc: float = 0.0
    """How firmly parameters are held."""
    rank: int = 0
    """Of an adapter that each later data set learns in the place of the layer between, which stays as it is; 0 has the layer itself learn."""
    batch: int = 32
    """New rows of a step; as many are replayed beside them, where any are."""
    pace: Pace = Pace()
    """How fast."""

    def __post_init__(self) -> None:
        if self.rank and (self.ewc or not self.hidden):
            raise ValueError("an adapter (rank) needs a layer (hidden), and leaves nothing for ewc to hold: set one of them to 0")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows to learn or to look at."""

    vector_ND: Floats32
    answer_N: Ints
    """The right answer, by its place among all answers."""
    lesson_N: Ints
    """The data set each is from, 0 the first."""

    def __len__(self) -> int:
        return len(self.answer_N)


class Taught(NamedTuple):
    """A network, and what it carries to the next data set."""

    arrays: dict[str, NDArray[Any]]
    """Its parameters; and `fisher.*` and `anchor.*` where some are held."""
    fitted: Fitted


@contextmanager
def _one_thread() -> Iterator[None]:
    """So small a network learns faster on one core than on several that wait for each other: nine times so on a busy machine of two."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@_one_thread()
def teach(
    before: Mapping[str, NDArray[Any]] | None,
    fresh: Rows,
    replay: Rows,
    taught_LC: NDArray[np.bool_],
    ways: Ways,
    seed: int,
    held_out: Rows | None = None,
    run: Run | None = None,
) -> Taught:
    """Learns a data set after those that `before` has learnt. `taught_LC`: which answers each data set has, this one the last."""
    import torch

    answers, dims = taught_LC.shape[1], fresh.vector_ND.shape[1]
    model = _network(dims, ways.hidden, answers, seed, before)
    earlier = None if before is None else _network(dims, ways.hidden, answers, seed, before).eval()
    held = of_arrays(before) if before is not None and ways.ewc > 0 else None
    known_C = torch.from_numpy(np.flatnonzero(taught_LC[:-1].any(axis=0)))
    terms: dict[str, Term] = {"fresh": lambda net, batch: _loss(net, batch[0])}
    if len(replay):
        terms["replayed"] = lambda net, batch: _loss(net, batch[1])
    if earlier is not None and ways.distil > 0:
        terms["distilled"] = lambda net, batch: (
            ways.distil * sum(distillation(net(one[0]), _still(earlier, one[0]), known_C, ways.temperature) for one in batch)
        )
    if held is not None:
        terms["held"] = lambda net, _: ways.ewc * penalty(net, held)
    adapted = _adapted(model, ways.rank, seed) if before is not None and ways.rank else None
    fresh_T, replay_T = _tensors(fresh, taught_LC, ways.masking), _tensors(replay, taught_LC, ways.masking)

    def batches(rng: np.random.Generator) -> Sequence[Batch]:
        mine = shuffled(len(fresh), ways.batch, rng)
        again = np.resize(rng.permutation(len(replay)), len(mine) * ways.batch).reshape(len(mine), ways.batch) if len(replay) else None
        return [(_those(fresh_T, rows), *(() if again is None else (_those(replay_T, again[step]),))) for step, rows in enumerate(mine)]

    looked_T = _tensors(held_out, taught_LC, "all") if held_out is not None and len(held_out) else None
    look = None if looked_T is None else lambda net: _loss(net, looked_T)
    fitted = fit(model, batches, terms, ways.pace, seed, run, look)
    if adapted is not None:
        model.body = _merged(adapted)
    arrays = {name: each.detach().numpy() for name, each in model.named_parameters()}
    if ways.ewc > 0:
        rng = np.random.default_rng(seed)
        rows = np.sort(rng.permutation(len(fresh))[:_FISHER_ROWS])
        found = fisher(model, fresh_T[0][rows], fresh_T[2][rows], rng)
        arrays |= as_arrays(consolidate(of_arrays(before) if before is not None else None, found, model))
    return Taught(arrays, fitted)


def logits(arrays: Mapping[str, NDArray[Any]], vector_ND: Floats32) -> NDArray[np.float64]:
    """What a network says, without torch: shape N by C."""
    hidden = vector_ND
    if "body.weight" in arrays:
        hidden = np.maximum(vector_ND @ arrays["body.weight"].T + arrays["body.bias"], 0.0)
    return np.asarray(hidden @ arrays["head.weight"].T + arrays["head.bias"], dtype=np.float64)


def _network(dims: int, hidden: int, answers: int, seed: int, before: Mapping[str, NDArray[Any]] | None) -> Module:
    """A network of that many answers; what `before` had learnt stands at the beginning of it."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: dict[str, Module] = {"body": nn.Linear(dims, hidden), "relu": nn.ReLU()} if hidden else {}
        layers["head"] = nn.Linear(hidden or dims, answers)
        model = nn.Sequential()
        for name, layer in layers.items():
            model.add_module(name, layer)
    with torch.no_grad():
        for name, each in model.named_parameters():
            if before is not None:
                learnt = torch.from_numpy(before[name].copy())
                each[tuple(slice(0, n) for n in learnt.shape)] = learnt
    return model


def _adapted(model: Module, rank: int, seed: int) -> Module:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.body = low_rank(model.body, rank)
    return model.body


def _merged(adapted: Module) -> Module:
    """The layer with what its adapter learnt."""
    import torch

    layer = adapted.layer.requires_grad_(True)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(summed(layer.weight.numpy(), [change_of(adapted)])))
    return layer


def _loss(net: Module, rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    return masked_cross_entropy(net(rows[0]), rows[1], rows[2])


def _still(net: Module, vector_BD: Tensor) -> Tensor:
    import torch

    with torch.no_grad():
        return net(vector_BD)


def _tensors(rows: Rows, taught_LC: NDArray[np.bool_], masking: Masking) -> tuple[Tensor, Tensor, Tensor]:
    import torch

    competing_NC = allowed(masking, rows.lesson_N, taught_LC)
    return torch.from_numpy(rows.vector_ND), torch.from_numpy(rows.answer_N), torch.from_numpy(competing_NC)


def _those(tensors: tuple[Tensor, ...], rows: Ints) -> tuple[Tensor, ...]:
    return tuple(each[rows] for each in tensors)
