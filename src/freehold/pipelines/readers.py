"""How a row stands in each format that is read: each gives values, or why there is none and what stands there instead."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import msgspec

from freehold.chat import JSON, is_finite
from freehold.errors import DataError
from freehold.journal.formats.cells import DELIMITERS, SHOWN, cells_of, cut
from freehold.journal.formats.lines import RawLine
from freehold.journal.formats.reasons import undecodable
from freehold.journal.formats.record import MAX_LEVELS, TOO_DEEP, is_deeper

if TYPE_CHECKING:
    import pyarrow.parquet as pq

Found: TypeAlias = tuple[JSON, str, str]
"""A value; or why there is none, and what stands there."""

_BATCH_BYTES = 4 * 2**20
_MOST_IN_BATCH = 2_000


def read_json(lines: Iterator[RawLine]) -> Iterator[Found]:
    """One JSON value on each line; empty lines are none."""
    decode = msgspec.json.Decoder().decode
    for number, raw, why in lines:
        if why:
            yield None, f"line {number}: {why}", ""
            continue
        if not raw or raw.isspace():
            continue
        try:
            value = decode(raw)
        except (ValueError, RecursionError) as error:
            yield None, f"line {number}: {undecodable(raw, error)}", raw[:SHOWN].decode(errors="replace")
            continue
        if isinstance(value, dict | list) and is_deeper(value, MAX_LEVELS):
            yield None, f"line {number}: {TOO_DEEP}", raw[:SHOWN].decode(errors="replace")
        else:
            yield value, "", ""


def read_csv(name: str, lines: Iterator[RawLine]) -> Iterator[Found]:
    """Objects of text by the header's names. Raises DataError where there is no header."""
    first = next((line for line in lines if line[2] or line[1].strip()), None)
    if first is None:
        return
    top = first[1].decode(errors="replace")
    rows = cut(chain([first], lines), max(DELIMITERS, key=lambda each: len(cells_of(top, each))))
    head = next(rows, None)
    if head is None or head.why:
        raise DataError(f"{name} has no header that can be read: {head.why if head is not None else 'it is empty'}")
    header = [cell.strip() for cell in head.cells]
    if b"\0" in first[1] or not all(header) or len(set(header)) < len(header):
        raise DataError(f"{name} is no CSV with a header: the names of its columns have to be there, and to differ. Check its first line")
    for number, cells, why, text in rows:
        if why:
            yield None, f"line {number}: {why}", text
        else:
            yield dict(zip(header, cells, strict=True)), "", ""


def read_parquet(name: str, source: Path | BinaryIO) -> Iterator[Found]:
    """Objects by the columns' names, a few megabytes at a time. Raises DataError where the file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not isinstance(source, Path) and not source.seekable():
        raise DataError(f"{name} is a Parquet file that comes in a stream; it can be read only as a file. Save it first")
    n = 0
    try:
        with pq.ParquetFile(source, buffer_size=2**20, pre_buffer=False) as file:
            names = file.schema_arrow.names
            if len(set(names)) < len(names):
                raise DataError(f"{name} has two columns of one name; each needs its own")
            for batch in file.iter_batches(batch_size=_rows_in_batch(file)):
                for cells in zip(*(_python_values(column) for column in batch.columns), strict=True):
                    n += 1
                    value, why = _plain(dict(zip(names, cells, strict=True)))
                    yield value, why and f"row {n}: {why}", str(cells)[:SHOWN] if why else ""
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        what = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name} cannot be read on after row {n}: {what}. Write it again") from None


def _rows_in_batch(file: "pq.ParquetFile") -> int:
    metadata = file.metadata
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    rows: int = max(1, min(_MOST_IN_BATCH, _BATCH_BYTES * metadata.num_rows // max(size, 1)))
    return rows


def _python_values(column: Any) -> list[JSON]:
    """The column's values in Python. Nanoseconds, which pandas writes, are more than a datetime holds."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    values: list[JSON] = column.to_pylist()
    return values


def _plain(value: JSON) -> tuple[JSON, str]:
    """The value as JSON, or why it is none. Times are text as in RFC 3339, decimals text, bytes base64."""
    try:
        plain = msgspec.to_builtins(value)
    except (TypeError, ValueError, OverflowError) as error:
        return None, f"it holds what JSON has no place for: {error}"
    if (where := _endless(plain)) is not None:
        return None, f"'{where}' holds a number that is not finite, which JSON does not have; write null where it is not known"
    return plain, ""


def _endless(value: dict[str, JSON]) -> str | None:
    """The column that holds a number that is not finite."""
    return next((name for name, cell in value.items() if not is_finite(cell)), None)
