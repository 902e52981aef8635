"""Logs of OpenAI bodies: each arrangement a log has them in, and what each part becomes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from freehold.chat import Usage
from freehold.journal.formats.record import Line, Logged

Log = Callable[..., Logged]
Problem = Callable[..., str]

MESSAGES = [{"role": "system", "content": "You sort support messages."}, {"role": "user", "content": "My card was swallowed"}]
REQUEST = {"model": "gpt-4o", "messages": MESSAGES}
RESPONSE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1769850000,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "cards", "refusal": None}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 31, "completion_tokens": 2, "total_tokens": 33},
}


def entry(**fields: Any) -> bytes:
    return json.dumps({"request": REQUEST, "response": RESPONSE} | fields).encode()


def answered(message: dict[str, Any], end: str = "stop", **body: Any) -> bytes:
    return entry(response=RESPONSE | {"choices": [{"message": message, "finish_reason": end}]} | body)


def used(**usage: Any) -> bytes:
    return entry(response=RESPONSE | {"usage": usage})


def test_a_call_is_what_was_asked_by_whom_and_what_came_back(record_of: Log) -> None:
    """The response names the model that answered; its second is when."""
    record = record_of(entry(latency_ms=812))
    assert (record.variant, record.output, record.outcome, record.key) == ("gpt-4o-2024-08-06", "cards", "answered", "chatcmpl-1")
    assert (record.input, record.task, record.latency_ms) == (MESSAGES, None, 812)
    assert record.at == datetime(2026, 1, 31, 9, tzinfo=UTC)
    assert record.usage == Usage(input_tokens=31, output_tokens=2)


def test_the_item_is_the_question(record_of: Log) -> None:
    """Two models asked the same share an item; another tool or form of answer is another question."""
    same = record_of(entry(request=REQUEST | {"model": "gpt-4o-mini", "temperature": 0.2}, response=RESPONSE | {"id": "chatcmpl-2"}))
    assert same.item == record_of(entry()).item
    others = [
        {"messages": [*MESSAGES, {"role": "user", "content": "Well?"}]},
        {"tools": [{"type": "function", "function": {"name": "look_up"}}]},
        {"response_format": {"type": "json_object"}},
    ]
    assert len({record_of(entry(request=REQUEST | other)).item for other in others} | {same.item}) == 4


def test_tools_and_the_form_of_the_answer_are_part_of_the_input(record_of: Log) -> None:
    """What shapes the answer stands beside the messages."""
    tools = [{"type": "function", "function": {"name": "look_up"}}]
    assert record_of(entry(request=REQUEST | {"tools": tools})).input == {"messages": MESSAGES, "tools": tools}


@pytest.mark.parametrize(
    "line",
    [
        {"request": json.dumps(REQUEST), "response": json.dumps(RESPONSE)},
        {"request": {"headers": {}, "body": REQUEST}, "response": {"status_code": 200, "body": RESPONSE}},
        {
            "custom_id": "7",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": REQUEST,
            "response": {"status_code": 200, "body": RESPONSE},
        },
        {"messages": MESSAGES, **RESPONSE},
        {"input": MESSAGES, "output": [{"role": "assistant", "content": "cards"}], "model": "gpt-4o-2024-08-06"},
        {"input": MESSAGES, "output": "cards", "model": "gpt-4o-2024-08-06"},
    ],
    ids=["bodies as text", "bodies beside headers", "batch input and output joined", "flat", "stored, a message", "stored, text"],
)
def test_each_documented_arrangement_gives_the_same_call(record_of: Log, line: dict[str, Any]) -> None:
    """The arrangement is the log's habit, not part of the call."""
    record, plain = record_of(json.dumps(line).encode()), record_of(entry())
    assert (record.item, record.variant, record.output) == (plain.item, plain.variant, plain.output)


def test_columns_of_the_native_record_beside_the_bodies_win(record_of: Log) -> None:
    """A log can be enriched with what only its owner knows."""
    record = record_of(
        entry(task="triage", item="7", variant="frontier", scores={"correct": 1}, group="c1", cost_usd=0.01, tags={"tier": "gold"})
    )
    assert (record.task, record.item, record.variant, record.group, record.cost_usd) == ("triage", "7", "frontier", "c1", 0.01)
    assert (record.scores, record.tags) == ({"correct": 1.0}, {"tier": "gold"})


def test_metadata_becomes_tags_and_the_user_the_subject(record_of: Log) -> None:
    """Both were sent along to find the call again."""
    record = record_of(entry(request=REQUEST | {"metadata": {"tier": "gold"}, "user": "u-17"}))
    assert (record.tags, record.subject) == ({"tier": "gold"}, "u-17")


@pytest.mark.parametrize(
    ("usage", "canonical"),
    [
        (
            {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150, "prompt_tokens_details": {"cached_tokens": 64}},
            Usage(input_tokens=100, cached_read=64, output_tokens=50),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 32, "audio_tokens": 0}},
            Usage(input_tokens=10, output_tokens=50, reasoning_tokens=32),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 118, "completion_tokens_details": {"reasoning_tokens": 100}},
            Usage(input_tokens=10, output_tokens=108, reasoning_tokens=100),
        ),
        (
            {
                "prompt_tokens": 30,
                "completion_tokens": 9,
                "prompt_tokens_details": {"audio_tokens": 20},
                "completion_tokens_details": {"audio_tokens": 9},
            },
            Usage(
                input_tokens=30, output_tokens=9, input_by_modality={"text": 10, "audio": 20}, output_by_modality={"text": 0, "audio": 9}
            ),
        ),
        (
            {"prompt_tokens": 100, "completion_tokens": 5, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36},
            Usage(input_tokens=100, cached_read=64, output_tokens=5),
        ),
    ],
    ids=["cached", "reasoning within", "reasoning beside, told by the total", "audio", "cached, as DeepSeek says it"],
)
def test_usage_becomes_canonical(record_of: Log, usage: dict[str, Any], canonical: Usage) -> None:
    """Totals include their parts, whatever the provider's habit."""
    assert record_of(used(**usage)).usage == canonical


def test_usage_nobody_reported_is_unknown(record_of: Log) -> None:
    """Not zero."""
    assert record_of(entry(response=RESPONSE | {"usage": None})).usage is None


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 99}, "prompt 10 + completion 5 is not total_tokens 99"),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 11}}, "usage does not add up"),
        ({"prompt_tokens": "10", "completion_tokens": 5}, "other than whole numbers"),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": 3}, "details are not an object"),
    ],
)
def test_usage_that_contradicts_itself_is_a_problem(problem_of: Problem, usage: dict[str, Any], said: str) -> None:
    """A wrong count is a wrong cost."""
    assert said in problem_of(used(**usage))


def test_tool_calls_are_kept_without_the_ids_made_up_for_each(record_of: Log) -> None:
    """Two models that call the same tool the same way gave the same answer."""
    calls = [{"id": "call_a", "type": "function", "function": {"name": "look_up", "arguments": '{"card":  7}'}}]
    kept = {"tool_calls": [{"name": "look_up", "arguments": {"card": 7}}]}
    assert record_of(answered({"content": None, "tool_calls": calls}, "tool_calls")).output == kept
    assert record_of(answered({"content": "Let me see.", "tool_calls": calls})).output == {"content": "Let me see.", **kept}
    legacy = answered({"content": None, "function_call": {"name": "look_up", "arguments": "not {json"}}, "function_call")
    assert record_of(legacy).output == {"tool_calls": [{"name": "look_up", "arguments": "not {json"}]}


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (answered({"content": None, "refusal": "I cannot."}), "refused"),
        (answered({"content": ""}, "content_filter"), "refused"),
        (entry(response=RESPONSE | {"choices": []}), "malformed"),
        (entry(response={"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}), "failed"),
        (entry(response={"status_code": 500, "body": None}), "failed"),
        (entry(response={"status_code": 504, "body": {"error": {"message": "upstream"}}}), "timed_out"),
        (entry(response=None, error={"message": "Request timed out."}), "timed_out"),
        (entry(response=None, error="connection reset"), "failed"),
        (entry(response={"error": {"code": "content_filter", "message": "filtered"}}), "refused"),
    ],
)
def test_calls_that_ended_otherwise_are_kept_with_how(record_of: Log, line: bytes, outcome: str) -> None:
    """Refusals and errors are part of what a model is like."""
    record = record_of(line)
    assert record.outcome == outcome
    assert record.output in (None, "", {"refusal": "I cannot."})


def test_an_error_is_the_requested_models(record_of: Log) -> None:
    """An error body names none."""
    assert record_of(entry(response={"error": {"message": "no"}})).variant == "gpt-4o"


def test_an_answer_that_was_cut_off_is_tagged(record_of: Log) -> None:
    """It is an answer, but not by the model's choice."""
    record = record_of(answered({"content": "card"}, "length"))
    assert (record.outcome, record.output, record.tags) == ("answered", "card", {"finish_reason": "length"})


def test_several_choices_are_one_answer_with_all_of_them(record_of: Log) -> None:
    """Their usage was paid together."""
    body = RESPONSE | {"choices": [{"message": {"content": c}, "finish_reason": "stop"} for c in ("cards", "fraud")]}
    assert record_of(entry(response=body)).output == {"choices": ["cards", "fraud"]}


def test_legacy_completions_are_text_to_text(record_of: Log) -> None:
    """The older endpoint's bodies say the same with other words."""
    response = {"object": "text_completion", "model": "gpt-3.5-turbo-instruct", "choices": [{"text": " cards", "finish_reason": "stop"}]}
    record = record_of(entry(request={"prompt": ["Sort: my card"]}, response=response))
    assert (record.input, record.output, record.variant) == ("Sort: my card", " cards", "gpt-3.5-turbo-instruct")


def test_a_repeated_question_is_another_call(record_of: Log) -> None:
    """A log repeats questions; the response's id tells the calls apart, or else the whole entry does."""
    assert record_of(entry()).key != record_of(entry(response=RESPONSE | {"id": "chatcmpl-2"})).key
    without = RESPONSE | {"id": None}
    first, later = entry(response=without), entry(response=without | {"created": 1769850001})
    assert record_of(first).key == record_of(first).key != record_of(later).key


@pytest.mark.parametrize(
    ("line", "tier"),
    [
        (entry(), ""),
        (entry(response=RESPONSE | {"service_tier": "default"}), ""),
        (entry(response=RESPONSE | {"service_tier": "flex"}), "flex"),
        (json.dumps({"custom_id": "7", "body": REQUEST, "response": {"status_code": 200, "body": RESPONSE}}).encode(), "batch"),
    ],
)
def test_what_was_not_billed_at_the_list_price_says_so(record_of: Log, line: bytes, tier: str) -> None:
    """A batch costs half; its list price would be wrong, so its cost is unknown."""
    assert record_of(line).price_tier == tier


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"request": {}', "not JSON"),
        (b"[]", "the record is a list"),
        (b"{}", "it has nothing; expected 'request' and 'response'"),
        (b'{"prompt": "x", "completion": "y"}', "it has completion, prompt"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "not a log of a chat completion"),
        (json.dumps({"response": RESPONSE}).encode(), "a response and no request"),
        (json.dumps({"custom_id": "7", "response": {"status_code": 200, "body": RESPONSE}}).encode(), "join input and output on custom_id"),
        (json.dumps({"custom_id": "7", "body": REQUEST}).encode(), "a request and no response"),
        (entry(response=None), "a request and no response"),
        (entry(request=[1]), "'request' is a list"),
        (entry(request=7), "'request' is not an object"),
        (entry(response="data: {}\n\ndata: [DONE]"), "Streamed answers have to be logged assembled"),
        (entry(response=[{"object": "chat.completion.chunk"}]), "Streamed answers have to be logged assembled"),
        (entry(response={"object": "chat.completion.chunk", "choices": []}), "one chunk of a streamed answer"),
        (entry(request={"model": "gpt-5", "input": "x"}, response={"object": "response"}), "Responses API"),
        (entry(request={"model": "gpt-4o"}), "the request has no 'messages'"),
        (entry(request={"messages": MESSAGES}, response=RESPONSE | {"model": None}), "names a 'model'"),
        (entry(request={"messages": ["x"], "model": "m"}), "not of chat messages"),
        (entry(request={"prompt": ["a", "b"]}), "several calls"),
        (entry(response={"id": "x"}), "no 'choices'"),
        (entry(response=RESPONSE | {"choices": [1]}), "other than objects"),
        (entry(response=RESPONSE | {"choices": [{}]}), "neither 'message' nor 'text'"),
        (answered({"tool_calls": [3]}), "a tool call has no 'function'"),
        (entry(request=REQUEST | {"user": "u\0"}), "NUL character"),
        (entry(request=REQUEST | {"user": "u" * 513}), "subject is longer than 512 characters"),
        (answered({"tool_calls": True}), "'tool_calls' is not a list"),
        (entry(scores={"correct": "yes"}), "scores (an entry) is text; expected a number"),
    ],
)
def test_what_is_no_call_is_a_problem_with_its_reason(problem_of: Problem, line: bytes, said: str) -> None:
    """Nothing is guessed in silence."""
    assert said in problem_of(line, format="openai")


def test_the_logs_own_time_wins_where_it_has_a_zone(lines_of: Callable[..., list[Line]]) -> None:
    """A time without a zone could be any of many; the response's second is not."""
    found = lines_of(entry(timestamp="2026-02-01T00:00:00.5Z") + b"\n" + entry(timestamp="2026-02-01 00:00:00"))
    assert [x.record.at for x in found if x.record] == [datetime(2026, 2, 1, 0, 0, 0, 500_000, UTC), datetime(2026, 1, 31, 9, tzinfo=UTC)]
