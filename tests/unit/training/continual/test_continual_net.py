"""A small network that learns digits two at a time: what each part is there for."""

from typing import Any

import numpy as np
import pytest
import torch
from digits import digits
from numpy.typing import NDArray

from freehold.training.continual.net import Rows, Ways, _network, logits, teach
from freehold.training.loop import Pace

PACE = Pace(epochs=15, rate=5e-3)
NOTHING = Rows(np.zeros((0, 64), np.float32), np.zeros(0, np.int64), np.zeros(0, np.int64))


def rows(which: NDArray[np.bool_]) -> Rows:
    x_ND, y_N = digits()
    return Rows(x_ND[which].astype(np.float32), y_N[which], y_N[which] // 2)


def train(lesson: int) -> NDArray[np.bool_]:
    _, y_N = digits()
    return (y_N // 2 == lesson) & (np.arange(len(y_N)) % 3 != 0)


def chain(ways: Ways, per_answer: int = 0, lessons: int = 3) -> tuple[dict[str, NDArray[Any]], list[float]]:
    """Learns 0 and 1, then 2 and 3, then 4 and 5; the network, and how good it is on each pair."""
    _, y_N = digits()
    arrays = None
    for lesson in range(lessons):
        taught = np.zeros((lesson + 1, 2 * lesson + 2), dtype=bool)
        for earlier in range(lesson + 1):
            taught[earlier, [2 * earlier, 2 * earlier + 1]] = True
        old = [np.flatnonzero(train(d // 2) & (y_N == d))[:per_answer] for d in range(2 * lesson)]
        again = np.zeros(len(y_N), dtype=bool)
        again[np.concatenate([np.zeros(0, int), *old]).astype(int)] = True
        arrays = teach(arrays, rows(train(lesson)), rows(again) if again.any() else NOTHING, taught, ways, 0).arrays
    assert arrays is not None
    test = np.arange(len(y_N)) % 3 == 0
    found = []
    for lesson in range(lessons):
        those = rows(test & (y_N // 2 == lesson))
        found.append(float((logits(arrays, those.vector_ND).argmax(axis=1) == those.answer_N).mean()))
    return arrays, found


def test_without_anything_it_forgets_all_but_the_last() -> None:
    _, found = chain(Ways(hidden=32, pace=PACE))
    assert found[0] < 0.3 and found[2] > 0.95


def test_thirty_replayed_rows_of_each_answer_keep_it() -> None:
    _, found = chain(Ways(hidden=32, pace=PACE), per_answer=30)
    assert min(found) > 0.85


def test_a_mask_over_the_answers_of_the_data_set_keeps_much_without_any_row() -> None:
    _, masked = chain(Ways(hidden=32, pace=PACE, masking="current"))
    _, naive = chain(Ways(hidden=32, pace=PACE))
    assert np.mean(masked) > np.mean(naive) + 0.15


@pytest.mark.parametrize("ways", [{"distil": 1.0}, {"ewc": 100.0}, {"rank": 2}], ids=str)
def test_every_part_composes_with_replay(ways: dict[str, Any]) -> None:
    _, found = chain(Ways(hidden=32, pace=PACE, **ways), per_answer=30)
    assert np.mean(found) > 0.85


def test_what_is_held_moves_less() -> None:
    """How far the layer is from where the first data set left it, each weight by what answers depended on it."""
    start, _ = chain(Ways(hidden=32, pace=PACE, ewc=1.0), lessons=1)
    distances = []
    for ewc in (1e-9, 1e4):
        arrays, _ = chain(Ways(hidden=32, pace=PACE, ewc=ewc), lessons=2)
        distances.append(float((start["fisher.body.weight"] * (arrays["body.weight"] - start["body.weight"]) ** 2).sum()))
    assert distances[1] < distances[0] / 2


def test_an_adapter_changes_the_layer_by_its_rank_at_most() -> None:
    start, _ = chain(Ways(hidden=32, pace=PACE, rank=2), lessons=1)
    arrays, _ = chain(Ways(hidden=32, pace=PACE, rank=2), lessons=2)
    change = arrays["body.weight"] - start["body.weight"]
    assert np.linalg.matrix_rank(change, tol=1e-4) == 2
    assert arrays.keys() == start.keys()


def test_numpy_says_what_torch_says() -> None:
    arrays, _ = chain(Ways(hidden=32, pace=PACE), lessons=1)
    x_ND = digits()[0][:50].astype(np.float32)
    model = _network(64, 32, 2, 0, arrays)
    np.testing.assert_allclose(logits(arrays, x_ND), model(torch.from_numpy(x_ND)).detach().numpy(), rtol=1e-5, atol=1e-5)


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = (chain(Ways(hidden=16, pace=Pace(epochs=2), distil=1.0), per_answer=5)[0] for _ in range(2))
    assert {name: each.tobytes() for name, each in first.items()} == {name: each.tobytes() for name, each in second.items()}


def test_what_cannot_be_together_is_said() -> None:
    with pytest.raises(ValueError, match="nothing for ewc to hold"):
        Ways(rank=2, ewc=1.0)
