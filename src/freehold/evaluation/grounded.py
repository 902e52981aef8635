"""Whether an answer rests on its sources, claim by claim."""

import re
from collections.abc import Sequence

from freehold.catalog import Metric
from freehold.evaluation.plain import Plain, Settings, words_of
from freehold.evaluation.scorer import Case, Score, Scorer
from freehold.evaluation.words import built_in

_MOST_CLAIMS = 200
_MOST_SOURCE = 2_000_000
_SENTENCE = re.compile(r"(?<=[.!?…])[\"”»')\]]*\s+(?=[\"“«'(\[]?[A-Z0-9À-ÖØ-Þ])|\n+\s*(?:[-*•]|\d{1,3}[.)])?\s*")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
SUPPORTED = 0.75
"""The share of a claim's telling words that one passage of a source has to hold."""
_WINDOW = 60
"""Words that a passage has."""


def grounded(settings: Settings) -> Scorer:
    """The share of the answer's claims (its sentences) that a passage of a source holds: all of their numbers, and three quarters of their other
    telling words.

    It goes by words: a claim in other words counts as unsupported, and one that twists what a source says in its own words as supported.
    `grounded:MODEL` has a model say it.
    """
    if settings.option:
        from freehold.evaluation.judge import grounded_by_model

        return grounded_by_model(settings)
    return Plain(Metric(id=settings.name, deterministic=True), _by_words)


def claims_of(text: str) -> list[str]:
    """The sentences and list entries of a text that claim anything: questions and headings are left out."""
    pieces = [piece.strip() for piece in _SENTENCE.split(text) if piece and piece.strip()]
    return [piece for piece in pieces if not piece.endswith(("?", ":")) and _telling(piece)]


def _by_words(case: Case) -> Score:
    if not any(source.strip() for source in case.sources):
        return Score(None, "the case has no sources")
    if sum(map(len, case.sources)) > _MOST_SOURCE:
        return Score(None, f"the sources have over {_MOST_SOURCE:,} characters")
    claims = claims_of(words_of(case.output))
    if not claims:
        return Score(None, "the answer claims nothing")
    if len(claims) > _MOST_CLAIMS:
        return Score(None, f"the answer has over {_MOST_CLAIMS} claims")
    sources = [[_stem(word) for word in _WORD.findall(source.casefold())] for source in case.sources]
    held = [max(_held(_telling(claim), source) for source in sources) >= SUPPORTED for claim in claims]
    first = next((claim for claim, is_held in zip(claims, held, strict=True) if not is_held), "")
    return Score(
        sum(held) / len(held), f"unsupported: {first[:200]}" if first else "", {"claims": float(len(claims)), "supported": float(sum(held))}
    )


def _telling(text: str) -> set[str]:
    fillers = built_in("fillers")
    return {_stem(word) for word in _WORD.findall(text.casefold()) if word not in fillers}


def _stem(word: str) -> str:
    """A word without its most usual endings; a number without its separators."""
    if word[0].isdigit():
        return word.replace(",", "")
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 3:
            return word.removesuffix(ending)
    return word


def _held(wanted: set[str], source: Sequence[str]) -> float:
    """The greatest share of words that any passage holds; 0 where it lacks one of the numbers."""
    numbers = {word for word in wanted if word[0].isdigit()}
    places = [(at, word) for at, word in enumerate(source) if word in wanted]
    count: dict[str, int] = {}
    best, first = 0.0, 0
    for at, word in places:
        count[word] = count.get(word, 0) + 1
        while places[first][0] <= at - _WINDOW:
            gone = places[first][1]
            count[gone] -= 1
            if not count[gone]:
                del count[gone]
            first += 1
        if len(count) > best * len(wanted) and numbers <= count.keys():
            best = len(count) / len(wanted)
    return best
