"""What the text of a function says, without running it: which value a name stands for, and of what type an expression is.

Only what is certain is said: a name that is bound twice, or whose value is asked about, is of no known type.
"""

import ast
import builtins
import types
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin, get_type_hints, is_typeddict

from freehold.pipelines.pipeline import Pipeline
from freehold.pipelines.task import Answer, Task

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


class Unknown:
    """The type of `UNKNOWN`."""


UNKNOWN: Final[Any] = Unknown()
"""Stands for a value or a type that the text does not tell."""


class Later(NamedTuple):
    """The type of what has to be awaited."""

    of: Any
    """What it gives then."""


class Pieces(NamedTuple):
    """The type of what `async for` goes over."""

    of: Any
    """What it gives each time."""


class Callee(NamedTuple):
    """A task or pipeline that is called, and how."""

    step: Task[Any, Any] | Pipeline[Any, Any]
    """Which."""
    method: str = ""
    """Such as `acall`; empty where it is called itself."""

    @property
    def words(self) -> str:
        """As it stands in a program."""
        return f"{self.step.name}{f'.{self.method}' if self.method else ''}"

    @property
    def is_later(self) -> bool:
        """Whether what it gives has to be awaited."""
        if isinstance(self.step, Pipeline):
            return self.step.is_async
        return self.method in ("acall", "aanswer", "amap")

    @property
    def blocks(self) -> bool:
        """Whether the caller waits in it."""
        if isinstance(self.step, Pipeline):
            return not self.step.is_async and not self.step.is_generator
        return self.method in ("", "answer", "map")

    @property
    def gives(self) -> Any:
        """The type of what it gives."""
        step = self.step
        if isinstance(step, Pipeline):
            given = UNKNOWN if step.is_generator else hints_of(step.function).get("return", UNKNOWN)
            return Later(given) if step.is_async else given
        of = step.signature.annotation
        if self.method == "stream":
            return Pieces(of)
        plain = {"": of, "acall": of, "answer": Answer[of], "aanswer": Answer[of], "map": list[of], "amap": list[of]}  # type: ignore[valid-type]
        given = plain.get(self.method, UNKNOWN)
        return Later(given) if self.is_later else given


class Reading:
    """The text of one function."""

    def __init__(self, function: types.FunctionType, tree: Function) -> None:
        self.function = function
        self.tree = tree
        self.file = function.__code__.co_filename
        self.name = function.__name__
        self._under_way: set[str] = set()

    def where(self, node: ast.AST) -> str:
        """`file:line` of a part of it."""
        return f"{self.file}:{getattr(node, 'lineno', self.tree.lineno)}"

    @cached_property
    def bound(self) -> Counter[str]:
        """How often each name is bound in it."""
        return Counter(_bound(self.tree))

    @cached_property
    def _asked_about(self) -> set[str]:
        """Names whose values are looked at for what they are."""
        looks = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
        named = [look.args[0] for look in looks if look.func.id in ("isinstance", "hasattr", "getattr", "type") and look.args]  # type: ignore[attr-defined]
        named += [node.subject for node in ast.walk(self.tree) if isinstance(node, ast.Match)]
        return {node.id for node in named if isinstance(node, ast.Name)}

    # Values.

    def value(self, node: ast.expr) -> Any:
        """What an expression stands for: a name of the module or around the function, or of another module; UNKNOWN for any other."""
        if isinstance(node, ast.Name):
            return UNKNOWN if self.bound[node.id] else self._around(node.id)
        if isinstance(node, ast.Attribute) and isinstance(module := self.value(node.value), types.ModuleType):
            return getattr(module, node.attr, UNKNOWN)
        return UNKNOWN

    def _around(self, name: str) -> Any:
        code = self.function.__code__
        if name in code.co_freevars:
            cell = (self.function.__closure__ or ())[code.co_freevars.index(name)]
            try:
                return cell.cell_contents
            except ValueError:  # not bound yet
                return UNKNOWN
        return self.function.__globals__.get(name, vars(builtins).get(name, UNKNOWN))

    def callee(self, call: ast.Call) -> Callee | None:
        """The task or pipeline that is called; None for anything else."""
        if isinstance(step := self.value(call.func), Task | Pipeline):
            return Callee(step)
        if isinstance(call.func, ast.Attribute) and isinstance(step := self.value(call.func.value), Task):
            return Callee(step, call.func.attr) if hasattr(Task, call.func.attr) else None
        return None

    # Types.

    def type(self, node: ast.expr) -> Any:
        """The type of an expression; UNKNOWN where the text does not tell."""
        match node:
            case ast.Constant(value=value):
                return type(value)
            case ast.Name(id=name):
                return self._type_of_name(name)
            case ast.NamedExpr(value=value):
                return self.type(value)
            case ast.Await(value=value):
                later = self.type(value)
                return later.of if isinstance(later, Later) else UNKNOWN
            case ast.Attribute(value=value, attr=name):
                return attribute(self.type(value), name)
            case ast.Subscript(value=value, slice=ast.Constant(value=int())):
                return _entry(self.type(value))
            case ast.Call():
                return self._type_of_call(node)
        return UNKNOWN

    def _type_of_call(self, call: ast.Call) -> Any:
        if (callee := self.callee(call)) is not None:
            return callee.gives
        made = self.value(call.func)
        return made if isinstance(made, type) and made.__module__ != "builtins" else UNKNOWN

    def _type_of_name(self, name: str) -> Any:
        if self.bound[name] != 1 or name in self._asked_about or name in self._under_way:
            return UNKNOWN
        self._under_way.add(name)
        try:
            return self._binding(name)
        finally:
            self._under_way.discard(name)

    def _binding(self, name: str) -> Any:
        arguments = self.tree.args
        if any(argument.arg == name for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)):
            return hints_of(self.function).get(name, UNKNOWN)
        for node in ast.walk(self.tree):
            match node:
                case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                    return self.type(value)
                case ast.NamedExpr(target=ast.Name(id=found), value=value) if found == name:
                    return self.type(value)
                case ast.For(target=ast.Name(id=found), iter=over) if found == name:
                    return _entry(self.type(over))
                case ast.AsyncFor(target=ast.Name(id=found), iter=over) if found == name:
                    return _piece(self.type(over))
                case ast.comprehension(target=ast.Name(id=found), iter=over) if found == name:
                    return _piece(self.type(over)) if node.is_async else _entry(self.type(over))
        return UNKNOWN


def hints_of(function: Any) -> dict[str, Any]:
    """The type hints of a function; none where they cannot be read."""
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        return {}


def trees_of(file: str) -> dict[tuple[str, int], Function]:
    """The functions of a file, by name and the line on which they begin. Empty where it cannot be read."""
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return {}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {(node.name, min([node.lineno, *(each.lineno for each in node.decorator_list)])): node for node in found}


def _bound(tree: Function) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) if node is not tree:
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((alias.asname or alias.name).partition(".")[0] for alias in names)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield from (name for name in names for _ in range(2))
            case ast.AugAssign(target=ast.Name(id=name)):
                yield name


# Attributes of types.


def classes(annotation: Any) -> tuple[Any, ...] | None:
    """The classes that a value of a type is of; None where that is not known."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return classes(get_args(annotation)[0])
    if origin is Literal:
        return tuple({type(value) for value in get_args(annotation)})
    if origin in (Union, types.UnionType):
        arms = [classes(arm) for arm in get_args(annotation)]
        return None if None in arms else tuple(one for arm in arms if arm is not None for one in arm)
    if annotation is None:
        return (type(None),)
    found = origin or annotation
    says_nothing = found in (Any, object) or getattr(found, "_is_protocol", False) or is_typeddict(found)
    return (found,) if isinstance(found, type) and not says_nothing else None


def has_attribute(annotation: Any, name: str) -> bool:
    """Whether a value of a type has an attribute. Where that is not known, it has."""
    found = classes(annotation)
    return found is None or any(_has(each, name) for each in found)


def attribute(annotation: Any, name: str) -> Any:
    """The type of an attribute; UNKNOWN where that is not known."""
    found = classes(annotation)
    if found is None or len(found) != 1:
        return UNKNOWN
    if found[0] is Answer and name == "value" and get_args(annotation):
        return get_args(annotation)[0]
    return hints_of(found[0]).get(name, UNKNOWN) if fields_of(found[0]) else UNKNOWN


def _has(kind: Any, name: str) -> bool:
    if hasattr(kind, "model_fields"):
        may_have_any = kind.model_config.get("extra") == "allow"
    else:  # one that sets its attributes itself, or answers for any
        may_have_any = hasattr(kind, "__getattr__") or (not fields_of(kind) and isinstance(kind.__init__, types.FunctionType))
    is_declared = any(name in vars(base).get("__annotations__", {}) for base in kind.__mro__)
    return may_have_any or is_declared or name in fields_of(kind) or hasattr(kind, name)


def fields_of(kind: Any) -> set[str]:
    """The fields that a class declares."""
    if is_dataclass(kind):
        return {field.name for field in fields(kind)}
    return {*getattr(kind, "model_fields", {}), *getattr(kind, "_fields", ())}


def _entry(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is list and get_args(annotation) else UNKNOWN


def _piece(annotation: Any) -> Any:
    return annotation.of if isinstance(annotation, Pieces) else UNKNOWN
