"""A model's words become a value of a type, here and at once: no model is asked again, and nothing in the words is run.

Valid JSON of the type is taken as it is. Else the words are searched for what is surely meant, and each repair is named. What would have to
be made up is no value: where the words don't give a field that has to be there, they are malformed.

- A type that is a text takes the words themselves, as they are. Only where they are one JSON string and nothing else, that string is meant.
- A type that is a choice, a truth value or a number takes bare words: `choice` and `number` in `words.py` say which.
- An object or a list is looked for among other words. Models reason first, so of several documents the last that is of the type counts.
- A text that broke off counts as far as it came, and only where the type takes any text. A number or a choice that broke off does not.

Work is bounded: longer words are searched less, and json_repair, which can take long, sees only short and shallow ones.
"""

import json
from functools import lru_cache
from functools import partial as bound
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator
from pydantic_core.core_schema import typed_dict_field, typed_dict_schema

from freehold.errors import DataError
from freehold.pipelines.documents import MOST_CHARS, Found, documents, fenced, outside
from freehold.pipelines.guess import guessed
from freehold.pipelines.mend import PROBE, Mended, Repair, mend
from freehold.pipelines.partial import partial as partial
from freehold.pipelines.right import Take, put_right
from freehold.pipelines.shape import Shape, shape_of
from freehold.pipelines.words import Said, choice, number

T = TypeVar("T")

MOST_SHOWN = 400
"""So much of words that are malformed is kept with the error."""
_MOST_GUESSES = 4
_NUMBERS = frozenset({"integer", "number"})


class Malformed(DataError):
    """Words that give no value of the type that was asked for."""

    def __init__(self, message: str, words: str) -> None:
        super().__init__(message)
        self.words = words[:MOST_SHOWN]
        """How the words begin."""


class Parsed(NamedTuple, Generic[T]):
    """A value that a model's words give."""

    value: T
    """It."""
    repairs: tuple[Repair, ...]
    """What had to be repaired; empty where nothing had."""


def parse(text: str, adapter: TypeAdapter[T], *, wrapped: bool = False) -> Parsed[T]:
    """The value that these words give. `wrapped`: it may stand under `value` in an object, as `schema.wrapped` asks for it.

    Raises Malformed.
    """
    shape = shape_of(adapter)
    if not wrapped and not shape.is_words:
        try:
            return Parsed(adapter.validate_json(text), ())
        except ValidationError:
            pass
    return _Reading(text, adapter, shape, wrapped).read()


@lru_cache(maxsize=512)
def _takes(adapter: TypeAdapter[Any], wrapped: bool, is_exact: bool) -> tuple[Take, ...]:
    """What takes JSON of a type: within `value` where it may be wrapped, and as it is. `is_exact`: no other keys than the type has."""
    plain: Take = bound(adapter.validate_json, extra="forbid") if is_exact else adapter.validate_json
    if not wrapped:
        return (plain,)
    within = SchemaValidator(typed_dict_schema({"value": typed_dict_field(adapter.core_schema)}, extra_behavior="forbid"))

    def unwrapped(text: str) -> Any:
        return within.validate_json(text, extra="forbid" if is_exact else None)["value"]

    return (unwrapped, plain)


class _Reading(Generic[T]):
    """A closer look at words that are not simply JSON of the type."""

    def __init__(self, words: str, adapter: TypeAdapter[T], shape: Shape, wrapped: bool) -> None:
        words = words.encode(errors="replace").decode()  # half of a pair of surrogates is no text
        self._words, self._adapter, self._shape, self._wrapped = words, adapter, shape, wrapped
        self._guesses = _MOST_GUESSES
        self._wrong = ""  # what was wrong with the document that was tried first, which is the last one

    def read(self) -> Parsed[T]:
        """The value. Raises Malformed."""
        shape = self._shape
        if shape.is_words and not self._wrapped:
            found = self._text()
        else:
            found = self._taken(self._words)
            if found is None and (self._wrapped or not shape.kinds.isdisjoint(("object", "array", "any"))):
                found = self._among()
            if found is None:
                found = self._text() if shape.is_words else self._bare()
        if found is None:
            raise self._malformed()
        return found

    def _text(self) -> Parsed[T] | None:
        """A type that is a text: the words, or the one JSON string that they are."""
        bare = self._words.strip()
        if self._wrapped and bare.startswith("{") and bare[1:].lstrip().startswith('"value"'):
            return None
        if len(bare) > 1 and bare[0] == bare[-1] == '"' and (taken := self._taken(bare)):
            return Parsed(taken.value, ("quotes",))
        return self._taken(json.dumps(self._words))

    def _bare(self) -> Parsed[T] | None:
        """A choice, a number, or a text such as a date, in bare words."""
        shape, words = self._shape, self._words
        if shape.kinds <= {"object", "array"}:
            return None
        in_fences = fenced(words)
        for part in [*(in_fences if len(in_fences) == 1 else []), words]:
            options = [Said("null", ("literals",))] if part.strip() == "None" else []
            if said := self._said(part):
                options.append(said)
            options += [Said(json.dumps(part), ()), Said(json.dumps(part.strip()), ())]
            for option in options:
                if taken := self._taken(option.json):
                    return Parsed(taken.value, (*(("fence",) if part is not words else ()), *option.repairs, *taken.repairs))
        return None

    def _said(self, part: str) -> Said | None:
        if self._shape.choices:
            return choice(part, self._shape.choices)
        is_number = self._shape.kinds & _NUMBERS and not self._is_taken(json.dumps(PROBE), is_exact=False)
        return number(part) if is_number else None

    def _among(self) -> Parsed[T] | None:
        """The last document among the words that is of the type."""
        if len(self._words) > MOST_CHARS:
            return self._among_many()
        for one in reversed(documents(self._words)):
            if taken := self._document(one):
                return taken
        return None

    def _among_many(self) -> Parsed[T] | None:
        """Of words that are too many to be looked at one by one: what is valid JSON in fences, or between the first and the last bracket."""
        words = self._words
        begin = min((at for at in (words.find("{"), words.find("[")) if at >= 0), default=0)
        options: list[tuple[str, Repair]] = [(part, "fence") for part in reversed(fenced(words))]
        options.append((words[begin : max(words.rfind("}"), words.rfind("]")) + 1], "prose"))
        for part, repair in options:
            if taken := self._taken(part):
                return Parsed(taken.value, (repair, *taken.repairs))
        return None

    def _document(self, one: Found) -> Parsed[T] | None:
        if one.json is not None:
            taken = self._taken(one.json)
            return taken and Parsed(taken.value, (*outside(self._words, one.begin, one.end), *taken.repairs))
        if one.mended is not None and (taken := self._mended(one.begin, one.mended)):
            return taken
        if one.mended is not None and not one.mended.is_guess:
            return None
        again = mend(self._words, one.begin, len(self._words), self._shape.keys) if self._shape.keys else None
        if isinstance(again, Mended) and (taken := self._mended(one.begin, again)):
            return taken
        return self._guessed(one)

    def _mended(self, begin: int, mended: Mended) -> Parsed[T] | None:
        is_broken_off = mended.probe is not None and not self._is_taken(mended.probe, mended.is_guess)
        for text in mended.texts[1:] if is_broken_off else mended.texts:
            if taken := self._taken(text, mended.is_guess):
                return Parsed(taken.value, (*outside(self._words, begin, mended.end), *mended.repairs, *taken.repairs))
        return None

    def _guessed(self, one: Found) -> Parsed[T] | None:
        """A document as json_repair makes sense of it: up to the last bracket of all, or up to where its own are closed."""
        last = max(self._words.rfind("}"), self._words.rfind("]")) + 1
        for end in dict.fromkeys((last, one.end)):
            self._guesses -= 1
            made = guessed(self._words[one.begin : end]) if self._guesses >= 0 else None
            if made is not None and (taken := self._taken(made, is_exact=True)):
                return Parsed(taken.value, (*outside(self._words, one.begin, end), "syntax", *taken.repairs))
        return None

    def _is_taken(self, text: str, is_exact: bool) -> bool:
        for take in _takes(self._adapter, self._wrapped, is_exact):
            try:
                take(text)
            except ValidationError:
                continue
            return True
        return False

    def _taken(self, text: str, is_exact: bool = False) -> Parsed[T] | None:
        """JSON as a value, and what had to be put right in it."""
        for take in _takes(self._adapter, self._wrapped, is_exact):
            try:
                return Parsed(take(text), ())
            except ValidationError as error:
                first = error.errors(include_url=False, include_context=False, include_input=False)[0]
                if first["type"] == "json_invalid":
                    continue
                self._wrong = self._wrong or f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}".removeprefix(": ")
                if right := put_right(text, take, error, self._shape.names):
                    return Parsed(*right)
        return None

    def _malformed(self) -> Malformed:
        shape, words = self._shape, self._words
        shown = words[:60] + ("…" if len(words) > 60 else "")
        if shape.choices:
            expected = f"one of {', '.join(repr(name) for name in list(shape.choices)[:12])}{', …' if len(shape.choices) > 12 else ''}"
        else:
            expected = f"JSON of the type {self._shape.name} ({' or '.join(sorted(shape.kinds))})"
        wrong = f" What comes nearest is not of the type: {self._wrong}." if self._wrong else ""
        return Malformed(
            f"a model's words give no value: {shown!r}.{wrong} Expected {expected}, alone or among other words. Say the form in the "
            "instruction, or ask for it by schema",
            words,
        )
