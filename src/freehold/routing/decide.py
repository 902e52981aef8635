"""Compiles a program into a function that picks the variant for one call: nested closures over the constants, no text is executed.

A decision never raises and never waits. A fact that is absent makes a comparison false and `!=` true; a number that is NaN, or is
wanted and absent, satisfies no order at all. `not` turns each comparison inside it into its opposite (`not a < b` is `a >= b`), so that an
unknown number opens no rule, negated or not.
"""

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from freehold.routing.check import check_total
from freehold.routing.syntax import (
    SCORE_FIELDS,
    Action,
    And,
    Comparator,
    Compare,
    Condition,
    Constant,
    Contains,
    Fact,
    In,
    Not,
    Operand,
    Or,
    Program,
    Score,
    Tag,
    Try,
    Use,
    UseCheapest,
    operands,
    walk,
)


class VariantScores(msgspec.Struct, frozen=True):
    """What a variant is expected to do on one call; None is unknown."""

    predicted_loss: float | None = None
    predicted_cost: float | None = None
    """USD."""
    predicted_latency_s: float | None = None


class Facts(msgspec.Struct, frozen=True):
    """What a decision sees of a call."""

    values: Mapping[str, float | str | bool]
    """Surface features, `task` and `region`."""
    tags: Mapping[str, str] = {}
    scores: Mapping[str, VariantScores] = {}


class Decision(msgspec.Struct, frozen=True):
    """A variant, and what follows if its answer is refused."""

    variant: str
    rule: int
    """The 0-based rule that decided."""
    accept: Callable[[Mapping[str, float]], bool] | None = None
    """Told what is known of the answer (names.ANSWER), says whether it will do; None where any answer does."""
    then: "Decision | None" = None
    """What to ask when `accept` says no; None exactly where `accept` is."""


UNKNOWN = VariantScores()

_Test = Callable[[Facts, VariantScores], bool]
"""A condition: the call's facts and, within `where`, the candidate's scores."""
_Choose = Callable[[Facts], Decision | None]
_Read = Callable[[Facts, VariantScores], Any]
_Compare = Callable[[Any, Any], bool]

_OPPOSITE: dict[Comparator, Comparator] = {"==": "!=", "!=": "==", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def compile_program(program: Program) -> Callable[[Facts], Decision]:
    """The program as a function of a call's facts.

    Raises:
        PolicyError: now, not later, where the program has no answer for some call.
    """
    check_total(program)
    *rules, last = [(_test(rule.condition), _choose(rule.action, index)) for index, rule in enumerate(program.rules)]
    otherwise = last[1]

    def decide(facts: Facts) -> Decision:
        for holds, choose in rules:
            if holds(facts, UNKNOWN):
                decision = choose(facts)
                if decision is not None:
                    return decision
        decision = otherwise(facts)
        assert decision is not None  # check_total
        return decision

    return decide


def variants_used(program: Program) -> tuple[str, ...]:
    """The variants that a decision may name, in order of appearance."""
    seen: dict[str, None] = {}
    for rule in program.rules:
        for node in walk(rule.action):
            if isinstance(node, UseCheapest):
                seen |= dict.fromkeys(node.variants)
            elif isinstance(node, Use | Try):
                seen[node.variant] = None
    return tuple(seen)


def scores_used(program: Program) -> tuple[str, ...]:
    """The variants whose scores a decision may look at, in order of appearance: nothing else needs to be predicted."""
    seen: dict[str, None] = {}
    for rule in program.rules:
        for node in (*walk(rule.condition), *walk(rule.action)):
            if isinstance(node, UseCheapest):
                seen |= dict.fromkeys(node.variants)
            seen |= {side.variant: None for side in operands(node) if isinstance(side, Score)}
    return tuple(seen)


def facts_used(program: Program) -> frozenset[str]:
    """The names of the facts that a decision may look at: nothing else needs to be found out."""
    seen: set[str] = set()
    for rule in program.rules:
        for node in (*walk(rule.condition), *walk(rule.action)):
            seen |= {side.name for side in operands(node) if isinstance(side, Fact)}
    return frozenset(seen)


def _choose(action: Action, rule: int) -> _Choose:
    match action:
        case Use(variant):
            decision = Decision(variant, rule)
            return lambda facts: decision
        case UseCheapest(variants, where):
            return _cheapest(tuple((variant, Decision(variant, rule)) for variant in variants), where)
        case Try(variant, accept, then):
            return _chain(variant, rule, _accept(accept), _choose(then, rule))


def _chain(variant: str, rule: int, accept: Callable[[Mapping[str, float]], bool], then: _Choose) -> _Choose:
    def choose(facts: Facts) -> Decision | None:
        following = then(facts)
        return None if following is None else Decision(variant, rule, accept, following)

    return choose


def _accept(condition: Condition) -> Callable[[Mapping[str, float]], bool]:
    holds = _test(condition)
    return lambda answer: bool(holds(Facts(answer), UNKNOWN))


def _cheapest(candidates: tuple[tuple[str, Decision], ...], where: Condition | None) -> _Choose:
    """The two limits that certified programs set are compared in the loop: as closures, sixty candidates would take four times as long."""
    max_loss, max_latency_s, rest = _limits(where)

    def choose(facts: Facts) -> Decision | None:
        best, best_cost, scores = None, math.inf, facts.scores
        for variant, decision in candidates:
            candidate = scores.get(variant, UNKNOWN)
            if max_loss is not None:
                loss = candidate.predicted_loss
                if loss is None or not loss <= max_loss:
                    continue
            if max_latency_s is not None:
                latency_s = candidate.predicted_latency_s
                if latency_s is None or not latency_s <= max_latency_s:
                    continue
            cost = candidate.predicted_cost
            if cost is not None and cost < best_cost:  # an unknown cost, None or NaN, is lower than none
                if rest is None or rest(facts, candidate):
                    best, best_cost = decision, cost
            elif best is None and (rest is None or rest(facts, candidate)):
                best = decision
        return best

    return choose


def _limits(where: Condition | None) -> tuple[float | None, float | None, _Test | None]:
    """`where` as the most that loss and latency may be, and a test of what else it says; each None where it says nothing."""
    limits: dict[str, float] = {}
    rest: list[_Test] = []
    for part in where.parts if isinstance(where, And) else [where] if where else []:
        match part:
            case Compare(Fact("predicted_loss" | "predicted_latency_s" as name), "<=" | "<" as op, float() | int() as limit):
                most = limit if op == "<=" else math.nextafter(limit, -math.inf)
                limits[name] = min(most, limits.get(name, math.inf))
            case _:
                rest.append(_test(part))
    return limits.get("predicted_loss"), limits.get("predicted_latency_s"), _all(tuple(rest)) if rest else None


def _test(condition: Condition | None, is_negated: bool = False) -> _Test:
    match condition:
        case None:
            return lambda facts, candidate: True
        case Constant(value):
            result = value is not is_negated
            return lambda facts, candidate: result
        case Not(part):
            return _test(part, not is_negated)
        case And(parts) | Or(parts):
            tests = tuple(_test(part, is_negated) for part in parts)
            return _all(tests) if isinstance(condition, And) is not is_negated else _any(tests)
        case Compare(left, op, right):
            op = _OPPOSITE[op] if is_negated else op
            if isinstance(right, Operand):
                return _compare_names(left, _COMPARE[op], right, op == "!=")
            return _compare(left, _COMPARE[op], right, op == "!=")
        case In(left, values):
            return _compare(left, _is_none_of if is_negated else _is_one_of, values, is_negated)
        case Contains(left, text):
            return _compare(left, _lacks if is_negated else _holds, text, is_negated)


def _all(tests: tuple[_Test, ...]) -> _Test:
    def test(facts: Facts, candidate: VariantScores) -> bool:
        for holds in tests:  # noqa: SIM110 (a generator costs more than most tests)
            if not holds(facts, candidate):
                return False
        return True

    return tests[0] if len(tests) == 1 else test


def _any(tests: tuple[_Test, ...]) -> _Test:
    def test(facts: Facts, candidate: VariantScores) -> bool:
        for holds in tests:  # noqa: SIM110
            if holds(facts, candidate):
                return True
        return False

    return test


def _compare(left: Operand, compare: _Compare, right: object, absent: bool) -> _Test:
    """`compare(left, right)`, or `absent` where the left side is unknown or of another type: a closure per place to look a name up in."""
    match left:
        case Fact(name) if name in SCORE_FIELDS:
            get = operator.attrgetter(name)

            def test(facts: Facts, candidate: VariantScores) -> bool:
                found = get(candidate)
                try:
                    return absent if found is None else compare(found, right)
                except TypeError:
                    return absent

        case Fact(name):

            def test(facts: Facts, candidate: VariantScores) -> bool:
                found = facts.values.get(name)
                try:
                    return absent if found is None else compare(found, right)
                except TypeError:
                    return absent

        case Tag(key):

            def test(facts: Facts, candidate: VariantScores) -> bool:
                found = facts.tags.get(key)
                try:
                    return absent if found is None else compare(found, right)
                except TypeError:
                    return absent

        case _:
            read = _read(left)

            def test(facts: Facts, candidate: VariantScores) -> bool:
                found = read(facts, candidate)
                try:
                    return absent if found is None else compare(found, right)
                except TypeError:
                    return absent

    return test


def _compare_names(left: Operand, compare: _Compare, right: Operand, absent: bool) -> _Test:
    read_left, read_right = _read(left), _read(right)

    def test(facts: Facts, candidate: VariantScores) -> bool:
        found, other = read_left(facts, candidate), read_right(facts, candidate)
        try:
            return absent if found is None or other is None else compare(found, other)
        except TypeError:
            return absent

    return test


def _read(operand: Operand) -> _Read:
    """The operand's value; None where it is absent."""
    match operand:
        case Fact(name) if name in SCORE_FIELDS:
            get = operator.attrgetter(name)
            return lambda facts, candidate: get(candidate)
        case Fact(name):
            return lambda facts, candidate: facts.values.get(name)
        case Tag(key):
            return lambda facts, candidate: facts.tags.get(key)
        case Score(variant, name):
            get = operator.attrgetter(name)
            return lambda facts, candidate: get(facts.scores.get(variant, UNKNOWN))


def _differs(found: Any, other: Any) -> bool:
    return bool(found != other and found == found and other == other)  # a NaN differs from itself


def _is_one_of(found: Any, values: Any) -> bool:
    return found in values


def _is_none_of(found: Any, values: Any) -> bool:
    return found not in values and found == found


def _holds(found: Any, text: Any) -> bool:
    return isinstance(found, str) and text in found


def _lacks(found: Any, text: Any) -> bool:
    return not _holds(found, text)


_COMPARE: dict[Comparator, _Compare] = {
    "==": operator.eq,
    "!=": _differs,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
