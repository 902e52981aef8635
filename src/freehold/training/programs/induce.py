"""Learns a decision list from answered texts, without a model: rules of words and phrases, each found on some rows and checked on others.

Source: separate and conquer (Fürnkranz, 1999), with pruning on held-out rows as in IREP (Fürnkranz and Widmer, 1994). Here a rule that the rows which it was
not found on do not bear out is dropped whole, because what no rule answers is only asked elsewhere.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from math import log
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.training.lesson import Part
from freehold.variants.decisions import NO_VOTES, DecisionList, Rule, Votes, words

_LONGEST = 3
"""Words of a phrase."""
_FEWEST = 3
"""Rows that a rule is right on, at least, where it is found."""
_BEAM = 30
"""Phrases that are tried together with others."""
_LEAST_FIRST = 0.5
"""How often a phrase alone has to be right for others to be tried with it."""
_FOUND_ON = 0.6
"""Share of the training part that rules are found on; the rest checks them."""
_SIMPLER = 2.0
"""So many rows a second phrase has to be worth."""
_MOST_FAILED = 300
_FOLDS = 5
_SHARES = (0.15, 0.25, 0.4)
_MOST_WORDS = (10, 20, 40)
_LEAST_WORDS = (2, 3, 4, 5)
_AHEAD = (2, 3)
MOST_ANSWERS = 30
"""With more answers than these, each of which takes a line, no words are counted."""

Tell = Callable[[int], None]


class _Table(NamedTuple):
    """Which phrases stand in which rows, and what is right there."""

    has_NF: Any
    """Sparse, 0 or 1; N rows, F phrases."""
    is_NC: NDArray[np.float64]
    """1 for the right answer of each row; C answers."""
    left_N: NDArray[np.bool_]
    """Rows that no rule has decided yet."""


class _Found(NamedTuple):
    worth: float
    answer: int
    has: tuple[int, ...]
    lacks: tuple[int, ...]


def phrases_of(text: str) -> set[str]:
    """The phrases of a text that rules can look for, of up to three words; `^` and `$` stand for its ends."""
    tokens = words(text).split()
    return {
        " ".join(tokens[at : at + length])
        for length in range(1, _LONGEST + 1)
        for at in range(len(tokens) - length + 1)
        if (length > 1 or tokens[at] not in "^$") and tokens[at : at + length] != ["^", "$"]
    }


class Candidate(NamedTuple):
    """A rule that was tried, and how it did on the training rows that it was not found on."""

    rule: Rule
    right: int
    of: int
    is_borne_out: bool
    """Whether those rows let it stand."""


def induced(part: Part, precision: float, most_rules: int, seed: int, tell: Tell = lambda _: None) -> list[Candidate]:
    """Every rule that was tried, in the order of the list; at most `most_rules` of them are borne out: right at least as often as `precision`, as far as
    the rows can say."""
    answers: dict[bytes, int] = {}
    values: list[JSON] = []
    code_N = np.empty(len(part), np.int64)
    for n, answer in enumerate(part.answers):
        key = canonical_json(answer)
        if key not in answers:
            answers[key] = len(values)
            values.append(answer)
        code_N[n] = answers[key]
    order = np.random.default_rng(seed).permutation(int(part.group_N.max()) + 1)
    is_found_on_N = order[part.group_N] < _FOUND_ON * len(order)
    phrases = [phrases_of(text) for text in part.texts]
    names = _often([phrases[n] for n in np.flatnonzero(is_found_on_N)])
    is_NC = np.eye(len(values))[code_N]
    find, check = (_table([phrases[n] for n in np.flatnonzero(some)], names, is_NC[some]) for some in (is_found_on_N, ~is_found_on_N))
    cost = min(20.0, precision / max(1e-9, 1.0 - precision))
    tried: list[Candidate] = []
    count = 0
    refused: set[tuple[int, tuple[int, ...], tuple[int, ...]]] = set()
    banned_FC = np.zeros((len(names), len(values)), bool)
    while count < most_rules and len(refused) < _MOST_FAILED:
        found = _best(find, cost, banned_FC, refused)
        if found is None:
            break
        fits_N = _fits(check, found)
        right = int(check.is_NC[fits_N & check.left_N, found.answer].sum())
        of = int((fits_N & check.left_N).sum())
        has, lacks = (tuple(names[f] for f in some) for some in (found.has, found.lacks))
        rule = Rule(values[found.answer], has, lacks)
        is_borne_out = right > 0 and right >= precision * of
        tried.append(Candidate(rule, right, of, is_borne_out))
        if not is_borne_out:
            refused.add(found[1:])
            if len(found.has) == 1 and not found.lacks:
                banned_FC[found.has[0], found.answer] = True
            continue
        count += 1
        find.left_N[_fits(find, found)] = False
        check.left_N[fits_N] = False
        tell(count)
    return tried


def kept(tried: Sequence[Candidate], part: Part, precision: float) -> list[Rule]:
    """The rules that may stand: those that are surest, as many as are right together as often as `precision`, by what can be expected of each.

    That is empirical Bayes (Robbins, 1956): how often rules of this task are right at all is a beta distribution, fitted to all that were tried; what is
    expected of one is its mean after the rows of the training part that the rule was not found on and those of `part`.
    """
    prior = _prior(tried)
    borne_out = [one for one in tried if one.is_borne_out]
    list_ = DecisionList([one.rule for one in borne_out], 0)
    right_R, of_R = (np.array([getattr(one, name) for one in borne_out], np.int64) for name in ("right", "of"))
    for text, answer in zip(part.texts, part.answers, strict=True):
        if (n := list_.fitting(text)) is not None:
            of_R[n] += 1
            right_R[n] += canonical_json(borne_out[n].rule.answer) == canonical_json(answer)
    sure_R = (right_R + prior[0]) / (of_R + sum(prior))
    order = np.argsort(-sure_R, kind="stable")
    together = np.cumsum((sure_R * of_R)[order]) / np.cumsum(of_R[order])
    enough = np.flatnonzero(together >= precision)
    chosen = sorted(order[: int(enough[-1]) + 1].tolist()) if len(enough) else []
    return [borne_out[n].rule._replace(sure=float(sure_R[n]), note=f"{right_R[n]} of {of_R[n]}") for n in chosen]


def votes(train: Part, calibrate: Part, rules: Sequence[Rule], precision: float) -> Votes:
    """Words that speak for each answer, for texts that no rule fits: the table that answers most of those of all that are tried, as long as it is right as
    often as `precision`, by five folds of the training part and by `calibrate`. None at all where none is."""
    list_ = DecisionList(rules, 0)
    some, others = (part.those(n for n, text in enumerate(part.texts) if list_.fitting(text) is None) for part in (train, calibrate))
    if not len(some):
        return NO_VOTES
    fold_N = np.random.default_rng(0).permutation(int(some.group_N.max()) + 1)[some.group_N] % _FOLDS
    folds = [(some.those(np.flatnonzero(fold_N != k)), some.those(np.flatnonzero(fold_N == k))) for k in range(_FOLDS)]
    best: tuple[int, Votes] | None = None
    for share in _SHARES:
        for most in _MOST_WORDS:
            whole = _speaking(some, share, most)
            looked = [(_speaking(inside, share, most), outside) for inside, outside in folds] + [(whole, others)]
            for least, ahead in product(_LEAST_WORDS, _AHEAD):
                right = of = 0
                for table, part in looked:
                    said = DecisionList((), 0, Votes(least, ahead, 1.0, table)).answer(part.texts)
                    of += sum(one is not None for one in said)
                    right += sum(one is not None and one.output == answer for one, answer in zip(said, part.answers, strict=True))
                sure = (right + 1) / (of + 2)
                if sure >= precision and (best is None or of > best[0]):
                    best = of, Votes(least, ahead, sure, whole, f"{right} of {of}")
    return NO_VOTES if best is None else best[1]


def _speaking(part: Part, share: float, most: int) -> tuple[tuple[JSON, tuple[str, ...]], ...]:
    """For each answer its most telling words, by how much more often they stand in its texts than in others: of those words of whose texts it has at least
    this share."""
    count_by: dict[bytes, Counter[str]] = {}
    rows_by: Counter[bytes] = Counter()
    all_: Counter[str] = Counter()
    answers: dict[bytes, JSON] = {}
    for text, answer in zip(part.texts, part.answers, strict=True):
        key = canonical_json(answer)
        answers[key] = answer
        tokens = set(words(text).split()) - {"^", "$"}
        rows_by[key] += 1
        all_.update(tokens)
        count_by.setdefault(key, Counter()).update(tokens)
    found: list[tuple[JSON, tuple[str, ...]]] = []
    for key in sorted(count_by):
        here, rest = rows_by[key], len(part) - rows_by[key]
        worth = {
            word: count * log(((count + 0.5) / (here + 1)) / ((all_[word] - count + 0.5) / (rest + 1)))
            for word, count in count_by[key].items()
            if count >= _FEWEST and count >= share * (all_[word] + 1)
        }
        found.append((answers[key], tuple(sorted(sorted(worth, key=lambda word: (-worth[word], word))[:most]))))
    return tuple(found)


def _prior(tried: Sequence[Candidate]) -> tuple[float, float]:
    """The beta distribution that makes what was seen of all rules most probable, by a grid; its two parameters."""
    from scipy.stats import betabinom

    right_R, of_R = (np.array([getattr(one, name) for one in tried if one.of], np.int64) for name in ("right", "of"))
    grid = [
        (mean * size, (1 - mean) * size)
        for mean in (0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
        for size in (0.5, 1, 2, 4, 8, 16, 32)
    ]
    return max(grid, key=lambda ab: float(betabinom.logpmf(right_R, of_R, *ab).sum()))


def _often(phrases: Sequence[set[str]]) -> list[str]:
    """Phrases of at least a few rows; of those that stand in the same rows the shortest."""
    rows: dict[str, list[int]] = {}
    for n, some in enumerate(phrases):
        for phrase in some:
            rows.setdefault(phrase, []).append(n)
    same: dict[tuple[int, ...], str] = {}
    for phrase, where in rows.items():
        if len(where) >= _FEWEST:
            key = tuple(where)
            other = same.get(key)
            if other is None or (len(phrase), phrase) < (len(other), other):
                same[key] = phrase
    return sorted(same.values())


def _table(phrases: Sequence[set[str]], names: Sequence[str], is_NC: NDArray[np.float64]) -> _Table:
    from scipy.sparse import csr_matrix

    place = {name: f for f, name in enumerate(names)}
    indices = [sorted(place[one] for one in some if one in place) for some in phrases]
    indptr = np.cumsum([0, *map(len, indices)])
    flat = np.array([f for some in indices for f in some], dtype=np.int64)
    has_NF = csr_matrix((np.ones(len(flat)), flat, indptr), shape=(len(phrases), len(names)))
    return _Table(has_NF, is_NC, np.ones(len(phrases), bool))


def _fits(table: _Table, found: _Found) -> NDArray[np.bool_]:
    fits_N = np.ones(len(table.left_N), bool)
    for some, wanted in ((found.has, 1.0), (found.lacks, 0.0)):
        for f in some:
            fits_N &= np.asarray(table.has_NF[:, [f]].todense()).ravel() == wanted
    return fits_N


def _best(
    table: _Table, cost: float, banned_FC: NDArray[np.bool_], refused: set[tuple[int, tuple[int, ...], tuple[int, ...]]]
) -> _Found | None:
    """The rule that is worth most on the rows that are left: one for each that it has right, less `cost` for each that it has wrong."""
    has_NF, is_NC = table.has_NF[table.left_N], table.is_NC[table.left_N]
    right_FC = np.asarray(has_NF.T @ is_NC)
    all_F1 = right_FC.sum(axis=1, keepdims=True)
    worth_FC = np.where((right_FC >= _FEWEST) & ~banned_FC, right_FC - cost * (all_F1 - right_FC), -np.inf)
    best: _Found | None = None
    if worth_FC.size and (top := float(worth_FC.max())) > 0:
        f, c = np.unravel_index(int(worth_FC.argmax()), worth_FC.shape)
        best = _Found(top, int(c), (int(f),), ())
    promising_FC = np.where(right_FC >= np.maximum(_FEWEST, _LEAST_FIRST * all_F1), right_FC, 0.0)
    for at in np.argsort(-promising_FC, axis=None, kind="stable")[:_BEAM]:
        f, c = np.unravel_index(int(at), promising_FC.shape)
        most = float(promising_FC[f, c])
        if not most or (best is not None and most <= best.worth):
            break
        found = _with_another(has_NF, is_NC[:, c], int(f), int(c), cost, refused)
        if found is not None and (best is None or found.worth > best.worth):
            best = found
    return best


def _with_another(
    has_NF: Any, is_N: NDArray[np.float64], f: int, c: int, cost: float, refused: set[tuple[int, tuple[int, ...], tuple[int, ...]]]
) -> _Found | None:
    """A phrase with the one that helps it most: which has to stand there too, or must not."""
    rows = has_NF[:, [f]].nonzero()[0]
    inside, right_N = has_NF[rows], is_N[rows]
    right_F, all_F = np.asarray(inside.T @ right_N), np.asarray(inside.sum(axis=0)).ravel()
    both = right_F - cost * (all_F - right_F) - _SIMPLER
    both[right_F < _FEWEST] = -np.inf
    without_right_F, without_all_F = right_N.sum() - right_F, len(rows) - all_F
    without = without_right_F - cost * (without_all_F - without_right_F) - _SIMPLER
    without[without_right_F < _FEWEST] = -np.inf
    for some in (both, without):
        some[f] = -np.inf
    for _ in range(5):
        g, h = int(both.argmax()), int(without.argmax())
        if both[g] >= without[h]:
            found = _Found(float(both[g]), c, (f, g), ())
            both[g] = -np.inf
        else:
            found = _Found(float(without[h]), c, (f,), (h,))
            without[h] = -np.inf
        if found.worth <= 0:
            return None
        if found[1:] not in refused:
            return found
    return None
