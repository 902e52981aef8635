"""One choice or one number among a model's words: what stands there is given as JSON, and only where exactly one stands there.

A choice counts as a whole word, whatever its case; the longest one counts where one is within another. One letter counts in its own case and
not as the beginning of a sentence, `yes` and `no` only where they are all or end a clause. A choice that is denied (`not cards`) makes the
words unclear. Where several stand there, only what the last mark names counts: `####`, `\\boxed{}`, `answer is`, `answer:`.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from freehold.pipelines.mend import Repair

MOST_CHARS = 32 * 1024
"""Longer words are not searched."""

_EDGES = " \t\r\n\"'`*_.!,;:()[]“”‘’"
_MARK = re.compile(r"####|\\boxed\{|\b(?:final\s+)?answer\s*(?:\*\*)?\s*(?:\bis\b|:|=)(?:\*\*)?:?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=\w)[*_\"')]*[.!?;](?=\s)")
_DENIED = re.compile(r"""(?:\b(?:not|never|neither|nor|without|except)|n['’]t)\s+(?:(?:a|an|the|in|for)\s+)?["'`*“]*\Z""", re.IGNORECASE)
_CURRENCY = r"(?:[$€£¥₹]|\\\$|US\$|USD|EUR|GBP|CHF|Rs\.?)"
_BY = ",'’\u00a0\u202f"
_DIGITS = re.compile(
    rf"(?<![\w.,])(?P<sign>[-+−]\s?)?(?:{_CURRENCY}\s?)?(?P<inner>[-−])?(?P<digits>\.?\d[\d.{_BY}]*(?:(?<=\d)[eE][-+]?\d+)?)"
)
_PLAIN = re.compile(rf"(?:\d{{1,3}}(?P<by>[{_BY}])\d{{3}}(?:(?P=by)\d{{3}})*|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?\Z", re.ASCII)
_MINUS = re.compile(r"\b(?:minus|negative)\s+\Z", re.IGNORECASE)
_OF_A_TERM_BEFORE = re.compile(r"(?:√|\\d?frac\{|\\sqrt\{)\s*\Z")
_OF_A_TERM_AFTER = re.compile(
    r"\s*(?:[π√²³^]|\\pi|\\sqrt|!\B(?!\s|\Z)|(?:hundred|thousand|million|billion|trillion|dozen|lakh|crore)s?\b)|(?:[kmbt]|bn|mn)\b",
    re.IGNORECASE,
)
"""What makes a number another one, such as `5 million` or `2π`."""


class Said(NamedTuple):
    """A value among words."""

    json: str
    """It as JSON."""
    repairs: tuple[Repair, ...]
    """How the words differ from it."""


def choice(words: str, choices: dict[str, str]) -> Said | None:
    """The one choice that stands in these words. `choices`: each one's words, and its JSON."""
    if (bare := words.strip()) in choices:
        return Said(choices[bare], ())
    bare = words.strip(_EDGES)
    if bare in choices:
        return Said(choices[bare], ("choice",))
    folded = {json for name, json in choices.items() if name.casefold() == bare.casefold()}
    if len(folded) == 1:
        return Said(folded.pop(), ("choice", "case"))
    if len(words) > MOST_CHARS or folded:
        return None
    named = _named(words, choices)
    if named is not None and len(named) != 1 and (marked := _marked(words)) is not None:
        named = _named(marked, choices)
    if named is None or len(named) != 1:
        return None
    ((json, spelled),) = named.items()
    return Said(json, ("choice",) if spelled in choices else ("choice", "case"))


def number(words: str) -> Said | None:
    """The one number that stands in these words, or that they mark as the last word on it."""
    if len(words) > MOST_CHARS:
        return None
    words = words.replace("{,}", ",").replace("\\!", "").replace("\\,", "")
    marked = _marked(words)
    for part in (words, marked):
        found = list(_numbers(part)) if part is not None else []
        if len(found) == 1 and found[0] is not None:
            return Said(found[0], () if found[0] == words else ("number",))
    return None


def _named(words: str, choices: dict[str, str]) -> dict[str, str] | None:
    """The choices named in these words: their JSON, and how one was spelled. None where one is denied."""
    folded = {name.casefold(): json for name, json in choices.items()}
    named: dict[str, str] = {}
    for found in _pattern(tuple(choices)).finditer(words):
        spelled = found[0]
        if len(spelled) == 1 and spelled not in choices:
            continue
        if _DENIED.search(words, max(0, found.start() - 24), found.start()):
            return None
        named[choices.get(spelled) or folded[spelled.casefold()]] = spelled
    return named


@lru_cache(maxsize=128)
def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    def one(name: str) -> str:
        if len(name) == 1 and name.isalpha():
            return f"{re.escape(name)}(?!\\s+[a-z])"
        return re.escape(name) + (r"(?=\s*(?:[^\w\s]|\Z))" if name in ("yes", "no") else "")

    either = "|".join(one(name) for name in sorted(names, key=len, reverse=True) if name)
    return re.compile(rf"(?<!\w)(?<!\w[-.'’])(?:{either or '(?!)'})(?!\w|[-.'’]\w)", re.IGNORECASE)


def _marked(words: str) -> str | None:
    """What the last mark names: what is in the box, or the rest of the line."""
    marks = list(_MARK.finditer(words))
    if not marks:
        return None
    begin = marks[-1].end()
    if marks[-1][0].startswith("\\boxed"):
        depth = 1
        for brace in re.finditer(r"[{}]", words[begin:]):
            depth += 1 if brace[0] == "{" else -1
            if depth == 0:
                return words[begin : begin + brace.start()]
        return None
    line = next((line for line in words[begin:].split("\n") if line.strip(" *")), None)
    return _SENTENCE_END.split(line, maxsplit=1)[0] if line is not None else None


def _numbers(words: str) -> Iterable[str | None]:
    """The numbers in these words as JSON; None for digits that are no plain number."""
    for found in _DIGITS.finditer(words):
        begin, digits = found.start("digits"), found["digits"].rstrip(f".{_BY}")
        before = max(0, found.start() - 12)
        is_of_a_term = _OF_A_TERM_BEFORE.search(words, before, begin) or _OF_A_TERM_AFTER.match(words, begin + len(digits))
        if not _PLAIN.match(digits) or is_of_a_term:
            yield None
            continue
        plain = re.sub(f"[{_BY}]", "", digits)
        whole, dot, rest = plain.partition(".")
        is_negative = (found["sign"] or found["inner"] or "+")[0] != "+" or _MINUS.search(words, before, found.start())
        yield ("-" if is_negative else "") + (whole.lstrip("0") or "0") + dot + rest
