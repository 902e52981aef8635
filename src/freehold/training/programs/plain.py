"""Whether a program that somebody may import is plain: it names nothing by which it could reach beyond its own values."""

import ast
from collections.abc import Collection
from typing import Final

PURE: Final = frozenset({"re", "math"})
"""Modules that a pure function may import."""
_BEYOND = frozenset(
    {"open", "eval", "exec", "compile", "input", "breakpoint", "globals", "locals", "vars", "getattr", "setattr", "delattr"}
    | {"memoryview", "exit", "quit", "help", "print"}
)

_INSIDES = frozenset(
    {
        "enum",
        "functools",
        "copyreg",
        "sys",
        "os",
        "modules",
        "builtins",
        "system",
        "format_map",
        "gi_frame",
        "cr_frame",
        "f_globals",
        "tb_frame",
    }
)
"""By which modules and frames lead on to others."""

_FRAMES = ("_", "f_", "gi_", "cr_", "ag_", "tb_", "co_")


def _leads_on(attribute: str) -> bool:
    return attribute.startswith(_FRAMES) or attribute in _INSIDES


def beyond(source: str, modules: Collection[str]) -> list[str]:
    """What of a program is not plain, a line for each thing: other modules than these, names that reach beyond it, attributes that begin with `__`."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return [f"it is no Python: {error}"]
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [f"line {node.lineno} imports {one.name}" for one in names if one.name.partition(".")[0] not in modules]
            case ast.ImportFrom(module=module, names=names, level=level):
                if level or (module or "").partition(".")[0] not in modules:
                    found.append(f"line {node.lineno} imports from {module or 'its own package'}")
                found += [f"line {node.lineno} imports {one.name}" for one in names if one.name in _INSIDES or one.name.startswith("_")]
            case ast.Name(id=name) if name in _BEYOND or (name.startswith("__") and name != "__name__"):
                found.append(f"line {node.lineno} names {name}")
            case ast.Attribute(attr=name) if _leads_on(name):
                found.append(f"line {node.lineno} names .{name}")
            case ast.MatchClass(kwd_attrs=names):
                found += [f"line {node.lineno} names .{name}" for name in names if _leads_on(name)]
            case _:
                pass
    return list(dict.fromkeys(found))
