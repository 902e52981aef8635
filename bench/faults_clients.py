"""The clients of bench/faults.py: by either door, whole and streamed, by a model's name and by a task, and what each of them was told."""

import asyncio
import json
import random
from contextlib import suppress
from itertools import count
from typing import Any, Literal, NamedTuple, TypeAlias

from faults_upstream import TEXT

MODELS = ("gpt", "claude", "safe", "freehold/triage")
_LONGEST_S = 60.0
_AFTER_ERROR_S = 0.05
"""So that a model that is left alone for a while is not asked for thousands of times meanwhile."""
_LEAVES = 0.03
"""The share of requests whose client goes away before it has heard all."""

End: TypeAlias = Literal["answered", "error", "broken off", "hung"]


class Heard(NamedTuple):
    """What a client was told from beginning to end, which makes it an acknowledged call."""

    number: int
    """Which request it was."""
    call: str
    """What the journal is to call it; empty where nothing was said of it."""
    is_answered: bool
    """Whether it was an answer, and not an error."""
    is_right: bool
    """Whether the answer had the request's own words."""
    cost_usd: float | None
    """What it is said to have cost."""
    is_anthropic: bool
    """By which door it was asked."""
    stream: bool
    """Whether the answer was asked for as a stream."""


class Clients:
    """Many of them, each asking again as soon as it is answered."""

    def __init__(self, port: int, rng: random.Random, numbers: "count[int]", secret: str, leave: bool = True) -> None:
        self.heard: list[Heard] = []
        self.unheard: set[int] = set()
        """Requests whose end nobody was told."""
        self.ends: dict[End, int] = {"answered": 0, "error": 0, "broken off": 0, "hung": 0}
        self._port = port
        self._rng = rng
        self._numbers = numbers
        self._secret = secret
        self._leave = leave
        self._stop = False

    async def ask(self, clients: int, seconds: float) -> None:
        """Asks for some time, and comes back when the last answer has."""
        self._stop = False
        running = [asyncio.create_task(self._client()) for _ in range(clients)]
        await asyncio.sleep(seconds)
        self._stop = True
        await asyncio.gather(*running)

    async def ask_once(self, stream: bool) -> None:
        """One request on a connection of its own."""
        connection = await self._asked(None, stream, "gpt", False)
        if connection is not None:
            connection[1].transport.abort()

    async def _client(self) -> None:
        connection: Connection | None = None
        while not self._stop:
            model, stream, is_anthropic = self._rng.choice(MODELS), self._rng.random() < 0.5, self._rng.random() < 0.5
            try:
                connection = connection or await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            connection = await self._asked(connection, stream, model, is_anthropic)
        if connection is not None:
            connection[1].transport.abort()

    async def _asked(self, connection: "Connection | None", stream: bool, model: str, is_anthropic: bool) -> "Connection | None":
        """Asks and listens; gives the connection where it can be used again."""
        number = next(self._numbers)
        reader, writer = connection or await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
        writer.write(_request(self._port, self._secret, number, stream, model, is_anthropic))
        leaves = self._leave and self._rng.random() < _LEAVES
        end: End = "broken off"
        try:
            async with asyncio.timeout(self._rng.uniform(0, 0.3) if leaves else _LONGEST_S):
                heard = await _listen(reader, number, stream, is_anthropic)
            end = "answered" if heard.is_answered else "error"
            self.heard.append(heard)
        except TimeoutError:
            end = "hung"
        except (OSError, EOFError, ValueError):
            pass
        if end in ("answered", "error") or not leaves:
            self.ends[end] += 1
        if end in ("answered", "error"):
            await asyncio.sleep(_AFTER_ERROR_S if end == "error" else 0)
            return reader, writer
        self.unheard.add(number)
        writer.transport.abort()
        return None


Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _request(port: int, secret: str, number: int, stream: bool, model: str, is_anthropic: bool) -> bytes:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": f"This is request {number}"}], "stream": stream}
    if is_anthropic:
        body["max_tokens"] = 100
    elif model.startswith("freehold/"):
        body["metadata"] = {"tier": "gold"}
    data = json.dumps(body).encode()
    path = "messages" if is_anthropic else "chat/completions"
    headers = f"host: 127.0.0.1:{port}\r\nauthorization: Bearer {secret}\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
    return f"POST /v1/{path} HTTP/1.1\r\n{headers}\r\n\r\n".encode() + data


async def _listen(reader: asyncio.StreamReader, number: int, stream: bool, is_anthropic: bool) -> Heard:
    """A whole answer. Raises EOFError or OSError where the server hangs up before its end."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    cost: str | None = headers.get("x-freehold-cost-usd")
    if headers["content-type"].startswith("text/event-stream"):
        text, is_answered = _said_in(body, is_anthropic)
        cost = body.decode().partition(": x-freehold-cost-usd ")[2].partition("\n")[0] or None
    else:
        answer = json.loads(body)
        is_answered = first.startswith("HTTP/1.1 200")
        text = "" if not is_answered else answer["content"][0]["text"] if is_anthropic else answer["choices"][0]["message"]["content"]
    call, is_right = headers.get("x-freehold-call", ""), text.endswith(f"{TEXT}{number}")
    return Heard(number, call, is_answered, is_right, None if cost is None else float(cost), is_anthropic, stream)


def _said_in(body: bytes, is_anthropic: bool) -> tuple[str, bool]:
    """The words of a stream, and whether it came to its proper end."""
    text, is_answered = "", b"data: [DONE]" in body
    for line in body.decode().splitlines():
        data = line.removeprefix("data: ")
        if data == line or data == "[DONE]":
            continue
        event = json.loads(data)
        if "error" in event:
            return text, False
        if is_anthropic:
            with suppress(KeyError):
                text += event["delta"]["text"]
            is_answered = is_answered or event["type"] == "message_stop"
        elif event["choices"]:
            text += event["choices"][0]["delta"].get("content") or ""
    return text, is_answered
