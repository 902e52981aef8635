"""Any rows come back as they were written, in order, whatever the order they ended in and wherever the writing was cut off."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.errors import FreeholdError
from freehold.pipelines.output import RowWriter
from freehold.pipelines.rows import BadRow, Format, Row, read_rows
from freehold.pipelines.writers import Fields

in_a_file = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

words = st.text(st.characters(codec="utf-8"), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8)
FIELDS: Fields = {"a": "text", "b": "json", "c": "integer"}
table_rows = st.fixed_dictionaries({"a": words | st.none(), "b": values, "c": st.integers(-(2**63), 2**63 - 1) | st.none()})
FORMATS: list[Format] = ["jsonl", "csv", "parquet"]


def forget(path: Path) -> None:
    for each in (path, path.with_name(f"{path.name}.part")):
        each.unlink(missing_ok=True)


def written(path: Path, format: Format, rows: dict[int, Any]) -> bytes:
    writer = RowWriter(path, format, FIELDS, "j", defuse=False)
    for n, value in rows.items():
        if not writer.has(n):
            writer.put(n, value)
    writer.finish()
    return path.read_bytes()


def text_of(cell: Any) -> Any:
    return cell if cell is None or isinstance(cell, str) else msgspec.json.encode(cell).decode()


@in_a_file
@given(rows=st.lists(values, max_size=8))
def test_any_json_survives_lines(tmp_path: Path, rows: list[Any]) -> None:
    path = tmp_path / "x.jsonl"
    forget(path)
    content = written(path, "jsonl", dict(enumerate(rows)))
    try:
        found = list(read_rows(path))
    except FreeholdError:
        assert len(rows) == 1 and isinstance(rows[0], list)  # one list of objects alone is taken for a file that is no JSON lines
        return
    assert [msgspec.json.encode(row.value) for row in found if isinstance(row, Row)] == content.splitlines()
    assert len({row.key for row in found if isinstance(row, Row)}) == len(rows)


@in_a_file
@given(rows=st.lists(table_rows, max_size=6))
def test_any_cells_survive_a_csv_as_text(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Null is an empty cell; a line end of two characters within a cell is one."""
    path = tmp_path / "x.csv"
    forget(path)
    written(path, "csv", dict(enumerate(rows)))
    found = [row.value for row in read_rows(path) if isinstance(row, Row)]
    assert [{name: text_of(cell) or "" for name, cell in row.items()} for row in rows] == found


@in_a_file
@given(rows=st.lists(table_rows, max_size=6))
def test_any_cells_survive_parquet(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    path = tmp_path / "x.parquet"
    forget(path)
    written(path, "parquet", dict(enumerate(rows)))
    found = [row.value for row in read_rows(path) if isinstance(row, Row)]
    assert found == [
        {"a": row["a"], "b": None if row["b"] is None else msgspec.json.encode(row["b"]).decode(), "c": row["c"]} for row in rows
    ]


@pytest.mark.parametrize("format", FORMATS)
@in_a_file
@given(rows=st.lists(table_rows, min_size=1, max_size=6), data=st.data())
def test_neither_the_order_nor_a_kill_changes_a_byte(
    tmp_path: Path, format: Format, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    """The part is cut at any byte, or what stood at its end is lost to zeros, and the run goes on in another order."""
    path = tmp_path / f"x.{format}"
    forget(path)
    whole = written(path, format, dict(enumerate(rows)))
    forget(path)
    order = data.draw(st.permutations(range(len(rows))))
    writer = RowWriter(path, format, FIELDS, "j", defuse=False)
    for n in order[: data.draw(st.integers(0, len(rows)))]:
        writer.put(n, rows[n])
    writer.close()
    left = writer.part.read_bytes()
    cut = data.draw(st.integers(0, len(left)))
    writer.part.write_bytes(left[:cut] + bytes(data.draw(st.integers(0, 1)) * (len(left) - cut)))
    path.with_name(f"{path.name}.part.whole").write_bytes(whole[: len(whole) // 2])
    again = data.draw(st.permutations(range(len(rows))))
    assert written(path, format, {n: rows[n] for n in again}) == whole


@in_a_file
@given(
    content=st.binary(max_size=200) | st.text('{}[]",:;ab\n\r\t\0 1é').map(str.encode),
    name=st.sampled_from(["x", "x.jsonl", "x.csv", "x.parquet"]),
)
def test_any_bytes_end_in_rows_or_an_error_of_ours(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    try:
        for n, row in enumerate(read_rows(tmp_path / name)):
            assert row.n == n
            assert isinstance(row, Row) or (isinstance(row, BadRow) and row.why)
    except FreeholdError as error:
        assert str(error)


@in_a_file
@given(rows=st.lists(values, min_size=1, max_size=6), more=st.lists(values, max_size=3))
def test_keys_stay_when_rows_are_added(tmp_path: Path, rows: list[Any], more: list[Any]) -> None:
    def keys(every: list[Any]) -> list[str]:
        (tmp_path / "x.jsonl").write_bytes(b"1\n" + b"".join(msgspec.json.encode(value) + b"\n" for value in every))
        return [row.key for row in read_rows(tmp_path / "x.jsonl") if isinstance(row, Row)]

    assert keys(rows + more)[: len(rows) + 1] == keys(rows)
