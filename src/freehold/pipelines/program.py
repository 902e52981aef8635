"""A program of the project: the files and modules it is made of, and the tasks and pipelines that stand in them.

It is imported as Python would import it. Nobody is asked meanwhile: what a file calls by itself belongs under `if __name__ == "__main__"`.
"""

import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

from freehold.config import Config
from freehold.errors import CallerError, nearest
from freehold.pipelines.failure import words_of
from freehold.pipelines.pipeline import Pipeline
from freehold.pipelines.runtime import unasked
from freehold.pipelines.signature import Misuse
from freehold.pipelines.task import Task

Step: TypeAlias = Task[Any, Any] | Pipeline[Any, Any]
_ENDING = ".py"
_UNASKED = (
    'A task is called while its program is being imported. Put what the program does by itself under if __name__ == "__main__":, so that it '
    "can be looked at without anybody being asked."
)


class NotImported(CallerError):
    """A program, or a part of it, cannot be imported: at `where`, for the reason `what`."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where}: {what}")
        self.where = where
        """The file and line of the program where that is."""
        self.what = what
        """What happened."""


class Program(NamedTuple):
    """What is to be run."""

    folder: Path
    """The project's folder."""
    modules: tuple[ModuleType, ...] = ()
    """What was imported, and what of the project's own that uses."""
    tasks: tuple[Task[Any, Any], ...] = ()
    """Its tasks, each once, in the order in which they are come upon."""
    pipelines: tuple[Pipeline[Any, Any], ...] = ()
    """Its pipelines, likewise."""
    is_part: bool = False
    """Whether single tasks and pipelines were named, not whole files."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Where its text stands."""
        return tuple(dict.fromkeys(path for module in self.modules if (path := _file_of(module)) is not None))

    def find(self, name: str) -> Step:
        """The task or pipeline of that name, or the one that `module:name` or `FILE.py:name` says. Raises CallerError."""
        home, colon, attribute = name.rpartition(":")
        steps: list[Step] = [*self.tasks, *self.pipelines]
        found: list[Step]
        if colon:
            at = [module for module in self.modules if _is_called(module, home)]
            found = [vars(module)[attribute] for module in at if isinstance(vars(module).get(attribute), Task | Pipeline)]
            if not found and at:
                raise CallerError(f"There is no task or pipeline '{attribute}' in {home}.{nearest(attribute, _names_in(at[0]))}")
        else:
            found = [step for step in steps if step.name == name]
        if not found:
            hint = nearest(name, {step.name for step in steps}) or " It has none; name its files under [project] python in freehold.toml."
            raise CallerError(f"The program has no task or pipeline '{name[:120]}'.{hint}")
        if any(one is not found[0] for one in found):
            where = " and ".join(one.where for one in found)
            raise CallerError(f"'{name[:120]}' is at {where}. Say which is meant, as in MODULE:{name.rpartition(':')[2]}.")
        return found[0]


def program_of(config: Config, named: Sequence[str] = ()) -> Program:
    """The program that a command names, its files from the current folder on, else the project's own: `[project] python`.

    Raises NotImported, CallerError.
    """
    return load_program([_from_here(each) for each in named] or config.project.python, config.folder)


def load_program(specs: Sequence[str], folder: Path) -> Program:
    """Imports a program: each of it is `FILE.py`, relative to `folder`, or `module`, or `FILE.py:name` or `module:name` for one task or pipeline.

    Raises NotImported for what cannot be imported, with the line of it, and CallerError for a name that is not there.
    """
    _look_in(folder)
    modules: list[ModuleType] = []
    named: list[Step] = []
    whole: list[ModuleType] = []
    for spec in specs:
        home, _, name = _parted(spec)
        module = _imported(home, folder)
        modules.append(module)
        if name:
            named.append(_named(module, name, home))
        else:
            whole.append(module)
    every = _with_own(modules, folder)
    steps = [*named, *(step for module in _with_own(whole, folder) for step in _steps_in(module))]
    steps = list({id(step): step for step in steps}.values())
    return Program(
        folder,
        tuple(every),
        tuple(step for step in steps if isinstance(step, Task)),
        tuple(step for step in steps if isinstance(step, Pipeline)),
        bool(named) and not whole,
    )


def own_line(error: BaseException) -> str:
    """`file:line` of the last line of a user's that an error came through; empty where it came through none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno or 1}"
    own = [at for at in traceback.extract_tb(error.__traceback__) if _is_own(at.filename)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else ""


# Importing.


def _imported(home: str, folder: Path) -> ModuleType:
    if not home.endswith(_ENDING):
        return _import(home, f"module {home}", f"from {folder}")
    path = (folder / home).resolve()
    if not path.is_file():
        raise NotImported(str(path), "there is no such file. Name the files of a program as they are seen from the project's folder.")
    root, name = _root_of(path)
    _look_in(root)
    module = _import(name, str(path), "")
    if _file_of(module) != path:
        raise NotImported(
            str(path),
            f"another module is called '{name}' already: {module.__file__ or 'one of Python itself'}. Give the file another name.",
        )
    return module


def _import(name: str, what: str, where: str) -> ModuleType:
    try:
        with unasked(_UNASKED):
            return import_module(name)
    except Misuse as error:
        where, _, why = str(error).partition(": ")
        raise NotImported(where, why) from error
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise NotImported(what, f"there is no module '{error.name}' {where}. Name a file, or a module as import has it.") from error
        raise NotImported(own_line(error) or what, f"it cannot be imported: {words_of(error)}") from error


def _root_of(path: Path) -> tuple[Path, str]:
    """Where a file has to be looked for, and by which name: below the packages it lies in."""
    root, names = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        names.insert(0, root.name)
        root = root.parent
    return root, ".".join(names).removesuffix(".__init__")


def _look_in(folder: Path) -> None:
    where = str(folder.resolve())
    if where not in sys.path:
        sys.path.insert(0, where)


def _from_here(spec: str) -> str:
    home, colon, name = _parted(spec)
    return f"{Path(home).resolve()}{colon}{name}" if home.endswith(_ENDING) and Path(home).is_file() else spec


def _parted(spec: str) -> tuple[str, str, str]:
    return spec.partition(":")


# What is found.


def _with_own(modules: list[ModuleType], folder: Path) -> list[ModuleType]:
    """The modules, and those of the project's own that they use."""
    roots = {folder.resolve(), *(_root_of(path)[0] for module in modules if (path := _file_of(module)) is not None)}
    found: dict[str, ModuleType] = {}
    left = list(reversed(modules))
    while left:
        module = left.pop()
        if module.__name__ not in found:
            found[module.__name__] = module
            left += reversed(list(_used(module, roots)))
    return list(found.values())


def _used(module: ModuleType, roots: set[Path]) -> Iterator[ModuleType]:
    for value in list(vars(module).values()):
        home = getattr(value, "__module__", None)
        used = value if isinstance(value, ModuleType) else sys.modules.get(home) if isinstance(home, str) else None
        path = None if used is None else _file_of(used)
        if used is not None and path is not None and any(path.is_relative_to(root) for root in roots) and _is_own(str(path)):
            yield used


def _steps_in(module: ModuleType) -> Iterator[Step]:
    yield from (value for value in vars(module).values() if isinstance(value, Task | Pipeline))


def _names_in(module: ModuleType) -> set[str]:
    return {name for name, value in vars(module).items() if isinstance(value, Task | Pipeline)}


def _named(module: ModuleType, name: str, home: str) -> Step:
    value = vars(module).get(name)
    if isinstance(value, Task | Pipeline):
        return value
    what = "nothing" if value is None else f"a {type(value).__name__}"
    raise CallerError(f"'{name}' in {home} is {what}, not a task or a pipeline.{nearest(name, _names_in(module))}")


def _is_called(module: ModuleType, home: str) -> bool:
    if not home.endswith(_ENDING):
        return module.__name__ == home
    path = _file_of(module)
    return path is not None and (path == Path(home).resolve() or str(path).endswith(f"/{home}"))


def _file_of(module: ModuleType) -> Path | None:
    path = getattr(module, "__file__", None)
    return Path(path).resolve() if path else None


_OURS = Path(__file__).resolve().parents[1]


def _is_own(file: str) -> bool:
    """Whether a file is neither ours nor of what was installed, nor of Python itself."""
    path = Path(file)
    return (
        path.suffix == _ENDING
        and "site-packages" not in path.parts
        and not path.is_relative_to(_OURS)
        and not path.is_relative_to(Path(traceback.__file__).resolve().parent)
    )
