"""Rows as Arrow tables and back, and the hash of what they hold: the same for the same rows in whichever order."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.datasets.example import Example
from freehold.errors import DataError

DIGEST = 16
"""Bytes of a row's digest."""
_encode = msgspec.json.Encoder().encode
_canonical = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder().decode
_JSON = ("input", "output", "rejected", "scores", "tags", "probabilities")
_LISTS = ("calls", "feedback", "raters")
_FIELDS = Example.__struct_fields__
_LATER = ("customer", "probabilities")
"""Fields that came after the first versions were frozen; each has a default."""
FORM = ("split", "language", "suspect")
"""What a version knows of a row beside the row itself: its part, its language, and the answer it should perhaps have."""


def schema(*beside: str) -> Any:
    """The columns of a file of rows, and of what stands beside them."""
    import pyarrow as pa

    kinds: dict[str, Any] = {"reward": pa.float64(), "at_us": pa.int64()} | dict.fromkeys(_LISTS, pa.list_(pa.string()))
    return pa.schema([(name, kinds.get(name, pa.string())) for name in (*_FIELDS, *beside)])


def table_of(examples: Sequence[Example], beside: Mapping[str, Sequence[str | None]]) -> Any:
    """Rows as a table. JSON stands there as text, in the order in which it was said."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    for name in _FIELDS:
        values = [getattr(example, name) for example in examples]
        if name in _JSON:
            has_null = name == "rejected"
            values = [None if has_null and value is None else _encode(value).decode() for value in values]
        columns[name] = values
    return pa.table({**columns, **{name: list(values) for name, values in beside.items()}}, schema=schema(*beside))


def examples_in(table: Any) -> list[Example]:
    """The rows of a table or of a part of one. Raises DataError where they cannot be read."""
    known = set(table.column_names)
    names = [name for name in _FIELDS if name in known or name not in _LATER]  # versions that were frozen before a field came lack it
    columns = {name: table.column(name).to_pylist() for name in names}
    for name in _JSON:
        if name not in columns:
            continue
        columns[name] = [None if value is None else _decode(value) for value in columns[name]]
    for name in _LISTS:
        columns[name] = [tuple(value) for value in columns[name]]
    return [Example(**dict(zip(names, values, strict=True))) for values in zip(*(columns[name] for name in names), strict=True)]


def row_digest(example: Example) -> bytes:
    """What a row is known by: everything in it."""
    return hashlib.blake2b(_encode(example), digest_size=DIGEST).digest()


def content_hash(digests: bytes, part_N: NDArray[np.int8], suspected: Sequence[tuple[str, str]]) -> str:
    """SHA-256 over the digests of all rows with their parts, and over the suspected ones by id, in order of themselves."""
    rows = np.concatenate([np.frombuffer(digests, dtype=np.uint8).reshape(-1, DIGEST), part_N.astype(np.uint8)[:, None]], axis=1)
    order = np.lexsort(rows.T[::-1])
    hasher = hashlib.sha256(np.ascontiguousarray(rows[order]).tobytes())
    hasher.update(_canonical(sorted(suspected)))
    return hasher.hexdigest()


def batches_of(path: Path, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """A file's rows in tables of some thousands. Raises DataError where it is missing or unreadable."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number, columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise DataError(f"The rows {path} cannot be read: {error}. Restore them from a backup, or build the data set again.") from None


def json_at(text: str) -> JSON:
    """The value of a JSON column."""
    value: JSON = _decode(text)
    return value
