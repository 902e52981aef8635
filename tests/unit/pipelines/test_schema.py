"""Schemas become types and types become schemas; what can't be expressed is said."""

from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from freehold.errors import DataError
from freehold.pipelines.parse import parse
from freehold.pipelines.schema import schema_of, type_of, wrapped


class Line(BaseModel):
    name: str
    count: int = 1


class Order(BaseModel):
    title: Annotated[str, Field(min_length=1, description="What it is called.")]
    first: Line
    second: Line | None = None
    state: Literal["open", "paid"] = "open"


class Node(BaseModel):
    name: str
    kids: list["Node"] = []


def test_a_schema_with_properties_becomes_a_model() -> None:
    kind = type_of(
        {
            "type": "dict",
            "description": "A place.",
            "properties": {
                "name": {"type": "String", "description": "Its name."},
                "class": {"type": "string", "enum": ["a", "b"]},
                "a b": {"type": "float", "default": 1.5},
                "json": {"type": "any"},
                "deep": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}, "required": ["n"]},
                "many": {"type": "tuple", "items": {"type": "long"}},
                "free": {"type": "HashMap"},
            },
            "required": ["name", "class"],
        },
        "places.find",
    )
    assert kind.__name__ == "PlacesFind"
    made = TypeAdapter(kind).validate_python({"name": "x", "class": "a", "deep": {"n": 2}, "many": [1], "free": {"k": 1}})
    assert made.model_dump() == {
        "name": "x",
        "class": "a",
        "a b": 1.5,
        "json": None,
        "deep": {"n": 2},
        "many": [1],
        "free": {"k": 1},
    }
    for wrong in ({"name": "x"}, {"name": "x", "class": "c"}, {"name": "x", "class": "a", "deep": {"n": -1}}):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_python(wrong)
    schema = schema_of(TypeAdapter(kind), strict=False)
    assert schema["description"] == "A place."
    assert schema["properties"]["name"] == {"type": "string", "description": "Its name."}
    assert schema["required"] == ["name", "class"]


def test_plain_schemas_become_plain_annotations() -> None:
    assert type_of({"type": "array", "items": {"type": "integer"}}, "x") == list[int]
    assert type_of({"enum": ["a", "b"]}, "x") == Literal["a", "b"]
    assert type_of({"type": ["string", "null"]}, "x") == str | None
    assert type_of({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "x") == str | int
    assert type_of({"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}, "x") == tuple[str, int]
    assert type_of({}, "x") is Any


def test_a_schema_may_contain_itself() -> None:
    kind = type_of(schema_of(TypeAdapter(Node), strict=False), "node")
    made = TypeAdapter(kind).validate_python({"name": "a", "kids": [{"name": "b", "kids": [{"name": "c"}]}]})
    assert made.kids[0].kids[0].name == "c"


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "wat"}, "has the type 'wat'"),
        ({"type": "string", "if": {}}, "says 'if'"),
        ({"type": "string", "minimum": 1}, "says 'minimum', which can't be expressed for string"),
        ({"type": "object", "properties": {"a": {"patternProperties": {}}}}, "at 'XA' says 'patternProperties'"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "all of several schemas"),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, "names 'b', which is no property"),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": {"type": "string"}}, "properties and a schema for others"),
        ({"$ref": "#/$defs/A"}, "refers to '#/\\$defs/A'"),
        ({"enum": []}, "choices at 'X' are"),
        ({"type": "string", "pattern": "(?=x)"}, "gives no type"),
        ([], "a schema is list"),
    ],
)
def test_what_no_type_can_hold_is_an_error(schema: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        type_of(schema, "x")


def test_a_schema_is_sent_with_its_references_in_their_places() -> None:
    schema = schema_of(TypeAdapter(Order), strict=False)
    line = {"type": "object", "properties": {"name": {"type": "string"}, "count": {"type": "integer", "default": 1}}, "required": ["name"]}
    assert schema["properties"]["first"] == line
    assert schema["properties"]["title"] == {"type": "string", "minLength": 1, "description": "What it is called."}
    assert "$defs" not in schema
    assert schema_of(TypeAdapter(Node), strict=False)["properties"]["kids"]["items"] == {"$ref": "#/$defs/Node"}


def test_a_strict_schema_requires_everything_and_allows_nothing_else() -> None:
    schema = schema_of(TypeAdapter(Order), strict=True)
    assert schema["required"] == ["title", "first", "second", "state"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["title"] == {"type": "string", "description": "What it is called. (minLength: 1)"}
    assert schema["properties"]["state"]["anyOf"] == [{"type": "string", "enum": ["open", "paid"]}, {"type": "null"}]
    assert schema["properties"]["state"]["description"] == "(default: open)"
    assert schema["properties"]["first"]["required"] == ["name", "count"]
    assert schema["properties"]["second"]["anyOf"][1] == {"type": "null"}
    answer = '{"title": "t", "first": {"name": "a", "count": null}, "second": null, "state": null}'
    assert parse(answer, TypeAdapter(Order)).value == Order(title="t", first=Line(name="a"))


def test_two_names_of_one_choice_are_one_choice() -> None:
    """Strict schemas are refused where a choice stands twice."""
    kind = Enum("kind", {"OPEN": "open", "NEW": "open", "PAID": "paid"})
    assert schema_of(TypeAdapter(kind), strict=True)["enum"] == ["open", "paid"]


@pytest.mark.parametrize("kind", [dict[str, int], Any, list, tuple[int, str]])
def test_what_a_strict_schema_cannot_say_is_an_error(kind: Any) -> None:
    with pytest.raises(DataError, match="strict schema can't say"):
        schema_of(TypeAdapter(kind), strict=True)


def test_an_output_that_is_no_object_is_wrapped() -> None:
    schema = wrapped(schema_of(TypeAdapter(list[Node]), strict=True))
    assert schema["required"] == ["value"]
    assert schema["properties"]["value"]["items"] == {"$ref": "#/$defs/Node"}
    assert "Node" in schema["$defs"]
    plain = schema_of(TypeAdapter(Order), strict=True)
    assert wrapped(plain) is plain
