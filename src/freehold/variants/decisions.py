"""A decision list: rules of words that stand in a text, the first of which that fits gives the answer, written as Python that people read and change.

What is written is a program, and is read back as data: where its frame is the one of this file, to the letter of its syntax, its table alone is
taken from it, and nothing of it is run. Source: Rivest, 1987, "Learning decision lists".
"""

import ast
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from freehold.chat import JSON
from freehold.variants.specialist import Answered

MOST_CHARS: Final = 4_000
"""Of a text that are looked at."""
MOST_RULES: Final = 2_000
_FRAME = '''def words(text):
    """The words of a text and its ? and !, between ^ and $."""
    spaced = "".join([c if c.isalnum() else " " + c + " " if c in "?!" else " " for c in text.lower()[:4000]])
    return " ^ " + " ".join(spaced.split()) + " $ "


def answer(text):
    """The answer of the first rule that fits, or that most words of the text speak for; None where neither is sure, and somebody else is asked."""
    said = words(text)
    for found, has, lacks, sure in RULES:
        if all([" " + one + " " in said for one in has]) and not any([" " + one + " " in said for one in lacks]):
            return found
    least, ahead, sure, many = VOTES
    counts = sorted([(len([one for one in some if " " + one + " " in said]), n) for n, (found, some) in enumerate(many)], reverse=True)
    if counts and counts[0][0] >= least and (len(counts) < 2 or counts[0][0] >= counts[1][0] + ahead):
        return many[counts[0][1]][0]
    return None
'''
_TOKENS = re.compile(r"[^\W_]+|[?!]")


class Rule(NamedTuple):
    """A line of the table."""

    answer: JSON
    """What is answered where it fits."""
    has: tuple[str, ...]
    """Words or phrases that all have to stand in the text."""
    lacks: tuple[str, ...] = ()
    """Such that must not."""
    sure: float = 1.0
    """How probable its answer is, in [0, 1]."""
    note: str = ""
    """What stands behind it, for whoever reads the program."""


class Votes(NamedTuple):
    """What is answered where no rule fits: the answer that enough words of the text speak for."""

    least: int = 1
    """Words at least,"""
    ahead: int = 1
    """and so many more than for any other."""
    sure: float = 0.0
    """How probable the answer then is."""
    many: tuple[tuple[JSON, tuple[str, ...]], ...] = ()
    """Answers with the words that speak for each."""
    note: str = ""
    """As of `Rule`."""


NO_VOTES: Final = Votes()


def words(text: str) -> str:
    """The words of a text and its ? and !, between ^ and $: the same as the program's own function gives."""
    return f" ^ {' '.join(_TOKENS.findall(text.lower()[:MOST_CHARS]))} $ "


class DecisionList:
    """As of `Answerer`."""

    is_quick = True

    def __init__(self, rules: Sequence[Rule], size_bytes: int, votes: Votes = NO_VOTES) -> None:
        self.rules = tuple(rules)
        """In their order."""
        self.votes = votes
        """What is answered where none fits."""
        self._speaking: dict[str, list[int]] = {}
        for n, (_, some) in enumerate(votes.many):
            for one in dict.fromkeys(some):
                self._speaking.setdefault(one, []).append(n)
        self.size_bytes = size_bytes
        self._looked_for = [
            (
                f" {rule.has[0]} ",
                [f" {one} " for one in rule.has[1:]],
                [f" {one} " for one in rule.lacks],
                n,
                Answered(rule.answer, rule.sure),
            )
            for n, rule in enumerate(self.rules)
        ]

    def answer(self, texts: Sequence[str]) -> list[Answered | None]:
        """As of `Answerer`."""
        return [self._voted(text) if (n := self.fitting(text)) is None else self._looked_for[n][4] for text in texts]

    def _voted(self, text: str) -> Answered | None:
        votes = self.votes
        if not votes.many:
            return None
        counts: dict[int, int] = {}
        for token in set(_TOKENS.findall(text.lower()[:MOST_CHARS])):
            for n in self._speaking.get(token, ()):
                counts[n] = counts.get(n, 0) + 1
        if not counts:
            return None
        first = max(counts, key=counts.__getitem__)
        most = counts.pop(first)
        if most < votes.least or (len(votes.many) > 1 and most < max(counts.values(), default=0) + votes.ahead):
            return None
        return Answered(votes.many[first][0], votes.sure)

    def fitting(self, text: str) -> int | None:
        """The place of the first rule that fits; None where none does."""
        said = words(text)
        for first, others, lacks, n, _ in self._looked_for:
            if first in said:
                for one in others:
                    if one not in said:
                        break
                else:
                    for one in lacks:
                        if one in said:
                            break
                    else:
                        return n
        return None


def written(rules: Sequence[Rule], about: str, votes: Votes = NO_VOTES) -> str:
    """The program of these rules. `about`: what its docstring says first."""
    said = about.replace("\\", " ").replace('"', "'")
    lines = [
        f'"""{said}"""',
        "",
        "# The answer, what has to stand in the text, what must not, and how probable the answer then is.",
        "RULES = [",
        *(
            f"    ({rule.answer!r}, {list(rule.has)!r}, {list(rule.lacks)!r}, {rule.sure:.3g}),{'  # ' * bool(rule.note)}{rule.note}"
            for rule in rules
        ),
        "]",
        "",
        "# Where none fits: so many words of one answer, so many more than of any other, and how probable that answer then is.",
        f"VOTES = ({votes.least}, {votes.ahead}, {votes.sure:.3g}, [{'  # ' * bool(votes.note)}{votes.note}",
        *(f"    ({answer!r}, {list(some)!r})," for answer, some in votes.many),
        "])",
        "",
        "",
        "",
    ]
    return "\n".join(lines) + _FRAME


def read(source: str) -> DecisionList | None:
    """The decision list of a program; None for a program of another frame, which is no data."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    body = [one for one in tree.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    if len(body) != 4 or [ast.dump(one) for one in body[2:]] != _FRAME_TREE:
        return None
    rows, votes = _value(body[0], "RULES"), _votes(_value(body[1], "VOTES"))
    if not isinstance(rows, list) or votes is None:
        return None
    rules = [_rule(row) for row in rows]
    kept = [rule for rule in rules if rule is not None]
    return DecisionList(kept, len(source), votes) if len(kept) == len(rules) <= MOST_RULES else None


def _value(statement: ast.stmt, name: str) -> object:
    """The value that a name is given; None where that is none or no literal."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=given)], value=value) if given == name:
            try:
                found: object = ast.literal_eval(value)
            except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                return None
            return found
    return None


def _votes(value: object) -> Votes | None:
    match value:
        case (int(least), int(ahead), int(sure) | float(sure), [*many]) if least >= 1 and ahead >= 1 and 0 <= sure <= 1:
            found = [
                (row[0], tuple(one for one in row[1] if isinstance(one, str) and _TOKENS.fullmatch(one)))
                for row in many
                if isinstance(row, tuple) and len(row) == 2 and isinstance(row[1], list) and _is_json(row[0])
            ]
            if [(answer, list(some)) for answer, some in found] == many and len(many) <= MOST_RULES:
                return Votes(least, ahead, float(sure), tuple(found))
    return None


def _rule(row: object) -> Rule | None:
    match row:
        case (answer, [*has], [*lacks], int(sure) | float(sure)) if has and 0 <= sure <= 1 and _is_json(answer):
            there, not_there = (tuple(one for one in some if isinstance(one, str)) for some in (has, lacks))
            if (len(there), len(not_there)) == (len(has), len(lacks)):
                return Rule(answer, there, not_there, float(sure))
    return None


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(one) for key, one in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int | float | bool)


_FRAME_TREE = [ast.dump(one) for one in ast.parse(_FRAME).body]
