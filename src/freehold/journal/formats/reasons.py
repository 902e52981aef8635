"""Why a line is not a record: what stood there, what was expected, and what to do, in words for the person who made the log."""

import json
import re
from typing import get_args

import msgspec

from freehold.chat import Modality, Usage
from freehold.errors import nearest
from freehold.journal.formats.record import COLUMNS, TOO_DEEP

_TYPES = {
    "str": "text",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
    "datetime": "a time as in RFC 3339, such as 2026-01-31T09:00:00Z",
}
_MISMATCH = re.compile(r"^Expected `([^`]+)`, got `([^`]+)`(?: - at `\$\.?([^`]*)`)?$")
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*?)`(?: - at `\$\.?([^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `([^`]+)`(?: - at `\$\.?([^`]*)`)?$")
_NOT_AMONG = re.compile(r"^Invalid enum value '(.*)' - at `key` in `\$\.?([^`]*)`$", re.DOTALL)
_PLACE = re.compile(r"^(.*) - at `\$\.?([^`]*)`$", re.DOTALL)
_USAGE_OF_OTHERS = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"}
)


def undecodable(raw: bytes, error: Exception) -> str:
    """The reason a line of JSON could not be decoded into a record."""
    if isinstance(error, RecursionError):
        return TOO_DEEP
    if isinstance(error, msgspec.ValidationError):
        return invalid(str(error))
    return _not_utf8(raw) or _not_json(raw)


def invalid(message: str) -> str:
    """The reason that msgspec's message about a well-formed value means."""
    if found := _UNKNOWN.match(message):
        return _unknown_key(found[1], found[2] or "")
    if found := _MISSING.match(message):
        place = f"{found[2]} has" if found[2] else "the record has"
        return f"{place} no '{found[1]}'; every record needs item, input and variant"
    if found := _MISMATCH.match(message):
        expected = " or ".join(_TYPES.get(kind, kind) for kind in found[1].split(" | "))
        return f"{_readable(found[3] or '') or 'the record'} is {_TYPES.get(found[2], found[2])}; expected {expected}"
    if found := _NOT_AMONG.match(message):
        return f"{found[2]} has '{found[1][:80]}'; expected one of {', '.join(get_args(Modality))}"
    if not (found := _PLACE.match(message)):
        return message
    what, place = found[1], _readable(found[2])
    if "RFC3339" in what or "timezone" in what:
        return f"{place} is not a time with its zone as in RFC 3339; expected one such as 2026-01-31T09:00:00Z"
    if "of length >=" in what:
        return f"{place} is empty; expected a name, or null where there is none"
    if "of length <=" in what:
        return f"{place} is longer than {what.rsplit(' ', 1)[-1]} characters; it is a name, so shorten or hash it"
    if "out of range" in what:
        return f"{place} is a number too large to be stored; expected a finite number"
    return f"{place}: {what}" if place != "usage" else what


def unknown_column(name: str, among: tuple[str, ...] = COLUMNS) -> str:
    """The reason a key or column that no record has is refused."""
    return f"there is no column '{name[:80]}' in a record.{nearest(name[:80], among)} What is your own goes under tags"


def _unknown_key(name: str, place: str) -> str:
    if place.startswith("usage"):
        if name in _USAGE_OF_OTHERS:
            return (
                f"usage has '{name}', a provider's own field; expected input_tokens (total), cached_read, cached_write, output_tokens, "
                "reasoning_tokens. Logs of whole chat-completion bodies are read by --format openai"
            )
        return f"usage has no '{name[:80]}'.{nearest(name[:80], Usage.__struct_fields__)}"
    return unknown_column(name)


def _readable(place: str) -> str:
    return place.replace("[...]", " (an entry)").replace("[0]", " (an entry)").strip()


def _not_utf8(raw: bytes) -> str:
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return (
            f"byte {error.start + 1} of the line (0x{raw[error.start]:02x}) is not UTF-8. Save the log as UTF-8, such as by "
            "'iconv -f latin1 -t utf-8'"
        )
    return ""


class _NotANumber(ValueError):
    pass


def _refuse_constant(name: str) -> None:
    raise _NotANumber(name)


def _not_json(raw: bytes) -> str:
    """Asks the standard library, which says more about where, and takes NaN and half surrogates, which we have to name."""
    try:
        json.loads(raw, parse_constant=_refuse_constant)
    except _NotANumber as error:
        return f"the line holds {error}, which JSON does not have; write null where a number is not known"
    except json.JSONDecodeError as error:
        return f"the line is not JSON: {error.msg} (column {error.colno}). Expected one JSON object"
    except RecursionError:
        return TOO_DEEP
    except ValueError as error:
        return f"the line is not JSON: {error}"
    if re.search(rb"\\u[dD][89a-fA-F]", raw):
        return (
            "the line holds half of a character: a \\ud8xx escape without its other half, left by a cut through an emoji. Remove the escape"
        )
    return "the line is not JSON as RFC 8259 has it. Expected one JSON object"
