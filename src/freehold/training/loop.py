"""The loop of everything that learns by gradients: batches in, a better model out. Flat, to be read from top to bottom.

What is learnt, and by which loss, is handed in: `batches` gives an epoch's batches, each term of the loss is a function of the model and a
batch. After every epoch all that the rest depends on is kept, so that a run that was killed ends with the bytes of one that was not. Needs
torch; nothing else of Freehold does, and serving never.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.errors import OperatorError, TrainingError
from freehold.training.run import Run

Module: TypeAlias = Any  # torch's types are not followed
Tensor: TypeAlias = Any
Batch: TypeAlias = Any
Batches: TypeAlias = Callable[[np.random.Generator], Sequence[Batch]]
"""The batches of one epoch, drawn with a generator that is the epoch's own."""
Term: TypeAlias = Callable[[Module, Batch], Tensor]
"""A part of the loss: a number to be made small, weight included."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast, and how long at most."""

    epochs: int = 8
    """How often all rows are gone through, at most."""
    rate: float = 1e-3
    """The step size, at its greatest."""
    warmup: float = 0.0
    """Share of all steps over which the rate rises to that."""
    falls: Literal["never", "linear"] = "never"
    """Whether the rate then falls to nothing."""
    decay: float = 0.0
    """Weight decay of AdamW."""
    clip: float | None = None
    """The most that the norm of all gradients together may be; None for any."""
    patience: int | None = None
    """After how many epochs without a better held-out loss it stops; None for never."""

    def __post_init__(self) -> None:
        if self.epochs < 1 or not self.rate > 0 or not 0 <= self.warmup < 1:
            raise ValueError(
                f"epochs {self.epochs}, rate {self.rate}, warmup {self.warmup}: expected 1 or more, above 0, and from 0 to below 1"
            )

    def at(self, step: int, steps: int) -> float:
        """The rate at a step, counted from 0."""
        rising = math.ceil(self.warmup * steps)
        if step < rising:
            return self.rate * (step + 1) / rising
        return self.rate if self.falls == "never" else self.rate * (steps - step) / max(1, steps - rising)


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one epoch."""

    loss: float
    """Mean over its steps."""
    held_out: float | None = None
    """The held-out loss at its end."""


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a fit."""

    epochs: tuple[Epoch, ...]
    """Each, in order."""
    best: int
    """The epoch, from 1, whose model was taken: that of the least held-out loss, the last where none was held out."""
    stopped: bool
    """Whether it stopped early."""


def fit(
    model: Module,
    batches: Batches,
    terms: Mapping[str, Term],
    pace: Pace,
    seed: int,
    run: Run | None = None,
    held_out: Callable[[Module], float] | None = None,
) -> Fitted:
    """Makes the sum of the terms small, and leaves the best model of all epochs in `model`.

    Its trainable parameters and buffers are what is learnt and kept. Everything drawn while it learns depends on the seed and the epoch alone,
    so that no state of a generator has to be kept. Raises TrainingError where a loss is no number or there is nothing to learn from.
    """
    import torch

    learnt = {name: each for name, each in model.named_parameters() if each.requires_grad}
    if not learnt:
        raise TrainingError("The model has no parameter that may change. Leave some of it trainable.")
    state = learnt | dict(model.named_buffers())
    optimizer = torch.optim.AdamW(learnt.values(), lr=pace.rate, weight_decay=pace.decay)
    epochs: list[Epoch] = []
    best = _copied(state)
    if run is not None and (kept := run.kept()) is not None:
        epochs = msgspec.convert(kept.about, list[Epoch])
        _restore(state, optimizer, kept.arrays)
        best = {name: torch.from_numpy(kept.arrays[f"best.{name}"].copy()) for name in state}
    with _repeatable():
        while len(epochs) < pace.epochs and not _is_over(epochs, pace.patience):
            number = len(epochs) + 1
            torch.manual_seed(_drawn([seed, number, 1]))
            drawn = batches(np.random.default_rng([seed, number]))
            if not len(drawn):
                raise TrainingError("There is no batch to learn from.")
            model.train()
            total = 0.0
            for step, batch in enumerate(drawn):
                for group in optimizer.param_groups:
                    group["lr"] = pace.at((number - 1) * len(drawn) + step, pace.epochs * len(drawn))
                losses = {name: term(model, batch) for name, term in terms.items()}
                _check(losses, number, step)
                loss = sum(losses.values())
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                if pace.clip is not None:
                    torch.nn.utils.clip_grad_norm_(learnt.values(), pace.clip)
                optimizer.step()
                total += float(loss.detach())
                if run is not None:
                    run.tell(
                        f"epoch {number}", (number - 1) * len(drawn) + step + 1, pace.epochs * len(drawn), total / (step + 1), _last(epochs)
                    )
            model.eval()
            with torch.no_grad():
                looked = None if held_out is None else float(held_out(model))
            if looked is not None and not math.isfinite(looked):
                raise TrainingError(f"The held-out loss is {looked} after epoch {number}. Take a smaller rate than {pace.rate:g}.")
            epochs.append(Epoch(loss=total / len(drawn), held_out=looked))
            if _best(epochs) == number:
                best = _copied(state)
            if run is not None:
                run.keep(_arrays(state, best, optimizer), msgspec.to_builtins(epochs))
    with torch.no_grad():
        for name, each in state.items():
            each.copy_(best[name])
    model.eval()
    return Fitted(epochs=tuple(epochs), best=_best(epochs), stopped=len(epochs) < pace.epochs)


def shuffled(rows: int, batch: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """The rows in a random order, cut into batches of nearly equal size, `batch` at most."""
    return list(np.array_split(rng.permutation(rows), max(1, -(-rows // batch))))


def _best(epochs: Sequence[Epoch]) -> int:
    looked = [epoch.held_out for epoch in epochs]
    known = [value for value in looked if value is not None]
    return looked.index(min(known)) + 1 if known else len(epochs)


def _is_over(epochs: Sequence[Epoch], patience: int | None) -> bool:
    return patience is not None and len(epochs) - _best(epochs) >= patience


def _last(epochs: Sequence[Epoch]) -> float | None:
    return epochs[-1].held_out if epochs else None


def _check(losses: Mapping[str, Tensor], epoch: int, step: int) -> None:
    for name, loss in losses.items():
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss '{name}' is {value} in step {step + 1} of epoch {epoch}. Take a smaller rate, clip gradients, or look at the rows: "
                "what was learnt until the epoch before is kept."
            )


def _drawn(of: list[int]) -> int:
    return int(np.random.SeedSequence(of).generate_state(1)[0])


def _copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: each.detach().clone() for name, each in state.items()}


def _arrays(state: Mapping[str, Tensor], best: Mapping[str, Tensor], optimizer: Any) -> dict[str, NDArray[Any]]:
    """All that the next epoch depends on: parameters, the best ones so far, and the optimizer's moments."""
    import torch

    found = {f"model.{name}": each for name, each in state.items()} | {f"best.{name}": each for name, each in best.items()}
    for n, held in optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{n}.{name}": torch.as_tensor(value) for name, value in held.items()}
    return {name: each.detach().cpu().numpy() for name, each in found.items()}


def _restore(state: Mapping[str, Tensor], optimizer: Any, arrays: Mapping[str, NDArray[Any]]) -> None:
    import torch

    held: dict[int, dict[str, Tensor]] = {}
    with torch.no_grad():
        for name, array in arrays.items():
            kind, _, rest = name.partition(".")
            value = torch.from_numpy(array.copy())
            if kind == "model":
                state[rest].copy_(value)
            elif kind == "optimizer":
                number, _, key = rest.partition(".")
                held.setdefault(int(number), {})[key] = value
    optimizer.load_state_dict({"state": held, "param_groups": optimizer.state_dict()["param_groups"]})


@contextmanager
def _repeatable() -> Iterator[None]:
    """Algorithms that give the same bits each time, and a random state of one's own; both as they were before afterwards."""
    import torch

    before, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warned)


def need_torch(method: str) -> None:
    """Raises OperatorError where torch is not installed."""
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise OperatorError(f"The method '{method}' needs torch, which is not installed: pip install 'freehold[train]'.")
