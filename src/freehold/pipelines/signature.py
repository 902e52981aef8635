"""The types of a function, read once when it is declared: its input to what a template and the journal keep, its output back from JSON.

pydantic knows the types; this file knows which of them a task may have, and says where a function has others.
"""

import dis
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_type_hints

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError, create_model

from freehold.chat import JSON, Part, Text
from freehold.context.media import Aside, holds_media
from freehold.context.prompt import Said
from freehold.errors import CallerError, DataError
from freehold.gateway.formats import Format
from freehold.pipelines.media import parts_of, shown_of
from freehold.pipelines.parse import Malformed, Parsed, parse
from freehold.pipelines.schema import schema_of, wrapped

_EMPTY_BODY = ("RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "COPY_FREE_VARS", "RETURN_GENERATOR", "POP_TOP")


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
        """Raises Misuse for a function that no task can be made of."""
        self.where = where_of(function)
        """The file and line where it is declared."""
        self.name = function.__name__
        """What it is called."""
        self.doc = inspect.cleandoc(function.__doc__ or "")
        """Its docstring."""
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
        plain = None if self.is_text or self.shown is not None else self._schema()
        self._is_wrapped = plain is not None and wrapped(plain) is not plain
        self._schemas: dict[bool, JSON] = {}
        self._inputs = {field.name: self._adapter(f"parameter '{field.name}'", field.annotation) for field in self.fields}
        self._is_text = {field.name for field in self.fields if field.annotation is str}
        self._may_hold = {name for name, adapter in self._inputs.items() if holds_media(adapter.core_schema)}

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by parameter, with defaults. Raises TypeError as Python does, and CallerError for values of other types."""
        if len(args) == 1 and not kwargs and len(self.fields) == 1:
            values = {self.fields[0].name: args[0]}
        else:
            bound = self.inspected.bind(*args, **kwargs)
            bound.apply_defaults()
            values = bound.arguments
        for name, value in values.items():
            if not (name in self._is_text and type(value) is str):
                values[name] = self._valid(name, value)
        return values

    def _valid(self, name: str, value: Any) -> Any:
        try:
            return self._inputs[name].validate_python(value, strict=True)
        except ValidationError as error:
            raise CallerError(f"Task '{self.name}', {name}: {_first(error)}") from None

    def json_of(self, values: Mapping[str, Any]) -> JSON:
        """The input as the journal keeps it: the one argument of a task that has one, else an object of all."""
        if len(self.fields) == 1:
            name = self.fields[0].name
            value = values[name]
            return value if name in self._is_text else self._inputs[name].dump_python(value, mode="json")
        return {name: self._inputs[name].dump_python(value, mode="json") for name, value in values.items()}

    def read_json(self, input: JSON) -> dict[str, Any]:
        """The arguments of an input as the journal keeps it, or as a row of a file has it. Raises CallerError."""
        given = input if isinstance(input, dict) and (len(self.fields) > 1 or set(input) == {self.fields[0].name}) else None
        if given is None:
            if len(self.fields) > 1:
                raise CallerError(
                    f"Task '{self.name}' takes an object of {', '.join(field.name for field in self.fields)}; got {_short(input)}."
                )
            given = {self.fields[0].name: input}
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
                raise CallerError(f"Task '{self.name}', {field.name}: {_first(error)}") from None
        if unknown := given.keys() - values.keys():
            raise CallerError(f"Task '{self.name}' takes no {', '.join(sorted(unknown))}. It takes: {', '.join(values)}.")
        return values

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
            if with_steps:
                schema = {
                    "type": "object",
                    "properties": {"steps": {"type": "string", "description": "Your reasoning, step by step."}, "answer": schema},
                    "required": ["steps", "answer"],
                    "additionalProperties": False,
                }
            else:
                schema = wrapped(schema)
            self._schemas[with_steps] = schema
        return self._schemas[with_steps]

    def _schema(self) -> JSON:
        try:
            return schema_of(self.output, strict=True)
        except DataError as error:
            raise self.misuse(f"its output is {self.output_name}, which no provider can be told: {error}") from None

    def answered(self, parts: Sequence[Part], with_steps: bool = False) -> Parsed[Any]:
        """The value in an answer. `with_steps`: where steps were asked for. Raises Malformed."""
        if self.shown is not None:
            return Parsed(self.shown.read(parts), ())
        return self.read("".join(part.text for part in parts if isinstance(part, Text)), with_steps)

    def read(self, words: str, with_steps: bool = False) -> Parsed[Any]:
        """The value in the words of an answer. `with_steps`: where steps were asked for. Raises Malformed."""
        if not with_steps:
            return parse(words, self.output, wrapped=self._is_wrapped)
        if self._steps is None:
            self._steps = TypeAdapter(create_model("Steps", steps=(str, ""), answer=(self.annotation, ...)))
        try:
            found = parse(words, self._steps)
        except Malformed:
            return parse(words, self.output, wrapped=self._is_wrapped)
        return Parsed(found.value.answer, found.repairs)

    def output_json(self, value: Any) -> JSON:
        """A value as the journal keeps it."""
        return value if self.is_text else self.output.dump_python(value, mode="json")

    def value_of(self, output: JSON) -> Any:
        """The value of an answer as the journal keeps it, which may be words. Raises Malformed, ValidationError."""
        if self.shown is not None:
            return self.output.validate_python(self.shown.of(output))
        if isinstance(output, str):
            if self.is_text:
                return output
            return self.read(output).value
        return self.output.validate_python(output)

    def misuse(self, why: str) -> Misuse:
        """An error about this function."""
        return Misuse(f"{self.where}: '{self.name}' cannot be used so: {why}.")

    def _hints(self, function: Callable[..., Any]) -> dict[str, Any]:
        try:
            return get_type_hints(function, include_extras=True)
        except NameError as error:
            raise self.misuse(f"{error}. Types have to stand above the function, and in the module, not in another function") from None
        except TypeError as error:
            raise self.misuse(str(error)) from None

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
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            why = str(error).splitlines()[0]
            raise self.misuse(
                f"{what} is {_name(annotation)}, which cannot travel as JSON: {why} Supported are str, numbers, bool, Literal, Enum, dataclasses, "
                "pydantic models, lists and optionals of those, Image, Audio, Video and File"
            ) from None
        return adapter


def where_of(function: Callable[..., Any]) -> str:
    """`file:line` of a function."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else getattr(function, "__module__", "?")


def _is_empty(function: Callable[..., Any]) -> bool:
    """Whether a body is a docstring, `...` or `pass`: whether all it does is to give None."""
    return all(
        (step.opname in _EMPTY_BODY and step.argval in (None, 0, 1, 2, 3)) or step.opname == "RESUME"
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
