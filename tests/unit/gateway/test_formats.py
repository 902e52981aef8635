"""The wire formats: what one client says, the other provider hears, and what cannot be said is named and never dropped."""

import msgspec
import pytest

from freehold.chat import ChatAnswer, Choice, Media, Refusal, Text, ToolCall, ToolResult, Usage
from freehold.errors import CallerError, DataError
from freehold.gateway import anthropic, openai, openai_answers, openai_usage
from freehold.gateway.formats import error_message

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI = {
    "model": "small",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [
            {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,QUJD"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,UERG", "filename": "a.pdf"}},
        ]},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}},
            {"id": "c2", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Rome\"}"}},
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "4 °C"},
        {"role": "tool", "tool_call_id": "c2", "content": "19 °C"},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "description": "Asks.", "parameters": WEATHER, "strict": True}}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
    "max_completion_tokens": 100,
    "stop": ["END", "STOP"],
    "temperature": 0.5,
    "top_p": 0.9,
    "reasoning_effort": "low",
    "user": "ann",
    "response_format": {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER, "strict": True}},
    "stream": True,
    "stream_options": {"include_usage": True},
}  # fmt: skip
ANTHROPIC = {
    "model": "small",
    "max_tokens": 100,
    "system": "Be brief.",
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "UERG"}, "title": "a.pdf"},
        ]},
        {"role": "assistant", "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Oslo"}},
            {"type": "tool_use", "id": "c2", "name": "weather", "input": {"city": "Rome"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "4 °C"},
            {"type": "tool_result", "tool_use_id": "c2", "content": "19 °C"},
        ]},
    ],
    "tools": [{"name": "weather", "description": "Asks.", "input_schema": WEATHER, "strict": True}],
    "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    "stop_sequences": ["END", "STOP"],
    "temperature": 0.5,
    "top_p": 0.9,
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": WEATHER}},
    "metadata": {"user_id": "ann"},
    "stream": True,
}  # fmt: skip


encode = msgspec.json.encode


def test_what_an_openai_client_asks_an_anthropic_provider_hears() -> None:
    assert anthropic.write_request(openai.read_request(OPENAI)) == ANTHROPIC


def test_what_an_anthropic_client_asks_an_openai_provider_hears() -> None:
    asked = openai.write_request(anthropic.read_request(ANTHROPIC))
    named = {"type": "json_schema", "json_schema": {"name": "answer", "schema": WEATHER, "strict": True}}
    assert asked == {**OPENAI, "response_format": named}


def test_a_request_read_and_written_in_one_format_is_what_it_was() -> None:
    assert openai.write_request(openai.read_request(OPENAI)) == OPENAI
    assert anthropic.write_request(anthropic.read_request(ANTHROPIC)) == ANTHROPIC


def test_what_only_one_format_knows_goes_to_providers_of_that_format_alone() -> None:
    asked = openai.read_request({**OPENAI, "prediction": {"type": "content", "content": "x"}})
    assert openai.write_request(asked)["prediction"] == {"type": "content", "content": "x"}
    with pytest.raises(CallerError, match="prediction cannot be said to Anthropic"):
        anthropic.write_request(asked)
    theirs = anthropic.read_request({**ANTHROPIC, "container": "c"})
    with pytest.raises(CallerError, match="container cannot be said to an OpenAI-compatible provider"):
        openai.write_request(theirs)


@pytest.mark.parametrize(
    ("setting", "value", "named"),
    [
        ("seed", 1, "seed"), ("logprobs", True, "top_logprobs"), ("n", 2, "more than one answer"), ("logit_bias", {"5": 1}, "logit_bias"),
        ("frequency_penalty", 0.5, "frequency_penalty"), ("metadata", {"a": "b"}, "metadata"),
        ("response_format", {"type": "json_object"}, "any JSON object"),
        ("messages", [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "QQ==", "format": "wav"}}]}], "audio"),
    ],
)  # fmt: skip
def test_what_anthropic_cannot_be_told_is_named(setting: str, value: object, named: str) -> None:
    with pytest.raises(CallerError, match=named):
        anthropic.write_request(openai.read_request({**OPENAI, setting: value}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": "hello"}, r"messages: expected `array`, got `str`"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, r"messages\[0\]\.content\[0\]\.type is 'smell'"),
        ({"messages": [{"role": "sage", "content": "x"}]}, r"messages\[0\]\.role: invalid enum value 'sage'"),
        ({"messages": [{"role": "user", "content": "x", "mood": "sad"}]}, r"messages\[0\]\.mood cannot be said"),
        ({"model": None}, "model is missing"),
        ({"temperature": "hot"}, "temperature: expected `float`"),
        ({"tools": [{"type": "custom", "custom": {}}]}, r"tools\[0\]\.type is 'custom'"),
    ],
)
def test_a_bad_request_names_its_field(change: dict[str, object], message: str) -> None:
    with pytest.raises(CallerError, match=message):
        openai.read_request({**OPENAI, **change})


def test_thoughts_keep_their_signature_between_anthropics_and_are_words_elsewhere() -> None:
    said = {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "Yes."}
    ]}  # fmt: skip
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "Hi"}, said],
        "thinking": {"type": "enabled", "budget_tokens": 5},
    }
    asked = anthropic.read_request(body)
    assert anthropic.write_request(asked) == body
    plain = msgspec.structs.replace(asked, thinking_tokens=None)
    assert openai.write_request(plain)["messages"][1] == {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    with pytest.raises(CallerError, match="thinking tokens"):
        openai.write_request(asked)


def test_a_tools_failure_is_told() -> None:
    result = {
        "type": "tool_result",
        "tool_use_id": "c",
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        "is_error": True,
    }
    asked = anthropic.read_request({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [result]}]})
    assert asked.messages[0].parts == (ToolResult(call="c", parts=(Text(text="a"), Text(text="b")), is_error=True),)
    assert anthropic.write_request(asked)["messages"][0]["content"] == [result]


ANSWER = ChatAnswer(
    id="a1",
    model="small-1",
    choices=(
        Choice(
            parts=(Text(text="It is 4 °C."), ToolCall(id="c1", name="weather", arguments='{"city":"Oslo"}')),
            finish="tools",
        ),
    ),
    usage=Usage(input_tokens=100, cached_read=60, cached_write=10, output_tokens=20, reasoning_tokens=5),
    created=1_750_000_000,
)


def test_an_answer_read_and_written_is_what_it_was() -> None:
    assert openai_answers.read_answer(encode(openai_answers.write_answer(ANSWER))) == ANSWER
    without = msgspec.structs.replace(ANSWER, created=0, usage=Usage(input_tokens=100, cached_read=60, cached_write=10, output_tokens=20))
    assert anthropic.read_answer(encode(anthropic.write_answer(ANSWER))) == without


def test_usage_is_counted_as_each_provider_counts_it() -> None:
    """OpenAI's input tokens include the cached ones, Anthropic's do not; some who speak OpenAI's format count otherwise."""
    assert openai_usage.read_usage(
        {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 60}}
    ) == Usage(input_tokens=100, cached_read=60, output_tokens=20)
    beside = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 22, "completion_tokens_details": {"reasoning_tokens": 7}}
    assert openai_usage.read_usage(beside) == Usage(input_tokens=10, output_tokens=12, reasoning_tokens=7)  # xAI's
    assert openai_usage.read_usage({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4}) == Usage(  # DeepSeek's
        input_tokens=10, cached_read=4, output_tokens=5
    )
    theirs = {"input_tokens": 30, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 10, "output_tokens": 20}
    assert anthropic.read_usage(theirs) == Usage(input_tokens=100, cached_read=60, cached_write=10, output_tokens=20)


@pytest.mark.parametrize(
    "usage",
    [None, {}, [], {"prompt_tokens": "many"}, {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}}, {"prompt_tokens": -1}],
)
def test_a_usage_that_cannot_be_is_unknown(usage: object) -> None:
    assert openai_usage.read_usage(usage) is None


def test_a_refusal_is_one_in_both_formats() -> None:
    refused = ChatAnswer(id="a", model="m", choices=(Choice(parts=(Refusal(text="No."),), finish="refused"),), usage=None)
    assert openai_answers.read_answer(encode(openai_answers.write_answer(refused))).choices[0].parts == (Refusal(text="No."),)
    assert anthropic.write_answer(refused)["stop_reason"] == "refusal"


@pytest.mark.parametrize("body", [None, [], {}, {"choices": "x"}, {"choices": [{"message": 5}]}, {"content": 5}, "text"])
def test_what_is_no_answer_says_so(body: object) -> None:
    with pytest.raises(DataError, match="is no chat completion"):
        openai_answers.read_answer(encode(body))
    with pytest.raises(DataError, match="is no message"):
        anthropic.read_answer(encode(body))


def test_media_of_other_kinds_are_kept_apart() -> None:
    asked = openai.read_request({"model": "m", "messages": [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}}, {"type": "file", "file": {"file_id": "f1"}}]}
    ]})  # fmt: skip
    assert asked.messages[0].parts == (Media(kind="audio", media_type="audio/mpeg", data="QQ=="), Media(kind="file", file="f1"))
    assert openai.read_request(openai.write_request(asked)) == asked


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"metadata": {"user_id": "a", "team": "b"}}, "metadata.team cannot be said"),
        ({"thinking": {"type": "adaptive", "display": "omitted"}}, "thinking.display cannot be said"),
        ({"output_config": {"effort": "low", "task_budget": 5}}, "output_config.task_budget cannot be said"),
        ({"metadata": False}, "metadata is true or false; expected an object"),
        ({"tool_choice": []}, "tool_choice is a list; expected an object"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "thinking"}]}]}]},
            "holds something other than text",
        ),
    ],
)
def test_what_an_anthropic_client_says_is_never_dropped(body: dict[str, object], named: str) -> None:
    with pytest.raises(CallerError, match=named):
        asked = [{"role": "user", "content": "Hi"}]
        openai.write_request(anthropic.read_request({"model": "m", "max_tokens": 5, "messages": asked, **body}))


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation cannot be said"),
        ({"stream_options": []}, "stream_options is a list; expected an object"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}, "more": 1}}},
            "json_schema.more cannot be said",
        ),
        ({"tool_choice": {"type": "function", "function": {"name": "f", "more": 1}}}, "tool_choice.function.more cannot be said"),
        ({"messages": [{"role": "tool", "tool_call_id": "c", "content": [{"type": "refusal", "refusal": "no"}]}]}, "holds a refusal"),
    ],
)
def test_what_an_openai_client_says_is_never_dropped(body: dict[str, object], named: str) -> None:
    with pytest.raises(CallerError, match=named):
        anthropic.write_request(openai.read_request({"model": "m", "messages": [], **body}))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"error": {"message": "too long", "type": "x"}}', "too long"),
        (b'{"type": "error", "error": {"type": "x", "message": "too long"}}', "too long"),
        (b'{"message": "too long"}', "too long"),
        (b'{"error": "too long"}', "too long"),
        (b'{"detail": "too long"}', "too long"),
        (b'{"detail": [{"loc": ["body"]}]}', '{"detail": [{"loc": ["body"]}]}'),
        (b"<html>", "<html>"),
        (b"", "no reason was given"),
    ],
)
def test_what_went_wrong_is_told_in_the_providers_words(body: bytes, says: str) -> None:
    assert error_message(body) == says
