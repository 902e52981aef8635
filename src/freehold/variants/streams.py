"""A specialist that learnt one data set after another answers: fixed vectors, at most one layer, scores by component. Files of the format `stream`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.errors import DataError
from freehold.routing.arrays import pack, unpack
from freehold.routing.embed import Embedder
from freehold.routing.head import softmax
from freehold.routing.wide import Fixed
from freehold.variants.heads import EMBEDDER, embedder_of
from freehold.variants.specialist import Answered

STREAM = "stream.safetensors"


class Layer(NamedTuple):
    """A layer between: what is below 0 is cut off."""

    weight_DH: NDArray[np.float32]
    bias_H: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Scores:
    """From vectors to how likely each answer is. D dimensions, H of a layer between, K components, C answers."""

    answers: tuple[JSON, ...]
    """What it can say."""
    head_HK: NDArray[np.float32]
    """Weights of each component."""
    bias_K: NDArray[np.float32]
    """What each begins with; minus infinity for one that is never chosen."""
    answer_K: NDArray[np.int64]
    """The answer that each stands for: an answer has one for each data set that taught it, where sums are kept."""
    temperature: float = 1.0
    """What scores are divided by, so that confidence means what it says."""
    body: Layer | None = None
    """The layer between; None for none."""

    def logits(self, vector_ND: NDArray[np.float32]) -> NDArray[np.float64]:
        """The score of each component, before the temperature: shape N by K."""
        hidden_NH = vector_ND if self.body is None else np.maximum(vector_ND @ self.body.weight_DH + self.body.bias_H, 0.0)
        return (hidden_NH @ self.head_HK + self.bias_K).astype(np.float64)

    def probabilities(self, vector_ND: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of each answer, that of its components together: shape N by C."""
        return self.summed(softmax(self.logits(vector_ND) / self.temperature))

    def summed(self, component_NK: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities of components as those of answers."""
        found_NC = np.zeros((len(component_NK), len(self.answers)))
        np.add.at(found_NC.T, self.answer_K, component_NK.T)
        return found_NC

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As arrays to keep."""
        found: dict[str, NDArray[Any]] = {"head_HK": self.head_HK, "bias_K": self.bias_K, "answer_K": self.answer_K}
        if self.body is not None:
            found |= {"body_DH": self.body.weight_DH, "body_H": self.body.bias_H}
        return found


@dataclass(frozen=True, slots=True)
class StreamAnswerer:
    """As of `Answerer`."""

    fixed: Fixed
    scores: Scores
    size_bytes: int

    @property
    def is_quick(self) -> bool:
        """As of `Answerer`."""
        return self.fixed.embedder is None

    def answer(self, texts: Sequence[str]) -> list[Answered | None]:
        """As of `Answerer`."""
        if not len(texts):
            return []
        probability_NC = self.scores.probabilities(self.fixed.of(texts))
        best_N = probability_NC.argmax(axis=1)
        return [Answered(self.scores.answers[best], min(1.0, float(p_C[best]))) for best, p_C in zip(best_N, probability_NC, strict=True)]


def write(fixed: Fixed, scores: Scores, more: Mapping[str, NDArray[Any]] | None = None, about: Mapping[str, JSON] | None = None) -> bytes:
    """The file of a specialist. `more` and `about`: what whoever goes on with it needs beside."""
    embedder = None if fixed.embedder is None else fixed.embedder.name
    vectors: JSON = {"name": fixed.name, "embedder": embedder, "buckets": fixed.buckets, "width": fixed.width}
    told: dict[str, JSON] = {"answers": list(scores.answers), "temperature": scores.temperature, "vectors": vectors, **(about or {})}
    return pack(scores.arrays() | dict(more or {}), told)


def load(files: Mapping[str, bytes], known: Embedder | None = None) -> StreamAnswerer:
    """The specialist of these files. `known`: its embedder, where that is read already. Raises DataError, or OperatorError where a package is missing."""
    arrays, about = unpack(files.get(STREAM, b""), "a stream")
    try:
        vectors = about["vectors"]
        embedder = None if vectors["embedder"] is None else known or embedder_of(files)
        if embedder is not None and embedder.name != vectors["embedder"]:
            raise DataError(f"its embedder is {embedder.name}, and it learnt from the vectors of {vectors['embedder']}. Restore its files.")
        scores = Scores(
            tuple(about["answers"]),
            arrays["head_HK"],
            arrays["bias_K"],
            arrays["answer_K"],
            float(about["temperature"]),
            Layer(arrays["body_DH"], arrays["body_H"]) if "body_DH" in arrays else None,
        )
        fixed = Fixed(embedder, int(vectors["buckets"]), int(vectors["width"]))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"not a stream: {error!r}. Train it again.") from None
    return StreamAnswerer(fixed, scores, sum(len(files[name]) for name in (STREAM, *EMBEDDER) if name in files))
