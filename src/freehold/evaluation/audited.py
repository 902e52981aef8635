"""Bets on losses that a judge gives and people audit: e-values that hold for any number of items and any judge, however wrong.

A unit is one audited item with others of its block that only the judge saw. Its loss is what people say, less what the judge says of it, plus
the judge's mean over the rest of the block: on average exactly what people would say, for the judge's error cancels. So a bet on such units that the
loss exceeds a floor is as fair as one on people's labels, and gains where the judge follows them closely. Pure.

Sources: Waudby-Smith and Ramdas (JRSS-B 86, 2024) for the bets; Csillag, Struchiner and Goedert, Prediction-powered e-values (arXiv 2502.04294, 2025)
for betting on a debiased loss. Blocks in the place of inverse probabilities are ours: they keep a unit's loss within 1 + 2λ, whatever share is audited.
"""

import numpy as np

from freehold.errors import DataError
from freehold.evaluation.bounds import Floats, Units


def debiased(loss_N: Floats, judged_N: Floats, power: float, seed: int) -> Units:
    """Units to bet on, from losses in [-1, 1] by people (NaN where nobody audited) and by a judge. `bounds.betting_upper` takes them.

    Conditions: the items are independent; the audited ones are a simple random sample of them; `power`, λ in [0, 1], and the bets were fixed
    before any of these losses was seen. Raises DataError for losses out of range, and for too few items that were not audited for one a block.
    """
    loss_N, judged_N = np.asarray(loss_N, dtype=np.float64), np.asarray(judged_N, dtype=np.float64)
    is_audited_N = ~np.isnan(loss_N)
    if not (np.abs(np.r_[loss_N[is_audited_N], judged_N]) <= 1).all():  # NaN fails, too
        raise DataError("paired losses lie from -1 to 1, and every item has one by the judge")
    if not 0 <= power <= 1:
        raise DataError(f"λ is {power}; it lies from 0 to 1, and is fixed beforehand")
    rng = np.random.default_rng(seed)
    audited, rest = rng.permutation(np.flatnonzero(is_audited_N)), rng.permutation(np.flatnonzero(~is_audited_N))
    if power == 0 or not len(audited):
        return Units(loss_N[audited], np.ones(len(audited)), 1)
    if len(rest) < len(audited):
        raise DataError(
            f"{len(audited)} items were audited and {len(rest)} only judged; blocks take at least one of these for each of those"
        )
    rest_mean = np.array([judged_N[block].mean() for block in np.array_split(rest, len(audited))])
    debiased_n = loss_N[audited] - power * judged_N[audited] + power * rest_mean
    return Units(debiased_n, np.ones(len(audited)), 1.0 + 2.0 * power)


def power_from(loss_n: Floats, judged_n: Floats, share_audited: float) -> float:
    """The λ to fix beforehand, from other items that people and judge scored: the one with which debiased losses spread least."""
    if len(loss_n) < 2 or np.var(judged_n) <= 0:
        return 0.0
    rest = max(1.0, 1.0 / share_audited - 1.0)
    return float(np.clip(np.cov(loss_n, judged_n)[0, 1] / (np.var(judged_n, ddof=1) * (1.0 + 1.0 / rest)), 0.0, 1.0))
