"""Frozen data: one file by its hash, the same for the same items, and nobody changes it unseen."""

import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freehold.datasets.freeze import FrozenDataChanged, dataset_hash, erase_frozen, erased_items, freeze, thaw
from freehold.datasets.pairs import Pairs
from freehold.errors import DataError
from simulated import a_task

PAIRS = a_task(40)


def one_item_changed(**values: object) -> Pairs:
    """The pairs with something else said of the fourth item."""
    changed = {}
    for name, value in values.items():
        old = getattr(PAIRS, name)
        if isinstance(old, np.ndarray):
            new = old.copy()
            new[3] = value
            changed[name] = new
        else:
            changed[name] = (*old[:3], value, *old[4:])
    return replace(PAIRS, **changed)


def test_what_is_thawed_is_what_was_frozen(tmp_path: Path) -> None:
    pairs = one_item_changed(cost_NV=np.nan, answer_NV=-1, truth_N=-1, inclusion_N=0.25, at_N=1_700_000_000_000_000, texts="ünïcode \n\t")
    name, path = freeze(pairs, tmp_path / "datasets")
    thawed = thaw(path)
    assert path == tmp_path / "datasets" / f"{name}.parquet"
    for field in fields(Pairs):
        frozen, found = getattr(pairs, field.name), getattr(thawed, field.name)
        same = np.array_equal(frozen, found, equal_nan=True) if isinstance(frozen, np.ndarray | float) else frozen == found
        assert same, field.name


def test_freezing_twice_gives_one_hash_and_one_file(tmp_path: Path) -> None:
    first, path = freeze(PAIRS, tmp_path)
    written = path.stat().st_mtime_ns
    assert freeze(replace(PAIRS), tmp_path) == (first, path)
    assert path.stat().st_mtime_ns == written
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_order_of_items_makes_no_other_data_set() -> None:
    turned = replace(
        PAIRS,
        **{name: getattr(PAIRS, name)[::-1] for name in ("items", "groups", "texts", "tags", "designs")},
        **{f.name: getattr(PAIRS, f.name)[::-1] for f in fields(Pairs) if f.name.endswith(("_N", "_NV"))},
    )
    assert dataset_hash(turned) == dataset_hash(PAIRS)


def test_the_numbers_of_answers_make_no_other_data_set() -> None:
    """An answer is known by what it says, not by its place in the list."""
    turned = replace(
        PAIRS,
        answers=PAIRS.answers[::-1],
        answer_NV=len(PAIRS.answers) - 1 - PAIRS.answer_NV,
        truth_N=len(PAIRS.answers) - 1 - PAIRS.truth_N,
    )
    assert dataset_hash(turned) == dataset_hash(PAIRS)


@pytest.mark.parametrize(
    "change",
    [
        {"texts": "another message"},
        {"groups": "another group"},
        {"tags": {"tier": "silver"}},
        {"designs": "found"},
        {"at_N": 7},
        {"score_NV": 0.5},
        {"loss_NV": 0.5},
        {"cost_NV": 0.5},
        {"latency_NV": 0.5},
        {"answer_NV": -1},
        {"truth_N": -1},
        {"inclusion_N": 0.5},
    ],
    ids=str,
)
def test_whatever_changes_in_an_item_makes_another_data_set(change: dict[str, object]) -> None:
    assert dataset_hash(one_item_changed(**change)) != dataset_hash(PAIRS)


@pytest.mark.parametrize("name", ["task", "reference", "metric", "is_deterministic"])
def test_what_the_items_are_about_is_part_of_the_hash(name: str) -> None:
    assert dataset_hash(replace(PAIRS, **{name: "other"})) != dataset_hash(PAIRS)


def test_frozen_files_are_their_owners_alone(tmp_path: Path) -> None:
    _, path = freeze(PAIRS, tmp_path / "datasets")
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_changed_number_is_found_out(tmp_path: Path) -> None:
    _, path = freeze(PAIRS, tmp_path)
    table = pq.read_table(path)
    losses = table.column("loss:1").to_numpy().copy()
    losses[np.argmax(losses)] = 0.0
    pq.write_table(table.set_column(table.column_names.index("loss:1"), "loss:1", pa.array(losses)), path)
    with pytest.raises(FrozenDataChanged, match="its hash is not its name"):
        thaw(path)


def test_a_left_out_item_is_found_out(tmp_path: Path) -> None:
    _, path = freeze(PAIRS, tmp_path)
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(FrozenDataChanged):
        thaw(path)


def test_another_data_sets_file_under_this_name_is_found_out(tmp_path: Path) -> None:
    _, path = freeze(PAIRS, tmp_path)
    _, other = freeze(a_task(40, seed=1), tmp_path)
    shutil.copy(other, path)
    with pytest.raises(FrozenDataChanged):
        thaw(path)


@pytest.mark.parametrize("content", [b"", b"PAR1 but not really PAR1", b"\x00" * 5000])
def test_what_is_no_parquet_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read"):
        thaw(path)


def test_a_parquet_of_something_else_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(DataError, match="cannot be read"):
        thaw(path)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing.*backup"):
        thaw(tmp_path / "gone.parquet")


def test_a_damaged_file_is_unreadable_or_found_out(tmp_path: Path) -> None:
    _, path = freeze(PAIRS, tmp_path)
    whole = path.read_bytes()
    for at in range(4, len(whole), len(whole) // 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            thawed = thaw(path)
        except DataError:
            continue
        assert dataset_hash(thawed) == dataset_hash(PAIRS)  # a byte that holds nothing of it, such as the writer's name
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        thaw(path)


# Erasure


def test_erasing_an_item_removes_every_file_that_holds_it_and_leaves_a_mark(tmp_path: Path) -> None:
    _, whole = freeze(PAIRS, tmp_path)
    _, half = freeze(PAIRS.rows(np.arange(40) < 20), tmp_path)
    _, rest = freeze(PAIRS.rows(np.arange(40) >= 20), tmp_path)
    (tmp_path / "damaged.parquet").write_bytes(b"broken")
    removed = erase_frozen(tmp_path, {"triage": {"i000003", "i000004", "nobody's"}})
    assert removed == ({whole.stem: 2, half.stem: 2}, (tmp_path / "damaged.parquet",))
    assert (erased_items(whole), erased_items(half), erased_items(rest)) == (2, 2, 0)
    assert (whole.exists(), half.exists(), rest.exists()) == (False, False, True)


def test_items_of_the_same_name_in_another_task_stay(tmp_path: Path) -> None:
    _, path = freeze(PAIRS, tmp_path)
    assert erase_frozen(tmp_path, {"sort": {"i000003"}}).items == {}
    assert path.exists()


def test_items_of_several_tasks_are_erased_by_one_look_at_each_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = [freeze(replace(PAIRS, task=task), tmp_path)[1] for task in ("triage", "sort", "count")]
    opened: list[Path] = []

    class Counted(pq.ParquetFile):  # type: ignore[misc, unused-ignore]
        def __init__(self, path: Path) -> None:
            opened.append(path)
            super().__init__(path)

    monkeypatch.setattr(pq, "ParquetFile", Counted)
    removed = erase_frozen(tmp_path, {"triage": {"i000003"}, "sort": {"i000003", "i000004"}, "none": {"i000005"}})
    assert removed.items == {whole[0].stem: 1, whole[1].stem: 2}
    assert sorted(opened) == sorted(whole)


def test_erasing_from_nothing_removes_nothing(tmp_path: Path) -> None:
    assert erase_frozen(tmp_path / "none", {"triage": {"i000003"}}) == ({}, ())
