"""Spans and answers, either way: what a task answers is read as spans of its text, and put together again."""

import pytest

from freehold.chat import JSON
from freehold.training.lesson import shape_of
from freehold.variants.spans import Form, Span, form_of, share_found

TEXT = "Book for four on Friday, or for 4 on Friday night"


@pytest.mark.parametrize(
    "answer",
    [
        [{"start": 17, "end": 23, "label": "day"}],
        [{"label": "day", "text": "Friday"}],
        [{"text": "four", "label": "people", "start": 9, "end": 13}, {"text": "Friday", "label": "day", "start": 17, "end": 23}],
        {"people": 4, "day": "Friday"},
        {"people": 4, "day": None},
        {"days": ["Friday", "Friday night"]},
    ],
)
def test_an_answer_comes_back_from_its_spans(answer: JSON) -> None:
    form = form_of([answer, {"people": 1, "day": "x"}] if isinstance(answer, dict) and "day" in answer else [answer])
    assert form is not None
    spans = form.spans(TEXT, answer)
    assert spans is not None
    assert form.assemble(TEXT, spans) == answer


def test_fields_that_say_nothing_are_null_or_left_out_as_the_task_has_them() -> None:
    null, out = form_of([{"day": None, "n": 2}, {"day": "x", "n": 1}]), form_of([{"day": "x", "n": 2}, {"n": 1}])
    assert null is not None and out is not None
    assert null.assemble("2", [Span(0, 1, "n")]) == {"day": None, "n": 2}
    assert out.assemble("2", [Span(0, 1, "n")]) == {"n": 2}


def test_a_value_that_is_not_in_the_text_or_there_twice_over_is_no_span() -> None:
    form = Form(keys=("text", "label"))
    assert form.spans("on Friday", [{"text": "Monday", "label": "day"}]) is None
    assert form.spans("on Friday", [{"text": "Friday", "label": "day"}, {"text": "Friday", "label": "day"}]) is None
    assert form.spans("Fridays", [{"text": "Friday", "label": "day"}]) is None, "a part of a word"
    assert Form(keys=("start", "end", "label")).spans("on", [{"start": 1, "end": 9, "label": "day"}]) is None


def test_words_that_are_no_number_leave_a_number_field_empty() -> None:
    form = form_of([{"n": 2}, {"n": None}])
    assert form is not None
    assert form.assemble("a few", [Span(0, 5, "n")]) == {"n": None}
    assert form.assemble("1,200", [Span(0, 5, "n")]) == {"n": 1200}
    assert form.assemble("1.2.3", [Span(0, 5, "n")]) == {"n": None}


def test_answers_of_another_kind_have_no_form() -> None:
    for answers in (["a"], [["a"]], [[{"start": 1, "end": 2, "label": "x", "by": "eve"}]], [{"a": True}], [{"a": {"b": "c"}}], [[]], []):
        assert form_of(answers) is None


def test_objects_are_fields_where_their_values_stand_in_the_texts() -> None:
    texts = ["a table on friday", "monday please", "friday"]
    answers: list[JSON] = [{"day": "friday"}, {"day": "monday"}, {"day": "friday"}]
    assert shape_of(answers * 2, texts * 2) == "fields"
    assert shape_of([{"queue": "cards"}, {"queue": "loans"}] * 3, ["swallowed", "borrow"] * 3) == "choice"
    form = form_of(answers)
    assert form is not None and share_found(form, texts, answers) == 1.0
    assert shape_of([[{"text": "a", "label": "b"}], []]) == "spans"
