"""How much several answers to one question differ, or the words of one answer."""

import math
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence

from freehold.catalog import Metric
from freehold.errors import CallerError
from freehold.evaluation.plain import Plain, Settings, words_of
from freehold.evaluation.scorer import Case, Score
from freehold.evaluation.text import plain_words
from freehold.journal.rows import digest_of

_MOST_ANSWERS = 10_000
_WORD = re.compile(r"\w+")


def distinct_n(texts: Iterable[str], n: int) -> float | None:
    """The share of the texts' runs of `n` words that are different; None where no text has so many words.

    Source: Li et al., A diversity-promoting objective function (NAACL 2016), §5.2.
    """
    runs: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        words = _WORD.findall(text.casefold())
        runs.update(zip(*(words[start:] for start in range(n)), strict=False))
    return len(runs) / runs.total() if runs else None


def entropy(answers: Sequence[Hashable]) -> float | None:
    """Shannon's entropy of the answers in bits: 0 where all are the same, log2 of their number where none are; None for none.

    Of few answers it is too low on average, by about (kinds - 1) / (2 n ln 2) bits (Miller, 1955).
    """
    if not answers:
        return None
    shares = [count / len(answers) for count in Counter(answers).values()]
    return -math.fsum(share * math.log2(share) for share in shares) + 0.0


def distinct(settings: Settings) -> Plain:
    """distinct-n of an answer that is a list of texts, or of one text; n stands behind the colon, `distinct:2`, and is 2 where nothing does."""
    n = settings.number(2)
    if n != int(n) or n > 10:
        raise CallerError(f"scorer '{settings.name}': {n:g} stands behind the colon; expected a whole number of words from 1 to 10")

    def of(case: Case) -> Score:
        value = distinct_n([words_of(one) for one in _several(case)], int(n))
        return Score(value, f"no answer has {n:g} words" if value is None else "")

    return Plain(Metric(id=settings.name, deterministic=True), of)


def spread(settings: Settings) -> Plain:
    """The entropy of an answer that is a list of answers, as a share of the most there can be: 0 where all are equal, 1 where none are."""
    settings.no_option()

    def of(case: Case) -> Score:
        several = _several(case)
        if len(several) < 2:
            return Score(None, "it is one answer; entropy is of a list of answers to one question")
        bits = entropy([plain_words(one) if isinstance(one, str) else digest_of(one) for one in several]) or 0.0
        return Score(min(1.0, bits / math.log2(len(several))), "", {"bits": bits})

    return Plain(Metric(id=settings.name, deterministic=True), of)


def _several(case: Case) -> list[object]:
    return case.output[:_MOST_ANSWERS] if isinstance(case.output, list) else [case.output]
