"""Evaluations as they are kept, on each database: what was fixed beforehand stays, and of an erased person no single score."""

import io
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest

from freehold.catalog import Metric
from freehold.errors import CallerError, DataError
from freehold.evaluation import records
from freehold.evaluation.result import Asked, Evaluation, Target, Targets
from freehold.evaluation.summary import overall
from freehold.evaluation.table import Table
from freehold.store.open import Store

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
ASKED = Asked(task="triage", variants=("frontier", "cheap"), reference="frontier", scorers=("correct",), dataset=None, limit=None, seed=0)
TARGETS = Targets(scorer="correct", reference="frontier", margin=0.02, confidence=0.95, data="d1")
EASY = Target(by="kind", value="easy", variant="cheap", claim="better", chosen_on=0.1, n=9)


def a_table(items: int = 4) -> Table:
    shape = items, 2
    return Table(
        task="triage",
        variants=("frontier", "cheap"),
        metrics=(Metric(id="correct", kind="binary"),),
        items=tuple(f"item-{n}" for n in range(items)),
        group_N=np.arange(items),
        selects_N=np.arange(items) % 2 == 0,
        tags=({},) * items,
        score_SNV=np.where(np.arange(items)[None, :, None] == 1, np.nan, 1.0) * np.ones((1, *shape)),
        why_SNV=np.where(np.arange(items)[None, :, None] == 1, "the answer 'I live in Elm Street' has no number", "").astype(object)
        * np.ones((1, *shape), dtype=int).astype(object),
        silent_NV=np.zeros(shape, dtype=bool),
        answered_NV=np.ones(shape, dtype=bool),
        cost_NV=np.full(shape, 0.1),
        latency_NV=np.full(shape, np.nan),
    )


def an_evaluation(id: str, table: Table) -> Evaluation:
    return Evaluation(
        id=id, asked=ASKED, metrics=table.metrics, begun=NOON, ended=NOON + timedelta(minutes=1), items=len(table), frame=len(table),
        groups=len(table), data=table.data, sides=overall(table, 0.95),
    )  # fmt: skip


def keep(store: Store, folder: Path, id: str = "e1") -> Evaluation:
    table = a_table()
    records.begin(store, "default", id, ASKED, "h1", NOON)
    records.write(folder, id, table, np.array([["a", "b"]] * len(table), dtype=object))
    records.finish(store, "default", found := an_evaluation(id, table))
    return found


def test_what_was_kept_is_found_by_how_its_id_begins(store: Store, tmp_path: Path) -> None:
    first, second = keep(store, tmp_path, "20260304-aa"), keep(store, tmp_path, "20260304-ab")
    assert records.find(store, "default", "20260304-aa") == first
    assert [row.id for row in records.rows(store, "default", "triage")] == [second.id, first.id]
    with pytest.raises(CallerError, match="Several evaluations begin"):
        records.find(store, "default", "20260304-a")
    with pytest.raises(CallerError, match="There is no evaluation 'x'"):
        records.find(store, "default", "x")
    with pytest.raises(CallerError, match="There is no evaluation"):
        records.find(store, "other", first.id)


def test_one_that_was_broken_off_is_gone_on_with(store: Store) -> None:
    records.begin(store, "default", "e1", ASKED, "h1", NOON)
    assert records.unfinished(store, "default", "h1") == "e1"
    assert records.unfinished(store, "default", "h2") is None
    assert records.unfinished(store, "other", "h1") is None
    with pytest.raises(CallerError, match="has not ended"):
        records.find(store, "default", "e1")
    records.finish(store, "default", an_evaluation("e1", a_table()))
    assert records.unfinished(store, "default", "h1") is None


def test_targets_keep_the_time_at_which_they_were_first_fixed(store: Store) -> None:
    records.begin(store, "default", "e1", ASKED, "h1", NOON)
    assert records.fix(store, "default", "e1", TARGETS, "t1", NOON) == (NOON, 1)
    assert records.fix(store, "default", "e1", TARGETS, "t1", NOON + timedelta(hours=1)) == (NOON, 1)
    (row,) = records.rows(store, "default")
    assert (row.targets, row.targets_hash, row.targets_at) == (TARGETS, "t1", NOON)


def test_another_list_of_targets_on_the_same_items_is_another_attempt(store: Store) -> None:
    other, later = msgspec.structs.replace(TARGETS, chosen=(EASY,)), NOON + timedelta(hours=1)
    elsewhere, required = msgspec.structs.replace(other, data="d2"), msgspec.structs.replace(TARGETS, requirements=("correct>=0.9",))
    attempts = []
    for n, targets in enumerate((TARGETS, other, TARGETS, required, elsewhere)):
        records.begin(store, "default", f"e{n}", ASKED, "h1", NOON)
        attempts.append(records.fix(store, "default", f"e{n}", targets, f"t{n}", later)[1])
    assert attempts == [1, 2, 1, 1, 1]


def test_single_scores_come_back_as_they_were_and_are_their_owners_alone(store: Store, tmp_path: Path) -> None:
    keep(store, tmp_path)
    path = records.path_of(tmp_path, "e1")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = records.singles(tmp_path, "e1")
    assert [(one.item, one.variant, one.score) for one in found[:4]] == [
        ("item-0", "frontier", 1.0), ("item-0", "cheap", 1.0), ("item-1", "frontier", None), ("item-1", "cheap", None),
    ]  # fmt: skip
    assert {one.part for one in found} == {"choose", "confirm"}
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read"):
        records.singles(tmp_path, "e1")
    path.unlink()
    with pytest.raises(DataError, match="are missing"):
        records.singles(tmp_path, "e1")


def test_of_an_erased_person_no_single_score_and_no_reason_is_left(store: Store, tmp_path: Path) -> None:
    """The bytes of the file and of the row are searched for what was said of their item."""
    keep(store, tmp_path)
    removed = records.erase(store, "default", tmp_path, {"triage": {"item-1"}, "other": {"item-0"}})
    assert removed.evaluations == {"e1": 1}
    assert {one.item for one in records.singles(tmp_path, "e1")} == {"item-0", "item-2", "item-3"}
    with pq.ParquetFile(records.path_of(tmp_path, "e1")) as file:
        plain = io.BytesIO()
        pq.write_table(file.read(), plain, compression="none")  # with whatever its dictionaries hold
    assert b"item-2" in plain.getvalue()
    assert b"item-1" not in plain.getvalue() and b"Elm Street" not in plain.getvalue()
    found = records.find(store, "default", "e1")
    assert found.erased == 1
    assert b"Elm Street" not in msgspec.json.encode(found)
    assert found.sides[0].means[0].n == 3


def test_items_of_a_file_are_found_under_the_task_that_they_were_journalled_by(store: Store, tmp_path: Path) -> None:
    keep(store, tmp_path)
    assert records.erase(store, "default", tmp_path, {"triage@heldout": {"item-1"}}).evaluations == {"e1": 1}
    assert records.erase(store, "default", tmp_path, {"triage2": {"item-2"}}).evaluations == {}


def test_a_damaged_file_is_named(store: Store, tmp_path: Path, a_call: Callable[..., object]) -> None:
    keep(store, tmp_path)
    records.path_of(tmp_path, "e1").write_bytes(b"damaged")
    assert records.erase(store, "default", tmp_path, {"triage": {"item-1"}}).unreadable == (records.path_of(tmp_path, "e1"),)
