"""What a project knows checks itself at birth."""

from typing import Any

import pytest

from freehold.catalog import AGREEMENT, Catalog, Metric, Rates, Task
from freehold.errors import CallerError, OperatorError


def test_a_score_is_mapped_to_the_unit_range_with_one_the_best() -> None:
    metric = Metric(id="stars", range=(1, 5))
    assert [metric.unit(score) for score in (1, 3, 5)] == [0, 0.5, 1]


def test_a_metric_that_is_better_lower_is_turned_round() -> None:
    metric = Metric(id="errors", range=(0, 10), better="lower")
    assert [metric.unit(score) for score in (0, 4, 10)] == [1, 0.6, 0]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_score_outside_the_range_is_refused(score: float) -> None:
    with pytest.raises(CallerError, match=r"outside \[0, 1\].*\[metrics.correct\]"):
        Metric(id="correct").unit(score)


def test_a_binary_metric_takes_nothing_between() -> None:
    metric = Metric(id="correct", kind="binary")
    assert [metric.unit(0), metric.unit(1)] == [0, 1]
    with pytest.raises(CallerError, match="neither 0 nor 1"):
        metric.unit(0.5)


@pytest.mark.parametrize("ends", [(1, 0), (0, 0), (float("-inf"), 0), (0, float("inf")), (float("nan"), 1)])
def test_a_range_is_two_finite_numbers_in_order(ends: tuple[float, float]) -> None:
    with pytest.raises(OperatorError, match="two finite numbers"):
        Metric(id="m", range=ends)


def test_a_binary_metric_has_no_range_of_its_own() -> None:
    with pytest.raises(OperatorError, match="a binary metric's scores are 0 and 1"):
        Metric(id="m", kind="binary", range=(0, 2))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_loss": 0}, r"tasks.t.max_loss is 0"),
        ({"max_loss": 1}, r"between 0 and 1"),
        ({"max_loss": float("nan")}, r"max_loss is nan"),
        ({"confidence": 1}, r"tasks.t.confidence is 1"),
        ({"confidence": 0.4}, r"from 0.5 to below 1"),
        ({"p95_s": 0}, r"tasks.t.p95_s is 0"),
        ({"p95_s": float("nan")}, r"above 0"),
    ],
)
def test_a_task_with_a_floor_that_makes_no_sense_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        Task(id="t", **fields)


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_a_price_is_a_number_from_zero(price: float) -> None:
    with pytest.raises(OperatorError, match="a price is a number from 0 up"):
        Rates(input_per_mtok=1, output_per_mtok=1, cached_read_per_mtok=price)


def test_a_task_is_found_by_name_and_a_slip_is_answered() -> None:
    catalog = Catalog(tasks={"triage": Task(id="triage"), "summary": Task(id="summary")})
    assert catalog.task("triage").id == "triage"
    with pytest.raises(CallerError, match=r"no task 'triag'\. Did you mean 'triage'\? Known: summary, triage\."):
        catalog.task("triag")


def test_a_metric_nobody_declared_is_bounded_and_agreement_is_built_in() -> None:
    catalog = Catalog(metrics={"correct": Metric(id="correct", kind="binary")})
    assert catalog.metric("correct").kind == "binary"
    assert catalog.metric("quality") == Metric(id="quality", kind="bounded", range=(0, 1))
    assert catalog.metric(AGREEMENT) == Metric(id=AGREEMENT, kind="binary", deterministic=True)
