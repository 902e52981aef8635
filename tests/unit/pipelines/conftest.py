"""What tests of programs share: they are imported as if this process were a new one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import Home

from freehold.pipelines import task


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A project whose programs nobody imported before, and nobody finds afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(task, "_declared", {})
    made = Home(tmp_path)
    yield made
    made.forget()
