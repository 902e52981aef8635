"""What the tests of import share: files from bytes, lines from files."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from memory_journal import Memory

from freehold.journal.formats.detect import Format, reader_of
from freehold.journal.formats.record import Line, Record
from freehold.journal.formats.source import opened

ReadLines = Callable[..., list[Line]]


@pytest.fixture
def lines_of(tmp_path: Path) -> ReadLines:
    """Reads bytes as a file of that name: `lines_of(b"...", "x.jsonl", "freehold")`."""

    def read(content: bytes, name: str = "log.jsonl", format: Format = "auto") -> list[Line]:
        path = tmp_path / name
        path.write_bytes(gzip.compress(content, 1) if name.endswith(".gz") and not content.startswith(b"\x1f\x8b") else content)
        with opened([str(path)]) as (source,):
            return list(reader_of(source, format)(source))

    return read


@pytest.fixture
def record_of(lines_of: ReadLines) -> Callable[..., Record]:
    """The record in a file's only line."""

    def read(content: bytes, name: str = "log.jsonl", format: Format = "auto") -> Record:
        (line,) = lines_of(content, name, format)
        assert line.record is not None, line.problem
        return line.record

    return read


@pytest.fixture
def problem_of(lines_of: ReadLines) -> Callable[..., str]:
    """The reason why a file's only line holds no record."""

    def read(content: bytes, name: str = "log.jsonl", format: Format = "auto") -> str:
        (line,) = lines_of(content, name, format)
        assert line.record is None, line.record
        return line.problem

    return read


@pytest.fixture
def memory() -> Memory:
    """An empty journal in memory."""
    return Memory()
