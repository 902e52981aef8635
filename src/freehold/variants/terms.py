"""What a request wants of the form of an answer that is made here: how many, how long, until where, as JSON, as a call of a tool.

What cannot be given is named, so that somebody else can be asked for it, and nothing is dropped in silence. Settings of how a model samples or
thinks, such as a temperature or a seed, have nothing to act on: what answers here always answers the same.
"""

from collections.abc import Mapping

import msgspec

from freehold.chat import CHARS_A_TOKEN, JSON, Choice, Part, Text, ToolCall, is_media, media_part, text_of, tools_of
from freehold.errors import CallerError, DataError
from freehold.variants.outcome import Outcome

MOST_CHOICES = 128
"""As many answers as OpenAI gives to one request."""
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}
_encode = msgspec.json.Encoder().encode


class CannotGive(CallerError):
    """The request wants an answer in a form that this one cannot be given."""


def words_of(output: JSON) -> str:
    """An answer as one text."""
    return output if isinstance(output, str) else _encode(output).decode()


def choices(found: Outcome, asked: Mapping[str, JSON], call: str) -> tuple[Choice, ...]:
    """The answer as the request wants it. `asked`: the request in OpenAI's words, or in Anthropic's where those say more. `call`: its id.

    Raises CannotGive for what cannot be given, and CallerError for a request that is wrong whoever answers; both name the field.
    """
    count = _count(asked, "n") or 1
    if count > MOST_CHOICES:
        raise CallerError(f"n is {count:,}; expected at most {MOST_CHOICES}")
    if asked.get("logprobs"):
        raise CannotGive("logprobs: it has none")
    media = media_in(found.output)
    kinds = asked.get("modalities") or ["text"]
    if kinds != ["text"] and not media:
        raise CannotGive("modalities: it answers in text alone")
    if "audio" not in kinds and any(one["media"] == "audio" for one in media):
        raise CannotGive("modalities: it is a recording")
    size = (
        found.usage.output_tokens
        if found.usage is not None
        else len(text_of(found.output) if media else words_of(found.output)) // CHARS_A_TOKEN
    )
    for name in ("max_completion_tokens", "max_tokens"):
        most = _count(asked, name)
        if most is not None and size > most:
            raise CannotGive(f"{name}: it has about {size:,} tokens, and {most:,} are allowed")
    if media:
        return (_shown(found.output, media, asked),) * count
    return (_called(found.output, asked, call) or _said(words_of(found.output), asked),) * count


def media_in(output: JSON) -> list[dict[str, JSON]]:
    """The images, recordings, films and documents of an answer, as the journal keeps it: alone, in a list, or beside its words."""
    if is_media(output):
        return [output]
    held = output if isinstance(output, list) else output.get("media") if isinstance(output, dict) else None
    return list(held) if isinstance(held, list) and held and all(is_media(one) for one in held) else []


def _shown(output: JSON, media: list[dict[str, JSON]], asked: Mapping[str, JSON]) -> Choice:
    """An answer that is more than words."""
    content = output.get("content") if isinstance(output, dict) and not is_media(output) else None
    said = _said(content if isinstance(content, str) else "", asked)
    try:
        return Choice(parts=(*(part for part in said.parts if part != Text(text="")), *map(media_part, media)), stop=said.stop)
    except DataError as error:
        raise CannotGive(str(error)) from None


def _count(asked: Mapping[str, JSON], name: str) -> int | None:
    value = asked.get(name)
    if value is not None and (type(value) is not int or value < 1):
        raise CallerError(f"{name}: expected a whole number from 1")
    return value


def _called(output: JSON, asked: Mapping[str, JSON], call: str) -> Choice | None:
    """The calls of tools that were recorded as an answer; None for any other answer."""
    wanted = asked.get("tool_choice")
    kind, named = wanted, None
    if isinstance(wanted, dict):
        kind, function = wanted.get("type"), wanted.get("function")
        named = function.get("name") if isinstance(function, dict) else wanted.get("name")
        if not isinstance(named, str | None):
            raise CallerError("tool_choice: a function's name is a text")
    calls = _calls_in(output)
    if calls and (kind == "none" or not asked.get("tools")):
        raise CannotGive(f"{'tool_choice' if kind == 'none' else 'tools'}: it calls '{calls[0]['name']}'")
    if not calls:
        if kind not in (None, "auto", "none"):
            raise CannotGive("tool_choice: it calls no tool")
        if isinstance(asked.get("function_call"), dict):
            raise CannotGive("function_call: it calls no function")
        return None
    may_call = {named} if named else set(tools_of({"tools": asked["tools"]}))
    for one in calls:
        if one["name"] not in may_call:
            raise CannotGive(f"{'tool_choice' if named else 'tools'}: it calls '{one['name']}'")
    content = output.get("content")
    said: list[Part] = [Text(text=content)] if isinstance(content, str) and content else []
    said += [ToolCall(id=f"call_{call}_{n}", name=one["name"], arguments=words_of(one.get("arguments", {}))) for n, one in enumerate(calls)]
    return Choice(parts=tuple(said), finish="tools")


def _calls_in(output: JSON) -> list[dict[str, JSON]]:
    """What an answer calls, where it is kept as the journal keeps calls of tools."""
    calls = output.get("tool_calls") if isinstance(output, dict) and output.keys() <= {"content", "tool_calls"} else None
    is_calls = isinstance(calls, list) and all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in calls)
    return list(calls) if is_calls and calls else []


def _said(words: str, asked: Mapping[str, JSON]) -> Choice:
    """The answer's words, up to where the request says that they stop."""
    stops = [*_stops(asked, "stop"), *_stops(asked, "stop_sequences")]
    at, end = min(((words.find(one), one) for one in stops if one and one in words), default=(None, None))
    words = words[:at]
    _check_form(words, asked)
    return Choice(parts=(Text(text=words),), stop=end)


def _stops(asked: Mapping[str, JSON], name: str) -> list[str]:
    stops = asked.get(name) or []
    stops = [stops] if isinstance(stops, str) else stops
    if not isinstance(stops, list) or not all(isinstance(one, str) for one in stops):
        raise CallerError(f"{name}: expected a text, or a list of texts")
    return stops


def _check_form(words: str, asked: Mapping[str, JSON]) -> None:
    name, form, config = "response_format", asked.get("response_format"), asked.get("output_config")
    if form is None and isinstance(config, dict) and isinstance(said := config.get("format"), dict):  # as Anthropic says it
        name, form = "output_config.format", {"type": said.get("type"), "json_schema": said}
    if not isinstance(form, dict) or (kind := form.get("type")) not in ("json_object", "json_schema"):
        return
    try:
        value = msgspec.json.decode(words)
    except (msgspec.DecodeError, RecursionError):
        raise CannotGive(f"{name}: it is no JSON") from None
    told = form.get("json_schema") if kind == "json_schema" else None
    schema = told.get("schema") if isinstance(told, dict) else {"type": "object"}
    if not fits(value, schema):
        raise CannotGive(f"{name}: it is of another form")


def fits(value: JSON, schema: JSON) -> bool:
    """Whether a value is what a JSON schema describes, as far as `type`, `enum`, `const`, `properties`, `required`, `additionalProperties =
    false` and `items` say. Other words of a schema are not looked at."""
    if not isinstance(schema, dict):
        return schema is not False
    kinds, enum = schema.get("type"), schema.get("enum")
    named = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str) and kind in _TYPES]
    if named and not any(_is_a(value, kind) for kind in named):
        return False
    if isinstance(enum, list) and not any(_is_same(value, one) for one in enum):
        return False
    if "const" in schema and not _is_same(value, schema["const"]):
        return False
    if isinstance(value, list):
        return all(fits(entry, schema.get("items")) for entry in value)
    return not isinstance(value, dict) or _has_properties(value, schema)


def _has_properties(value: dict[str, JSON], schema: dict[str, JSON]) -> bool:
    properties, required = schema.get("properties"), schema.get("required")
    properties = properties if isinstance(properties, dict) else {}
    if schema.get("additionalProperties") is False and not value.keys() <= properties.keys():
        return False
    if isinstance(required, list) and not all(name in value for name in required if isinstance(name, str)):
        return False
    return all(fits(entry, properties.get(name)) for name, entry in value.items())


def _is_same(one: JSON, other: JSON) -> bool:
    """Whether two values are one in JSON, where 1 is 1.0 but not `true`."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(value, other[name]) for name, value in one.items())
    return bool(one == other)


def _is_a(value: JSON, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, float) and value.is_integer())
