"""Recorded schemas and answers: BFCL's functions go from schema to type and back, and its accepted answers are values of those types."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import data
from pydantic import TypeAdapter

from freehold.pipelines.annotate import NAMES
from freehold.pipelines.parse import Malformed, parse
from freehold.pipelines.schema import schema_of, type_of

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def bfcl() -> Path:
    found = data.find("bfcl_v4")
    if found is None:
        pytest.skip("no shared data: bfcl_v4 is not here")
    return found


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def functions(row: dict[str, Any]) -> list[dict[str, Any]]:
    return row["function"] if isinstance(row.get("function"), list) else [row] if "parameters" in row else []


def plain(schema: dict[str, Any]) -> dict[str, Any]:
    """What a schema says of names, types, what is required, and choices; null for what may be left out is no matter."""
    if "anyOf" in schema:
        (schema,) = [one for one in schema["anyOf"] if one != {"type": "null"}]
    said = str(schema.get("type", "any")).lower()
    kind = NAMES.get(said, said)
    if kind == "array" and "enum" in schema:
        schema = {**schema, "items": {**schema.get("items", {}), "enum": schema["enum"]}}
        del schema["enum"]
    choices = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else None
    made: dict[str, Any] = {"enum": choices and list(dict.fromkeys(choices))}
    if choices and all(isinstance(one, str) for one in choices):
        kind = "string"  # 16 of the functions contradict themselves, such as a boolean whose choices are 'True' and 'dontcare'
    if kind != "any":
        made["type"] = kind
    if schema.get("properties"):
        made["properties"] = {name: plain(one) for name, one in schema["properties"].items()}
        made["required"] = sorted(schema.get("required", []))
    if kind == "array" and schema.get("items", {}).get("type", "any") != "any":
        made["items"] = plain(schema["items"])
    return made


def test_every_function_comes_back_from_its_type_with_names_types_required_and_choices(bfcl: Path) -> None:
    seen: set[str] = set()
    for row in rows(bfcl):
        for function in functions(row):
            written = json.dumps(function["parameters"])
            if written not in seen:
                seen.add(written)
                back = schema_of(TypeAdapter(type_of(function["parameters"], function["name"])), strict=False)
                assert plain(back) == plain(function["parameters"]), row.get("id", function["name"])
    assert len(seen) > 1000


def accepted(given: Any) -> list[Any]:
    """The values that an accepted answer allows for an argument; an empty text allows leaving it out."""
    return [one for value in given for one in alternatives(value)] if isinstance(given, list) else [given]


def alternatives(value: Any) -> list[Any]:
    """A nested object lists the accepted values of each of its keys."""
    if isinstance(value, dict):
        options = {key: [one for one in accepted(given) if one != ""] or [""] for key, given in value.items()}
        return [dict(zip(options, (one[0] for one in options.values()), strict=True))]
    if isinstance(value, list):
        return [[one for each in value for one in alternatives(each)[:1]]]
    return [value]


def test_accepted_answers_are_values_of_their_functions_types(bfcl: Path) -> None:
    """Each argument's first accepted value, as a call a model would write. The exceptions are the data's own."""
    counts: Counter[str] = Counter()
    exceptions = []
    for row in rows(bfcl):
        kinds = {one["name"]: one["parameters"] for one in functions(row)}
        for call in row.get("ground_truth") or []:
            if not isinstance(call, dict):
                continue
            ((name, arguments),) = call.items()
            first = {key: options[0] for key, given in arguments.items() if (options := [one for one in accepted(given) if one != ""])}
            counts["calls"] += 1
            try:
                adapter: TypeAdapter[Any] = TypeAdapter(type_of(kinds[name], name))
                counts["strict"] += not parse(json.dumps(first), adapter).repairs
                parse(f"I call it:\n```json\n{json.dumps(first, indent=2)}\n```", adapter)
            except Malformed as error:
                exceptions.append((row["id"], name, str(error)))
                continue
            counts["parsed"] += 1
    print(counts, *exceptions, sep="\n")
    assert counts["calls"] > 2000
    assert counts["parsed"] / counts["calls"] > 0.97
