"""What was asked and answered in OpenTelemetry's words, for those who switch content on. It is what the journal keeps, redacted as there."""

from collections.abc import Mapping
from itertools import chain, repeat
from typing import Any

import msgspec

from freehold.chat import JSON, is_messages
from freehold.telemetry.event import Finished
from freehold.telemetry.names import INPUT_MESSAGES, OUTPUT_MESSAGES, SYSTEM_INSTRUCTIONS, TOOL_DEFINITIONS

_encode = msgspec.json.Encoder().encode
_ROLES_OF_INSTRUCTIONS = ("system", "developer")


def attributes(event: Finished) -> dict[str, str]:
    """The attributes of a call's content, each as JSON; none for what is not there."""
    asked, answered = event.asked, event.answered
    messages: Any = asked.get("messages") if isinstance(asked, Mapping) else asked
    found: dict[str, Any] = {}
    if is_messages(messages):
        found[SYSTEM_INSTRUCTIONS] = [part for m in messages if m["role"] in _ROLES_OF_INSTRUCTIONS for part in _parts(m)]
        found[INPUT_MESSAGES] = [{"role": m["role"], "parts": _parts(m)} for m in messages if m["role"] not in _ROLES_OF_INSTRUCTIONS]
    elif asked is not None:
        found[INPUT_MESSAGES] = [{"role": "user", "parts": [_text(asked)]}]
    if isinstance(asked, Mapping) and asked.get("tools"):
        found[TOOL_DEFINITIONS] = asked["tools"]
    if answered is not None:
        reasons = event.attempts[-1].finish_reasons if event.attempts else ()
        found[OUTPUT_MESSAGES] = [
            {"role": "assistant", "parts": _answer(one), "finish_reason": reason}
            for one, reason in zip(_choices(answered), chain(reasons, repeat("stop")), strict=False)
        ]
    return {name: _encode(value).decode() for name, value in found.items() if value}


def _parts(message: Mapping[str, JSON]) -> list[JSON]:
    """What a message in OpenAI's words says, in OpenTelemetry's. Of images, recordings and documents, that there was one."""
    content = message.get("content")
    if message.get("role") == "tool":
        return [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}]
    parts = [_part(part) for part in content] if isinstance(content, list) else [_text(content)] if content else []
    calls = message.get("tool_calls")
    return [*parts, *(_tool_call(call) for call in calls if isinstance(call, Mapping))] if isinstance(calls, list) else parts


def _choices(answered: JSON) -> list[JSON]:
    """The answers of a call: several where so many were asked for."""
    several = answered.get("choices") if isinstance(answered, Mapping) else None
    return several if isinstance(several, list) else [answered]


def _answer(output: JSON) -> list[JSON]:
    """One answer as the journal keeps it: text, or an object of what it holds."""
    if isinstance(output, Mapping) and output.keys() & {"content", "tool_calls", "refusal"}:
        parts = _parts(output)
        return [*parts, _text(output["refusal"])] if output.get("refusal") else parts
    return [_text(output)]


def _part(part: JSON) -> JSON:
    if not isinstance(part, Mapping):
        return _text(part)
    return _text(part["text"]) if isinstance(part.get("text"), str) else {"type": part.get("type")}


def _tool_call(call: Mapping[str, JSON]) -> JSON:
    function = call.get("function", call)  # the journal keeps an answer's calls without their wrapping
    known = function if isinstance(function, Mapping) else {}
    return {"type": "tool_call", "id": call.get("id"), "name": known.get("name"), "arguments": known.get("arguments")}


def _text(value: JSON) -> JSON:
    return {"type": "text", "content": value if isinstance(value, str) else _encode(value).decode()}
