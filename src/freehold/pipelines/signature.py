"""The types of a function, read once when it is declared: its input to what a template and the journal keep, its output back from JSON.

pydantic knows the types; this file knows which of them a task may have, and says where a function has others.
"""

import dis
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_type_hints

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError, create_model

from freehold.chat import JSON, Part, Text, is_finite
from freehold.context.media import Aside, holds_media
from freehold.context.prompt import Said
from freehold.errors import CallerError, DataError
from freehold.gateway.formats import Format
from freehold.pipelines.media import parts_of, shown_of
from freehold.pipelines.parse import Malformed, Parsed, parse, partial
from freehold.pipelines.schema import schema_of, wrapped

_STEPS = "Your reasoning, step by step."
_EMPTY_BODY: Mapping[str, tuple[Any, ...] | None] = {
    **dict.fromkeys(("RESUME", "NOP", "COPY_FREE_VARS", "RETURN_GENERATOR", "POP_TOP", "RETURN_VALUE", "RAISE_VARARGS")),
    **dict.fromkeys(("CALL_INTRINSIC_1", "RERAISE")),  # at the end of every coroutine from Python 3.12 on
    **dict.fromkeys(("LOAD_CONST", "RETURN_CONST"), (None,)),
    **dict.fromkeys(("LOAD_GLOBAL", "LOAD_COMMON_CONSTANT"), ("NotImplementedError", NotImplementedError)),
}
"""What a body compiles to that does nothing, and with which values; None for any."""


class Misuse(CallerError):
    """A task, pipeline or variant is declared as it cannot be. Raised when the module is imported; the message says where that is."""


class Field(NamedTuple):
    """One parameter."""

    name: str
    """What it is called."""
    annotation: Any
    """Its type."""
    is_optional: bool
    """Whether it has a default."""


class Signature:
    """What a task takes and gives."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises Misuse for a function of other types."""
        self.where = where_of(function)
        """The file and line where it is declared."""
        self.name = function.__name__
        """What it is called."""
        self.doc = inspect.cleandoc(function.__doc__ or "")
        """Its docstring."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise self.misuse("it gives value after value, and a task gives one. Return a list")
        self.is_async = inspect.iscoroutinefunction(function)
        """Whether its body has to be awaited."""
        self.has_body = not _is_empty(function)
        """Whether there is more of it than a docstring."""
        hints = self._hints(function)
        if "return" not in hints:
            raise self.misuse("it says no output type. Write one, such as -> str")
        self.inspected = inspect.signature(function)
        self.fields = tuple(self._field(parameter, hints) for parameter in self.inspected.parameters.values())
        """Its parameters, in order."""
        if not self.fields:
            raise self.misuse("it has no parameter, so there is nothing to ask about. Give it one, such as text: str")
        self.annotation: Any = hints["return"]
        """The type it gives."""
        self.output: TypeAdapter[Any] = self._adapter("its output", hints["return"])
        """The same, for reading and writing JSON."""
        self.output_name = _name(hints["return"])
        """The same, in words."""
        self.is_text = hints["return"] is str
        """Whether it is a plain text, which needs no form."""
        self.shown = shown_of(hints["return"])
        """What it is where it is no text and no JSON, but an image, a recording, a film or a document."""
        self._steps: TypeAdapter[Any] | None = None
        self._schemas: dict[bool, JSON] = {}
        self.is_strict = True
        """Whether `schema` is one that providers can hold an answer to, to the letter."""
        plain = None if self.is_text or self.shown is not None else self._schema()
        self._has_numbers = plain is not None and '"number"' in json.dumps(plain)
        self._is_wrapped = plain is not None and wrapped(plain) is not plain
        self._inputs = {field.name: self._adapter(f"parameter '{field.name}'", field.annotation) for field in self.fields}
        self._is_text = {field.name for field in self.fields if field.annotation is str}
        self._may_hold = {name for name, adapter in self._inputs.items() if holds_media(adapter.core_schema)}
        first = next(iter(self.inspected.parameters.values()))
        self._takes_one = len(self.fields) == 1 and first.kind is not first.KEYWORD_ONLY
        self._check_defaults()

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by parameter, with defaults. Raises TypeError as Python does, and CallerError for values of other types."""
        if len(args) == 1 and not kwargs and self._takes_one:
            values = {self.fields[0].name: args[0]}
        else:
            bound = self.inspected.bind(*args, **kwargs)
            bound.apply_defaults()
            values = bound.arguments
        for name, value in values.items():
            if not (name in self._is_text and type(value) is str):
                values[name] = self._valid(name, value)
        return values

    def why_not(self, name: str, value: Any) -> str | None:
        """Why a value cannot be an argument; None where it can."""
        try:
            self._inputs[name].validate_python(value, strict=True)
        except ValidationError as error:
            return _first(error)
        return None

    def _valid(self, name: str, value: Any) -> Any:
        try:
            return self._inputs[name].validate_python(value, strict=True)
        except ValidationError as error:
            raise CallerError(f"Task '{self.name}', {name}: {_first(error)}") from None

    def json_of(self, values: Mapping[str, Any]) -> JSON:
        """The input as the journal keeps it: the one argument of a task that has one, else an object of all."""
        if len(self.fields) == 1:
            name = self.fields[0].name
            return self.input_json(name, values[name])
        return {name: self.input_json(name, value) for name, value in values.items()}

    def input_json(self, name: str, value: Any) -> JSON:
        """One argument as JSON."""
        return value if name in self._is_text else self._inputs[name].dump_python(value, mode="json")

    def read_json(self, input: JSON) -> dict[str, Any]:
        """The arguments of an input as the journal keeps it, or as a row of a file has it. Raises CallerError."""
        given = {self.fields[0].name: input} if len(self.fields) == 1 and not self._is_named(input) else input
        if not isinstance(given, dict):
            raise CallerError(
                f"Task '{self.name}' takes an object of {', '.join(field.name for field in self.fields)}; got {_short(given)}."
            )
        values: dict[str, Any] = {}
        for field in self.fields:
            if field.name not in given:
                if not field.is_optional:
                    raise CallerError(f"Task '{self.name}' needs {field.name}, and it is not given. It has: {', '.join(given)}.")
                values[field.name] = self.inspected.parameters[field.name].default
                continue
            try:
                values[field.name] = self._inputs[field.name].validate_python(given[field.name])
            except ValidationError as error:
                if isinstance(input, dict) and given is not input and field.name in self._is_text:
                    why = f"needs {field.name}, and got an object without it. It has: {', '.join(input)[:200]}."
                    raise CallerError(f"Task '{self.name}' {why}") from None
                raise CallerError(f"Task '{self.name}', {field.name}: {_first(error)}") from None
        if unknown := given.keys() - values.keys():
            raise CallerError(f"Task '{self.name}' takes no {', '.join(sorted(unknown))}. It takes: {', '.join(values)}.")
        return values

    def _is_named(self, input: JSON) -> bool:
        """Whether an input is the one argument under its name, and not the argument itself, which may have a key of that name."""
        name = self.fields[0].name
        if not isinstance(input, dict) or set(input) != {name}:
            return False
        return self._is_value(name, input[name]) or not self._is_value(name, input)

    def _is_value(self, name: str, value: JSON) -> bool:
        try:
            self._inputs[name].validate_python(value)
        except ValidationError:
            return False
        return True

    def said(self, values: Mapping[str, Any], format: Format) -> dict[str, Said]:
        """The arguments as a template is given them: what is no text as parts of a message in that format. Raises CallerError where it has no
        place for them."""
        return {name: value if name in self._is_text else self._said(name, value, format) for name, value in values.items()}

    def _said(self, name: str, value: Any, format: Format) -> Said:
        if name not in self._may_hold:
            return self._inputs[name].dump_python(value, mode="json")
        aside = Aside()
        written = self._inputs[name].dump_python(value, mode="json", context=aside)
        return aside.back(written, lambda medium, about: parts_of(medium, about, format)) if aside.held else written

    def media(self, values: Mapping[str, Any]) -> Aside:
        """The images, recordings, films and documents among the arguments."""
        aside = Aside()
        for name in self._may_hold:
            self._inputs[name].dump_python(values[name], mode="json", context=aside)
        return aside

    # The output.

    def schema(self, with_steps: bool = False) -> JSON:
        """The JSON schema of an answer, as a provider is given it. `with_steps`: where steps come before it."""
        if with_steps not in self._schemas:
            schema = self._schema()
            self._schemas[with_steps] = _after_steps(schema) if with_steps else wrapped(schema)
        return self._schemas[with_steps]

    def _schema(self) -> dict[str, Any]:
        try:
            return schema_of(self.output, strict=True)
        except DataError:  # such as one with keys of any name
            self.is_strict = False
            return schema_of(self.output, strict=False)

    def answered(self, parts: Sequence[Part], with_steps: bool = False) -> Parsed[Any]:
        """The value in an answer. `with_steps`: where steps were asked for. Raises Malformed."""
        if self.shown is not None:
            return Parsed(self.shown.read(parts), ())
        return self.read("".join(part.text for part in parts if isinstance(part, Text)), with_steps)

    def read(self, words: str, with_steps: bool = False) -> Parsed[Any]:
        """The value in the words of an answer. `with_steps`: where steps were asked for. Raises Malformed."""
        if with_steps:
            try:
                found = parse(words, self._with_steps())
            except Malformed:
                pass  # it went without them
            else:
                return self._finite(Parsed(found.value.answer, found.repairs), words)
        return self._finite(parse(words, self.output, wrapped=self._is_wrapped), words)

    def _finite(self, found: Parsed[Any], words: str) -> Parsed[Any]:
        if self._has_numbers and not is_finite(self.output_json(found.value)):
            raise Malformed(
                f"the answer holds a number that is not finite, which JSON does not have: {words[:60]!r}. Expected a number", words
            )
        return found

    def partial(self, words: str, with_steps: bool = False) -> Any:
        """What there is of the value in the words that have come so far; None for nothing yet."""
        if not with_steps:
            return partial(words, self.output, wrapped=self._is_wrapped)
        found = partial(words, self._with_steps())
        return None if found is None else found.answer

    def _with_steps(self) -> TypeAdapter[Any]:
        if self._steps is None:
            self._steps = TypeAdapter(create_model("Steps", steps=(str, ""), answer=(self.annotation, ...)))
        return self._steps

    def output_json(self, value: Any) -> JSON:
        """A value as the journal keeps it."""
        return value if self.is_text else self.output.dump_python(value, mode="json")

    def value_of(self, output: JSON) -> Any:
        """The value of an answer as the journal keeps it, which may be words. Raises Malformed, ValidationError."""
        if self.shown is not None:
            return self.output.validate_python(self.shown.of(output))
        if self.is_text and isinstance(output, str):
            return output
        try:
            return self.output.validate_python(output)
        except ValidationError:
            if isinstance(output, str):
                return self.read(output).value
            raise

    def misuse(self, why: str) -> Misuse:
        """An error about this function."""
        return Misuse(f"{self.where}: '{self.name}' cannot be used so: {why}.")

    def _hints(self, function: Callable[..., Any]) -> dict[str, Any]:
        try:
            return get_type_hints(function, include_extras=True)
        except NameError as error:
            raise self.misuse(f"{error}. Types have to stand above the function, and in the module, not in another function") from None
        except Exception as error:  # noqa: BLE001 whatever an annotation that is written as text raises when it is evaluated
            raise self.misuse(f"its types cannot be read: {type(error).__name__}: {error}") from None

    def _check_defaults(self) -> None:
        for field in self.fields:
            if field.is_optional:
                default = self.inspected.parameters[field.name].default
                try:
                    self._inputs[field.name].validate_python(default, strict=True)
                except ValidationError as error:
                    raise self.misuse(f"the default of '{field.name}' is none of its type: {_first(error)}") from None

    def _field(self, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Field:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise self.misuse(f"*{parameter.name} stands for any number of parameters. Name each")
        if parameter.name not in hints:
            raise self.misuse(f"parameter '{parameter.name}' has no type. Write one, such as {parameter.name}: str")
        return Field(parameter.name, hints[parameter.name], parameter.default is not parameter.empty)

    def _adapter(self, what: str, annotation: Any) -> TypeAdapter[Any]:
        if annotation in (Any, object, None, type(None)):
            raise self.misuse(f"{what} is {_name(annotation)}, which says nothing. Name a type")
        try:
            adapter = TypeAdapter(annotation)
            adapter.json_schema(mode="serialization")
            if adapter.core_schema["type"] == "generator":
                raise self.misuse(f"{what} is {_name(annotation)}, whose values are gone once they were looked at. Use a list")
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            why = str(error).splitlines()[0]
            raise self.misuse(
                f"{what} is {_name(annotation)}, which cannot travel as JSON: {why} Supported are str, numbers, bool, Literal, Enum, dataclasses, "
                "pydantic models, lists and optionals of those, Image, Audio, Video and File"
            ) from None
        return adapter


def _after_steps(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value with the steps that led to it. What it refers to stays outermost, where references look for it."""
    inner = {name: value for name, value in schema.items() if name != "$defs"}
    outer = {
        "type": "object",
        "properties": {"steps": {"type": "string", "description": _STEPS}, "answer": inner},
        "required": ["steps", "answer"],
        "additionalProperties": False,
    }
    return {**outer, "$defs": schema["$defs"]} if "$defs" in schema else outer


def where_of(function: Callable[..., Any]) -> str:
    """`file:line` of a function."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else getattr(function, "__module__", "?")


def _is_empty(function: Callable[..., Any]) -> bool:
    """Whether a body is a docstring, `...`, `pass` or `raise NotImplementedError`: whether it has no answer for anything."""
    return all(
        step.opname in _EMPTY_BODY and ((values := _EMPTY_BODY[step.opname]) is None or step.argval in values)
        for step in dis.get_instructions(function)
    )


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)


def _short(value: JSON) -> str:
    words = repr(value)
    return words if len(words) <= 80 else words[:77] + "…"


def _first(error: ValidationError) -> str:
    """What is wrong first, in a line."""
    found = error.errors(include_url=False, include_context=False)[0]
    at = ".".join(map(str, found["loc"]))
    return f"{f'{at}: ' if at else ''}{found['msg']}; got {_short(found['input'])}"
