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
    """The columns of a table: `row`, those of the input, and those of the output. An output that has the name of an input is `output.NAME`, and
    an input called `row`, as one that a batch wrote has it, `input.row`."""
    given: dict[str, Kind] = {}
    for row in first:
        if isinstance(row, Row):
            for name, value in _parts(INPUT, row.value).items():
                given.setdefault(name, "text" if isinstance(value, str) else "json")
    found: dict[str, Kind] = {ROW: "integer", **{name: kind for name, kind in given.items() if name != ROW}}
    if ROW in given:
        found[_free(INPUT, ROW, found)] = given[ROW]
    schema = signature.output.json_schema(mode="serialization")
    properties = schema.get("properties")
    kinds = {OUTPUT: _kind(schema)} if not properties else {name: _kind(of) for name, of in properties.items()}
    return found | {_free(OUTPUT, name, found): kind for name, kind in kinds.items()}


def laid(row: Row, output: JSON, fields: Fields) -> JSON:
    """One row of the output. `fields`: the columns of a table; empty for lines of JSON."""
    if not fields:
        return {ROW: row.n, INPUT: row.value, OUTPUT: output}
    given = {(name if name != ROW else _last(INPUT, ROW, fields)): value for name, value in _parts(INPUT, row.value).items()}
    answered = {_last(OUTPUT, name, fields): value for name, value in _parts(OUTPUT, output).items()}
    return {**{name: value for name, value in given.items() if name in fields}, **answered, ROW: row.n}


def _parts(name: str, value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, dict) else {name: value}


def _last(of: str, name: str, taken: Iterable[str]) -> str:
    """Of NAME, `of.NAME`, `of.of.NAME` and so on the longest that is taken; NAME where none is."""
    same = (one for one in taken if one.endswith(name) and not one.removesuffix(name).replace(f"{of}.", ""))
    return max(same, key=len, default=name)


def _free(of: str, name: str, taken: Mapping[str, Any]) -> str:
    """The one after these, by which `_last` finds it again."""
    last = _last(of, name, taken)
    return f"{of}.{last}" if last in taken else name


def _kind(schema: Mapping[str, Any]) -> Kind:
    return _KINDS.get(str(schema.get("type")), "json")
