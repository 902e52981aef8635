"""What each answer is known to score, and how that came to be known: which label counts, and what an item's labels may prove.

A score that was merely found is never used on an item that is to certify. Where an item was drawn, or has any label of an audit or a
census, its other answers are known by such labels too, or count as wrong: nothing is credited that nobody set out to look at.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.catalog import AGREEMENT, Metric
from freehold.datasets.pairs import Floats, Pairs
from freehold.journal.call import LabelDesign
from freehold.journal.read import Score

NONE, FOUND, CENSUS, AUDIT = -1, 0, 1, 2
"""How much a label proves; of two the stronger counts."""
_STRENGTH: dict[LabelDesign, int] = {"found": FOUND, "census": CENSUS, "audit": AUDIT}
_JUDGE = "judge:"
_DESIGN: dict[int, LabelDesign] = {strength: design for design, strength in _STRENGTH.items()}


class Told(NamedTuple):
    """Everything the journal says about how good answers are."""

    place: Mapping[str, tuple[int, int]]
    """Item and variant of each call whose answer is the one that is kept: a label of an earlier, other answer says nothing of this one."""
    truths: Sequence[tuple[int, int, str]]
    """Item, answer and call wherever a call came with the answer as it should have been."""
    scores: Iterable[Score]
    """Scores of the metric."""
    truth_designs: Iterable[Score]
    """How recorded right answers were come by."""
    drawn: Mapping[int, float]
    """Items of labelling draws and the probability with which each was drawn."""
    silent_NV: NDArray[np.bool_]
    """Where a variant was asked an item of its sample and gave no answer: that is worth nothing, and is counted as wrong."""


class Labelled(NamedTuple):
    """Scores, losses and what they rest on, by item and variant."""

    score_NV: Floats
    loss_NV: Floats
    charged_NV: NDArray[np.bool_]
    """Answers without a label on an item that has some, and answers that were not given: counted as wrong."""
    is_labelled_N: NDArray[np.bool_]
    """Items with a label, or drawn and in need of none."""
    designs: tuple[LabelDesign, ...]
    """How each item's labels were come by."""
    inclusion_N: Floats
    """The probability with which each was drawn for labelling; 1 for a census; NaN for found labels."""
    truth_N: NDArray[np.int64]
    """The answer as it should have been; -1 where nobody said, or where it may not count."""


def labelled(pairs: Pairs, metric: Metric, told: Told) -> Labelled:
    """What is known of each answer of `pairs`, whose own scores, losses and designs are not looked at."""
    if metric.id == AGREEMENT:
        return _agreement(pairs, told.silent_NV)
    shape, answered_NV = pairs.answer_NV.shape, pairs.answer_NV >= 0
    score_NV, inclusion_NV = np.full(shape, np.nan), np.full(shape, np.nan)
    strength_NV = np.full(shape, NONE)
    truth_N, truth_strength_N, truth_inclusion_N = _truths(len(pairs), told)
    if metric.deterministic and metric.kind == "binary":
        known_NV = (truth_N[:, None] >= 0) & answered_NV
        score_NV = np.where(known_NV, pairs.answer_NV == truth_N[:, None], score_NV)
        strength_NV = np.where(known_NV, truth_strength_N[:, None], strength_NV)
        inclusion_NV = np.where(known_NV, truth_inclusion_N[:, None], inclusion_NV)
    for label in told.scores:
        where, strength = told.place.get(label.call), _STRENGTH[label.design]
        if label.source.startswith(_JUDGE):  # a model's opinion, however its items were drawn, is no label: what rests on it is an estimate
            strength = FOUND
        if where is not None and strength >= strength_NV[where]:
            score_NV[where], strength_NV[where] = metric.unit(label.value), strength
            inclusion_NV[where] = np.nan if label.inclusion is None else label.inclusion
    is_drawn_N = np.zeros(len(pairs), dtype=bool)
    is_drawn_N[list(told.drawn)] = True
    certifies_N = is_drawn_N | (strength_NV > FOUND).any(axis=1)
    may_not_count_NV = certifies_N[:, None] & (strength_NV == FOUND)
    score_NV[may_not_count_NV], strength_NV[may_not_count_NV] = np.nan, NONE
    truth_N = np.where(certifies_N & (truth_strength_N == FOUND), -1, truth_N)
    is_labelled_N = is_drawn_N | (strength_NV > NONE).any(axis=1)
    charge_N = is_labelled_N & (certifies_N | metric.deterministic)
    loss_NV, charged_NV = _losses(pairs, score_NV, charge_N, metric.deterministic, told.silent_NV)
    weakest_N = np.where(strength_NV > FOUND, strength_NV, AUDIT).min(axis=1)
    code_N = np.where(is_drawn_N, AUDIT, np.where(certifies_N, weakest_N, FOUND))
    inclusion_N = _least(np.where(strength_NV == weakest_N[:, None], inclusion_NV, np.nan))
    inclusion_N[list(told.drawn)] = list(told.drawn.values())
    return Labelled(
        score_NV=np.where(charged_NV & told.silent_NV, 0.0, score_NV),
        loss_NV=loss_NV,
        charged_NV=charged_NV,
        is_labelled_N=is_labelled_N,
        designs=tuple(_DESIGN[int(code)] for code in code_N),
        inclusion_N=np.where(certifies_N, inclusion_N, np.nan),
        truth_N=truth_N,
    )


def _agreement(pairs: Pairs, silent_NV: NDArray[np.bool_]) -> Labelled:
    """The reference's answers are the right ones, so every item it answered is labelled, whatever else was recorded."""
    reference_N1 = pairs.answer_NV[:, :1]
    known_NV = (pairs.answer_NV >= 0) & (reference_N1 >= 0)
    score_NV = np.where(known_NV, pairs.answer_NV == reference_N1, np.nan)
    is_labelled_N = pairs.answer_NV[:, 0] >= 0
    loss_NV, charged_NV = _losses(pairs, score_NV, is_labelled_N, True, silent_NV)
    score_NV = np.where(charged_NV & silent_NV, 0.0, score_NV)
    census: LabelDesign = "census"
    nobody_said_N = np.full(len(pairs), -1)
    return Labelled(score_NV, loss_NV, charged_NV, is_labelled_N, (census,) * len(pairs), np.ones(len(pairs)), nobody_said_N)


def _truths(count: int, told: Told) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """The right answer of each item by its strongest source, the later of two alike; its strength and inclusion probability."""
    designs = {label.call: label for label in told.truth_designs}
    truth_N, strength_N, inclusion_N = np.full(count, -1), np.full(count, NONE), np.full(count, np.nan)
    for n, answer, call in told.truths:
        said = designs.get(call)
        strength = FOUND if said is None else _STRENGTH[said.design]
        if strength >= strength_N[n]:
            truth_N[n], strength_N[n] = answer, strength
            inclusion_N[n] = np.nan if said is None or said.inclusion is None else said.inclusion
    return truth_N, strength_N, inclusion_N


def _losses(
    pairs: Pairs, score_NV: Floats, charge_N: NDArray[np.bool_], is_deterministic: bool, silent_NV: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Paired losses, and which of them are charged: the difference of scores, 0 for equal answers where equality decides.

    On the items of `charge_N` an answer without a score counts as wrong: leaving such items out would keep those on which somebody cared
    to look, or on which all agree. Where the reference's own score is missing there is nothing to compare with, and the item is unpaired;
    but where equality decides it counts as right, because answers that differ are what nobody was asked about. Where a variant was asked
    and gave no answer, any reference's is better.
    """
    answered_NV = pairs.answer_NV >= 0
    loss_NV = score_NV[:, :1] - score_NV
    if is_deterministic:
        loss_NV = np.where((pairs.answer_NV == pairs.answer_NV[:, :1]) & answered_NV, 0.0, loss_NV)
    comparable_N1 = answered_NV[:, :1] & (is_deterministic | ~np.isnan(score_NV[:, :1]))
    owed_NV = (answered_NV & comparable_N1) | (silent_NV & answered_NV[:, :1])
    charged_NV = charge_N[:, None] & owed_NV & np.isnan(loss_NV)
    charged_NV[:, 0] = False
    worst_NV = np.nan_to_num(score_NV[:, :1], nan=1.0) - np.nan_to_num(score_NV, nan=0.0)
    loss_NV = np.where(charged_NV, worst_NV, loss_NV)
    loss_NV[:, 0] = np.where(answered_NV[:, 0], 0.0, np.nan)
    return loss_NV, charged_NV


def _least(value_NV: Floats) -> Floats:
    """The least known value of each row; NaN where none is known."""
    return np.where(np.isnan(value_NV).all(axis=1), np.nan, np.min(np.where(np.isnan(value_NV), np.inf, value_NV), axis=1))
