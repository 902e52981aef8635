"""What every benchmark shares: its options, its one line of JSON, and the numbers it has to hold.

A benchmark is a script: it reads `arguments(__doc__)`, measures, and ends with `emit(name, result, args.check)`.
"""

import argparse
import json
import os
import platform
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from freehold import __version__

TARGETS = Path(__file__).with_name("targets.toml")
_PACKAGES = ("numpy", "scikit-learn", "sqlalchemy")
_LEAF_KEYS = {"min", "max", "quick"}


class Target(NamedTuple):
    """A number to hold."""

    key: str
    """Where it stands in the result, with dots between the levels."""
    min: float | None
    """The least it may be."""
    max: float | None
    """The most it may be."""
    quick: bool
    """Whether a run with --quick can tell."""


def arguments(about: str | None) -> argparse.Namespace:
    """The options of this run, for a benchmark that has no others: `quick`, `check` and `out`. `about`: what `--help` says."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    return parser.parse_args()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options every benchmark has."""
    parser.add_argument("--quick", action="store_true", help="a part of the work, for scripts/test")
    parser.add_argument("--check", action="store_true", help="compare with bench/targets.toml; exit 1 where a number falls short")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the line to FILE as well, indented")


def emit(name: str, result: Mapping[str, object], check: bool) -> None:
    """Prints one line of JSON; with `check` lists each shortfall on stderr and exits 1. Of the command line it takes --quick and --out."""
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    said, _ = parser.parse_known_args()
    line = {
        "name": name,
        "quick": said.quick,
        "result": result,
        "versions": {"python": platform.python_version(), "freehold": __version__} | {package: version(package) for package in _PACKAGES},
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    print(json.dumps(line, allow_nan=False), flush=True)
    if said.out is not None:
        said.out.write_text(json.dumps(line, allow_nan=False, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if check:
        short = shortfalls(result, targets(name), said.quick)
        for each in short:
            print(f"{name}: {each}", file=sys.stderr)
        if short:
            raise SystemExit(1)


def targets(name: str, file: Path = TARGETS) -> list[Target]:
    """The targets of one benchmark; none where the file has no table of that name. Raises ValueError on a table it cannot read."""
    return list(_leaves(tomllib.loads(file.read_text(encoding="utf-8")).get(name, {}), f"{name}."))


def shortfalls(result: Mapping[str, object], wanted: list[Target], quick: bool) -> list[str]:
    """One sentence for each target that does not hold; a number that was not measured does not hold."""
    return [said for target in wanted if (target.quick or not quick) and (said := _shortfall(result, target))]


def _shortfall(result: Mapping[str, object], target: Target) -> str | None:
    value: object = result
    for step in target.key.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return f"{target.key} is not in the result, and bench/targets.toml has a target for it"
        value = value[step]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{target.key} is {value!r}, not a number"
    if target.min is not None and not value >= target.min:
        return f"{target.key} is {value:.6g}, below {target.min:g}"
    if target.max is not None and not value <= target.max:
        return f"{target.key} is {value:.6g}, above {target.max:g}"
    return None


def _leaves(table: object, path: str) -> Iterator[Target]:
    if not isinstance(table, Mapping):
        raise ValueError(f"bench/targets.toml: {path.strip('.')} is {table!r}; a target is a table such as {{ min = 0.5 }}")
    if {"min", "max"} & set(table):
        unknown = set(table) - _LEAF_KEYS
        if unknown:
            raise ValueError(f"bench/targets.toml: {path.strip('.')} has {sorted(unknown)}; a target has min, max and quick")
        yield Target(path.partition(".")[2].strip("."), table.get("min"), table.get("max"), table.get("quick", True))
        return
    for key, inner in table.items():
        yield from _leaves(inner, f"{path}{key}.")
