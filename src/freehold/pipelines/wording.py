"""Prompts against signatures: whether every name that a template says is one that the task is asked with, and every parameter is said."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args

from jinja2 import TemplateError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import TypeAdapter

from freehold.chat import JSON
from freehold.context.prompt import DEFAULT, Prompt
from freehold.errors import OperatorError, nearest
from freehold.pipelines.finding import Finding, error, warning
from freehold.pipelines.signature import Field, Signature

_ALWAYS = ("input", "instruction", "schema")
_METHODS = ("items", "keys", "values")
_MEDIA = "freehold.context."
"""Types of values that are no text, such as images, are of this stage."""


class Wording(NamedTuple):
    """A template of a task, and where it stands."""

    where: str
    """`file:line` of the task, or which version of its prompt."""
    text: str
    """The template."""


def check_wording(wording: Wording, signature: Signature) -> list[Finding]:
    """What is wrong with a template for a task of this signature."""
    try:
        Prompt(wording.text)
        environment = ImmutableSandboxedEnvironment()
        environment.globals.clear()
        tree = environment.parse(wording.text)
    except (OperatorError, TemplateError) as refused:
        return [error(wording.where, str(refused), "mend the template")]
    fields = {field.name: field for field in signature.fields}
    found = [
        *_unknown_names(tree, wording, fields),
        *_media_in_filters(tree, wording, fields),
        *(error(wording.where, *said) for said in _attributes(tree, {**_shapes(fields), "input": _input_shape(fields)})),
    ]
    return found or list(_unsaid(tree, wording, fields))


def is_medium(annotation: Any) -> bool:
    """Whether a type is, or holds, one of what is no text: `Image`, `list[Image]`, `Image | None`."""
    if args := get_args(annotation):
        return any(is_medium(each) for each in args)
    return isinstance(annotation, type) and any(base.__module__.startswith(_MEDIA) for base in annotation.__mro__)


def _unknown_names(tree: nodes.Template, wording: Wording, fields: Mapping[str, Field]) -> Iterator[Finding]:
    known = {*fields, *_ALWAYS}
    for name in sorted(meta.find_undeclared_variables(tree) - known):
        line = next((node.lineno for node in tree.find_all(nodes.Name) if node.name == name), 1)
        yield error(
            wording.where, f"line {line} of the prompt says '{name}', which the task does not have.{nearest(name, known)}", "mend it"
        )


def _unsaid(tree: nodes.Template, wording: Wording, fields: Mapping[str, Field]) -> Iterator[Finding]:
    blocks = {block.name for block in tree.find_all(nodes.Block)}
    said = meta.find_undeclared_variables(tree)
    if wording.text == DEFAULT or "input" in said or blocks == {"system"}:
        return
    for name in fields:
        if name not in said:
            yield warning(
                wording.where,
                f"the prompt does not say parameter '{name}': whoever is asked never hears of it",
                f"say {{{{ {name} }}}} in it",
            )


def _media_in_filters(tree: nodes.Template, wording: Wording, fields: Mapping[str, Field]) -> Iterator[Finding]:
    media = {name for name, field in fields.items() if is_medium(field.annotation)}
    for filtered in tree.find_all(nodes.Filter):
        if (
            isinstance(filtered.node, nodes.Name)
            and filtered.node.name in media
            and filtered.name not in ("first", "last", "length", "count")
        ):
            name = filtered.node.name
            yield error(
                wording.where,
                f"line {filtered.lineno} of the prompt puts '{name}', which is no text, through the filter '{filtered.name}'",
                f"say {{{{ {name} }}}} alone, where it is to stand",
            )


# The attributes of values, by the JSON schemas of their types.


class _Shape(NamedTuple):
    """What is known of a value: its schema, and the definitions that it refers to."""

    schema: JSON
    defs: JSON

    def at(self, schema: JSON) -> "_Shape | None":
        while isinstance(schema, dict) and "$ref" in schema:
            schema = self.defs.get(schema["$ref"].rpartition("/")[2])
        return _Shape(schema, self.defs) if isinstance(schema, dict) else None

    @property
    def properties(self) -> dict[str, JSON] | None:
        """What an object has; None where that is not known, or it may have anything."""
        found = self.schema.get("properties")
        return found if isinstance(found, dict) and not self.schema.get("additionalProperties") else None


def _shapes(fields: Mapping[str, Field]) -> dict[str, _Shape | None]:
    found: dict[str, _Shape | None] = {}
    for name, field in fields.items():
        schema = {} if is_medium(field.annotation) else TypeAdapter(field.annotation).json_schema(mode="serialization", by_alias=False)
        found[name] = _Shape(schema, schema.get("$defs", {})).at(schema)
    return found


def _input_shape(fields: Mapping[str, Field]) -> _Shape:
    return _Shape({"properties": {name: {} for name in fields}}, {})


def _attributes(node: nodes.Node, names: Mapping[str, _Shape | None]) -> Iterator[tuple[str, str]]:
    """Attributes that no value has, each with what is wrong and what to do."""
    if isinstance(node, nodes.For):
        yield from _attributes(node.iter, names)
        inner = _within_loop(node, names)
        for part in (node.test, *node.body, *node.else_):
            if part is not None:
                yield from _attributes(part, inner)
        return
    if (found := _step(node)) is not None:
        of, name = found
        shape = _shape_of(of, names)
        known = shape.properties if shape is not None else None
        if known is not None and name not in known and name not in _METHODS:
            yield (
                f"line {node.lineno} of the prompt says '{name}', which '{_told(of)}' does not have.{nearest(name, list(known))}",
                "mend it",
            )
    for child in node.iter_child_nodes():
        yield from _attributes(child, names)


def _within_loop(loop: nodes.For, names: Mapping[str, _Shape | None]) -> dict[str, _Shape | None]:
    over = _shape_of(loop.iter, names)
    targets = [loop.target] if isinstance(loop.target, nodes.Name) else list(loop.target.find_all(nodes.Name))
    inner: dict[str, _Shape | None] = {**names, **dict.fromkeys((target.name for target in targets), None)}
    if over is not None and isinstance(loop.target, nodes.Name):
        inner[loop.target.name] = over.at(over.schema.get("items"))
    return inner


def _shape_of(node: nodes.Node, names: Mapping[str, _Shape | None]) -> _Shape | None:
    if isinstance(node, nodes.Name):
        return names.get(node.name)
    if isinstance(node, nodes.Filter) and node.name in ("first", "last") and node.node is not None:
        over = _shape_of(node.node, names)
        return None if over is None else over.at(over.schema.get("items"))
    if (found := _step(node)) is not None:
        shape = _shape_of(found[0], names)
        return None if shape is None or shape.properties is None else shape.at(shape.properties.get(found[1]))
    return None


def _step(node: nodes.Node) -> tuple[nodes.Node, str] | None:
    """Of what an attribute is, and which."""
    if isinstance(node, nodes.Getattr):
        return node.node, node.attr
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        return node.node, node.arg.value
    return None


def _told(node: nodes.Node) -> str:
    if isinstance(node, nodes.Name):
        return str(node.name)
    found = _step(node)
    return f"{_told(found[0])}.{found[1]}" if found is not None else "it"
