"""A head at work: a linear classifier over hashed n-grams, an embedder's vectors, or both, as arrays. Fitted in `training/heads.py`; reading it needs
numpy alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.routing.embed import Embedder
from freehold.routing.features import Features, features


@dataclass(frozen=True, slots=True)
class Head:
    """Answers with one of a closed set of answers, and how sure it is."""

    answers: tuple[JSON, ...]
    """What it can say, by class."""
    idf_B: NDArray[np.float32]
    """Weight of each hash bucket, B buckets; none for a head over vectors alone."""
    coef_BC: NDArray[np.float32]
    """Weights by bucket and class."""
    intercept_C: NDArray[np.float32]
    """Intercepts by class."""
    temperature: float
    """What logits are divided by, so that confidence means what it says; fitted out of fold."""
    embedder: Embedder | None = None
    """Whose vectors it looks at, too; None for hashed n-grams alone."""
    coef_DC: NDArray[np.float32] | None = None
    """Weights by dimension of a vector and class."""

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Shape N by C; rows sum to 1."""
        return softmax(self.logits(texts) / self.temperature)

    def logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Shape N by C, before the temperature."""
        hashed = [features(text, len(self.idf_B)) for text in texts] if len(self.idf_B) else []
        return self.logits_of(hashed, None if self.embedder is None else self.embedder.embed(texts))

    def probabilities_hashed(self, hashed: Sequence[Features], vector_ND: NDArray[np.float32] | None = None) -> NDArray[np.float64]:
        """The same for texts whose features are known already, and whose vectors where it looks at some."""
        if not hashed:
            return np.empty((0, len(self.answers)))
        return softmax(self.logits_of(hashed, vector_ND) / self.temperature)

    def logits_of(self, hashed: Sequence[Features], vector_ND: NDArray[np.float32] | None) -> NDArray[np.float64]:
        """Logits, N by C, of features and vectors."""
        count = len(hashed) if vector_ND is None else len(vector_ND)
        logits_NC = np.tile(self.intercept_C.astype(np.float64), (count, 1))
        if len(self.idf_B):
            for row, one in enumerate(hashed):
                logits_NC[row] += self._of_words(one)
        if self.coef_DC is not None:
            assert vector_ND is not None
            logits_NC += vector_ND @ self.coef_DC
        return logits_NC

    def answer(self, text: str) -> tuple[JSON, float]:
        """The answer and its confidence in [0, 1]."""
        (probability_C,) = self.probabilities([text])
        best = int(np.argmax(probability_C))
        return self.answers[best], float(probability_C[best])

    def _of_words(self, hashed: Features) -> NDArray[np.float32]:
        value = hashed.weight * self.idf_B[hashed.index]
        norm = np.sqrt(value @ value) or np.float32(1.0)
        logits_C: NDArray[np.float32] = np.dot(value / norm, self.coef_BC[hashed.index])
        return logits_C


def softmax(logits_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows to probabilities, without overflow."""
    shifted = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    probability_NC: NDArray[np.float64] = shifted / shifted.sum(axis=1, keepdims=True)
    return probability_NC
