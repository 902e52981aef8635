"""What of a JSON input is words, and what is media: by this the same question is known again, whoever wrote it down."""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

from freehold.chat.exchange import Media
from freehold.chat.value import JSON, canonical_json
from freehold.errors import DataError

CHARS_A_TOKEN = 4
"""About so many characters are a token, where nobody counted."""
_ROLES_OF_THE_TASK = frozenset({"system", "developer"})
_PARTS_OF_TEXT = frozenset({"text", "input_text", "output_text"})
_PARTS_WITHOUT_WORDS = frozenset(
    {"image", "image_url", "input_image", "audio", "audio_url", "input_audio", "file", "input_file", "document", "video", "video_url"}
)
_MEDIA = ("image", "audio", "video", "file")
_MEDIA_HELD = ("data", "url", "file", "frames")
_KEYS_WITHOUT_WORDS = frozenset({"type", "id", "tool_use_id", "call_id", "cache_control", "signature"})


def text_of(asked: JSON) -> str:
    """The words of an input that differ from call to call: what routing looks at.

    A string is itself. Of a list of chat messages (or an object with `messages`), the text parts of every message except the
    system's and the developer's, which belong to the task. Of any other object, its strings and numbers in order.
    """
    if isinstance(asked, str):
        return asked
    messages = _messages_in(asked)
    if messages is None:
        return "\n".join(_leaves(asked))
    return words_of(messages, of_the_task=False)


def key_of(asked: JSON) -> str:
    """What recordings and memories know an input by: its words, and a digest of the images, recordings, films and documents beside them."""
    text, messages = text_of(asked), _messages_in(asked)
    media = [canonical_json(one) for one in media_in(asked if messages is None else messages)]
    return f"{text}\0{blake2b(b' '.join(media), digest_size=16).hexdigest()}" if media else text


def system_text_of(asked: JSON) -> str:
    """The system's and the developer's words of an input made of chat messages; empty for every other input."""
    return words_of(_messages_in(asked) or (), of_the_task=True)


def words_of(messages: Iterable[Mapping[str, JSON]], of_the_task: bool) -> str:
    """The text parts of chat messages, of those that belong to the task or of the others."""
    said: list[str] = []
    for message in messages:
        if (message["role"] in _ROLES_OF_THE_TASK) is of_the_task:
            content = message.get("content")
            if isinstance(content, str):
                said.append(content)
            else:
                said += _leaves(content)
    return "\n".join(said)


def tools_of(asked: Mapping[str, JSON]) -> Iterator[str]:
    """The names of the tools offered, whichever way they are written down."""
    for key in ("tools", "functions"):
        offered = asked.get(key)
        for tool in offered if isinstance(offered, list) else []:
            if isinstance(tool, Mapping):
                inner = next((tool[kind] for kind in ("function", "custom") if isinstance(tool.get(kind), Mapping)), tool)
                yield str(inner.get("name") or tool.get("type"))


def is_media(value: JSON) -> bool:
    """Whether a JSON value is an image, a recording, a film or a document: an object whose `media` says which."""
    return isinstance(value, dict) and value.get("media") in _MEDIA and any(name in value for name in _MEDIA_HELD)


def media_json(part: Media) -> dict[str, JSON]:
    """A medium of a message as a JSON object, as values of tasks are written. Where its bytes are there, ids are left out: equal is equal."""
    held = next(name for name in ("data", "url", "file") if getattr(part, name) or name == "file")
    said = {
        "media_type": part.media_type,
        held: getattr(part, held),
        "name": part.name,
        "detail": part.detail,
        "transcript": part.transcript,
    }
    return {"media": part.kind, **{name: value for name, value in said.items() if value}}


def media_part(value: Mapping[str, JSON]) -> Media:
    """The medium of a message that such an object says. Raises DataError for a film in frames, which is several."""
    if "frames" in value:
        raise DataError("a film in frames is no single part of a message; expected its bytes, its address, or a provider's id of it")
    said = {name: value.get(name, "") for name in ("media_type", "data", "url", "file", "name", "detail", "transcript")}
    return Media(kind=value["media"], **said)


def is_messages(value: JSON) -> bool:
    """Whether `value` is a list of chat messages."""
    if not isinstance(value, list) or not value:
        return False
    for message in value:  # noqa: SIM110 on the way of every call, where `all` takes twice as long
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            return False
    return True


def _messages_in(asked: JSON) -> list[dict[str, JSON]] | None:
    inner = asked.get("messages") if isinstance(asked, dict) else asked
    return inner if is_messages(inner) else None


def _leaves(value: JSON) -> Iterator[str]:
    """The texts and numbers in a JSON value, in order; of a content part, its words and never its type, ids or a file's bytes."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        yield str(value)
    elif isinstance(value, float):
        yield f"{value:.15g}"
    elif isinstance(value, list):
        for entry in value:
            yield from _part(entry) if isinstance(entry, dict) and isinstance(entry.get("type"), str) else _leaves(entry)
    elif isinstance(value, dict):
        if "media" in value and is_media(value):  # what is said in it, where anybody says
            value = {name: value[name] for name in ("transcript", "sound") if name in value}
        for entry in value.values():
            yield from _leaves(entry)


def media_in(value: JSON) -> Iterator[JSON]:
    """The media in a JSON value: objects of ours, and content parts of either format."""
    if isinstance(value, list):
        for entry in value:
            yield from media_in(entry)
    elif isinstance(value, dict):
        kind = value.get("type")
        if is_media(value) or (isinstance(kind, str) and kind in _PARTS_WITHOUT_WORDS):
            yield value
            return
        for entry in value.values():
            yield from media_in(entry)


def _part(part: Mapping[str, JSON]) -> Iterator[str]:
    """The words of one content part, or of any other typed object in a list."""
    if part["type"] in _PARTS_WITHOUT_WORDS:
        return
    if part["type"] in _PARTS_OF_TEXT:
        yield from _leaves(part.get("text"))
        return
    for key, entry in part.items():
        if key not in _KEYS_WITHOUT_WORDS:
            yield from _leaves(entry)
