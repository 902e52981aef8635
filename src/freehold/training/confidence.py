"""Sets a specialist's own probabilities right, on the calibration part."""

from collections.abc import Sequence

import numpy as np

from freehold.routing.sure import Sure, log_odds


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
