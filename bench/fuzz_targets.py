"""What `bench/fuzz.py` puts bytes to: each target is a function of bytes that raises where something is not as it should be."""

import asyncio
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import uvicorn
from uvicorn.server import ServerState

from freehold.chat import JSON, ChatAnswer, Chunk, Collected, pieces_of
from freehold.errors import CallerError, DataError, ProviderError
from freehold.gateway.asgi import application
from freehold.gateway.fields import json_object
from freehold.gateway.formats import ANTHROPIC, OPENAI, Format, error_message
from freehold.gateway.guard import Guard
from freehold.gateway.head import Head
from freehold.gateway.reply import Handler, Reply, Request
from freehold.gateway.server import HotProtocol, protocol_for
from freehold.gateway.sse import EventReader

TESTS = Path(__file__).parents[1] / "tests"
FORMATS = (OPENAI, ANTHROPIC)
MOST_CPU_S = 1.0
_ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]*\r\n((?:[a-z-]+: [^\r\n\x00]*\r\n)*)\r\n")
_encode = msgspec.json.encode


class Target(NamedTuple):
    """Something that takes bytes."""

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    """Where the fuzzing begins."""
    mutate: Callable[[bytes, random.Random], bytes | None] | None = None
    """Changes bytes as what they mean; None where they mean nothing."""


def put(target: Target, data: bytes) -> None:
    """Puts bytes to a target. Raises AssertionError where that takes more CPU than anything so small may."""
    began = time.process_time()
    target.run(data)
    took = time.process_time() - began
    assert took < MOST_CPU_S, f"took {took:.1f} s of CPU for {len(data)} bytes"


def cut(data: bytes) -> tuple[bytes, list[bytes]]:
    """What two bytes say of where the rest is cut: the rest whole, and in pieces."""
    rng, whole = random.Random(data[:2]), data[2:]
    cuts = [0, *sorted(rng.randint(0, len(whole)) for _ in range(rng.choice((1, 2, 8, 32)))), len(whole)]
    return whole, [whole[one:other] for one, other in pairwise(cuts) if one < other]


def _sample(module: str) -> Any:
    """A module of the tests, where bytes as clients and providers send them are written down."""
    for folder in (TESTS, TESTS / "unit" / "gateway"):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
    return import_module(module)


# The HTTP path: our protocol between the parser and a transport in memory.


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.told = b""
        self.is_over = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_over, "something is said after the end"
        self.told += bytes(data)

    def write_eof(self) -> None:
        assert not self.is_over, "it ends twice"
        self.is_over = True

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self.is_over = True

    abort = close

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class _Heard(NamedTuple):
    requests: list[tuple[bytes, bytes, bytes, tuple[tuple[bytes, bytes], ...]]]
    """Those that handlers saw."""
    statuses: list[int]
    """Of what was answered to them."""


class _Server:
    """Our protocol with a route that answers at once, one that answers later, and an application's."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.requests: list[Any] = []
        self._is_late = False
        hot: dict[tuple[bytes, bytes], Handler] = {
            (b"POST", b"/hot"): self._now, (b"POST", b"/v1/messages"): self._now, (b"GET", b"/probe"): self._now, (b"GET", b"/slow"): self._later
        }  # fmt: skip
        guard = Guard(frozenset({b"here"}), header_bytes=1_000, body_bytes=1_000)
        app = application({(b"GET", b"/plain"): self._now, (b"POST", b"/plain"): self._now}, guard)
        self._config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
        self._config.load()
        self._protocol: type[HotProtocol] = protocol_for(hot, guard)

    def _now(self, request: Request, reply: Reply) -> None:
        self.requests.append((request.method, request.path, request.body, tuple(request.headers)))
        reply.send(200, (), request.body)

    def _later(self, request: Request, reply: Reply) -> None:
        self.requests.append((request.method, request.path, request.body, tuple(request.headers)))
        self._is_late = True
        self.loop.call_soon(reply.send, 200, (), b"slow")

    def hear(self, pieces: Sequence[bytes]) -> _Heard:
        """What becomes of bytes that come in these pieces."""
        self.requests, self._is_late = [], False
        transport = _Transport()
        state = ServerState()
        protocol = self._protocol(self._config, state, {}, self.loop)
        protocol.connection_made(transport)
        for piece in pieces:
            if not transport.is_over:
                protocol.data_received(piece)
            while self._is_late or state.tasks:
                before = len(transport.told)
                self._settle()
                if len(transport.told) == before:
                    break
        protocol.connection_lost(None)
        self._settle()
        return _Heard(self.requests, [status for status in _statuses(transport.told) if status == 200])

    def _settle(self) -> None:
        def turn(more: int) -> None:
            self.loop.call_soon(turn, more - 1) if more else self.loop.stop()

        turn(6)
        self.loop.run_forever()


def _statuses(told: bytes) -> Iterator[int]:
    """Of the answers that make up these bytes, which are nothing but answers."""
    at = 0
    while at < len(told):
        head = _ANSWER.match(told, at)
        assert head, f"this is no answer: {told[at : at + 200]!r}"
        headers = dict(line.split(b": ", 1) for line in head[2].split(b"\r\n")[:-1])
        at = head.end()
        if head[1] != b"100" and not (head[1] == b"404" and told.startswith(b"HTTP/1.1 ", at)):  # a HEAD that the application answered
            at += int(headers[b"content-length"])
        yield int(head[1])


_server = cache(_Server)


def http(data: bytes) -> None:
    """Bytes that a client sends: cut anywhere, the same requests are seen and the same answers given."""
    whole, pieces = cut(data)
    server = _server()
    at_once, in_pieces = server.hear([whole]), server.hear(pieces)
    assert at_once == in_pieces, (at_once, in_pieces)
    assert len(at_once.statuses) <= len(at_once.requests), at_once


def _http_seeds() -> Iterator[bytes]:
    cases = _sample("test_smuggling")
    for n, case in enumerate((*cases.BOTH, *cases.OURS)):
        if len(case.sent) < 4_000:
            yield n.to_bytes(2, "big") + case.sent


@cache
def _http_lines() -> list[bytes]:
    return sorted({line for seed in _http_seeds() for line in seed[2:].split(b"\r\n")})


def _mutate_http(data: bytes, rng: random.Random) -> bytes:
    """Lines left out, said again, or taken from elsewhere."""
    lines = data[2:].split(b"\r\n")
    for _ in range(rng.randint(1, 4)):
        n = rng.randrange(len(lines) + 1)
        match rng.randrange(4):
            case 0 if len(lines) > 1:
                lines.pop(n - 1)
            case 1:
                lines[n:n] = lines[: rng.randint(1, len(lines))]
            case _:
                lines.insert(n, rng.choice(_http_lines()))
    return rng.randbytes(2) + b"\r\n".join(lines)


# The translators.


def request(data: bytes) -> None:
    """A body that a client sends: what is written of it can be read, and then is written the same."""
    try:
        body = json_object(Request(b"POST", b"/", Head(b"\r\ncontent-type: application/json\r\n"), data))
    except CallerError:
        return
    for door in FORMATS:
        try:
            asked = door.read_request(body)
        except CallerError:
            continue
        for provider in FORMATS:
            try:
                written = provider.write_request(asked)
            except CallerError:
                continue
            heard = msgspec.json.decode(_encode(written))
            assert provider.write_request(provider.read_request(heard)) == written, (provider.name, written)


def answer(data: bytes) -> None:
    """A body that a provider sends: whole and in pieces it tells a caller of its own format the same."""
    error_message(data)
    for provider in FORMATS:
        try:
            said = provider.read_answer(data)
        except DataError:
            continue
        for door in FORMATS:
            try:
                written = door.write_answer(said)
            except CallerError:
                continue
            heard = door.read_answer(_encode(written))
            again = door.write_answer(heard)
            if said.usage is None:  # which Anthropic's format has no word for
                again.pop("usage", None), written.pop("usage", None)
            assert again == written, (door.name, again, written)
            _check_stream_of(door, pieces_of(heard))


def stream(data: bytes) -> None:
    """A stream that a provider sends: however it is cut it says the same, and callers of either format read what it said."""
    whole, pieces = cut(data)
    for provider in FORMATS:
        at_once, why = _read(provider, [whole])
        in_pieces, why_in_pieces = _read(provider, pieces)
        assert (at_once, why) == (in_pieces, why_in_pieces), (at_once, why, in_pieces, why_in_pieces)
        for door in FORMATS:
            if door is OPENAI or {chunk.choice for chunk in at_once} <= {0}:
                _check_stream_of(door, at_once)


def _read(provider: Format, pieces: Sequence[bytes]) -> tuple[list[Chunk], str]:
    """The pieces of an answer, and what ended them."""
    events, reader, found = EventReader(), provider.stream_reader(1), []
    try:
        for piece in pieces:
            for told in events.feed(piece):
                found += reader.read(told)
        for told in events.end():
            found += reader.read(told)
    except ProviderError as error:
        return found, str(error)
    return found, ""


def _check_stream_of(door: Format, chunks: Iterable[Chunk]) -> None:
    """A caller of this format reads from a stream of these pieces what they say."""
    writer, said, sent, begun = door.stream_writer(True), Collected(), [], set[tuple[int, int]]()
    for chunk in chunks:
        if chunk.call is not None:
            if door is ANTHROPIC and (chunk.choice, chunk.call.index) in begun and (chunk.call.id or chunk.call.name):
                return  # its callers hear these when a call begins
            begun.add((chunk.choice, chunk.call.index))
        said.add(chunk)
        try:
            sent.append(writer.write(chunk))
        except ProviderError:
            return
    reader, heard = door.stream_reader(1), Collected()
    for told in EventReader().feed(b"".join([*sent, writer.end()])):
        for chunk in reader.read(told):
            heard.add(chunk)
    assert reader.is_done
    assert _words(door, heard.answer()) == _words(door, said.answer()), door.name


def _words(door: Format, answer: ChatAnswer) -> list[JSON]:
    """What a caller of this format hears of an answer's words; in Anthropic's, text by text, wherever one block of it ends."""
    try:
        written = door.write_answer(answer)
    except CallerError:
        return []
    if door is OPENAI:
        said = [choice["message"] for choice in written["choices"]]  # of an answer of which there is no piece Collected keeps an empty one
        return [message for message in said if message != {"role": "assistant", "content": "", "refusal": None}]
    blocks: list[JSON] = []
    for block in written["content"]:
        if block["type"] == "text" and blocks and blocks[-1]["type"] == "text":
            blocks[-1]["text"] += block["text"]
        elif block != {"type": "text", "text": ""}:
            blocks.append(block)
    return blocks


def _json_seeds(*names: str) -> Callable[[], Iterator[bytes]]:
    def seeds() -> Iterator[bytes]:
        for module in (_sample("test_any_value"), _sample("test_formats")):
            for name in names:
                if hasattr(module, name):
                    yield _encode(getattr(module, name))
        if "SAID_OPENAI" in names:
            upstream = _sample("upstream")
            yield from (_encode(upstream.openai_answer("m")), _encode(upstream.anthropic_answer("m")))

    return seeds


def _stream_seeds() -> Iterator[bytes]:
    any_value, streams, upstream = _sample("test_any_value"), _sample("test_streams"), _sample("upstream")
    yield b"\0\0" + b"".join(upstream.openai_events("m", True))
    yield b"\0\1" + b"".join(upstream.anthropic_events("m"))
    yield b"\0\2" + b"".join(upstream.event(one, one["type"]) for one in any_value.PIECES_ANTHROPIC)
    yield b"\0\3" + upstream.event(any_value.PIECE_OPENAI) + b": a comment\r\n\r\ndata: [DONE]\r\n\r\n"
    for n, door in enumerate(FORMATS):
        writer = door.stream_writer(True)
        yield bytes((1, n)) + b"".join([*map(writer.write, streams.CHUNKS), writer.end()])


# Changes that keep JSON what it is.

_ODD: list[JSON] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    1.5,
    1e308,
    2**31,
    2**63,
    2**64,
    10**30,
    "",
    "x",
    "\0",
    "\u2028",
    "é",
    "😀",
    [],
    {},
    [[]],
    [{}],
    [None],
    [1],
]


@cache
def _vocabulary() -> tuple[list[str], list[JSON]]:
    """The names and the values in the samples."""
    names: set[str] = set()
    values: dict[bytes, JSON] = {}

    def walk(value: JSON) -> None:
        values[_encode(value)] = value
        if isinstance(value, dict):
            names.update(value)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            walk(inner)

    for target in (TARGETS["request"], TARGETS["answer"]):
        for seed in target.seeds():
            walk(msgspec.json.decode(seed))
    return sorted(names), [*_ODD, *values.values()]


def altered(value: JSON, rng: random.Random) -> JSON:
    """The value with something changed somewhere in it."""
    names, values = _vocabulary()
    if not isinstance(value, dict | list) or not value or rng.random() < 0.05:
        return rng.choice(values)
    inner: dict[Any, JSON] = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    place = rng.choice(list(inner))
    what = rng.random()
    if what < 0.6:
        inner[place] = altered(inner[place], rng)
    elif what < 0.7:
        del inner[place]
    elif what < 0.85 and isinstance(value, dict):
        inner[rng.choice(names)] = rng.choice(values)
    elif isinstance(value, dict):
        inner[rng.choice(names)] = inner.pop(place)
    else:
        inner[len(inner)] = altered(inner[place], rng)
    return inner if isinstance(value, dict) else list(inner.values())


def _mutate_json(data: bytes, rng: random.Random) -> bytes | None:
    try:
        return _encode(altered(msgspec.json.decode(data), rng))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        return None


def _mutate_stream(data: bytes, rng: random.Random) -> bytes | None:
    events = data[2:].split(b"\n\n")
    n = rng.randrange(len(events))
    match rng.randrange(5):
        case 0:
            del events[n]
        case 1:
            events.insert(rng.randrange(len(events)), events[n])
        case _:
            before, mark, body = events[n].partition(b"data: ")
            changed = _mutate_json(body, rng) if mark else None
            if changed is None:
                return None
            events[n] = before + mark + changed
    return data[:2] + b"\n\n".join(events)


TARGETS = {
    "http": Target(http, _http_seeds, _mutate_http),
    "request": Target(request, _json_seeds("ASKED_OPENAI", "ASKED_ANTHROPIC", "OPENAI", "ANTHROPIC"), _mutate_json),
    "answer": Target(answer, _json_seeds("SAID_OPENAI", "SAID_ANTHROPIC"), _mutate_json),
    "stream": Target(stream, _stream_seeds, _mutate_stream),
}
