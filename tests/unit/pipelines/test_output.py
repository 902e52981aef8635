"""The output of a job: in the rows' order, whole or not there, nobody else's file overwritten."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from freehold.errors import CallerError, DataError
from freehold.pipelines.output import FailedRow, RowWriter, Written
from freehold.pipelines.rows import Row, read_rows
from freehold.pipelines.writers import Fields

FIELDS: Fields = {"id": "integer", "text": "text", "more": "json"}


def failed(n: int) -> FailedRow:
    return FailedRow(n=n, key=f"k{n}", input="x", error="no", attempts=3)


def write(path: Path, rows: dict[int, Any], job: str = "j", **options: Any) -> Written:
    writer = RowWriter(path, "jsonl", {}, job, **options)
    for n, value in rows.items():
        writer.put(n, value)
    return writer.finish()


def test_rows_come_out_in_order_however_they_ended(tmp_path: Path) -> None:
    written = write(tmp_path / "o.jsonl", {2: "c", 0: "a", 1: "b"})
    assert (tmp_path / "o.jsonl").read_bytes() == b'"a"\n"b"\n"c"\n'
    assert (written.rows, written.failed) == (3, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["o.jsonl"]


def test_until_it_is_whole_there_is_only_a_part(tmp_path: Path) -> None:
    writer = RowWriter(tmp_path / "o.jsonl", "jsonl", {}, "j")
    writer.put(0, 1)
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["o.jsonl.part"]


def test_a_run_goes_on_with_what_was_there(tmp_path: Path) -> None:
    writer = RowWriter(tmp_path / "o.jsonl", "jsonl", {}, "j")
    writer.put(5, "f")
    writer.fail(failed(6))
    writer.close()
    again = RowWriter(tmp_path / "o.jsonl", "jsonl", {}, "j")
    assert [again.has(n) for n in (4, 5, 6)] == [False, True, False]
    assert again.done == 2
    again.put(6, "g")
    assert (again.finish().failed, (tmp_path / "o.jsonl").read_text()) == (0, '"f"\n"g"\n')


def test_a_disk_that_is_full_is_told_and_loses_no_row(tmp_path: Path) -> None:
    """Also where it is the file of places that has no room: the row is in its part, and the next run finds it there."""
    file = tmp_path / "o.jsonl"
    program = f"""
import resource, signal
from pathlib import Path
from freehold.errors import OperatorError
from freehold.pipelines.output import RowWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = RowWriter(Path({str(file)!r}), "jsonl", {{}}, "j")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
writer.put(0, "a")
for n, words in ((600, "b"), (1, "c" * 5000)):
    try:
        writer.put(n, words)
    except OperatorError as error:
        print(error)
try:
    writer.close()
except OperatorError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == 2 and all("o.jsonl.part': File too large. Make room" in line for line in told)
    again = RowWriter(file, "jsonl", {}, "j")
    assert [again.has(n) for n in (0, 600, 1)] == [True, True, False]
    again.close()


def test_rows_that_failed_stand_in_a_file_beside(tmp_path: Path) -> None:
    """An answer takes a failure's place, and a failure no answer's."""
    writer = RowWriter(tmp_path / "o.jsonl", "jsonl", {}, "j")
    writer.fail(failed(1))
    writer.put(0, "a")
    writer.fail(failed(0))
    written = writer.finish()
    assert (written.rows, written.failed) == (1, 1)
    assert json.loads((tmp_path / "o.jsonl.failed.jsonl").read_text()) == {"n": 1, "key": "k1", "input": "x", "error": "no", "attempts": 3}


def test_a_file_of_others_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "o.jsonl").write_text("mine\n")
    with pytest.raises(CallerError, match="is there already"):
        write(tmp_path / "o.jsonl", {0: 1})
    assert [path.name for path in tmp_path.iterdir()] == ["o.jsonl"]
    write(tmp_path / "o.jsonl", {0: 1}, overwrite=True)
    assert (tmp_path / "o.jsonl").read_text() == "1\n"


def test_what_the_same_job_wrote_is_replaced_and_what_was_changed_since_is_not(tmp_path: Path) -> None:
    written = write(tmp_path / "o.jsonl", {0: 1})
    again = write(tmp_path / "o.jsonl", {0: 1, 1: 2}, finished=written)
    (tmp_path / "o.jsonl").write_text("1\n3\n")
    with pytest.raises(CallerError, match="is not what this job wrote"):
        write(tmp_path / "o.jsonl", {0: 1}, finished=again)


def test_a_part_of_another_job_is_left_alone(tmp_path: Path) -> None:
    RowWriter(tmp_path / "o.jsonl", "jsonl", {}, "other").close()
    with pytest.raises(CallerError, match="left by another job"):
        write(tmp_path / "o.jsonl", {0: 1})
    assert (tmp_path / "o.jsonl.part").exists()
    write(tmp_path / "o.jsonl", {0: 1}, overwrite=True)


def test_two_processes_do_not_write_one_output(tmp_path: Path) -> None:
    writer = RowWriter(tmp_path / "o.jsonl", "jsonl", {}, "j")
    with pytest.raises(CallerError, match="another process"):
        RowWriter(tmp_path / "o.jsonl", "jsonl", {}, "j")
    writer.close()


def test_a_kill_between_the_file_and_the_end_of_its_part_is_seen(tmp_path: Path) -> None:
    """OUT is there, and the part says that it is this job's."""
    path = tmp_path / "o.jsonl"
    writer = RowWriter(path, "jsonl", {}, "j")
    writer.put(0, 1)
    writer.checkpoint()
    before = writer.part.read_bytes()
    written = writer.finish()
    promise = (
        b'{"type":"head","job":"j","written":'
        + json.dumps({"rows": 1, "failed": 0, "size": written.size, "digest": written.digest}, separators=(",", ":")).encode()
    )
    writer.part.write_bytes(before + promise + b"}\n")
    again = RowWriter(path, "jsonl", {}, "j")
    assert again.has(0)
    assert again.finish() == written


def test_a_first_row_that_takes_forever_is_waited_for_on_disk(tmp_path: Path) -> None:
    """100,000 others end before it; what is held does not grow with them."""
    import tracemalloc

    writer = RowWriter(tmp_path / "o.jsonl", "jsonl", {}, "j")
    for n in range(1, 1000):
        writer.put(n, "x" * 100)
    tracemalloc.start()
    for n in range(1000, 100_000):
        writer.put(n, "x" * 100)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 100_000
    writer.put(0, "first")
    assert writer.finish().rows == 100_000
    with (tmp_path / "o.jsonl").open() as lines:
        assert next(lines) == '"first"\n'


def test_a_table_refuses_what_it_has_no_place_for(tmp_path: Path) -> None:
    writer = RowWriter(tmp_path / "o.csv", "csv", FIELDS, "j")
    for value, said in (
        ("x", "an object with id, text, more"),
        ({"x": 1}, "no such column"),
        ({"id": "1"}, "expected integer"),
        ({"id": True}, "integer"),
    ):
        with pytest.raises(DataError, match=said):
            writer.put(0, value)
    writer.close()
    with pytest.raises(CallerError, match="no columns are named"):
        RowWriter(tmp_path / "p.csv", "csv", {}, "j")


def test_a_csv_holds_nested_values_as_json_and_no_formulas(tmp_path: Path) -> None:
    writer = RowWriter(tmp_path / "o.csv", "csv", FIELDS, "j")
    for n, text in enumerate(["=1+1", "-5", "- a\n- b", "@x", 'plain, "quoted"']):
        writer.put(n, {"id": n, "text": text, "more": {"a": [1]}})
    writer.finish()
    rows = [row.value["text"] for row in read_rows(tmp_path / "o.csv") if isinstance(row, Row)]
    assert rows == ["'=1+1", "-5", "'- a\n- b", "'@x", 'plain, "quoted"']
    assert b'"{""a"":[1]}"' in (tmp_path / "o.csv").read_bytes()


def test_parquet_has_the_types_that_the_fields_say(tmp_path: Path) -> None:
    fields: Fields = {"i": "integer", "x": "number", "b": "boolean", "t": "text", "j": "json"}
    writer = RowWriter(tmp_path / "o.parquet", "parquet", fields, "j")
    writer.put(1, {})
    writer.put(0, {"i": 1, "x": 2, "b": True, "t": "=a", "j": "s"})
    writer.finish()
    assert pq.read_table(tmp_path / "o.parquet").to_pylist() == [
        {"i": 1, "x": 2.0, "b": True, "t": "=a", "j": '"s"'},
        {"i": None, "x": None, "b": None, "t": None, "j": None},
    ]


def test_a_name_that_ends_in_gz_is_packed(tmp_path: Path) -> None:
    write(tmp_path / "o.jsonl.gz", {0: "a"})
    assert gzip.decompress((tmp_path / "o.jsonl.gz").read_bytes()) == b'"a"\n'


def test_only_its_owner_reads_an_output(tmp_path: Path) -> None:
    write(tmp_path / "o.jsonl", {0: 1})
    assert (tmp_path / "o.jsonl").stat().st_mode & 0o777 == 0o600
