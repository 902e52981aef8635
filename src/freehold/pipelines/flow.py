"""Pipelines end to end: which tasks and pipelines each calls, with what, and what it does with the answers, as far as its text tells."""

import ast
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from freehold.errors import nearest
from freehold.pipelines.finding import Finding, error, note, warning
from freehold.pipelines.pipeline import Pipeline
from freehold.pipelines.program import Step
from freehold.pipelines.reading import UNKNOWN, Callee, Later, Pieces, Reading, classes, fields_of, has_attribute, hints_of, trees_of
from freehold.pipelines.task import Task

_METHODS = ("acall", "answer", "aanswer", "stream", "map", "amap", "batch")
_AS_ITSELF = ("", "acall", "answer", "aanswer", "stream")
"""What takes the arguments of the task itself."""
_AWAITED = {"": "acall", "answer": "aanswer", "map": "amap"}
_EXITS = (ast.Return, ast.Raise, ast.Yield, ast.YieldFrom, ast.Assert)
_LATER_ON = (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
"""What is run when somebody calls it, if ever."""


def check_flow(steps: Sequence[Step], files: Sequence[Path]) -> list[Finding]:
    """What is wrong in the pipelines and tasks' bodies of a program, and in the functions of its own files that those call."""
    found: list[Finding] = []
    readings: dict[types.CodeType, Reading] = {}
    trees = cache(trees_of)
    left = [function for step in steps if (function := _function_of(step)) is not None]
    while left:
        function = left.pop(0)
        code = function.__code__
        if code in readings:
            continue
        tree = trees(code.co_filename).get((code.co_name, code.co_firstlineno))
        if tree is None:
            found.append(note(f"{code.co_filename}:{code.co_firstlineno}", f"the text of '{code.co_name}' is not there to be looked at"))
            continue
        readings[code] = reading = Reading(function, tree)
        found += _Look(reading).findings()
        left += _called(reading, files)
    return [*found, *_circles([step for step in steps if isinstance(step, Pipeline)], readings)]


def reached(steps: Sequence[Step], files: Sequence[Path]) -> list[Step]:
    """The steps, and those that they name, directly or through functions of the program's own files."""
    found: list[Step] = []
    left: list[Step | types.FunctionType] = list(steps)
    seen: set[int] = set()
    trees = cache(trees_of)
    while left:
        one = left.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Task | Pipeline):
            found.append(one)
        function = _function_of(one) if isinstance(one, Task | Pipeline) else one
        code = function.__code__ if function is not None else None
        tree = None if code is None else trees(code.co_filename).get((code.co_name, code.co_firstlineno))
        if tree is not None and function is not None:
            left += _named_in(Reading(function, tree), files)
    return found


def _named_in(reading: Reading, files: Sequence[Path]) -> Iterator[Step | types.FunctionType]:
    for node in ast.walk(reading.tree):
        if isinstance(node, ast.Name | ast.Attribute):
            value = reading.value(node)
            if isinstance(value, Task | Pipeline) or (isinstance(value, types.FunctionType) and _is_in(value, files)):
                yield value


def _is_in(function: types.FunctionType, files: Sequence[Path]) -> bool:
    return Path(function.__code__.co_filename).resolve() in files


def _function_of(step: Step) -> types.FunctionType | None:
    function = step.function if isinstance(step, Pipeline) else step.__wrapped__ if step.signature.has_body else None  # type: ignore[attr-defined]
    return function if isinstance(function, types.FunctionType) else None


def _called(reading: Reading, files: Sequence[Path]) -> Iterator[types.FunctionType]:
    """The functions that it names: of pipelines, wherever they stand, and plain ones of the program's own files."""
    for value in _named_in(reading, files):
        function = _function_of(value) if isinstance(value, Task | Pipeline) else value
        if function is not None:
            yield function


# One function.


class _Look(ast.NodeVisitor):
    """One look at a function's text."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._found: list[Finding] = []
        self._is_async = isinstance(reading.tree, ast.AsyncFunctionDef)

    def findings(self) -> list[Finding]:
        """What is wrong in it, in the order of its lines."""
        for statement in self._reading.tree.body:
            self.visit(statement)
        return self._found

    def _error(self, node: ast.AST, what: str, remedy: str) -> None:
        self._found.append(error(self._reading.where(node), what, remedy))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._within(node, False)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._within(node, True)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._within(node, False)

    def _within(self, node: ast.AST, is_async: bool) -> None:
        before, self._is_async = self._is_async, is_async
        self.generic_visit(node)
        self._is_async = before

    def visit_Expr(self, node: ast.Expr) -> None:
        given = self._reading.type(node.value)
        if isinstance(node.value, ast.Call) and (callee := self._reading.callee(node.value)) is not None:
            if isinstance(given, Later):
                self._error(node, f"'{callee.words}' is called and never awaited, so that nobody is asked", f"await {callee.words}(…)")
            elif isinstance(given, Pieces):
                self._error(
                    node, f"nothing goes over '{callee.words}', so that nobody is asked", f"async for partial in {callee.words}(…):"
                )
        self.generic_visit(node)

    def visit_Await(self, node: ast.Await) -> None:
        if isinstance(node.value, ast.Call) and (callee := self._reading.callee(node.value)) is not None and not callee.is_later:
            step, method = callee.step, callee.method
            if method == "stream":
                self._error(
                    node, f"'{callee.words}' cannot be awaited: its pieces come one by one", f"async for partial in {callee.words}(…):"
                )
            elif isinstance(step, Task):
                self._error(
                    node, f"'{callee.words}' gives its answer at once, which cannot be awaited", f"await {step.name}.{_AWAITED[method]}(…)"
                )
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        if isinstance(self._reading.type(node.iter), Pieces):
            self._error(node, "the pieces of a stream are gone over without being awaited", "write async for")
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        step, given = self._reading.value(node.value), self._reading.type(node.value)
        if isinstance(step, Task) and not hasattr(step, node.attr):
            self._error(node, f"task '{step.name}' has no '{node.attr}'.{nearest(node.attr, _METHODS)}", "name one of these")
        elif isinstance(given, Later):
            self._error(node, f"'{node.attr}' is asked of an answer that was not awaited", "await it before")
        elif given is not UNKNOWN and not isinstance(given, Pieces) and not has_attribute(given, node.attr):
            self._error(node, f"{_name(given)} has no '{node.attr}'.{nearest(node.attr, _attributes(given))}", "mend the name, or the type")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        callee = self._reading.callee(node)
        if callee is not None:
            if self._is_async and callee.blocks:
                awaited = f"await {callee.step.name}.{_AWAITED[callee.method]}(…)" if isinstance(callee.step, Task) else "make it async"
                self._found.append(
                    warning(self._reading.where(node), f"'{callee.words}' holds up the whole event loop until its answer is there", awaited)
                )
            self._check_arguments(node, callee)
        self.generic_visit(node)

    def _check_arguments(self, call: ast.Call, callee: Callee) -> None:
        step = callee.step
        takes, hints = _takes(callee)
        if any(isinstance(argument, ast.Starred) for argument in call.args) or any(keyword.arg is None for keyword in call.keywords):
            return
        try:
            bound = takes.bind(*call.args, **{keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None})
        except TypeError as refused:
            self._error(call, f"'{callee.words}' is called with other arguments than it has: {refused}", f"it takes {takes}")
            return
        for name, argument in bound.arguments.items():
            if isinstance(argument, ast.expr) and (why := self._why_not(argument, hints.get(name, UNKNOWN))):
                self._error(argument, f"'{callee.words}' is given {why} as '{name}'", f"it takes {name}: {_name(hints[name])}")
        if isinstance(step, Task) and callee.method in _AS_ITSELF:
            self._check_constants(call, step, bound.arguments)

    def _why_not(self, argument: ast.expr, wanted: Any) -> str:
        """What an argument is, where that is no value of the type that is wanted; else empty."""
        given = self._reading.type(argument)
        if isinstance(given, Later):
            return "an answer that was not awaited" if wanted is not UNKNOWN else ""
        have, want = classes(given), classes(wanted)
        if isinstance(given, Pieces) or have is None or want is None or get_origin(wanted) is Literal or isinstance(argument, ast.Constant):
            return ""
        allowed = (*want, int) if float in want else want
        return "" if any(issubclass(one, allowed) for one in have) else f"a value of type {_name(given)}"

    def _check_constants(self, call: ast.Call, task: Task[Any, Any], arguments: Mapping[str, Any]) -> None:
        """Constants as the task itself looks at what it is given."""
        given = {name: node.value for name, node in arguments.items() if isinstance(node, ast.Constant)}
        for name, value in given.items():
            if (why := task.signature.why_not(name, value)) is not None:
                self._error(call, f"'{task.name}' is given {value!r:.60} as '{name}': {why}", f"it takes {task.signature.inspected}")


def _takes(callee: Callee) -> tuple[Signature, Mapping[str, Any]]:
    """What is called takes, and of which types."""
    step = callee.step
    if isinstance(step, Pipeline):
        return signature(step.function), hints_of(step.function)
    if callee.method in ("map", "amap", "batch"):
        own = signature(getattr(Task, callee.method))
        return own.replace(parameters=[each for each in own.parameters.values() if each.name != "self"]), {}
    if callee.method in _AS_ITSELF:
        return step.signature.inspected, {field.name: field.annotation for field in step.signature.fields}
    return Signature([Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD)]), {}


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", str(annotation)) if not get_args(annotation) else str(annotation)


def _attributes(annotation: Any) -> set[str]:
    found = classes(annotation) or ()
    return {name for one in found for name in fields_of(one) or dir(one) if not name.startswith("_")}


# All of them.


def _circles(pipelines: Sequence[Pipeline[Any, Any]], readings: Mapping[types.CodeType, Reading]) -> Iterator[Finding]:
    """Pipelines that call each other whatever they are called with, so that they never end."""
    names = {pipeline.function.__code__: pipeline.name for pipeline in pipelines if hasattr(pipeline.function, "__code__")}
    calls = {code: list(dict.fromkeys(_always_calls(reading))) for code, reading in readings.items()}
    seen: set[types.CodeType] = set()

    def around(code: types.CodeType, above: tuple[types.CodeType, ...]) -> Iterator[tuple[types.CodeType, ...]]:
        if code in above:
            yield above[above.index(code) :]
        elif code not in seen:
            for inner in calls.get(code, ()):
                yield from around(inner, (*above, code))
            seen.add(code)

    for code in names:
        for circle in around(code, ()):
            told = " -> ".join(names.get(one, one.co_name) for one in (*circle, circle[0]))
            first = readings[circle[0]]
            yield error(
                first.where(first.tree), f"pipelines call each other without end: {told}", "have one of them end without calling the next"
            )


def _always_calls(reading: Reading) -> Iterator[types.CodeType]:
    """The pipelines and functions that it calls whatever it is called with."""
    for call in _always(reading.tree.body):
        value = reading.value(call.func)
        function = value.function if isinstance(value, Pipeline) else value
        if isinstance(function, types.FunctionType):
            yield function.__code__


def _always(statements: Sequence[ast.stmt]) -> Iterator[ast.Call]:
    """The calls that are made before there is a way out."""
    for statement in statements:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Try() | ast.TryStar():
                pass
            case ast.If(test=looked) | ast.While(test=looked) | ast.Match(subject=looked):
                yield from _calls(looked)
            case ast.For(iter=over) | ast.AsyncFor(iter=over):
                yield from _calls(over)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    yield from _calls(item.context_expr)
                yield from _always(body)
            case _:
                yield from _calls(statement)
        if _has_exit(statement):
            return


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that an expression makes whatever its values are."""
    if isinstance(node, ast.Call):
        yield node
    match node:
        case ast.IfExp(test=looked):
            yield from _calls(looked)
        case ast.BoolOp(values=[first, *_]):
            yield from _calls(first)
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            yield from _calls(node.generators[0].iter)
        case _ if not isinstance(node, _LATER_ON):
            for child in ast.iter_child_nodes(node):
                yield from _calls(child)


def _has_exit(node: ast.AST) -> bool:
    return isinstance(node, _EXITS) or any(_has_exit(child) for child in ast.iter_child_nodes(node) if not isinstance(child, _LATER_ON))
