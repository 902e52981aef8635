"""What kind of question an input is: a hash of system prompt, tools and form, by which calls without a task are grouped."""

import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b

from freehold.chat import JSON, canonical_json, is_messages, system_text_of, tools_of, words_of

_DIGITS = re.compile(r"\d+")
_MEDIA = ("image", "audio", "video", "file", "document")
_SPACE = re.compile(r"\s+")


def shape_of(asked: JSON) -> str:
    """Ten hex digits that are equal for inputs of one kind.

    Of chat messages: the system's and developer's words with every number read as one (a date in a prompt starts no new kind), the names
    of the tools, the name of the answer's form, and whether there is something other than text. Turns and their words do not count.
    Of any other object: its keys and which of them hold lists or objects. All plain texts are of one kind.
    """
    if isinstance(asked, str):
        return TEXT
    messages = asked.get("messages") if isinstance(asked, dict) else asked
    if isinstance(messages, list) and is_messages(messages):
        around: Mapping[str, JSON] = asked if isinstance(asked, dict) else {}
        tools = tuple(sorted(tools_of(around))) if around else ()
        beside = around.get("system")
        system = beside if isinstance(beside, str) else words_of(messages, of_the_task=True)
        return _of_messages(system, tools, _answer_form(around) if around else None, _media(messages))
    if isinstance(asked, dict):
        return _hash(["object", sorted((str(key), _form(value)) for key, value in asked.items())])
    return _hash([_form(asked)])


def system_of(asked: JSON) -> str:
    """The words that belong to the task: the system's and developer's messages, or a `system` beside them."""
    beside = asked.get("system") if isinstance(asked, dict) else None
    return beside if isinstance(beside, str) else system_text_of(asked)


@lru_cache(maxsize=64)
def _of_messages(system: str, tools: tuple[str, ...], form: tuple[str, str] | None, media: tuple[str, ...]) -> str:
    masked = _SPACE.sub(" ", _DIGITS.sub("0", system)).strip()
    return _hash(["messages", masked, tools, form, media])


def _answer_form(around: Mapping[str, JSON]) -> tuple[str, str] | None:
    asked = around.get("response_format")
    if not isinstance(asked, dict):
        return None
    schema = asked.get("json_schema")
    return str(asked.get("type")), str(schema.get("name")) if isinstance(schema, dict) else ""


def _media(messages: list[JSON]) -> tuple[str, ...]:
    """The kinds of content other than text. A tool's call or result is a turn, not a kind."""
    found = set()
    for message in messages:
        if isinstance(content := message.get("content"), list):
            for part in content:
                kind = str(part.get("type")) if isinstance(part, dict) else ""
                found |= {medium for medium in _MEDIA if medium in kind}
    return tuple(sorted(found)) if found else ()


def _form(value: JSON) -> str:
    return "object" if isinstance(value, dict) else "list" if isinstance(value, list) else "value"


def _hash(parts: list[JSON]) -> str:
    return blake2b(canonical_json(parts), digest_size=5).hexdigest()


TEXT = _hash(["text"])
"""The shape of every plain text, which says nothing of the task."""
