"""What a build requires of an evaluation: `accuracy>=0.9`, `accuracy.low>=0.88`, `cost_usd<=5`, `difference(cheap,frontier).low>=-0.02`.

A requirement without a variant is asked of every variant but the reference, or of the reference where nobody else is there; `cheap:accuracy`
asks it of one. What could not be measured does not hold.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import ge, gt, le, lt
from typing import NamedTuple

from freehold.errors import CallerError, nearest
from freehold.evaluation.result import Against, Evaluation, Mean, Required, Side

_SIGNS: dict[str, Callable[[float, float], bool]] = {">=": ge, "<=": le, ">": gt, "<": lt}
_WHOLE = re.compile(r"\s*(?P<name>.+?)\s*(?P<sign>>=|<=|>|<)\s*(?P<bound>[-+]?[0-9.]+(?:e[-+]?\d+)?)\s*")
_DIFFERENCE = re.compile(r"difference\(\s*(?P<first>[^,()]+?)\s*,\s*(?P<second>[^,()]+?)\s*\)(?:\.(?P<field>\w+))?")
_OF_A_SIDE: dict[str, Callable[[Side], float | None]] = {
    "cost_usd": lambda side: side.cost_usd,
    "cost_usd_per_1k": lambda side: side.cost_usd_per_1k,
    "p50_s": lambda side: side.p50_s,
    "p95_s": lambda side: side.p95_s,
    "answered": lambda side: side.answered / side.items if side.items else None,
}
_OF_A_MEAN: dict[str, Callable[[Mean], float | None]] = {
    "mean": lambda mean: mean.mean,
    "low": lambda mean: mean.low,
    "high": lambda mean: mean.high,
    "worst": lambda mean: mean.worst,
    "best": lambda mean: mean.best,
    "n": lambda mean: float(mean.n),
    "unscored": lambda mean: float(mean.unscored),
}
_OF_A_DIFFERENCE: dict[str, Callable[[Against], float]] = {
    "mean": lambda found: found.difference,
    "low": lambda found: found.low,
    "high": lambda found: found.high,
    "p": lambda found: found.p_adjusted,
}


class Requirement(NamedTuple):
    """One requirement, read."""

    said: str
    variant: str | None
    """Of whom; None for every candidate."""
    name: str
    """The scorer, or what is measured of a variant; empty for a difference."""
    field: str
    """Which of its numbers."""
    pair: tuple[str, str] | None
    """Whose difference."""
    sign: str
    bound: float


def read(said: str, variants: Sequence[str], scorers: Sequence[str]) -> Requirement:
    """A requirement as it is written. Raises CallerError for one that says nothing that is measured."""
    whole = _WHOLE.fullmatch(said)
    if whole is None:
        raise CallerError(
            f"--require '{said}' is no requirement; expected a name, one of >=, <=, > and <, and a number, such as 'accuracy>=0.9', "
            "'accuracy.low>=0.88', 'cost_usd<=5' or 'difference(cheap,frontier).low>=-0.02'."
        )
    name, sign, bound = whole["name"], whole["sign"], _number(said, whole["bound"])
    variant, name = _variant_in(name, variants)
    scorer, name = _variant_in(name, scorers)  # a scorer's name may hold dots and colons itself
    pair = _DIFFERENCE.fullmatch(name)
    if scorer is None and pair is not None:
        names = pair["first"], pair["second"]
        for one in names:
            if one not in variants:
                raise CallerError(f"--require '{said}': '{one}' is not evaluated.{nearest(one, list(variants))}")
        return Requirement(said, None, "", _field(said, pair["field"] or "mean", _OF_A_DIFFERENCE), names, sign, bound)
    if scorer is not None:
        return Requirement(said, variant, scorer, _field(said, name or "mean", _OF_A_MEAN), None, sign, bound)
    if name in _OF_A_SIDE:
        return Requirement(said, variant, name, "", None, sign, bound)
    known = [*scorers, *_OF_A_SIDE]
    raise CallerError(f"--require '{said}': '{name}' is no scorer of this evaluation and no measure of a variant.{nearest(name, known)}")


def _number(said: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise CallerError(f"--require '{said}': '{text}' is no number.") from None


def _variant_in(name: str, known: Sequence[str]) -> tuple[str | None, str]:
    """The longest known name that this begins with, before a colon, a dot or its end; and what comes after."""
    for one in sorted(known, key=len, reverse=True):
        if name == one:
            return one, ""
        if name.startswith((f"{one}:", f"{one}.")):
            return one, name[len(one) + 1 :]
    return None, name


def _field(said: str, name: str, known: Mapping[str, Callable[..., float | None]]) -> str:
    if name not in known:
        raise CallerError(f"--require '{said}': there is no '{name}' of it.{nearest(name, list(known))}")
    return name


def judge(evaluation: Evaluation, requirements: Sequence[Requirement]) -> tuple[Required, ...]:
    """Every requirement with what was measured."""
    return tuple(required for one in requirements for required in _judged(evaluation, one))


def _judged(evaluation: Evaluation, one: Requirement) -> list[Required]:
    if one.pair is not None:
        value = _difference(evaluation, one, *one.pair)
        return [_required(one, None, value, "" if value is not None else "there is no item that both have a score of")]
    reference = evaluation.asked.reference
    candidates = [side for side in evaluation.sides if side.variant != reference] or list(evaluation.sides)
    if one.variant is not None:
        candidates = [side for side in evaluation.sides if side.variant == one.variant]
    made = []
    for side in candidates:
        if one.name in _OF_A_SIDE and not one.field:
            made.append(_required(one, side.variant, _OF_A_SIDE[one.name](side), "it is unknown of some answers, or of all"))
        else:
            mean = next(mean for mean in side.means if mean.scorer == one.name)
            made.append(_required(one, side.variant, _OF_A_MEAN[one.field](mean), "no answer has a score"))
    return made


def _difference(evaluation: Evaluation, one: Requirement, first: str, second: str) -> float | None:
    """By the evaluation's first scorer; of a pair that was compared the other way round, the same turned round."""
    scorer = evaluation.asked.scorers[0]
    for found in evaluation.differences:
        if found.scorer == scorer and (found.first, found.second) == (first, second):
            return _OF_A_DIFFERENCE[one.field](found)
        if found.scorer == scorer and (found.first, found.second) == (second, first):
            turned = {"mean": -found.difference, "low": -found.high, "high": -found.low, "p": found.p_adjusted}
            return turned[one.field]
    return None


def _required(one: Requirement, variant: str | None, value: float | None, why: str) -> Required:
    is_met = value is not None and _SIGNS[one.sign](value, one.bound)
    return Required(said=one.said, variant=variant, measured=value, is_met=is_met, why=why if value is None else "")
