"""Anthropic's streams: events into pieces of an answer, and pieces into events."""

from typing import Any

import msgspec

from freehold.chat import JSON, CallPiece, Choice, Chunk, Usage
from freehold.errors import ProviderError
from freehold.gateway.anthropic import FINISHES, finish_word, read_usage, write_usage
from freehold.gateway.sse import Event, event

_encode = msgspec.json.Encoder().encode


class _Message(msgspec.Struct):
    id: str = ""
    model: str = ""
    usage: dict[str, JSON] | None = None


class _Block(msgspec.Struct):
    type: str
    id: str = ""
    name: str = ""
    input: Any = None
    data: str = ""
    text: str = ""
    thinking: str = ""


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Told(msgspec.Struct):
    """One event's data, as far as it is read."""

    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: dict[str, JSON] | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Told).decode


class StreamReader:
    """Reads a provider's events. `is_done` once the stream has said that it ended."""

    def __init__(self) -> None:
        self.is_done = False
        self._calls: dict[int, int] = {}
        self._usage: dict[str, JSON] = {}

    def read(self, told: Event) -> list[Chunk]:
        """The pieces in one event. Raises ProviderError where the provider says that it failed, or says no piece of an answer."""
        try:
            said = _decode(told.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProviderError(f"the provider's stream is not what it should be: {error}") from None
        match said:
            case _Told(type="message_start", message=_Message() as message):
                return [Chunk(id=message.id, model=message.model, usage=self._used(message.usage))]
            case _Told(type="content_block_start", content_block=_Block() as block):
                return self._begun(said.index, block)
            case _Told(type="content_block_delta", delta=_Delta() as delta):
                return self._more(said.index, delta)
            case _Told(type="message_delta", delta=_Delta() as delta):
                ended = None if delta.stop_reason is None else FINISHES.get(delta.stop_reason, "stop")
                return [Chunk(finish=ended, stop=delta.stop_sequence, usage=self._used(said.usage))]
            case _Told(type="message_start" | "content_block_start" | "content_block_delta" | "message_delta"):
                raise ProviderError(f"the provider's stream is not what it should be: its {said.type} is empty")
            case _Told(type="message_stop"):
                self.is_done = True
            case _Told(type="error"):
                why = said.error.get("message") if isinstance(said.error, dict) else said.error
                raise ProviderError(f"the provider broke its answer off: {why}")
        return []

    def _used(self, more: dict[str, JSON] | None) -> Usage | None:
        """What is used by now: later events repeat some counts and leave others out."""
        self._usage |= {name: value for name, value in (more or {}).items() if value is not None}
        return read_usage(self._usage)

    def _begun(self, index: int, block: _Block) -> list[Chunk]:
        match block.type:
            case "tool_use":
                if index in self._calls:
                    raise ProviderError(f"the provider's stream begins its block {index} twice")
                number = self._calls[index] = len(self._calls)
                arguments = _encode(block.input).decode() if block.input else ""
                return [Chunk(call=CallPiece(index=number, id=block.id, name=block.name, arguments=arguments))]
            case "redacted_thinking":
                return [Chunk(sealed=block.data)]
        return [Chunk(text=block.text, thinking=block.thinking)] if block.text or block.thinking else []

    def _more(self, index: int, delta: _Delta) -> list[Chunk]:
        if delta.type == "input_json_delta":
            return [Chunk(call=CallPiece(index=self._calls[index], arguments=delta.partial_json))] if index in self._calls else []
        if delta.text or delta.thinking or delta.signature:
            return [Chunk(text=delta.text, thinking=delta.thinking, signature=delta.signature)]
        return []


class StreamWriter:
    """Writes events for a caller that speaks Anthropic's format."""

    def __init__(self) -> None:
        self._begun = False
        self._block = -1
        self._kind: tuple[str, int] | None = None
        self._calls: set[int] = set()
        self._usage: Usage | None = None
        self._end: Chunk | None = None

    def write(self, chunk: Chunk) -> bytes:
        """The events of one piece. Raises ProviderError for an image or a recording, which have no place in an answer, for a call without
        a name, and for more of one after something else has begun: a block says what it is when it begins, and begins once."""
        self._usage = chunk.usage or self._usage
        if chunk.media is not None:
            raise ProviderError(f"the answer holds {chunk.media.kind}, which has no place in Anthropic's format")
        told = b""
        if not self._begun:
            self._begun = True
            message = {"id": chunk.id, "type": "message", "role": "assistant", "model": chunk.model, "content": []}
            told += _said(
                "message_start", message={**message, "stop_reason": None, "stop_sequence": None, "usage": write_usage(self._usage)}
            )
        if chunk.thinking:
            told += self._delta("thinking", {"type": "thinking_delta", "thinking": chunk.thinking}, {"thinking": "", "signature": ""})
        if chunk.signature:
            told += self._delta("thinking", {"type": "signature_delta", "signature": chunk.signature}, {"thinking": "", "signature": ""})
        if chunk.sealed:
            told += self._ended() + self._opened("redacted_thinking", 0, {"data": chunk.sealed}) + self._ended()
        if words := chunk.text + chunk.refusal:
            told += self._delta("text", {"type": "text_delta", "text": words}, {"text": ""})
        if (call := chunk.call) is not None:
            if self._kind != ("tool_use", call.index):
                if call.index in self._calls:
                    raise ProviderError(f"the provider's stream goes back to tool call {call.index}, which had ended")
                if not call.name:
                    raise ProviderError("the provider's stream begins a tool call without saying of which tool")
                self._calls.add(call.index)
                told += self._ended() + self._opened("tool_use", call.index, {"id": call.id, "name": call.name, "input": {}})
            if call.arguments:
                told += _said("content_block_delta", index=self._block, delta={"type": "input_json_delta", "partial_json": call.arguments})
        if chunk.finish is not None:
            self._end = chunk
        return told

    def end(self) -> bytes:
        """The events that end the stream."""
        told = self._ended()
        end = self._end or Chunk(finish="length")
        word = finish_word(Choice(finish=end.finish or "length", stop=end.stop))
        told += _said("message_delta", delta={"stop_reason": word, "stop_sequence": end.stop}, usage=write_usage(self._usage))
        return told + _said("message_stop")

    def broken(self, message: str, kind: str) -> bytes:
        """The event that says that the answer ends here because something failed."""
        return _said("error", error={"type": kind, "message": message})

    def _delta(self, kind: str, delta: dict[str, JSON], empty: dict[str, JSON]) -> bytes:
        opened = b"" if self._kind == (kind, 0) else self._ended() + self._opened(kind, 0, empty)
        return opened + _said("content_block_delta", index=self._block, delta=delta)

    def _opened(self, kind: str, number: int, block: dict[str, JSON]) -> bytes:
        self._block += 1
        self._kind = kind, number
        return _said("content_block_start", index=self._block, content_block={"type": kind, **block})

    def _ended(self) -> bytes:
        if self._kind is None:
            return b""
        self._kind = None
        return _said("content_block_stop", index=self._block)


def _said(kind: str, **body: JSON) -> bytes:
    return event(_encode({"type": kind, **body}), kind)
