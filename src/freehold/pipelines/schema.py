from typing import Any

from pydantic import TypeAdapter


def schema_of(adapter: TypeAdapter[Any], strict: bool) -> dict[str, Any]:
    return adapter.json_schema()


def wrapped(schema: dict[str, Any]) -> dict[str, Any]:
    return schema
