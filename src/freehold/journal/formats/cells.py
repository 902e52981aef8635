"""A CSV cut into rows of cells, in memory that no row can grow. Quotes as in RFC 4180; a cell may span lines."""

import csv
from collections.abc import Iterator
from typing import NamedTuple

from freehold.errors import DataError
from freehold.journal.formats.lines import MAX_LINE_BYTES, RawLine

DELIMITERS = (",", ";", "\t")
SHOWN = 200
"""So many characters of a row that cannot be had are kept."""
_QUOTES = "Look for a quote that is not closed or not doubled"


class CutRow(NamedTuple):
    """One row of a table of text."""

    number: int
    """The line it begins on, from 1."""
    cells: list[str]
    """What stands in it."""
    why: str
    """Why it cannot be had; empty where it can."""
    text: str
    """How it begins."""


def cut(lines: Iterator[RawLine], delimiter: str) -> Iterator[CutRow]:
    """The header, and then every row that is not empty; one with another number of cells than the header is a bad one."""
    # The limit is the process's own and 128 KB at first, less than a long prompt. It is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    feed = _Feed(lines)
    rows = csv.reader(feed, delimiter=delimiter, strict=True)
    wanted = 0
    while True:
        feed.begin()
        cells: list[str] = []
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            why = f"the row cannot be cut into cells: {error}. {_QUOTES}"
        except DataError as error:
            why = str(error)
        else:
            if not cells:
                continue
            wanted = wanted or len(cells)
            why = feed.why or ("" if len(cells) == wanted else f"the row has {len(cells)} cells; expected {wanted}, as the header has")
        yield CutRow(feed.began, cells, why, feed.text)


def cells_of(header: str, delimiter: str) -> list[str]:
    """A first line cut into cells; none where it cannot be."""
    try:
        return [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    except csv.Error:
        return []


class _Feed:
    """Lines of text for the csv module, which takes them one by one. A line that cannot be had is raised, and passed."""

    def __init__(self, lines: Iterator[RawLine]) -> None:
        self._lines = lines
        self._number = self._held = 0
        self.began = 1
        """The line the row begins on."""
        self.text = ""
        """How it begins."""
        self.why = ""
        """Why it is none, although it can be cut."""

    def begin(self) -> None:
        """The next line begins a row."""
        self.began, self._held, self.text, self.why = self._number + 1, 0, "", ""

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        self._number, raw, why = next(self._lines)
        if why:
            raise DataError(why)
        self._held += len(raw)
        if self._held > MAX_LINE_BYTES:
            raise DataError(f"the row is longer than {MAX_LINE_BYTES // 2**20} MiB. {_QUOTES}")
        try:
            line = raw.decode() + "\n"
        except UnicodeDecodeError as error:  # the row is cut all the same: what follows in its quotes is no row of its own
            line = raw.decode(errors="replace") + "\n"
            where = f"byte {error.start + 1} of line {self._number} (0x{raw[error.start]:02x})"
            self.why = self.why or f"{where} is not UTF-8. Save the table as UTF-8"
        self.text = self.text or line[:SHOWN]
        return line
