"""How far each reviewer can be trusted, and what the truth of each item probably is: Dawid and Skene's model of who errs how.

Pure. A reviewer's verdicts depend on the truth alone, by a table of the reviewer's own; neither is known, and each is estimated from the
other in turn (EM), from the vote on. What the truth is known of, as of gold items, is held fast. How sure the estimates are is told by
drawing truths and tables from their posterior (Gibbs), beginning where EM ended.
"""

from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.errors import DataError
from freehold.feedback.agreement import Estimate, coded

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

MOST_CLASSES = 100
"""Verdicts with more different values are no classes."""
_MOST_ROUNDS = 500
_ENOUGH = 1e-8
"""An improvement of the log posterior, for each rating, below which EM has ended."""
_UNSEEN = 0.2
"""The share of the Gibbs draws that come first and are not looked at."""


class Reviewer(msgspec.Struct, frozen=True, kw_only=True):
    """What one reviewer's verdicts are worth."""

    column: int
    """Which reviewer."""
    ratings: int
    """How many verdicts the reviewer gave."""
    accuracy: Estimate
    """How often a verdict is right, on items such as these; with a 95 % credible interval."""
    skill: float
    """How far that is above what is right by chance, of one who says as often what the reviewer says and does not look: 0 for who guesses or
    always says one thing, 1 for who is always right."""
    confusion: tuple[tuple[float, ...], ...]
    """For each true value, in the order of `values`, how often the reviewer says which."""


class Reliability(msgspec.Struct, frozen=True, kw_only=True):
    """Reviewers and truths, as far as verdicts tell."""

    values: tuple[float, ...]
    """What can be said, ascending."""
    prior: tuple[float, ...]
    """How often each is the truth."""
    reviewers: tuple[Reviewer, ...]
    """In the order of the columns; without those who said nothing."""
    posterior: tuple[tuple[float, ...], ...]
    """For each item, how probably each value is the truth. Of an item nobody judged it is the prior."""
    rounds: int
    """How often EM went round."""

    def truth(self) -> tuple[float, ...]:
        """For each item, the most probable value; of equals, the least."""
        return tuple(self.values[int(np.argmax(each))] for each in self.posterior)


def reliability(
    ratings_NR: Floats, rng: np.random.Generator, draws: int = 500, *, known_N: Floats | None = None, smoothing: float = 1.0
) -> Reliability:
    """What the verdicts of the reviewers (columns) on the items (rows) say about both. NaN is a verdict that is missing.

    `known_N`: the truth of items where it is known, NaN where not. `smoothing`: how many verdicts' worth of belief there is beforehand that
    a reviewer is right, and as many that one says anything; 1 keeps who was seen three times from being taken for infallible.
    Raises DataError for values that are no classes, or no verdict at all.

    Source: Dawid and Skene, Applied Statistics 28 (1979) 20, eqs. 2.3 to 2.5; we add the prior (MAP instead of maximum likelihood), under
    which each round raises the log posterior, and sums of logarithms.
    """
    ratings_NR = np.asarray(ratings_NR, dtype=np.float64)
    known = np.full(len(ratings_NR), np.nan) if known_N is None else np.asarray(known_N, dtype=np.float64)
    x_C, code = coded(np.column_stack([ratings_NR, known]), "nominal", None)
    code_NR, known_code_N = code[:, :-1], code[:, -1]
    if not 1 <= len(x_C) <= MOST_CLASSES or not (code_NR >= 0).any():
        raise DataError(f"{len(x_C):,} different verdicts are no classes; expected 1 to {MOST_CLASSES}, and a verdict at least.")
    model = _Model(code_NR, known_code_N, len(x_C), smoothing)
    post_NC, prior_C, tables_RCC, rounds = model.fit()
    accuracy_DR = model.drawn(prior_C, tables_RCC, rng, draws)
    reviewers = []
    for r in range(code_NR.shape[1]):
        given = int((code_NR[:, r] >= 0).sum())
        if not given:
            continue
        right, said_C = float(prior_C @ np.diag(tables_RCC[r])), prior_C @ tables_RCC[r]
        chance = float(prior_C @ said_C)
        low, high = np.quantile(accuracy_DR[:, r], [0.025, 0.975])
        reviewers.append(
            Reviewer(
                column=r,
                ratings=given,
                accuracy=Estimate(right, float(low), float(high)),
                skill=max(0.0, (right - chance) / (1 - chance)) if chance < 1 else 0.0,
                confusion=_tuples(tables_RCC[r]),
            )
        )
    return Reliability(
        values=tuple(x_C.tolist()),
        prior=tuple(prior_C.tolist()),
        reviewers=tuple(reviewers),
        posterior=_tuples(post_NC),
        rounds=rounds,
    )


class _Model:
    """The verdicts, one after the other, and the steps of EM and of Gibbs over them."""

    def __init__(self, code_NR: Ints, known_N: Ints, classes: int, smoothing: float) -> None:
        self._item_M, self._rater_M = np.nonzero(code_NR >= 0)
        self._said_M = code_NR[self._item_M, self._rater_M]
        self._known_N, self._is_known_N = known_N, known_N >= 0
        self._N, self._R, self._C = len(code_NR), code_NR.shape[1], classes
        self._belief_CC = smoothing * (np.eye(classes) + np.full((classes, classes), 1 / classes))
        """Verdicts' worth of belief beforehand, by truth and what is said."""

    def fit(self) -> tuple[Floats, Floats, Floats, int]:
        """Posteriors of the truths, prior, tables, and after how many rounds."""
        post_NC = self._vote()
        reached, rounds = -np.inf, 0
        while True:
            prior_C, tables_RCC = self._maximised(post_NC)
            log_NC = self._logs(prior_C, tables_RCC)
            most_N = log_NC.max(axis=1, keepdims=True)
            each_NC = np.exp(log_NC - most_N)
            total_N = each_NC.sum(axis=1, keepdims=True)
            value = float((most_N + np.log(total_N)).sum() + (self._belief_CC * np.log(tables_RCC)).sum() + np.log(prior_C).sum())
            post_NC, rounds = each_NC / total_N, rounds + 1
            if value - reached < _ENOUGH * len(self._said_M) or rounds == _MOST_ROUNDS:
                return post_NC, prior_C, tables_RCC, rounds
            reached = value

    def drawn(self, prior_C: Floats, tables_RCC: Floats, rng: np.random.Generator, draws: int) -> Floats:
        """Accuracies of the reviewers, as often as they are drawn from what is probable."""
        found = []
        for n in range(draws + int(_UNSEEN * draws)):
            log_NC = self._logs(prior_C, tables_RCC)
            truth_N = np.argmax(log_NC + rng.gumbel(size=log_NC.shape), axis=1)
            cell_M = (self._rater_M * self._C + truth_N[self._item_M]) * self._C + self._said_M
            counts_RCC = np.bincount(cell_M, minlength=self._R * self._C**2).reshape(self._R, self._C, self._C)
            tables_RCC = np.maximum(rng.gamma(counts_RCC + self._belief_CC), 1e-300)
            tables_RCC /= tables_RCC.sum(axis=2, keepdims=True)
            prior_C = rng.dirichlet(np.bincount(truth_N, minlength=self._C) + 1.0)
            if n >= int(_UNSEEN * draws):
                found.append(np.einsum("c,rcc->r", prior_C, tables_RCC))
        return np.array(found)

    def _vote(self) -> Floats:
        """The shares of the verdicts on each item: where EM begins."""
        votes_NC = np.zeros((self._N, self._C))
        np.add.at(votes_NC, (self._item_M, self._said_M), 1.0)
        votes_NC += 1e-3 / self._C  # an item nobody judged
        post_NC: Floats = votes_NC / votes_NC.sum(axis=1, keepdims=True)
        post_NC[self._is_known_N] = np.eye(self._C)[self._known_N[self._is_known_N]]
        return post_NC

    def _maximised(self, post_NC: Floats) -> tuple[Floats, Floats]:
        """The prior and the tables that fit such truths best."""
        cell_M = self._rater_M * self._C + self._said_M
        size = self._R * self._C
        counts = [np.bincount(cell_M, weights=post_NC[self._item_M, c], minlength=size).reshape(self._R, self._C) for c in range(self._C)]
        tables_RCC = np.stack(counts, axis=1) + self._belief_CC
        prior_C: Floats = post_NC.sum(axis=0) + 1.0
        return prior_C / prior_C.sum(), tables_RCC / tables_RCC.sum(axis=2, keepdims=True)

    def _logs(self, prior_C: Floats, tables_RCC: Floats) -> Floats:
        """The logarithm of how probable each truth of each item is together with what was said of it."""
        logs_RCC = np.log(tables_RCC)
        said = [np.bincount(self._item_M, weights=logs_RCC[self._rater_M, c, self._said_M], minlength=self._N) for c in range(self._C)]
        log_NC = np.stack(said, axis=1).astype(np.float64) + np.log(prior_C)
        known = self._is_known_N
        log_NC[known] = np.where(np.eye(self._C, dtype=bool)[self._known_N[known]], log_NC[known], -np.inf)
        return log_NC


def _tuples(table: Floats) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in table.tolist())
