"""A prompt is checked against the signature of its task: every name in it is there, and every parameter is said."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from freehold.context.prompt import DEFAULT
from freehold.pipelines.signature import Signature
from freehold.pipelines.wording import Wording, check_wording, is_medium


class Image(BaseModel):
    """Stands for a value that is no text."""

    data: str


Image.__module__ = "freehold.context.media"


class Line(BaseModel):
    """A line of an order."""

    sku: str
    count: int


@dataclass
class Order:
    """An order."""

    lines: list[Line]
    note: str | None
    tags: dict[str, str]


def asked(message: str, order: Order, tier: Literal["basic", "gold"] = "basic") -> str:
    """A task's function."""
    raise NotImplementedError


def seen(message: str, photo: Image, more: list[Image]) -> str:
    """One that is shown pictures."""
    raise NotImplementedError


def found(template: str, function: Callable[..., Any] = asked) -> list[tuple[str, str]]:
    return [(one.level, one.what) for one in check_wording(Wording("desk.py:1", template), Signature(function))]


@pytest.mark.parametrize(
    "template",
    [
        DEFAULT,
        "{{ message }} {{ order }} {{ tier }}",
        "{{ input.message }} of {{ input['order'] }}",
        "{% for name, value in input.items() %}{{ name }}{{ value }}{% endfor %}",
        "{{ message }}{{ tier }}{% for line in order.lines %}{{ line.sku }}{{ line['count'] }}{% endfor %}",
        "{{ message }}{{ tier }}{{ order.lines[0].anything }}{{ order.tags.any }}{{ order.tags.items() }}{{ (order.lines | first).sku }}",
        "{% block system %}{{ instruction }} {{ schema }} {{ tier }}{% endblock %}{% block user %}{{ message }}{{ order.note }}{% endblock %}",
        "{% block system %}Be kind.{% endblock %}",
    ],
)
def test_a_prompt_that_fits_its_task_is_passed(template: str) -> None:
    """Its parameters, `input`, `instruction` and `schema`, attributes that their types have, and what a loop names."""
    assert found(template) == []


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a\n{{ mesage }}", "line 2 of the prompt says 'mesage', which the task does not have. Did you mean 'message'?"),
        ("{{ message }}{{ range }}", "line 1 of the prompt says 'range', which the task does not have."),
        ("{{ input.mesage }}", "line 1 of the prompt says 'mesage', which 'input' does not have. Did you mean 'message'?"),
        ("{{ order.line }}", "line 1 of the prompt says 'line', which 'order' does not have. Did you mean 'lines'?"),
        (
            "{% for l in order.lines %}\n{{ l.skku }}{% endfor %}",
            "line 2 of the prompt says 'skku', which 'l' does not have. Did you mean 'sku'?",
        ),
        ("{{ (order.lines | last).skku }}", "line 1 of the prompt says 'skku', which 'it' does not have."),
        ("{{ message | shout }}", "A prompt's template, line 1: there is no filter 'shout'."),
        ("{{ message ", "A prompt's template cannot be read, line 1"),
    ],
)
def test_a_name_that_is_not_there_is_an_error_with_its_line(template: str, said: str) -> None:
    [(level, what)] = found(template)
    assert level == "error" and what.startswith(said)


def test_a_parameter_that_is_never_said_is_a_warning() -> None:
    assert found("{{ message }} {{ order }}") == [
        ("warning", "the prompt does not say parameter 'tier': whoever is asked never hears of it")
    ]


def test_what_is_no_text_goes_through_no_filter() -> None:
    """An image stands where it is said; a filter would make words of it."""
    assert found("{{ message | upper }}{{ photo }}{{ more | first }}{% for one in more %}{{ one }}{% endfor %}", seen) == []
    [(level, what)] = found("{{ message }}{{ more }}\n{{ photo | tojson }}", seen)
    assert (level, what) == ("error", "line 2 of the prompt puts 'photo', which is no text, through the filter 'tojson'")


def test_what_is_no_text_is_known_wherever_it_stands_in_a_type() -> None:
    assert is_medium(Image) and is_medium(list[Image]) and is_medium(Image | None)
    assert not is_medium(str) and not is_medium(list[Line]) and not is_medium(Literal["a"])
