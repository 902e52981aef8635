"""OpenAI's chat completions: what a request and an answer say, read into our records and written from them."""

from collections.abc import Iterable, Mapping
from typing import Any

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
    "stop": "stop",
    "length": "length",
    "tool_calls": "tools",
    "function_call": "tools",
    "content_filter": "filtered",
}
_FINISH_WORDS: dict[Finish, str] = {
    "stop": "stop",
    "length": "length",
    "tools": "tool_calls",
    "filtered": "content_filter",
    "refused": "content_filter",
    "paused": "stop",
}
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
_AUDIO_TYPES = {"mp3": "audio/mpeg", "m4a": "audio/mp4"}
"""Media types of recordings that are not `audio/` and the format's name."""
_AUDIO_FORMATS = {theirs: name for name, theirs in _AUDIO_TYPES.items()} | {
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/x-flac": "flac",
    "audio/x-m4a": "m4a",
}
"""Formats of recordings that are not what comes after `audio/` in the media type."""


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
        parts += _read_images(fields.take("images", list, []), where)
        if (sound := fields.raw("audio")) is not None:
            parts.append(_read_sound(Fields(sound, f"{where}.audio")))
        if refusal := fields.take("refusal", str):
            parts.append(Refusal(text=refusal))
        parts += [_read_call(call, f"{where}.tool_calls[{n}]") for n, call in enumerate(fields.take("tool_calls", list, []))]
    name = fields.take("name", str, "")
    fields.end()
    return Message(role=role, parts=tuple(parts), name=name)


def _read_content(fields: Fields) -> list[Text | Media | Refusal]:
    """The words of a message, which are a text or parts."""
    content = fields.take("content", str | list, [])
    if isinstance(content, str):
        return [Text(text=content)]
    return [_read_part(part, f"{fields.where}.content[{n}]") for n, part in enumerate(content)]


def _read_part(value: JSON, where: str) -> Text | Media | Refusal:
    fields = Fields(value, where)
    part: Text | Media | Refusal
    match kind := fields.need("type", str):
        case "text":
            part = Text(text=fields.need("text", str), cache=fields.raw("cache_control"))
        case "refusal":
            part = Refusal(text=fields.need("refusal", str))
        case "image_url":
            image = Fields(fields.raw("image_url"), f"{where}.image_url")
            part = media_at(image.need("url", str), "image", detail=image.take("detail", str, ""))
            image.end()
        case "input_audio":
            audio = Fields(fields.raw("input_audio"), f"{where}.input_audio")
            format = audio.need("format", str)
            part = Media(kind="audio", media_type=_AUDIO_TYPES.get(format, f"audio/{format}"), data=audio.need("data", str))
            audio.end()
        case "audio_url" | "video_url":  # vLLM has both, OpenRouter the second (2026-11); OpenAI's own servers have neither
            address = Fields(fields.raw(kind), f"{where}.{kind}")
            part = media_at(address.need("url", str), "audio" if kind == "audio_url" else "video")
            address.end()
        case "file":
            file = Fields(fields.raw("file"), f"{where}.file")
            part = _read_file(file)
            file.end()
        case _:
            raise CallerError(f"{where}.type is '{kind}'; expected text, image_url, input_audio, audio_url, video_url, file or refusal")
    fields.end()
    return part


def _read_file(file: Fields) -> Media:
    """A document: by id, as a data address, as an address, or as base64 without a word of what it is."""
    data, name = file.take("file_data", str, ""), file.take("filename", str, "")
    if not data:
        return Media(kind="file", file=file.take("file_id", str, ""), name=name)
    return media_at(data, "file", name=name) if ":" in data else Media(kind="file", data=data, name=name)


def media_at(url: str, kind: Modality, name: str = "", detail: str = "") -> Media:
    """What an address points at; the bytes of a data address in base64."""
    head, _, data = url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64")):
        return Media(kind=kind, url=url, name=name, detail=detail)
    return Media(kind=kind, media_type=head[len("data:") :].removesuffix(";base64"), data=data, name=name, detail=detail)


def _read_images(images: list[JSON], where: str) -> list[Media]:
    """The images an answer holds beside its words, as OpenRouter and others give them."""
    found = []
    for n, one in enumerate(images):
        image = Fields(Fields(one, f"{where}.images[{n}]").raw("image_url"), f"{where}.images[{n}].image_url")
        found.append(media_at(image.need("url", str), "image", detail=image.take("detail", str, "")))
    return found


def _read_sound(sound: Fields) -> Media:
    """The recording an answer is, or the id of one that was; in which format it is, nobody says but the request."""
    return Media(
        kind="audio",
        data=sound.take("data", str, ""),
        file=sound.take("id", str, ""),
        transcript=sound.take("transcript", str, ""),
        expires_at=sound.take("expires_at", int, 0),
    )


def media_of(message: Mapping[str, JSON], where: str) -> list[Media]:
    """The images, recordings and files of an answer's message, in the order in which `read_answer` has them. Raises CallerError."""
    content = message.get("content")
    said = [
        _read_part(part, f"{where}.content[{n}]")
        for n, part in enumerate(content if isinstance(content, list) else ())
        if isinstance(part, Mapping) and part.get("type") not in ("text", "output_text")
    ]
    images, sound = message.get("images"), message.get("audio")
    found = [part for part in said if isinstance(part, Media)]
    found += _read_images(images, where) if isinstance(images, list) else []
    return found + ([_read_sound(Fields(sound, f"{where}.audio"))] if isinstance(sound, Mapping) else [])


def _read_call(value: JSON, where: str) -> ToolCall:
    fields = Fields(value, where)
    kind = fields.take("type", str, "function")
    if kind != "function":
        raise CallerError(f"{where}.type is '{kind}', which cannot be said to a provider of another format; expected function")
    function = Fields(fields.raw("function"), f"{where}.function")
    call = ToolCall(id=fields.take("id", str, ""), name=function.need("name", str), arguments=function.take("arguments", str, ""))
    fields.raw("index")
    function.end()
    fields.end()
    return call


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
                said.append(_write_part(part))
            case ToolResult():
                content = [_write_part(one) for one in part.parts]
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
                said.append(_write_part(part))
    if said or calls or beside or not out:
        own: dict[str, JSON] = {"role": message.role, "content": _plain(said) if said or not calls else None}
        if message.name:
            own["name"] = message.name
        out.append(own | beside | ({"tool_calls": calls} if calls else {}))
    return out


def _plain(parts: list[dict[str, JSON]]) -> JSON:
    """One unmarked text as a text, anything else as parts."""
    return parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts or ""


def _write_part(part: Part) -> dict[str, JSON]:
    match part:
        case Text():
            return {"type": "text", "text": part.text} | ({"cache_control": part.cache} if part.cache is not None else {})
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Media():
            return _write_media(part)
    raise CallerError(f"{type(part).__name__} cannot be said to an OpenAI-compatible provider")


def _write_media(part: Media) -> dict[str, JSON]:
    match part.kind:
        case "image" if not part.file:
            return {
                "type": "image_url",
                "image_url": {"url": _address(part, "image/png")} | ({"detail": part.detail} if part.detail else {}),
            }
        case "audio" if part.data and part.media_type:
            format = _AUDIO_FORMATS.get(part.media_type, part.media_type.removeprefix("audio/"))
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": format}}
        case "audio" if part.data:
            raise CallerError("a recording cannot be said to an OpenAI-compatible provider without its format; say its media type")
        case "audio" if part.url:
            return {"type": "audio_url", "audio_url": {"url": part.url}}
        case "video" if not part.file:
            return {"type": "video_url", "video_url": {"url": _address(part, "video/mp4")}}
        case "file" if not part.url:
            held = {"file_id": part.file} if part.file else {"file_data": _address(part) if part.media_type else part.data}
            return {"type": "file", "file": held | ({"filename": part.name} if part.name else {})}
    how = "a file's id" if part.file else "address"
    raise CallerError(f"{part.kind} by {how} cannot be said to an OpenAI-compatible provider; say its bytes")


def _address(part: Media, default: str = "") -> str:
    """Where it lies; a data address of its bytes."""
    return part.url or f"data:{part.media_type or default};base64,{part.data}"


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


class _AnswerMessage(msgspec.Struct):
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Any] | None = None
    images: list[Any] | None = None
    audio: Any = None


class _AnswerChoice(msgspec.Struct):
    message: _AnswerMessage
    finish_reason: str | None = None
    logprobs: dict[str, list[Any] | None] | None = None


class _Answer(msgspec.Struct):
    """A chat completion, as far as it is read."""

    choices: list[_AnswerChoice]
    id: str | None = None
    model: str | None = None
    created: float | None = None
    usage: Any = None
    service_tier: str | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def read_answer(body: bytes) -> ChatAnswer:
    """The answer a body holds. Raises DataError where it is none."""
    try:
        answer = _decode_answer(body)
        choices = tuple([_read_choice(one, f"choices[{n}]") for n, one in enumerate(answer.choices)])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, CallerError) as error:
        raise DataError(f"the provider's answer is no chat completion: {error}") from None
    return ChatAnswer(
        id=answer.id or "",
        model=answer.model or "",
        choices=choices,
        usage=read_usage(answer.usage),
        created=int(answer.created or 0),
        tier=answer.service_tier or "",
    )


def _read_choice(choice: _AnswerChoice, where: str) -> Choice:
    message = choice.message
    parts: list[Part] = []
    if thought := message.reasoning_content or message.reasoning:
        parts.append(Thinking(text=thought))
    if isinstance(message.content, str):
        if message.content:
            parts.append(Text(text=message.content))
    else:
        said = [_read_part(part, f"{where}.message.content[{n}]") for n, part in enumerate(message.content or ())]
        parts += [Text(text=part.text) if isinstance(part, Text) else part for part in said if part != Text(text="")]
    if message.images:
        parts += _read_images(message.images, f"{where}.message")
    if message.audio is not None:
        parts.append(_read_sound(Fields(message.audio, f"{where}.message.audio")))
    if message.refusal:
        parts.append(Refusal(text=message.refusal))
    parts += [_read_call(call, f"{where}.message.tool_calls[{n}]") for n, call in enumerate(message.tool_calls or ())]
    finish: Finish = FINISHES.get(choice.finish_reason or "stop", "stop")
    if message.refusal and finish == "stop":
        finish = "refused"
    return Choice(parts=tuple(parts), finish=finish, logprobs=choice.logprobs)


def usage_of(usage: JSON) -> dict[str, Any] | None:
    """The canonical usage of a response's, as a row; None where there is none. Raises DataError where its parts contradict each other."""
    if not isinstance(usage, dict):
        return None
    spent_in, spent_out = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if spent_in is None:
        return None
    details_in, details_out = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    counts = [spent_in, spent_out]
    if details_in or details_out:
        counts += [*_numbers(details_in), *_numbers(details_out)]
    if not all(type(count) is int for count in counts):
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
    if details_in and (split := _by_modality(details_in, spent_in)):
        row["input_by_modality"] = split
    if details_out and (split := _by_modality(details_out, spent_out)):
        row["output_by_modality"] = split
    return row


def _numbers(details: JSON) -> list[JSON]:
    if not isinstance(details, dict):
        raise DataError("usage details are not an object; expected a chat completion's")
    return [count for count in details.values() if count is not None]


def _by_modality(details: Mapping[str, Any], total: int) -> dict[str, int] | None:
    """The split of a total, where something other than text took part; what is not named is text."""
    split = {name: details.get(f"{name}_tokens") or 0 for name in ("audio", "image", "video")}
    found = {name: count for name, count in split.items() if count}
    return {"text": total - sum(found.values()), **found} if found else None


def read_usage(value: JSON) -> Usage | None:
    """The usage an answer states; None where it states none, or one that cannot be: an unknown usage is better than a wrong one."""
    if value is None:
        return None
    try:
        if isinstance(value, dict) and len(value) == 3:  # the three numbers that everybody says, and nothing else
            into, out, total = value.get("prompt_tokens"), value.get("completion_tokens"), value.get("total_tokens")
            if type(into) is type(out) is type(total) is int and into + out == total:
                return Usage(input_tokens=into, output_tokens=out)
        row = usage_of(value)
        return None if row is None else Usage(**row)
    except DataError:
        return None


def write_answer(answer: ChatAnswer) -> dict[str, JSON]:
    """The body that holds the answer. Raises CallerError for media that OpenAI's format has no place for in an answer."""
    body: dict[str, JSON] = {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [_write_choice(n, choice) for n, choice in enumerate(answer.choices)],
    }
    return body | ({"usage": write_usage(answer.usage)} if answer.usage is not None else {})


def _write_choice(index: int, choice: Choice) -> dict[str, JSON]:
    text = thought = refusal = ""
    calls: list[dict[str, JSON]] = []
    media: dict[str, JSON] = {}
    for part in choice.parts:
        match part:
            case Text():
                text += part.text
            case Thinking():
                thought += part.text
            case Refusal():
                refusal += part.text
            case ToolCall():
                calls += write_calls((part,))
            case Media():
                write_answer_media(part, media)
    nothing = None if calls or refusal or media else ""
    message: dict[str, JSON] = {"role": "assistant", "content": text or nothing, "refusal": refusal or None, **media}
    message |= {"reasoning_content": thought} if thought else {}
    message |= {"tool_calls": calls} if calls else {}
    return {"index": index, "message": message, "finish_reason": finish_word(choice.finish), "logprobs": choice.logprobs}


def write_answer_media(part: Media, beside: dict[str, JSON]) -> None:
    """Puts an image or a recording beside the words of an answer. Raises CallerError for anything else, and for a second recording."""
    if part.kind == "image" and not part.file:
        beside.setdefault("images", []).append(_write_media(part))
    elif part.kind == "audio" and not part.url and "audio" not in beside:
        sound = {"id": part.file, "data": part.data, "transcript": part.transcript, "expires_at": part.expires_at}
        beside["audio"] = {name: value for name, value in sound.items() if value}
    else:
        raise CallerError(f"an answer that holds a {part.kind} beside its words, images and one recording has no place in OpenAI's format")


def write_calls(calls: Iterable[ToolCall]) -> Iterable[dict[str, JSON]]:
    """Calls of tools as an answer lists them."""
    for call in calls:
        yield {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}


def finish_word(finish: Finish) -> str:
    """OpenAI's word for why an answer ended."""
    return _FINISH_WORDS[finish]


def write_usage(usage: Usage) -> dict[str, JSON]:
    """The usage as OpenAI states it."""
    before: dict[str, JSON] = {"cached_tokens": usage.cached_read, "cache_write_tokens": usage.cached_write}
    after: dict[str, JSON] = {"reasoning_tokens": usage.reasoning_tokens}
    for details, split in ((before, usage.input_by_modality), (after, usage.output_by_modality)):
        details.update({f"{kind}_tokens": count for kind, count in (split or {}).items()})
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": before,
        "completion_tokens_details": after,
    }
