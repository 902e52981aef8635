"""Tables with the native record's columns: CSV and Parquet."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freehold.errors import DataError
from freehold.journal.formats.cells import DELIMITERS, CutRow, cells_of, cut
from freehold.journal.formats.columns import Column, columns_of, known_among, record_of
from freehold.journal.formats.lines import open_text, split_lines
from freehold.journal.formats.record import Line
from freehold.journal.formats.source import Source

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_BYTES = 4 * 2**20
_MOST_ROWS = 2_000


def delimiter_of(header: str) -> str | None:
    """What separates the columns of a table with this first line; None when no way of cutting it shows any two of a record's columns."""
    most, delimiter = max((known_among(cells_of(header, d)), d) for d in DELIMITERS)
    return delimiter if most >= 2 else None


def read_csv(source: Source) -> Iterator[Line]:
    """Every row as a record or a reason."""
    with open_text(source) as stream:
        lines = split_lines(stream)
        first = next(lines, (1, b"", ""))
        delimiter = delimiter_of(first[1].decode(errors="replace"))
        rows = cut(chain([first], lines), delimiter or ",")
        try:
            header, columns = _columns(next(rows, None), delimiter)
        except DataError as error:
            yield Line(1, None, f"{error}. Nothing of this file was read")
            return
        for number, cells, why, _ in rows:
            try:
                if why:
                    raise DataError(why)
                yield Line(number, record_of(header, columns, cells), "", sum(map(len, cells)))
            except DataError as error:
                yield Line(number, None, str(error))


def _columns(first: CutRow | None, delimiter: str | None) -> tuple[list[str], list[Column]]:
    if first is not None and first.why:
        raise DataError(first.why)
    if first is None or delimiter is None:
        raise DataError("the first line is no header with a record's columns; expected at least item, input, variant")
    header = [name.strip() for name in first.cells]
    return header, columns_of(header)


def read_parquet(source: Source) -> Iterator[Line]:
    """Every row as a record or a reason, a batch of a few megabytes at a time. Rows are numbered from 1."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        # Buffered streams instead of whole column chunks: a row group may be larger than memory.
        with pq.ParquetFile(source.path, buffer_size=2**20, pre_buffer=False) as file:
            schema = file.schema_arrow
            header = list(schema.names)
            columns = columns_of(header)
            _refuse_times_without_zone(schema)
            for batch in file.iter_batches(batch_size=_rows_per_batch(file.metadata)):
                size = batch.nbytes // max(batch.num_rows, 1)
                for cells in zip(*(_python_values(batch.column(i)) for i in range(len(header))), strict=True):
                    number += 1
                    try:
                        yield Line(number, record_of(header, columns, cells), "", size)
                    except DataError as error:
                        yield Line(number, None, str(error))
    except DataError as error:
        yield Line(1, None, f"{error}. Nothing of this file was read")
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        what = (str(error).splitlines() or [type(error).__name__])[0]
        yield Line(number + 1, None, f"the Parquet file cannot be read on after row {number}: {what}. Write it again, then import it again")


def _rows_per_batch(metadata: Any) -> int:
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    rows: int = _BATCH_BYTES * metadata.num_rows // max(size, 1)
    return max(1, min(_MOST_ROWS, rows))


def _refuse_times_without_zone(schema: "pa.Schema") -> None:
    import pyarrow as pa

    index = schema.get_field_index("at")
    if index >= 0 and pa.types.is_timestamp(schema.types[index]) and schema.types[index].tz is None:
        raise DataError("column 'at' has times without a zone; expected UTC, such as by df['at'].dt.tz_localize('UTC')")


def _python_values(column: "pa.Array") -> list[Any]:
    """The column's values in Python. Nanoseconds, which pandas writes, are more than a datetime holds."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz="UTC"), safe=False)
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.binary()).to_pylist()  # each cell then says for itself whether it is text
    return values


def is_parquet(path: Path) -> bool:
    """Whether the file begins as a Parquet file does."""
    with path.open("rb") as stream:
        return stream.read(4) == b"PAR1"
