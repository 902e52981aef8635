"""What a build leaves out: every row with its reason, counted and listed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from freehold.datasets.query import Kind
from freehold.datasets.table import batches_of

Reason: TypeAlias = Literal[
    "no answer",
    "content not kept",
    "corrections disagree",
    "may not train others",
    "personal data",
    "too short",
    "too long",
    "language",
    "exact duplicate",
    "near duplicate",
    "evaluation text",
    "label error",
]
_AT_ONCE = 10_000


class Dropped(NamedTuple):
    """A row that is left out."""

    kind: Kind
    task: str | None
    item: str
    calls: tuple[str, ...]
    """Ids of the calls it would have been made from."""
    reason: str
    detail: str
    """What exactly: of which row it is a duplicate, who wrote it, which evaluation text it holds."""


class DroppedFile:
    """Writes what is left out into a file of a version."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        listed = pa.list_(pa.string())
        self._schema = pa.schema([(name, listed if name == "calls" else pa.string()) for name in Dropped._fields])
        self._writer: Any = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Dropped] = []
        self.counts: Counter[str] = Counter()
        """How many, by reason."""

    def add(self, dropped: Dropped) -> None:
        """Counts a row and writes it down."""
        self.counts[dropped.reason] += 1
        self._waiting.append(dropped)
        if len(self._waiting) >= _AT_ONCE:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa

        columns = zip(*self._waiting, strict=True)
        self._writer.write_table(pa.table({n: list(c) for n, c in zip(Dropped._fields, columns, strict=True)}, schema=self._schema))
        self._waiting = []

    def close(self) -> None:
        """Finishes the file; closing it again does nothing."""
        if self._waiting:
            self._write()
        self._writer.close()


def dropped_in(path: Path, reasons: Sequence[str] = ()) -> Iterator[Dropped]:
    """What a version left out, for some reasons or for all."""
    for table in batches_of(path):
        for row in table.to_pylist():
            if not reasons or row["reason"] in reasons:
                yield Dropped(**{**row, "calls": tuple(row["calls"])})
