"""The two ends of bench/gateway.py: an upstream that answers at once without looking, and clients that ask again as soon as they are answered.

Both are Python on uvloop rather than a load generator in C, because each answer is looked at (status, words, every chunk of a stream) and
both together take less of a core for a request than nginx does; how busy they were stands beside each result.
"""

import asyncio
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import uvloop

CHUNKS = 100
_WORDS = b"y" * 500
_USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
_LAST = b"\r\n0\r\n\r\n"


class Question(NamedTuple):
    """What a server is asked, which is the same of every server but for how it wants to be asked."""

    path: str = "/v1/chat/completions"
    """Where it takes chat completions."""
    model: str = "frontier"
    """What it calls the upstream's model."""
    headers: tuple[str, ...] = ()
    """Header lines beside the usual ones, such as a key."""
    tags: bool = False
    """Whether it decides by tags, and is told them."""

    def bytes(self, port: int, stream: bool) -> bytes:
        """The request, of about 1 KB."""
        body: dict[str, Any] = {"model": self.model, "messages": [{"role": "user", "content": "x" * 900}]}
        body |= {"metadata": {"tier": "gold"}} if self.tags else {}
        body |= {"stream": True} if stream else {}
        data = json.dumps(body, separators=(",", ":")).encode()
        lines = (f"POST {self.path} HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json", *self.headers)
        return "\r\n".join(lines).encode() + b"\r\ncontent-length: %d\r\n\r\n%b" % (len(data), data)


class Work(NamedTuple):
    """How much is asked: until `seconds` are over or `requests` are answered, whichever comes first."""

    connections: int
    seconds: float
    requests: int = 1 << 60
    stream: bool = False


class Load(NamedTuple):
    """What clients saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    client_cpu_s: float


class WrongAnswer(Exception):
    """A server answered with something else than what the upstream said."""


def wrong(answer: bytearray) -> WrongAnswer:
    """What was answered: its status and the beginning of its words."""
    head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
    return WrongAnswer(f"{head.splitlines()[0]} {body[:200]}")


def serve_upstream(port: int, cores: set[int], words: bytes = _WORDS) -> None:
    """Answers whole or as a stream of one word a chunk, each sent by itself."""
    os.sched_setaffinity(0, cores)
    about = {"id": "c", "object": "chat.completion", "created": 1_750_000_000, "model": "frontier"}
    message = {"role": "assistant", "content": words.decode()}
    whole = json.dumps({**about, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": _USAGE}).encode()
    whole = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(whole), whole)
    piece = {**about, "object": "chat.completion.chunk"}
    events = [{**piece, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]} for _ in range(CHUNKS)]
    events += [{**piece, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {**piece, "choices": [], "usage": _USAGE}]
    lines = [b"data: %b\n\n" % json.dumps(event).encode() for event in events] + [b"data: [DONE]\n\n"]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%b\r\n" % (len(line), line) for line in lines]

    class Upstream(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.buffer = self.answered = b""

        def data_received(self, data: bytes) -> None:
            if data == self.answered and not self.buffer:  # as nearly always: it need not be taken apart
                self.transport.write(whole)
                return
            self.buffer += data
            while (length := whole_length(self.buffer)) is not None:
                request, self.buffer = self.buffer[:length], self.buffer[length:]
                if b'"stream":true' in request or b'"stream": true' in request:
                    self.say(iter([head, *chunks, b"0\r\n\r\n"]))
                else:
                    self.answered = request
                    self.transport.write(whole)

        def say(self, pieces: Iterator[bytes]) -> None:
            """Each in a round of the loop of its own, so that each is sent by itself."""
            if (piece := next(pieces, None)) is not None and not self.transport.is_closing():
                self.transport.write(piece)
                asyncio.get_running_loop().call_soon(self.say, pieces)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    uvloop.run(serve())


def load(port: int, question: Question, work: Work, cores: set[int]) -> Load:
    """What clients in a process of their own see. Raises WrongAnswer, and OSError where the server hangs up."""
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[Load | Exception] = context.Queue()
    process = context.Process(target=_ask, args=(port, question, work, cores, results), daemon=True)
    process.start()
    try:
        found = results.get(timeout=work.seconds + 60)
    finally:
        process.kill()
        process.join()
    if isinstance(found, Exception):
        raise found
    return found


def _ask(port: int, question: Question, work: Work, cores: set[int], results: "multiprocessing.Queue[Load | Exception]") -> None:
    os.sched_setaffinity(0, cores)
    try:
        results.put(uvloop.run(_asked(port, question.bytes(port, work.stream), work)))
    except (WrongAnswer, OSError) as error:
        results.put(error)


async def _asked(port: int, request: bytes, work: Work) -> Load:
    loop = asyncio.get_running_loop()
    all_over: asyncio.Future[None] = loop.create_future()
    took: list[float] = []
    open_connections = work.connections
    words, times = (b"word ", CHUNKS) if work.stream else (_WORDS, 1)
    cpu, began = time.process_time(), loop.time()

    class Client(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.leaves = False
            self.length = 0
            self.send()

        def send(self) -> None:
            self.buffer = bytearray()
            self.at = time.perf_counter()
            self.transport.write(request)

        def data_received(self, data: bytes) -> None:
            nonlocal open_connections
            self.buffer += data
            if len(self.buffer) != self.length and not is_whole(self.buffer):
                return
            now = time.perf_counter()
            self.length = 0 if work.stream else len(self.buffer)  # the next one is as long, and need not be taken apart
            if not self.buffer.startswith(b"HTTP/1.1 200") or self.buffer.count(words) != times:
                self.stop(wrong(self.buffer))
                return
            took.append(now - self.at)
            if loop.time() - began < work.seconds and len(took) + open_connections <= work.requests:
                self.send()
                return
            self.leaves = True
            self.transport.close()
            open_connections -= 1
            if not open_connections and not all_over.done():
                all_over.set_result(None)

        def connection_lost(self, error: Exception | None) -> None:
            if not self.leaves:
                self.stop(ConnectionResetError(f"the server hung up in the middle: {error}"))

        def stop(self, error: Exception) -> None:
            if not all_over.done():
                all_over.set_exception(error)

    for _ in range(work.connections):
        await loop.create_connection(Client, "127.0.0.1", port)
    await all_over
    seconds, cpu = loop.time() - began, time.process_time() - cpu
    took.sort()
    return Load(len(took), seconds, took[len(took) // 2] * 1e3, took[int(len(took) * 0.99)] * 1e3, cpu)


def is_whole(answer: bytearray) -> bool:
    """Whether an answer has ended, which a chunked one does with its last chunk."""
    return answer.endswith(_LAST) or whole_length(answer, 1 << 60) == len(answer)


def whole_length(message: bytes | bytearray, otherwise: int = 0) -> int | None:
    """How long the message at the beginning is, of a body as long as it says or else `otherwise`; None where it is not whole yet."""
    end = message.find(b"\r\n\r\n")
    if end < 0:
        return None
    said = message[:end].lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    length = end + 4 + (int(said) if said else otherwise)
    return length if len(message) >= length else None
