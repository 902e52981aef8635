"""Where JSON stands among a model's words: in fences, and between its brackets."""

import re
from json import JSONDecoder
from typing import NamedTuple

from freehold.pipelines.mend import Mended, NoDocument, Repair, mend

MOST_CHARS = 128 * 1024
"""Longer words are searched for what their fences hold and for what lies between their first and their last bracket, and only for valid JSON."""
MOST_DOCUMENTS = 64
"""So many documents of one answer are tried, from the last one back."""

_COST = 32
"""What an opening bracket costs by itself, in characters."""

_FENCE = re.compile(r"(?:```|~~~)[ \t]*(?:[\w+.-]*[ \t]*\r?\n)?")
_FENCE_MARK = re.compile(r"(?:```|~~~)[\w+.-]*")
_BRACKET = re.compile(r"[{\[]")
_ANY_BRACKET = re.compile(r"[{}\[\]]")
_raw_decode = JSONDecoder().raw_decode


class Found(NamedTuple):
    """A document among other words."""

    begin: int
    """Where it begins."""
    end: int
    """Where it ends. Of one that could not be read, where its brackets close, or the end of all words."""
    json: str | None
    """It, where it is valid JSON."""
    mended: Mended | None
    """It, where it could be rewritten. Neither for one that had begun and could not be read on."""


def fenced(words: str) -> list[str]:
    """What stands in the last fences, in order; the very last may have no end."""
    marks = list(_FENCE.finditer(words))
    marks = marks[max(0, len(marks) // 2 - MOST_DOCUMENTS) * 2 :]
    parts = []
    for n in range(0, len(marks), 2):
        end = words.find(marks[n][0][:3], marks[n].end()) if n + 1 == len(marks) else marks[n + 1].start()
        parts.append(words[marks[n].end() : end if end >= 0 else len(words)])
    return parts


def documents(words: str) -> list[Found]:
    """The documents in these words, in order; one within another is not told. Each character is looked at a bounded number of times."""
    found: list[Found] = []
    at, budget = 0, 2 * len(words) + 1000
    while budget > 0 and (bracket := _BRACKET.search(words, at)):
        begin = bracket.start()
        one = _document(words, begin)
        if isinstance(one, Found):
            found.append(one)
            budget -= one.end - begin + _COST
            at = max(one.end, begin + 1)
        else:
            budget -= one.end - begin + _COST
            at = begin + 1
    return found[-MOST_DOCUMENTS:]


def outside(words: str, begin: int, end: int) -> tuple[Repair, ...]:
    """What stands around a document: a fence, prose, both or nothing."""
    around = f"{words[:begin]}\n{words[end:]}"
    without = _FENCE_MARK.sub("", around)
    repairs: tuple[Repair, ...] = ("fence",) if without != around else ()
    return (*repairs, "prose") if without.strip() else repairs


def _document(words: str, begin: int) -> Found | NoDocument:
    try:
        _, end = _raw_decode(words, begin)
    except (ValueError, RecursionError):
        pass
    else:
        return Found(begin, end, words[begin:end], None)
    mended = mend(words, begin, len(words))
    if isinstance(mended, Mended):
        return Found(begin, mended.end, None, mended)
    if not mended.is_broken:
        return mended
    return Found(begin, _closing(words, begin), None, None)


def _closing(words: str, begin: int) -> int:
    """Where the brackets are closed that are opened at `begin`, whatever stands in quotes; the end of all words where they are not."""
    depth = 0
    for bracket in _ANY_BRACKET.finditer(words, begin):
        depth += 1 if bracket[0] in "{[" else -1
        if depth == 0:
            return bracket.end()
    return len(words)
