"""Somebody else's batch APIs, scripted: a real HTTP server that takes OpenAI's and Anthropic's batches, and fails as it is told to."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.upstream import anthropic_answer, openai_answer


class Batches:
    """The server, and what it was handed. Batches are under way until `finish` is called."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.files: dict[str, bytes] = {}
        self.batches: list[dict[str, Any]] = []
        self.asked: Counter[str] = Counter()
        """How often each route was asked."""
        self.heads: list[dict[str, str]] = []
        self.fails: dict[str, list[int]] = {}
        """By route the statuses that it answers with before it does what it is asked; 0 breaks the connection off."""
        self.swallows: set[str] = set()
        """Routes whose next request is done, and its answer never sent."""
        self.words: Callable[[dict[str, Any]], str] = lambda body: "Größe 😀"
        """What a request is answered with, or `failing`, `expired` or `canceled` for one that is not."""
        self.ends_when_looked_at = False
        """Whether batches end as soon as somebody looks how far they are."""

    # What becomes of batches.

    def finish(self, status: str = "completed", failing: tuple[str, ...] = (), expired: tuple[str, ...] = ()) -> None:
        """All batches end. `failing`, `expired`: ids of requests, without what stands before them, that do."""
        for batch in [batch for batch in self.batches if not batch["is_over"]]:
            batch["is_over"] = True
            done = batch["requests"] if status in ("completed", "ended", "expired", "cancelled") else []
            lines = [self._line(batch, request, failing, expired) for request in reversed(done)]
            good = [line for is_good, line in lines if is_good]
            bad = [line for is_good, line in lines if not is_good]
            if batch["is_anthropic"]:
                batch["told"] |= {"processing_status": "ended", "results_url": "https://elsewhere.example/results"}
                batch["told"]["request_counts"] |= {"processing": 0, "succeeded": len(good), "errored": len(bad)}
                self.files[batch["id"]] = b"".join(good + bad)
                continue
            batch["told"] |= {"status": status, "request_counts": {"total": len(done), "completed": len(good), "failed": len(bad)}}
            for lines_of, field in ((good, "output_file_id"), (bad, "error_file_id")):
                if lines_of:
                    batch["told"][field] = f"{field}-{batch['id']}"
                    self.files[batch["told"][field]] = b"".join(lines_of)
            if status == "failed":
                batch["told"]["errors"] = {"object": "list", "data": [{"code": "too_many", "message": "the queue is full", "line": None}]}

    def _line(
        self, batch: dict[str, Any], request: dict[str, Any], failing: tuple[str, ...], expired: tuple[str, ...]
    ) -> tuple[bool, bytes]:
        id = request["custom_id"]
        own, body = id.partition("-")[2], request["params" if batch["is_anthropic"] else "body"]
        words = self.words(body)
        failing, expired = (*failing, *([own] if words == "failing" else [])), (*expired, *([own] if words == "expired" else []))
        if batch["is_anthropic"]:
            answer: dict[str, Any] = {"type": "succeeded", "message": anthropic_answer(body["model"], words)}
            if own in failing:
                answer = {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request", "message": "not so"}}}
            if own in expired:
                answer = {"type": "expired"}
            if words == "canceled":
                answer = {"type": "canceled"}
            return answer["type"] == "succeeded", json.dumps({"custom_id": id, "result": answer}).encode() + b"\n"
        line: dict[str, Any] = {
            "id": f"batch_req_{own}",
            "custom_id": id,
            "error": None,
            "response": {"status_code": 200, "request_id": "r"},
        }
        line["response"]["body"] = openai_answer(body["model"], words)
        if own in failing:
            line["response"] = {"status_code": 400, "request_id": "r", "body": {"error": {"message": "not so"}}}
        if own in expired:
            line |= {"response": None, "error": {"code": "batch_expired", "message": "it was not begun in time"}}
        if words == "canceled":
            line |= {"response": None, "error": {"code": "batch_cancelled", "message": "it was cancelled before it was begun"}}
        return own not in failing + expired and words != "canceled", json.dumps(line).encode() + b"\n"

    # What it is asked.

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Does what it is asked."""
        route = (
            f"{method} {re.sub(r'/(file|batch|output_file_id|error_file_id)-[^/?]+', '/ID', path.removeprefix('/v1').partition('?')[0])}"
        )
        self.asked[route] += 1
        if self.fails.get(route):
            return self.fails[route].pop(0), b'{"error": {"message": "not now"}}'
        status, told = self._done(route, path, body)
        if route in self.swallows:
            self.swallows.discard(route)
            return 0, b""
        return status, told

    def _done(self, route: str, path: str, body: bytes) -> tuple[int, bytes]:
        name = next(iter(re.findall(r"/((?:file|batch|output_file_id|error_file_id)-[^/?]+)", path)), "")
        batch = next((batch for batch in self.batches if batch["id"] == name), None)
        match route:
            case "POST /files":
                name = f"file-{len(self.files)}"
                assert b'name="purpose"\r\n\r\nbatch\r\n' in body
                self.files[name] = body.split(b"\r\n\r\n", 2)[2].rpartition(b"\r\n--")[0]
                return 200, json.dumps({"id": name, "object": "file"}).encode()
            case "GET /files/ID/content":
                return 200, self.files[name]
            case "POST /batches":
                asked = json.loads(body)
                requests = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
                about = {"object": "batch", "status": "validating", "created_at": int(time.time()), "metadata": asked["metadata"]}
                return 200, self._begun(requests, about, is_anthropic=False)
            case "POST /chat/completions":  # at once
                asked = json.loads(body)
                return 200, json.dumps(openai_answer(asked["model"], self.words(asked))).encode()
            case "POST /messages/batches":
                about = {"type": "message_batch", "processing_status": "in_progress", "created_at": datetime.now(UTC).isoformat()}
                requests = json.loads(body)["requests"]
                counts = {"processing": len(requests), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
                return 200, self._begun(requests, about | {"request_counts": counts, "results_url": None}, is_anthropic=True)
            case "GET /batches" | "GET /messages/batches":
                after = (re.findall(r"after(?:_id)?=([^&]+)", path) or [None])[0]
                newest = self.batches[::-1]
                rest = newest[[batch["id"] for batch in newest].index(after) + 1 :] if after else newest
                return 200, json.dumps({"data": [batch["told"] for batch in rest[:2]], "has_more": len(rest) > 2}).encode()
            case "GET /batches/ID" | "GET /messages/batches/ID" if batch:
                if self.ends_when_looked_at:
                    self.finish("ended" if batch["is_anthropic"] else "completed")
                return 200, json.dumps(batch["told"]).encode()
            case "GET /messages/batches/ID/results" if batch:
                return 200, self.files[name]
            case "POST /batches/ID/cancel" | "POST /messages/batches/ID/cancel" if batch:
                batch["told"] |= {"processing_status": "canceling"} if batch["is_anthropic"] else {"status": "cancelling"}
                return 200, json.dumps(batch["told"]).encode()
            case _:
                return 404, b'{"error": {"message": "there is no such thing"}}'

    def _begun(self, requests: list[dict[str, Any]], about: dict[str, Any], is_anthropic: bool) -> bytes:
        name = f"batch-{len(self.batches)}"
        self.batches.append(
            {"id": name, "requests": requests, "told": about | {"id": name}, "is_anthropic": is_anthropic, "is_over": False}
        )
        return json.dumps(self.batches[-1]["told"]).encode()


@contextmanager
def batch_upstream() -> Iterator[Batches]:
    """A running server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["content-length"])))

        def do_GET(self) -> None:
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            known.heads.append({name.lower(): value for name, value in self.headers.items()})
            status, told = known.answer(self.command, re.sub("^http://[^/]+", "", self.path), body)
            self.close_connection = True
            if status:
                self.wfile.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(told)) + told)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    known = Batches(server.server_address[1])
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
