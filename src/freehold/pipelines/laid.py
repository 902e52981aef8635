"""A row of a batch's output: its place, what was asked, what was answered. As lines of JSON, or side by side as columns of a table."""

from collections.abc import Iterable, Mapping
from typing import Any

from freehold.chat import JSON
from freehold.pipelines.rows import BadRow, Row
from freehold.pipelines.signature import Signature
from freehold.pipelines.writers import Fields, Kind

ROW, INPUT, OUTPUT = "row", "input", "output"
_KINDS: Mapping[str, Kind] = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}


def columns(first: Iterable[Row | BadRow], signature: Signature) -> Fields:
    """The columns of a table: `row`, those of the input, and those of the output, which are `output.NAME` where the input has one of that name."""
    found: dict[str, Kind] = {ROW: "integer"}
    for row in first:
        if isinstance(row, Row):
            for name, value in _parts(INPUT, row.value).items():
                found.setdefault(name, "text" if isinstance(value, str) else "json")
    schema = signature.output.json_schema(mode="serialization")
    properties = schema.get("properties")
    kinds = {OUTPUT: _kind(schema)} if not properties else {name: _kind(of) for name, of in properties.items()}
    return found | {_free(name, found): kind for name, kind in kinds.items()}


def laid(row: Row, output: JSON, fields: Fields) -> JSON:
    """One row of the output. `fields`: the columns of a table; empty for lines of JSON."""
    if not fields:
        return {ROW: row.n, INPUT: row.value, OUTPUT: output}
    given = {name: value for name, value in _parts(INPUT, row.value).items() if name in fields}
    answered = {}
    for name, value in _parts(OUTPUT, output).items():
        answered[f"{OUTPUT}.{name}" if f"{OUTPUT}.{name}" in fields else name] = value
    return {ROW: row.n, **given, **answered}


def _parts(name: str, value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, dict) else {name: value}


def _free(name: str, taken: Mapping[str, Any]) -> str:
    return f"{OUTPUT}.{name}" if name in taken else name


def _kind(schema: Mapping[str, Any]) -> Kind:
    return _KINDS.get(str(schema.get("type")), "json")
