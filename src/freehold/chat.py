"""The nouns of one exchange: what is asked of a model, what it answers, whole or in pieces, and what that used.

They belong to no provider: `gateway/` and `providers/` read and write the wire formats. What a format says and these records have no
place for stands in `further`, under the format's own name, and is an error where it would have to be said in another format.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from math import isfinite
from typing import Any, Literal, TypeAlias

import msgspec

from freehold.errors import DataError

JSON: TypeAlias = Any
"""A value that entered as JSON: None, bool, int, float, str, list or dict."""

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
Modality: TypeAlias = Literal["text", "image", "audio", "video", "file"]

Outcome: TypeAlias = Literal["answered", "refused", "malformed", "failed", "timed_out", "cancelled"]
"""How a call or an attempt ended."""
Cause: TypeAlias = Literal["first", "retry", "fallback", "hedge", "escalation", "sample", "check", "revision", "repair"]
"""Why an attempt was made."""

_ROLES_OF_THE_TASK = frozenset({"system", "developer"})


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """What one answer used, in tokens. The parts always sum: `input_tokens` = fresh + cached_read + cached_write."""

    input_tokens: int = 0
    """All tokens put before the model, cached ones included."""
    cached_read: int = 0
    """Those of `input_tokens` that the provider read from its prompt cache."""
    cached_write: int = 0
    """Those of `input_tokens` that the provider wrote to its prompt cache."""
    output_tokens: int = 0
    """All tokens the model produced, reasoning included."""
    reasoning_tokens: int = 0
    """Those of `output_tokens` spent on reasoning the caller does not see."""
    input_by_modality: dict[Modality, int] | None = None
    """`input_tokens` split by modality, where the provider says; sums to `input_tokens`."""
    output_by_modality: dict[Modality, int] | None = None
    """`output_tokens` split by modality, where the provider says; sums to `output_tokens`."""

    def __post_init__(self) -> None:
        counts = (self.input_tokens, self.cached_read, self.cached_write, self.output_tokens, self.reasoning_tokens)
        if min(counts) < 0:
            raise DataError(f"usage has a negative count: {counts}; token counts are whole numbers from 0")
        if self.cached_read + self.cached_write > self.input_tokens:
            raise DataError(
                f"usage does not add up: cached_read {self.cached_read} + cached_write {self.cached_write} is more than "
                f"input_tokens {self.input_tokens}, which is the total and includes both"
            )
        if self.reasoning_tokens > self.output_tokens:
            raise DataError(
                f"usage does not add up: reasoning_tokens {self.reasoning_tokens} is more than output_tokens "
                f"{self.output_tokens}, which includes it"
            )
        if self.input_by_modality is self.output_by_modality is None:
            return
        for total, split, name in (
            (self.input_tokens, self.input_by_modality, "input_by_modality"),
            (self.output_tokens, self.output_by_modality, "output_by_modality"),
        ):
            if split is not None and (sum(split.values()) != total or min(split.values(), default=0) < 0):
                raise DataError(f"usage does not add up: {name} {split} has to sum to {total} with no negative part")

    @property
    def fresh_tokens(self) -> int:
        """Input tokens that touched no cache."""
        return self.input_tokens - self.cached_read - self.cached_write


class Text(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="text"):
    """Words."""

    text: str
    """What is said."""
    cache: JSON = None
    """The provider's mark that a prompt cache may end here, such as `{"type": "ephemeral"}`."""


class Media(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="media"):
    """An image, a recording, a film or a document: its bytes, its address, or a provider's name for it. Addresses are never fetched."""

    kind: Modality
    """What it is."""
    media_type: str = ""
    """Such as `image/png`; empty where nobody said."""
    data: str = ""
    """The bytes in base64."""
    url: str = ""
    """Where it lies."""
    file: str = ""
    """A provider's id of a file that was handed to it, or of a recording that it made."""
    name: str = ""
    """The file's name or title."""
    detail: str = ""
    """How closely to look, in OpenAI's words."""
    transcript: str = ""
    """What is said in a recording, where whoever made it says."""
    expires_at: int = 0
    """Seconds since 1970 UTC until which its provider knows it by `file`; 0 where nobody said."""
    cache: JSON = None
    """As of `Text`."""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="tool_call"):
    """A model asks for a tool."""

    id: str
    """What the result has to name."""
    name: str
    """Which tool."""
    arguments: str
    """JSON as the model wrote it, which may be none."""
    cache: JSON = None
    """As of `Text`."""


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="tool_result"):
    """What a tool gave."""

    call: str
    """The id of the call it answers."""
    parts: tuple["Text | Media", ...] = ()
    """What it gave."""
    is_error: bool = False
    """Whether the tool failed."""
    cache: JSON = None
    """As of `Text`."""


class Thinking(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="thinking"):
    """What a model thought before it answered."""

    text: str = ""
    """The thought, or a summary of it."""
    signature: str = ""
    """What lets its provider recognise it when it comes back."""
    sealed: str = ""
    """A thought nobody but its provider can read."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="refusal"):
    """A model says that it will not answer."""

    text: str
    """How it says so."""


Part: TypeAlias = Text | Media | ToolCall | ToolResult | Thinking | Refusal
"""A piece of a message, in the order in which it stands there."""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one side said."""

    role: Role
    """Who said it. Results of tools are the tool's."""
    parts: tuple[Part, ...] = ()
    """What was said."""
    name: str = ""
    """Which of several participants of that role."""


class Tool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A function that the model may ask for."""

    name: str
    """What it is called."""
    description: str = ""
    """When to ask for it."""
    schema: JSON = None
    """JSON schema of its arguments; None for none."""
    strict: bool | None = None
    """Whether arguments have to fit the schema."""
    cache: JSON = None
    """As of `Text`."""


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Which tools the model may or must ask for."""

    kind: Literal["auto", "none", "required", "named"]
    """As it likes, none, at least one, or the one of that name."""
    name: str = ""
    """The one that is named."""


class OutputShape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the answer has to look like."""

    kind: Literal["text", "json", "schema"]
    """Words, any JSON object, or JSON of a schema."""
    name: str = ""
    """What the schema is called."""
    schema: JSON = None
    """The schema."""
    strict: bool | None = None
    """Whether the answer has to fit it."""
    description: str = ""
    """What the schema is for."""


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is asked of a model. None leaves a setting to the provider."""

    model: str
    """The model's name, as whoever is asked knows it."""
    messages: tuple[Message, ...]
    """The conversation so far; the system's words come first."""
    tools: tuple[Tool, ...] = ()
    """What it may ask for."""
    tool_choice: ToolChoice | None = None
    """Which of them."""
    parallel_tools: bool | None = None
    """Whether it may ask for several at once."""
    shape: OutputShape | None = None
    """What the answer has to look like."""
    max_output_tokens: int | None = None
    """The most it may write."""
    stop: tuple[str, ...] = ()
    """Where to stop."""
    temperature: float | None = None
    """Sampling temperature."""
    top_p: float | None = None
    """Nucleus sampling."""
    top_k: int | None = None
    """The most candidates for a token."""
    seed: int | None = None
    """For sampling that repeats."""
    frequency_penalty: float | None = None
    """As OpenAI has it."""
    presence_penalty: float | None = None
    """As OpenAI has it."""
    logit_bias: dict[str, float] | None = None
    """By token id."""
    top_logprobs: int | None = None
    """Log-probabilities of so many candidates beside each token's own; None for none at all."""
    choices: int = 1
    """How many answers to give."""
    effort: str | None = None
    """How hard to think, in the provider's words."""
    thinking_tokens: int | None = None
    """The most it may think; 0 for not at all."""
    user: str | None = None
    """A name for the end user, as the provider asks for one."""
    metadata: dict[str, str] | None = None
    """What the provider stores with it."""
    service_tier: str | None = None
    """The provider's class of service."""
    stream: bool = False
    """Whether the answer is wanted in pieces."""
    usage_in_stream: bool = False
    """Whether a stream has to say what it used."""
    further: dict[str, JSON] = {}
    """What only the format it came in knows, by that format's name of it, such as `openai.prediction`."""


Finish: TypeAlias = Literal["stop", "length", "tools", "filtered", "refused", "paused"]
"""Why an answer ended."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One answer."""

    parts: tuple[Part, ...] = ()
    """What it says."""
    finish: Finish = "stop"
    """Why it ended."""
    stop: str | None = None
    """The stop sequence it ended at, where the provider says."""
    logprobs: JSON = None
    """Log-probabilities, as OpenAI writes them."""


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a model answered."""

    id: str
    """The provider's id of it."""
    model: str
    """The model that answered, by the provider's name."""
    choices: tuple[Choice, ...]
    """The answer, or as many as were asked for."""
    usage: Usage | None = None
    """What it used; None where the provider did not say."""
    created: int = 0
    """Seconds since 1970 UTC; 0 where the provider did not say."""
    tier: str = ""
    """The class of service it was billed under, where the provider says."""


class CallPiece(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A piece of a call of a tool."""

    index: int
    """Which of the answer's calls it belongs to, from 0."""
    id: str = ""
    """The call's id, in its first piece."""
    name: str = ""
    """The tool, in its first piece."""
    arguments: str = ""
    """More of the arguments."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A piece of an answer. Whatever it does not say is empty."""

    choice: int = 0
    """Which of the answers it belongs to."""
    id: str = ""
    """The provider's id of the answer, in the first piece."""
    model: str = ""
    """The model that answers, in the first piece."""
    created: int = 0
    """As of `ChatAnswer`, in the first piece."""
    text: str = ""
    """More words."""
    thinking: str = ""
    """More thoughts."""
    signature: str = ""
    """The signature of the thought that ends here."""
    sealed: str = ""
    """A whole thought that nobody but its provider can read."""
    refusal: str = ""
    """More of a refusal."""
    call: CallPiece | None = None
    """More of a call of a tool."""
    media: Media | None = None
    """A whole image, or more of a recording: its bytes, a base64 of their own, and its transcript go on where the last piece ended."""
    logprobs: JSON = None
    """Log-probabilities of these words, as OpenAI writes them."""
    finish: Finish | None = None
    """Why the answer ended, in its last piece."""
    stop: str | None = None
    """The stop sequence it ended at."""
    usage: Usage | None = None
    """What it used so far; the last one that is told counts."""
    tier: str = ""
    """As of `ChatAnswer`, in the first piece."""


def pieces_of(answer: "ChatAnswer") -> Iterator[Chunk]:
    """An answer that is whole, as a stream would bring it: each part in one piece."""
    yield Chunk(id=answer.id, model=answer.model, created=answer.created, tier=answer.tier)
    for n, choice in enumerate(answer.choices):
        calls = 0
        for part in choice.parts:
            match part:
                case Text():
                    yield Chunk(choice=n, text=part.text)
                case Thinking(sealed=sealed) if sealed:
                    yield Chunk(choice=n, sealed=sealed)
                case Thinking():
                    yield Chunk(choice=n, thinking=part.text, signature=part.signature)
                case Refusal():
                    yield Chunk(choice=n, refusal=part.text)
                case ToolCall():
                    yield Chunk(choice=n, call=CallPiece(index=calls, id=part.id, name=part.name, arguments=part.arguments))
                    calls += 1
                case Media():
                    yield Chunk(choice=n, media=part)
        yield Chunk(choice=n, finish=choice.finish, stop=choice.stop, logprobs=choice.logprobs)
    if answer.usage is not None:
        yield Chunk(usage=answer.usage)


class Collected:
    """An answer put together from its pieces."""

    def __init__(self) -> None:
        self.id = self.model = self.tier = ""
        self.created = 0
        self.usage: Usage | None = None
        self._parts: dict[int, list[Part]] = {}
        self._calls: dict[tuple[int, int], int] = {}
        self._recordings: dict[int, tuple[int, list[Media]]] = {}
        self._ends: dict[int, Chunk] = {}
        self._logprobs: dict[int, dict[str, list[JSON]]] = {}

    def add(self, chunk: Chunk) -> None:
        """Takes the next piece."""
        self.id, self.model, self.created = chunk.id or self.id, chunk.model or self.model, chunk.created or self.created
        self.usage, self.tier = chunk.usage or self.usage, chunk.tier or self.tier
        parts = self._parts.get(chunk.choice)
        if parts is None:
            parts = self._parts[chunk.choice] = []
        if chunk.thinking or chunk.signature:
            if parts and isinstance(last := parts[-1], Thinking) and not last.signature and not last.sealed:
                parts[-1] = Thinking(text=last.text + chunk.thinking, signature=chunk.signature)
            else:
                parts.append(Thinking(text=chunk.thinking, signature=chunk.signature))
        if chunk.sealed:
            parts.append(Thinking(sealed=chunk.sealed))
        if chunk.text:
            if parts and isinstance(last := parts[-1], Text):
                parts[-1] = Text(text=last.text + chunk.text)
            else:
                parts.append(Text(text=chunk.text))
        if chunk.refusal:
            if parts and isinstance(last := parts[-1], Refusal):
                parts[-1] = Refusal(text=last.text + chunk.refusal)
            else:
                parts.append(Refusal(text=chunk.refusal))
        if chunk.call is not None:
            self._add_call(chunk.choice, chunk.call, parts)
        if chunk.media is not None:
            self._add_media(chunk.choice, chunk.media, parts)
        if isinstance(chunk.logprobs, dict):
            for kind, more in chunk.logprobs.items():
                self._logprobs.setdefault(chunk.choice, {}).setdefault(kind, []).extend(more or ())
        if chunk.finish is not None:
            self._ends[chunk.choice] = chunk

    def _add_call(self, choice: int, piece: CallPiece, parts: list[Part]) -> None:
        place = self._calls.setdefault((choice, piece.index), len(parts))
        if place == len(parts):
            parts.append(ToolCall(id=piece.id, name=piece.name, arguments=piece.arguments))
            return
        known = parts[place]
        assert isinstance(known, ToolCall)
        parts[place] = ToolCall(id=known.id or piece.id, name=known.name or piece.name, arguments=known.arguments + piece.arguments)

    def _add_media(self, choice: int, piece: Media, parts: list[Part]) -> None:
        if piece.kind == "audio":
            place, pieces = self._recordings.get(choice, (0, []))
            if pieces and piece.file in ("", *(known.file for known in pieces[:1])):
                pieces.append(piece)
                return
            if pieces:
                parts[place] = _joined(pieces)
            self._recordings[choice] = len(parts), [piece]
        parts.append(piece)

    def plain_text(self) -> str | None:
        """The words so far, where there are words and nothing else; None for any other answer."""
        parts = [part for choice in self._parts.values() for part in choice]
        return parts[0].text if len(parts) == 1 and len(self._parts) == 1 and isinstance(parts[0], Text) else None

    def answer(self) -> ChatAnswer:
        """What there is by now. An answer that has not ended counts as cut off."""
        return ChatAnswer(
            id=self.id,
            model=self.model,
            choices=tuple(self._choice(n) for n in sorted(self._parts)),
            usage=self.usage,
            created=self.created,
            tier=self.tier,
        )

    def _choice(self, n: int) -> Choice:
        end = self._ends.get(n)
        finish: Finish = "length" if end is None or end.finish is None else end.finish
        parts = self._parts[n]
        if n in self._recordings:
            place, pieces = self._recordings[n]
            parts = [*parts[:place], _joined(pieces), *parts[place + 1 :]]
        return Choice(parts=tuple(parts), finish=finish, stop=end.stop if end else None, logprobs=self._logprobs.get(n))


_PADDED = re.compile("[^=]+={0,2}")


def _joined(pieces: list[Media]) -> Media:
    """A recording from its pieces. Each is a base64 of its own, or all are cut from one: padding says where one ends."""
    data = "".join(piece.data for piece in pieces)
    if "=" in data.rstrip("="):
        with suppress(ValueError):  # what is no base64 stays as it came
            data = b64encode(b"".join(b64decode(one) for one in _PADDED.findall(data))).decode()
    return msgspec.structs.replace(
        pieces[0],
        data=data,
        transcript="".join(piece.transcript for piece in pieces),
        expires_at=max(piece.expires_at for piece in pieces),
    )


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


_PARTS_OF_TEXT = frozenset({"text", "input_text", "output_text"})
_PARTS_WITHOUT_WORDS = frozenset(
    {"image", "image_url", "input_image", "audio", "audio_url", "input_audio", "file", "input_file", "document", "video", "video_url"}
)
_MEDIA = ("image", "audio", "video", "file")
_MEDIA_HELD = ("data", "url", "file", "frames")
_KEYS_WITHOUT_WORDS = frozenset({"type", "id", "tool_use_id", "call_id", "cache_control", "signature"})


def is_finite(value: JSON) -> bool:
    """Whether every number in it is one that JSON has: no NaN and nothing infinite."""
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, list):
        return all(map(is_finite, value))
    return all(map(is_finite, value.values())) if isinstance(value, dict) else True


def canonical_json(value: JSON) -> bytes:
    """The one byte string of a JSON value: keys sorted, no spaces. What is hashed and compared."""
    return msgspec.json.encode(value, order="deterministic")
