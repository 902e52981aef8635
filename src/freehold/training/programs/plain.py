"""Whether a program that somebody may import is plain: it names nothing by which it could reach beyond its own values."""

import ast
import math
import re
from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

Modules: TypeAlias = Mapping[str, Collection[str]]
"""The modules that a program may import, and what of each it may name."""
PURE: Final[Modules] = {"re": frozenset(re.__all__), "math": frozenset(name for name in dir(math) if not name.startswith("_"))}
"""What a pure function may import."""
_BEYOND: Final = frozenset(
    {"open", "eval", "exec", "compile", "input", "breakpoint", "globals", "locals", "vars", "getattr", "setattr", "delattr"}
    | {"memoryview", "exit", "quit", "help", "print"}
)
_INSIDES: Final = ("_", "f_", "gi_", "cr_", "ag_", "tb_", "co_")
"""How attributes begin that lead from a value to its class, its module or the frame that runs it."""


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
            case ast.MatchClass(kwd_attrs=names):
                found += [f"line {node.lineno} names .{name}" for name in names if name.startswith(_INSIDES)]
            case _:
                pass
    return list(dict.fromkeys(found))
