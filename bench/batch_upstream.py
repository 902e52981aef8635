"""The provider of bench/batch.py: an OpenAI-compatible server with a limit, faults, and a memory of which rows it answered how often.

It limits requests to a bucket that fills evenly, and says so in its headers as OpenAI does; of the rest a share fails: 500, 503, a connection
that is cut. An answer takes a while, drawn at random. GET /counts tells what it saw.
"""

import asyncio
import json
import multiprocessing
import random
import re
from collections import Counter
from typing import Any, NamedTuple

import uvloop

ANSWER = json.dumps({"queue": "cards", "urgent": False})
_ROW = re.compile(rb"row (\d+) ")


class Limits(NamedTuple):
    """What it allows, and how it fails."""

    per_s: float
    """Requests a second that are let in."""
    faults: float = 0.02
    """The share of those that fail."""
    latency_s: tuple[float, float] = (0.02, 0.1)
    """Between which an answer takes."""
    seed: int = 0


def serve(port: int, limits: Limits) -> None:
    """Serves until it is killed."""
    uvloop.run(_serve(port, limits))


async def _serve(port: int, limits: Limits) -> None:
    loop = asyncio.get_running_loop()
    rng = random.Random(limits.seed)
    answered: Counter[int] = Counter()
    seen: Counter[str] = Counter()
    bucket = _Bucket(limits.per_s, loop.time())
    message = {"role": "assistant", "content": ANSWER}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    }
    whole = json.dumps({**body, "usage": usage}).encode()

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.buffer = b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
                found = re.search(rb"content-length: *(\d+)", self.buffer[:end], re.IGNORECASE)
                size = end + 4 + (int(found[1]) if found else 0)
                if len(self.buffer) < size:
                    return
                request, self.buffer = self.buffer[:size], self.buffer[size:]
                self.take(request)

        def take(self, request: bytes) -> None:
            if request.startswith(b"GET"):
                told = {"seen": dict(seen), "rows": len(answered), "twice": sum(count - 1 for count in answered.values())}
                self.say(200, json.dumps(told).encode())
                return
            seen["asked"] += 1
            wait_s = bucket.take(loop.time())
            if wait_s > 0:
                seen["limited"] += 1
                self.say(429, b'{"error": {"message": "slow down"}}', f"retry-after-ms: {wait_s * 1e3:.0f}\r\n" + bucket.told())
                return
            loop.call_later(rng.uniform(*limits.latency_s), self.answer, request)

        def answer(self, request: bytes) -> None:
            if self.transport.is_closing():
                seen["gone"] += 1
                return
            if rng.random() < limits.faults:
                seen["failed"] += 1
                kind = rng.randrange(3)
                if kind == 2:
                    self.transport.abort()
                else:
                    self.say(500 if kind else 503, b'{"error": {"message": "it broke"}}')
                return
            row = _ROW.search(request)
            answered[int(row[1]) if row else -1] += 1
            seen["answered"] += 1
            self.say(200, whole, bucket.told())

        def say(self, status: int, data: bytes, more: str = "") -> None:
            head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n{more}\r\n"
            self.transport.write(head.encode() + data)

    server = await loop.create_server(Server, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


class _Bucket:
    """So many requests a second, of which a second's worth may come at once."""

    def __init__(self, per_s: float, now: float) -> None:
        self._per_s, self._left, self._at = per_s, per_s, now

    def take(self, now: float) -> float:
        """0 for a request that is let in, else the seconds until one would be."""
        self._left = min(self._per_s, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return (1 - self._left) / self._per_s
        self._left -= 1
        return 0.0

    def told(self) -> str:
        """What it says of itself."""
        reset = (self._per_s - self._left) / self._per_s
        return (
            f"x-ratelimit-limit-requests: {self._per_s * 60:.0f}\r\nx-ratelimit-remaining-requests: {self._left:.0f}\r\n"
            f"x-ratelimit-reset-requests: {reset:.3f}s\r\n"
        )


def started(port: int, limits: Limits) -> "multiprocessing.process.BaseProcess":
    """The server, in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(port, limits), daemon=True)
    process.start()
    return process
