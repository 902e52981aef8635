"""What a file is, told by its content; and what is said when nothing fits."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freehold.errors import CallerError, DataError
from freehold.journal.formats.detect import detect, reader_of
from freehold.journal.formats.source import Source, opened
from freehold.journal.formats.table import read_parquet

NATIVE = b'{"item": "1", "input": "x", "variant": "v"}'
LOG = json.dumps({"request": {"model": "m", "messages": []}, "response": {}}).encode()


@pytest.fixture
def detected(tmp_path: Path) -> Callable[..., str]:
    def tell(content: bytes, name: str = "export") -> str:
        (tmp_path / "file").write_bytes(content)
        return detect(Source(name, tmp_path / "file"))

    return tell


@pytest.mark.parametrize(
    ("content", "format"),
    [
        (NATIVE, "freehold"),
        (gzip.compress(NATIVE, mtime=0), "freehold"),
        (b"\n\n" + NATIVE, "freehold"),
        (b"{broken\n" + NATIVE, "freehold"),
        (LOG, "openai"),
        (b'{"messages": [], "choices": []}', "openai"),
        (b'{"custom_id": "1", "body": {}}', "openai"),
        (b'{"input": [], "output": "x", "model": "m"}', "openai"),
        (b"item,input,variant\n", "csv"),
        (b"\xef\xbb\xbfvariant;item;input\n", "csv"),
        (b"PAR1....", "parquet"),
    ],
)
def test_the_content_tells_the_format_whatever_the_name_says(detected: Callable[..., str], content: bytes, format: str) -> None:
    """A wrong ending misleads nobody."""
    assert detected(content, "misnamed.zip") == format


@pytest.mark.parametrize(
    ("name", "format"), [("x.jsonl", "freehold"), ("x.jsonl.gz", "freehold"), ("x.ndjson", "freehold"), ("x.csv", "csv")]
)
def test_the_ending_counts_where_no_line_could_be_read(detected: Callable[..., str], name: str, format: str) -> None:
    """So that each of the bad lines is reported."""
    assert detected(b"{broken\n{worse\n", name) == format
    assert detected(b"", name) == format


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no line of text was found"),
        (b"Hello, world\n", "text, neither JSON nor a table's header"),
        (b'{"prompt": "x", "completion": "y"}', "objects with completion, prompt; a native record has item, input, variant"),
        (b'[{"item": "1"}]', "one JSON list; expected one record on each line. 'jq -c .[]'"),
        (b'{\n  "item": "1"\n}\n', "JSON over several lines"),
        (b'[\n{"item": "1"}\n]\n', "JSON over several lines"),
        (b"1\n2\n", "JSON, but not objects"),
        (b"\x00\x01\x02\x03\x04", "binary"),
        (b"PK\x03\x04rest", "a zip archive"),
        (b"\x28\xb5\x2f\xfdrest", "Zstandard"),
        (b"SQLite format 3\x00", "a SQLite database"),
        ('{"item": "1"}'.encode("utf-16"), "UTF-16; save it as UTF-8"),
        (gzip.compress(b"Hello", mtime=0), "text, neither JSON"),
    ],
)
def test_what_fits_nothing_is_described_without_its_content(detected: Callable[..., str], content: bytes, said: str) -> None:
    """The message names the file, what was seen, and what to do."""
    with pytest.raises(DataError) as caught:
        detected(content, "export.log")
    assert said in str(caught.value)
    assert "export.log" in str(caught.value)
    assert "Hello" not in str(caught.value)


def test_native_columns_in_parquet_are_the_freehold_format_too(tmp_path: Path) -> None:
    """`--format freehold` takes the record in each of its files."""
    pq.write_table(pa.table({"item": ["1"], "input": ["a"], "variant": ["v"]}), tmp_path / "x")
    assert reader_of(Source("x", tmp_path / "x"), "freehold") is read_parquet


def test_the_standard_input_is_kept_aside_and_read_like_a_file() -> None:
    """Its copy is private and gone afterwards."""
    with opened(["-"], io.BytesIO(NATIVE)) as (source,):
        assert source.name == "standard input"
        assert source.path.stat().st_mode & 0o777 == 0o600
        assert [line.record is not None for line in reader_of(source)(source)] == [True]
    assert not source.path.exists()


@pytest.mark.parametrize(
    ("name", "said"), [("nowhere.jsonl", "There is no file"), (".", "is a folder; name the files in it"), ("a\0b", "is not a path")]
)
def test_what_is_no_file_is_refused_before_anything_is_read(name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip in the last name does not leave half an import."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.jsonl").write_bytes(NATIVE)
    with pytest.raises(CallerError, match=said), opened(["good.jsonl", name]):
        pass
