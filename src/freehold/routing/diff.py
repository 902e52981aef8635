"""What changed between two programs, rule by rule on canonical text: the order of a decision list is part of its meaning."""

from collections.abc import Callable, Hashable
from difflib import SequenceMatcher
from typing import Literal

import msgspec

from freehold.routing.program import digest, show_condition, show_operand, show_rule
from freehold.routing.syntax import Compare, In, Program, Rule, walk
from freehold.routing.tokens import number_text, tokenize

ChangeKind = Literal["task", "added", "removed", "moved", "changed"]


class Threshold(msgspec.Struct, frozen=True):
    """A number that differs."""

    name: str
    """What is compared with it: `chars <`."""
    before: float
    after: float


class Change(msgspec.Struct, frozen=True):
    """One difference. Rules are named by their 0-based index, None on the side that lacks the rule."""

    kind: ChangeKind
    before_rule: int | None
    after_rule: int | None
    before: str
    """Canonical text; empty where there is none."""
    after: str
    thresholds: tuple[Threshold, ...] = ()
    """Where numbers are all that differs."""


def diff(before: Program, after: Program) -> list[Change]:
    """The differences in the order of the later program, what was removed last; empty exactly if the digests agree.

    A rule that differs is `changed`, not removed and added, where only its numbers differ or its condition is the same.
    """
    old, new = list(map(show_rule, before.rules)), list(map(show_rule, after.rules))
    kept = _kept(old, new)
    pairs = dict(kept)
    keys: tuple[Callable[[Rule], Hashable], ...] = (show_rule, _shape, _condition)
    for key in keys:
        pairs |= _pair(key, before, after, pairs)
    changes = [Change("task", None, None, before.task, after.task)] if before.task != after.task else []
    for index, text in enumerate(new):
        if index not in pairs:
            changes.append(Change("added", None, index, "", text))
        elif index not in kept:
            changes.append(_change(before.rules[pairs[index]], after.rules[index], pairs[index], index))
    gone = set(range(len(old))) - set(pairs.values())
    return changes + [Change("removed", index, None, old[index], "") for index in sorted(gone)]


def show_diff(before: Program, after: Program) -> str:
    """The differences for a person, rules counted from 1; `same program` where there are none."""
    changes = diff(before, after)
    return "\n".join(map(_shown, changes)) if changes else f"same program ({digest(after)[:12]})"


def _kept(old: list[str], new: list[str]) -> dict[int, int]:
    """The rules that stayed as they were and in order: index in the later program -> in the earlier."""
    blocks = SequenceMatcher(a=old, b=new, autojunk=False).get_matching_blocks()
    return {block.b + i: block.a + i for block in blocks for i in range(block.size)}


def _pair(key: Callable[[Rule], Hashable], before: Program, after: Program, pairs: dict[int, int]) -> dict[int, int]:
    """More pairs, of rules that are in none so far and have the same `key`; first with first."""
    waiting: dict[Hashable, list[int]] = {}
    for index in sorted(set(range(len(before.rules))) - set(pairs.values()), reverse=True):
        waiting.setdefault(key(before.rules[index]), []).append(index)
    found: dict[int, int] = {}
    for index, rule in enumerate(after.rules):
        if index not in pairs and (alike := waiting.get(key(rule))):
            found[index] = alike.pop()
    return found


def _shape(rule: Rule) -> tuple[tuple[str, str], ...]:
    """The rule with its numbers left out."""
    return tuple((token.kind, "" if token.kind == "number" else token.text) for token in tokenize(show_rule(rule)))


def _condition(rule: Rule) -> str:
    return "otherwise" if rule.condition is None else show_condition(rule.condition)


def _change(old: Rule, new: Rule, old_index: int, new_index: int) -> Change:
    if show_rule(old) == show_rule(new):
        return Change("moved", old_index, new_index, show_rule(old), show_rule(new))
    thresholds: tuple[Threshold, ...] = ()
    if _shape(old) == _shape(new):
        pairs = zip(_numbers(old), _numbers(new), strict=True)
        thresholds = tuple(Threshold(name, was, now) for (name, was), (_, now) in pairs if was != now)
    return Change("changed", old_index, new_index, show_rule(old), show_rule(new), thresholds)


def _numbers(rule: Rule) -> list[tuple[str, float]]:
    """The rule's numbers as they are written, each with what is compared with it."""
    found: list[tuple[str, float]] = []
    for node in (*walk(rule.condition), *walk(rule.action)):
        match node:
            case Compare(left, op, float() | int() as number) if not isinstance(number, bool):
                found.append((f"{show_operand(left)} {op}", number))
            case In(left, values):
                found += [(f"{show_operand(left)} in", value) for value in values if not isinstance(value, str)]
            case _:
                pass
    return found


def _shown(change: Change) -> str:
    match change:
        case Change(kind="task"):
            return f"task     {change.before} → {change.after}"
        case Change(before_rule=None, after_rule=int(index)):
            return f"added    rule {index + 1}: {change.after}"
        case Change(before_rule=int(index), after_rule=None):
            return f"removed  rule {index + 1}: {change.before}"
        case Change(before_rule=int(old), after_rule=int(new)):
            where = f"{change.kind:8} rule {old + 1}" + ("" if old == new else f" → {new + 1}")
            if change.kind == "moved":
                return f"{where}: {change.after}"
            numbers = ", ".join(f"{item.name} {number_text(item.before)} → {number_text(item.after)}" for item in change.thresholds)
            return f"{where}: {numbers or 'another action'}\n  - {change.before}\n  + {change.after}"
        case _:
            raise AssertionError(change)
