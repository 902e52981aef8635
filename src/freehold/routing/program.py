"""Policy programs as text: `parse` reads one, `show` writes its canonical form, `digest` is its identity."""

import hashlib

from freehold.routing.reader import MAX_DEPTH, MAX_RULES, Reader
from freehold.routing.syntax import (
    Action,
    And,
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
    Rule,
    Score,
    Tag,
    Try,
    Use,
    UseCheapest,
    Value,
)
from freehold.routing.tokens import MAX_BYTES, is_bare, is_word, number_text, quoted, tokenize

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_RULES",
    "Action",
    "And",
    "Compare",
    "Condition",
    "Constant",
    "Contains",
    "Fact",
    "In",
    "Not",
    "Operand",
    "Or",
    "Program",
    "Rule",
    "Score",
    "Tag",
    "Try",
    "Use",
    "UseCheapest",
    "digest",
    "parse",
    "parse_condition",
    "show",
    "show_action",
    "show_condition",
    "show_operand",
    "show_rule",
]


def parse(source: str | bytes) -> Program:
    """The program that `source` spells; `check.check` says whether it fits a task.

    Raises:
        PolicyError: at the place where `source` stops being a program, with what stood there and what may stand there.
    """
    return Reader(tokenize(source)).program()


def parse_condition(source: str) -> Condition:
    """The condition that `source` spells, as it may stand behind `when`. Raises PolicyError as `parse`."""
    return Reader(tokenize(source)).condition()


def digest(program: Program) -> str:
    """The program's identity: SHA-256 of its canonical text, in hex. Comments and spacing do not count."""
    return hashlib.sha256(show(program).encode()).hexdigest()


def show(program: Program) -> str:
    """The canonical text: one rule a line, single spaces, quotes and parentheses only where needed. `parse(show(p)) == p`."""
    return "\n".join([f"task {_name(program.task)}", *map(show_rule, program.rules)]) + "\n"


def show_rule(rule: Rule) -> str:
    """One line of the canonical text."""
    head = "otherwise" if rule.condition is None else f"when {show_condition(rule.condition)}"
    return f"{head} {show_action(rule.action)}"


def show_action(action: Action) -> str:
    match action:
        case Use(variant):
            return f"use {_name(variant)}"
        case UseCheapest(variants, where):
            condition = "" if where is None else f" where {show_condition(where)}"
            return f"use cheapest of {', '.join(map(_name, variants))}{condition}"
        case Try(variant, accept, then):
            tail = _name(then.variant) if isinstance(then, Use) else show_action(then)
            return f"try {_name(variant)} accept {show_condition(accept)} then {tail}"


def show_condition(condition: Condition) -> str:
    match condition:
        case Compare(left, op, right):
            return f"{show_operand(left)} {op} {show_operand(right) if isinstance(right, Operand) else _value(right)}"
        case In(left, values):
            return f"{show_operand(left)} in ({', '.join(map(_value, values))})"
        case Contains(left, text):
            return f"{show_operand(left)} contains {quoted(text)}"
        case Constant(value):
            return _value(value)
        case Not(part):
            return f"not {_inside(part, And, Or)}"
        case And(parts):
            return " and ".join(_inside(part, Or) for part in parts)
        case Or(parts):
            return " or ".join(map(show_condition, parts))


def show_operand(operand: Operand) -> str:
    match operand:
        case Fact(name):
            return name
        case Tag(key):
            return f"tag.{key if is_word(key) else quoted(key)}"
        case Score(variant, name):
            # Bare, a variant of the name `tag` would read as a tag.
            is_taglike = variant.partition(".")[0] == "tag"
            return f"{quoted(variant) if is_taglike else _name(variant)}.{name}"


def _inside(part: Condition, *looser: type[And] | type[Or]) -> str:
    text = show_condition(part)
    return f"({text})" if isinstance(part, looser) else text


def _name(name: str) -> str:
    return name if is_bare(name) else quoted(name)


def _value(value: Value) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value)
