"""A way of learning a history, and what came of it: scores whose confidence means what it says, and how good they are on each data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.errors import DataError
from freehold.routing.arrays import unpack
from freehold.routing.head import softmax
from freehold.routing.wide import Fixed, Vectors32
from freehold.training.continual.history import Past
from freehold.training.lesson import Part
from freehold.training.method import Earlier
from freehold.training.methods.head import vectors
from freehold.training.run import Run
from freehold.variants.streams import STREAM, Scores

_TEMPERATURES = np.geomspace(0.1, 10.0, 41)


class Candidate(NamedTuple):
    """What one way made."""

    name: str
    """Such as `lda of 1024 dimensions`."""
    kind: str
    """`lda`, `nearest` or `net`."""
    fixed: Fixed
    """Which vectors it is of."""
    scores: Scores
    datasets: tuple[str, ...]
    """Hashes of those that it learnt, in order."""
    files: Mapping[str, bytes]
    """What whoever goes on with it needs, in files of their own."""
    arrays: Mapping[str, NDArray[Any]]
    """And in the specialist's own."""
    told: Mapping[str, JSON]
    """What the card says of it."""


class Unavailable(Exception):
    """A way that cannot be gone here, and why."""


class Before(NamedTuple):
    """What the specialist was that is gone on from, where it is a stream itself."""

    kind: str
    vectors: str
    """Which function of the text its vectors are."""
    answers: tuple[JSON, ...]
    datasets: tuple[str, ...]
    """Hashes of what it had learnt, in order."""
    arrays: dict[str, NDArray[Any]]
    """As they stand in its file."""


def before_of(earlier: Earlier | None) -> Before | None:
    """What was learnt before; None where nothing was, or by another method. Raises DataError for a file that is none."""
    if earlier is None or STREAM not in earlier.files:
        return None
    arrays, about = unpack(earlier.files[STREAM], "a stream")
    try:
        return Before(about["kind"], about["vectors"]["name"], tuple(about["answers"]), tuple(about["datasets"]), arrays)
    except (KeyError, TypeError) as error:
        raise DataError(f"'{earlier.card.name}' is no stream that can go on: {error!r} is missing. Train it again.") from None


@dataclass
class Reader:
    """Texts to vectors, each text once."""

    fixed: Fixed
    """As they are before they are widened."""
    run: Run
    _known: dict[str, Vectors32] = field(default_factory=dict)

    def __call__(self, part: Part, width: int = 0) -> Vectors32:
        """The vectors of a part, shape N by D."""
        fresh = list(dict.fromkeys(text for text in part.texts if text not in self._known))
        found_MD = vectors(self.fixed.embedder, fresh, self.run.part(f"vectors-{len(self._known)}")) if fresh else None
        self._known.update(zip(fresh, self.fixed.narrow(fresh) if found_MD is None else found_MD, strict=True))
        vector_ND = np.zeros((len(part), self.fixed.dims), np.float32)
        for row, text in zip(vector_ND, part.texts, strict=True):
            row[:] = self._known[text]
        return self.widened(width).widen(vector_ND)

    def widened(self, width: int) -> Fixed:
        """The same vectors in more dimensions."""
        return replace(self.fixed, width=width)


def calibrated(scores: Scores, past: Sequence[Past], read: Reader, width: int) -> tuple[float, Scores]:
    """The least log loss on the calibration parts that any temperature gives (Guo et al., ICML 2017), and the scores with it.

    Rows whose answer was never taught say nothing of it. Without any row the loss is 0 and the temperature stays.
    """
    place = {canonical_json(answer): c for c, answer in enumerate(scores.answers)}
    rows = sum(
        (one.calibrate.those(_known(one.calibrate, place)) for one in past[1:]), past[0].calibrate.those(_known(past[0].calibrate, place))
    )
    if not len(rows):
        return 0.0, scores
    logits_NK = scores.logits(read(rows, width))
    right_N = np.array([place[canonical_json(answer)] for answer in rows.answers])
    losses = [_log_loss(scores.summed(softmax(logits_NK / temperature)), right_N) for temperature in _TEMPERATURES]
    best = int(np.argmin(losses))
    return losses[best], replace(scores, temperature=float(_TEMPERATURES[best]))


def _known(part: Part, place: Mapping[bytes, int]) -> list[int]:
    return [n for n, answer in enumerate(part.answers) if canonical_json(answer) in place]


def _log_loss(probability_NC: NDArray[np.float64], right_N: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(probability_NC[np.arange(len(right_N)), right_N], 1e-12)).mean())


def accuracies(one: Candidate, past: Sequence[Past], read: Reader) -> list[float]:
    """The share of rows that it gets right, on the calibration part of every data set that has one."""
    keys = np.array([canonical_json(answer) for answer in one.scores.answers], dtype=object)
    found = []
    for part in (each.calibrate for each in past if len(each.calibrate)):
        best_N = one.scores.probabilities(read(part, one.fixed.width)).argmax(axis=1)
        found.append(float(np.mean([key == canonical_json(answer) for key, answer in zip(keys[best_N], part.answers, strict=True)])))
    return found
