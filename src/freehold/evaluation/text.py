"""Scorers of texts: equal, nearly equal, near in number, alike in words, alike in meaning."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from freehold.catalog import Metric
from freehold.chat import JSON
from freehold.errors import CallerError
from freehold.evaluation.pattern import TIME_S, Pattern, TooSlow
from freehold.evaluation.plain import Plain, Settings, binary, words_of, yes
from freehold.evaluation.scorer import Case, Score
from freehold.journal.rows import digest_of
from freehold.routing.embed import Embedder, load_embedder
from freehold.routing.features import features

_WORD = re.compile(r"\w+")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NUMBER = re.compile(
    r"(?:(?<![\w.)])[-−+])?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:[eE][-+]?\d{1,4}(?!\d))?|(?<!\d)\.\d+)", re.ASCII
)
_MOST_WORDS = 50_000


def exact(settings: Settings) -> Plain:
    """1 where the answer is the right one, as JSON, to the last blank of a text."""
    settings.no_option()
    return Plain(binary(settings.name, deterministic=True), lambda case: yes(digest_of(case.output) == digest_of(case.truth)), True)


def normalised(settings: Settings) -> Plain:
    """1 where they are equal but for case, punctuation, blanks and articles. Of a list of right answers any will do.

    Source: the normalisation of SQuAD's official script (Rajpurkar et al., 2016), after Unicode's NFKC.
    """
    settings.no_option()

    def of(case: Case) -> Score:
        said = plain_words(words_of(case.output))
        return yes(any(said == plain_words(right) for right in _rights(case)))

    return Plain(binary(settings.name, deterministic=True), of, True)


def numeric(settings: Settings) -> Plain:
    """1 where the answer's number is within OPTION of the right one: `numeric:0.01`, or `numeric:1%` of it. Of a text the last number counts."""
    share = settings.option.endswith("%")
    tolerance = settings._replace(option=settings.option.removesuffix("%")).number(1e-9 if not settings.option else 0.01)
    tolerance = tolerance / 100 if share else tolerance

    def of(case: Case) -> Score:
        right, said = number_of(case.truth), number_of(case.output)
        if right is None:
            return Score(None, "there is no number in the right answer")
        if said is None:
            return Score(0.0, "there is no number in the answer")
        allowed = tolerance * abs(right) if share else tolerance
        return yes(abs(said - right) <= allowed * (1 + 1e-9) + 1e-12 * abs(right), difference=said - right)

    return Plain(binary(settings.name, deterministic=True), of, True)


def regex(settings: Settings) -> Plain:
    """1 where the pattern is found in the answer. A search that takes more than `time_s` (1) seconds of the processor is no score."""
    if not settings.option:
        raise CallerError(f"scorer '{settings.name}' takes a pattern behind the colon, such as regex:^[A-Z]+$")
    pattern = Pattern(settings.name, settings.option, settings.taken(time_s=TIME_S).time_s)

    def of(case: Case) -> Score:
        try:
            return yes(pattern.is_in(words_of(case.output)))
        except TooSlow as slow:
            return Score(None, str(slow))

    return Plain(binary(settings.name, deterministic=True), of)


def token_f1(settings: Settings) -> Plain:
    """F1 of the words that answer and right answer share, each as often as it stands there. Of a list of right answers the nearest counts.

    Source: as of `normalised`.
    """
    settings.no_option()
    return Plain(Metric(id=settings.name, deterministic=True), lambda case: _nearest(case, _shared_words), True)


def rouge_l(settings: Settings) -> Plain:
    """ROUGE-L: F1 of the longest common subsequence of words. Of a list of right answers the nearest counts.

    Source: Lin, ROUGE (ACL workshop 2004), with β = 1; words are runs of letters and digits in lower case, not stemmed.
    """
    settings.no_option()
    return Plain(Metric(id=settings.name, deterministic=True), lambda case: _nearest(case, _common_subsequence), True)


def embedding(settings: Settings) -> Plain:
    """How near the answer lies to the right one: the cosine of their vectors, from 0. `embedding:FOLDER` takes the embedder that `freehold
    embedder build` made there; without one, hashed words and 3-grams are compared, which tells like wording and not like meaning.
    """
    near = partial(_cosine, load_embedder(settings.folder / settings.option)) if settings.option else _hashed
    return Plain(Metric(id=settings.name, deterministic=True), lambda case: _nearest(case, near), True)


def plain_words(text: str) -> str:
    """A text as `normalised` compares it."""
    lowered = unicodedata.normalize("NFKC", text).casefold()
    bare = "".join(" " if unicodedata.category(c)[0] == "P" and c not in "'’" else c for c in lowered if c not in "'’")
    return " ".join(_ARTICLES.sub(" ", bare).split())


def number_of(value: JSON) -> float | None:
    """The number that a value is, or the last one in a text; None for none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        found = float(value) if abs(value) < 1e300 else float("inf")
    elif isinstance(value, str) and (matches := _NUMBER.findall(value[-20_000:])):
        found = float(matches[-1].replace(",", "").replace("−", "-"))
    else:
        return None
    return found if abs(found) < float("inf") else None


def _rights(case: Case) -> Sequence[str]:
    """The right answers, one or any of several."""
    truth = case.truth
    if isinstance(truth, list) and truth and isinstance(case.output, str) and all(isinstance(each, str) for each in truth):
        return truth
    return [words_of(truth)]


def _nearest(case: Case, compare: Callable[[str, str], Score]) -> Score:
    said = words_of(case.output)
    scores = [compare(said, right) for right in _rights(case)[:100]]
    return max(scores, key=lambda score: -1.0 if score.value is None else score.value)


def f1(hits: float, said: float, right: float) -> Score:
    """F1 with precision and recall; 1 where there was nothing to say and nothing was said."""
    if not said and not right:
        return Score(1.0, "", {"precision": 1.0, "recall": 1.0})
    precision, recall = hits / said if said else 0.0, hits / right if right else 0.0
    both = precision + recall
    return Score(2 * precision * recall / both if both else 0.0, "", {"precision": precision, "recall": recall})


def _shared_words(said: str, right: str) -> Score:
    one, other = Counter(plain_words(said).split()), Counter(plain_words(right).split())
    return f1((one & other).total(), one.total(), other.total())


def _common_subsequence(said: str, right: str) -> Score:
    one, other = _WORD.findall(said.casefold()), _WORD.findall(right.casefold())
    if max(len(one), len(other)) > _MOST_WORDS:
        return Score(None, f"a text has over {_MOST_WORDS:,} words")
    return f1(longest_common(one, other), len(one), len(other))


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table at a time as the bits of one number.

    Source: Hyyrö, Bit-parallel LCS-length computation revisited (AWOCA 2004).
    """
    at: dict[str, int] = {}
    for place, word in enumerate(one):
        at[word] = at.get(word, 0) | 1 << place
    every = (1 << len(one)) - 1
    row = every
    for word in other:
        hit = row & at.get(word, 0)
        row = ((row + hit) | (row - hit)) & every
    return len(one) - row.bit_count()


def _hashed(said: str, right: str) -> Score:
    one, other = features(said), features(right)
    _, a, b = np.intersect1d(one.index, other.index, assume_unique=True, return_indices=True)
    return _within(float(one.weight[a] @ other.weight[b]))


def _cosine(embedder: Embedder, said: str, right: str) -> Score:
    one, other = embedder.embed([said, right])
    return _within(float(one @ other))


def _within(cosine: float) -> Score:
    return Score(min(1.0, max(0.0, cosine)))
