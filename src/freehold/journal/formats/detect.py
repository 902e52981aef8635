"""Which format a file is in: asked for by name, or told by its content."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import PurePath
from typing import Any, Literal, TypeAlias

import msgspec

from freehold.errors import DataError
from freehold.journal.formats import native, openai, table
from freehold.journal.formats.lines import MAX_LINE_BYTES, open_text, split_lines
from freehold.journal.formats.record import COLUMNS, Line
from freehold.journal.formats.source import Source

Format: TypeAlias = Literal["auto", "freehold", "openai", "csv", "parquet"]
Reader: TypeAlias = Callable[[Source], Iterator[Line]]

READERS: dict[str, Reader] = {
    "freehold": native.read,
    "openai": openai.read,
    "csv": table.read_csv,
    "parquet": table.read_parquet,
}
"""Each format by the name `--format` takes. A new one is a row here and a rule in `detect`."""

_LINES_LOOKED_AT = 20
_BY_SUFFIX = {".jsonl": "freehold", ".ndjson": "freehold", ".csv": "csv", ".tsv": "csv"}
_OF_A_LOG = frozenset({"request", "response", "body", "choices"})
_OTHERS = (
    (b"PK\x03\x04", "a zip archive; unpack it and import what is in it"),
    (b"\x28\xb5\x2f\xfd", "Zstandard; unpack it with 'zstd -d'"),
    (b"BZh", "bzip2; unpack it with 'bunzip2'"),
    (b"\xfd7zXZ\x00", "xz; unpack it with 'unxz'"),
    (b"SQLite format 3\x00", "a SQLite database; a journal is opened with --project, not imported"),
    (b"ARROW1", "an Arrow file; write it as Parquet"),
    (b"\xff\xfe", "UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "UTF-16; save it as UTF-8"),
)


def reader_of(source: Source, wanted: Format = "auto") -> Reader:
    """What reads this source. Raises DataError that says what was seen where nothing fits."""
    name = detect(source) if wanted == "auto" else wanted
    if name == "freehold" and table.is_parquet(source.path):
        name = "parquet"
    return READERS[name]


def detect(source: Source) -> str:
    """The name of the format, by the first bytes and the first lines; the name's ending counts only where they say nothing."""
    with source.path.open("rb") as stream:
        start = stream.read(16)
    if start.startswith(b"PAR1"):
        return "parquet"
    for magic, what in _OTHERS:
        if start.startswith(magic):
            raise DataError(f"{source.name} is {what}")
    lines = _first_lines(source)
    spread = bool(lines) and lines[0].strip() in (b"{", b"[", b"[{")
    for line in [] if spread else lines:
        if found := _format_of_object(_decoded(line)):
            return found
    if lines and table.delimiter_of(lines[0].decode(errors="replace")) is not None:
        return "csv"
    by_suffix = _BY_SUFFIX.get(_suffix(source))
    if by_suffix is None or spread or any(_decoded(line) is not None for line in lines):
        raise DataError(f"{source.name} is in no format that can be imported: {_seen(lines)}. docs/import.md shows the formats")
    return by_suffix


def _first_lines(source: Source) -> list[bytes]:
    lines, size = [], 0
    with open_text(source) as stream:
        for _, raw, problem in islice(split_lines(stream), _LINES_LOOKED_AT):
            if not problem and raw.strip():
                lines.append(raw)
                size += len(raw)
            if size > MAX_LINE_BYTES:
                break
    return lines


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return None


def _format_of_object(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    if value.keys() & _OF_A_LOG:
        return "openai"
    if value.keys() & {"item", "variant"}:
        return "freehold"
    if isinstance(value.get("input"), list) and {"output", "model"} <= value.keys():
        return "openai"
    return None


def _seen(lines: list[bytes]) -> str:
    """What stands at its start, in words, without its content."""
    if not lines:
        return "no line of text was found in it"
    values = [value for value in map(_decoded, lines) if value is not None]
    if lines[0].strip() in (b"{", b"[", b"[{"):
        return "it is JSON over several lines; expected one record on each. 'jq -c .' or, of a list, 'jq -c .[]' writes that"
    if values and isinstance(values[0], list):
        return "it is one JSON list; expected one record on each line. 'jq -c .[]' writes that"
    if values and isinstance(values[0], dict):
        keys = ", ".join(sorted(values[0])[:12]) or "nothing"
        return f"its lines are objects with {keys}; a native record has {', '.join(COLUMNS[:3])}, …, and a log has request and response"
    if values:
        return "its lines are JSON, but not objects"
    if b"\x00" in lines[0]:
        return "it is binary"
    return "its first line is text, neither JSON nor a table's header with a record's columns"


def _suffix(source: Source) -> str:
    path = PurePath(source.name)
    return (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
