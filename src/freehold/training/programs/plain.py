"""Whether a program that somebody is to read looks plain: whether it names what would reach beyond its own values.

That is a help to who reads it and to the model that writes it, and no sandbox: Python has more ways out than a list has lines. What is run without being
read runs in Monty (`variants/code.py`).
"""

import ast
from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

Modules: TypeAlias = Mapping[str, Collection[str]]
"""The modules that a program may import, and what of each it may name."""
_BEYOND: Final = frozenset(
    {"open", "eval", "exec", "compile", "input", "breakpoint", "globals", "locals", "vars", "getattr", "setattr", "delattr"}
    | {"memoryview", "exit", "quit", "help", "print", "type", "license", "credits", "copyright"}
)
_INSIDES: Final = (
    "_",
    "f_",
    "gi_",
    "cr_",
    "ag_",
    "tb_",
    "co_",
    "format",
    "obj",
    "get_loop",
    "get_coro",
    "get_stack",
    "from_path",
    "subprocess",
)
"""How attributes begin that lead from a value to its class, its module or the frame that runs it, or to files and processes."""


def _has_quoted(annotation: ast.expr) -> bool:
    """Whether it has words that would be read as a program: any but those of `Literal`."""
    match annotation:
        case ast.Constant(value=str()):
            return True
        case ast.Subscript(value=ast.Name(id="Literal") | ast.Attribute(attr="Literal")):
            return False
    return any(_has_quoted(one) for one in ast.iter_child_nodes(annotation) if isinstance(one, ast.expr))


def beyond(source: str, modules: Modules) -> list[str]:
    """What of a program is not plain, a line for each thing: other modules than these or other names of theirs, a module that is handed on, names that
    reach beyond the program, attributes that begin with `_` or lead to frames."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return [f"it is no Python: {error}"]
    stands_for = {
        one.asname or one.name: one.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for one in node.names
        if one.name in modules
    }
    of_a_module = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)]
    asked_for_a_name = {id(node.value) for node in of_a_module}
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [f"line {node.lineno} imports {one.name}" for one in names if one.name not in modules]
            case ast.ImportFrom(module=module, names=names, level=level):
                if level or module is None or module not in modules:
                    found.append(f"line {node.lineno} imports from {module or 'its own package'}")
                else:
                    found += [f"line {node.lineno} imports {module}.{one.name}" for one in names if one.name not in modules[module]]
            case ast.Name(id=name) if name in _BEYOND or (name.startswith("__") and name != "__name__"):
                found.append(f"line {node.lineno} names {name}")
            case ast.Name(id=name) if name in stands_for and id(node) not in asked_for_a_name:
                found.append(f"line {node.lineno} hands on the module {name}")
            case ast.Attribute(attr=name) if name.startswith(_INSIDES):
                found.append(f"line {node.lineno} names .{name}")
            case ast.Attribute(attr=name, value=ast.Name(id=base)) if base in stands_for and name not in modules[stands_for[base]]:
                found.append(f"line {node.lineno} names {base}.{name}")
            case ast.MatchClass(patterns=[_, *_]):
                found.append(f"line {node.lineno} matches a class by place")
            case ast.MatchClass(kwd_attrs=names):
                found += [f"line {node.lineno} names .{name}" for name in names if name.startswith(_INSIDES)]
            case (
                ast.arg(annotation=said)
                | ast.AnnAssign(annotation=said)
                | ast.FunctionDef(returns=said)
                | ast.AsyncFunctionDef(returns=said)
            ) if said is not None and _has_quoted(said):
                found.append(f"line {node.lineno} has a type in quotes")
            case _:
                pass
    return list(dict.fromkeys(found))
