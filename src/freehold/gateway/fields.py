"""Reading JSON from outside: each field by its name and type, and what nobody asked for in the end."""

from collections.abc import Mapping
from typing import Any

import msgspec

from freehold.chat import JSON
from freehold.errors import CallerError
from freehold.gateway.reply import Request

_decode = msgspec.json.Decoder(dict[str, JSON]).decode


def json_object(request: Request) -> dict[str, JSON]:
    """The body of a request. Raises CallerError for one that is no JSON object, or does not say that it is."""
    kind = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise CallerError("the body has to be application/json: a web page of another origin could send anything else")
    try:
        return _decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallerError(f"the body is no JSON object: {error}") from None


class Fields:
    """An object of a request or an answer. Whatever is not taken is left over, and is never dropped in silence."""

    def __init__(self, value: JSON, where: str) -> None:
        if not isinstance(value, Mapping):
            raise CallerError(f"{where or 'the body'} is {_kind(value)}; expected an object")
        self._left = dict(value)
        self.where = where

    def take(self, name: str, kind: Any, default: Any = None) -> Any:
        """The field, checked to be of the type `kind`; `default` where it is missing or null. Raises CallerError."""
        value = self._left.pop(name, None)
        if value is None:
            return default
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise CallerError(f"{self.at(name)}: {str(error)[:1].lower()}{str(error)[1:]}") from None

    def need(self, name: str, kind: Any) -> Any:
        """The field, which has to be there."""
        value = self.take(name, kind)
        if value is None:
            raise CallerError(f"{self.at(name)} is missing")
        return value

    def raw(self, name: str) -> JSON:
        """The field as it is."""
        return self._left.pop(name, None)

    def inner(self, name: str) -> "Fields":
        """The object under that name; an empty one where it is missing or null. Raises CallerError."""
        value = self.raw(name)
        return Fields({} if value is None else value, self.at(name))

    def has(self, name: str) -> bool:
        """Whether it is there and not null."""
        return self._left.get(name) is not None

    def rest(self) -> dict[str, JSON]:
        """What nobody has taken, without nulls."""
        return {name: value for name, value in self._left.items() if value is not None}

    def end(self) -> None:
        """Raises CallerError where something is left that these records have no place for."""
        if rest := self.rest():
            raise CallerError(f"{self.at(next(iter(rest)))} cannot be said to a provider of another format")

    def at(self, name: str) -> str:
        """Where the field stands, for messages."""
        return f"{self.where}.{name}" if self.where else name


def _kind(value: JSON) -> str:
    names = {type(None): "null", bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list"}
    return names.get(type(value), "something else")
