"""What a teacher believed of each row, as targets to learn from: distillation (Hinton, Vinyals and Dean, 2015, arXiv:1503.02531)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.journal.probable import answer_key
from freehold.training.lesson import Part

LEAST = 0.01
"""A smaller share of a row is not learnt from, where each costs a row of its own."""


def targets(part: Part, answers: Sequence[JSON]) -> NDArray[np.float64] | None:
    """The probability of each answer by row, shape N by C, rows that sum to 1; None where no teacher said how sure it was.

    What a teacher left open is shared by the answers that it did not speak of. Of a row of people its answer is certain.
    """
    if not any(part.beliefs):
        return None
    place = {answer_key(answer): c for c, answer in enumerate(answers)}
    target_NC = np.zeros((len(part), len(answers)))
    for target_C, answer, said in zip(target_NC, part.answers, part.beliefs, strict=True):
        known = {c: p for key, p in said.items() if (c := place.get(key)) is not None}
        if place[answer_key(answer)] not in known:
            known = {place[answer_key(answer)]: 1.0}
        total = sum(known.values())
        open_ = max(0.0, 1.0 - total) if len(known) < len(answers) else 0.0
        if open_:
            target_C[:] = open_ / (len(answers) - len(known))
        for c, p in known.items():
            target_C[c] = p / (total + open_)
    return target_NC
