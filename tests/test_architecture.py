"""The house is as the README draws it: the tree is the tree on disk, and imports point up it.

The tree in the README, in the fenced block below `<!-- tree -->`, is the one list of the order. Above its own line a file may import;
below it nothing, not for type checking either: the loop from improvement back to serving is closed by data.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "freehold"
HEAVY = {"sklearn", "scipy", "pandas", "pyarrow", "altair", "alembic", "vl_convert", "genai_prices", "onnxruntime", "torch", "transformers"}
MIGRATES = {"freehold.store.migrate"}
"""Imported when a migration is due, and by nothing else: it needs Alembic."""

_LATER_ENTRY = re.compile(r"(?<=  )[a-z_][\w./-]*(?:\.py|/)(?!\S)")
"""A second entry on a line, such as in `a.py  what   b.py  what`."""


class Import(NamedTuple):
    """One import of ours by one of our files."""

    file: Path
    """Relative to the package."""
    line: int
    target: str
    """Dotted name below `freehold`; empty for the package itself."""


def tree_in_readme() -> dict[str, list[str]]:
    """Each folder of the tree with its entries, in the order printed. Several may share a line, and so an indentation."""
    readme = ROOT / "README.md"
    assert readme.is_file(), "there is no README.md; it holds the tree that this test compares with the disk"
    block = re.search(r"<!-- tree -->\s*```\w*\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    assert block, "README.md has no fenced block below a line '<!-- tree -->'"
    folders: list[tuple[int, str]] = []
    tree: dict[str, list[str]] = {}
    for printed in block[1].splitlines():
        line = re.sub("[│├└─]", " ", printed)
        if not (entries := _entries(line)):
            continue
        indent = len(line) - len(line.lstrip())
        folders = [(depth, folder) for depth, folder in folders if depth < indent]
        parent = folders[-1][1] if folders else ""
        tree.setdefault(parent, []).extend(entries)
        folders += [(indent, parent + entry) for entry in entries if entry.endswith("/")]
    return tree


def _entries(line: str) -> list[str]:
    """The entries of a line: its first word, and later ones that a wide gap sets off."""
    first, *rest = line.strip().split(maxsplit=1) or [""]
    return [entry for entry in [first, *_LATER_ENTRY.findall(f"  {rest[0]}" if rest else "")] if entry]


def top_level() -> list[str]:
    """The entries of the package, as the tree prints them."""
    return tree_in_readme()["src/freehold/"]


def on_disk() -> set[str]:
    """Files and folders of the package as the tree prints them; what Python makes by itself, and what it left behind, is left out."""
    files = [path.relative_to(PACKAGE).parts for path in PACKAGE.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    return {parts[0] if len(parts) == 1 else f"{parts[0]}/" for parts in files} - {"__init__.py", "__main__.py"}


def imports_of(path: Path) -> Iterator[Import]:
    """Every import of ours in a file, wherever it stands: at the top, in a function, for type checking only."""
    file = path.relative_to(PACKAGE)
    package = ["freehold", *file.with_suffix("").parts][: -1 if file.name != "__init__.py" else None]
    package = [part for part in package if part != "__init__"]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "freehold" else [base]
        for name in names:
            if name.split(".")[0] == "freehold":
                yield Import(file, node.lineno, name.partition(".")[2])


def all_imports() -> list[Import]:
    """Every import of ours, but for the package's own `__init__`, which gathers what the outside sees."""
    return [found for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py" for found in imports_of(path)]


def stage_of(dotted: str) -> str | None:
    """The entry of the tree that a module belongs to; None for a name of the package's own `__init__`, such as the version."""
    first = dotted.partition(".")[0]
    if (PACKAGE / first).is_dir():
        return f"{first}/"
    return f"{first}.py" if (PACKAGE / f"{first}.py").is_file() else None


def test_the_tree_in_the_readme_is_the_tree_on_disk() -> None:
    """Every file and folder of the package is printed, once, and everything printed exists."""
    printed = top_level()
    assert sorted(printed) == sorted(on_disk()), "README.md and src/freehold differ"


def test_everything_the_tree_names_exists() -> None:
    """Also below the package's top level, and beside the package."""
    missing = [folder + entry for folder, entries in tree_in_readme().items() for entry in entries if not (ROOT / folder / entry).exists()]
    assert missing == []


def test_no_import_points_down_the_tree() -> None:
    """A file imports what stands above its stage, or its own stage."""
    order = {entry: n for n, entry in enumerate(top_level())}
    down = []
    for found in all_imports():
        stage = found.file.parts[0] + ("/" if len(found.file.parts) > 1 else "")
        target = stage_of(found.target)
        if target in order and stage in order and order[target] > order[stage]:  # one that is not printed fails the test above
            down.append(f"src/freehold/{found.file}:{found.line} imports freehold.{found.target}, which stands below {stage}")
    assert down == []


def test_imports_are_found_wherever_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative ones, ones in functions and ones for type checking count too."""
    (tmp_path / "stage").mkdir()
    file = tmp_path / "stage" / "file.py"
    lines = [
        "from . import near",
        "from .. import up",
        "from freehold import far",
        "if T: import freehold.a.b",
        "def f():",
        " import freehold.c",
    ]
    file.write_text("\n".join(lines))
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    assert [found.target for found in imports_of(file)] == ["stage", "up", "far", "a.b", "c"]


def test_a_gateway_worker_loads_nothing_heavy() -> None:
    """What serving imports brings no sklearn, scipy, pandas, pyarrow or the like: 217 MB a worker with them, 55-70 without."""
    needed = ["pricing/book.py", "journal/call.py", "journal/redact.py", "journal/write.py", *_files("routing"), *_files("store")]
    modules = [".".join(("freehold", *Path(file).with_suffix("").parts)).removesuffix(".__init__") for file in needed]
    modules = sorted(set(modules) - MIGRATES)
    program = f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def _files(stage: str) -> list[str]:
    return [f"{stage}/{path.name}" for path in sorted((PACKAGE / stage).glob("*.py"))]
