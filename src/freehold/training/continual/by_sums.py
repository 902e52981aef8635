"""Learning a history by sums: the discriminant, or the nearest mean, of every data set's sums together. No earlier row is needed."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from freehold.chat import JSON, canonical_json
from freehold.training.continual.candidate import Before, Candidate, Reader, calibrated
from freehold.training.continual.history import Past, distinct, of_files, recall, to_file
from freehold.training.continual.slda import discriminant, joined, nearest_mean
from freehold.variants.streams import Scores

Kind = Literal["lda", "nearest"]
SHRINKS = (0.003, 0.01, 0.03, 0.1, 0.3)
"""How much the covariance is drawn to its mean variance; the least log loss on the calibration parts chooses."""


def named(kind: Kind, width: int) -> str:
    """What a way is called."""
    return f"{kind} of {width} dimensions" if width else kind


def by_sums(
    kind: Kind, width: int, past: Sequence[Past], before: Before | None, files: Mapping[str, bytes], read: Reader, keep_gone: bool
) -> Candidate:
    """The classifier of a history. `files`: those of the specialist that is gone on from, with the sums that it kept."""
    fixed = read.widened(width)
    kept = of_files(files, before.datasets) if before is not None else []
    recalled = recall(past, kept, fixed.name, lambda part: read(part, width), keep_gone)
    taught = [answer for one in recalled.kept for answer in one.answers]
    answers = distinct(taught)
    place = {canonical_json(answer): c for c, answer in enumerate(answers)}
    answer_K = np.array([place[canonical_json(answer)] for answer in taught], dtype=np.int64)
    sums = joined([one.sums for one in recalled.kept])
    tried: list[tuple[float, float, Scores]] = []
    for shrink in SHRINKS if kind == "lda" else (1.0,):
        found = discriminant(sums, shrink) if kind == "lda" else nearest_mean(sums)
        scores = Scores(answers, found.weight_DK.astype(np.float32), found.bias_K.astype(np.float32), answer_K)
        loss, scores = calibrated(scores, past, read, width)
        tried.append((loss, shrink, scores))
    _, shrink, scores = min(tried, key=lambda one: one[:2])
    told: dict[str, JSON] = {
        "components": len(answer_K),
        "summed anew": [hash[:12] for hash in recalled.summed_anew],
    }
    if kind == "lda":
        told["shrink"] = shrink
    learnt = tuple(one.dataset for one in recalled.kept)
    return Candidate(named(kind, width), kind, fixed, scores, learnt, dict(map(to_file, recalled.kept)), {}, told)
