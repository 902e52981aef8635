"""Tables with the native record's columns: CSV and Parquet."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freehold.errors import DataError
from freehold.journal.formats.columns import columns_of, known_among, record_of
from freehold.journal.formats.lines import MAX_LINE_BYTES, RawLine, open_text, split_lines
from freehold.journal.formats.record import Line
from freehold.journal.formats.source import Source

if TYPE_CHECKING:
    import pyarrow as pa

_DELIMITERS = (",", ";", "\t")
_BATCH_BYTES = 4 * 2**20
_MOST_ROWS = 2_000


def delimiter_of(header: str) -> str | None:
    """What separates the columns of a table with this first line; None when no way of cutting it shows any two of a record's columns."""
    most, delimiter = max((known_among(_cells(header, d)), d) for d in _DELIMITERS)
    return delimiter if most >= 2 else None


def read_csv(source: Source) -> Iterator[Line]:
    """Every row as a record or a reason. Quotes as in RFC 4180; a cell may span lines."""
    # The limit is the process's own and 128 KB at first, less than a long prompt. It is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    with open_text(source) as stream:
        feed = _Feed(split_lines(stream))
        try:
            first = next(feed, "")
            delimiter = delimiter_of(first)
            if delimiter is None:
                raise DataError("the first line is no header with a record's columns; expected at least item, input, variant")
            header = _cells(first, delimiter)
            columns = columns_of(header)
        except DataError as error:
            yield Line(1, None, f"{error}. Nothing of this file was read")
            return
        rows = csv.reader(feed, delimiter=delimiter, strict=True)
        while True:
            start = feed.number + 1
            try:
                cells = next(rows, None)
                if cells is None:
                    return
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise DataError(f"the row has {len(cells)} cells; expected {len(header)}, as the header has")
                yield Line(start, record_of(header, columns, cells), "", sum(map(len, cells)))
            except DataError as error:
                yield Line(start, None, str(error))
            except csv.Error as error:
                yield Line(start, None, f"the row cannot be cut into cells: {error}. Look for a quote that is not closed or not doubled")


def _cells(header: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error:
        return []


class _Feed:
    """Lines of text for the csv module, which takes them one by one; a line that cannot be had is raised as a DataError and passed."""

    def __init__(self, lines: Iterator[RawLine]) -> None:
        self._lines = lines
        self.number = 0

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        self.number, raw, problem = next(self._lines)
        if problem:
            raise DataError(problem)
        try:
            return raw.decode() + "\n"
        except UnicodeDecodeError as error:
            raise DataError(
                f"byte {error.start + 1} of line {self.number} (0x{raw[error.start]:02x}) is not UTF-8. Save the table as UTF-8"
            ) from None


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
