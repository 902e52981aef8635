"""The regression gate: what is too much to forget, and when an answer's manner has collapsed."""

import numpy as np
import pytest

from freehold.evaluation.forgetting import Both, Manner, kept
from freehold.promotion.regression import collapsed, forgot
from freehold.variants.card import Kept


def one(of: str, before: float, after: float, low: float, high: float) -> Kept:
    return Kept(of=of, name="x@0123456789abcdef", n=100, before=before, after=after, low=low, high=high)  # type: ignore[arg-type]


def test_over_all_rows_the_loss_itself_counts_and_of_a_part_what_is_beyond_chance() -> None:
    assert forgot([one("all", 0.9, 0.88, -0.05, 0.01)], 0.02) == []
    assert "all earlier rows: 0.900 before, 0.870 now" in forgot([one("all", 0.9, 0.87, -0.05, 0.01)], 0.02)[0]
    fine = one("all", 0.9, 0.9, -0.01, 0.01)
    assert forgot([fine, one("answer", 0.9, 0.7, -0.4, 0.01)], 0.02) == []
    assert "answer 'x@0123456789abcdef'" in forgot([fine, one("answer", 0.9, 0.7, -0.3, -0.1)], 0.02)[0]
    assert "data set x@0123456789ab:" in forgot([fine, one("dataset", 0.9, 0.7, -0.3, -0.1)], 0.02)[0]
    assert "nothing is left" in forgot([], 0.02)[0]


@pytest.mark.parametrize(
    ("after", "shape", "why"),
    [
        (Manner(answered=0.99, kinds=8.0, chars=40.0), "choice", None),
        (Manner(answered=0.85, kinds=10.0, chars=40.0), "choice", "it answers 85% of earlier rows"),
        (Manner(answered=1.0, kinds=4.0, chars=40.0), "choice", "4 kinds of answers in effect, and 10 before"),
        (Manner(answered=1.0, kinds=10.0, chars=90.0), "choice", None),
        (Manner(answered=1.0, kinds=10.0, chars=90.0), "text", "90 characters on average, and 40 before"),
        (Manner(answered=1.0, kinds=10.0, chars=15.0), "text", "15 characters on average"),
    ],
)
def test_another_manner_of_answering_is_a_collapse(after: Manner, shape: str, why: str | None) -> None:
    found = collapsed(Manner(answered=1.0, kinds=10.0, chars=40.0), after, shape)
    assert found == [] if why is None else why in found[0]


def test_what_was_kept_is_told_of_all_rows_and_of_each_part_and_equal_rows_lose_nothing() -> None:
    rng = np.random.default_rng(0)
    before_N = (rng.random(300) < 0.9).astype(float)
    after_N = before_N.copy()
    after_N[:50] = 0.0
    names = ["old"] * 100 + ["new"] * 200
    found = kept(Both(before_N, after_N, np.arange(300), True), {"dataset": names}, 0.95)
    assert [(part.of, part.name, part.n) for part in found] == [
        ("all", "all earlier rows", 300),
        ("dataset", "old", 100),
        ("dataset", "new", 200),
    ]
    assert found[0].before - found[0].after == pytest.approx(before_N[:50].sum() / 300)
    assert found[1].high < -0.2
    assert (found[2].before, found[2].low <= 0 <= found[2].high) == (found[2].after, True)
