"""Does a program fit its task: names that exist, types that agree, an answer for every call."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from freehold.errors import PolicyError, nearest
from freehold.routing.names import ANSWER, SCORES, SURFACE_DOC, TAG, Kind, Name, call_names, candidate_names
from freehold.routing.program import parse, show, show_operand
from freehold.routing.syntax import (
    Action,
    Compare,
    Condition,
    Contains,
    Fact,
    In,
    Operand,
    Program,
    Score,
    Tag,
    Try,
    Use,
    UseCheapest,
    Value,
    walk,
)
from freehold.routing.tokens import Place, clipped, number_text, quoted


class Scope(msgspec.Struct, frozen=True):
    """What a task offers to its policies."""

    task: str
    variants: tuple[str, ...]
    reference: str
    """May always be used, whether `variants` lists it or not."""
    regions: tuple[str, ...] = ()
    """Empty where no map was drawn: then any region may be named."""
    tags: tuple[str, ...] | None = None
    """The tags that calls carry; None where any may come."""
    features: Mapping[str, str] = msgspec.field(default_factory=lambda: SURFACE_DOC)
    """The surface features, each with its one line."""


def check(program: Program, scope: Scope) -> None:
    """Passes a program that can be served for `scope.task`. A program that code has built is judged by its canonical text.

    Raises:
        PolicyError: at the first place that is wrong, with the nearest name that would be right.
    """
    if not _is_placed(program):
        program = parse(show(program))
    if program.task != scope.task:
        raise PolicyError(f"the program is for task '{clipped(program.task)}', not for '{scope.task}'.", *program.places[0])
    check_total(program)
    for rule in program.rules:
        if rule.condition is not None:
            check_condition(rule.condition, scope)
        _check_action(rule.action, scope)


def check_condition(condition: Condition, scope: Scope) -> None:
    """Passes a condition that may stand behind `when` in a program of `scope.task`. Raises PolicyError as `check`."""
    _check_condition(condition, _Room("when", call_names(scope.features), scope))


def check_total(program: Program) -> None:
    """Passes a program that has an answer for every call: its last rule, and no other, is an `otherwise` that cannot come out empty.

    Raises:
        PolicyError: at the line of the rule in question; line 1 in a program that code has built.
    """
    if not program.rules or program.rules[-1].condition is not None:
        line = program.rules[-1].line if program.rules else 1
        raise PolicyError("the last rule has to be an 'otherwise', so that every call is answered.", max(line, 1), 1)
    for rule in program.rules[:-1]:
        if rule.condition is None:
            raise PolicyError("the rules behind this 'otherwise' are never reached; make it the last.", max(rule.line, 1), 1)
    last = program.rules[-1]
    if any(isinstance(node, UseCheapest) and node.where is not None for node in walk(last.action)):
        raise PolicyError("the last rule has no 'where', because all candidates may fail it.", max(last.line, 1), 1)


def _is_placed(program: Program) -> bool:
    nodes = [node for rule in program.rules for node in (*walk(rule.condition), *walk(rule.action))]
    return bool(program.places) and all(getattr(node, "places", True) for node in nodes)


class _Room(NamedTuple):
    """Where a condition stands, and which names stand alone there."""

    keyword: str
    names: Mapping[str, Name]
    scope: Scope


def _check_action(action: Action, scope: Scope) -> None:
    match action:
        case Use(variant, places):
            _check_variant(variant, places[0], scope)
        case UseCheapest(variants, where, places):
            for variant, place in zip(variants, places, strict=True):
                _check_variant(variant, place, scope)
            if where is not None:
                _check_condition(where, _Room("where", candidate_names(scope.features), scope))
        case Try(variant, accept, then, places):
            _check_variant(variant, places[0], scope)
            _check_condition(accept, _Room("accept", ANSWER, scope))
            _check_action(then, scope)


def _check_condition(condition: Condition, room: _Room) -> None:
    for node in walk(condition):
        match node:
            case Compare(left, op, right, places):
                kind = _kind(left, places[0], room)
                if places[0] == places[1] and kind != "bool":
                    raise PolicyError(f"{_said(left)} is a {kind} and says nothing alone; compare it with something.", *places[0])
                if kind != "number" and op not in ("==", "!="):
                    raise PolicyError(f"{_said(left)} is a {kind} and has no order: '{op}' compares numbers only.", *places[0])
                _check_pair(left, kind, right, places[1], room)
            case In(left, values, places):
                kind = _kind(left, places[0], room)
                for value, place in zip(values, places[1:], strict=True):
                    _check_pair(left, kind, value, place, room)
            case Contains(left, _, places):
                kind = _kind(left, places[0], room)
                if kind != "text":
                    raise PolicyError(f"{_said(left)} is a {kind}: 'contains' looks into text only.", *places[0])
            case _:
                pass


def _check_pair(left: Operand, kind: Kind, right: Operand | Value, place: Place, room: _Room) -> None:
    right_kind = _kind(right, place, room)
    if right_kind != kind:
        raise PolicyError(f"{_said(left)} is a {kind} and {_said(right)} a {right_kind}: they never compare.", *place)
    known = _values_of(left, room.scope)
    if known and isinstance(right, str) and right not in known:
        raise PolicyError(f"there is no {_said(left)} {_said(right)}.{nearest(clipped(right), known)}", *place)


def _kind(operand: Operand | Value, place: Place, room: _Room) -> Kind:
    """What type `operand` has, once it is known to exist where it stands."""
    match operand:
        case bool():
            return "bool"
        case str():
            return "text"
        case float() | int():
            return "number"
        case Fact(name):
            if name not in room.names:
                raise PolicyError(f"'{room.keyword}' knows no {_said(operand)}.{_elsewhere(name, room)}", *place)
            return room.names[name].kind
        case _ if room.keyword == "accept":
            raise PolicyError(f"'accept' looks at the answer alone, not at {_said(operand)}. Known: {', '.join(sorted(ANSWER))}.", *place)
        case Tag(key):
            tags = room.scope.tags
            if tags is not None and key not in tags:
                raise PolicyError(f"no call carries a tag '{clipped(key)}'.{nearest(clipped(key), tags)}", *place)
            return TAG.kind
        case Score(variant, name):
            _check_variant(variant, place, room.scope)
            return SCORES[name].kind


def _check_variant(variant: str, place: Place, scope: Scope) -> None:
    known = {*scope.variants, scope.reference}
    if variant not in known:
        raise PolicyError(f"task '{scope.task}' has no variant '{clipped(variant)}'.{nearest(clipped(variant), known)}", *place)


def _values_of(operand: Operand, scope: Scope) -> tuple[str, ...]:
    """All that `operand` can be, where that is known."""
    match operand:
        case Fact("task"):
            return (scope.task,)
        case Fact("region"):
            return scope.regions
        case _:
            return ()


def _elsewhere(name: str, room: _Room) -> str:
    """Where an unknown name would be known, or the nearest that is known here."""
    if room.keyword != "accept" and name in ANSWER:
        return " It is known after the answer only, within 'accept'."
    for score in SCORES:
        if room.keyword == "when" and name == score:
            return f" Say whose it is, as in {show_operand(Score(room.scope.reference, score))}."
    return nearest(clipped(name), set(room.names))


def _said(operand: Operand | Value) -> str:
    if isinstance(operand, Operand):
        return f"'{clipped(show_operand(operand))}'"
    if isinstance(operand, str):
        return clipped(quoted(operand))
    return ("true" if operand else "false") if isinstance(operand, bool) else number_text(operand)
