"""Anthropic's streams: events into pieces of an answer, and pieces into events."""

from collections.abc import Mapping

import msgspec

from freehold.chat import JSON, CallPiece, Choice, Chunk, Usage
from freehold.errors import ProviderError
from freehold.gateway.anthropic import FINISHES, finish_word, read_usage, write_usage
from freehold.gateway.sse import Event, event

_encode = msgspec.json.Encoder().encode


class StreamReader:
    """Reads a provider's events. `is_done` once the stream has said that it ended."""

    def __init__(self) -> None:
        self.is_done = False
        self._calls: dict[int, int] = {}
        self._usage: dict[str, JSON] = {}

    def read(self, told: Event) -> list[Chunk]:
        """The pieces in one event. Raises ProviderError where the provider says that it failed, or says no JSON."""
        try:
            body = msgspec.json.decode(told.data)
            return self._read(body)
        except (msgspec.DecodeError, TypeError, ValueError, AttributeError, KeyError) as error:
            raise ProviderError(f"the provider's stream is not what it should be: {error}") from None

    def _read(self, body: Mapping[str, JSON]) -> list[Chunk]:
        match body["type"]:
            case "message_start":
                message = body["message"]
                return [Chunk(id=message.get("id") or "", model=message.get("model") or "", usage=self._used(message.get("usage")))]
            case "content_block_start":
                return self._begun(body["index"], body["content_block"])
            case "content_block_delta":
                return self._more(body["index"], body["delta"])
            case "message_delta":
                delta, finish = body["delta"], body["delta"].get("stop_reason")
                ended = None if finish is None else FINISHES.get(finish, "stop")
                return [Chunk(finish=ended, stop=delta.get("stop_sequence"), usage=self._used(body.get("usage")))]
            case "message_stop":
                self.is_done = True
            case "error":
                raise ProviderError(f"the provider broke its answer off: {(body.get('error') or {}).get('message')}")
        return []

    def _used(self, more: JSON) -> Usage | None:
        """What is used by now: later events repeat some counts and leave others out."""
        self._usage |= {name: value for name, value in (more or {}).items() if value is not None}
        return read_usage(self._usage)

    def _begun(self, index: int, block: Mapping[str, JSON]) -> list[Chunk]:
        match block["type"]:
            case "tool_use":
                number = self._calls.setdefault(index, len(self._calls))
                arguments = _encode(block["input"]).decode() if block.get("input") else ""
                return [Chunk(call=CallPiece(index=number, id=block["id"], name=block["name"], arguments=arguments))]
            case "redacted_thinking":
                return [Chunk(sealed=block["data"])]
            case "text":
                return [Chunk(text=block["text"])] if block.get("text") else []
            case "thinking":
                return [Chunk(thinking=block["thinking"])] if block.get("thinking") else []
        return []

    def _more(self, index: int, delta: Mapping[str, JSON]) -> list[Chunk]:
        match delta["type"]:
            case "text_delta":
                return [Chunk(text=delta["text"])]
            case "thinking_delta":
                return [Chunk(thinking=delta["thinking"])]
            case "signature_delta":
                return [Chunk(signature=delta["signature"])]
            case "input_json_delta" if index in self._calls:
                return [Chunk(call=CallPiece(index=self._calls[index], arguments=delta["partial_json"]))]
        return []


class StreamWriter:
    """Writes events for a caller that speaks Anthropic's format."""

    def __init__(self) -> None:
        self._begun = False
        self._block = -1
        self._kind: tuple[str, int] | None = None
        self._usage: Usage | None = None
        self._end: Chunk | None = None

    def write(self, chunk: Chunk) -> bytes:
        """The events of one piece."""
        self._usage = chunk.usage or self._usage
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
