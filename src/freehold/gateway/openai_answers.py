"""OpenAI's answers: chat completions, read into our records and written from them."""

from typing import Any

import msgspec

from freehold.chat import JSON, ChatAnswer, Choice, Finish, Media, Part, Refusal, Text, Thinking, ToolCall
from freehold.errors import CallerError, DataError
from freehold.gateway.fields import Fields
from freehold.gateway.openai_parts import read_call, read_images, read_part, read_sound, write_answer_media, write_calls
from freehold.gateway.openai_usage import read_usage, write_usage

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
        said = [read_part(part, f"{where}.message.content[{n}]") for n, part in enumerate(message.content or ())]
        parts += [Text(text=part.text) if isinstance(part, Text) else part for part in said if part != Text(text="")]
    if message.images:
        parts += read_images(message.images, f"{where}.message")
    if message.audio is not None:
        parts.append(read_sound(Fields(message.audio, f"{where}.message.audio")))
    if message.refusal:
        parts.append(Refusal(text=message.refusal))
    parts += [read_call(call, f"{where}.message.tool_calls[{n}]") for n, call in enumerate(message.tool_calls or ())]
    finish: Finish = FINISHES.get(choice.finish_reason or "stop", "stop")
    if message.refusal and finish == "stop":
        finish = "refused"
    return Choice(parts=tuple(parts), finish=finish, logprobs=choice.logprobs)


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


def finish_word(finish: Finish) -> str:
    """OpenAI's word for why an answer ended."""
    return _FINISH_WORDS[finish]
