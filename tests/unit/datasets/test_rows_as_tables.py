"""Rows as Arrow tables: what goes in comes out, and tables that were frozen before a field came are read."""

from freehold.datasets.example import Example
from freehold.datasets.table import examples_in, table_of

ROW = Example(
    id="1", kind="calls", task="triage", item="i1", group=None, input={"q": "é"}, output=["a", None], variant="small", calls=("c1",),
    writer="ours", trains="yes", source="import", customer="c" * 64, tags={"tier": "gold"}, scores={"correct": 1.0},
)  # fmt: skip


def test_what_goes_in_comes_out() -> None:
    assert examples_in(table_of([ROW], {"split": ["train"]})) == [ROW]


def test_a_table_without_a_field_that_came_later_has_its_default() -> None:
    table = table_of([ROW], {"split": ["train"]})
    (found,) = examples_in(table.drop_columns(["customer"]))
    assert found.customer is None and found.id == "1"
