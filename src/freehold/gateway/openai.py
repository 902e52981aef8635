"""OpenAI's requests of chat completions, read into our records and written from them."""

from collections.abc import Mapping
from typing import Any

from freehold.chat import (
    JSON,
    ChatRequest,
    Media,
    Message,
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
)
from freehold.errors import CallerError
from freehold.gateway.fields import Fields
from freehold.gateway.openai_parts import read_call, read_images, read_part, read_sound, write_part

_SETTINGS: dict[str, tuple[str, Any]] = {
    "temperature": ("temperature", float),
    "top_p": ("top_p", float),
    "seed": ("seed", int),
    "frequency_penalty": ("frequency_penalty", float),
    "presence_penalty": ("presence_penalty", float),
    "logit_bias": ("logit_bias", dict[str, float]),
    "parallel_tools": ("parallel_tool_calls", bool),
    "effort": ("reasoning_effort", str),
    "user": ("user", str),
    "metadata": ("metadata", dict[str, str]),
    "service_tier": ("service_tier", str),
}
"""Settings that are the same there, by our name: theirs, and the type."""
_PREFIX = "openai."


def read_request(body: JSON) -> ChatRequest:
    """The request a body asks for. Raises CallerError that names the field."""
    fields = Fields(body, "")
    stream_options = fields.inner("stream_options")
    most, most_before = fields.take("max_completion_tokens", int), fields.take("max_tokens", int)
    logprobs, top_logprobs = fields.take("logprobs", bool, False), fields.take("top_logprobs", int)
    stop = fields.take("stop", str | list[str], [])
    request = {name: fields.take(theirs, kind) for name, (theirs, kind) in _SETTINGS.items()}
    messages = tuple(_read_message(one, f"messages[{n}]") for n, one in enumerate(fields.need("messages", list)))
    tools = tuple(_read_tool(one, f"tools[{n}]") for n, one in enumerate(fields.take("tools", list, [])))
    return ChatRequest(
        model=fields.need("model", str),
        messages=messages,
        tools=tools,
        tool_choice=_read_tool_choice(fields.raw("tool_choice")),
        shape=_read_shape(fields.raw("response_format")),
        max_output_tokens=most if most is not None else most_before,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        top_logprobs=(top_logprobs or 0) if logprobs else None,
        choices=fields.take("n", int, 1),
        stream=fields.take("stream", bool, False),
        usage_in_stream=stream_options.take("include_usage", bool, False),
        **request,
        top_k=fields.take("top_k", int),
        further={f"{_PREFIX}{name}": value for name, value in (fields.rest() | _named("stream_options.", stream_options.rest())).items()},
    )


def _named(prefix: str, rest: Mapping[str, JSON]) -> dict[str, JSON]:
    return {f"{prefix}{name}": value for name, value in rest.items()}


def _read_message(value: JSON, where: str) -> Message:
    fields = Fields(value, where)
    role: Role = fields.need("role", Role)
    parts: list[Part] = []
    if thought := fields.take("reasoning_content", str) or fields.take("reasoning", str):
        parts.append(Thinking(text=thought))
    said = _read_content(fields)
    if role == "tool":
        kept = tuple(part for part in said if isinstance(part, Text | Media))
        if len(kept) < len(said):
            raise CallerError(f"{where}.content is a tool's and holds a refusal; expected text, images, recordings and files")
        parts.append(ToolResult(call=fields.need("tool_call_id", str), parts=kept))
    else:
        parts += said
    if role == "assistant":  # of others it is left over, and named below
        parts += read_images(fields.take("images", list, []), where)
        if (sound := fields.raw("audio")) is not None:
            parts.append(read_sound(Fields(sound, f"{where}.audio")))
        if refusal := fields.take("refusal", str):
            parts.append(Refusal(text=refusal))
        parts += [read_call(call, f"{where}.tool_calls[{n}]") for n, call in enumerate(fields.take("tool_calls", list, []))]
    name = fields.take("name", str, "")
    fields.end()
    return Message(role=role, parts=tuple(parts), name=name)


def _read_content(fields: Fields) -> list[Text | Media | Refusal]:
    """The words of a message, which are a text or parts."""
    content = fields.take("content", str | list, [])
    if isinstance(content, str):
        return [Text(text=content)]
    return [read_part(part, f"{fields.where}.content[{n}]") for n, part in enumerate(content)]


def _read_tool(value: JSON, where: str) -> Tool:
    fields = Fields(value, where)
    kind = fields.take("type", str, "function")
    if kind != "function":
        raise CallerError(f"{where}.type is '{kind}', which cannot be said to a provider of another format; expected function")
    function = Fields(fields.raw("function"), f"{where}.function")
    tool = Tool(
        name=function.need("name", str),
        description=function.take("description", str, ""),
        schema=function.raw("parameters"),
        strict=function.take("strict", bool),
        cache=fields.raw("cache_control"),
    )
    function.end()
    fields.end()
    return tool


def _read_tool_choice(value: JSON) -> ToolChoice | None:
    if value is None:
        return None
    if value in ("auto", "none", "required"):
        return ToolChoice(kind=value)
    fields = Fields(value, "tool_choice")
    if fields.take("type", str) != "function":
        raise CallerError("tool_choice is neither auto, none, required nor a function; anything else cannot be said to another provider")
    function = Fields(fields.raw("function"), "tool_choice.function")
    choice = ToolChoice(kind="named", name=function.need("name", str))
    function.end()
    fields.end()
    return choice


def _read_shape(value: JSON) -> OutputShape | None:
    if value is None:
        return None
    fields = Fields(value, "response_format")
    match kind := fields.need("type", str):
        case "text":
            shape = OutputShape(kind="text")
        case "json_object":
            shape = OutputShape(kind="json")
        case "json_schema":
            schema = Fields(fields.raw("json_schema"), "response_format.json_schema")
            shape = OutputShape(
                kind="schema",
                name=schema.take("name", str, ""),
                schema=schema.raw("schema"),
                strict=schema.take("strict", bool),
                description=schema.take("description", str, ""),
            )
            schema.end()
        case _:
            raise CallerError(f"response_format.type is '{kind}'; expected text, json_object or json_schema")
    fields.end()
    return shape


def write_request(request: ChatRequest) -> dict[str, JSON]:
    """The body that asks for it. Raises CallerError for what OpenAI's format cannot say."""
    body: dict[str, JSON] = {"model": request.model, "messages": [m for one in request.messages for m in _write_message(one)]}
    for name, (theirs, _) in _SETTINGS.items():
        value = getattr(request, name)
        if value is not None:
            body[theirs] = value
    if request.tools:
        body["tools"] = [_write_tool(tool) for tool in request.tools]
    if (choice := request.tool_choice) is not None:
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}} if choice.kind == "named" else choice.kind
    if request.shape is not None:
        body["response_format"] = _write_shape(request.shape)
    if request.max_output_tokens is not None:
        body["max_completion_tokens"] = request.max_output_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if request.top_logprobs is not None:
        body["logprobs"] = True
        if request.top_logprobs:
            body["top_logprobs"] = request.top_logprobs
    if request.choices != 1:
        body["n"] = request.choices
    if request.top_k is not None:
        body["top_k"] = request.top_k
    if request.thinking_tokens is not None:
        if request.thinking_tokens == 0:
            body["reasoning_effort"] = "none"
        elif request.effort is None:
            raise CallerError("a budget of thinking tokens cannot be said to an OpenAI-compatible provider; say an effort")
    if request.stream:
        body["stream"] = True
        if request.usage_in_stream:
            body["stream_options"] = {"include_usage": True}
    for name, value in request.further.items():
        if not name.startswith(_PREFIX):
            raise CallerError(f"{name.partition('.')[2]} cannot be said to an OpenAI-compatible provider")
        body[name.removeprefix(_PREFIX)] = value
    return body


def _write_message(message: Message) -> list[dict[str, JSON]]:
    """A message; results of tools are a message each."""
    out: list[dict[str, JSON]] = []
    said: list[dict[str, JSON]] = []
    calls: list[dict[str, JSON]] = []
    beside: dict[str, JSON] = {}
    for part in message.parts:
        match part:
            case Text():
                said.append(write_part(part))
            case ToolResult():
                content = [write_part(one) for one in part.parts]
                out.append({"role": "tool", "tool_call_id": part.call, "content": _plain(content)})
            case ToolCall():
                calls.append({"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}})
            case Refusal() if message.role == "assistant":
                beside["refusal"] = part.text
            case Thinking():
                if part.text:
                    beside["reasoning_content"] = part.text
            case Media(kind="audio", file=id) if id and message.role == "assistant":
                beside["audio"] = {"id": id}  # all that OpenAI takes of what it said itself
            case _:
                said.append(write_part(part))
    if said or calls or beside or not out:
        own: dict[str, JSON] = {"role": message.role, "content": _plain(said) if said or not calls else None}
        if message.name:
            own["name"] = message.name
        out.append(own | beside | ({"tool_calls": calls} if calls else {}))
    return out


def _plain(parts: list[dict[str, JSON]]) -> JSON:
    """One unmarked text as a text, anything else as parts."""
    return parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts or ""


def _write_tool(tool: Tool) -> dict[str, JSON]:
    function: dict[str, JSON] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = tool.schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function} | ({"cache_control": tool.cache} if tool.cache is not None else {})


def _write_shape(shape: OutputShape) -> dict[str, JSON]:
    if shape.kind != "schema":
        return {"type": "json_object" if shape.kind == "json" else "text"}
    schema: dict[str, JSON] = {"name": shape.name or "answer", "schema": shape.schema}
    if shape.strict is not None:
        schema["strict"] = shape.strict
    if shape.description:
        schema["description"] = shape.description
    return {"type": "json_schema", "json_schema": schema}
