"""Fits a linear-chain conditional random field over hashed features of words: a tagger that needs neither a download nor torch."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.errors import TrainingError
from freehold.routing.chain import FORBIDDEN, Chain, allowed

_STEPS = 20
"""Steps of a round. What is known of the curvature is forgotten between rounds, so that a run that was killed goes on exactly as it would have."""
_ENOUGH = 1e-4
"""A round that gained less than this share of the loss is the last."""


class Field(NamedTuple):
    """A field: weights of its features, and what follows what."""

    known_F: NDArray[np.uint32]
    """Hashes of the features it has weights for, in order."""
    weight_FC: NDArray[np.float32]
    """Weights by feature and tag."""
    chain: Chain


class Round(NamedTuple):
    """Where a fit is after a round."""

    at_P: NDArray[np.float64]
    """Its parameters: weights, what follows what, and starts."""
    done: int
    """How many rounds lie behind it."""
    loss: float
    """Its loss, in nats of a word."""
    is_last: bool
    """Whether it has come to its end."""


class Layout(NamedTuple):
    """Sentences side by side, the longest first, so that those which still go on at a step are the first ones."""

    at: tuple[NDArray[np.int64], ...]
    """For each step the words of that step, by row."""
    tag_N: NDArray[np.int64]
    """The right tag of each word."""


def known_features(features: Sequence[NDArray[np.uint32]], least: int = 2) -> NDArray[np.uint32]:
    """The features that occur that often, in order."""
    known, counts = np.unique(np.concatenate([one.ravel() for one in features]), return_counts=True)
    kept: NDArray[np.uint32] = known[counts >= least]
    return kept


def places(known_F: NDArray[np.uint32], feature_TF: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each feature stands among those that are known, and whether it does."""
    at = np.minimum(np.searchsorted(known_F, feature_TF), len(known_F) - 1)
    return at, known_F[at] == feature_TF


def fit_field(
    features: Sequence[NDArray[np.uint32]],
    tags: Sequence[NDArray[np.int64]],
    labels: int,
    l2: float,
    rounds: int,
    kept: Round | None,
    keep: Callable[[Round], None],
) -> Field:
    """The field with the least negative log likelihood and `l2`/2 times the square of its weights, by L-BFGS in rounds.

    It goes on from the round that is kept, and gives each to `keep`, so that a fit which was killed ends as an undisturbed one.

    Source: Lafferty, McCallum and Pereira (ICML 2001); the optimiser is Byrd et al. (1995), as scipy has it. What BIO forbids has no
    probability from the beginning.
    """
    from scipy.optimize import minimize
    from scipy.sparse import csr_matrix

    full = [n for n in np.argsort([-len(one) for one in tags], kind="stable").tolist() if len(tags[n])]
    if not full:
        raise TrainingError("No text of the training part has a word.")
    known_F = known_features([features[n] for n in full])
    if not len(known_F):
        raise TrainingError("No word of the training part occurs twice: there is nothing that a tagger could know again.")
    feature_NF = np.concatenate([features[n] for n in full])
    at, is_known = places(known_F, feature_NF)
    indptr = np.concatenate([[0], np.cumsum(is_known.sum(axis=1))])
    x = csr_matrix((np.ones(indptr[-1]), at[is_known], indptr), shape=(len(feature_NF), len(known_F)))
    x_t = x.T.tocsr()
    layout = laid([tags[n] for n in full])
    rules = allowed(labels)
    tags_C = 2 * labels + 1
    sizes = (len(known_F) * tags_C, tags_C * tags_C)
    observed = _observed(x_t, layout, tags_C)

    def split(at_P: NDArray[np.float64]) -> tuple[NDArray[np.float64], Chain]:
        weight_FC = at_P[: sizes[0]].reshape(-1, tags_C)
        step_CC = np.where(rules.step_CC == FORBIDDEN, FORBIDDEN, at_P[sizes[0] : sum(sizes)].reshape(tags_C, tags_C))
        return weight_FC, Chain(np.where(rules.start_C == FORBIDDEN, FORBIDDEN, at_P[sum(sizes) :]), step_CC)

    def loss(at_P: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight_FC, chain = split(at_P)
        log_z, expected_NC, steps_CC, start_C = expected(x @ weight_FC, chain, layout)
        found = np.concatenate([(x_t @ expected_NC).ravel(), steps_CC.ravel(), start_C])
        return log_z - float(observed @ at_P) + l2 / 2 * float(at_P @ at_P), found - observed + l2 * at_P

    now = kept or Round(np.zeros(sum(sizes) + tags_C), 0, np.inf, is_last=False)
    while not now.is_last:
        found = minimize(loss, now.at_P, jac=True, method="L-BFGS-B", options={"maxiter": _STEPS, "maxcor": 6})
        word_loss, done = float(found.fun) / len(feature_NF), now.done + 1
        is_last = done == rounds or bool(found.success) or now.loss - word_loss < _ENOUGH * word_loss
        now = Round(found.x, done, word_loss, is_last)
        keep(now)
    weight_FC, chain = split(now.at_P)
    used_F = np.abs(weight_FC).max(axis=1) > 1e-3
    return Field(known_F[used_F], weight_FC[used_F].astype(np.float32), chain)


def laid(tags: Sequence[NDArray[np.int64]]) -> Layout:
    """Sentences of at least one word, the longest first."""
    length_S = np.array([len(one) for one in tags])
    first_S = np.concatenate([[0], np.cumsum(length_S)[:-1]])
    at = tuple(first_S[: int((length_S > t).sum())] + t for t in range(int(length_S[0])))
    return Layout(at, np.concatenate(tags))


def _observed(x_t: Any, layout: Layout, tags: int) -> NDArray[np.float64]:
    """How often each parameter is used by the right tags."""
    is_NC = np.zeros((len(layout.tag_N), tags))
    is_NC[np.arange(len(layout.tag_N)), layout.tag_N] = 1.0
    steps_CC, start_C = np.zeros((tags, tags)), np.bincount(layout.tag_N[layout.at[0]], minlength=tags)
    for now in layout.at[1:]:
        np.add.at(steps_CC, (layout.tag_N[now - 1], layout.tag_N[now]), 1.0)
    return np.concatenate([(x_t @ is_NC).ravel(), steps_CC.ravel(), start_C])


def expected(
    emission_NC: NDArray[np.float64], chain: Chain, layout: Layout
) -> tuple[float, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The sum of log Z, and how often each tag, each step and each start is expected: forward and backward, scaled at each word."""
    top_N = emission_NC.max(axis=1)
    odds_NC = np.exp(emission_NC - top_N[:, None])
    step_CC = np.exp(chain.step_CC)
    forward_NC, backward_NC, scale_N = np.empty_like(odds_NC), np.ones_like(odds_NC), np.empty(len(odds_NC))
    for t, now in enumerate(layout.at):
        here = odds_NC[now] * (np.exp(chain.start_C) if t == 0 else forward_NC[now - 1] @ step_CC)
        scale_N[now] = here.sum(axis=1)
        forward_NC[now] = here / scale_N[now][:, None]
    steps_CC = np.zeros_like(step_CC)
    for now in layout.at[:0:-1]:
        ahead = odds_NC[now] * backward_NC[now] / scale_N[now][:, None]
        backward_NC[now - 1] = ahead @ step_CC.T
        steps_CC += forward_NC[now - 1].T @ ahead
    expected_NC = forward_NC * backward_NC
    log_z = float(np.log(scale_N).sum() + top_N.sum())
    return log_z, expected_NC, steps_CC * step_CC, expected_NC[layout.at[0]].sum(axis=0)
