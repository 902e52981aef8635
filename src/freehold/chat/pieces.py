"""An answer in pieces: taken apart as a stream would bring it, and put together again."""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from freehold.chat.exchange import CallPiece, ChatAnswer, Choice, Chunk, Finish, Media, Part, Refusal, Text, Thinking, ToolCall, Usage
from freehold.chat.value import JSON


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
