"""A chain of tags, held against every path there is."""

from itertools import pairwise, product

import numpy as np
import pytest

from freehold.routing.chain import FORBIDDEN, Chain, allowed
from freehold.routing.sure import Sure, log_odds
from freehold.training.crf import expected, laid


def random_chain(rng: np.random.Generator, labels: int) -> Chain:
    rules = allowed(labels)
    draw = Chain(rng.normal(size=rules.start_C.shape), rng.normal(size=rules.step_CC.shape))
    return Chain(
        np.where(rules.start_C == FORBIDDEN, FORBIDDEN, draw.start_C), np.where(rules.step_CC == FORBIDDEN, FORBIDDEN, draw.step_CC)
    )


def score(chain: Chain, emission_TC: np.ndarray, path: tuple[int, ...]) -> float:
    steps = sum(chain.step_CC[one, other] for one, other in pairwise(path))
    return float(chain.start_C[path[0]] + steps + sum(emission_TC[t, tag] for t, tag in enumerate(path)))


@pytest.mark.parametrize("seed", range(20))
def test_the_best_path_and_its_probability_are_those_of_all_paths(seed: int) -> None:
    rng = np.random.default_rng(seed)
    chain, emission_TC = random_chain(rng, 2), rng.normal(scale=3, size=(4, 5))
    scores = {path: score(chain, emission_TC, path) for path in product(range(5), repeat=4)}
    best = max(scores, key=scores.__getitem__)
    found = chain.best(emission_TC)
    assert tuple(found.tag_T) == best
    assert found.log_p == pytest.approx(scores[best] - np.logaddexp.reduce(list(scores.values())), abs=1e-9)


def test_what_goes_on_never_stands_alone() -> None:
    """However much the scores ask for it."""
    emission_TC = np.zeros((5, 5))
    emission_TC[:, 2] = 50.0
    emission_TC[2, 4] = 90.0
    tags = allowed(2).best(emission_TC).tag_T.tolist()
    assert tags[0] == 1
    assert all(after % 2 or after == 0 or before in (after, after - 1) for before, after in pairwise(tags))


def test_no_word_is_one_path() -> None:
    assert allowed(1).best(np.empty((0, 3))).log_p == 0.0


def test_expected_counts_are_those_of_all_paths() -> None:
    """What the fit's gradient is made of: two sentences of different lengths."""
    rng = np.random.default_rng(5)
    chain, lengths = random_chain(rng, 1), (3, 2)
    emission_NC = rng.normal(size=(sum(lengths), 3))
    log_z, word_NC, step_CC, start_C = expected(emission_NC, chain, laid([np.zeros(n, np.int64) for n in lengths]))
    all_z, want_word, want_step, want_start, at = 0.0, np.zeros((5, 3)), np.zeros((3, 3)), np.zeros(3), 0
    for n in lengths:
        scores = {path: score(chain, emission_NC[at : at + n], path) for path in product(range(3), repeat=n)}
        z = np.logaddexp.reduce(list(scores.values()))
        all_z += z
        for path, value in scores.items():
            p = np.exp(value - z)
            want_start[path[0]] += p
            for t, tag in enumerate(path):
                want_word[at + t, tag] += p
            for one, other in pairwise(path):
                want_step[one, other] += p
        at += n
    assert log_z == pytest.approx(all_z)
    assert word_NC == pytest.approx(want_word)
    assert step_CC == pytest.approx(want_step)
    assert start_C == pytest.approx(want_start)


def test_sureness_rises_with_probability_and_stays_within_its_bounds() -> None:
    sure = Sure(0.5, -1.0)
    said = [sure.of(log_p) for log_p in (-1e6, -5.0, -0.5, -1e-9, 0.0)]
    assert said == sorted(said)
    assert 0 < said[0] < said[-1] <= 1
    assert Sure().of(np.log(0.3)) == pytest.approx(0.3)
    assert log_odds(0.0) == 30.0
