"""Types become the JSON schemas that a provider is asked to keep to. The other way round is `type_of`, in `annotate.py`."""

import json
from typing import Any

from pydantic import PydanticUserError, TypeAdapter

from freehold.chat import JSON
from freehold.errors import DataError
from freehold.pipelines.annotate import Schema
from freehold.pipelines.annotate import type_of as type_of
from freehold.pipelines.shape import Quiet

VALUE = "value"
"""The property that `wrapped` puts an output under that is no object."""

_NULL: Schema = {"type": "null"}
_DROPPED = frozenset({"title", "discriminator"})
_STRICT = frozenset({"type", "enum", "const", "anyOf", "properties", "required", "additionalProperties", "items", "description"})


def schema_of(adapter: TypeAdapter[Any], strict: bool) -> Schema:
    """The JSON schema of a type, to be sent to a provider: references are put in their places where nothing contains itself, titles dropped.

    `strict`: as OpenAI keeps to it. Every property is required and no others are allowed; what could be left out may be null instead, which
    `parse` reads as left out; words that strict schemas don't have are said in descriptions. Raises DataError for what can't be expressed.
    """
    try:
        schema = adapter.json_schema(schema_generator=Quiet)
    except PydanticUserError as error:
        raise DataError(f"a type has no JSON schema: {str(error).splitlines()[0]} Use types that JSON has, or models of them") from error
    definitions = schema.pop("$defs", {})
    writer = _Writer(definitions, strict)
    written = writer.write(schema, "the output", ())
    if set(written) == {"$ref"}:
        written = writer.kept[written["$ref"].rpartition("/")[2]]  # the outermost has to be said in its place
    return {**written, "$defs": writer.kept} if writer.kept else written


def wrapped(schema: Schema) -> Schema:
    """A schema whose values are objects: itself, or an object that holds its value under `value`. Read it with `parse(…, wrapped=True)`."""
    if schema.get("type") == "object":
        return schema
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    outer = {"type": "object", "properties": {VALUE: inner}, "required": [VALUE], "additionalProperties": False}
    return {**outer, "$defs": schema["$defs"]} if "$defs" in schema else outer


class _Writer:
    """A schema on its way out."""

    def __init__(self, definitions: Schema, strict: bool) -> None:
        self.kept: Schema = {}
        """The definitions that contain themselves."""
        self._definitions, self._strict = definitions, strict

    def write(self, schema: JSON, where: str, within: tuple[str, ...]) -> Schema:
        """One schema. `where`: what it is of, for errors. `within`: the definitions that it lies in."""
        if not isinstance(schema, dict):
            if self._strict:
                raise DataError(f"the schema of {where} is {schema!r}; a strict one is an object. Use a narrower type")
            return {} if schema else {"not": {}}
        if isinstance(ref := schema.get("$ref"), str):
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return self._referred(ref.rpartition("/")[2], beside, where, within)
        if self._strict:
            schema = self._strictly(schema, where)
        return {key: self._part(key, value, where, within) for key, value in schema.items() if key not in _DROPPED}

    def _referred(self, name: str, beside: Schema, where: str, within: tuple[str, ...]) -> Schema:
        if name in within:
            self.kept.setdefault(name, {})
        if name in self.kept:
            return {"$ref": f"#/$defs/{name}"}
        body = self.write(self._definitions[name], where, (*within, name))
        if name in self.kept:
            self.kept[name] = body
            return {"$ref": f"#/$defs/{name}"}
        return body | self.write(beside, where, within) if beside else body

    def _part(self, key: str, value: JSON, where: str, within: tuple[str, ...]) -> JSON:
        if key == "properties":
            return {name: self.write(one, f"{where}'s '{name}'", within) for name, one in value.items()}
        if key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            return [self.write(one, where, within) for one in value]
        if key in ("items", "additionalProperties") and isinstance(value, dict):
            return self.write(value, f"an item of {where}", within)
        if key == "enum":  # two names of one value say it twice, which strict schemas must not
            return [one for n, one in enumerate(value) if not any(one == other and type(one) is type(other) for other in value[:n])]
        return value

    def _strictly(self, schema: Schema, where: str) -> Schema:
        """A schema in the words that strict ones have. What it holds is written later."""
        if "oneOf" in schema:
            schema = {("anyOf" if key == "oneOf" else key): value for key, value in schema.items()}
        self._check(schema, where)
        kept = {key: value for key, value in schema.items() if key in _STRICT}
        if schema.get("type") == "object":
            properties, required = schema.get("properties", {}), set(schema.get("required", ()))
            kept["properties"] = {name: one if name in required else _or_null(one) for name, one in properties.items()}
            kept |= {"required": list(properties), "additionalProperties": False}
        said = [f"{key}: {_shown(value)}" for key, value in schema.items() if key not in _STRICT | _DROPPED and value is not None]
        if said:
            kept["description"] = f"{schema.get('description', '')} ({'; '.join(said)})".strip()
        return kept

    def _check(self, schema: Schema, where: str) -> None:
        kind = schema.get("type")
        if not schema.keys() & {"type", "enum", "const", "anyOf"}:
            raise DataError(f"{where} may be anything, which a strict schema can't say. Give it a type, or ask without strict")
        if kind == "object" and "properties" not in schema and schema.get("additionalProperties", True) is not False:
            raise DataError(f"{where} has keys of any name, which a strict schema can't say. Use a list of pairs, or ask without strict")
        if kind == "array" and ("prefixItems" in schema or not schema.get("items")):
            raise DataError(
                f"{where} has no one type of items, which a strict schema can't say. Use a model or one type, or ask without strict"
            )


def _or_null(schema: Schema) -> Schema:
    """A property that could be left out, as one that may be null. Its description stays outside."""
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches and _NULL in branches:
        return schema
    outer: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    inner = {key: value for key, value in schema.items() if key not in outer}
    return {"anyOf": [*(branches if branches and inner.keys() <= {"anyOf", "oneOf", *_DROPPED} else [inner]), _NULL], **outer}


def _shown(value: JSON) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
