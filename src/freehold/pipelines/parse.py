from typing import Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from freehold.errors import DataError

T = TypeVar("T")


class Malformed(DataError):
    pass


class Parsed(NamedTuple, Generic[T]):
    value: T
    repairs: tuple[str, ...]


def parse(text: str, adapter: TypeAdapter[T], wrapped: bool = False) -> Parsed[T]:
    try:
        return Parsed(adapter.validate_json(text), ())
    except ValidationError as e:
        try:
            return Parsed(adapter.validate_python(text), ())
        except ValidationError:
            raise Malformed(str(e)) from None


def partial(text: str, adapter: TypeAdapter[T]) -> T | None:
    return None
