"""Parts of messages as OpenAI writes them: words, images, recordings, films, files and calls of tools, read and written."""

from collections.abc import Iterable, Mapping

from freehold.chat import JSON, Media, Modality, Part, Refusal, Text, ToolCall
from freehold.errors import CallerError
from freehold.gateway.fields import Fields

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


def read_part(value: JSON, where: str) -> Text | Media | Refusal:
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


def read_images(images: list[JSON], where: str) -> list[Media]:
    """The images an answer holds beside its words, as OpenRouter and others give them."""
    found = []
    for n, one in enumerate(images):
        image = Fields(Fields(one, f"{where}.images[{n}]").raw("image_url"), f"{where}.images[{n}].image_url")
        found.append(media_at(image.need("url", str), "image", detail=image.take("detail", str, "")))
    return found


def read_sound(sound: Fields) -> Media:
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
        read_part(part, f"{where}.content[{n}]")
        for n, part in enumerate(content if isinstance(content, list) else ())
        if isinstance(part, Mapping) and part.get("type") not in ("text", "output_text")
    ]
    images, sound = message.get("images"), message.get("audio")
    found = [part for part in said if isinstance(part, Media)]
    found += read_images(images, where) if isinstance(images, list) else []
    return found + ([read_sound(Fields(sound, f"{where}.audio"))] if isinstance(sound, Mapping) else [])


def read_call(value: JSON, where: str) -> ToolCall:
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


def write_part(part: Part) -> dict[str, JSON]:
    match part:
        case Text():
            return {"type": "text", "text": part.text} | ({"cache_control": part.cache} if part.cache is not None else {})
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Media():
            return write_media(part)
    raise CallerError(f"{type(part).__name__} cannot be said to an OpenAI-compatible provider")


def write_media(part: Media) -> dict[str, JSON]:
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


def write_answer_media(part: Media, beside: dict[str, JSON]) -> None:
    """Puts an image or a recording beside the words of an answer. Raises CallerError for anything else, and for a second recording."""
    if part.kind == "image" and not part.file:
        beside.setdefault("images", []).append(write_media(part))
    elif part.kind == "audio" and not part.url and "audio" not in beside:
        sound = {"id": part.file, "data": part.data, "transcript": part.transcript, "expires_at": part.expires_at}
        beside["audio"] = {name: value for name, value in sound.items() if value}
    else:
        raise CallerError(f"an answer that holds a {part.kind} beside its words, images and one recording has no place in OpenAI's format")


def write_calls(calls: Iterable[ToolCall]) -> Iterable[dict[str, JSON]]:
    """Calls of tools as an answer lists them."""
    for call in calls:
        yield {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
