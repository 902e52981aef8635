"""A table of rules answers by its first row that fits, and says what is wrong with it."""

from pathlib import Path

import pytest

from freehold.errors import OperatorError
from freehold.variants.memory import Memory
from freehold.variants.rules import Rules


def rules(folder: Path, table: str) -> Rules:
    (folder / "rules.csv").write_text(table, encoding="utf-8")
    return Rules(folder / "rules.csv")


def test_the_first_row_that_fits_answers(tmp_path: Path) -> None:
    table = rules(tmp_path, 'when,tag.tier,answer\n*lost*card*,,cards\n*,gold,"yes, at once"\n"a+b",,sum\n')
    assert [
        found.output if (found := table.run(text, tags)) else None
        for text, tags in [("I LOST\nmy card", {}), ("anything", {"tier": "gold"}), ("a+b", {}), ("aab", {}), ("x a+b", {})]
    ] == ["cards", "yes, at once", "sum", None, None]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("when,answr\na,b\n", "line 2: there is no answer"),
        ("when,answer\na,\n", "line 2: there is no answer"),
        ("when,who,answer\na,b,c\n", "a column 'who'"),
        ("when,answer\na,b,c\n", "a column 'without a name'"),
        ("when,answer\n", "has no rows"),
        ('when,answer\n"a,b\n', "cannot be read"),
    ],
)
def test_what_is_no_table_says_so(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(OperatorError, match=message):
        rules(tmp_path, table)


def test_a_long_text_takes_no_long_time(tmp_path: Path) -> None:
    table = rules(tmp_path, "when,answer\n*a*b*c*d*e*f*,x\n")
    assert table.run("abcde" * 20_000, {}) is None


def test_what_was_answered_is_remembered_for_a_while() -> None:
    memory = Memory(most=2)
    memory.keep("t", "a", "A", 0.0)
    found = memory.run("t", "a", 5.0, 10.0)
    assert found is not None and found.output == "A"
    assert memory.run("t", "a", 11.0, 10.0) is None
    assert memory.run("other", "a", 5.0, 10.0) is None
    memory.keep("t", "b", "B", 0.0)
    memory.keep("t", "c", "C", 0.0)
    assert memory.run("t", "a", 1.0, 10.0) is None
