"""A row of a batch's table: its place, its input and its output, side by side, whatever they are called."""

from dataclasses import dataclass
from typing import Any

import pytest

from freehold.chat import JSON
from freehold.pipelines.laid import columns, laid
from freehold.pipelines.rows import Row
from freehold.pipelines.signature import Signature
from freehold.pipelines.writers import check


@dataclass
class Sorted:
    queue: str


def sort(message: str) -> Sorted:
    raise NotImplementedError


def side_by_side(input: JSON) -> dict[str, Any]:
    """What stands in the table for a row whose answer is 'cards'."""
    row = Row(7, input, "k")
    fields = columns([row], Signature(sort))
    found = laid(row, {"queue": "cards"}, fields)
    check(7, found, fields)
    return {name: found.get(name) for name in fields}


@pytest.mark.parametrize(
    ("input", "found"),
    [
        ("hello", {"row": 7, "input": "hello", "queue": "cards"}),
        ({"message": "hello"}, {"row": 7, "message": "hello", "queue": "cards"}),
        ({"queue": "mine"}, {"row": 7, "queue": "mine", "output.queue": "cards"}),
        ({"row": "0", "input": "hello"}, {"row": 7, "input": "hello", "input.row": "0", "queue": "cards"}),
        ({"row": "0", "input.row": "1"}, {"row": 7, "input.row": "1", "input.input.row": "0", "queue": "cards"}),
        ({"output.queue": "before"}, {"row": 7, "output.queue": "before", "output.output.queue": "cards"}),
        ({"queue": "a", "output.queue": "b"}, {"row": 7, "queue": "a", "output.queue": "b", "output.output.queue": "cards"}),
    ],
)
def test_nothing_takes_the_column_of_another(input: JSON, found: dict[str, Any]) -> None:
    """What a batch wrote is often the input of the next one, and has a row, an input and an output of its own."""
    assert side_by_side(input) == found
