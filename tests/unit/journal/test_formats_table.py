"""CSV and Parquet with the native record's columns."""

import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freehold.chat import Usage
from freehold.journal.formats.lines import MAX_LINE_BYTES
from freehold.journal.formats.record import Line, Record
from freehold.journal.formats.source import Source
from freehold.journal.formats.table import read_csv, read_parquet

Lines = Callable[..., list[Line]]

FULL = {
    "task": "triage",
    "item": "1",
    "input": "My card, swallowed",
    "variant": "cheap",
    "output": {"queue": "cards"},
    "usage": {"input_tokens": 31, "output_tokens": 4},
    "cost_usd": 0.0001,
    "latency_ms": 812.5,
    "scores": {"correct": 1.0},
    "reference_output": {"queue": "cards"},
    "group": "c7",
    "tags": {"tier": "gold"},
    "propensity": 0.5,
    "policy": "a1b2",
    "at": "2026-01-31T09:00:00Z",
}


def parquet(tmp_path: Path, columns: dict[str, Any], name: str = "log.parquet") -> list[Line]:
    pq.write_table(pa.table(columns), tmp_path / name)
    return list(read_parquet(Source(name, tmp_path / name)))


def csv_of(*rows: str) -> bytes:
    return "\n".join(rows).encode()


@pytest.fixture
def native(record_of: Callable[..., Record]) -> Record:
    return record_of(json.dumps(FULL).encode())


def test_a_csv_row_is_the_same_record_as_the_native_line(record_of: Callable[..., Record], tmp_path: Path, native: Record) -> None:
    """Nested columns are JSON text, quoted as CSV quotes."""
    cells = ['"' + (v if isinstance(v, str) else json.dumps(v)).replace('"', '""') + '"' for v in FULL.values()]
    (tmp_path / "one.csv").write_text(",".join(FULL) + "\n" + ",".join(cells) + "\n")
    assert [x.record for x in read_csv(Source("one.csv", tmp_path / "one.csv"))] == [native]


def test_a_parquet_row_is_the_same_record_as_the_native_line(tmp_path: Path, native: Record) -> None:
    """Nested columns may be nested, or JSON text."""
    typed = {key: [value] for key, value in FULL.items()} | {"at": [datetime(2026, 1, 31, 9, tzinfo=UTC)]}
    assert [x.record for x in parquet(tmp_path, typed)] == [native]
    as_text = {key: [json.dumps(value) if isinstance(value, dict) else value] for key, value in FULL.items()}
    assert [x.record for x in parquet(tmp_path, as_text)] == [native]


def test_scores_tags_and_usage_may_have_a_column_for_each(lines_of: Lines, tmp_path: Path) -> None:
    """An empty cell is no score; truth counts as 1 and 0."""
    head = "item,input,variant,scores.correct,scores.tone,tags.tier,usage.input_tokens,usage.output_tokens"
    (tmp_path / "x.csv").write_bytes(csv_of(head, "1,a,v,True,,gold,31.0,4", "2,b,v,0,0.5,,,"))
    first, second = [x.record for x in read_csv(Source("x", tmp_path / "x.csv"))]
    assert first is not None and second is not None
    assert (first.scores, first.tags, first.usage) == ({"correct": 1.0}, {"tier": "gold"}, Usage(input_tokens=31, output_tokens=4))
    assert (second.scores, second.tags, second.usage) == ({"correct": 0.0, "tone": 0.5}, None, None)
    (line,) = parquet(tmp_path, {"item": [1], "input": ["a"], "variant": ["v"], "scores.correct": [True], "usage.input_tokens": [31]})
    assert line.record is not None
    assert (line.record.item, line.record.scores, line.record.usage) == ("1", {"correct": 1.0}, Usage(input_tokens=31))


def test_a_cell_that_is_a_whole_json_object_or_list_is_that_and_all_else_is_text(tmp_path: Path) -> None:
    """`1` stays the text it is, and so does what only begins like JSON."""
    rows = ['"{""a"": 1}"', "1", "[sic] hello", '"[{""role"": ""user"", ""content"": ""x""}]"', '"{not json}"']
    (tmp_path / "x.csv").write_bytes(csv_of("item,variant,input", *(f"{i},v,{row}" for i, row in enumerate(rows))))
    found = [x.record.input for x in read_csv(Source("x", tmp_path / "x.csv")) if x.record]
    assert found == [{"a": 1}, "1", "[sic] hello", [{"role": "user", "content": "x"}], "{not json}"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_commas_semicolons_and_tabs_are_told_by_the_header(lines_of: Lines, delimiter: str) -> None:
    """Spreadsheets write what their country uses."""
    found = lines_of(csv_of(delimiter.join(("item", "input", "variant")), delimiter.join(("1", "a b", "v"))), "log.txt")
    assert [x.record.input for x in found if x.record] == ["a b"]


def test_a_cell_may_span_lines_and_a_row_is_numbered_by_its_first(tmp_path: Path) -> None:
    """Quoted line ends are content, empty lines between rows are not."""
    (tmp_path / "x.csv").write_bytes(b'item,input,variant\r\n1,"a\n\nb",v\r\n\r\n2,c,v\r\n')
    found = list(read_csv(Source("x", tmp_path / "x.csv")))
    assert [(x.number, x.record.input) for x in found if x.record] == [(2, "a\n\nb"), (6, "c")]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("1,a", "the row has 2 cells; expected 5"),
        ("1,a,v,x,", "cost_usd is 'x'; expected a number, with a point for decimals"),
        ('1,a,v,"0,5",', "cost_usd is '0,5'"),
        ("1,a,v,nan,", "cost_usd is nan"),
        ("1,a,v,1_0,", "cost_usd is '1_0'"),
        ("1,a,v,,yes", "scores is not JSON; expected an object"),
        ('1,a,v,,"{""correct"": 2e999}"', "scores is not JSON"),
        ("1,a,v,,[1]", "scores is a list; expected an object"),
        (",a,v,,", "the record has no 'item'"),
        ('1,"a"b,v,,', "cannot be cut into cells"),
        ('1,"a,v,,', "cannot be cut into cells"),
        ("1,\udcff,v,,", "byte 3 of line 2 (0xff) is not UTF-8"),
    ],
)
def test_a_bad_row_says_what_stood_there(tmp_path: Path, row: str, said: str) -> None:
    """And the row before it arrives."""
    content = f"item,input,variant,cost_usd,scores\n{row}\n".encode(errors="surrogateescape")
    (tmp_path / "x.csv").write_bytes(content)
    (line,) = read_csv(Source("x", tmp_path / "x.csv"))
    assert (line.number, line.record) == (2, None)
    assert said in line.problem


def test_a_bad_row_keeps_no_later_row_out(tmp_path: Path) -> None:
    """Neither does a line over the limit, which is passed over unread."""
    content = b"item,input,variant\n1,a\n2,b,v\n3," + b"x" * (MAX_LINE_BYTES + 1) + b",v\n4,d,v\n"
    (tmp_path / "x.csv").write_bytes(content)
    found = list(read_csv(Source("x", tmp_path / "x.csv")))
    assert [(x.number, x.record is not None) for x in found] == [(2, False), (3, True), (4, False), (5, True)]
    assert "was passed over" in found[2].problem


def test_a_row_is_bounded_however_many_lines_it_spans(tmp_path: Path) -> None:
    """A quote that nobody closes would else be held up to the end of the file; what follows once it is passed over is read."""
    line = b"x" * (MAX_LINE_BYTES // 4) + b"\n"
    (tmp_path / "x.csv").write_bytes(b'item,input,variant\n1,"a\n' + line * 5 + b"2,b,v\n")
    found = list(read_csv(Source("x", tmp_path / "x.csv")))
    assert [(x.number, x.record is not None) for x in found] == [(2, False), (7, False), (8, True)]
    assert "the row is longer than 16 MiB. Look for a quote that is not closed" in found[0].problem


def test_what_follows_in_the_quotes_of_a_bad_row_is_no_record(tmp_path: Path) -> None:
    """A line that is not UTF-8 spoils its whole row, and not the first line of it."""
    (tmp_path / "x.csv").write_bytes(b'item,input,variant\n1,"a\xff\n2,made up,v\n",v\n3,c,v\n')
    found = list(read_csv(Source("x", tmp_path / "x.csv")))
    assert [(x.number, x.record.item if x.record else None) for x in found] == [(2, None), (5, "3")]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("item,input,variant,ouput", "no column 'ouput' in a record. Did you mean 'output'?"),
        ("item,input,variant,usage.input_token", "Did you mean 'usage.input_tokens'?"),
        ("item,input", "the header has no 'variant'"),
        ("item,item,input,variant", "the header has 'item' twice"),
        ("a,b,c", "no header with a record's columns"),
        ("", "no header with a record's columns"),
    ],
)
def test_a_header_that_fits_no_record_keeps_the_file_out(lines_of: Lines, header: str, said: str) -> None:
    """One problem for the file, not one for each row."""
    (line,) = lines_of(csv_of(header, "1,2,3", "1,2,3"), "x.csv", "csv")
    assert line.number == 1
    assert said in line.problem
    assert "Nothing of this file was read" in line.problem


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"item": ["1"], "input": ["a"], "variant": ["v"], "ouput": ["x"]}, "Did you mean 'output'?"),
        ({"item": ["1"], "input": ["a"]}, "the header has no 'variant'"),
        ({"item": ["1"], "input": ["a"], "variant": ["v"], "at": [datetime(2026, 1, 1)]}, "times without a zone"),
        ({"item": ["1"], "input": ["a"], "variant": ["v"], "at": [7]}, "at is 7; expected a time"),
        ({"item": ["1"], "input": ["a"], "variant": ["v"], "scores.correct": [float("nan")]}, "'correct' is nan"),
        ({"item": ["1"], "input": [b"\xff"], "variant": ["v"]}, "input is not UTF-8"),
        ({"item": [None], "input": ["a"], "variant": ["v"]}, "the record has no 'item'"),
        ({"item": [1.5], "input": ["a"], "variant": ["v"]}, "item is a number; expected text"),
    ],
)
def test_a_parquet_file_or_row_that_fits_no_record_says_why(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    """Columns are checked once, rows one by one."""
    (line,) = parquet(tmp_path, columns)
    assert line.record is None
    assert said in line.problem


def test_text_that_is_not_utf8_in_a_string_column_spoils_its_row_only(tmp_path: Path) -> None:
    """Some writers do not check what they write."""
    broken = pa.Array.from_buffers(pa.binary(), 2, pa.array([b"ok", b"\xff"]).buffers()).view(pa.string())
    found = parquet(tmp_path, {"item": ["1", "2"], "input": broken, "variant": ["v", "v"]})
    assert [x.record is not None for x in found] == [True, False]
    assert "input is not UTF-8" in found[1].problem


def test_nanoseconds_decimals_maps_and_missing_entries_are_read(tmp_path: Path) -> None:
    """What pandas, Spark and DuckDB write for the same values."""
    found = parquet(
        tmp_path,
        {
            "item": ["1", "2"],
            "input": [{"text": "a", "n": 1}, {"text": "b", "n": None}],
            "variant": pa.array(["v", "v"]).dictionary_encode(),
            "cost_usd": pa.array([1, None], pa.decimal128(9, 4)),
            "scores": pa.array([[("correct", 1.0)], []], pa.map_(pa.string(), pa.float64())),
            "usage": [{"input_tokens": 3, "cached_read": None}, None],
            "at": pa.array([1769850000000000001, None], pa.timestamp("ns", tz="Europe/Berlin")),
        },
    )
    first, second = [x.record for x in found]
    assert first is not None and second is not None
    assert (first.cost_usd, first.scores, first.usage) == (1.0, {"correct": 1.0}, Usage(input_tokens=3))
    assert first.at == datetime(2026, 1, 31, 9, tzinfo=UTC)
    assert second.input == {"text": "b", "n": None}


def test_a_parquet_file_that_is_cut_or_damaged_says_so(tmp_path: Path) -> None:
    """One problem, and no crash of the reader."""
    pq.write_table(pa.table({"item": ["1"] * 100, "input": ["a"] * 100, "variant": ["v"] * 100}), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    for content in (whole[: len(whole) // 2], whole[:4], b"PAR1" + b"\0" * 100 + b"PAR1"):
        (tmp_path / "cut.parquet").write_bytes(content)
        (line,) = read_parquet(Source("cut", tmp_path / "cut.parquet"))
        assert line.problem.startswith("the Parquet file cannot be read on after row 0")


def test_a_large_parquet_file_is_read_in_small_pieces(tmp_path: Path) -> None:
    """Python's share of memory stays at a batch, though the file is one row group."""
    n = 40_000
    pq.write_table(
        pa.table({"item": [str(i) for i in range(n)], "input": ["x" * 1_000 + str(i) for i in range(n)], "variant": ["v"] * n}),
        tmp_path / "b",
    )
    tracemalloc.start()
    count = sum(1 for line in read_parquet(Source("b", tmp_path / "b")) if line.record)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == n
    assert peak < 12_000_000
