"""Chooses, on training items alone, the ordered family of policies that calibration will test: predictor, candidates, thresholds."""

from collections.abc import Iterator, Mapping
from decimal import ROUND_CEILING, Context
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.evaluation import bounds
from freehold.promotion.fit import Fitted
from freehold.routing.predict import cheapest_within

Floats: TypeAlias = NDArray[np.float64]

STEPS = 100
"""Policies in a family: each lets about 1 % more of the traffic leave the reference than the one before."""
_LEAST_SHARE = 0.025
"""The share of the traffic that the first of them lets go: less is not worth a policy."""
_TRIAL_STEPS = 40
"""Policies in a family that is only tried: enough to compare it with others, and all that a search over many variants has time for."""

_GREEDY = 4
"""The most candidates that are added one by one; a family of all candidates is tried as well."""


class Family(NamedTuple):
    """Policies ordered from the reference outward: the cheapest candidate whose predicted loss is within the threshold."""

    predictor: str
    """Name of the predictor."""
    columns: tuple[int, ...]
    """The candidates' columns, the reference (0) not among them."""
    threshold_T: Floats
    """Rising."""


class Rehearsal(NamedTuple):
    """Training items with everything known about them, to try families on."""

    loss_NV: Floats
    """Paired losses, column 0 the reference."""
    cost_NV: Floats
    """Recorded costs, gaps filled by the variant's mean."""
    predicted_cost_NV: Floats
    """Costs as serving will predict them."""
    group_N: NDArray[np.int64]
    """Groups."""
    epsilon: float
    """The floor."""
    delta: float
    """What may be spent."""
    units: float
    """How many independent units calibration will have."""
    is_exact: bool
    """Whether the binomial bound applies."""


def choose_family(rehearsal: Rehearsal, candidates: tuple[int, ...], fitted: Mapping[str, Fitted]) -> Family | None:
    """The family with the greatest saving that its out-of-fold losses let us expect to certify; None when none is expected to save.

    Choosing by expected certified saving, not by a curve's area: a family that ranks well on average may still be unprovable at the
    floor. `fitted[kind].oof_NV` has a column for every variant, the reference's being 0. A fault of the choice costs savings, never
    validity, because calibration items have no part in it.
    """
    best: tuple[float, Family] | None = None
    for kind, predictor in fitted.items():
        for columns in _subsets(rehearsal, candidates, kind, predictor.oof_NV):
            family = Family(kind, columns, thresholds(predictor.oof_NV, columns))
            saving = expected_saving(rehearsal, family, predictor.oof_NV)
            if saving > 1e-9 and (best is None or saving > best[0] + 1e-12):
                best = (saving, family)
    if best is None:
        return None
    return best[1]._replace(threshold_T=thresholds(fitted[best[1].predictor].oof_NV, best[1].columns, STEPS))


def _subsets(rehearsal: Rehearsal, candidates: tuple[int, ...], kind: str, oof_NV: Floats) -> Iterator[tuple[int, ...]]:
    """Each candidate alone, the best few together, all of them."""
    if not candidates:
        return
    tried: dict[tuple[int, ...], float] = {}

    def worth(columns: tuple[int, ...]) -> float:
        if columns not in tried:
            tried[columns] = expected_saving(rehearsal, Family(kind, columns, thresholds(oof_NV, columns)), oof_NV)
        return tried[columns]

    chosen: tuple[int, ...] = ()
    while len(chosen) < min(_GREEDY, len(candidates)):
        grown = max((tuple(sorted((*chosen, c))) for c in candidates if c not in chosen), key=worth)
        if chosen and worth(grown) <= worth(chosen):
            break
        chosen = grown
        yield chosen
    if tuple(sorted(candidates)) != chosen:
        yield tuple(sorted(candidates))


def thresholds(oof_NV: Floats, columns: tuple[int, ...], steps: int = _TRIAL_STEPS) -> Floats:
    """Where the share of items that leave the reference grows by one step, from predictions alone. Rising, distinct, six digits.

    Rounded up, because many items may stand at one prediction: all of a region, or all that a head is sure of.
    """
    least_N = oof_NV[:, columns].min(axis=1)
    cuts = np.quantile(least_N, np.linspace(_LEAST_SHARE, 1.0, steps))
    six_digits = Context(prec=6, rounding=ROUND_CEILING)
    return np.unique([float(six_digits.create_decimal_from_float(float(cut))) for cut in cuts])


def choices(loss_NV: Floats, cost_NV: Floats, family: Family, variants: int) -> NDArray[np.int64]:
    """The column each policy of the family picks for each item, shape T by N, from predicted losses and costs of all `variants`."""
    assert loss_NV.shape[1] == variants
    listed = np.array(sorted({0, *family.columns}))  # of sixty variants a family names a few, and this is what a search spends its time on
    loss_NC, cost_NC, allowed_C = loss_NV[:, listed], cost_NV[:, listed], np.ones(len(listed), dtype=bool)
    return listed[np.stack([cheapest_within(loss_NC, cost_NC, allowed_C, float(t)) for t in family.threshold_T])]


def expected_saving(rehearsal: Rehearsal, family: Family, oof_NV: Floats) -> float:
    """The saving at the last policy of the family that the bound is expected to pass, 0 when the first fails."""
    choice_TN = choices(oof_NV, rehearsal.predicted_cost_NV, family, oof_NV.shape[1])
    bound_T = expected_bounds(rehearsal, choice_TN)
    failed = np.flatnonzero(bound_T > rehearsal.epsilon)
    passed = int(failed[0]) if len(failed) else len(bound_T)
    if passed == 0:
        return 0.0
    paid = np.take_along_axis(rehearsal.cost_NV, choice_TN[passed - 1][:, None], axis=1).sum()
    return float(1.0 - paid / max(rehearsal.cost_NV[:, 0].sum(), 1e-300))


def expected_bounds(rehearsal: Rehearsal, choice_TN: NDArray[np.int64], count: float | None = None) -> Floats:
    """The bound each policy is expected to get with `count` units, were its training losses typical. Shape T."""
    count = rehearsal.units if count is None else count
    loss_TN = np.take_along_axis(rehearsal.loss_NV.T[None], choice_TN[:, None, :], axis=1)[:, 0, :]
    n = loss_TN.shape[1]
    if rehearsal.is_exact:
        # Half a harm more than seen: the best of many families looks better than it is.
        harms, gains = (loss_TN > 0).sum(axis=1) + 0.5, (loss_TN < 0).sum(axis=1)
        return bounds.paired_binomial_upper(harms * count / n, gains * count / n, max(1, round(count)), rehearsal.delta)
    _, code = np.unique(rehearsal.group_N, return_inverse=True)
    sizes = np.bincount(code)
    sums_TG = np.stack([np.bincount(code, weights=loss) for loss in loss_TN]) / sizes.mean()
    return bounds.bernstein_upper(sums_TG.mean(axis=1), sums_TG.var(axis=1), max(1.0, count), rehearsal.delta)
