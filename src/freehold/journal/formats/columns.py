"""The native record's columns as a table has them: one cell each, or one column for each score, tag and token count."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from freehold.chat import Usage
from freehold.errors import DataError
from freehold.journal.formats.reasons import invalid, unknown_column
from freehold.journal.formats.record import COLUMNS, Record

_REQUIRED = ("item", "input", "variant")
_NAMES = frozenset({"item", "variant", "task", "group", "policy"})
_NUMBERS = frozenset({"cost_usd", "latency_ms", "propensity"})
_VALUES = frozenset({"input", "output", "reference_output"})
_SPREAD = ("scores", "tags", "usage", "probabilities")
_TRUTH = {"true": 1.0, "false": 0.0}


class Column(NamedTuple):
    """Where the cells of one column go."""

    name: str
    """A column of the record."""
    key: str | None
    """The key within it, for a column such as `scores.correct`; None for the column itself."""
    convert: Callable[[str, Any], Any]
    """A cell's value, given the header for messages."""


def columns_of(header: Sequence[str]) -> list[Column]:
    """What each header stands for. Raises DataError where one is unknown, double or missing."""
    doubled = {name for name in header if header.count(name) > 1}
    if doubled:
        raise DataError(f"the header has '{min(doubled)}' twice; expected each column once")
    columns = [_column(name) for name in header]
    missing = [name for name in _REQUIRED if name not in header]
    if missing:
        raise DataError(f"the header has no '{missing[0]}'; every record needs {', '.join(_REQUIRED)}")
    return columns


def known_among(header: Iterable[str]) -> int:
    """How many of these are names of columns."""
    return sum(name in COLUMNS or (name.partition(".")[0] in _SPREAD and "." in name) for name in header)


def record_of(header: Sequence[str], columns: Sequence[Column], cells: Sequence[Any]) -> Record:
    """The record in one row; an empty cell is null. Raises DataError with the reason where it is none."""
    row: dict[str, Any] = {}
    for name, column, cell in zip(header, columns, cells, strict=True):
        if cell is None or cell == "":
            continue
        value = column.convert(name, cell)
        if column.key is None:
            row[column.name] = value
        else:
            row.setdefault(column.name, {})[column.key] = value
    try:
        return msgspec.convert(row, Record)
    except msgspec.ValidationError as error:
        raise DataError(invalid(str(error))) from None


def _column(name: str) -> Column:
    stem, _, key = name.partition(".")
    if stem in _SPREAD and key:
        if stem == "usage" and key not in Usage.__struct_fields__:
            raise DataError(unknown_column(name, tuple(f"usage.{part}" for part in Usage.__struct_fields__)))
        return Column(stem, key, {"scores": _score, "tags": _tag, "usage": _count, "probabilities": _number}[stem])
    if name not in COLUMNS:
        raise DataError(unknown_column(name))
    if name in _NAMES:
        return Column(name, None, _name)
    if name in _NUMBERS:
        return Column(name, None, _number)
    return Column(name, None, _value if name in _VALUES else _time if name == "at" else _object)


def _name(name: str, cell: Any) -> Any:
    """Numbered items are common in tables; their number is their name."""
    return str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else _text(name, cell)


def _text(name: str, cell: Any) -> Any:
    if isinstance(cell, bytes):
        try:
            return cell.decode()
        except UnicodeDecodeError:
            raise DataError(f"{name} is not UTF-8; expected text") from None
    return cell


def _number(name: str, cell: Any) -> float:
    if isinstance(cell, str) and "_" not in cell:
        with contextlib.suppress(ValueError):
            return float(cell)
    if isinstance(cell, int | float | Decimal) and not isinstance(cell, bool):
        return float(cell)
    raise DataError(f"{name} is {_shown(cell)}; expected a number, with a point for decimals, or an empty cell")


def _score(name: str, cell: Any) -> float:
    if isinstance(cell, bool):
        return float(cell)
    if isinstance(cell, str) and cell.lower() in _TRUTH:
        return _TRUTH[cell.lower()]
    return _number(name, cell)


def _count(name: str, cell: Any) -> Any:
    if name.endswith("_by_modality"):
        return _object(name, cell)
    number = _number(name, cell)
    if not number.is_integer():
        raise DataError(f"{name} is {_shown(cell)}; expected a whole number of tokens")
    return int(number)


def _tag(name: str, cell: Any) -> Any:
    return _text(name, cell)


def _time(name: str, cell: Any) -> Any:
    if isinstance(cell, str | datetime):
        return cell
    raise DataError(f"{name} is {_shown(cell)}; expected a time as in RFC 3339, such as 2026-01-31T09:00:00Z")


def _object(name: str, cell: Any) -> Any:
    """An object, from JSON text or from a nested column, whose empty entries are not there."""
    cell = _text(name, cell)
    if isinstance(cell, str):
        try:
            cell = msgspec.json.decode(cell)
        except (ValueError, RecursionError):
            raise DataError(f'{name} is not JSON; expected an object, such as {{"correct": 1}}') from None
    if isinstance(cell, list) and all(isinstance(entry, tuple) and len(entry) == 2 for entry in cell):
        cell = dict(cell)
    if isinstance(cell, dict):
        return {key: float(value) if isinstance(value, Decimal) else value for key, value in cell.items() if value is not None}
    return cell


def _value(name: str, cell: Any) -> Any:
    """Text as it stands, unless it is a whole JSON object or list."""
    cell = _text(name, cell)
    if isinstance(cell, str):
        if cell[:1] in ("{", "[") and cell[-1] in "}]":
            with contextlib.suppress(ValueError, RecursionError):
                return msgspec.json.decode(cell)
        return cell
    return msgspec.to_builtins(cell)


def _shown(cell: Any) -> str:
    return repr(cell if not isinstance(cell, str) else cell[:40])
