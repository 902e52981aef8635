"""JSON schemas become types: a model for an object with properties, else a plain annotation.

Schemas are read as they are written for functions that a model may call, with the names of types that some use beside JSON schema's. What a
schema says and a type can't hold is an error, so that nothing is checked less strictly than it looks.
"""

import keyword
import re
from typing import Annotated, Any, ForwardRef, Literal, TypeAlias, Union, cast

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, TypeAdapter, create_model
from pydantic_core import SchemaError

from freehold.chat import JSON
from freehold.errors import DataError, nearest

Schema: TypeAlias = dict[str, JSON]

MOST_LEVELS = 64
"""As deep may schemas lie in each other."""

NAMES = {
    "dict": "object",
    "hashmap": "object",
    "map": "object",
    "tuple": "array",
    "list": "array",
    "arraylist": "array",
    "float": "number",
    "double": "number",
    "long": "integer",
    "int": "integer",
    "short": "integer",
    "byte": "integer",
    "bool": "boolean",
    "str": "string",
    "char": "string",
    "none": "null",
}
"""Other names of JSON schema's types, as BFCL and others write them, in any case."""
_SCALARS: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}
_BOUNDS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
    "pattern": "pattern",
}
_BOUNDS_OF = {
    "string": {"minLength", "maxLength", "pattern"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "array": {"minItems", "maxItems"},
}
_NOTES = frozenset({"format", "examples", "example", "uniqueItems", "contentEncoding", "contentMediaType"})
"""Said in the schema of the type again, and not checked."""
_SILENT = frozenset(
    {
        "title",
        "description",
        "default",
        "$schema",
        "$id",
        "$comment",
        "$defs",
        "definitions",
        "optional",
        "nullable",
        "deprecated",
        "readOnly",
    }
)
_READ = frozenset(
    {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "properties", "required", "additionalProperties", "items", "prefixItems"}
)
_TAKEN = frozenset(dir(BaseModel))


def type_of(schema: Schema, name: str) -> type[Any]:
    """The type of the values that a schema describes: a model called `name` for an object with properties, else a plain annotation.

    A property that may be left out is None then, or its default. Raises DataError for a schema that no type can be made of.
    """
    if not isinstance(schema, dict):
        raise DataError(f"a schema is {type(schema).__name__}; expected an object such as {{'type': 'object', 'properties': {{…}}}}")
    reader = _Reader(schema)
    try:
        made = reader.read(schema, _class_name(name), 0)
        for model in reader.models.values():
            model.model_rebuild(_types_namespace=reader.models)
        TypeAdapter(made)
    except (PydanticUserError, SchemaError, NameError) as error:
        raise DataError(f"the schema of '{name}' gives no type: {str(error).splitlines()[0]}. Change what it names") from error
    return cast(type[Any], made)


class _Reader:
    """One schema on its way to a type."""

    def __init__(self, root: Schema) -> None:
        self.models: dict[str, type[BaseModel]] = {}
        """Every model that was made, by its name."""
        self._root = root
        self._refs: dict[str, Any] = {}

    def read(self, schema: JSON, name: str, depth: int) -> Any:
        """The annotation of one schema. `name`: what a model would be called, and where it stands, for errors."""
        if schema is True:
            return Any
        if not isinstance(schema, dict):
            raise DataError(f"the schema at '{name}' is {schema!r}; expected an object. A type that takes nothing can't be expressed")
        if depth > MOST_LEVELS:
            raise DataError(f"the schema at '{name}' lies deeper than {MOST_LEVELS} levels. Make it flatter")
        kinds = _kinds(schema, name)
        self._check(schema, kinds, name)
        if kinds == ["array"] and isinstance(enum := schema.get("enum"), list) and not any(isinstance(one, list) for one in enum):
            items = schema.get("items")  # choices of a list that are no lists are its entries'; BFCL has such
            schema = {key: value for key, value in schema.items() if key != "enum"}
            schema["items"] = {**(items if isinstance(items, dict) else {}), "enum": enum}
        if isinstance(ref := schema.get("$ref"), str):
            made = self._ref(ref, depth)
        elif "enum" in schema or "const" in schema:
            made = _literal(schema, name)
        elif either := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
            if not isinstance(either, list) or ("allOf" in schema and len(either) != 1):
                raise DataError(f"the schema at '{name}' wants all of several schemas at once. No type expresses that: write them as one")
            made = _union([self.read(one, f"{name}{n}" if len(either) > 1 else name, depth + 1) for n, one in enumerate(either, 1)])
        else:
            made = _union([self._of(kind, schema, name, depth) for kind in kinds]) if kinds else Any
        if schema.get("nullable") is True and made is not Any:
            made = made | None
        notes = {key: schema[key] for key in _NOTES if key in schema}
        return Annotated[made, Field(json_schema_extra=notes)] if notes else made

    def _check(self, schema: Schema, kinds: list[str], name: str) -> None:
        allowed = _READ | _SILENT | _NOTES
        for kind in kinds:
            allowed = allowed | _BOUNDS_OF.get("number" if kind == "integer" else kind, set())
        unknown = sorted(key for key in schema if key not in allowed and not key.startswith("x-"))
        if unknown:
            raise DataError(
                f"the schema at '{name}' says '{unknown[0]}', which can't be expressed for {' or '.join(kinds) or 'any value'}. Leave it out, "
                "or say it in the description"
            )

    def _of(self, kind: str, schema: Schema, name: str, depth: int) -> Any:
        if kind == "object":
            return self._object(schema, name, depth)
        if kind == "array":
            made = self._array(schema, name, depth)
        else:
            made = _SCALARS[kind]
        words = _BOUNDS_OF.get("number" if kind == "integer" else kind, set())
        bounds: dict[str, Any] = {_BOUNDS[key]: schema[key] for key in sorted(words) if key in schema}
        return Annotated[made, Field(**bounds)] if bounds else made

    def _array(self, schema: Schema, name: str, depth: int) -> Any:
        first = schema.get("prefixItems")
        if isinstance(first, list):
            if schema.get("items") not in (None, False) or not first:
                raise DataError(f"the schema at '{name}' has items after its prefixItems. No type expresses that: use items alone")
            return tuple[tuple(self.read(one, f"{name}{n}", depth + 1) for n, one in enumerate(first, 1))]  # type: ignore[misc]
        return list[self.read(schema.get("items", True), f"{name}Item", depth + 1)]  # type: ignore[misc]

    def _object(self, schema: Schema, name: str, depth: int) -> Any:
        properties, further = schema.get("properties") or {}, schema.get("additionalProperties")
        if not isinstance(properties, dict):
            raise DataError(f"the properties at '{name}' are {type(properties).__name__}; expected an object of schemas")
        if not properties and further is not False:
            return dict[str, self.read(True if further is None else further, f"{name}Value", depth + 1)]  # type: ignore[misc]
        if isinstance(further, dict) and further:
            raise DataError(
                f"the object at '{name}' has properties and a schema for others. No type expresses that: put them under a property"
            )
        return self._model(properties, _required(schema, name), schema, name, depth)

    def _model(self, properties: Schema, required: set[str], schema: Schema, name: str, depth: int) -> type[BaseModel]:
        name = _unused(name, self.models)
        self.models[name] = BaseModel  # taken, while what it holds is read
        fields: dict[str, Any] = {}
        for key, one in properties.items():
            annotation = self.read(one, f"{name}{_class_name(key)}", depth + 1)
            field = _unused(_field_name(key), fields)
            details: dict[str, Any] = {"alias": key} if field != key else {}
            if isinstance(one, dict) and isinstance(one.get("description"), str):
                details["description"] = one["description"]
            if key in required:
                fields[field] = (annotation, Field(**details))
            elif isinstance(one, dict) and one.get("default") is not None:
                fields[field] = (annotation, Field(default=one["default"], **details))
            else:
                fields[field] = (annotation if annotation is Any else Union[annotation, None], Field(default=None, **details))  # noqa: UP007
        further = schema.get("additionalProperties")
        extra: Literal["forbid", "allow", "ignore"] = "forbid" if further is False else "ignore" if further is None else "allow"
        config = ConfigDict(extra=extra, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True, protected_namespaces=())
        said = schema.get("description")
        self.models[name] = create_model(name, __config__=config, __doc__=said if isinstance(said, str) else None, **fields)
        return self.models[name]

    def _ref(self, ref: str, depth: int) -> Any:
        if ref in self._refs:
            return self._refs[ref]
        target: JSON = self._root
        steps = ref.removeprefix("#").strip("/").split("/") if ref.startswith("#") else [ref]
        for step in (step.replace("~1", "/").replace("~0", "~") for step in steps if step):
            if not isinstance(target, dict) or step not in target:
                known = list(target) if isinstance(target, dict) else []
                raise DataError(
                    f"the schema refers to '{ref}', which is not in it.{nearest(step, known)} References are of the form '#/$defs/Name'"
                )
            target = target[step]
        name = _unused(_class_name(steps[-1] or "Root"), self.models)
        self._refs[ref] = ForwardRef(name)
        self._refs[ref] = made = self.read(target, name, depth + 1)
        return made


def _kinds(schema: Schema, name: str) -> list[str]:
    """The types a schema names, in JSON schema's words; those of its other words where it names none."""
    said = schema.get("type")
    if said is None:
        return ["object"] if "properties" in schema else ["array"] if "items" in schema or "prefixItems" in schema else []
    kinds = []
    for one in said if isinstance(said, list) else [said]:
        word = one.lower() if isinstance(one, str) else ""
        kind = NAMES.get(word, word)
        if kind == "any":
            return []
        if kind not in _SCALARS and kind not in ("object", "array"):
            raise DataError(f"the schema at '{name}' has the type {one!r}.{nearest(word, [*_SCALARS, 'object', 'array', 'any', *NAMES])}")
        kinds.append(kind)
    return list(dict.fromkeys(kinds))


def _literal(schema: Schema, name: str) -> Any:
    values = [schema["const"]] if "const" in schema else schema["enum"]
    if not isinstance(values, list) or not values or not all(isinstance(value, str | int | bool | None) for value in values):
        raise DataError(f"the choices at '{name}' are {values!r}; expected texts, whole numbers, truth values or null, and at least one")
    return Literal[tuple(values)]


def _required(schema: Schema, name: str) -> set[str]:
    required = schema.get("required") or []
    if not isinstance(required, list) or not all(isinstance(key, str) for key in required):
        raise DataError(f"'required' at '{name}' is {required!r}; expected a list of names")
    unknown = [key for key in required if key not in (schema.get("properties") or {})]
    if unknown:
        raise DataError(
            f"'required' at '{name}' names '{unknown[0]}', which is no property.{nearest(unknown[0], list(schema['properties']))}"
        )
    return set(required)


def _union(kinds: list[Any]) -> Any:
    return kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007


def _class_name(name: str) -> str:
    made = "".join(part[:1].upper() + part[1:] for part in re.split(r"\W+|_", name) if part)
    return made if made[:1].isalpha() else f"Model{made}"


def _field_name(key: str) -> str:
    name = re.sub(r"\W", "_", key).lstrip("_")
    if not name.isidentifier():
        name = f"field_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN or name.startswith("model_") else name


def _unused(name: str, used: dict[str, Any]) -> str:
    if name not in used:
        return name
    return next(f"{name}{n}" for n in range(2, len(used) + 3) if f"{name}{n}" not in used)
