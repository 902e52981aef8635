"""A program by name, as a command line says it: `desk.py:triage`, or `desk:triage` for a module."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from freehold.errors import CallerError, nearest
from freehold.pipelines.pipeline import Pipeline
from freehold.pipelines.step import Program
from freehold.pipelines.task import Task


def find_program(said: str) -> Program:
    """The task or pipeline of that name. Raises CallerError where there is none; what its module raises, it raises."""
    where, _, name = said.rpartition(":") if ":" in said else (said, "", "")
    module = _module(where)
    known = {each: value for each, value in vars(module).items() if isinstance(value, (Task, Pipeline))}
    if not name and len(known) == 1:
        return next(iter(known.values()))
    found = known.get(name)
    if found is None:
        what = f"'{name}' is no task or pipeline of {where}" if name else f"'{said}' says not which task or pipeline of it"
        raise CallerError(f"{what}; expected FILE.py:NAME or MODULE:NAME.{nearest(name, list(known))}")
    return found


def _module(where: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    if where.endswith(".py"):
        path = Path(where).absolute()
        if not path.is_file():
            raise CallerError(f"There is no file {path}. A program is named as FILE.py:NAME or MODULE:NAME.")
        known = sys.modules.get(path.stem)
        if known is not None and getattr(known, "__file__", None) == str(path):
            return known
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = sys.modules[path.stem] = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    try:
        return import_module(where)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{where}.".startswith(f"{error.name}."):
            raise
        raise CallerError(f"There is no module '{where}' here. A program is named as FILE.py:NAME or MODULE:NAME.") from None
