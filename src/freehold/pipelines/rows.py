"""Rows of a file, one after the other, in memory that neither the file nor a line can grow: JSON lines, CSV and Parquet.

A line that is no row becomes a `BadRow` in its place, and the rows after it are read; a file that is none of these formats is an error.
"""

from array import array
from collections.abc import Iterator
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from struct import unpack
from typing import BinaryIO, Literal, NamedTuple, TypeAlias, cast

import msgspec

from freehold.chat import JSON, canonical_json, is_messages
from freehold.errors import CallerError, DataError, OperatorError
from freehold.journal.formats.cells import DELIMITERS, SHOWN, cells_of
from freehold.journal.formats.lines import MAX_LINE_BYTES, RawLine, Stream, split_lines, unpacked
from freehold.pipelines.readers import Found, read_csv, read_json, read_parquet

Format: TypeAlias = Literal["jsonl", "csv", "parquet"]

_SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_GZIP, _PARQUET, _BOM = b"\x1f\x8b", b"PAR1", b"\xef\xbb\xbf"
_OTHERS = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; save it as CSV",
    b"\x28\xb5\x2f\xfd": "Zstandard; unpack it with 'zstd -d'",
    b"BZh": "bzip2; unpack it with 'bunzip2'",
    b"\xfd7zXZ": "xz; unpack it with 'unxz'",
    b"SQLite format 3": "a SQLite database",
    b"ARROW1": "an Arrow file; write it as Parquet",
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
}
_LOOKED_AT = 20
_CELLS = 2**22
"""Counters of `Occurrences`, four bytes each."""


class Row(NamedTuple):
    """One row."""

    n: int
    """Its place among the rows of the file, bad ones included, from 0."""
    value: JSON
    """What stands in it: any JSON of a line, an object of a table's row, whose cells are text in a CSV."""
    key: str
    """The same for the same content each time the file is read, also when rows were added at its end; equal rows have different ones."""


class BadRow(NamedTuple):
    """One row that cannot be had."""

    n: int
    """As of `Row`."""
    why: str
    """What is wrong with it, where, and what to do."""
    text: str
    """How it begins."""


class Occurrences:
    """Tells how often something was seen before, in 16 MiB whatever was: a count-min sketch with conservative updates (Estan and Varghese 2002).

    The number may be too high after millions of rows, but it is never twice the same for the same thing, and depends only on what came before.
    """

    def __init__(self) -> None:
        self._counts = array("I", bytes(4 * _CELLS))

    def of(self, digest: bytes) -> int:
        """How often this digest of 16 bytes was seen before."""
        counts = self._counts
        places = [place % _CELLS for place in unpack("<4I", digest)]
        before: int = min(counts[place] for place in places)
        for place in places:
            counts[place] = max(counts[place], before + 1)
        return int(before)


def format_of(path: Path) -> Format | None:
    """The format that a file's name says, with or without `.gz`; None where it says none."""
    return _SUFFIXES.get((path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower())


def read_rows(source: Path | BinaryIO, format: Format | None = None) -> Iterator[Row | BadRow]:
    """Every row in order. `format`: told by the content and the name where it is left out. Gzip is unpacked, whatever the name says.

    Raises CallerError for a file that is not there, DataError for one that is of no such format, OperatorError where it cannot be read.
    """
    seen = Occurrences()
    n = -1
    for n, (value, why, text) in enumerate(_values(source, format)):
        if not why:
            try:
                digest = blake2b(canonical_json(value), digest_size=16).digest()
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                why, text = f"row {n + 1} holds what cannot be written as JSON: {error}", str(value)[:SHOWN]
            else:
                times = seen.of(digest)
                yield Row(n, value, f"{digest.hex()}-{times}" if times else digest.hex())
                continue
        yield BadRow(n, why, text)


def count_rows(source: Path | BinaryIO, format: Format | None = None) -> int | None:
    """How many rows a file has, quickly: a Parquet file says it, and of the others the lines that are not empty are counted.

    A cell that spans lines is counted once for each. None for what can be read only once.
    """
    if not isinstance(source, Path):
        return None
    with _opened(source) as stream:
        if stream.read(4) == _PARQUET:
            import pyarrow.parquet as pq

            with pq.ParquetFile(source) as file:
                return int(file.metadata.num_rows)
        stream.seek(0)
        lines = sum(1 for _, raw, why in split_lines(_whole(stream)) if why or not (not raw or raw.isspace()))
    return max(0, lines - 1) if (format or format_of(source)) == "csv" else lines


class _Ahead:
    """A stream whose first bytes were looked at already."""

    def __init__(self, head: bytes, stream: BinaryIO) -> None:
        self._head, self._stream = head, stream

    def read(self, size: int = -1) -> bytes:
        if not self._head:
            return self._stream.read(size)
        head, self._head = (self._head, b"") if size < 0 else (self._head[:size], self._head[size:])
        return head + self._stream.read() if size < 0 else head

    def close(self) -> None:
        """Whoever opened the stream closes it."""


def _opened(path: Path) -> BinaryIO:
    try:
        if path.is_dir():
            raise CallerError(f"{path} is a folder; name a file in it")
        return path.open("rb")
    except FileNotFoundError:
        raise CallerError(f"There is no file {path}. Check the path; relative paths begin at {Path.cwd()}.") from None
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}. Check its permissions and the disk.") from None


def _whole(stream: BinaryIO) -> Stream:
    """The stream, unpacked where it is gzip."""
    head = stream.read(16)
    ahead = cast(BinaryIO, _Ahead(head, stream))
    return unpacked(ahead) if head.startswith(_GZIP) else ahead


def _values(source: Path | BinaryIO, format: Format | None) -> Iterator[Found]:
    name = str(source) if isinstance(source, Path) else getattr(source, "name", "the input")
    stream = _opened(source) if isinstance(source, Path) else source
    try:
        head = stream.read(16)
        for magic, what in _OTHERS.items():
            if head.startswith(magic):
                raise DataError(f"{name} is {what}. Rows are read from JSON lines, CSV and Parquet")
        if head.startswith(_PARQUET):
            yield from read_parquet(name, source)
            return
        if format == "parquet":
            raise DataError(f"{name} is no Parquet file: it does not begin with PAR1. Leave the format out, or say which it is")
        ahead = cast(BinaryIO, _Ahead(head, stream))
        lines = split_lines(unpacked(ahead) if head.startswith(_GZIP) else ahead)
        first, size = [], 0
        for line in lines:
            first.append(line)
            size += len(line[1])
            if len(first) >= _LOOKED_AT or size > MAX_LINE_BYTES:
                break
        wanted = format or (format_of(source) if isinstance(source, Path) else None)
        if wanted is None or wanted == "parquet":
            wanted = _told_by(name, first)
        if wanted == "jsonl":
            _check_lines(name, first)
        every = chain(first, lines)
        yield from read_json(every) if wanted == "jsonl" else read_csv(name, every)
    except OSError as error:
        raise OperatorError(f"{name} cannot be read on: {error.strerror or error}. Check the disk, then start again") from error
    finally:
        if isinstance(source, Path):
            stream.close()


def _told_by(name: str, first: list[RawLine]) -> Format:
    """Which format the first lines are in."""
    texts = [raw for _, raw, why in first if not why and raw.strip()]
    if not texts:
        return "jsonl"
    if any(_is_json(raw) for raw in texts) or texts[0].lstrip()[:1] in (b"{", b"["):
        return "jsonl"
    if b"\0" not in texts[0] and any(len(cells_of(texts[0].decode(errors="replace"), delimiter)) > 1 for delimiter in DELIMITERS):
        return "csv"
    raise DataError(f"{name} is of no format that rows are read from: {_seen(texts[0])}. Say which it is by its name or by the format")


def _check_lines(name: str, first: list[RawLine]) -> None:
    """Raises DataError where what was said to be JSON lines cannot be."""
    texts = [raw.strip() for _, raw, why in first if not why and raw.strip()]
    if not texts:
        return
    whole = _decoded(texts[0])
    if texts[0] in (b"{", b"[", b"[{") or (len(texts) == 1 and isinstance(whole, list) and whole and _is_table(whole)):
        how = "is one JSON list" if isinstance(whole, list) else "is JSON over several lines"
        raise DataError(f"{name} {how}; expected one row on each line. 'jq -c .[]' (of a list) or 'jq -c .' writes that")
    if not any(_begins_as_json(text) for text in texts):
        raise DataError(f"{name} is no file of JSON lines: {_seen(texts[0])}. Expected one JSON value on each line")


def _is_table(whole: list[JSON]) -> bool:
    return all(isinstance(entry, dict) for entry in whole) and not is_messages(whole)


def _begins_as_json(text: bytes) -> bool:
    return text[:1] in (b"{", b"[", b'"', b"-") or text[:1].isdigit() or text in (b"true", b"false", b"null", b"NaN")


def _seen(text: bytes) -> str:
    return "it is binary" if b"\0" in text else "its first line is text, neither JSON nor a header of several columns"


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return False
    return True


def _decoded(raw: bytes) -> JSON:
    return msgspec.json.decode(raw) if _is_json(raw) else None
