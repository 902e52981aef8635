"""Learning a history by gradients: a small network learns one data set after another, with replay, distillation and what else is at work."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.routing.head import softmax
from freehold.training.continual.candidate import Before, Candidate, Reader, calibrated
from freehold.training.continual.history import Past, distinct
from freehold.training.continual.net import Rows, Ways, logits, teach
from freehold.training.continual.replay import replayed
from freehold.training.lesson import Part
from freehold.training.run import Run
from freehold.variants.streams import Layer, Scores

Arrays = dict[str, NDArray[Any]]


def by_gradients(
    ways: Ways,
    memory: int,
    hard: float,
    past: Sequence[Past],
    before: Before | None,
    read: Reader,
    seed: int,
    run: Run,
    keep_gone: bool,
) -> Candidate:
    """The network of a history. `memory`: earlier rows of each answer that are learnt again, `hard` the share of the hardest among them.

    It goes on where the one before was such a network, and all data sets of that are as they were. Where rows were erased from one, or one is
    gone, it begins anew with what is left: a network cannot take back what it learnt. `keep_gone` goes on all the same.
    """
    there = {one.dataset for one in past}
    goes_on = before is not None and before.kind == "net" and before.vectors == read.fixed.name
    goes_on = goes_on and before is not None and (keep_gone or there.issuperset(before.datasets))
    arrays: Arrays | None = _torchs(before.arrays) if before is not None and goes_on else None
    answers: list[JSON] = list(before.answers) if before is not None and goes_on else []
    learnt = set(before.datasets) if before is not None and goes_on else set()
    for number, one in enumerate(past):
        if not learnt.isdisjoint((one.dataset, *one.stands_for)) or not len(one.train):
            continue
        arrays = _next(arrays, answers, past[: number + 1], ways, memory, hard, read, seed, run.part(f"net-{number}"))
    assert arrays is not None, "the last data set has rows"
    body = Layer(arrays["body.weight"].T.copy(), arrays["body.bias"]) if "body.weight" in arrays else None
    scores = Scores(tuple(answers), arrays["head.weight"].T.copy(), arrays["head.bias"], np.arange(len(answers)), 1.0, body)
    _, scores = calibrated(scores, past, read, 0)
    held = {f"held.{name}": each for name, each in arrays.items() if name.startswith(("fisher.", "anchor."))}
    told: dict[str, JSON] = {"replayed of each answer": memory, "distilled": ways.distil, "held": ways.ewc, "went on": goes_on}
    datasets = tuple(dict.fromkeys((*(before.datasets if before is not None and goes_on else ()), *(one.dataset for one in past))))
    return Candidate("net", "net", read.fixed, scores, datasets, {}, held, told)


def _next(
    arrays: Arrays | None,
    answers: list[JSON],
    past: Sequence[Past],
    ways: Ways,
    memory: int,
    hard: float,
    read: Reader,
    seed: int,
    run: Run,
) -> Arrays:
    """Learns the last of some data sets. Answers that it is the first to teach are added to `answers`."""
    known = {canonical_json(answer) for answer in answers}
    answers += [answer for answer in distinct(past[-1].train.answers) if canonical_json(answer) not in known]
    place = {canonical_json(answer): c for c, answer in enumerate(answers)}
    taught_LC = np.zeros((len(past), len(answers)), dtype=bool)
    for lesson, one in enumerate(past):
        taught_LC[lesson, [place[key] for key in map(canonical_json, one.train.answers)]] = True

    def rows(parts: Sequence[Part], lessons: Sequence[int]) -> Rows:
        """Rows whose answers are known, of these data sets."""
        inside = [part.those(n for n, answer in enumerate(part.answers) if canonical_json(answer) in place) for part in parts]
        return Rows(
            np.concatenate([np.zeros((0, read.fixed.dims), np.float32), *map(read, inside)]),
            np.array([place[canonical_json(answer)] for part in inside for answer in part.answers], dtype=np.int64),
            np.repeat(np.array(lessons, dtype=np.int64), [len(part) for part in inside]),
        )

    def loss_of(part: Part) -> NDArray[np.float64]:
        assert arrays is not None
        probability_NC = softmax(logits(arrays, read(part)))
        right_N = np.array([place[canonical_json(answer)] for answer in part.answers], dtype=np.int64)
        return np.asarray(-np.log(np.maximum(probability_NC[np.arange(len(part)), right_N], 1e-12)))

    again = replayed([one.train for one in past[:-1]], memory, seed, hard, loss_of if arrays is not None else None)
    last = len(past) - 1
    looked = rows([one.calibrate for one in past], range(len(past)))
    return teach(arrays, rows([past[last].train], [last]), rows(again, range(last)), taught_LC, ways, seed, looked, run).arrays


def _torchs(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays of a specialist's file by the names, and in the layout, that its network has."""
    found: Arrays = {"head.weight": arrays["head_HK"].T.copy(), "head.bias": arrays["bias_K"]}
    if "body_DH" in arrays:
        found |= {"body.weight": arrays["body_DH"].T.copy(), "body.bias": arrays["body_H"]}
    return found | {name.removeprefix("held."): each for name, each in arrays.items() if name.startswith("held.")}
