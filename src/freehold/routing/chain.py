"""A chain of tags: the best path through scores of each tag at each word, and how probable it is. Numpy alone; fitted in `training/crf.py`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
OUTSIDE = 0
"""The tag of a word in no span. `2k + 1` begins a span of label k, `2k + 2` goes on with one (Ramshaw and Marcus, 1995: BIO)."""
FORBIDDEN = -1e4
"""The score of what may not follow: no probability at all, in float64."""


class Path(NamedTuple):
    """What was found."""

    tag_T: NDArray[np.int64]
    """The tags of the best path."""
    log_p: float
    """Logarithm of its probability among all paths."""


class Chain(NamedTuple):
    """What tags follow each other."""

    start_C: Scores
    """Score of beginning with each tag."""
    step_CC: Scores
    """Score of each tag (column) after each (row)."""

    def best(self, emission_TC: Scores) -> Path:
        """The best path (Viterbi, 1967) and its probability, by the forward recursion (Lafferty et al., ICML 2001)."""
        if not len(emission_TC):
            return Path(np.empty(0, np.int64), 0.0)
        best_C = forward_C = self.start_C + emission_TC[0]
        came = np.empty(emission_TC.shape, np.int64)
        most_C = self.step_CC.max(axis=0)
        step_CC = np.exp(self.step_CC - most_C)
        for t in range(1, len(emission_TC)):
            through_CC = best_C[:, None] + self.step_CC
            came[t] = through_CC.argmax(axis=0)
            best_C = through_CC.max(axis=0) + emission_TC[t]
            top = forward_C.max()
            forward_C = np.log(np.maximum(np.exp(forward_C - top) @ step_CC, 1e-300)) + top + most_C + emission_TC[t]
        tag_T = np.empty(len(emission_TC), np.int64)
        tag_T[-1] = best_C.argmax()
        for t in range(len(tag_T) - 1, 0, -1):
            tag_T[t - 1] = came[t, tag_T[t]]
        top = forward_C.max()
        return Path(tag_T, min(0.0, float(best_C.max() - top - np.log(np.exp(forward_C - top).sum()))))


def allowed(labels: int) -> Chain:
    """The chain that allows what BIO allows, and prefers nothing: a span goes on only where one of its label stands."""
    tags = 2 * labels + 1
    start_C, step_CC = np.zeros(tags), np.zeros((tags, tags))
    goes_on = np.arange(2, tags, 2)
    start_C[goes_on] = FORBIDDEN
    step_CC[:, goes_on] = FORBIDDEN
    step_CC[goes_on, goes_on] = step_CC[goes_on - 1, goes_on] = 0.0
    return Chain(start_C, step_CC)
