"""Somebody else's fine-tuning API, scripted: a real HTTP server that takes files and jobs in OpenAI's words, and says of them what it is told to."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Tunings:
    """The server, and what it was handed. A job goes one step further each time somebody looks."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.files: dict[str, list[dict[str, Any]]] = {}
        self.jobs: list[dict[str, Any]] = []
        self.looks = 0
        self.stays: list[str] = ["validating_files", "running"]
        """What a job says before it is over."""
        self.ends: dict[str, Any] = {"status": "succeeded", "trained_tokens": 12_000}
        """What it says then."""
        self.answers: Callable[[str, str], str] = lambda model, text: "swallowed" if model.startswith("ft:") else "unsure"
        """What a model says to a text."""
        self.fails_looks = 0
        """How many looks are answered with a 500 first."""

    def upload(self, body: bytes) -> dict[str, Any]:
        assert b'name="purpose"\r\n\r\nfine-tune' in body
        content = body.split(b"application/jsonl\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
        id = f"file-{len(self.files)}"
        self.files[id] = [json.loads(line) for line in content.splitlines()]
        return {"id": id, "object": "file", "bytes": len(content)}

    def create(self, body: bytes) -> dict[str, Any]:
        wanted = json.loads(body)
        assert wanted["training_file"] in self.files
        self.jobs.append(
            {
                "id": f"ftjob-{len(self.jobs)}",
                "object": "fine_tuning.job",
                "status": "validating_files",
                "wanted": wanted,
                "left": list(self.stays),
            }
        )
        return self.told(self.jobs[-1])

    def look(self, id: str) -> dict[str, Any]:
        self.looks += 1
        job = next(job for job in self.jobs if job["id"] == id)
        if job["left"]:
            job["status"] = job["left"].pop(0)
        else:
            job |= self.ends
            if job["status"] == "succeeded":
                job["fine_tuned_model"] = f"ft:{job['wanted']['model']}:ours::1"
        return self.told(job)

    def told(self, job: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in job.items() if key not in ("wanted", "left")}

    def events(self) -> dict[str, Any]:
        newest = {
            "object": "fine_tuning.job.event",
            "type": "metrics",
            "data": {"step": 3, "total_steps": 9, "train_loss": 0.7, "valid_loss": 0.8},
        }
        return {"object": "list", "data": [{"type": "message", "message": "Step 3/9"}, newest], "has_more": False}


@contextmanager
def tunings() -> Iterator[Tunings]:
    """A running server."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _send(self, body: dict[str, Any], status: int = 200) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/files":
                self._send(served.upload(body))
            elif self.path == "/v1/fine_tuning/jobs":
                self._send(served.create(body))
            else:
                asked = json.loads(body)
                message = {"role": "assistant", "content": served.answers(asked["model"], asked["messages"][-1]["content"])}
                self._send(
                    {
                        "id": "c",
                        "object": "chat.completion",
                        "model": "m",
                        "created": 1,
                        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                    }
                )

        def do_GET(self) -> None:
            if served.fails_looks:
                served.fails_looks -= 1
                self._send({"error": {"message": "try again"}}, 500)
            elif found := re.fullmatch(r"/v1/fine_tuning/jobs/([\w-]+)", self.path):
                self._send(served.look(found[1]))
            else:
                assert "/events" in self.path
                self._send(served.events())

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Tunings(server.server_address[1])
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
