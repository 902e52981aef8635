"""Any value in any place of a request or an answer is read, or refused as what it is: nothing else is raised, which nobody would answer for."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from freehold.chat import JSON, Collected
from freehold.errors import CallerError, DataError, ProviderError
from freehold.gateway import anthropic, anthropic_stream, openai, openai_answers, openai_stream
from freehold.gateway.sse import Event

VALUES: list[JSON] = [None, 5, -1, 1.5, "x", "", True, [], {}, [5], ["a"], [None], {"a": 5}, {"type": "text"}, 10**30, [[]], [{}]]
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ASKED_OPENAI = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [
            {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            {"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}, {"type": "file", "file": {"file_id": "x"}}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "r"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
    "stop": ["a"], "stream": True, "stream_options": {"include_usage": True}, "metadata": {"a": "b"}, "logprobs": True, "top_logprobs": 2, "n": 1,
}  # fmt: skip
ASKED_ANTHROPIC = {
    "model": "m", "max_tokens": 5, "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [
            {"type": "text", "text": "a"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A"}},
            {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "z"}]}]},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "c", "name": "f", "input": {}}, {"type": "thinking", "thinking": "t", "signature": "s"}]},
    ],
    "tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "auto"}, "thinking": {"type": "enabled", "budget_tokens": 5},
    "metadata": {"user_id": "u"}, "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}}, "stop_sequences": ["a"],
}  # fmt: skip
USAGE = {
    "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 1},
}  # fmt: skip
SAID_OPENAI = {
    "id": "i", "model": "m", "created": 1, "usage": USAGE,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi", "refusal": None, "tool_calls": [CALL]}, "finish_reason": "stop"}],
}  # fmt: skip
SAID_ANTHROPIC = {
    "id": "i", "type": "message", "model": "m", "stop_reason": "end_turn", "stop_sequence": None,
    "content": [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "c", "name": "f", "input": {}}],
    "usage": {"input_tokens": 3, "output_tokens": 3, "output_tokens_details": {}},
}  # fmt: skip
PIECE_OPENAI = {
    "id": "i", "model": "m", "created": 1, "usage": USAGE,
    "choices": [{"index": 0, "finish_reason": None, "logprobs": {"content": [{"token": "a"}]}, "delta": {
        "content": "a", "reasoning_content": "b", "refusal": "c", "tool_calls": [{"index": 0, **CALL}]}}],
}  # fmt: skip
PIECES_ANTHROPIC: list[JSON] = [
    {"type": "message_start", "message": {"id": "i", "model": "m", "usage": {"input_tokens": 3}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "c", "name": "f", "input": {}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "a"}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "thinking_delta", "thinking": "a"}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "signature_delta", "signature": "a"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 3}},
    {"type": "error", "error": {"type": "overloaded_error", "message": "a"}},
]


def altered(whole: JSON) -> Iterator[JSON]:
    """The value with each of VALUES in each of its places."""
    yield from VALUES
    places = list(whole.items()) if isinstance(whole, dict) else list(enumerate(whole)) if isinstance(whole, list) else []
    for place, inner in places:
        for value in altered(inner):
            other: Any = dict(whole) if isinstance(whole, dict) else list(whole)
            other[place] = value
            yield other


@pytest.mark.parametrize("asked", [ASKED_OPENAI, ASKED_ANTHROPIC], ids=["openai", "anthropic"])
@pytest.mark.parametrize("write", [openai.write_request, anthropic.write_request], ids=["to openai", "to anthropic"])
def test_a_request(asked: JSON, write: Callable[[Any], JSON]) -> None:
    read = openai.read_request if asked is ASKED_OPENAI else anthropic.read_request
    outcomes = set()
    for body in altered(asked):
        try:
            msgspec.json.encode(write(read(body)))
            outcomes.add("sent")
        except CallerError:
            outcomes.add("refused")
    assert "refused" in outcomes


@pytest.mark.parametrize("said", [SAID_OPENAI, SAID_ANTHROPIC], ids=["openai", "anthropic"])
def test_an_answer(said: JSON) -> None:
    read = openai_answers.read_answer if said is SAID_OPENAI else anthropic.read_answer
    outcomes = set()
    for body in altered(said):
        try:
            answer = read(msgspec.json.encode(body))
        except DataError:
            outcomes.add("refused")
            continue
        msgspec.json.encode(openai_answers.write_answer(answer))
        try:
            msgspec.json.encode(anthropic.write_answer(answer))
            outcomes.add("passed on")
        except CallerError:
            outcomes.add("cannot be said")
    # A call whose arguments are no object: OpenAI's format has words for it, Anthropic's has none, and no answer in it holds one.
    assert outcomes == {"passed on", "refused"} | ({"cannot be said"} if said is SAID_OPENAI else set())


@pytest.mark.parametrize("pieces", [[PIECE_OPENAI], PIECES_ANTHROPIC], ids=["openai", "anthropic"])
def test_a_stream(pieces: list[JSON]) -> None:
    """However a piece is altered after those before it were read."""
    format = openai_stream if pieces == [PIECE_OPENAI] else anthropic_stream
    outcomes = set()
    for n, piece in enumerate(pieces):
        for other in altered(piece):
            reader, collected = format.StreamReader(), Collected()
            writers: list[Any] = [openai_stream.StreamWriter(True), anthropic_stream.StreamWriter()]
            try:
                for told in (*pieces[:n], other):
                    for chunk in reader.read(Event(b"", msgspec.json.encode(told))):
                        collected.add(chunk)
                        for writer in writers:
                            writer.write(chunk)
                outcomes.add("passed on")
            except ProviderError:
                outcomes.add("refused")
            openai_answers.write_answer(collected.answer())
            for writer in writers:
                writer.end()
    assert outcomes == {"passed on", "refused"}
