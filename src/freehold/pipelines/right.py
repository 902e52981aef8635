"""JSON of the right form, and values in it that are nearly of the type: a choice in another case, a number with a unit or in the place of a
text, null for a default."""

from collections.abc import Callable, Set
from typing import Any, TypeAlias

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json, to_json

from freehold.chat import JSON
from freehold.pipelines.mend import Repair
from freehold.pipelines.words import number

Take: TypeAlias = Callable[[str], Any]
"""Takes JSON and gives the value, or raises ValidationError."""

_MOST_ERRORS = 64
_KINDS: tuple[Repair, ...] = ("case", "number", "null")
_NUMBER_ERRORS = frozenset({"int_parsing", "float_parsing", "decimal_parsing"})
_FORM_ERRORS = frozenset({"missing", "json_invalid", "extra_forbidden"})


def put_right(text: str, take: Take, error: ValidationError, names: Set[str]) -> tuple[Any, tuple[Repair, ...]] | None:
    """The value of JSON that `take` refused with `error`, and what was put right; None where that was not enough.

    `names`: the texts that are choices. A value is replaced only where one choice alone is meant and taken in its place.
    """
    errors = error.errors(include_url=False) if error.error_count() <= _MOST_ERRORS else []
    if all(one["type"] in _FORM_ERRORS for one in errors):
        return None
    root = {"": from_json(text)}
    repairs: list[Repair] = []
    for kind in _KINDS:
        replaced = [_replace(root, one, kind, take, names) for one in errors]
        if not any(replaced):
            continue
        repairs.append(kind)
        try:
            return take(to_json(root[""]).decode()), tuple(repairs)
        except ValidationError as further:
            errors = further.errors(include_url=False)
    return None


def _replace(root: dict[str, JSON], error: ErrorDetails, kind: Repair, take: Take, names: Set[str]) -> bool:
    """Puts one value right, where it is wrong in this way; whether it was."""
    given = error["input"]
    if kind == "null":
        place = _place(root, error) if given is None else None
        if place is None or not isinstance(place[0], dict) or place[1] == "":
            return False
        del place[0][place[1]]
        return True
    if kind == "number" and error["type"] == "string_type" and type(given) in (int, float) and (place := _place(root, error)):
        place[0][place[1]] = to_json(given).decode()
        return True
    if not isinstance(given, str | int) or (place := _place(root, error)) is None:
        return False
    holder, key = place
    if kind == "number":
        said = number(given) if error["type"] in _NUMBER_ERRORS and isinstance(given, str) else None
        if said is not None:
            holder[key] = from_json(said.json)
        return said is not None
    if error["type"] not in ("literal_error", "enum"):
        return False
    fitting = []
    for name in sorted(name for name in names if name.casefold() == str(given).strip().casefold()):
        holder[key] = name
        if not _is_wrong(root, error, take):
            fitting.append(name)
    holder[key] = fitting[0] if len(fitting) == 1 else given
    return len(fitting) == 1


def _is_wrong(root: dict[str, JSON], error: ErrorDetails, take: Take) -> bool:
    """Whether this place is still wrong."""
    try:
        take(to_json(root[""]).decode())
    except ValidationError as further:
        return any(one["loc"] == error["loc"] and one["type"] == error["type"] for one in further.errors(include_url=False))
    return False


def _place(root: dict[str, JSON], error: ErrorDetails) -> tuple[Any, Any] | None:
    """What holds the value that is wrong, and under which key. A path also names the branches of unions; they are passed over."""
    holder: Any = root
    key: Any = ""
    for step in error["loc"]:
        inner = holder[key]
        is_step = step in inner if isinstance(inner, dict) else isinstance(inner, list) and isinstance(step, int) and step < len(inner)
        if is_step:
            holder, key = inner, step
    return (holder, key) if holder[key] == error["input"] else None
