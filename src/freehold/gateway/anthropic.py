"""Anthropic's messages: what a request and an answer say, read into our records and written from them."""

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from freehold.chat import (
    JSON,
    ChatAnswer,
    ChatRequest,
    Choice,
    Finish,
    Media,
    Message,
    Modality,
    OutputShape,
    Part,
    Refusal,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)
from freehold.errors import CallerError, DataError
from freehold.gateway.fields import Fields

FINISHES: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tools",
    "refusal": "refused",
    "pause_turn": "paused",
}
_FINISH_WORDS: dict[Finish, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tools": "tool_use",
    "filtered": "refusal",
    "refused": "refusal",
    "paused": "pause_turn",
}
_SETTINGS: dict[str, Any] = {"temperature": float, "top_p": float, "top_k": int, "service_tier": str}
_UNSAYABLE = ("seed", "frequency_penalty", "presence_penalty", "logit_bias", "top_logprobs")
"""Settings that Anthropic's format has no words for."""
_SAID_BY: dict[Role, tuple[type[Part], ...]] = {
    "system": (Text,),
    "user": (Text, Media, ToolResult),
    "assistant": (Text, Media, ToolCall, Thinking),
}
_PREFIX = "anthropic."
MOST_OUTPUT_TOKENS = 4_096
"""What is asked for where a caller of another format did not say, because Anthropic wants a number."""


def read_request(body: JSON) -> ChatRequest:
    """The request a body asks for. Raises CallerError that names the field."""
    fields = Fields(body, "")
    most = fields.need("max_tokens", int)
    system = _read_blocks(fields, "system")
    _check_speaker("system", system, "system")
    messages = [Message(role="system", parts=tuple(system))] if system else []
    if not (said := fields.need("messages", list)):
        raise CallerError("messages: at least one message is required")
    for n, one in enumerate(said):
        messages += _read_message(one, f"messages[{n}]")
    has_choice, has_thinking = fields.has("tool_choice"), fields.has("thinking")
    choice, thinking, config, who = (fields.inner(name) for name in ("tool_choice", "thinking", "output_config", "metadata"))
    alone = choice.take("disable_parallel_tool_use", bool)
    settings = {name: fields.take(name, kind) for name, kind in _SETTINGS.items()}
    model, tools = fields.need("model", str), tuple(_read_tool(one, f"tools[{n}]") for n, one in enumerate(fields.take("tools", list, [])))
    stop, stream = tuple(fields.take("stop_sequences", list[str], [])), fields.take("stream", bool, False)
    return ChatRequest(
        model=model,
        messages=tuple(messages),
        tools=tools,
        tool_choice=_read_tool_choice(choice) if has_choice else None,
        parallel_tools=None if alone is None else not alone,
        shape=_read_shape(config.raw("format")),
        max_output_tokens=most,
        stop=stop,
        effort=config.take("effort", str),
        thinking_tokens=_read_thinking(thinking) if has_thinking else None,
        user=who.take("user_id", str),
        stream=stream,
        usage_in_stream=True,
        **settings,
        further={
            f"{_PREFIX}{part.at(name)}": value for part in (choice, thinking, config, who, fields) for name, value in part.rest().items()
        },
    )


def _read_message(value: JSON, where: str) -> list[Message]:
    """A message; results of tools, which Anthropic puts into the user's, become messages of the tool."""
    fields = Fields(value, where)
    role: Role = fields.need("role", Literal["user", "assistant"])
    blocks = _read_blocks(fields, "content")
    _check_speaker(role, blocks, where)
    fields.end()
    out: list[Message] = []
    for block in blocks:
        speaker: Role = "tool" if isinstance(block, ToolResult) else role
        if out and out[-1].role == speaker and speaker != "tool":
            out[-1] = msgspec.structs.replace(out[-1], parts=(*out[-1].parts, block))
        else:
            out.append(Message(role=speaker, parts=(block,)))
    return out or [Message(role=role)]


def _check_speaker(role: Role, blocks: Sequence[Part], where: str) -> None:
    """Raises CallerError for a block that this role does not say: in the other formats it would have no place."""
    if not all(isinstance(block, _SAID_BY[role]) for block in blocks):
        raise CallerError(f"{where} holds a block that is not the {role}'s, and cannot be said to a provider of another format")


def _read_blocks(fields: Fields, name: str) -> list[Part]:
    """A field that holds words: a text or blocks."""
    content = fields.take(name, str | list, [])
    if isinstance(content, str):
        return [Text(text=content)]
    return [_read_block(block, f"{fields.at(name)}[{n}]") for n, block in enumerate(content)]


def _read_block(value: JSON, where: str) -> Part:
    fields = Fields(value, where)
    part: Part
    match kind := fields.need("type", str):
        case "text":
            part = Text(text=fields.need("text", str), cache=fields.raw("cache_control"))
            if not fields.raw("citations"):
                fields.end()
                return part
            raise CallerError(f"{where}.citations cannot be said to a provider of another format")
        case "image" | "document":
            part = _read_media(fields, "image" if kind == "image" else "file", where)
        case "tool_use":
            arguments = msgspec.json.encode(fields.take("input", dict, {})).decode()
            part = ToolCall(
                id=fields.need("id", str), name=fields.need("name", str), arguments=arguments, cache=fields.raw("cache_control")
            )
        case "tool_result":
            part = ToolResult(
                call=fields.need("tool_use_id", str),
                parts=tuple(_result_part(one, fields.at("content")) for one in _read_blocks(fields, "content")),
                is_error=fields.take("is_error", bool, False),
                cache=fields.raw("cache_control"),
            )
        case "thinking":
            part = Thinking(text=fields.take("thinking", str, ""), signature=fields.take("signature", str, ""))
        case "redacted_thinking":
            part = Thinking(sealed=fields.need("data", str))
        case _:
            raise CallerError(f"{where}.type '{kind}' cannot be said to a provider of another format")
    fields.end()
    return part


def _result_part(part: Part, where: str) -> Text | Media:
    if not isinstance(part, Text | Media):
        raise CallerError(f"{where} of a tool's result holds something other than text, images and documents")
    return part


def _read_media(fields: Fields, kind: Modality, where: str) -> Media:
    source = Fields(fields.raw("source"), f"{where}.source")
    name, cache = fields.take("title", str, ""), fields.raw("cache_control")
    if fields.raw("citations"):
        raise CallerError(f"{where}.citations cannot be said to a provider of another format")
    match form := source.need("type", str):
        case "base64":
            media = Media(kind=kind, media_type=source.need("media_type", str), data=source.need("data", str), name=name, cache=cache)
        case "text":
            words = source.need("data", str)
            media = Media(kind=kind, media_type=source.take("media_type", str, "text/plain"), data=_encoded(words), name=name, cache=cache)
        case "url":
            media = Media(kind=kind, url=source.need("url", str), name=name, cache=cache)
        case "file":
            media = Media(kind=kind, file=source.need("file_id", str), name=name, cache=cache)
        case _:
            raise CallerError(f"{where}.source.type '{form}' cannot be said to a provider of another format")
    source.end()
    return media


def _encoded(words: str) -> str:
    return b64encode(words.encode("utf-8", "surrogatepass")).decode()


def _read_tool(value: JSON, where: str) -> Tool:
    fields = Fields(value, where)
    kind = fields.take("type", str, "custom")
    if kind != "custom":
        raise CallerError(f"{where}.type '{kind}' is a tool of Anthropic's own and cannot be asked of another provider")
    tool = Tool(
        name=fields.need("name", str),
        description=fields.take("description", str, ""),
        schema=fields.raw("input_schema"),
        strict=fields.take("strict", bool),
        cache=fields.raw("cache_control"),
    )
    fields.end()
    return tool


def _read_tool_choice(choice: Fields) -> ToolChoice:
    match choice.need("type", str):
        case "auto":
            return ToolChoice(kind="auto")
        case "any":
            return ToolChoice(kind="required")
        case "none":
            return ToolChoice(kind="none")
        case "tool":
            return ToolChoice(kind="named", name=choice.need("name", str))
        case kind:
            raise CallerError(f"tool_choice.type is '{kind}'; expected auto, any, tool or none")


def _read_thinking(thinking: Fields) -> int | None:
    match thinking.need("type", str):
        case "adaptive":
            return None
        case "disabled":
            return 0
        case "enabled":
            budget: int = thinking.need("budget_tokens", int)
            return budget
        case kind:
            raise CallerError(f"thinking.type is '{kind}'; expected enabled, adaptive or disabled")


def _read_shape(value: JSON) -> OutputShape | None:
    if value is None:
        return None
    fields = Fields(value, "output_config.format")
    if (kind := fields.need("type", str)) != "json_schema":
        raise CallerError(f"output_config.format.type is '{kind}'; expected json_schema")
    return OutputShape(kind="schema", schema=fields.raw("schema"), strict=True)


def write_request(request: ChatRequest) -> dict[str, JSON]:
    """The body that asks for it. Raises CallerError for what Anthropic's format cannot say."""
    for name in _UNSAYABLE:
        if getattr(request, name) is not None:
            raise CallerError(f"{name} cannot be said to Anthropic")
    if request.choices != 1:
        raise CallerError("more than one answer cannot be asked of Anthropic in one request")
    if request.metadata:
        raise CallerError("metadata cannot be said to Anthropic; it knows a user alone")
    system, messages = _write_messages(request.messages)
    body: dict[str, JSON] = {"model": request.model, "max_tokens": request.max_output_tokens or MOST_OUTPUT_TOKENS, "messages": messages}
    if system:
        body["system"] = system[0]["text"] if len(system) == 1 and system[0].keys() == {"type", "text"} else system
    body |= {name: value for name in _SETTINGS if (value := getattr(request, name)) is not None}
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.tools:
        body["tools"] = [_write_tool(tool) for tool in request.tools]
    if choice := _write_tool_choice(request):
        body["tool_choice"] = choice
    if config := _write_config(request):
        body["output_config"] = config
    if request.thinking_tokens is not None:
        budget = request.thinking_tokens
        body["thinking"] = {"type": "enabled", "budget_tokens": budget} if budget else {"type": "disabled"}
    if request.user is not None:
        body["metadata"] = {"user_id": request.user}
    if request.stream:
        body["stream"] = True
    for name, value in request.further.items():
        if not name.startswith(_PREFIX):
            raise CallerError(f"{name.partition('.')[2]} cannot be said to Anthropic")
        body[name.removeprefix(_PREFIX)] = value
    if not messages:
        raise CallerError("messages: at least one that is not the system's is required by Anthropic")
    return body


def _write_messages(messages: Sequence[Message]) -> tuple[list[dict[str, JSON]], list[dict[str, JSON]]]:
    """The system's blocks, and the others' messages: sides alternate, and results of tools are the user's."""
    system: list[dict[str, JSON]] = []
    turns: list[dict[str, JSON]] = []
    for message in messages:
        blocks = [_write_block(part) for part in message.parts]
        if message.role in ("system", "developer"):
            if turns:
                raise CallerError("words of the system in the middle of a conversation cannot be said to Anthropic")
            if not all(isinstance(part, _SAID_BY["system"]) for part in message.parts):
                raise CallerError("a message of the system holds something other than text, which cannot be said to Anthropic")
            system += blocks
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        if len(turn["content"]) == 1 and turn["content"][0].keys() == {"type", "text"}:
            turn["content"] = turn["content"][0]["text"]
    return system, turns


def _write_block(part: Part) -> dict[str, JSON]:
    block: dict[str, JSON]
    match part:
        case Text():
            block = {"type": "text", "text": part.text}
        case Refusal():
            return {"type": "text", "text": part.text}
        case Media(kind="image" | "file"):
            block = {"type": "image" if part.kind == "image" else "document", "source": _write_source(part)}
            if part.name and part.kind == "file":
                block["title"] = part.name
        case ToolCall():
            block = {"type": "tool_use", "id": part.id, "name": part.name, "input": _arguments(part)}
        case ToolResult():
            content = [_write_block(one) for one in part.parts]
            plain = content[0]["text"] if len(content) == 1 and content[0].keys() == {"type", "text"} else content
            block = {"type": "tool_result", "tool_use_id": part.call, "content": plain} | ({"is_error": True} if part.is_error else {})
        case Thinking():
            if part.sealed:
                return {"type": "redacted_thinking", "data": part.sealed}
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        case _:
            instead = "; say its frames as images" if part.kind == "video" else ""
            raise CallerError(f"{part.kind} cannot be said to Anthropic, whose messages hold text, images and documents{instead}")
    return block | ({"cache_control": part.cache} if part.cache is not None else {})


def _write_source(part: Media) -> dict[str, JSON]:
    if part.file:
        return {"type": "file", "file_id": part.file}
    if part.url:
        return {"type": "url", "url": part.url}
    if part.kind == "image":
        return {"type": "base64", "media_type": part.media_type or "image/png", "data": part.data}
    if part.media_type in ("", "application/pdf"):
        return {"type": "base64", "media_type": "application/pdf", "data": part.data}
    if not part.media_type.startswith("text/"):
        raise CallerError(f"a document of type '{part.media_type}' cannot be said to Anthropic, which takes PDF and plain text")
    try:
        words = b64decode(part.data, validate=True).decode()
    except ValueError as error:  # no base64, or no UTF-8
        raise CallerError(f"a document of type '{part.media_type}' is no text in UTF-8, as Anthropic takes it: {error}") from None
    return {"type": "text", "media_type": "text/plain", "data": words}


def _arguments(call: ToolCall) -> JSON:
    try:
        arguments = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        arguments = None
    if not isinstance(arguments, Mapping):
        raise CallerError(f"the arguments of tool call '{call.id}' are no JSON object, and Anthropic takes nothing else")
    return arguments


def _write_tool(tool: Tool) -> dict[str, JSON]:
    body: dict[str, JSON] = {"name": tool.name, "input_schema": tool.schema or {"type": "object", "properties": {}}}
    body |= {"description": tool.description} if tool.description else {}
    body |= {"strict": tool.strict} if tool.strict is not None else {}
    return body | ({"cache_control": tool.cache} if tool.cache is not None else {})


def _write_tool_choice(request: ChatRequest) -> dict[str, JSON] | None:
    words = {"auto": "auto", "none": "none", "required": "any", "named": "tool"}
    choice, parallel = request.tool_choice, request.parallel_tools
    if choice is None and (parallel is None or not request.tools):
        return None
    body: dict[str, JSON] = {"type": words[choice.kind] if choice else "auto"}
    if choice is not None and choice.kind == "named":
        body["name"] = choice.name
    if parallel is not None and body["type"] != "none":
        body["disable_parallel_tool_use"] = not parallel
    return body


def _write_config(request: ChatRequest) -> dict[str, JSON]:
    config: dict[str, JSON] = {"effort": request.effort} if request.effort is not None else {}
    if request.shape is not None and request.shape.kind == "json":
        raise CallerError("any JSON object cannot be asked of Anthropic; say the schema it has to fit")
    if request.shape is not None and request.shape.kind == "schema":
        config["format"] = {"type": "json_schema", "schema": request.shape.schema}
    return config


def read_answer(body: bytes) -> ChatAnswer:
    """The answer a body holds. Raises DataError where it is none."""
    try:
        fields = Fields(msgspec.json.decode(body), "")
        blocks = fields.need("content", list)
        choice = Choice(
            parts=tuple(_read_answer_block(one, f"content[{n}]") for n, one in enumerate(blocks)),
            finish=FINISHES.get(fields.take("stop_reason", str, "end_turn"), "stop"),
            stop=fields.take("stop_sequence", str),
        )
        return ChatAnswer(
            id=fields.take("id", str, ""), model=fields.take("model", str, ""), choices=(choice,), usage=read_usage(fields.raw("usage"))
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, CallerError) as error:
        raise DataError(f"the provider's answer is no message: {error}") from None


def _read_answer_block(value: JSON, where: str) -> Part:
    """A block of an answer; what stands beside its words, such as citations, is the provider's own."""
    known = {"type", "text", "id", "name", "input", "thinking", "signature", "data"}
    return _read_block({key: inner for key, inner in value.items() if key in known} if isinstance(value, Mapping) else value, where)


def read_usage(value: JSON) -> Usage | None:
    """The usage an answer states; None where it states none, or one that cannot be."""
    if not isinstance(value, Mapping):
        return None
    try:
        read, written = int(value.get("cache_read_input_tokens") or 0), int(value.get("cache_creation_input_tokens") or 0)
        details = value.get("output_tokens_details") or {}
        return Usage(
            input_tokens=int(value["input_tokens"]) + read + written,
            cached_read=read,
            cached_write=written,
            output_tokens=int(value.get("output_tokens") or 0),
            reasoning_tokens=int(details.get("reasoning_tokens") or details.get("thinking_tokens") or 0),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def write_answer(answer: ChatAnswer) -> dict[str, JSON]:
    """The body that holds the answer. Raises CallerError for what Anthropic's format cannot say: more than one, or a call without an object."""
    if len(answer.choices) != 1:
        raise CallerError(f"an answer of {len(answer.choices)} choices has no place in Anthropic's format")
    (choice,) = answer.choices
    if any(isinstance(part, Media) for part in choice.parts):
        raise CallerError("an answer that holds more than words and calls of tools has no place in Anthropic's format")
    return {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [_write_block(part) for part in choice.parts],
        "stop_reason": finish_word(choice),
        "stop_sequence": choice.stop,
        "usage": write_usage(answer.usage),
    }


def finish_word(choice: Choice) -> str:
    """Anthropic's word for why an answer ended."""
    return "stop_sequence" if choice.finish == "stop" and choice.stop is not None else _FINISH_WORDS[choice.finish]


def write_usage(usage: Usage | None) -> dict[str, JSON]:
    """The usage as Anthropic states it, whose input tokens are those that touched no cache. Its format has no word for unknown but 0."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    return {
        "input_tokens": usage.fresh_tokens,
        "cache_read_input_tokens": usage.cached_read,
        "cache_creation_input_tokens": usage.cached_write,
        "output_tokens": usage.output_tokens,
    }
