"""Rows of a file, and what is no row."""

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freehold.errors import CallerError, DataError
from freehold.pipelines.rows import BadRow, Format, Occurrences, Row, count_rows, format_of, read_rows


def read(tmp_path: Path, content: bytes, name: str = "x.jsonl", format: Format | None = None) -> Sequence[Row | BadRow]:
    (tmp_path / name).write_bytes(content)
    return list(read_rows(tmp_path / name, format))


def values(rows: Sequence[Row | BadRow]) -> list[Any]:
    return [row.value if isinstance(row, Row) else None for row in rows]


def test_each_line_is_a_row_of_any_json(tmp_path: Path) -> None:
    rows = read(tmp_path, b'\xef\xbb\xbf{"a": 1}\r\n\n"x"\n[1]\nnull\n')
    assert values(rows) == [{"a": 1}, "x", [1], None]
    assert [row.n for row in rows] == [0, 1, 2, 3]


def test_equal_rows_have_keys_of_their_own_that_stay(tmp_path: Path) -> None:
    """The order of an object's keys is not its content; a file that grows keeps the keys it had."""
    content = b'{"a": 1, "b": 2}\n{"b": 2, "a": 1}\n{"a": 1, "b": 2}\n'
    keys = [row.key for row in read(tmp_path, content) if isinstance(row, Row)]
    assert len(set(keys)) == 3
    assert [key.split("-")[0] for key in keys] == [keys[0]] * 3
    assert [row.key for row in read(tmp_path, content + b"7\n") if isinstance(row, Row)][:3] == keys


def test_counting_too_high_is_never_counting_twice_the_same() -> None:
    """Of 200,000 others that were seen before, however their counters meet."""
    seen = Occurrences()
    for n in range(200_000):
        seen.of(n.to_bytes(16, "little") if n % 3 else (n * 7919).to_bytes(16, "big"))
    numbers = [seen.of(b"x" * 16) for _ in range(100)]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("line", "why"),
    [(b'{"a": NaN}', "NaN"), (b'{"a": ', "not JSON"), (b'{"a": "\xff"}', "UTF-8"), (b"[" * 300 + b"]" * 300, "nested"), (b"x" * (17 * 2**20), "MiB")],
    ids=["nan", "torn", "latin", "deep", "long"],
)  # fmt: skip
def test_a_line_that_is_no_row_stands_in_its_place(tmp_path: Path, line: bytes, why: str) -> None:
    first, bad, last = read(tmp_path, b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    assert isinstance(bad, BadRow)
    assert bad.n == 1
    assert why in bad.why and bad.why.startswith("line 2: ")
    assert len(bad.text) <= 200
    assert values([first, last]) == [{"a": 1}, {"a": 2}]


def test_one_bad_line_alone_is_a_bad_row(tmp_path: Path) -> None:
    (bad,) = read(tmp_path, b'{"a": NaN}\n')
    assert isinstance(bad, BadRow)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", b'{\n "a": 1\n}\n', "several lines"),
        ("x.jsonl", b'[{"a": 1}, {"a": 2}]\n', "one JSON list"),
        ("x.jsonl", b"hello\nworld\n", "no file of JSON lines"),
        ("x.jsonl", b"\x00\x01\x02\n", "binary"),
        ("x", b"hello\nworld\n", "no format"),
        ("x.csv", b"a,a\n1,2\n", "differ"),
        ("x.csv", b"PK\x03\x04", "zip"),
        ("x.parquet", b"PAR1 and no more", "cannot be read"),
    ],
)
def test_a_file_that_is_none_of_the_formats_is_an_error(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, content, name)


def test_a_list_of_messages_is_a_row(tmp_path: Path) -> None:
    (row,) = read(tmp_path, b'[{"role": "user", "content": "x"}]\n')
    assert isinstance(row, Row)


def test_what_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="There is no file"):
        list(read_rows(tmp_path / "x.jsonl"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_csv_gives_text_by_its_header(tmp_path: Path, delimiter: str) -> None:
    content = f'id{delimiter}text\r\n1{delimiter}"a ""b""\n{delimiter}c"\r\n2{delimiter}\r\n'.encode()
    assert values(read(tmp_path, b"\xef\xbb\xbf" + content, "x.csv")) == [
        {"id": "1", "text": f'a "b"\n{delimiter}c'},
        {"id": "2", "text": ""},
    ]


def test_a_row_of_a_csv_with_too_few_cells_stands_in_its_place(tmp_path: Path) -> None:
    rows = read(tmp_path, b"a,b\n1,2\n3\n4,5\n", "x.csv")
    assert values(rows) == [{"a": "1", "b": "2"}, None, {"a": "4", "b": "5"}]
    assert isinstance(rows[1], BadRow)
    assert rows[1].why.startswith("line 3: the row has 1 cells; expected 2")


def test_a_row_that_is_not_utf8_stands_in_its_place(tmp_path: Path) -> None:
    assert values(read(tmp_path, b"a,b\n1,\xff\n3,4\n", "x.csv")) == [None, {"a": "3", "b": "4"}]


def test_what_follows_in_the_quotes_of_a_bad_row_is_no_row_of_its_own(tmp_path: Path) -> None:
    """The rest of a cell that spans lines looks like a row as soon as the line before it is passed over."""
    rows = read(tmp_path, b'a,b\n1,"x\xff\nmade,up"\n3,4\n', "x.csv")
    assert values(rows) == [None, {"a": "3", "b": "4"}]
    assert isinstance(rows[0], BadRow)
    assert rows[0].why == "line 2: byte 5 of line 2 (0xff) is not UTF-8. Save the table as UTF-8"


def test_parquet_gives_json(tmp_path: Path) -> None:
    """What is not finite is no JSON; times are text."""
    table = pa.table({"a": [1.0, float("nan"), None], "b": [[{"c": 1}], [], None], "t": pa.array([0, 1, None], pa.timestamp("ns", "UTC"))})
    pq.write_table(table, tmp_path / "x.parquet")
    rows = list(read_rows(tmp_path / "x.parquet"))
    assert values(rows) == [{"a": 1.0, "b": [{"c": 1}], "t": "1970-01-01T00:00:00Z"}, None, {"a": None, "b": None, "t": None}]
    assert isinstance(rows[1], BadRow)
    assert "'a' holds a number that is not finite" in rows[1].why


@pytest.mark.parametrize("name", ["x.jsonl.gz", "x.jsonl", "x"])
def test_gzip_is_unpacked_whatever_the_name_says(tmp_path: Path, name: str) -> None:
    assert values(read(tmp_path, gzip.compress(b'{"a": 1}\n'), name)) == [{"a": 1}]


def test_a_gzip_that_breaks_off_gives_the_rows_before_it(tmp_path: Path) -> None:
    content = gzip.compress(b"".join(b'{"a": %d, "b": "%d"}\n' % (n, n * 7919 % 1009) for n in range(2000)))
    rows = read(tmp_path, content[: len(content) // 2], "x.jsonl.gz")
    assert len(rows) > 100
    assert isinstance(rows[-1], BadRow)
    assert all(isinstance(row, Row) for row in rows[:-1])


def test_a_stream_is_read_once(tmp_path: Path) -> None:
    assert values(list(read_rows(io.BytesIO(b'{"a": 1}\n')))) == [{"a": 1}]
    assert values(list(read_rows(io.BytesIO(b"a,b\n1,2\n")))) == [{"a": "1", "b": "2"}]
    assert count_rows(io.BytesIO(b"")) is None


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, b"") == read(tmp_path, b"\n\n") == read(tmp_path, b"", "x.csv") == []


def test_rows_are_counted_without_being_read(tmp_path: Path) -> None:
    read(tmp_path, b"1\n\n2\n3", "x.jsonl")
    read(tmp_path, gzip.compress(b"a,b\n1,2\n3,4\n"), "x.csv.gz")
    pq.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "x.parquet")
    assert [count_rows(tmp_path / name) for name in ("x.jsonl", "x.csv.gz", "x.parquet")] == [3, 2, 3]


def test_a_name_says_its_format() -> None:
    assert [format_of(Path(name)) for name in ("a.jsonl.gz", "a.TSV", "a.parquet", "a")] == ["jsonl", "csv", "parquet", None]
