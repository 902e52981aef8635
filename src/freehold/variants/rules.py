"""Rules answer: a table that people write, whose first row that fits says the answer. What no row fits is passed on.

A CSV file. `answer` is one column; of the others `when` is a pattern of the words (`*` stands for anything, capitals do not count), and `tag.NAME`
a pattern of that tag. An empty cell asks for nothing.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from freehold.errors import OperatorError
from freehold.gateway.pattern import Pattern
from freehold.variants.outcome import Outcome

_MOST_BYTES = 4 * 2**20
_TAG = "tag."


class _Row(NamedTuple):
    when: Pattern | None
    tags: tuple[tuple[str, Pattern], ...]
    answer: str


class Rules:
    """The rows of one table, in their order."""

    def __init__(self, path: Path) -> None:
        """Raises OperatorError for a file that is no such table."""
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise OperatorError(f"{path} is larger than 4 MiB; a table of rules is one that people write.")
            with path.open(encoding="utf-8-sig", newline="") as file:
                self._rows = [_row(row, f"{path}, line {n}") for n, row in enumerate(csv.DictReader(file, strict=True), 2)]
        except (OSError, csv.Error, UnicodeDecodeError) as error:
            raise OperatorError(
                f"{path} cannot be read as a table of rules: {error}. Expected a CSV file with a column 'answer'."
            ) from None
        if not self._rows:
            raise OperatorError(f"{path} has no rows. Expected columns such as when,answer and a row for each rule.")

    @property
    def fits_all(self) -> bool:
        """Whether there is a row that fits whatever is asked."""
        return any(row.when is None and not row.tags for row in self._rows)

    def run(self, text: str, tags: Mapping[str, str]) -> Outcome | None:
        """The answer of the first row that fits; None where none does."""
        folded = text.casefold()
        for row in self._rows:
            fits = row.when is None or row.when.fits(folded)
            if fits and all(pattern.fits(tags.get(name, "").casefold()) for name, pattern in row.tags):
                return Outcome(row.answer, 0.0, known={"confidence": 1.0})
        return None


def _row(row: Mapping[str | None, str | None], where: str) -> _Row:
    answer = row.get("answer")
    if not answer:
        raise OperatorError(f"{where}: there is no answer. Expected a column 'answer' with something in it.")
    tags: list[tuple[str, Pattern]] = []
    when = None
    for column, cell in row.items():
        if column is None or (column not in ("when", "answer") and not column.startswith(_TAG)):
            raise OperatorError(f"{where}: there is a column '{column or 'without a name'}'. Expected when, tag.NAME and answer.")
        if cell and column == "when":
            when = Pattern(cell.casefold())
        elif cell and column.startswith(_TAG):
            tags.append((column.removeprefix(_TAG), Pattern(cell.casefold())))
    return _Row(when, tuple(tags), answer)
