"""Somebody else's paid API, scripted: a real HTTP server on a real socket that speaks both wire formats, and remembers what it was asked."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple


class Said(NamedTuple):
    """What was asked of it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Upstream:
    """The server. `answer` decides by the request: bytes to send as they are."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.asked: list[Said] = []
        self.answer: Callable[[Said], Iterator[bytes]] = answered
        self.broken_off = 0


def whole(body: dict[str, Any], status: int = 200) -> Iterator[bytes]:
    """An answer in one piece."""
    data = json.dumps(body).encode()
    yield b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(data)) + data


def events(*pieces: bytes, wait_s: float = 0.0, ends: bool = True) -> Iterator[bytes]:
    """A stream, chunk by chunk."""
    yield b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
        time.sleep(wait_s)
    if ends:
        yield b"0\r\n\r\n"


def event(body: dict[str, Any], name: str = "") -> bytes:
    """One event."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def answered(said: Said) -> Iterator[bytes]:
    """What a model would say, in the words of whichever format was spoken."""
    stream, model = said.body.get("stream", False), said.body["model"]
    if said.path.endswith("/messages"):
        return events(*anthropic_events(model)) if stream else whole(anthropic_answer(model))
    if said.path.endswith("/embeddings"):
        return whole(openai_embeddings(model, said.body["input"]))
    with_usage = (said.body.get("stream_options") or {}).get("include_usage", False)
    return events(*openai_events(model, with_usage)) if stream else whole(openai_answer(model))


def says(words: str | Callable[[Said], str], wait_s: float = 0.0, ends: bool = True) -> Callable[[Said], Iterator[bytes]]:
    """Answers with these words, in whichever format was spoken, five letters at a time where it is streamed. `ends`: whether a stream does."""

    def answer(said: Said) -> Iterator[bytes]:
        told = words if isinstance(words, str) else words(said)
        model, is_anthropic = said.body["model"], said.path.endswith("/messages")
        if not said.body.get("stream"):
            return whole(anthropic_answer(model, told) if is_anthropic else openai_answer(model, told))
        pieces = [told[at : at + 5] for at in range(0, len(told), 5)]
        found = anthropic_events(model, pieces) if is_anthropic else openai_events(model, True, pieces)
        return events(*found, wait_s=wait_s) if ends else _cut(events(*found[: len(pieces)], wait_s=wait_s, ends=False))

    return answer


def _cut(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """After these the connection ends."""
    yield from pieces
    yield b""


def refuses(status: int, message: str) -> Iterator[bytes]:
    """An error."""
    return whole({"error": {"message": message, "type": "invalid_request_error"}}, status)


def hangs(said: Said) -> Iterator[bytes]:
    """Nothing comes, for as long as anybody listens."""
    yield b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    while True:
        time.sleep(0.02)
        yield b"1\r\n \r\n"


def openai_answer(model: str, words: str = "Größe 😀") -> dict[str, Any]:
    message = {"role": "assistant", "content": words, "refusal": None}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_750_000_000, "model": f"{model}-2026",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 60}},
    }  # fmt: skip


def openai_events(model: str, with_usage: bool, pieces: Sequence[str] = ("Grö", "ße ", "😀")) -> list[bytes]:
    about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_750_000_000, "model": f"{model}-2026"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return event({**about, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None})

    told = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": piece}) for piece in pieces), chunk({}, "stop")]
    if with_usage:
        told.append(event({**about, "choices": [], "usage": openai_answer(model)["usage"]}))
    return [*told, b"data: [DONE]\n\n"]


def openai_embeddings(model: str, input: Any) -> dict[str, Any]:
    """One for each text, and for each list of tokens."""
    n = 1 if isinstance(input, str) or isinstance(input[0], int) else len(input)
    return {
        "object": "list", "model": f"{model}-2026", "usage": {"prompt_tokens": 100, "total_tokens": 100},
        "data": [{"object": "embedding", "index": index, "embedding": [0.25, -0.5]} for index in range(n)],
    }  # fmt: skip


def anthropic_answer(model: str, words: str = "Größe 😀") -> dict[str, Any]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": f"{model}-2026", "content": [{"type": "text", "text": words}],
        "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {"input_tokens": 40, "cache_read_input_tokens": 60, "cache_creation_input_tokens": 0, "output_tokens": 20},
    }  # fmt: skip


def anthropic_events(model: str, pieces: Sequence[str] = ("Grö", "ße ", "😀")) -> list[bytes]:
    message = {
        **anthropic_answer(model),
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 40, "cache_read_input_tokens": 60, "output_tokens": 1},
    }
    told: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}} for piece in pieces),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 20}},
        {"type": "message_stop"},
    ]
    return [event(one, one["type"]) for one in told]


@contextmanager
def upstream() -> Iterator[Upstream]:
    """A running server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said = Said(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            known.asked.append(said)
            try:
                for piece in known.answer(said):
                    if not piece:  # nothing more comes
                        self.close_connection = True
                        return
                    self.wfile.write(piece)
                    self.wfile.flush()
            except (BrokenPipeError, ConnectionResetError):
                known.broken_off += 1
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    known = Upstream(server.server_address[1])
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
