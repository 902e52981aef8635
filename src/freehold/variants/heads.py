"""A trained head answers: arrays over a text's features and vectors. Files of the format `head`, with those of its embedder where it has one.

It answers with one of few answers, or with a list of some of few labels. What is unlike everything it has learnt from it passes on: its score for
that is the greatest probability times how near the text lies to the centre of that answer's texts, where it has vectors (on CLINC150's questions out
of scope this orders better than either alone; `bench/specialists.py`).
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.errors import DataError
from freehold.routing.arrays import unpack
from freehold.routing.embed import Embedder, load_embedder
from freehold.routing.features import features
from freehold.routing.head import Head, softmax
from freehold.routing.onnx import CARD, MODEL, TOKENIZER
from freehold.routing.sure import Steps
from freehold.variants.specialist import Answered

HEAD = "head.safetensors"
EMBEDDER = (CARD, MODEL, TOKENIZER)
"""The files of its embedder."""


@dataclass(frozen=True, slots=True)
class HeadAnswerer:
    """As of `Answerer`."""

    head: Head
    size_bytes: int
    centre_CD: NDArray[np.float32] | None = None
    """The centre of each answer's texts, of length 1; None without vectors."""
    least_in_scope: float = 0.0
    """Below this score it passes a text on."""
    threshold: float | None = None
    """From which probability on a label is one, for a head of several labels; None for one of a choice."""
    steps: Steps | None = None
    """How sure it may be of its greatest probability; None for as it is."""

    @property
    def is_quick(self) -> bool:
        """As of `Answerer`: without an embedder."""
        return self.head.embedder is None

    def answer(self, texts: Sequence[str]) -> list[Answered | None]:
        """As of `Answerer`."""
        vector_ND = None if self.head.embedder is None else self.head.embedder.embed(texts)
        return self.answer_of(texts, vector_ND)

    def answer_of(self, texts: Sequence[str], vector_ND: NDArray[np.float32] | None) -> list[Answered | None]:
        """The same of texts whose vectors are known."""
        hashed = [features(text, len(self.head.idf_B)) for text in texts] if len(self.head.idf_B) else []
        logits_NC = self.head.logits_of(hashed, vector_ND) / self.head.temperature
        if self.threshold is not None:
            return [self._labels(probability_C) for probability_C in 1.0 / (1.0 + np.exp(-logits_NC))]
        probability_NC = softmax(logits_NC)
        scope_N = self.in_scope(probability_NC, vector_ND)
        return [self._choice(p_C, float(scope)) for p_C, scope in zip(probability_NC, scope_N, strict=True)]

    def in_scope(self, probability_NC: NDArray[np.float64], vector_ND: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """How like what it has learnt from each text is, in [0, 1]."""
        best_N = probability_NC.argmax(axis=1)
        sure_N: NDArray[np.float64] = probability_NC.max(axis=1)
        if self.centre_CD is None or vector_ND is None:
            return sure_N
        near_N: NDArray[np.float64] = np.clip((vector_ND * self.centre_CD[best_N]).sum(axis=1), 0.0, 1.0).astype(np.float64)
        return np.multiply(sure_N, near_N)

    def _choice(self, probability_C: NDArray[np.float64], scope: float) -> Answered | None:
        if scope < self.least_in_scope:
            return None
        best = int(probability_C.argmax())
        sure = float(probability_C[best])
        return Answered(self.head.answers[best], sure if self.steps is None else self.steps.of(sure), {"in_scope": scope})

    def _labels(self, probability_C: NDArray[np.float64]) -> Answered:
        assert self.threshold is not None
        is_one_C = probability_C >= self.threshold
        said: JSON = [answer for answer, is_one in zip(self.head.answers, is_one_C.tolist(), strict=True) if is_one]
        return Answered(said, float(np.where(is_one_C, probability_C, 1.0 - probability_C).prod()))


def load(files: Mapping[str, bytes]) -> HeadAnswerer:
    """The head of these files. Raises DataError."""
    arrays, about = unpack(files.get(HEAD, b""), "a head")
    try:
        embedder = embedder_of(files) if about["embedder"] is not None else None
        head = Head(
            answers=tuple(about["answers"]),
            idf_B=arrays["idf_B"],
            coef_BC=arrays["coef_BC"],
            intercept_C=arrays["intercept_C"],
            temperature=float(about["temperature"]),
            embedder=embedder,
            coef_DC=arrays.get("coef_DC"),
        )
        size = sum(map(len, files.values()))
        steps = None if about.get("steps") is None else Steps(*(tuple(map(float, column)) for column in about["steps"]))
        return HeadAnswerer(head, size, arrays.get("centre_CD"), float(about["least_in_scope"]), about["threshold"], steps)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not a head: {error}. Train it again.") from None


def embedder_of(files: Mapping[str, bytes]) -> Embedder:
    """The embedder among a specialist's files. Raises DataError where one is missing."""
    if missing := [name for name in EMBEDDER if name not in files]:
        raise DataError(f"its embedder's {', '.join(missing)} is missing. Train it again.")
    with tempfile.TemporaryDirectory(prefix="freehold-") as folder:  # it is read whole when it is made
        for name in EMBEDDER:
            (Path(folder) / name).write_bytes(files[name])
        return load_embedder(folder)
