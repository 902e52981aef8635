"""What of a value has come, while its words still arrive."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from freehold.pipelines.parse import partial


class Line(BaseModel):
    name: str
    count: int


class Order(BaseModel):
    state: Literal["paid", "paid out"]
    note: str
    first: Line | None = None
    lines: list[Line] = []
    total: float = Field(0.0, alias="sum")


@dataclass(frozen=True, slots=True)
class Point:
    name: str
    x: float


def came(words: str, kind: Any, **options: bool) -> Any:
    return partial(words, TypeAdapter(kind), **options)


def test_a_text_is_what_has_come_of_it() -> None:
    assert came("Half a sen", str) == "Half a sen"
    assert came("", str) is None
    assert came('{"value": "Half a sen', str, wrapped=True) == "Half a sen"
    assert came('{"val', str, wrapped=True) is None


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("{", {}),
        ('{"sta', {}),
        ('{"state": "paid', {}),
        ('{"state": "paid"', {"state": "paid"}),
        ('{"state": "paid", "note": "ab', {"state": "paid", "note": "ab"}),
        ('{"state": "paid", "note": "a \\"b\\" 1', {"state": "paid", "note": 'a "b" 1'}),
        ('{"note": "a", "sum": 12', {"note": "a"}),
        ('{"note": "a", "sum": 12,', {"note": "a", "total": 12.0}),
        ('Here it is:\n```json\n{"note": "a"', {"note": "a"}),
    ],
)
def test_a_model_is_an_instance_with_none_where_nothing_has_come(words: str, fields: dict[str, Any]) -> None:
    made = came(words, Order)
    assert type(made) is Order
    assert {name: value for name, value in made.__dict__.items() if value is not None} == fields
    assert set(made.__dict__) == set(Order.model_fields)


def test_nested_models_grow_and_lists_hold_only_whole_entries() -> None:
    made = came('{"first": {"name": "a', Order)
    assert type(made.first) is Line
    assert (made.first.name, made.first.count) == ("a", None)
    made = came('{"lines": [{"name": "a", "count": 1}, {"name": "b", "count": 2', Order)
    assert made.lines == [Line(name="a", count=1)]
    assert came("[1, 2, 3", list[int]) == [1, 2]
    assert came('["a", "b', list[str]) == ["a"]
    assert came('{"value": [1, 2, 3', list[int], wrapped=True) == [1, 2]


def test_a_dataclass_grows_as_a_model_does() -> None:
    made = came('{"name": "a", "x": 1', Point)
    assert (made.name, made.x) == ("a", None)
    assert came('{"name": "a", "x": 1}', Point) == Point("a", 1.0)


def test_nothing_has_come_of_what_cannot_be_told() -> None:
    for words in ("", "Let me think", "{'name': 'a'", "{]", '{"name": x, '):
        assert came(words, Point) in (None, came("{", Point))
    assert came("pai", Literal["paid"]) is None
    assert came('{"name": 5}', Point) is None


def test_every_beginning_leads_to_the_whole_without_ever_taking_back() -> None:
    """What has come stays, and texts only grow."""
    whole = '{"state": "paid out", "note": "in two\\n parts", "first": {"name": "a", "count": 12}, "lines": [{"name": "b", "count": 3}], "sum": 4.5}'
    notes, states = [], []
    for end in range(len(whole) + 1):
        made = came(whole[:end], Order)
        if made is not None:
            notes.append(made.note or "")
            states.append(made.state)
    assert all(later.startswith(earlier) for earlier, later in pairwise(notes))
    assert set(states) == {None, "paid out"}
    assert came(whole, Order) == Order.model_validate_json(whole)
