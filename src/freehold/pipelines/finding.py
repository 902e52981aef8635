"""What is found when a program is looked at before it runs: where, what, and what to do."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

Level: TypeAlias = Literal["error", "warning", "note"]
"""`error`: it cannot work. `warning`: it may not do what was meant. `note`: something was not looked at."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was found."""

    level: Level
    """How bad it is."""
    where: str
    """`file:line`, or what else it is about."""
    what: str
    """What was found."""
    remedy: str = ""
    """What to do about it."""


def error(where: str, what: str, remedy: str = "") -> Finding:
    """A program with this cannot work."""
    return Finding(level="error", where=where, what=what, remedy=remedy)


def warning(where: str, what: str, remedy: str = "") -> Finding:
    """A program with this may not do what was meant."""
    return Finding(level="warning", where=where, what=what, remedy=remedy)


def note(where: str, what: str, remedy: str = "") -> Finding:
    """This was not looked at."""
    return Finding(level="note", where=where, what=what, remedy=remedy)


def counted(findings: Iterable[Finding]) -> str:
    """How many there are of each level, in words."""
    many = Counter(finding.level for finding in findings)
    levels: tuple[Level, ...] = ("error", "warning", "note")
    return ", ".join(f"{many[level]} {level}{'s' * (many[level] > 1)}" for level in levels if many[level]) or "nothing is wrong"


class Places:
    """Where things stand in a configuration file, which is read for its lines alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            self._lines = []

    def of(self, table: str, name: str, key: str = "") -> str:
        """`file:line` of a key in `[table.name]`, or of the table where the key stands in none; the file where there is no such table."""
        headers = {f"[{table}.{name}]", f'[{table}."{name}"]'}
        begin = next((n for n, line in enumerate(self._lines) if line.split("#")[0].strip() in headers), None)
        if begin is None:
            return str(self._path)
        for n, line in enumerate(self._lines[begin + 1 :], begin + 1):
            if line.startswith("["):
                break
            if key and line.split("=")[0].strip() == key:
                return f"{self._path}:{n + 1}"
        return f"{self._path}:{begin + 1}"
