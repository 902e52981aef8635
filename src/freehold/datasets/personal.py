"""Personal data in rows: found and replaced by placeholders before anything of a row is written."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from freehold.chat import JSON, is_media
from freehold.datasets.example import Example
from freehold.journal.redact import redact_json, redact_text

Finder: TypeAlias = Callable[[str], str]
"""A text in, the same with placeholders out."""
_NOTHING: Counter[str] = Counter()
_PLACEHOLDER = re.compile(r"\[([A-Z][A-Z_]{1,30})\]")


class Replaced(NamedTuple):
    """A row without personal data, and what of it there was."""

    example: Example
    found: Counter[str]
    """How many of each kind, such as EMAIL."""


def replace_personal(example: Example, finder: Finder | None = None) -> Replaced:
    """The row with placeholders in the texts of question, answers and tags: by the patterns of `journal/redact.py`, and a finder beside
    them where one is given. Names by which the journal connects things, such as item and group, stay."""
    told = (example.input, example.output, example.rejected)
    if finder is None and _has_none([*told, example.tags, dict(example.probabilities)]):
        return Replaced(example, _NOTHING)
    plain = tuple(_replaced(value, finder) for value in told)
    tags = {key: _text(value, finder) for key, value in example.tags.items()} if example.tags else example.tags
    known = example.probabilities if plain[1] == told[1] and all(_text(one, finder) == one for one in example.probabilities) else {}
    if plain == told and tags == example.tags and known == example.probabilities:
        return Replaced(example, _NOTHING)
    found = _placeholders([*plain, *tags.values()]) - _placeholders([*told, *example.tags.values()])
    replaced = msgspec.structs.replace(example, input=plain[0], output=plain[1], rejected=plain[2], tags=tags, probabilities=known)
    return Replaced(replaced, found)


def _has_none(values: list[JSON]) -> bool:
    """Whether the patterns find nothing in any text of some values. All texts are looked at as lines of one: no pattern minds a line's end,
    so that what is in a text is found, and the many short ones of a chat cost little."""
    texts: list[str] = []
    if not _collected(values, texts):
        return False
    joined = "\n".join(texts)
    return redact_text(joined) == joined


def _collected(value: JSON, texts: list[str]) -> bool:
    """Collects the texts and keys of a value; False where it holds media, into which nobody looks."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, list):
        for entry in value:
            if not _collected(entry, texts):
                return False
    elif isinstance(value, dict):
        if "media" in value:
            return False
        texts += value
        for entry in value.values():
            if not _collected(entry, texts):
                return False
    return True


def _replaced(value: JSON, finder: Finder | None) -> JSON:
    plain = redact_json(value)
    return plain if finder is None else _everywhere(plain, finder)


def _text(text: str, finder: Finder | None) -> str:
    plain = redact_text(text)
    return plain if finder is None else finder(plain)


def _everywhere(value: JSON, finder: Finder) -> JSON:
    """A JSON value with a finder's placeholders in its strings."""
    if isinstance(value, str):
        return finder(value)
    if isinstance(value, list):
        return [_everywhere(entry, finder) for entry in value]
    if isinstance(value, dict) and not is_media(value):
        return {key: entry if key == "role" else _everywhere(entry, finder) for key, entry in value.items()}
    return value


def _placeholders(values: list[JSON]) -> Counter[str]:
    return Counter(_PLACEHOLDER.findall(msgspec.json.encode(values).decode()))


def finder_of(name: Literal["patterns", "presidio"]) -> Finder | None:
    """What finds personal data beside the patterns; None for the patterns alone. Raises OperatorError where it is not installed."""
    if name == "patterns":
        return None
    from freehold.datasets.presidio import finder

    return finder()
