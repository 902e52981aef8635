"""Streaming discriminant analysis: sums that add and subtract to the last bit, and the classifier that follows from them."""

import numpy as np
import pytest
from digits import digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from freehold.errors import TrainingError
from freehold.training.continual.slda import STEPS, Sums, discriminant, joined, nearest_mean, nothing, sums_of


def vectors() -> tuple[np.ndarray, np.ndarray]:
    """Digits as vectors of length 1, as an embedder gives them."""
    x_ND, y_N = digits()
    return x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True), y_N


def equal(a: Sums, b: Sums) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("count_K", "sum_KD", "gram_DD"))


def test_the_same_rows_give_the_same_sums_in_any_order_and_any_parts() -> None:
    x_ND, y_N = vectors()
    whole = sums_of(x_ND, y_N, 10)
    order = np.random.default_rng(0).permutation(len(x_ND))
    parts = nothing(10, 64)
    for piece in np.array_split(order, 7):
        parts = parts + sums_of(x_ND[piece], y_N[piece], 10)
    assert equal(parts, whole)


def test_taking_rows_out_leaves_to_the_last_bit_what_the_others_give() -> None:
    x_ND, y_N = vectors()
    erased = np.random.default_rng(1).random(len(x_ND)) < 0.2
    assert equal(sums_of(x_ND, y_N, 10) - sums_of(x_ND[erased], y_N[erased], 10), sums_of(x_ND[~erased], y_N[~erased], 10))


def test_rows_that_were_never_in_it_cannot_be_taken_out() -> None:
    x_ND, y_N = vectors()
    with pytest.raises(TrainingError, match="not in"):
        sums_of(x_ND[:10], y_N[:10], 10) - sums_of(x_ND[:20], y_N[:20], 10)


def test_more_rows_than_are_summed_at_once_are_exact_too(monkeypatch: pytest.MonkeyPatch) -> None:
    x_ND, y_N = vectors()
    whole = sums_of(x_ND, y_N, 10)
    monkeypatch.setattr("freehold.training.continual.slda._ROWS_AT_ONCE", 100)
    assert equal(sums_of(x_ND, y_N, 10), whole)


def test_its_covariance_and_means_are_those_of_the_definition() -> None:
    """Against the textbook on the same rounded rows: what the discriminant scores differ by between components is log-likelihood ratio."""
    x_ND, y_N = vectors()
    x_ND = np.rint(x_ND * STEPS) / STEPS
    mean_KD = np.stack([x_ND[y_N == k].mean(axis=0) for k in range(10)])
    rest_ND = x_ND - mean_KD[y_N]
    covariance_DD = rest_ND.T @ rest_ND / (len(x_ND) - 10)
    shrunk_DD = 0.9 * covariance_DD + 0.1 * np.trace(covariance_DD) / 64 * np.eye(64)
    inverse_DD = np.linalg.inv(shrunk_DD)
    distance_NK = np.array([[(x - m) @ inverse_DD @ (x - m) for m in mean_KD] for x in x_ND[:50]])
    log_posterior_NK = np.log(np.bincount(y_N) / len(y_N)) - distance_NK / 2
    scores_NK = discriminant(sums_of(x_ND, y_N, 10), 0.1).scores(x_ND[:50])
    np.testing.assert_allclose(scores_NK - scores_NK[:, :1], log_posterior_NK - log_posterior_NK[:, :1], rtol=1e-6, atol=1e-6)


def test_it_answers_as_scikit_learns_discriminant_does() -> None:
    x_ND, y_N = vectors()
    ours = discriminant(sums_of(x_ND[:1200], y_N[:1200], 10), 0.1).scores(x_ND[1200:]).argmax(axis=1)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(x_ND[:1200], y_N[:1200]).predict(x_ND[1200:])
    assert (ours == theirs).mean() > 0.99
    assert (ours == y_N[1200:]).mean() > 0.9


def test_answers_that_come_one_after_another_are_learnt_as_all_at_once() -> None:
    x_ND, y_N = vectors()
    two_by_two = joined([sums_of(x_ND[y_N // 2 == part], y_N[y_N // 2 == part] % 2, 2) for part in range(5)])
    assert equal(two_by_two, sums_of(x_ND, y_N, 10))


def test_a_component_without_rows_is_never_chosen() -> None:
    x_ND, y_N = vectors()
    found = discriminant(sums_of(x_ND[y_N < 5], y_N[y_N < 5], 10), 0.1)
    assert found.scores(x_ND).argmax(axis=1).max() == 4
    assert nearest_mean(sums_of(x_ND[y_N < 5], y_N[y_N < 5], 10)).scores(x_ND).argmax(axis=1).max() == 4


def test_few_rows_are_enough_for_a_classifier_that_works() -> None:
    """Three rows of each digit, in 64 dimensions: the covariance itself has no inverse."""
    x_ND, y_N = vectors()
    few = np.concatenate([np.flatnonzero(y_N == k)[:3] for k in range(10)])
    assert (discriminant(sums_of(x_ND[few], y_N[few], 10), 0.3).scores(x_ND).argmax(axis=1) == y_N).mean() > 0.6
    single = discriminant(sums_of(x_ND[:2], np.array([0, 1]), 2), 0.01).scores(x_ND[:2])
    assert single.argmax(axis=1).tolist() == [0, 1]


def test_the_nearest_mean_is_the_nearest() -> None:
    x_ND, y_N = vectors()
    mean_KD = np.stack([x_ND[y_N == k].mean(axis=0) for k in range(10)])
    wanted = np.linalg.norm(x_ND[:, None] - mean_KD, axis=2).argmin(axis=1)
    assert (nearest_mean(sums_of(x_ND, y_N, 10)).scores(x_ND).argmax(axis=1) == wanted).mean() > 0.999


def test_vectors_that_no_embedder_gives_are_refused() -> None:
    for bad in (np.nan, 1.5):
        with pytest.raises(TrainingError, match="beyond 1"):
            sums_of(np.array([[0.1, bad]]), np.array([0]), 1)
    with pytest.raises(TrainingError, match="no row"):
        discriminant(nothing(3, 4))
