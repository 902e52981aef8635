"""How much texts have to do with a question, by the words they share."""

import math
import re
from collections import Counter
from collections.abc import Sequence

_K1, _B = 1.2, 0.75
_EAST = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7ff"
_WORD = re.compile(f"[{_EAST}]|[^\\W{_EAST}]+")
"""A word, or one letter of a script that writes none apart."""


def bm25(question: str, texts: Sequence[str]) -> list[float]:
    """Okapi BM25 of each text: rare words that it shares with the question, the more often and the shorter the text, the more.

    Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), equation 3.15, with k1 = 1.2 and b = 0.75. As in
    Lucene the weight of a word is log(1 + (N - n + 0.5) / (n + 0.5)), which is never negative: among a few texts a word is soon in half of them.
    """
    counted = [Counter(words(text)) for text in texts]
    sizes = [found.total() for found in counted]
    mean = sum(sizes) / len(sizes) if any(sizes) else 1.0
    scores = [0.0] * len(texts)
    for word in sorted(set(words(question))):
        with_it = sum(word in found for found in counted)
        weight = math.log(1 + (len(texts) - with_it + 0.5) / (with_it + 0.5))
        for n, found in enumerate(counted):
            if times := found[word]:
                scores[n] += weight * times * (_K1 + 1) / (times + _K1 * (1 - _B + _B * sizes[n] / mean))
    return scores


def words(text: str) -> list[str]:
    """The words of a text, in its order."""
    return _WORD.findall(text.casefold())
