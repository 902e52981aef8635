"""The providers of bench/faults.py: both wire formats, whole and streamed, by a server that misbehaves as drawn and remembers what it did."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Any

TEXT = "Größe 😀, asked as "
"""Before the request's number in every answer, so that nobody takes another one's."""
_PIECE_S = 0.1
_HUGE = "x" * 100_000


class Does(Enum):
    """What is done with a request."""

    FINE = "fine"
    NO_USAGE = "leaves usage out"
    SPLIT = "sends a few bytes at a time, in the middle of characters too"
    HUGE = "sends pieces of 100 KB"
    SLOW = "takes its time"
    BUSY = "429"
    BROKEN = "500"
    GARBAGE = "answers what is no JSON"
    STALL_BEFORE = "says nothing"
    STALL_AFTER = "stops in the middle, and keeps the line open"
    CUT_BEFORE = "hangs up without a word"
    CUT_AFTER = "hangs up in the middle"
    ENDLESS = "goes on and on"


ANSWERS = (Does.FINE, Does.NO_USAGE, Does.SPLIT, Does.HUGE, Does.SLOW)
OUTCOMES = {
    **dict.fromkeys(ANSWERS, "answered"),
    **dict.fromkeys((Does.BUSY, Does.BROKEN, Does.CUT_BEFORE, Does.CUT_AFTER), "failed"),
    **dict.fromkeys((Does.STALL_BEFORE, Does.STALL_AFTER), "timed_out"),
    Does.GARBAGE: "malformed",
    Does.ENDLESS: "cancelled",
}
"""How an attempt ends that was treated so."""


def input_tokens(number: int) -> int:
    """What a request is said to have taken: nearly each another number, so that no two costs are taken for each other."""
    return 100 + number % 997


class Upstream:
    """The server. `draw` says what is done with a request, by its number and how often it was asked before."""

    def __init__(self, draw: Callable[[int, int], Does]) -> None:
        self.draw = draw
        self.asked: dict[int, list[Does]] = {}
        """By the request's number, what was done each time."""
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def running(self) -> Any:
        """Gives its port, as long as the block lasts."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**24)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.hang_up()

    def hang_up(self) -> None:
        """Ends every connection, so that nobody keeps one for later."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                does, number = self._noted(body)
                is_whole = await self._answer(writer, "/messages " in head, body.get("stream", False), number, does)
                if does in (Does.STALL_BEFORE, Does.STALL_AFTER):
                    await reader.read()  # until the other side gives up
                if not is_whole:
                    return
        except (OSError, EOFError):
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    def _noted(self, body: dict[str, Any]) -> tuple[Does, int]:
        said = body["messages"][-1]["content"]
        said = said if isinstance(said, str) else said[0]["text"]
        number = int(said.rpartition(" ")[2])
        before = self.asked.setdefault(number, [])
        does = self.draw(number, len(before))
        before.append(does)
        return does, number

    async def _answer(self, writer: asyncio.StreamWriter, is_anthropic: bool, stream: bool, number: int, does: Does) -> bool:
        """Whether the answer is whole."""
        if does in (Does.STALL_BEFORE, Does.CUT_BEFORE):
            return False
        if does in (Does.BUSY, Does.BROKEN):
            status = 429 if does is Does.BUSY else 500
            writer.write(_whole(json.dumps({"error": {"message": does.value, "type": "x"}}).encode(), status))
        elif does is Does.GARBAGE:
            writer.write(_whole(b"<html>Bad gateway</html>"))
        else:
            pieces = list(_pieces(is_anthropic, stream, number, does))
            if does in (Does.STALL_AFTER, Does.CUT_AFTER):
                pieces = pieces[: len(pieces) // 2]
            elif does is Does.SPLIT:
                data = b"".join(pieces)
                pieces = [data[at : at + 7] for at in range(0, len(data), 7)]
            for place, piece in enumerate(pieces):
                if place and does in (Does.SLOW, Does.ENDLESS):
                    await asyncio.sleep(_PIECE_S)
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        await writer.drain()
        return does not in (Does.STALL_AFTER, Does.CUT_AFTER)


def _whole(body: bytes, status: int = 200) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\nretry-after: 0\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def _pieces(is_anthropic: bool, stream: bool, number: int, does: Does) -> Iterator[bytes]:
    """An answer as it is sent: a whole one in two pieces, a stream event by event."""
    words = [_HUGE, _HUGE] if does is Does.HUGE else ["on and on "] * 600 if does is Does.ENDLESS else ["word "] * 4
    words += [TEXT, str(number)]
    usage = does is not Does.NO_USAGE
    if not stream:
        answer = (_anthropic if is_anthropic else _openai)("".join(words), number, usage)
        data = _whole(json.dumps(answer, ensure_ascii=False).encode())
        yield data[: len(data) // 2]
        yield data[len(data) // 2 :]
        return
    yield b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    for event in _anthropic_events(words, number, usage) if is_anthropic else _openai_events(words, number, usage):
        name = b"event: %b\n" % event["type"].encode() if is_anthropic else b""
        yield _chunk(name + b"data: %b\n\n" % json.dumps(event, ensure_ascii=False).encode())
    yield (b"" if is_anthropic else _chunk(b"data: [DONE]\n\n")) + b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _openai(words: str, number: int, usage: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": words}
    told = {"usage": {"prompt_tokens": input_tokens(number), "completion_tokens": 20, "total_tokens": input_tokens(number) + 20}}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": f"c{number}", "object": "chat.completion", "created": 1_750_000_000, "model": "m", "choices": [choice]} | (
        told if usage else {}
    )


def _openai_events(words: list[str], number: int, usage: bool) -> Iterator[dict[str, Any]]:
    about = {"id": f"c{number}", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": "m"}
    for word in words:
        yield {**about, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
    yield {**about, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    if usage:
        yield {**about, "choices": [], "usage": _openai("", number, True)["usage"]}


def _anthropic(words: str, number: int, usage: bool) -> dict[str, Any]:
    told = {"usage": {"input_tokens": input_tokens(number), "output_tokens": 20}}
    message = {"id": f"m{number}", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": words}]}
    return {**message, "stop_reason": "end_turn", "stop_sequence": None} | (told if usage else {})


def _anthropic_events(words: list[str], number: int, usage: bool) -> Iterator[dict[str, Any]]:
    begun = {"usage": {"input_tokens": input_tokens(number), "output_tokens": 1}} if usage else {}
    ended = {"usage": {"output_tokens": 20}} if usage else {}
    yield {"type": "message_start", "message": {**_anthropic("", number, False), "content": [], "stop_reason": None, **begun}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    for word in words:
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, **ended}
    yield {"type": "message_stop"}


class Proxy:
    """A line to a server that can be cut and mended, for a store that is down."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._open: set[asyncio.StreamWriter] = set()
        self.is_down = False

    @asynccontextmanager
    async def running(self) -> Any:
        """Gives its port, as long as the block lasts."""
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Ends what is open, and whatever comes."""
        self.is_down = True
        for writer in list(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        """Passes on again."""
        self.is_down = False

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(self._host, self._port)
        self._open |= {writer, back}
        try:
            await asyncio.gather(_copied(reader, back), _copied(there, writer))
        finally:
            self._open -= {writer, back}


async def _copied(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.transport.abort()
