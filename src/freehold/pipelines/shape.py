"""What a type takes, as far as it decides how a model's words are read: computed once for a type, from its JSON schema."""

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic import PydanticUserError, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from freehold.chat import JSON


class Shape(NamedTuple):
    """What a type takes."""

    name: str
    """What it is called."""
    kinds: frozenset[str]
    """The kinds of JSON values it takes, in JSON schema's words; `any` where all."""
    is_words: bool
    """Whether it is a text and nothing else, so that the words themselves are the value."""
    choices: dict[str, str]
    """Where it is one of a few values: each one's words and its JSON. Empty for any other type."""
    names: frozenset[str]
    """Every text that is a choice anywhere in it."""
    keys: frozenset[str]
    """The keys that its objects have; empty where some may have any."""


class Quiet(GenerateJsonSchema):
    """Says nothing of defaults that are no JSON."""

    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"skipped-choice", "non-serializable-default", "skipped-discriminator"}  # noqa: RUF012


@lru_cache(maxsize=512)
def shape_of(adapter: TypeAdapter[Any]) -> Shape:
    """The shape of a type. One that has no JSON schema may take anything."""
    cls = adapter.core_schema.get("cls", adapter._type)
    name = cls.__name__ if isinstance(cls, type) else adapter.core_schema["type"]
    try:
        schema = adapter.json_schema(schema_generator=Quiet)
    except PydanticUserError:
        return Shape(name, frozenset({"any"}), False, {}, frozenset(), frozenset())
    branches = list(_branches(schema, schema, 0))
    kinds = frozenset(kind for branch in branches for kind in _kinds(branch))
    choices = _choices(branches)
    names: set[str] = set()
    keys: set[str] = set()
    is_free = False
    for part in _parts(schema):
        names.update(value for value in _values(part) if isinstance(value, str))
        properties = part.get("properties")
        keys.update(properties if isinstance(properties, dict) else ())
        is_free = is_free or (part.get("type") == "object" and (not properties or bool(part.get("additionalProperties"))))
    is_words = kinds == {"string"} and not choices and adapter.core_schema["type"] == "str"
    return Shape(name, kinds, is_words, choices, frozenset(names), frozenset() if is_free else frozenset(keys))


def _branches(schema: JSON, root: dict[str, JSON], depth: int) -> Iterator[dict[str, JSON]]:
    """The schemas of which a value has to fit one."""
    if not isinstance(schema, dict) or depth > 20:
        return
    if isinstance(ref := schema.get("$ref"), str):
        yield from _branches(root.get("$defs", {}).get(ref.rpartition("/")[2], {}), root, depth + 1)
    elif either := schema.get("anyOf") or schema.get("oneOf"):
        for branch in either:
            yield from _branches(branch, root, depth + 1)
    else:
        yield schema


def _kinds(branch: dict[str, JSON]) -> list[str]:
    if "type" in branch:
        return branch["type"] if isinstance(branch["type"], list) else [branch["type"]]
    values = _values(branch)
    names = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
    return sorted({names.get(type(value), "any") for value in values}) or ["any"]


def _values(part: dict[str, JSON]) -> list[JSON]:
    if "const" in part:
        return [part["const"]]
    enum = part.get("enum")
    return enum if isinstance(enum, list) else []


def _choices(branches: list[dict[str, JSON]]) -> dict[str, str]:
    choices: dict[str, str] = {}
    for branch in branches:
        if branch.get("type") == "boolean" and not _values(branch):
            choices |= {"true": "true", "yes": "true", "false": "false", "no": "false"}
        elif branch.get("type") == "null":
            continue
        elif values := _values(branch):
            choices |= {value if isinstance(value, str) else json.dumps(value): json.dumps(value) for value in values}
        else:
            return {}
    return choices


def _parts(schema: JSON) -> Iterator[dict[str, JSON]]:
    """Every schema within a schema, and it itself."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
