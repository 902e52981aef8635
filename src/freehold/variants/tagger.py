"""A tagger answers: it tags the words of a text, and puts the spans it finds together as its task answers. Files of the format `tagger`.

What scores the tags is a chain over hashed features of words, or a small encoder in ONNX Runtime; what follows is the same for both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.errors import DataError
from freehold.routing.arrays import unpack
from freehold.routing.chain import OUTSIDE, Chain, Scores, allowed
from freehold.routing.network import MODEL, Network
from freehold.routing.sure import Sure
from freehold.routing.words import Word, word_features, words
from freehold.variants.spans import Form, Span
from freehold.variants.specialist import Answered

TAGGER = "tagger.safetensors"


@dataclass(frozen=True, slots=True)
class WordWeights:
    """Scores tags by hashed features of words."""

    known_F: NDArray[np.uint32]
    """Hashes of the features that have weights, in order."""
    weight_FC: NDArray[np.float32]
    """Weights by feature and tag."""

    def scores(self, text: str, at: list[Word]) -> Scores:
        """T by C."""
        feature_TF = word_features(text, at)
        place_TF = np.minimum(np.searchsorted(self.known_F, feature_TF), len(self.known_F) - 1)
        is_known = self.known_F[place_TF] == feature_TF
        score_TC: Scores = np.einsum("tfc,tf->tc", self.weight_FC[place_TF], is_known.astype(np.float32)).astype(np.float64)
        return score_TC


@dataclass(frozen=True, slots=True)
class WordsOfNetwork:
    """Scores tags by an encoder: those of the first token of each word. A word without a token is in no span."""

    network: Network

    def scores(self, text: str, at: list[Word]) -> Scores:
        """T by C, as logarithms of probabilities."""
        return word_scores(at, *self.network.token_scores(text))


def word_scores(at: Sequence[Word], start_K: NDArray[np.int64], score_KC: NDArray[np.float32]) -> Scores:
    """Scores of words by those of tokens that start at these characters."""
    token_T = np.searchsorted(start_K, [word.start for word in at])
    ends = np.array([word.end for word in at])
    has_one = (token_T < len(start_K)) & (np.append(start_K, np.iinfo(np.int64).max)[token_T] < ends)
    score_TC = np.full((len(at), score_KC.shape[1]), -30.0)
    score_TC[:, OUTSIDE] = 0.0
    score_TC[has_one] = score_KC[token_T[has_one]]
    return score_TC - np.logaddexp.reduce(score_TC, axis=1, keepdims=True)


@dataclass(frozen=True, slots=True)
class TaggerAnswerer:
    """As of `Answerer`."""

    scores: Callable[[str, list[Word]], Scores]
    """Of each tag at each word of a text."""
    chain: Chain
    labels: tuple[str, ...]
    form: Form
    sure: Sure
    size_bytes: int
    is_quick: bool

    def answer(self, texts: Sequence[str]) -> list[Answered | None]:
        """As of `Answerer`."""
        return [self._answer(text) for text in texts]

    def _answer(self, text: str) -> Answered:
        spans, log_p = self.tag(text)
        return Answered(self.form.assemble(text, spans), self.sure.of(log_p))

    def tag(self, text: str) -> tuple[list[Span], float]:
        """The spans of a text, and the logarithm of the probability of all of them together, as the model has it."""
        at = words(text)
        if not at:
            return [], 0.0
        path = self.chain.best(self.scores(text, at))
        return spans_of(at, path.tag_T, self.labels), path.log_p


def spans_of(at: Sequence[Word], tag_T: NDArray[np.int64], labels: Sequence[str]) -> list[Span]:
    """The spans that tags mean."""
    found: list[Span] = []
    for word, tag in zip(at, tag_T.tolist(), strict=True):
        if tag % 2 == 1:
            found.append(Span(word.start, word.end, labels[tag // 2]))
        elif tag != OUTSIDE:
            found[-1] = found[-1]._replace(end=word.end)
    return found


def tags_of(at: Sequence[Word], spans: Sequence[Span], labels: Sequence[str]) -> NDArray[np.int64]:
    """The tags that mean these spans: of all words that they touch."""
    tag_T = np.full(len(at), OUTSIDE, np.int64)
    for span in spans:
        touched = [t for t, word in enumerate(at) if word.start < span.end and span.start < word.end and tag_T[t] == OUTSIDE]
        tag_T[touched] = 2 * labels.index(span.label) + 2
        tag_T[touched[:1]] -= 1
    return tag_T


def load(files: Mapping[str, bytes]) -> TaggerAnswerer:
    """The tagger of these files. Raises DataError, OperatorError."""
    arrays, about = unpack(files.get(TAGGER, b""), "a tagger")
    try:
        labels, form = tuple(str(label) for label in about["labels"]), msgspec.convert(about["form"], Form)
        sure = Sure(float(about["sure"][0]), float(about["sure"][1]))
        size = sum(len(data) for data in files.values())
        if MODEL in files:
            scores = WordsOfNetwork(Network(files, int(about["max_tokens"]))).scores
            return TaggerAnswerer(scores, allowed(len(labels)), labels, form, sure, 3 * size, is_quick=False)
        weights = WordWeights(arrays["known_F"], arrays["weight_FC"])
        chain = Chain(arrays["start_C"], arrays["step_CC"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"not a tagger: {error}. Train it again.") from None
    return TaggerAnswerer(weights.scores, chain, labels, form, sure, size, is_quick=True)


def pack_about(labels: Sequence[str], form: Form, sure: Sure, max_tokens: int | None = None) -> dict[str, JSON]:
    """What stands beside a tagger's arrays."""
    about: dict[str, JSON] = {"labels": list(labels), "form": msgspec.to_builtins(form), "sure": list(sure)}
    return about if max_tokens is None else about | {"max_tokens": max_tokens}
