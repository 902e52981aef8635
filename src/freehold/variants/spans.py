"""Spans of a text and the answers that are made of them, either way: what a task answers is read as spans, and spans are put together as it answers."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from freehold.chat import JSON

Kind: TypeAlias = Literal["text", "number", "list"]
"""Of a field: the words themselves, the number they say, or several stretches of text."""
_KEYS = ("start", "end", "label", "text")
_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905 a list as people count


class Span(NamedTuple):
    """A stretch of a text."""

    start: int
    """Its first character."""
    end: int
    """The one behind its last."""
    label: str
    """What it is."""


class Field(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of an object."""

    kind: Kind
    """What stands in it."""
    is_null: bool
    """Whether it is null where the text says nothing of it; else it is left out."""


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a task writes its spans."""

    keys: tuple[str, ...] = ()
    """Of a list's objects: which of start, end, label and text they have, in order. Nothing for an object."""
    fields: dict[str, Field] = {}
    """Of an object: its fields. Nothing for a list."""

    def assemble(self, text: str, spans: Sequence[Span]) -> JSON:
        """The answer that says these spans, those that stand first first. A field that holds one value has that of its first span."""
        spans = sorted(spans)
        if self.keys:
            return [_written(text, span, self.keys) for span in spans]
        found: dict[str, JSON] = {}
        for name, field in self.fields.items():
            said = [_value(text[span.start : span.end], field.kind) for span in spans if span.label == name]
            known = [value for value in said if value is not None]
            if field.kind == "list":
                found[name] = known
            elif known:
                found[name] = known[0]
            elif field.is_null:
                found[name] = None
        return found

    def spans(self, text: str, answer: JSON) -> list[Span] | None:
        """The spans that an answer says of a text, none overlapping another; None where one of its values is not in the text."""
        wanted = _of_list(answer) if self.keys else _of_object(answer)
        if wanted is None:
            return None
        taken: list[Span] = []
        for label, value, place in wanted:
            found = Span(*place, label) if place is not None else _found(text, label, value, taken)
            if found is None or not 0 <= found.start < found.end <= len(text) or any(_meet(found, other) for other in taken):
                return None
            taken.append(found)
        return sorted(taken)


def form_of(answers: Sequence[JSON]) -> Form | None:
    """How these answers write spans; None where they are something else."""
    if answers and all(isinstance(answer, list) for answer in answers):
        inner = [one for answer in answers if isinstance(answer, list) for one in answer]
        if not inner or not all(isinstance(one, dict) for one in inner):
            return None
        keys = tuple(inner[0]) if isinstance(inner[0], dict) else ()
        alike = all(isinstance(one, dict) and set(one) == set(keys) for one in inner)
        known = set(keys) <= set(_KEYS) and ({"start", "end", "label"} <= set(keys) or {"text", "label"} <= set(keys))
        return Form(keys=keys) if alike and known else None
    objects = [answer for answer in answers if isinstance(answer, dict)]
    if not objects or len(objects) < len(answers):
        return None
    fields = {
        name: _field([one[name] for one in objects if name in one]) for name in dict.fromkeys(name for one in objects for name in one)
    }
    known_fields = {name: field for name, field in fields.items() if field is not None}
    return Form(fields=known_fields) if known_fields and len(known_fields) == len(fields) else None


def share_found(form: Form, texts: Sequence[str], answers: Sequence[JSON]) -> float:
    """The share of answers that say something, all of which stands in the text."""
    some = [(text, answer) for text, answer in zip(texts, answers, strict=True) if _says_something(answer)]
    return sum(form.spans(text, answer) is not None for text, answer in some) / len(some) if some else 0.0


def _says_something(answer: JSON) -> bool:
    return (
        bool(answer) if isinstance(answer, list) else isinstance(answer, dict) and any(value not in (None, []) for value in answer.values())
    )


def _field(values: Sequence[JSON]) -> Field | None:
    is_null = any(value is None for value in values)
    said = [value for value in values if value is not None]
    kinds: tuple[tuple[Kind, bool], ...] = (
        ("list", all(isinstance(value, list) and all(isinstance(one, str) for one in value) for value in said)),
        ("text", all(isinstance(value, str) for value in said)),
        ("number", all(type(value) in (int, float) for value in said)),
    )
    return next((Field(kind, is_null) for kind, is_it in kinds if is_it and said), None)


Wanted: TypeAlias = list[tuple[str, "str | int | float", tuple[int, int] | None]]


def _of_list(answer: JSON) -> Wanted | None:
    """What a list says: labels, texts and places."""
    wanted: Wanted = []
    for one in answer if isinstance(answer, list) else [None]:
        if not isinstance(one, dict) or not isinstance(label := one.get("label"), str):
            return None
        start, end, text = one.get("start"), one.get("end"), one.get("text")
        if type(start) is int and type(end) is int:
            wanted.append((label, "", (start, end)))
        elif isinstance(text, str):
            wanted.append((label, text, None))
        else:
            return None
    return wanted


def _of_object(answer: JSON) -> Wanted | None:
    """What an object says: its fields, and their values; those that say most are placed first."""
    if not isinstance(answer, dict):
        return None
    wanted: Wanted = []
    for name, value in answer.items():
        for one in value if isinstance(value, list) else [value]:
            if one is None:
                continue
            if isinstance(one, bool) or not isinstance(one, str | int | float):
                return None
            wanted.append((name, one, None))
    return sorted(wanted, key=lambda one: -len(str(one[1])))


def _found(text: str, label: str, value: "str | int | float", taken: Sequence[Span]) -> Span | None:
    """The first place of a value that nothing has taken: as whole words, by its letters, whatever their case."""
    for said in _sayings(value):
        for place in re.finditer(rf"(?<!\w){re.escape(said)}(?!\w)", text, re.IGNORECASE):
            span = Span(*place.span(), label)
            if span.start < span.end and not any(_meet(span, other) for other in taken):
                return span
    return None


def _sayings(value: "str | int | float") -> list[str]:
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    words = [_NUMBERS[int(value)]] if value in range(len(_NUMBERS)) else []
    return [f"{value:g}" if isinstance(value, float) else str(value), *words]


def _value(words: str, kind: Kind) -> JSON:
    if kind != "number":
        return words
    plain = words.strip().lower().replace(",", "")
    if plain in _NUMBERS:
        return _NUMBERS.index(plain)
    try:
        return int(plain)
    except ValueError:
        try:
            return float(plain) if re.fullmatch(r"[+-]?[\d.]+", plain) else None
        except ValueError:
            return None


def _written(text: str, span: Span, keys: Sequence[str]) -> dict[str, JSON]:
    whole: dict[str, JSON] = {"start": span.start, "end": span.end, "label": span.label, "text": text[span.start : span.end]}
    return {key: whole[key] for key in keys}


def _meet(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end
