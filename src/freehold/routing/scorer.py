"""From an input to the facts a policy decides on: features, region, and each variant's predicted loss, cost and latency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.routing.decide import Facts, VariantScores
from freehold.routing.embed import Embedder, HashedEmbedder
from freehold.routing.features import SURFACE, Features, features, surface_scaled
from freehold.routing.head import Head
from freehold.routing.predict import AnyPredictor, Floats, nearest_centroid

_CHARS = SURFACE.index("chars")


@dataclass(frozen=True, slots=True)
class HeadScore:
    """How a head's own confidence becomes its predicted loss: a falling step function, fitted out of fold."""

    head: Head
    confidence_P: Floats
    """Confidences in rising order, the knots of the function."""
    loss_P: Floats
    """Predicted loss at each knot; linear between them."""

    def predict(self, confidence_N: Floats) -> Floats:
        """Predicted loss, shape N."""
        return np.interp(confidence_N, self.confidence_P, self.loss_P)


@dataclass(frozen=True, slots=True)
class Scored:
    """Everything known of N inputs before a variant is asked."""

    surface_NS: NDArray[np.float32]
    """Surface features as the policy language sees them."""
    region_N: NDArray[np.int64]
    """Index into the scorer's regions."""
    nearness_N: Floats
    """How near an input is to its region's centre; greater is nearer."""
    loss_NV: Floats
    """Predicted loss; 0 in column 0, the reference."""
    cost_NV: Floats
    """Predicted cost in USD, or in calls to the reference where costs are unknown."""
    head_class_N: NDArray[np.int64]
    """The head's answer as an index into its answers; -1 without a head."""
    confidence_N: Floats
    """The head's confidence; NaN without a head."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """Arrays frozen by training that say of any input what a policy needs to know. Column 0 is the reference."""

    variants: tuple[str, ...]
    """The reference, then those it may be replaced by."""
    embedder: Embedder
    """Texts to vectors."""
    predictor: AnyPredictor | None
    """Predicts the losses of `predicted`; None where only the head is scored."""
    predicted: tuple[int, ...]
    """The columns the predictor speaks of."""
    head: HeadScore | None
    """The head, if the task has one."""
    head_column: int
    """Its column; -1 without a head."""
    cost_V2: Floats
    """Predicted cost is first + second × characters, kept within `cost_range_V2`."""
    cost_range_V2: Floats
    """Least and greatest cost seen in training."""
    latency_V: Floats
    """The 95th percentile of latency seen in training, seconds; NaN where unknown."""
    centroid_KD: NDArray[np.float32]
    """Centres of the regions of traffic."""
    region_names: tuple[str, ...]
    """What the regions are called."""
    maps_answers: bool = False
    """Whether a region is what resembles the inputs of one answer, and is called by it; else of a cluster, by its telling words."""

    @property
    def head_variant(self) -> str | None:
        """What the head is called; None without one."""
        return self.variants[self.head_column] if self.head is not None else None

    @property
    def is_quick(self) -> bool:
        """Whether it takes a moment only, for no network reads the text."""
        embedders = (self.embedder, self.head.head.embedder if self.head is not None else None)
        return all(one is None or isinstance(one, HashedEmbedder) for one in embedders)

    def inputs(self, texts: Sequence[str], hashed: Sequence[Features]) -> tuple[NDArray[np.float32], Floats]:
        """Surface features, N by S, and the predictor's features, N by F: scaled surface features, then the embedding.

        `hashed` are the texts' `features`, which the surface, the built-in embedder and a head share.
        """
        surface_NS = np.stack([one.surface for one in hashed]) if hashed else np.empty((0, len(SURFACE)), np.float32)
        embedder = self.embedder
        embedding_ND = embedder.embed_hashed(hashed) if isinstance(embedder, HashedEmbedder) else embedder.embed(texts)
        return surface_NS, np.hstack([surface_scaled(surface_NS), embedding_ND]).astype(np.float64)

    def score(self, texts: Sequence[str]) -> Scored:
        """The facts of N texts."""
        hashed = [features(text) for text in texts]
        surface_NS, x_NF = self.inputs(texts, hashed)
        loss_NV = np.full((len(texts), len(self.variants)), np.nan)
        loss_NV[:, 0] = 0.0
        if self.predictor is not None:
            loss_NV[:, self.predicted] = self.predictor.predict(x_NF)
        head_class_N, confidence_N = np.full(len(texts), -1), np.full(len(texts), np.nan)
        if self.head is not None:
            probability_NC = self.head.head.probabilities_hashed(hashed, self._vectors_for(self.head.head, texts, x_NF))
            head_class_N = np.argmax(probability_NC, axis=1)
            confidence_N = probability_NC.max(axis=1)
            loss_NV[:, self.head_column] = self.head.predict(confidence_N)
        embedding_ND = x_NF[:, len(SURFACE) :]
        region_N, nearness_N = nearest_centroid(embedding_ND, self.centroid_KD)
        return Scored(
            surface_NS=surface_NS,
            region_N=region_N,
            nearness_N=nearness_N,
            loss_NV=loss_NV,
            cost_NV=self.costs(surface_NS[:, _CHARS].astype(np.float64)),
            head_class_N=head_class_N,
            confidence_N=confidence_N,
        )

    def _vectors_for(self, head: Head, texts: Sequence[str], x_NF: Floats) -> NDArray[np.float32] | None:
        """The vectors that a head looks at, which those of the regions are where both are of one embedder."""
        if head.embedder is None:
            return None
        if head.embedder.name == self.embedder.name:
            return x_NF[:, len(SURFACE) :].astype(np.float32)
        return head.embedder.embed(texts)

    def costs(self, chars_N: Floats) -> Floats:
        """Predicted cost of every variant for inputs of these lengths, N by V."""
        cost_NV = self.cost_V2[:, 0] + chars_N[:, None] * self.cost_V2[:, 1]
        return np.clip(cost_NV, self.cost_range_V2[:, 0], self.cost_range_V2[:, 1])

    def facts(self, task: str, scored: Scored, row: int, tags: Mapping[str, str]) -> Facts:
        """What a policy program sees of one input."""
        values: dict[str, float | str | bool] = dict(zip(SURFACE, scored.surface_NS[row].tolist(), strict=True))
        values["task"] = task
        values["region"] = self.region_names[int(scored.region_N[row])]
        return Facts(
            values=values,
            tags=tags,
            scores={
                variant: VariantScores(
                    predicted_loss=known(scored.loss_NV[row, v]),
                    predicted_cost=known(scored.cost_NV[row, v]),
                    predicted_latency_s=known(self.latency_V[v]),
                )
                for v, variant in enumerate(self.variants)
            },
        )

    def head_answer(self, scored: Scored, row: int) -> JSON:
        """What the head answered to one input."""
        assert self.head is not None
        return self.head.head.answers[int(scored.head_class_N[row])]


def known(value: float) -> float | None:
    """A number, or None for NaN, which stands for unknown in arrays."""
    return None if np.isnan(value) else float(value)
