"""What a task says to a model: a template that turns typed input into messages, known by the hash of its text.

A template has two blocks, `system` and `user`; examples go between them as turns of their own. It is Jinja's, sandboxed, and of Jinja only what
cannot run away: no macros, no assignments, no arithmetic that multiplies. What users say is a value in it and is never read as a template.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import count
from typing import NamedTuple, TypeAlias

import msgspec
from jinja2 import StrictUndefined, Template, TemplateError, Undefined, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from freehold.chat import JSON, Message, Part, Role, Text
from freehold.errors import CallerError, OperatorError

SYSTEM = """\
{% block system %}{{ instruction }}{% if schema %}

Answer with JSON alone, without a word before or after it, that fits this schema:
{{ schema }}{% endif %}{% endblock %}
"""
USER = """\
{% block user %}{% if input | length == 1 %}{{ input.values() | first }}{% else %}{% for name, value in input.items() -%}
{{ name }}: {{ value }}
{% endfor %}{% endif %}{% endblock %}
"""
DEFAULT = SYSTEM + USER
"""What is said where nobody wrote a template."""
MOST_CHARS = 4 * 2**20
"""The most characters that a block may come to."""
_MOST_TEMPLATE_CHARS = 2**18
_MOST_LOOPS = 2
"""Of loops within loops: with more, a short template over a long list would never end."""
_MOST_STEPS = 100_000
"""Of all loops of a block together."""
_MOST_JOINS = 64
"""Of `~` and `+`: each may double what is said."""
_HASH_BYTES = 8

Said: TypeAlias = JSON | tuple[Part, ...]
"""A value of a task's input: JSON, or the parts of what is no text, such as an image."""

_BLOCKS = ("system", "user")
_METHODS = ("items", "keys", "values")
_FILTERS = frozenset(
    {"upper", "lower", "title", "capitalize", "trim", "length", "count", "join", "first", "last", "default", "d", "tojson", "list", "sort",
     "unique", "round", "int", "float", "string", "abs", "items", "dictsort", "sum", "min", "max", "truncate", "wordcount", "reverse"}
)  # fmt: skip
_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.If, nodes.For,
    nodes.Block, nodes.Filter, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Concat,
    nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword, nodes.Call, nodes.Add, nodes.Sub, nodes.Neg,
)  # fmt: skip
"""What a template may be made of."""
_STEPS = "_steps"
_MOST_DIGITS = 15


class Example(NamedTuple):
    """An answered question, shown before the one that is asked."""

    input: Mapping[str, Said]
    """As a task's input."""
    answer: str
    """The answer, in the words in which one is wanted."""


class Filling(NamedTuple):
    """Everything a template may say."""

    instruction: str
    """What the task asks, in words."""
    input: Mapping[str, Said]
    """The values, by the names of their parameters."""
    schema: str = ""
    """What the answer has to look like, where that is to be said in words; empty where it is not."""
    examples: Sequence[Example] = ()
    """Shown before the question."""


class Prompt:
    """A template that is ready to be filled in."""

    def __init__(self, text: str) -> None:
        """Raises OperatorError for what is no template, or one that might run away, with the line."""
        self.text = text
        """The template."""
        self.hash = hash_of(text)
        """What names it."""
        self._blocks = _compile(text)
        self._is_usual = {name: block[0] is _USUAL for name, block in self._blocks.items()}
        self._system: tuple[tuple[str, str], tuple[Part, ...]] = ("", ""), ()
        """The last system block, and the instruction and the schema that it says, where that is all it says."""

    def messages(self, filling: Filling) -> tuple[Message, ...]:
        """What is said. Raises CallerError where the template cannot be filled in."""
        said: list[tuple[Role, tuple[Part, ...]]] = [("system", self._said_by_system(filling))]
        for example in filling.examples:
            said.append(("user", self._said("user", filling, example.input)))
            said.append(("assistant", (Text(text=example.answer),)))
        said.append(("user", self._said("user", filling, filling.input)))
        return tuple([Message(role=role, parts=parts) for role, parts in said if parts or role != "system"])

    def _said_by_system(self, filling: Filling) -> tuple[Part, ...]:
        if not self._is_usual["system"]:
            return self._said("system", filling, filling.input)
        about = filling.instruction, filling.schema
        if self._system[0] != about:
            self._system = about, self._said("system", filling, {})
        return self._system[1]

    def _said(self, block: str, filling: Filling, input: Mapping[str, Said]) -> tuple[Part, ...]:
        if block == "user" and len(input) == 1 and self._is_usual["user"] and isinstance(words := next(iter(input.values())), str):
            words = words.strip("\n")
            return (Text(text=words),) if words else ()  # as nearly always
        media = _Media()
        marked = {name: media.marked(value) for name, value in input.items()}
        words = {**marked, "input": marked, "instruction": filling.instruction, "schema": filling.schema}
        template, render = self._blocks[block]
        try:
            text = _joined(render(template.new_context({**words, _STEPS: count(1)})))
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            known = ", ".join(sorted(words))
            raise CallerError(f"Prompt {self.hash}: block '{block}' cannot be filled in: {error}. There is: {known}.") from None
        return media.parts(text.strip("\n"))


def hash_of(text: str) -> str:
    """The name of a template: 16 hex digits of the hash of its text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES).hexdigest()


class _Mark(str):
    """What stands in a text where something that is no text is to be."""

    __slots__ = ()


def _plain(value: object) -> str:
    """What stands in JSON for what is none."""
    if type(value) is _Mark:
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


_encode = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain).encode


class _Media:
    """The values of a template that are no text: each leaves a mark, drawn for this one message, which no words can forge."""

    def __init__(self) -> None:
        self._mark = ""
        self._found: list[tuple[Part, ...]] = []

    def marked(self, value: Said) -> JSON:
        """A value as a template is given it."""
        if isinstance(value, tuple):
            self._mark = self._mark or secrets.token_hex(12)
            self._found.append(value)
            return _Mark(f"{self._mark}:{len(self._found) - 1};")
        if isinstance(value, list):
            return [self.marked(entry) for entry in value]
        if isinstance(value, dict):
            return {name: self.marked(entry) for name, entry in value.items()}
        return value

    def parts(self, text: str) -> tuple[Part, ...]:
        """A text with what the marks in it stand for."""
        if not self._found:
            return (Text(text=text),) if text else ()
        parts: list[Part] = []
        for n, piece in enumerate(re.split(f'"?{self._mark}:(\\d+);"?', text)):  # without the quotes that JSON puts around
            if n % 2:
                parts += self._found[int(piece)]
            elif piece.strip():
                parts.append(Text(text=piece.strip("\n")))
        return tuple(parts)


def _joined(pieces: Iterable[str], between: str = "") -> str:
    """Raises ValueError before it comes to too much."""
    said: list[str] = []
    chars = 0
    for piece in pieces:
        said.append(piece)
        chars += len(piece) + len(between)
        if chars > MOST_CHARS:
            raise ValueError(f"it comes to more than {MOST_CHARS:,} characters")
    return between.join(said)


# The language of a template.


def _written(value: object) -> object:
    """A value as it stands in a text."""
    if isinstance(value, str | Undefined):  # of an undefined one the environment says so itself
        return value
    if isinstance(value, list) and value and all(type(entry) is _Mark for entry in value):
        return "".join(value)  # one medium after the other
    return _encode(value).decode()


def _environment() -> ImmutableSandboxedEnvironment:
    env = ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=_written, keep_trailing_newline=False, autoescape=False)
    env.globals.clear()
    env.filters = {name: filter for name, filter in env.filters.items() if name in _FILTERS}
    env.filters |= {"tojson": lambda value: _encode(value).decode(), "join": _join, "round": _round, _STEPS: _counted}
    return env


# Jinja's own would take forever, or all memory, for what a short template can ask of them.


def _join(values: Iterable[object], between: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        values = [_ENVIRONMENT.getitem(value, attribute) for value in values]
    return _joined(map(str, map(_written, values)), between)


def _round(value: float, precision: int = 0) -> float:
    return round(value, max(-_MOST_DIGITS, min(precision, _MOST_DIGITS)))


@pass_context
def _counted(context: Context, values: Iterable[object]) -> Iterator[object]:
    """What a loop goes through."""
    taken: Iterator[int] = context[_STEPS]
    for value in values:
        if next(taken) > _MOST_STEPS:
            raise ValueError(f"its loops take more than {_MOST_STEPS:,} steps")
        yield value


_ENVIRONMENT = _environment()


def _compile(text: str) -> dict[str, tuple[Template, Callable[[Context], Iterator[str]]]]:
    if len(text) > _MOST_TEMPLATE_CHARS:
        raise OperatorError(f"A prompt's template has {len(text):,} characters; expected at most {_MOST_TEMPLATE_CHARS:,}.")
    try:
        tree = _ENVIRONMENT.parse(text)
        if tree.find(nodes.Block) is None:
            tree = _ENVIRONMENT.parse(f"{{% block user %}}{text}{{% endblock %}}")
        _check(tree)
        template = _USUAL if text == DEFAULT else _compiled(tree)
    except (TemplateError, SyntaxError, RecursionError, MemoryError) as error:  # the last three of what is nested too deep for Python
        line = getattr(error, "lineno", None) if isinstance(error, TemplateError) else None
        raise OperatorError(f"A prompt's template cannot be read{f', line {line}' if line else ''}: {error}.") from None
    return {name: (found, found.blocks[name]) for name in _BLOCKS for found in [template if name in template.blocks else _USUAL]}


def _compiled(tree: nodes.Template) -> Template:
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, _STEPS, [], [], None, None, lineno=loop.lineno)
    return _ENVIRONMENT.from_string(tree)


_USUAL = _compiled(_ENVIRONMENT.parse(DEFAULT))


def _check(tree: nodes.Template) -> None:
    """Refuses what is beyond the language, with the line."""
    for node in tree.body:
        if isinstance(node, nodes.Output):
            for piece in node.nodes:
                if not isinstance(piece, nodes.TemplateData) or piece.data.strip():
                    raise _refused(piece, "something stands in no block. Put it between {% block user %} and {% endblock %}")
    joins = 0
    for node in _all(tree, 0):
        joins += len(node.nodes) if isinstance(node, nodes.Concat) else isinstance(node, nodes.Add)
        if joins > _MOST_JOINS:
            raise _refused(node, f"there are more than {_MOST_JOINS} of ~ and +")
        name = node.attr if isinstance(node, nodes.Getattr) else node.name if isinstance(node, nodes.Name) else None
        if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            name = node.arg.value
        if isinstance(name, str) and name.startswith("_"):
            raise _refused(node, f"'{name}' is no name of a value, for it begins with an underscore")
        if not isinstance(node, _NODES):
            raise _refused(node, f"'{type(node).__name__.lower()}' is no part of a prompt's language")
        if isinstance(node, nodes.Filter) and node.node is None:
            raise _refused(node, f"the filter '{node.name}' stands before nothing")
        if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
            raise _refused(node, f"there is no filter '{node.name}'. There is: {', '.join(sorted(_FILTERS))}")
        if isinstance(node, nodes.Block) and node.name not in _BLOCKS:
            raise _refused(node, f"there is no block '{node.name}'. There is: {', '.join(_BLOCKS)}")
        if isinstance(node, nodes.Call) and not (isinstance(node.node, nodes.Getattr) and node.node.attr in _METHODS and not node.args):
            raise _refused(node, f"nothing can be called but {', '.join(f'{name}()' for name in _METHODS)}")


def _all(node: nodes.Node, loops: int) -> list[nodes.Node]:
    if isinstance(node, nodes.For):
        loops += 1
        if loops > _MOST_LOOPS or node.recursive:
            raise _refused(node, f"loops stand within loops, more than {_MOST_LOOPS} deep")
    return [node, *(found for child in node.iter_child_nodes() for found in _all(child, loops))]


def _refused(node: nodes.Node, why: str) -> OperatorError:
    return OperatorError(f"A prompt's template, line {node.lineno}: {why}.")
