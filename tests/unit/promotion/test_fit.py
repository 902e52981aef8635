"""Predictors of the paired loss: fitted on training items, judged out of fold, and none of them sees the item it speaks of."""

from dataclasses import replace

import numpy as np
import pytest

from freehold.promotion.fit import FOLDS, Fitted, Sample, centroids, fit_predictors, folds, pooled_loss
from freehold.routing.predict import Difficulty, Neighbours, Regions

KINDS = {"constant", "linear", "kernel", "neighbours", "regions", "blend"}


def sample(n: int = 400, seed: int = 0, pooled: bool = False, variants: int = 2) -> Sample:
    """Losses that a direction of the embedding decides: items on its far side lose."""
    rng = np.random.default_rng(seed)
    embedding_ND = rng.normal(size=(n, 8))
    embedding_ND /= np.linalg.norm(embedding_ND, axis=1, keepdims=True)
    hard_N = embedding_ND[:, 0] > 0.3
    loss_NV = ((rng.random((n, variants)) < 0.6) & hard_N[:, None]).astype(float)
    x_NF = np.hstack([rng.normal(size=(n, 3)), embedding_ND])
    pooled_N = hard_N * 0.6 + rng.normal(0, 0.1, n) if pooled else None
    return Sample(x_NF, 3, loss_NV, pooled_N, folds(np.arange(n), 0))


@pytest.fixture(scope="module")
def fitted() -> dict[str, Fitted]:
    """Every kind, fitted once."""
    return fit_predictors(sample(), 0)


def test_every_kind_is_fitted_and_difficulty_only_where_many_variants_tell_it(fitted: dict[str, Fitted]) -> None:
    assert set(fitted) == KINDS
    assert set(fit_predictors(sample(pooled=True), 0)) == KINDS | {"difficulty"}


@pytest.mark.parametrize("kind", sorted(KINDS - {"constant"}))
def test_what_shows_in_the_features_is_learnt(fitted: dict[str, Fitted], kind: str) -> None:
    loss_NV = sample().loss_NV
    fresh = sample(seed=1)
    error = ((fitted[kind].predictor.predict(fresh.x_NF) - fresh.loss_NV) ** 2).mean()
    assert error < 0.97 * ((fresh.loss_NV - loss_NV.mean(axis=0)) ** 2).mean()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_out_of_fold_predictions_are_no_better_than_those_of_fresh_items(fitted: dict[str, Fitted], kind: str) -> None:
    """Items they were fitted on would look easier than they are."""
    known, fresh = sample(), sample(2000, seed=2)
    out_of_fold = ((fitted[kind].oof_NV - known.loss_NV) ** 2).mean()
    on_fresh = ((fitted[kind].predictor.predict(fresh.x_NF) - fresh.loss_NV) ** 2).mean()
    assert out_of_fold == pytest.approx(on_fresh, abs=0.03)


def test_an_items_own_loss_has_no_part_in_what_is_predicted_out_of_fold() -> None:
    """Regions share centroids with all items, but never an item's loss."""
    known = sample(200)
    turned = known.loss_NV.copy()
    in_fold_N = known.fold_N == 2
    turned[in_fold_N] = 1 - turned[in_fold_N]
    before, after = fit_predictors(known, 0), fit_predictors(known._replace(loss_NV=turned), 0)
    assert (before["constant"].oof_NV[in_fold_N] == after["constant"].oof_NV[in_fold_N]).all()
    assert before["regions"].oof_NV[in_fold_N] == pytest.approx(after["regions"].oof_NV[in_fold_N])


def test_fitting_twice_gives_the_same_arrays(fitted: dict[str, Fitted]) -> None:
    again = fit_predictors(sample(), 0)
    for kind in KINDS:
        assert (again[kind].oof_NV == fitted[kind].oof_NV).all()


def test_a_blend_is_the_mean_of_the_better_smooth_one_and_the_neighbours(fitted: dict[str, Fitted]) -> None:
    x_NF, losses = sample(seed=3).x_NF, sample().loss_NV
    smooth = min(("linear", "kernel"), key=lambda kind: ((fitted[kind].oof_NV - losses) ** 2).mean())
    parts = [fitted[kind].predictor.predict(x_NF) for kind in (smooth, "neighbours")]
    assert fitted["blend"].predictor.predict(x_NF) == pytest.approx((parts[0] + parts[1]) / 2)


def test_neighbours_shrink_towards_the_mean_of_all() -> None:
    near = Neighbours(0, np.eye(2, dtype=np.float32), np.array([[1.0], [0.0]]), np.array([0.5]), reach=0.1)
    other, imagined = np.exp(-1 / 0.1), 0.5 * np.exp(-0.5 / 0.1)
    expected = (np.array([1.0, other]) + imagined * 0.5) / (1 + other + imagined)
    assert near.predict(np.eye(2))[:, 0] == pytest.approx(expected)
    assert near.predict(-np.eye(2))[:, 0] == pytest.approx([0.5, 0.5], abs=0.01)  # like none of them


def test_neighbours_tell_of_several_reaches_what_they_would_tell_of_each() -> None:
    one, reaches = sample(60), (0.05, 0.2)
    near = Neighbours(one.start, one.x_NF[:30, one.start :].astype(np.float32), one.loss_NV[:30], one.loss_NV[:30].mean(axis=0), 0.1)
    told = [replace(near, reach=reach).predict(one.x_NF) for reach in reaches]
    assert np.array_equal(near.predict_at(one.x_NF, reaches), told)


def test_a_kernel_bends_where_a_line_cannot() -> None:
    """Items in the middle lose, those at both ends do not."""
    rng = np.random.default_rng(0)
    angle_N = rng.uniform(0, np.pi, 300)
    x_NF = np.column_stack([rng.normal(size=300), np.cos(angle_N), np.sin(angle_N)])
    loss_NV = (np.abs(np.cos(angle_N)) < 0.4).astype(float)[:, None]
    made = fit_predictors(Sample(x_NF, 1, loss_NV, None, folds(np.arange(300), 0)), 0)
    error = {kind: ((made[kind].oof_NV - loss_NV) ** 2).mean() for kind in ("linear", "kernel")}
    assert error["kernel"] < 0.7 * error["linear"]


def test_an_input_unlike_all_others_is_predicted_within_bounds(fitted: dict[str, Fitted]) -> None:
    far = sample().x_NF[:1].copy()
    far[:, :3] = 1e9
    assert np.abs(fitted["kernel"].predictor.predict(far)).max() < 2


def test_a_region_is_the_nearest_centroids() -> None:
    regions = Regions(0, np.array([[0, 0], [10, 0]], dtype=np.float32), np.array([[0.1], [0.9]]))
    assert regions.region(np.array([[1.0, 2], [8, 1]])).tolist() == [0, 1]
    assert regions.predict(np.array([[1.0, 2], [8, 1]]))[:, 0].tolist() == [0.1, 0.9]


def test_with_difficulty_each_variant_has_its_own_line() -> None:
    made = fit_predictors(sample(pooled=True), 0)["difficulty"].predictor
    assert isinstance(made, Difficulty)
    assert (made.slope_V > 0.3).all()


# Folds, difficulty, centroids


def test_folds_never_part_a_group() -> None:
    group_N = np.repeat(np.arange(40), 5)
    fold_N = folds(group_N, 0)
    assert all(len(set(fold_N[group_N == g])) == 1 for g in range(40))
    assert sorted(np.bincount(fold_N, minlength=FOLDS)) == [40] * 5


def test_difficulty_is_learnt_from_five_variants_on() -> None:
    score_NV = np.array([[1.0, 0, 1, 0, 1, 1], [0, 0, 0, 0, 0, 1]])
    assert pooled_loss(score_NV) == pytest.approx([1 - 0.6, -0.2])
    assert pooled_loss(score_NV[:, :5]) is None


def test_difficulty_leaves_out_what_nobody_knows() -> None:
    score_NV = np.array([[1.0, 0, np.nan, 0, 1, 1], [0, 0, 0, 0, 0, 1]])
    assert pooled_loss(score_NV) == pytest.approx([0.5, -0.2])
    assert pooled_loss(np.where([[True] + [False] * 5], np.nan, score_NV)) is None


def test_there_are_no_more_regions_than_distinct_inputs() -> None:
    assert len(centroids(np.repeat([[0.0, 0], [1, 1]], 20, axis=0), 12, 0)) == 2
    assert len(centroids(np.zeros((20, 4)), 12, 0)) == 1


def test_constant_features_and_losses_break_nothing() -> None:
    known = sample(100)
    made = fit_predictors(known._replace(x_NF=np.ones_like(known.x_NF), loss_NV=np.zeros_like(known.loss_NV)), 0)
    for one in made.values():
        assert one.predictor.predict(np.ones((3, 11))) == pytest.approx(np.zeros((3, 2)))
