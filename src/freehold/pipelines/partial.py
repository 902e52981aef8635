"""What of a value has come when only the beginning of its words has arrived.

What is still open is told from the brackets and quotes of the beginning: a text counts as far as it came, an entry of a list once it is whole,
a number or a choice once something follows it. An instance that isn't whole is of the very type, with None where nothing has come; its
validators have not run. Only clean JSON is read, in a fence or after prose too; for anything else nothing has come until all of it has.
"""

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pydantic import AliasChoices, BaseModel, RootModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import from_json, to_json

from freehold.chat import JSON
from freehold.pipelines.shape import shape_of

T = TypeVar("T")

_PIECE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?P<end>"|\\?\Z)|[{}\[\]]', re.DOTALL)
_BEGIN = re.compile(r"[{\[]")
_FENCE = re.compile(r"(?:```|~~~)\w*\s*(?=[{\[])")
_UNSURE = re.compile(r"[-+\w.]+\Z")
_OPENS = {"}": "{", "]": "["}


class _Edge(NamedTuple):
    """What is open where a beginning ends."""

    text: str
    """The beginning, without what may be half a number."""
    depth: int
    """How many objects and lists are open."""
    is_text: bool
    """Whether a text is open that is a value."""


def partial(text: str, adapter: TypeAdapter[T], *, wrapped: bool = False) -> T | None:
    """What has come of a value; None where nothing has. `wrapped`: as of `parse`.

    Of a text it is what has come, of a list, a set or a dict the entries that are whole. A model or dataclass is an instance of its type, in
    which fields that haven't come are None and the one that is arriving is what has come of it.
    """
    bare = text.lstrip()
    if shape_of(adapter).is_words and not (wrapped and bare[:1] in ("", "{")):
        return cast(T, text) if text else None
    edge = _edge(text.encode(errors="replace").decode())
    if edge is None:
        return None
    try:
        value = from_json(edge.text, allow_partial="trailing-strings")
    except ValueError:
        return None
    if wrapped and isinstance(value, dict) and value.keys() <= {"value"}:
        if not value:
            return None
        return cast("T | None", _grown(value["value"], adapter._type, edge.depth - 1, edge.is_text))
    return cast("T | None", _grown(value, adapter._type, edge.depth, edge.is_text))


def _edge(text: str) -> _Edge | None:
    """The edge of the first document of these words, or of the first one in the last fence."""
    fences = list(_FENCE.finditer(text))
    found = _BEGIN.search(text, fences[-1].end() if fences else 0)
    if found is None:
        return None
    words = text[found.start() :]
    opened: list[str] = []
    for piece in _PIECE.finditer(words):
        mark = piece[0]
        if mark in "{[":
            opened.append(mark)
        elif mark in "}]":
            if opened.pop() != _OPENS[mark]:
                return None
            if not opened:
                return _Edge(words[: piece.end()], 0, False)
        elif piece["end"] != '"':
            before = words[: piece.start()].rstrip()[-1:]
            return _Edge(words, len(opened), before in (":", "[") or (before == "," and opened[-1] == "["))
    return _Edge(_UNSURE.sub("", words), len(opened), False)


def _grown(value: JSON, kind: Any, depth: int, is_text: bool) -> Any:
    """What has come of a value of this type that stands at the edge: so many containers and, in the last of them, maybe a text are open."""
    if depth <= 0 and not is_text:
        return _whole(value, kind)
    branches = _branches(kind)
    if isinstance(value, str):
        return value if str in branches or Any in branches else None
    is_last_whole = depth == 1 and not is_text
    if isinstance(value, list):
        return _entries(value if is_last_whole else value[:-1], branches)
    if not isinstance(value, dict):
        return None
    records = [one for one in branches if isinstance(one, type) and (issubclass(one, BaseModel) or is_dataclass(one))]
    if len(records) == 1:
        return _record(records[0], value, depth - 1, is_text)
    mapping = next((one for one in branches if one is dict or get_origin(one) is dict), None)
    if mapping is None or records:
        return None
    last = None if is_last_whole else next(reversed(value), None)
    return _whole({key: one for key, one in value.items() if key != last}, mapping)


def _entries(values: list[JSON], branches: Sequence[Any]) -> Any:
    """The entries that are whole, as the list, tuple or set that the type is."""
    for one in branches:
        holder = get_origin(one) or one
        arguments = get_args(one) or (Any,)
        if holder in (list, set, frozenset) or (holder is tuple and len(arguments) == 2 and arguments[1] is ...):
            return _whole(values, one)
        if isinstance(holder, type) and issubclass(holder, Sequence) and holder not in (tuple, str, bytes):
            return _whole(values, one)
        if isinstance(one, type) and issubclass(one, RootModel):
            entries = _entries(values, _branches(one.model_fields["root"].annotation))
            return None if entries is None else _made(one, {"root": entries})
    return None


def _record(cls: type, value: dict[str, JSON], depth: int, is_text: bool) -> Any:
    """An instance, with None where nothing has come."""
    last = next(reversed(value), None)
    made: dict[str, Any] = {}
    for name, (keys, kind) in _fields(cls).items():
        key = next((key for key in keys if key in value), None)
        if key is None:
            made[name] = None
        else:
            made[name] = _grown(value[key], kind, depth, is_text) if key == last else _whole(value[key], kind)
    return _made(cls, made)


def _made(cls: type, values: dict[str, Any]) -> Any:
    """An instance of a model or dataclass that was not initialised."""
    made: Any = object.__new__(cls)
    if isinstance(made, BaseModel):
        came = {name for name, value in values.items() if value is not None}
        for name, value in (
            ("__dict__", values),
            ("__pydantic_fields_set__", came),
            ("__pydantic_extra__", None),
            ("__pydantic_private__", None),
        ):
            object.__setattr__(made, name, value)
        return made
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


@lru_cache(maxsize=512)
def _fields(cls: type) -> dict[str, tuple[tuple[str, ...], Any]]:
    """The fields of a model or dataclass: the keys each may come under, and its type."""
    if issubclass(cls, BaseModel):
        return {name: (_keys(name, one), _annotated(one)) for name, one in cls.model_fields.items()}
    known = getattr(cls, "__pydantic_fields__", {})
    hints = get_type_hints(cls, include_extras=True)
    return {one.name: (_keys(one.name, known.get(one.name)), hints[one.name]) for one in fields(cast(Any, cls))}


def _keys(name: str, field: FieldInfo | None) -> tuple[str, ...]:
    alias = field.validation_alias if field is not None else None
    aliases = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return (*(one for one in aliases if isinstance(one, str)), name)


def _annotated(field: FieldInfo) -> Any:
    kind: Any = field.annotation
    for one in field.metadata:
        kind = Annotated[kind, one]
    return kind


def _branches(kind: Any) -> tuple[Any, ...]:
    """The types of which a value has to be one."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        return tuple(inner for one in get_args(kind) for inner in _branches(one))
    return (kind,)


def _whole(value: JSON, kind: Any) -> Any:
    """A value that has come whole; None where it is not of the type."""
    try:
        return _adapter(kind).validate_json(to_json(value))
    except ValidationError:
        return None


@lru_cache(maxsize=1024)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
