"""What the body of a chat completion says: how the call ended, what was answered, what it used."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from freehold.chat import JSON
from freehold.errors import DataError
from freehold.journal.call import Outcome

Body: TypeAlias = Mapping[str, Any]

_USUAL_ENDS = frozenset({"stop", "tool_calls", "function_call"})
_TIMEOUT_STATUS = frozenset({408, 504, 524})


def answer_of(response: Body, error: Body | None) -> tuple[Outcome, JSON, str]:
    """How the call ended, what was answered, and the reason the model gave for stopping."""
    if error is not None:
        return _failure(error), None, ""
    choices = response.get("choices")
    if not isinstance(choices, list):
        raise DataError("the response has no 'choices'; expected a chat completion or an error")
    if not all(isinstance(choice, dict) for choice in choices):
        raise DataError("'choices' holds something other than objects; expected a chat completion's")
    if not choices:
        return "malformed", None, ""
    outputs = [_output(choice) for choice in choices]
    ends = [first_text(choice.get("finish_reason")) for choice in choices]
    refused = all(end == "content_filter" or _is_refusal(output) for end, output in zip(ends, outputs, strict=True))
    output = outputs[0] if len(outputs) == 1 else {"choices": outputs}
    return "refused" if refused else "answered", output, next((end for end in ends if end and end not in _USUAL_ENDS), "")


def _failure(error: Body) -> Outcome:
    said = " ".join(str(error.get(key, "")) for key in ("type", "code", "message")).lower()
    if "content_filter" in said or "content_policy" in said:
        return "refused"
    return "timed_out" if error.get("status") in _TIMEOUT_STATUS or "timeout" in said or "timed out" in said else "failed"


def _output(choice: Body) -> JSON:
    """Plain text where the answer is that; else an object of what it holds, without the ids made up for each call: equal is equal."""
    message = choice.get("message")
    if message is None and isinstance(choice.get("text"), str):
        return choice["text"]
    if not isinstance(message, dict):
        raise DataError("a choice has neither 'message' nor 'text'; expected a chat completion's")
    kept: dict[str, Any] = {}
    if message.get("refusal"):
        kept["refusal"] = message["refusal"]
    calls = message.get("tool_calls") or ([{"function": message["function_call"]}] if message.get("function_call") else [])
    if not isinstance(calls, list):
        raise DataError("'tool_calls' is not a list; expected a chat completion's")
    if calls:
        kept["tool_calls"] = [_tool_call(call) for call in calls]
    if isinstance(message.get("audio"), dict):
        kept["audio"] = {"transcript": message["audio"].get("transcript")}
    content = message.get("content")
    if not kept:
        return content
    return {"content": content, **kept} if content else kept


def _tool_call(call: JSON) -> dict[str, Any]:
    function = (call.get("function") or call.get("custom")) if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise DataError("a tool call has no 'function'; expected its name and arguments")
    arguments = function.get("arguments", function.get("input"))
    if isinstance(arguments, str):
        with suppress(ValueError, RecursionError):  # a model may write arguments that are no JSON; they stay as it wrote them
            arguments = msgspec.json.decode(arguments)
    return {"name": function.get("name"), "arguments": arguments}


def _is_refusal(output: JSON) -> bool:
    return isinstance(output, dict) and "refusal" in output


def usage_of(usage: JSON) -> dict[str, Any] | None:
    """The canonical usage of a response's, as a row; None where there is none. Raises DataError where its parts contradict each other."""
    if not isinstance(usage, dict):
        return None
    spent_in, spent_out = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if spent_in is None:
        return None
    details_in, details_out = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    counts = (spent_in, spent_out, *_numbers(details_in), *_numbers(details_out))
    if not all(isinstance(count, int) for count in counts):
        raise DataError("usage holds something other than whole numbers; expected a chat completion's token counts")
    reasoning = details_out.get("reasoning_tokens") or 0
    total = usage.get("total_tokens")
    if total is not None and total != spent_in + spent_out:
        # xAI counts reasoning beside completion_tokens, not within (2025-11); the total is what tells.
        if total != spent_in + spent_out + reasoning:
            raise DataError(f"usage does not add up: prompt {spent_in} + completion {spent_out} is not total_tokens {total}")
        spent_out += reasoning
    row: dict[str, Any] = {
        "input_tokens": spent_in,
        # DeepSeek says it beside, OpenAI and most others in the details.
        "cached_read": details_in.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0,
        "cached_write": details_in.get("cache_write_tokens") or 0,
        "output_tokens": spent_out,
        "reasoning_tokens": reasoning,
    }
    if split := _by_modality(details_in, spent_in):
        row["input_by_modality"] = split
    if split := _by_modality(details_out, spent_out):
        row["output_by_modality"] = split
    return row


def _numbers(details: JSON) -> list[JSON]:
    if not isinstance(details, dict):
        raise DataError("usage details are not an object; expected a chat completion's")
    return [count for count in details.values() if count is not None]


def _by_modality(details: Body, total: int) -> dict[str, int] | None:
    """The split of a total, where something other than text took part; what is not named is text."""
    split = {name: details.get(f"{name}_tokens") or 0 for name in ("audio", "image", "video")}
    found = {name: count for name, count in split.items() if count}
    return {"text": total - sum(found.values()), **found} if found else None


def first_text(*values: JSON) -> str:
    """The first of these that is a text with something in it; empty when none is."""
    return next((value for value in values if isinstance(value, str) and value), "")
