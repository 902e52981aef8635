"""A small encoder that was tuned here answers: one of few answers, or some of few. Files of the format `encoder`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.errors import DataError
from freehold.routing.arrays import unpack
from freehold.routing.network import Network
from freehold.routing.onnx import MODEL, TOKENIZER
from freehold.routing.sure import Sure
from freehold.variants.specialist import Answered

ENCODER = "encoder.safetensors"
Said: TypeAlias = Literal["choice", "labels"]


@dataclass(frozen=True, slots=True)
class EncoderAnswerer:
    """As of `Answerer`."""

    network: Network
    answers: tuple[JSON, ...]
    said: Said
    sure: Sure
    size_bytes: int
    is_quick: bool = False

    def answer(self, texts: Sequence[str]) -> list[Answered | None]:
        """As of `Answerer`."""
        return [self._answer(text) for text in texts]

    def _answer(self, text: str) -> Answered:
        best, log_p = picked(self.network.scores(text).astype(np.float64), self.said)
        some = [self.answers[c] for c in best]
        return Answered(some[0] if self.said == "choice" else some, self.sure.of(log_p))


def picked(score_C: NDArray[np.float64], said: Said) -> tuple[list[int], float]:
    """Which answers scores mean, and the logarithm of the probability that they are all that is to be said: of a choice by its softmax, of labels as if
    each were said or not by itself."""
    if said == "choice":
        best = int(score_C.argmax())
        return [best], float(score_C[best] - np.logaddexp.reduce(score_C))
    return np.flatnonzero(score_C > 0).tolist(), float(-np.logaddexp(0.0, -np.abs(score_C)).sum())


def load(files: Mapping[str, bytes]) -> EncoderAnswerer:
    """The encoder of these files. Raises DataError, OperatorError."""
    _, about = unpack(files.get(ENCODER, b""), "an encoder")
    try:
        network = Network(files, int(about["max_tokens"]))
        said: Said = "labels" if about["said"] == "labels" else "choice"
        sure = Sure(float(about["sure"][0]), float(about["sure"][1]))
        return EncoderAnswerer(
            network, tuple(about["answers"]), said, sure, 3 * sum(len(files[name]) for name in (MODEL, TOKENIZER, ENCODER))
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"not an encoder: {error}. Train it again.") from None
