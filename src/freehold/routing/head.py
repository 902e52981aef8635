"""A head at work: a linear classifier over hashed n-grams, as arrays. Fitted in `training/heads.py`; reading it needs numpy alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.routing.features import Features, features


@dataclass(frozen=True, slots=True)
class Head:
    """Answers with one of a closed set of answers, and how sure it is."""

    answers: tuple[JSON, ...]
    """What it can say, by class."""
    idf_B: NDArray[np.float32]
    """Weight of each hash bucket, B buckets."""
    coef_BC: NDArray[np.float32]
    """Weights by bucket and class."""
    intercept_C: NDArray[np.float32]
    """Intercepts by class."""
    temperature: float
    """What logits are divided by, so that confidence means what it says; fitted out of fold."""

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Shape N by C; rows sum to 1."""
        return self.probabilities_hashed([features(text, len(self.idf_B)) for text in texts])

    def probabilities_hashed(self, hashed: Sequence[Features]) -> NDArray[np.float64]:
        """The same for texts whose features are known already."""
        if not hashed:
            return np.empty((0, len(self.answers)))
        return softmax(np.stack([self._logits(one) for one in hashed]) / self.temperature)

    def answer(self, text: str) -> tuple[JSON, float]:
        """The answer and its confidence in [0, 1]."""
        (probability_C,) = self.probabilities([text])
        best = int(np.argmax(probability_C))
        return self.answers[best], float(probability_C[best])

    def _logits(self, hashed: Features) -> NDArray[np.float64]:
        value = hashed.weight * self.idf_B[hashed.index]
        norm = float(np.sqrt(value @ value)) or 1.0
        logits_C: NDArray[np.float64] = ((value / norm) @ self.coef_BC[hashed.index] + self.intercept_C).astype(np.float64)
        return logits_C


def softmax(logits_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows to probabilities, without overflow."""
    shifted = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    probability_NC: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return probability_NC
