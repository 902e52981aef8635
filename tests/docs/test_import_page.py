"""The page on import shows what import does: its examples are imported, its tables hold what the code holds."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from freehold.catalog import Catalog
from freehold.journal.call import Call, Feedback, LabelDesign
from freehold.journal.formats.detect import READERS, Format
from freehold.journal.formats.lines import MAX_LINE_BYTES
from freehold.journal.formats.record import COLUMNS
from freehold.journal.ingest import IngestOptions, IngestReport, ingest
from freehold.journal.write import Appended
from freehold.pricing.book import PriceBook

PAGE = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```(jsonl|csv)\n(.*?)```", PAGE, re.DOTALL)


def imported(text: str, path: Path) -> tuple[IngestReport, list[Call], list[Feedback]]:
    calls: list[Call] = []
    said: list[Feedback] = []

    def sink(more: Sequence[Call], feedback: Sequence[Feedback]) -> Appended:
        calls.extend(more)
        said.extend(feedback)
        return Appended(added=len(more))

    path.write_text(text, encoding="utf-8")
    return ingest([str(path)], sink, IngestOptions(strict=True), Catalog(), PriceBook()), calls, said


def test_there_is_an_example_of_each_text_format() -> None:
    """Native, table, log."""
    assert [kind for kind, _ in EXAMPLES] == ["jsonl", "csv", "jsonl"]


@pytest.mark.parametrize(("kind", "text"), EXAMPLES, ids=["native", "csv", "openai"])
def test_each_example_is_imported_without_a_problem(kind: str, text: str, tmp_path: Path) -> None:
    """As it stands on the page, with its format told by its content."""
    report, calls, _ = imported(text, tmp_path / "example")
    assert (report.problem_count, report.conflicts) == (0, 0)
    assert report.added == len(calls) == len(text.strip().splitlines()) - (kind == "csv")


def test_the_examples_say_what_the_page_says_of_them(tmp_path: Path) -> None:
    """One item by two variants; an empty cell is null; the response's model answered at its second."""
    _, native, scores = imported(EXAMPLES[0][1], tmp_path / "native")
    assert {call.item for call in native} == {"msg-1"}
    assert [call.variant for call in native] == ["gpt-5", "gpt-5-mini"]
    assert [said.value for said in scores] == [1.0, 0.0]
    _, (first, second), scores = imported(EXAMPLES[1][1], tmp_path / "csv")
    assert (first.tags, second.tags, second.usage, len(scores)) == ({"tier": "gold"}, {}, None, 1)
    _, (logged,), _ = imported(EXAMPLES[2][1], tmp_path / "openai")
    assert (logged.variant, logged.output, logged.latency_s) == ("gpt-4o-2024-08-06", "cards", 0.812)
    assert logged.at == datetime(2026, 1, 31, 9, tzinfo=UTC)


def test_the_page_names_every_format_column_and_design() -> None:
    """What can be given is written down."""
    rows = re.findall(r"^\| (`[^|]*`) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    assert set(COLUMNS) <= named
    assert set(READERS) == set(get_args(Format)) - {"auto"} <= named
    assert all(f"**`{design}`**" in PAGE for design in get_args(LabelDesign))
    assert f"over {MAX_LINE_BYTES // 2**20} MiB" in PAGE
