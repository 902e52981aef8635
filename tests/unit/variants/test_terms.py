"""An answer that is made here takes the form that the request wants, or what cannot be given is named."""

from typing import Any

import pytest

from freehold.chat import Media, Text, ToolCall, Usage
from freehold.errors import CallerError
from freehold.variants.outcome import Outcome
from freehold.variants.terms import CannotGive, choices, fits

REFUND = {"content": "At once.", "tool_calls": [{"name": "refund", "arguments": {"order": 7}}, {"name": "note", "arguments": "{not json"}]}


def offering(*names: str, **further: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": name}} for name in names], **further}


def only(output: Any, asked: dict[str, Any], **fields: Any) -> Any:
    (choice,) = choices(Outcome(output, 0.0, **fields), asked, "c1")
    return choice


def test_words_and_values_are_told_as_they_are() -> None:
    assert only("cards", {}).parts == (Text(text="cards"),)
    assert only({"queue": "cards"}, {}).parts == (Text(text='{"queue":"cards"}'),)


def test_calls_of_tools_are_told_as_such_to_whoever_offers_those_tools() -> None:
    choice = only(REFUND, offering("refund", "note"))
    assert choice.finish == "tools"
    assert choice.parts == (
        Text(text="At once."),
        ToolCall(id="call_c1_0", name="refund", arguments='{"order":7}'),
        ToolCall(id="call_c1_1", name="note", arguments="{not json"),
    )


@pytest.mark.parametrize(
    ("output", "asked", "named"),
    [
        (REFUND, offering("refund"), "tools: it calls 'note'"),
        (REFUND, {}, "tools: it calls 'refund'"),
        (REFUND, offering("refund", "note", tool_choice="none"), "tool_choice: it calls 'refund'"),
        (REFUND, offering("refund", "note", tool_choice={"type": "none"}), "tool_choice: it calls 'refund'"),
        (
            REFUND,
            offering("refund", "note", tool_choice={"type": "function", "function": {"name": "refund"}}),
            "tool_choice: it calls 'note'",
        ),
        ("words", offering("refund", tool_choice={"type": "any"}), "tool_choice: it calls no tool"),
        ("words", {"functions": [{"name": "refund"}], "function_call": {"name": "refund"}}, "function_call"),
        ("words", {"modalities": ["text", "audio"]}, "modalities"),
        ("words", {"logprobs": True}, "logprobs"),
        ("words", {"response_format": {"type": "json_object"}}, "response_format: it is no JSON"),
        ("[1]", {"response_format": {"type": "json_object"}}, "response_format: it is of another form"),
        ('{"a": 1}', {"stop": "1", "response_format": {"type": "json_object"}}, "response_format: it is no JSON"),
    ],
)
def test_what_cannot_be_given_is_named(output: Any, asked: dict[str, Any], named: str) -> None:
    with pytest.raises(CannotGive, match=named):
        only(output, asked)


def test_words_end_where_either_format_says() -> None:
    """A request that only Anthropic's words can say is read as it came."""
    for asked in ({"stop": "b"}, {"stop_sequences": ["x", "b"]}, {"stop": ["x"], "stop_sequences": ["b", "c"]}):
        choice = only("abc", asked)
        assert (choice.parts, choice.stop) == ((Text(text="a"),), "b")


def test_a_form_is_held_to_in_either_format() -> None:
    asked = {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object", "required": ["queue"]}}}}
    assert only({"queue": "cards"}, asked)
    with pytest.raises(CannotGive, match=r"output_config\.format: it is of another form"):
        only({}, asked)


def test_a_limit_is_held_against_what_was_counted_and_else_against_a_quarter_of_the_characters() -> None:
    counted = {"usage": Usage(output_tokens=9)}
    assert only("x" * 100, {"max_tokens": 9}, **counted)
    with pytest.raises(CannotGive, match="max_completion_tokens: it has about 9 tokens, and 8 are allowed"):
        only("x" * 100, {"max_completion_tokens": 8}, **counted)
    assert only("transfer_pending", {"max_tokens": 4})
    with pytest.raises(CannotGive, match="max_tokens: it has about 4 tokens, and 3 are allowed"):
        only("transfer_pending", {"max_tokens": 3})


@pytest.mark.parametrize(
    "asked", [{"n": True}, {"n": 1.5}, {"n": 129}, {"max_tokens": 0}, {"stop": 5}, {"stop": [None]}, {"stop_sequences": 5}]
)
def test_what_is_wrong_whoever_answers_is_not_put_to_anybody_else(asked: dict[str, Any]) -> None:
    with pytest.raises(CallerError) as caught:
        only("words", asked)
    assert not isinstance(caught.value, CannotGive)


OBJECT = {
    "type": "object",
    "properties": {"queue": {"enum": ["cards", "rates"]}, "n": {"type": ["integer", "null"]}},
    "required": ["queue"],
}


@pytest.mark.parametrize(
    ("value", "schema", "does"),
    [
        ({"queue": "cards", "n": None, "more": 1}, OBJECT, True),
        ({"queue": "cards", "n": 2.0}, OBJECT, True),
        ({"queue": "cards", "n": 2.5}, OBJECT, False),
        ({"queue": "cards", "n": True}, OBJECT, False),
        ({"queue": "loans"}, OBJECT, False),
        ({"n": 1}, OBJECT, False),
        ({"queue": "cards", "more": 1}, {**OBJECT, "additionalProperties": False}, False),
        (["a", 1], {"type": "array", "items": {"type": "string"}}, False),
        (["a"], {"items": {"const": "a"}}, True),
        (1, {"const": 2}, False),
        (True, {"enum": [1]}, False),
        (0, {"enum": [False]}, False),
        (True, {"enum": [1, True]}, True),
        (1.0, {"enum": [1]}, True),
        (True, {"const": 1}, False),
        ({"a": [True]}, {"const": {"a": [1]}}, False),
        ({"a": [1, None]}, {"const": {"a": [1.0, None]}}, True),
        ("x", {"anyOf": [{"type": "number"}]}, True),  # not looked at
        ({"a": [1]}, {"type": 7, "enum": 7, "properties": 7, "required": 7, "items": 7}, True),
        (1, True, True),
        (1, False, False),
        (1, None, True),
    ],
)
def test_a_value_fits_a_schema(value: Any, schema: Any, does: bool) -> None:
    assert fits(value, schema) is does


@pytest.mark.parametrize("schema", [{"type": {"x": 1}}, {"type": [["object"]]}, {"type": "object", "required": [["a"], {"b": 1}]}])
def test_schemas_that_are_none_are_not_looked_at(schema: Any) -> None:
    assert fits({"a": 1}, schema)


PAGE = {"media": "image", "media_type": "image/png", "data": "iVBORw0K"}
SOUND = {"media": "audio", "data": "UklGRg==", "transcript": "Good day."}


def test_media_of_a_recorded_answer_are_parts_of_it() -> None:
    page, sound = Media(kind="image", media_type="image/png", data="iVBORw0K"), Media(kind="audio", data="UklGRg==", transcript="Good day.")
    assert only(PAGE, {}).parts == (page,)
    assert only({"content": "Here.", "media": [PAGE, PAGE]}, {"max_tokens": 5}).parts == (Text(text="Here."), page, page)
    assert only(SOUND, {"modalities": ["text", "audio"]}).parts == (sound,)


@pytest.mark.parametrize(
    ("output", "asked", "named"),
    [
        (SOUND, {}, "modalities: it is a recording"),
        (PAGE, {"response_format": {"type": "json_object"}}, "response_format: it is no JSON"),
        ({"media": "video", "frames": [{"at_s": 0.0, "image": PAGE}]}, {}, "a film in frames is no single part"),
        ({"content": "a" * 400, "media": [PAGE]}, {"max_tokens": 5}, "max_tokens: it has about 100 tokens"),
    ],
)
def test_media_that_were_not_asked_for_cannot_be_given(output: Any, asked: dict[str, Any], named: str) -> None:
    with pytest.raises(CannotGive, match=named):
        only(output, asked)
