"""What a specialist that went on learning still knows, beside what it knew: rows in pairs, groups of them, and the matrix of a whole chain."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.evaluation.bounds import Floats
from freehold.evaluation.difference import paired
from freehold.evaluation.diversity import distinct_n, entropy
from freehold.evaluation.tested import Rows
from freehold.variants.card import Card, Kept, Of

_MOST_GROUPS = 500
"""Answers or regions that are looked at one by one, those with the most rows first."""
_LEAST_ROWS = 5
"""A group of fewer rows says nothing by itself: of four rows, all lost, nobody can tell."""


class Both(NamedTuple):
    """Rows of earlier test parts, as a specialist and the one it goes on from score on them."""

    before_N: Floats
    after_N: Floats
    group_N: NDArray[np.int64]
    """The unit each row belongs to."""
    is_binary: bool
    """Whether every score is 0 or 1."""


def kept(both: Both, parts: Mapping[Of, Sequence[str | None]], confidence: float) -> tuple[Kept, ...]:
    """What was kept: on all rows, and on those of every value of each part: `dataset`, `region` or `answer`, in that order.

    The interval over all rows is one of that confidence; those of the parts hold for all of them together, each at 1 - (1 - confidence) / m
    (Bonferroni). The first is that of all rows.
    """
    chosen = [
        (of, name, np.array([value == name for value in values]))
        for of, values in parts.items()
        for name in _largest(values, 1 if of == "dataset" else _LEAST_ROWS)
    ]
    each = 1.0 - (1.0 - confidence) / max(1, len(chosen))
    everything = np.ones(len(both.before_N), dtype=bool)
    found = [_kept(both, "all", "all earlier rows", everything, confidence)]
    return tuple(found + [_kept(both, of, name, rows_N, each) for of, name, rows_N in chosen])


def _largest(values: Sequence[str | None], least: int) -> list[str]:
    """The values with the most rows, in the order in which they come."""
    counts: dict[str, int] = {}
    for value in values:
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    enough = {value for value in sorted(counts, key=lambda value: -counts[value])[:_MOST_GROUPS] if counts[value] >= least}
    return [value for value in counts if value in enough]


def _kept(both: Both, of: Of, name: str, rows_N: NDArray[np.bool_], confidence: float) -> Kept:
    before_N, after_N = both.before_N[rows_N], both.after_N[rows_N]
    found = paired(after_N, before_N, both.group_N[rows_N], both.is_binary, confidence)
    return Kept(
        of=of,
        name=name,
        n=found.n,
        before=float(before_N.mean()),
        after=float(after_N.mean()),
        low=found.low,
        high=found.high,
    )


class Manner(NamedTuple):
    """How answers are, whether right or not."""

    answered: float
    """Share of rows that have one."""
    kinds: float
    """Of few answers, how many there are in effect: 2 to the power of their entropy. Of texts, the share of different pairs of words."""
    chars: float
    """Their mean length."""


def manner(rows: Rows, shape: str) -> Manner:
    """How a specialist answers."""
    said = [one.output for one in rows.answers if one is not None]
    keys = [canonical_json(one) for one in said]
    if shape == "choice":
        kinds = 2.0 ** (entropy(keys) or 0.0) if keys else 0.0
    else:
        kinds = distinct_n([_words(one) for one in said], 2) or 0.0
    return Manner(len(said) / max(1, len(rows.answers)), kinds, float(np.mean([len(key) for key in keys])) if keys else 0.0)


def _words(output: JSON) -> str:
    return output if isinstance(output, str) else canonical_json(output).decode()


class Matrix(NamedTuple):
    """A chain of specialists on the data sets that they learnt, both in the order in which they came."""

    datasets: tuple[str, ...]
    """`NAME@HASH`."""
    specialists: tuple[str, ...]
    score_DS: Floats
    """What each specialist got on each data set's test part, by the measure that gates look at; NaN before it was learnt or where it was not looked at."""

    @property
    def average(self) -> float:
        """The mean of the last specialist over the data sets: average accuracy (Lopez-Paz and Ranzato, NeurIPS 2017). NaN where none is known."""
        return _mean(self.score_DS[:, -1])

    @property
    def forgetting(self) -> float:
        """The mean over all data sets but the last of the best that any earlier specialist got less what the last one gets (Chaudhry et al., ECCV
        2018, eq. 3). NaN where there is nothing to forget."""
        lost = [
            float(np.nanmax(row_S[:-1])) - float(row_S[-1])
            for row_S in self.score_DS[:-1]
            if not np.isnan(row_S[-1]) and not np.isnan(row_S[:-1]).all()
        ]
        return float(np.mean(lost)) if lost else float("nan")


def _mean(value_N: Floats) -> float:
    known = value_N[~np.isnan(value_N)]
    return float(known.mean()) if len(known) else float("nan")


def matrix(cards: Sequence[Card]) -> Matrix:
    """The forgetting matrix of a chain, oldest first, as it stands on their cards."""
    datasets = tuple(dict.fromkeys(card.plan.dataset for card in cards))
    place = {name: d for d, name in enumerate(datasets)}
    score_DS = np.full((len(datasets), len(cards)), np.nan)
    for s, card in enumerate(cards):
        for one in card.kept:
            if one.of == "dataset" and one.name in place:
                score_DS[place[one.name], s] = one.after
        if card.tested is not None and card.tested.measures:
            score_DS[place[card.plan.dataset], s] = card.tested.measures[0].mean
    return Matrix(datasets, tuple(card.name for card in cards), score_DS)
