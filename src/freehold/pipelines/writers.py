"""How a row is laid down in each format that is written, one after the other, in memory that their number does not grow.

A table's cell holds text as it is, and anything that is neither text nor of its column's kind as JSON. In a CSV, text that a spreadsheet
would take for a formula (it begins with =, +, -, @, a tab or a carriage return, and is no number) gets an apostrophe before it, as OWASP
advises: answers are written by models after what strangers wrote, and a person opens the file. JSON lines and Parquet hold every text as it is.
"""

import csv
import gzip
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, TypeAlias, cast

import msgspec

from freehold.chat import JSON
from freehold.errors import DataError
from freehold.pipelines.rows import Format

Kind: TypeAlias = Literal["text", "integer", "number", "boolean", "json"]
"""What a column holds in Parquet; every other format says it in its cells."""
Fields: TypeAlias = Mapping[str, Kind]
"""The columns of a table in their order."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_GROUP_ROWS = 10_000
_GROUP_BYTES = 16 * 2**20
_TYPES: dict[Kind, tuple[type, ...]] = {"integer": (int,), "number": (int, float), "boolean": (bool,)}
_encode = msgspec.json.Encoder().encode


class Writer(Protocol):
    """Takes rows in order."""

    def add(self, n: int, value: JSON) -> None:
        """Takes the next row. Raises DataError where it has no place in the format."""

    def close(self) -> None:
        """What was taken is whole."""


def writer_to(file: BinaryIO, path: Path, format: Format, fields: Fields, defuse: bool = True) -> Writer:
    """A writer of rows to a file that will have this name: `.gz` at its end packs it. `defuse`: whether a CSV's formulas are made text."""
    if format == "parquet":
        return _Parquet(file, fields)
    packed = gzip.GzipFile("", "wb", 6, file, 0) if path.suffix == ".gz" else None
    out = cast(BinaryIO, packed) if packed is not None else file
    return _Lines(out, packed) if format == "jsonl" else _Csv(out, packed, fields, defuse)


def check(n: int, value: JSON, fields: Fields) -> None:
    """Raises DataError where a table with these columns has no place for the row."""
    if not isinstance(value, dict):
        raise DataError(
            f"row {n} is {_called(value)}; a table takes an object with {', '.join(fields)}. Write JSON lines, or name a column"
        )
    if not value.keys() <= fields.keys():
        unknown = min(value.keys() - fields.keys())
        raise DataError(f"row {n} has '{unknown}', and the table has no such column. It has: {', '.join(fields)}. Add it to the fields")
    for name, cell in value.items():
        kinds = _TYPES.get(fields[name])
        fits = kinds is None or cell is None or (isinstance(cell, kinds) and (isinstance(cell, bool) == (fields[name] == "boolean")))
        if not fits or (fields[name] == "integer" and cell is not None and not -(2**63) <= cell < 2**63):
            raise DataError(f"row {n} has {_called(cell)} in '{name}'; expected {fields[name]}, as the field says")


class _Lines:
    def __init__(self, out: BinaryIO, packed: gzip.GzipFile | None) -> None:
        self._out, self._packed = out, packed

    def add(self, n: int, value: JSON) -> None:
        self._out.write(_encode(value) + b"\n")

    def close(self) -> None:
        if self._packed is not None:
            self._packed.close()


class _Csv:
    def __init__(self, out: BinaryIO, packed: gzip.GzipFile | None, fields: Fields, defuse: bool) -> None:
        self._out, self._packed, self._fields, self._defuse = out, packed, fields, defuse
        self._line = io.StringIO(newline="")
        self._writer = csv.writer(self._line, lineterminator="\r\n")
        self._row(fields)

    def _row(self, cells: Any) -> None:
        shown = [self._text(cell) for cell in cells]
        self._writer.writerow(shown if shown != [""] else [None])
        self._out.write(self._line.getvalue().encode())
        self._line.seek(0)
        self._line.truncate()

    def _text(self, cell: JSON) -> str:
        if not isinstance(cell, str):
            return "" if cell is None else _encode(cell).decode()
        return f"'{cell}" if self._defuse and cell.startswith(_FORMULA) and not _is_number(cell) else cell

    def add(self, n: int, value: JSON) -> None:
        self._row([value.get(name) for name in self._fields])

    def close(self) -> None:
        if self._packed is not None:
            self._packed.close()


class _Parquet:
    def __init__(self, file: BinaryIO, fields: Fields) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        arrow = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
        self._schema = pa.schema([(name, arrow.get(kind, pa.string())) for name, kind in fields.items()])
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._fields = fields
        self._held: list[dict[str, JSON]] = []
        self._size = 0

    def add(self, n: int, value: JSON) -> None:
        row = {name: self._cell(kind, value.get(name)) for name, kind in self._fields.items()}
        self._held.append(row)
        self._size += sum(len(cell) for cell in row.values() if isinstance(cell, str))
        if len(self._held) >= _GROUP_ROWS or self._size > _GROUP_BYTES:
            self._flush()

    def _cell(self, kind: Kind, cell: JSON) -> JSON:
        if cell is None or kind in _TYPES:
            return float(cell) if kind == "number" and cell is not None else cell
        return cell if isinstance(cell, str) and kind == "text" else _encode(cell).decode()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._held:
            self._writer.write_table(pa.Table.from_pylist(self._held, schema=self._schema))
        self._held, self._size = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell[0] in "+-"


def _called(value: JSON) -> str:
    names = {str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "nothing" if value is None else type(value).__name__)
