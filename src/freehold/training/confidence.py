"""Sets a specialist's own probabilities right, on the calibration part."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.routing.sure import Steps, Sure, log_odds

_FOLDS = 5


def fit_sure(log_p: Sequence[float], is_right: Sequence[bool]) -> Sure:
    """The line through log odds with the least log loss, never falling. Targets are a little inside of 0 and 1, as Platt (1999) has them.

    Without rows nothing is changed.
    """
    from scipy.optimize import minimize

    if not log_p:
        return Sure()
    odds_N, right_N = np.array([log_odds(one) for one in log_p]), np.array(is_right, bool)
    right, wrong = int(right_N.sum()), int((~right_N).sum())
    target_N = np.where(right_N, (right + 1) / (right + 2), 1 / (wrong + 2))

    def loss(at: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float:
        said_N = at[0] * odds_N + at[1]
        return float(np.mean(np.logaddexp(0.0, said_N) - target_N * said_N) + 1e-4 * (at[0] - 1.0) ** 2)

    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(1e-3, 20.0), (-30.0, 30.0)])
    return Sure(*(float(round(x, 6)) for x in found.x))


class TriedSteps(NamedTuple):
    """Steps beside probabilities as they are."""

    steps: Steps | None
    """The steps; None where they say no better how sure one may be."""
    as_it_is: float
    """The log loss of the probabilities as they are,"""
    in_steps: float
    """and in steps that were fitted without the row."""


def steps_for(p_N: NDArray[np.float64], is_right_N: NDArray[np.bool_], seed: int) -> TriedSteps:
    """Steps for probabilities of which it is known which were right, by five folds of these. What the probabilities were fitted to is not left out, which
    favours them a little."""
    fold_N = np.random.default_rng(seed).permutation(len(p_N)) % _FOLDS
    in_steps_N = np.empty(len(p_N))
    for fold in range(_FOLDS):
        inside = fold_N == fold
        steps = _steps(p_N[~inside], is_right_N[~inside])
        in_steps_N[inside] = [steps.of(p) for p in p_N[inside].tolist()]
    as_it_is, in_steps = _loss(p_N, is_right_N), _loss(in_steps_N, is_right_N)
    return TriedSteps(_steps(p_N, is_right_N) if in_steps < as_it_is else None, as_it_is, in_steps)


def _steps(p_N: NDArray[np.float64], is_right_N: NDArray[np.bool_]) -> Steps:
    """Never quite 0 or 1: as far from them as one more row either way would leave it."""
    from sklearn.isotonic import IsotonicRegression

    edge = 1.0 / (len(p_N) + 2)
    fitted = IsotonicRegression(y_min=edge, y_max=1.0 - edge, out_of_bounds="clip").fit(p_N, is_right_N.astype(float))
    return Steps(tuple(map(float, fitted.X_thresholds_)), tuple(map(float, fitted.y_thresholds_)))


def _loss(p_N: NDArray[np.float64], is_right_N: NDArray[np.bool_]) -> float:
    said_N = np.clip(np.where(is_right_N, p_N, 1.0 - p_N), 1e-12, 1.0)
    return float(-np.log(said_N).mean())
