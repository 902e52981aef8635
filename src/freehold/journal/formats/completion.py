"""What the body of a chat completion says: how the call ended, what was answered, what it used."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec

from freehold.chat import JSON, Outcome, media_json
from freehold.errors import CallerError, DataError
from freehold.gateway.openai_parts import media_of

Body: TypeAlias = Mapping[str, Any]

USUAL_ENDS = frozenset({"stop", "tool_calls", "function_call"})
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
    return "refused" if refused else "answered", output, next((end for end in ends if end and end not in USUAL_ENDS), "")


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
    content = message.get("content")
    try:
        media = [media_json(part) for part in media_of(message, "message")]
    except CallerError as error:
        raise DataError(str(error)) from None
    if media and isinstance(content, list):
        content = "".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
    return held(content, kept, media)


def held(content: JSON, kept: dict[str, JSON], media: list[dict[str, JSON]]) -> JSON:
    """An answer as the journal keeps it: its words alone, its one image or recording alone, or an object of all that it holds."""
    if len(media) == 1 and not content and not kept:
        return media[0]
    if media:
        kept = {**kept, "media": media}
    if not kept:
        return content
    return {"content": content, **kept} if content else kept


def _tool_call(call: JSON) -> dict[str, Any]:
    function = (call.get("function") or call.get("custom")) if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise DataError("a tool call has no 'function'; expected its name and arguments")
    arguments = function.get("arguments", function.get("input"))
    return {"name": function.get("name"), "arguments": arguments_of(arguments) if isinstance(arguments, str) else arguments}


def arguments_of(written: str) -> JSON:
    """A tool's arguments as a value. A model may write some that are no JSON; they stay as it wrote them."""
    with suppress(ValueError, RecursionError):
        return msgspec.json.decode(written)
    return written


def _is_refusal(output: JSON) -> bool:
    return isinstance(output, dict) and "refusal" in output


def first_text(*values: JSON) -> str:
    """The first of these that is a text with something in it; empty when none is."""
    for value in values:
        if isinstance(value, str) and value:
            return value
    return ""
