"""The loop of everything that learns by gradients: repeatable, resumable, and stopping where it should."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import nn

from freehold.errors import TrainingError
from freehold.training.loop import Pace, fit, shuffled
from freehold.training.run import CHECKPOINT, Run, Step

ROWS, DIMS = 200, 12
RNG = np.random.default_rng(0)
X = torch.from_numpy(RNG.standard_normal((ROWS, DIMS)).astype(np.float32))
Y = torch.from_numpy((X.numpy()[:, :3].argmax(axis=1)).astype(np.int64))


def a_model() -> nn.Module:
    """With dropout and a buffer that changes, so that everything a checkpoint has to hold is there."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(DIMS, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))


def batches(rng: np.random.Generator) -> list[tuple[Any, Any]]:
    return [(X[rows], Y[rows]) for rows in shuffled(150, 32, rng)]


def cross_entropy(model: nn.Module, batch: tuple[Any, Any]) -> Any:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def held_out(model: nn.Module) -> float:
    return float(nn.functional.cross_entropy(model(X[150:]), Y[150:]))


def bits(model: nn.Module) -> dict[str, bytes]:
    return {name: each.numpy().tobytes() for name, each in model.state_dict().items()}


class Killed(BaseException):
    """The process is gone."""


def stops_in_epoch(number: int) -> Callable[[Step], None]:
    """Dies in the middle of an epoch."""
    seen: Iterator[int] = iter(range(3))

    def tell(step: Step) -> None:
        if step.stage == f"epoch {number}" and next(seen) == 2:
            raise Killed

    return tell


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    models = [a_model() for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        fit(model, batches, {"answers": cross_entropy}, Pace(epochs=3), seed)
    assert bits(models[0]) == bits(models[1])
    assert bits(models[0]) != bits(models[2])


def test_what_torch_drew_before_changes_nothing_and_is_as_it_was_afterwards() -> None:
    first, second = a_model(), a_model()
    fit(first, batches, {"answers": cross_entropy}, Pace(epochs=2), 0)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    fit(second, batches, {"answers": cross_entropy}, Pace(epochs=2), 0)
    assert bits(first) == bits(second)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_a_run_that_was_killed_ends_with_the_bits_of_one_that_was_not(number: int, tmp_path: Path) -> None:
    pace = Pace(epochs=5, warmup=0.2, falls="linear", decay=0.01, clip=1.0, patience=5)
    whole, broken, resumed = a_model(), a_model(), a_model()
    wanted = fit(whole, batches, {"answers": cross_entropy}, pace, 7, None, held_out)
    with pytest.raises(Killed):
        fit(broken, batches, {"answers": cross_entropy}, pace, 7, Run(tmp_path, "plan", stops_in_epoch(number)), held_out)
    got = fit(resumed, batches, {"answers": cross_entropy}, pace, 7, Run(tmp_path, "plan"), held_out)
    assert got == wanted
    assert bits(resumed) == bits(whole)


def test_a_run_that_had_ended_is_not_run_again(tmp_path: Path) -> None:
    first, again = a_model(), a_model()
    fit(first, batches, {"answers": cross_entropy}, Pace(epochs=2), 0, Run(tmp_path, "plan"))
    told: list[Step] = []
    fit(again, batches, {"answers": cross_entropy}, Pace(epochs=2), 0, Run(tmp_path, "plan", told.append))
    assert told == []
    assert bits(again) == bits(first)


def test_what_another_plan_kept_is_not_gone_on_with(tmp_path: Path) -> None:
    fit(a_model(), batches, {"answers": cross_entropy}, Pace(epochs=2), 0, Run(tmp_path, "one plan"))
    told: list[Step] = []
    fit(a_model(), batches, {"answers": cross_entropy}, Pace(epochs=1), 0, Run(tmp_path, "another", told.append))
    assert told


def test_a_checkpoint_is_arrays_and_no_code(tmp_path: Path) -> None:
    fit(a_model(), batches, {"answers": cross_entropy}, Pace(epochs=1), 0, Run(tmp_path, "plan"))
    kept = load_file(tmp_path / CHECKPOINT)
    assert {"model.0.weight", "best.0.weight", "optimizer.0.exp_avg", "optimizer.0.exp_avg_sq", "optimizer.0.step"} <= kept.keys()


def test_a_checkpoint_that_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    whole, again = a_model(), a_model()
    fit(whole, batches, {"answers": cross_entropy}, Pace(epochs=2), 0, Run(tmp_path, "plan"))
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:1000])
    fit(again, batches, {"answers": cross_entropy}, Pace(epochs=2), 0, Run(tmp_path, "plan"))
    assert bits(again) == bits(whole)


def test_it_stops_early_and_takes_the_epoch_that_did_best_on_what_was_held_out() -> None:
    losses = iter([1.0, 0.4, 0.5, 0.6, 0.1])
    seen: list[dict[str, bytes]] = []

    def look(model: nn.Module) -> float:
        seen.append(bits(model))
        return next(losses)

    model = a_model()
    fitted = fit(model, batches, {"answers": cross_entropy}, Pace(epochs=9, patience=2), 0, None, look)
    assert (fitted.best, len(fitted.epochs), fitted.stopped) == (2, 4, True)
    assert bits(model) == seen[1]


def test_it_learns_what_can_be_learnt() -> None:
    model = a_model()
    fitted = fit(model, batches, {"answers": cross_entropy}, Pace(epochs=60, rate=1e-2), 0, None, held_out)
    assert fitted.epochs[-1].loss < fitted.epochs[0].loss / 3
    assert float((model(X[150:]).argmax(dim=1) == Y[150:]).float().mean()) > 0.8


def test_the_loss_is_the_sum_of_its_terms() -> None:
    """Two terms that pull a number to 1 and to 3, the second twice as hard: it ends between, nearer the second."""

    class Number(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = nn.Parameter(torch.zeros(()))

    model = Number()
    terms = {"to one": lambda net, _: (net.value - 1) ** 2, "to three": lambda net, _: 2 * (net.value - 3) ** 2}
    fit(model, lambda _: [None] * 50, terms, Pace(epochs=40, rate=0.02), 0)
    assert model.value.item() == pytest.approx(7 / 3, abs=0.01)


def test_a_loss_that_is_no_number_says_which_and_where() -> None:
    def broken(model: nn.Module, batch: tuple[Any, Any]) -> Any:
        return cross_entropy(model, batch) * float("nan")

    with pytest.raises(TrainingError, match=r"'distilled' is nan in step 1 of epoch 1.*smaller rate"):
        fit(a_model(), batches, {"answers": cross_entropy, "distilled": broken}, Pace(epochs=1), 0)
    with pytest.raises(TrainingError, match="held-out loss is inf after epoch 1"):
        fit(a_model(), batches, {"answers": cross_entropy}, Pace(epochs=1), 0, None, lambda _: float("inf"))


def test_a_rate_that_is_too_great_ends_in_an_error_and_not_in_a_model() -> None:
    class Steep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = nn.Parameter(torch.ones(()))

    with pytest.raises(TrainingError, match=r"'steep' is (inf|nan)"):
        fit(Steep(), lambda _: [None] * 100, {"steep": lambda net, _: torch.exp(net.value**2)}, Pace(epochs=5, rate=50.0), 0)


def test_what_cannot_be_learnt_from_is_said() -> None:
    with pytest.raises(TrainingError, match="no batch"):
        fit(a_model(), lambda _: [], {"answers": cross_entropy}, Pace(epochs=1), 0)
    frozen = a_model()
    for each in frozen.parameters():
        each.requires_grad_(False)
    with pytest.raises(TrainingError, match="no parameter that may change"):
        fit(frozen, batches, {"answers": cross_entropy}, Pace(epochs=1), 0)


def test_frozen_parameters_are_neither_changed_nor_kept(tmp_path: Path) -> None:
    model = a_model()
    model[0].requires_grad_(False)
    before = model[0].weight.numpy().tobytes()
    fit(model, batches, {"answers": cross_entropy}, Pace(epochs=1), 0, Run(tmp_path, "plan"))
    assert model[0].weight.numpy().tobytes() == before
    assert "model.0.weight" not in load_file(tmp_path / CHECKPOINT)


def test_the_rate_rises_and_falls() -> None:
    pace = Pace(rate=1.0, warmup=0.2, falls="linear")
    assert [round(pace.at(step, 10), 3) for step in range(10)] == [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    assert [Pace(rate=0.1).at(step, 10) for step in (0, 9)] == [0.1, 0.1]


def test_batches_hold_every_row_once() -> None:
    parts = shuffled(101, 16, np.random.default_rng(0))
    assert sorted(np.concatenate(parts).tolist()) == list(range(101))
    assert max(map(len, parts)) <= 16
    assert [len(part) for part in shuffled(1, 16, np.random.default_rng(0))] == [1]


def test_parts_of_a_run_keep_apart_and_their_time_is_the_runs(tmp_path: Path) -> None:
    now = iter(range(100))
    run = Run(tmp_path, "plan", clock=lambda: float(next(now)))
    run.part("a").keep({"x": np.ones(1)}, "of a")
    run.part("b").keep({"x": np.zeros(1)}, "of b")
    again = Run(tmp_path, "plan", clock=lambda: 0.0)
    kept = {name: again.part(name).kept() for name in ("a", "b")}
    assert {name: each.about for name, each in kept.items() if each is not None} == {"a": "of a", "b": "of b"}
    assert again.seconds > 0
