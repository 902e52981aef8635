"""The language of a text: by its script where that tells, else by the commonest words of each language among its first words.

A small detector for cleaning, not for linguists: it knows the languages of `LANGUAGES`, and says `und` (undetermined) where it cannot tell,
as for a few words or for code. Stop words after Snowball's lists (snowballstem.org), shortened to those that tell languages apart.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from freehold.datasets.words import SCRIPTS, Words, words_of

UNKNOWN = "und"
_STOP_WORDS = {
    "en": "the of and to is that it you for was are with this have not be on what my how can i from but your do we they would there an",
    "de": "der die das und ist nicht ich sie ein eine zu mit den auf für von dem wie auch es war wird im sich bei oder mein wir was kann",
    "fr": "le la les des et est une que pas pour dans je vous du qui sur avec au ce il elle nous mon ne plus sont par mais comment où",
    "es": "el la los las de que y en un una es por con no para mi se del como lo su pero más qué está hay este muy son al",
    "it": "il lo la gli che di è un una per non con sono mi del della si come ho al dei le nel anche questo più ma quando",
    "pt": "o os as que de é um uma não para com em do da meu se por mais como está no na eu você são ao dos foi quando qual",
    "nl": "de het een en van is dat niet ik je op te met voor zijn mijn er aan hoe maar ook wat kan naar heb deze wordt bij",
    "sv": "och att det som en är jag på för inte med av den till har ett om min de kan var hur från men så när vad",
    "da": "og at det som en er jeg på for ikke med af den til har et om min de kan var hvordan fra men så når hvad",
    "pl": "nie się na jest do to że jak w z i co mam moja po czy tak za od ale przez są być mój która ten",
    "tr": "bir ve bu için ne da de mi ile ben çok var değil nasıl daha gibi ama benim kadar olarak sonra her şey neden",
    "ro": "și de la în nu un o care pe cu este sunt pentru mai din ce am să se că cum mea prin fost acest dar",
    "ru": "и в не на что я с как это по у но мне из к он мой за так для есть все от бы",
    "uk": "і в не на що я з як це по у але мені до він мій за так для є та від чи також",
    "bg": "и в не на че аз с как това по но ми от към той за да се са е ще как има или",
}
LANGUAGES = (*_STOP_WORDS, "el", "he", "ar", "ja", "zh", "ko", "hi", "th")
CODES = (*LANGUAGES, UNKNOWN)
_BY_SCRIPT = {"greek": "el", "hebrew": "he", "arabic": "ar", "hangul": "ko", "devanagari": "hi", "thai": "th"}
_FIRST = 64
"""So many words are looked at."""
_SHARE = 0.25
"""From which share of its characters on another script than Latin decides: names and terms in Latin letters are everywhere."""


def languages_of(words: Words) -> list[str]:
    """The language of each text by its code (ISO 639-1), or `und`."""
    count_NL = _stop_words(words)
    best_N, second_N = _two_largest(count_NL)
    sizes = words.end_N - words.start_N
    enough_N = (best_N >= 2) & (best_N > second_N) & (best_N >= 0.05 * np.minimum(sizes, _FIRST))
    enough_N |= (best_N == 1) & (second_N == 0) & (sizes <= 8)
    by_words = np.where(enough_N, count_NL.argmax(axis=1), -1)
    names = tuple(_STOP_WORDS)
    found = [names[n] if n >= 0 else UNKNOWN for n in by_words.tolist()]
    total_N = np.maximum(words.script_NS.sum(axis=1), 1)
    for n in np.flatnonzero(words.script_NS[:, 1:].sum(axis=1) >= _SHARE * total_N).tolist():
        found[n] = _by_script(words.script_NS[n], found[n])
    return found


def _by_script(count_S: NDArray[np.int32], by_words: str) -> str:
    largest = SCRIPTS[1 + int(count_S[1:].argmax())]
    if largest in ("kana", "han"):
        return "ja" if count_S[SCRIPTS.index("kana")] * 10 > count_S[SCRIPTS.index("han")] else "zh"
    if largest == "cyrillic":
        return by_words if by_words in ("ru", "uk", "bg") else UNKNOWN
    return _BY_SCRIPT[largest]


def _stop_words(words: Words) -> NDArray[np.int64]:
    """How many of each text's first words are stop words of each language."""
    count_NL = np.zeros((len(words.end_N), len(_STOP_WORDS)), dtype=np.int64)
    start_N = words.start_N
    sizes = np.minimum(words.end_N - start_N, _FIRST)
    ends = np.cumsum(sizes)
    if not len(ends) or not ends[-1]:
        return count_NL
    at = np.arange(ends[-1]) + np.repeat(start_N - (ends - sizes), sizes)
    hash_W = words.hash_W[at]
    hashes, languages_KL, is_maybe = _table()
    maybe = np.flatnonzero(is_maybe[hash_W >> np.uint64(48)])
    place = np.minimum(np.searchsorted(hashes, hash_W[maybe]), len(hashes) - 1)
    is_one = hashes[place] == hash_W[maybe]
    row = np.repeat(np.arange(len(ends)), sizes)[maybe[is_one]]
    in_KL = languages_KL[place[is_one]]
    for language in range(in_KL.shape[1]):
        count_NL[:, language] = np.bincount(row[in_KL[:, language]], minlength=len(ends))
    return count_NL


def _two_largest(count_NL: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ordered = np.sort(count_NL, axis=1)
    return ordered[:, -1], ordered[:, -2]


@cache
def _table() -> tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.bool_]]:
    """The stop words' hashes in order, the languages of each, and by the first 16 bits of a hash whether it may be one of them."""
    known: dict[int, set[int]] = {}
    for language, text in enumerate(_STOP_WORDS.values()):
        for value in words_of([text]).hash_W.tolist():
            known.setdefault(value, set()).add(language)
    hashes = np.array(sorted(known), dtype=np.uint64)
    languages_KL = np.array([[n in known[value] for n in range(len(_STOP_WORDS))] for value in hashes.tolist()], dtype=bool)
    maybe = np.zeros(1 << 16, dtype=bool)
    maybe[(hashes >> np.uint64(48)).astype(np.int64)] = True
    return hashes, languages_KL, maybe


def language_of(texts: Sequence[str]) -> list[str]:
    """The language of each text."""
    return languages_of(words_of(texts))
