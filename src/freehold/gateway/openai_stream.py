"""OpenAI's streams: events into pieces of an answer, and pieces into events."""

from collections.abc import Iterator
from typing import Any

import msgspec

from freehold.chat import JSON, CallPiece, Chunk, Media, Usage
from freehold.errors import CallerError, ProviderError
from freehold.gateway.openai_answers import FINISHES, finish_word
from freehold.gateway.openai_parts import media_at, write_answer_media
from freehold.gateway.openai_usage import read_usage, write_usage
from freehold.gateway.sse import DONE, Event, event

_encode = msgspec.json.Encoder().encode


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Address(msgspec.Struct):
    url: str


class _Part(msgspec.Struct):
    text: str | None = None
    image_url: _Address | None = None


class _Sound(msgspec.Struct):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None


class _Delta(msgspec.Struct):
    content: str | list[_Part] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    images: list[_Part] | None = None
    audio: _Sound | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None
    logprobs: dict[str, list[Any] | None] | None = None


class _Piece(msgspec.Struct):
    """One event's data, as far as it is read."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[_Choice] | None = None
    usage: Any = None
    service_tier: str | None = None
    error: Any = None


_SILENCE, _NOTHING = _Delta(), _Piece()
_decode = msgspec.json.Decoder(_Piece).decode


class StreamReader:
    """Reads a provider's events. `is_done` once the stream has said that it ended: by its last event, or, as some servers leave that out
    (`transformers serve`, 2026-11), by saying of every answer why it ended: of those that were asked for, and of any that began."""

    def __init__(self, answers: int = 1) -> None:
        """`answers`: how many were asked for."""
        self._is_over = False
        self._answers = answers
        self._ended: set[int] = set()
        self._calls: dict[tuple[int, int], tuple[int, str]] = {}
        self._counts: dict[int, int] = {}

    def read(self, told: Event) -> list[Chunk]:
        """The pieces in one event. Raises ProviderError where the provider says that it failed, or says no piece of an answer."""
        if told.data == DONE:
            self._is_over = True
            return []
        try:
            piece = _decode(told.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProviderError(f"the provider's stream is not what it should be: {error}") from None
        if piece.error is not None:
            said = piece.error.get("message") if isinstance(piece.error, dict) else piece.error
            raise ProviderError(f"the provider broke its answer off: {said}")
        first, *others = piece.choices or [_Choice()]
        found = self._chunks(first, piece)
        for choice in others:
            found += self._chunks(choice, _NOTHING)
        return found

    @property
    def is_done(self) -> bool:
        """Whether the stream has said that it ended."""
        return self._is_over or len(self._ended) >= self._answers

    def _chunks(self, choice: _Choice, about: _Piece) -> list[Chunk]:
        """What is said of one answer, and `about` all of them."""
        n, delta, finish = choice.index or 0, choice.delta or _SILENCE, choice.finish_reason
        calls = [self._call(n, call) for call in delta.tool_calls] if delta.tool_calls else []
        content = delta.content or ""
        self._answers = max(self._answers, n + 1)
        if finish:
            self._ended.add(n)
        first = Chunk(
            choice=n,
            id=about.id or "",
            model=about.model or "",
            created=int(about.created or 0),
            text=content if isinstance(content, str) else "".join(part.text or "" for part in content),
            thinking=delta.reasoning_content or delta.reasoning or "",
            refusal=delta.refusal or "",
            call=calls[0] if calls else None,
            logprobs=choice.logprobs,
            finish=FINISHES.get(finish, "stop") if finish else None,
            usage=read_usage(about.usage),
            tier=about.service_tier or "",
        )
        if calls:
            found = [first, *(Chunk(choice=n, call=call) for call in calls[1:])]
        else:
            found = [first]
        if delta.images or delta.audio is not None or not isinstance(content, str):
            found += [Chunk(choice=n, media=media) for media in _media(delta)]
        return found

    def _call(self, choice: int, call: _Call) -> CallPiece:
        function = call.function or _Function()
        return CallPiece(index=self._number(choice, call), id=call.id or "", name=function.name or "", arguments=function.arguments or "")

    def _number(self, choice: int, call: _Call) -> int:
        """Which of an answer's calls this is a piece of. Some providers say 0 of all, and begin each with an id and a name (2026-05)."""
        place, id = (choice, call.index or 0), call.id or ""
        number, known = self._calls.get(place, (-1, ""))
        if number < 0 or (known and id and id != known and call.function is not None and call.function.name):
            number = self._counts[choice] = self._counts.get(choice, -1) + 1
        self._calls[place] = number, id or known
        return number


def _media(delta: _Delta) -> Iterator[Media]:
    """The images in a piece, and more of a recording."""
    content = delta.content if isinstance(delta.content, list) else []
    for part in (*content, *(delta.images or ())):
        if part.image_url is not None:
            yield media_at(part.image_url.url, "image")
    if (sound := delta.audio) is not None:
        yield Media(
            kind="audio",
            file=sound.id or "",
            data=sound.data or "",
            transcript=sound.transcript or "",
            expires_at=sound.expires_at or 0,
        )


class StreamWriter:
    """Writes events for a caller that speaks OpenAI's format."""

    def __init__(self, with_usage: bool) -> None:
        self._with_usage = with_usage
        self._event: dict[str, JSON] = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": "", "choices": []}
        """The next one, but for what it says."""
        if with_usage:
            self._event["usage"] = None
        self._begun: set[int] = set()
        self._usage: Usage | None = None

    def write(self, chunk: Chunk) -> bytes:
        """The events of one piece; nothing where it says nothing that this format has a word for. Raises ProviderError for a video or a
        document, which this format has no place for in an answer."""
        told = self._event
        if chunk.id:
            told["id"] = chunk.id
        if chunk.created:
            told["created"] = chunk.created
        if chunk.model:
            told["model"] = chunk.model
        if chunk.usage is not None:
            self._usage = chunk.usage
        delta: dict[str, JSON] = {}
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.thinking:
            delta["reasoning_content"] = chunk.thinking
        if chunk.refusal:
            delta["refusal"] = chunk.refusal
        if (call := chunk.call) is not None:
            begun = {"id": call.id, "type": "function"} if call.id or call.name else {}
            function = {"arguments": call.arguments} | ({"name": call.name} if call.name else {})
            delta["tool_calls"] = [{"index": call.index, **begun, "function": function}]
        if chunk.media is not None:
            try:
                write_answer_media(chunk.media, delta)
            except CallerError as error:
                raise ProviderError(str(error)) from None
        if chunk.choice not in self._begun:
            self._begun.add(chunk.choice)
            delta = {"role": "assistant", "content": "", **delta}
        elif not delta and chunk.finish is None and chunk.logprobs is None:
            return b""
        choice: dict[str, JSON] = {
            "index": chunk.choice,
            "delta": delta,
            "finish_reason": None if chunk.finish is None else finish_word(chunk.finish),
        }
        if chunk.logprobs is not None:
            choice["logprobs"] = chunk.logprobs
        told["choices"] = [choice]
        return event(_encode(told))

    def end(self) -> bytes:
        """The events that end the stream, the one about usage first."""
        told = b""
        if self._with_usage and self._usage is not None:
            told = event(_encode({**self._event, "choices": [], "usage": write_usage(self._usage)}))
        return told + event(DONE)

    def broken(self, message: str, kind: str) -> bytes:
        """The event that says that the answer ends here because something failed."""
        return event(_encode({"error": {"message": message, "type": kind, "param": None, "code": None}}))
