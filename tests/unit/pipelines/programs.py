"""A project's folder to write programs into, for tests of what is found in them."""

import sys
from pathlib import Path
from textwrap import dedent

from freehold.config import load
from freehold.pipelines.check import check
from freehold.pipelines.finding import Finding
from freehold.pipelines.program import Program, load_program
from freehold.project import Project

TOML = """
[providers.up]
kind = "openai"
base_url = "http://127.0.0.1:1/v1"
[models.frontier]
provider = "up"
[models.cheap]
provider = "up"
[models.old]
[metrics.correct]
kind = "binary"
"""
HEAD = '''
import asyncio
from typing import Literal
from pydantic import BaseModel
import freehold

class Triage(BaseModel):
    queue: Literal["cards", "transfers"]
    urgent: bool

@freehold.task(reference="frontier")
def triage(message: str, tier: str = "basic") -> Triage:
    """Decide which queue should answer."""

'''


class Home:
    """A project's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configure("")

    def configure(self, more: str) -> None:
        """Writes its configuration: two models that can be asked, one that is known from recordings, and what is given."""
        (self.folder / "freehold.toml").write_text(TOML + more)

    def write(self, name: str, text: str, head: str = HEAD) -> Path:
        """Writes a file of a program. Its own text begins on the line after those of `head`."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + dedent(text).lstrip("\n"))
        return path

    def forget(self) -> None:
        """Has what was imported imported anew the next time."""
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None) or "").startswith(str(self.folder)):
                del sys.modules[name]

    def load(self, *specs: str) -> Program:
        """Imports a program."""
        return load_program(specs, self.folder)

    def project(self) -> Project:
        """The project, to be used in a `with` block."""
        return Project(load(self.folder))

    def check(self, *specs: str, with_types: bool = False) -> list[Finding]:
        """What is found in a program."""
        with self.project() as project:
            return list(check(project, [str(self.folder / spec) if ".py" in spec else spec for spec in specs], with_types).findings)

    def said(self, *specs: str) -> list[str]:
        """The same as `level place: what`: of a place the line, counted from the end of `HEAD`, or the word it begins with."""
        return [f"{one.level} {self._place(one.where)}: {one.what}" for one in self.check(*specs)]

    def _place(self, where: str) -> str:
        path, _, line = where.rpartition(":")
        if not line.isdecimal():
            return where.rpartition("/")[2]
        return str(int(line) - HEAD.count("\n")) if path.endswith(".py") else f"{Path(path).name}:{line}"
